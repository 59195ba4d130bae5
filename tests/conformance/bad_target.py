"""A target that goes wrong: `bad_target.py HOW CONF`, with a child of its own whose number it leaves beside CONF."""

from __future__ import annotations

import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def main(how: str, conf: Path) -> None:
    child = subprocess.Popen(["sleep", "600"])
    (conf.parent / "child").write_text(str(child.pid))
    print("a word before it goes wrong", file=sys.stderr, flush=True)
    match how:
        case "ends":
            sys.exit(7)
        case "interrupts":
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(600)
    ports = map(int, re.findall(r"listen 127\.0\.0\.1:(\d+)", conf.read_text()))
    selector = selectors.DefaultSelector()
    for port in ports:
        selector.register(socket.create_server(("127.0.0.1", port)), selectors.EVENT_READ)
    kept = []
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            client, (address, _) = key.fileobj.accept()
            kept.append(client)
            # The suite looks from 127.0.0.1 whether the target listens; cases have addresses of their own.
            if address != "127.0.0.1":
                if how == "dies":
                    sys.exit(8)
                if how == "says-nonsense":
                    client.sendall(b"nonsense\r\n")


main(sys.argv[1], Path(sys.argv[2]))
