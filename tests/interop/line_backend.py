"""A backend that admits everybody and records every line, to see what two proxies say to it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Generator
from types import TracebackType

__all__ = ["LineBackend"]


class LineBackend:
    """Serves one protocol, `smtp`, `imap` or `pop3`, in a thread from `with` on."""

    def __init__(self, protocol: str) -> None:
        self.lines: list[bytes] = []
        outer = self
        talk = {"smtp": smtp, "imap": imap, "pop3": pop3}[protocol]

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                conversation = talk()
                reply = next(conversation)
                self.wfile.write(reply)
                for line in self.rfile:
                    outer.lines.append(line)
                    try:
                        self.wfile.write(conversation.send(line))
                    except StopIteration as end:
                        self.wfile.write(end.value)
                        return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> LineBackend:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def taken(self) -> list[bytes]:
        """The lines since the last call."""
        lines, self.lines = self.lines, []
        return lines


Conversation = Generator[bytes, bytes, bytes]
"""Yields replies, is sent lines, returns the farewell."""


def smtp() -> Conversation:
    replies = {
        b"EHLO": b"250-backend.example.test\r\n250 XCLIENT ADDR NAME LOGIN\r\n",
        b"XCLIENT": b"220 backend.example.test ESMTP\r\n",
        b"AUTH": b"235 2.7.0 Authentication successful\r\n",
    }
    line = yield b"220 backend.example.test ESMTP\r\n"
    while (verb := line.strip().partition(b" ")[0].upper()) != b"QUIT":
        line = yield replies.get(verb, b"250 2.1.0 Ok\r\n")
    return b"221 2.0.0 Bye\r\n"


def pop3() -> Conversation:
    line = yield b"+OK backend ready\r\n"
    while line.strip().upper() != b"QUIT":
        line = yield b"+OK 0 messages\r\n"
    return b"+OK goodbye\r\n"


def imap() -> Conversation:
    line = yield b"* OK backend ready\r\n"
    tag = line.split()[0]
    while line.endswith(b"}\r\n"):
        line = yield b"+ go ahead\r\n"
    line = yield tag + b" OK logged in\r\n"
    while True:
        tag, _, command = line.strip().partition(b" ")
        if command.upper() == b"LOGOUT":
            return b"* BYE backend\r\n" + tag + b" OK goodbye\r\n"
        line = yield tag + b" OK done\r\n"
