"""The load, in a process of its own: N sessions, each a login, one command and a logout.

Run as a program with PROTOCOL PORT SESSIONS CONCURRENCY; prints the wall time in seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time

# For each protocol: what ends the reply to wait for, and the line to send then.
SCRIPTS = {
    "imap": [(b"ready\r\n", b"a LOGIN user secret\r\n"), (b"a OK", b"b NOOP\r\n"), (b"b OK", b"c LOGOUT\r\n")],
    "smtp": [
        (b"220 ", b"EHLO client\r\n"),
        (b"250 ", b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"),
        (b"235 ", b"NOOP\r\n"),
        (b"250 ", b"QUIT\r\n"),
    ],
    "pop3": [
        (b"+OK", b"USER user\r\n"),
        (b"+OK", b"PASS secret\r\n"),
        (b"+OK", b"STAT\r\n"),
        (b"+OK", b"QUIT\r\n"),
    ],
}


class Client(asyncio.Protocol):
    """Walks one script; `done` gets whether it went through to the server's close."""

    def __init__(self, script: list[tuple[bytes, bytes]], done: asyncio.Future[bool]) -> None:
        self.script, self.done, self.step, self.buffer = script, done, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.step < len(self.script) and self.script[self.step][0] in self.buffer and data.endswith(b"\n"):
            self.buffer = b""
            self.transport.write(self.script[self.step][1])
            self.step += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(self.step == len(self.script))


async def run(protocol: str, port: int, sessions: int, concurrency: int) -> float:
    loop = asyncio.get_running_loop()
    left = iter(range(sessions))

    async def one_after_another() -> None:
        for _ in left:
            done: asyncio.Future[bool] = loop.create_future()
            await loop.create_connection(lambda done=done: Client(SCRIPTS[protocol], done), "127.0.0.1", port)  # type: ignore[misc]
            if not await done:
                raise SystemExit(f"a {protocol} session was cut off")

    start = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))
    return time.perf_counter() - start


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], *map(int, sys.argv[2:5]))))
