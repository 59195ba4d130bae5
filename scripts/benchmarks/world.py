"""The servers around the proxy, in a process of their own: three tiny backends and an auth server.

Run as a program it prints the auth server's port and serves until its standard input ends.
"""

from __future__ import annotations

import socket
import sys

from scripts.benchmarks.bulk import send_bulk, take_bulk
from scripts.benchmarks.reactor import LOOPBACK, Connection, Loop, open_listener

AUTH_ANSWER = (
    "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {host}\r\nAuth-Port: {port}\r\nAuth-Pass: secret\r\n\r\n"
)


class Backend(Connection):
    """Greets, then answers each line; a line that `is_farewell` is the last."""

    greeting = b""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        super().__init__(loop, sock)
        self.buffer = b""
        self.send(self.greeting)

    def received(self, data: bytes) -> None:
        *lines, self.buffer = (self.buffer + data).split(b"\r\n")
        for line in lines:
            self.send(self.answer(line))
            if self.is_farewell(line):
                self.close()
                return

    def answer(self, line: bytes) -> bytes:
        raise NotImplementedError

    def is_farewell(self, line: bytes) -> bool:
        return line == b"QUIT"


class Smtp(Backend):
    greeting = b"220 backend\r\n"

    def answer(self, line: bytes) -> bytes:
        match line[:4]:
            case b"EHLO":
                return b"250-backend\r\n250 XCLIENT NAME ADDR LOGIN\r\n"
            case b"XCLI":
                return b"220 backend\r\n"
            case b"QUIT":
                return b"221 bye\r\n"
            case _:
                return b"250 ok\r\n"


class Pop3(Backend):
    greeting = b"+OK backend\r\n"

    def answer(self, line: bytes) -> bytes:
        return b"+OK\r\n"


class Imap(Backend):
    """Has two commands of its own: `SEND n` sends n octets, `TAKE n` asks for n octets and swallows them.

    Meanwhile it serves nobody else, so the benchmark with bulk has one session at a time.
    """

    greeting = b"* OK backend\r\n"
    tag = b""
    literals_due = 0

    def answer(self, line: bytes) -> bytes:
        if self.literals_due:
            self.literals_due -= 1
            return b"+ go\r\n" if self.literals_due else self.tag + b" OK done\r\n"
        self.tag, _, command = line.partition(b" ")
        if command.startswith(b"LOGIN "):
            self.literals_due = 2
            return b"+ go\r\n"
        match command.split():
            case [b"SEND", count]:
                send_bulk(self.socket, int(count))
                return b""
            case [b"TAKE", count]:
                self.send(b"+ go\r\n")
                take_bulk(self.socket, int(count))
            case _:
                pass
        bye = b"* BYE\r\n" if command == b"LOGOUT" else b""
        return bye + self.tag + b" OK done\r\n"

    def is_farewell(self, line: bytes) -> bool:
        return line.endswith(b" LOGOUT") and not self.literals_due


class Auth(Connection):
    """An auth server that lets everybody in; `answers` has one for each protocol."""

    def __init__(self, loop: Loop, sock: socket.socket, answers: dict[bytes, bytes]) -> None:
        super().__init__(loop, sock)
        self.answers, self.request = answers, b""

    def received(self, data: bytes) -> None:
        self.request += data
        if self.request.endswith(b"\r\n\r\n"):
            protocol = self.request.partition(b"\r\nAuth-Protocol: ")[2].partition(b"\r\n")[0]
            self.send(self.answers[protocol])
            self.close()


def serve() -> None:
    loop = Loop()
    ports = {b"smtp": open_listener(loop, Smtp), b"imap": open_listener(loop, Imap), b"pop3": open_listener(loop, Pop3)}
    answers = {name: AUTH_ANSWER.format(host=LOOPBACK, port=port).encode() for name, port in ports.items()}
    print(open_listener(loop, lambda loop, sock: Auth(loop, sock, answers)), flush=True)
    loop.add(sys.stdin, loop.stop)
    loop.run()


if __name__ == "__main__":
    serve()
