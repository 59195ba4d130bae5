"""The servers around the proxy, in a process of their own: three tiny backends and an auth server.

Run as a program it prints the ports of auth server, SMTP, IMAP and POP3, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

AUTH_ANSWER = (
    "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {}\r\nAuth-Pass: secret\r\n\r\n"
)


class LineProtocol(asyncio.Protocol):
    """Answers each line with what `answer` says; None closes."""

    greeting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, b""
        if self.greeting:
            transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        *lines, self.buffer = (self.buffer + data).split(b"\r\n")
        for line in lines:
            reply, goes_on = self.answer(line)
            self.transport.write(reply)
            if not goes_on:
                self.transport.close()
                return

    def answer(self, line: bytes) -> tuple[bytes, bool]:
        raise NotImplementedError


class Smtp(LineProtocol):
    greeting = b"220 backend\r\n"

    def answer(self, line: bytes) -> tuple[bytes, bool]:
        match line[:4]:
            case b"EHLO":
                return b"250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n", True
            case b"XCLI":
                return b"220 backend\r\n", True
            case b"QUIT":
                return b"221 bye\r\n", False
            case _:
                return b"250 ok\r\n", True


class Pop3(LineProtocol):
    greeting = b"+OK backend\r\n"

    def answer(self, line: bytes) -> tuple[bytes, bool]:
        return b"+OK\r\n", line != b"QUIT"


class Imap(LineProtocol):
    greeting = b"* OK backend\r\n"
    tag = b""
    answers_due = 0

    def answer(self, line: bytes) -> tuple[bytes, bool]:
        if self.answers_due:
            self.answers_due -= 1
            return (b"+ go\r\n" if self.answers_due else self.tag + b" OK done\r\n"), True
        self.tag, command = line.split(b" ")[:2]
        if command == b"LOGIN":
            self.answers_due = 2
            return b"+ go\r\n", True
        bye = b"* BYE\r\n" if command == b"LOGOUT" else b""
        return bye + self.tag + b" OK done\r\n", not bye


class Auth(asyncio.Protocol):
    """An auth server that lets everybody in."""

    def __init__(self, ports: dict[bytes, int]) -> None:
        self.answers = {name: AUTH_ANSWER.format(port).encode() for name, port in ports.items()}
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.buffer.endswith(b"\r\n\r\n"):
            protocol = self.buffer.partition(b"Auth-Protocol: ")[2].partition(b"\r\n")[0]
            self.transport.write(self.answers[protocol])
            self.transport.close()


async def serve() -> None:
    loop = asyncio.get_running_loop()

    async def listen(factory: Callable[[], asyncio.Protocol]) -> int:
        server = await loop.create_server(factory, "127.0.0.1", 0, backlog=1000)
        return int(server.sockets[0].getsockname()[1])

    ports = {b"smtp": await listen(Smtp), b"imap": await listen(Imap), b"pop3": await listen(Pop3)}
    auth = await listen(lambda: Auth(ports))
    print(auth, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
