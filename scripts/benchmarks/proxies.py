"""Starting and stopping the proxies that are compared, and reading what they cost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NGINX_MODULES = Path("/usr/lib/nginx/modules/ngx_mail_module.so")
TICKS = os.sysconf("SC_CLK_TCK")
PROTOCOLS = ("imap", "smtp", "pop3")


class BenchError(Exception):
    """Something is missing or did not start; the text is for the operator."""


@dataclass(frozen=True)
class Running:
    """A proxy under load: its process and its port for each protocol."""

    name: str
    pid: int
    ports: dict[str, int]

    def cpu_seconds(self) -> float:
        """User and system time so far, children included."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """What the system's accounting says of a process and its children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in children)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def configuration(auth_port: int, ports: dict[str, int]) -> str:
    """The same for every proxy."""
    servers = "".join(f"  server {{ listen 127.0.0.1:{port}; protocol {name}; }}\n" for name, port in ports.items())
    return (
        "events { worker_connections 4096; }\n"
        f"mail {{\n  server_name mx.example;\n  auth_http 127.0.0.1:{auth_port}/auth;\n{servers}}}\n"
    )


def has_nginx() -> bool:
    """Whether Debian's nginx and its mail module are installed."""
    return shutil.which("nginx") is not None and NGINX_MODULES.exists()


@contextmanager
def proxy(name: str, auth_port: int, directory: Path) -> Iterator[Running]:
    """Run one proxy for the block. Raises BenchError when it does not start."""
    ports = dict(zip(PROTOCOLS, free_ports(len(PROTOCOLS)), strict=True))
    body = configuration(auth_port, ports)
    home = directory / name
    home.mkdir(exist_ok=True)
    file = home / "mail.conf"
    if name == "nginx":
        body = f"load_module {NGINX_MODULES};\npid {home}/pid;\nerror_log {home}/error.log;\n" + body
        options = ["-p", str(home), "-c", str(file), "-e", f"{home}/error.log", "-g", "daemon off; master_process off;"]
        command = ["nginx", *options]
    else:
        command = [sys.executable, "-m", "refproxy", "run", "-c", str(file)]
    file.write_text(body)
    with (home / "stderr").open("w") as errors:
        process = subprocess.Popen(command, stderr=errors, stdout=errors)
    try:
        for port in ports.values():
            wait_until_open(port, process, home / "stderr")
        yield Running(name, process.pid, ports)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_until_open(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    """Return when the port accepts. Raises BenchError when the process ends instead."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise BenchError(f"{process.args!r} did not start: {errors.read_text().strip()}") from None
