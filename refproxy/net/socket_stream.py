"""A Trio stream over a connected socket that tries before it waits.

trio.SocketStream gives the other tasks a turn after every call, even when the kernel had everything ready. A mail
session is a few dozen tiny reads and writes, so that turn is most of their cost. Here a call that need not wait returns
at once, and only one in FAIR_AFTER gives a turn, so that a peer which is always ready cannot starve the others.
"""

from __future__ import annotations

import socket
from typing import NoReturn

import trio

__all__ = ["SocketStream"]

FAIR_AFTER = 16  # calls that did not wait
RECEIVE_SIZE = 65536


class SocketStream(trio.abc.HalfCloseableStream):
    """Owns a connected stream socket, which it makes non-blocking. The contract is trio.abc.HalfCloseableStream's."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self._unfair = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at most `max_bytes` octets, none at the end of file. Raises trio.BrokenResourceError for a reset."""
        await self.be_fair()
        while True:
            try:
                return self.socket.recv(max_bytes or RECEIVE_SIZE)
            except BlockingIOError:
                await self.wait_readable()
            except OSError as error:
                self._fail(error)

    async def peek(self, max_bytes: int) -> bytes:
        """As receive_some, but the octets stay where they are: the next call gives them again, at once."""
        await self.be_fair()
        while True:
            try:
                return self.socket.recv(max_bytes, socket.MSG_PEEK)
            except BlockingIOError:
                await self.wait_readable()
            except OSError as error:
                self._fail(error)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError when the peer is gone."""
        await self.be_fair()
        left = memoryview(data)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                await self.wait_writable()
            except OSError as error:
                self._fail(error)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self.wait_writable()

    async def send_eof(self) -> None:
        """Half-close."""
        await self.be_fair()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Close at once; whoever waits on the socket hears of it."""
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()

    async def aclose(self) -> None:
        """Close, as trio.abc.AsyncResource wants it."""
        self.close()
        await trio.lowlevel.checkpoint()

    async def wait_readable(self) -> None:
        """Wait until there is something to receive, or the end of file. One task at a time."""
        self._unfair = 0
        await trio.lowlevel.wait_readable(self.socket)

    async def wait_writable(self) -> None:
        """Wait until the kernel takes more. One task at a time."""
        self._unfair = 0
        await trio.lowlevel.wait_writable(self.socket)

    def check_open(self) -> None:
        """Raise trio.ClosedResourceError when the stream was closed."""
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("this stream was closed")

    async def be_fair(self) -> None:
        """Give a turn now and then; before a call, because being cancelled after it would lose what was received."""
        self._unfair += 1
        if self._unfair >= FAIR_AFTER:
            self._unfair = 0
            await trio.lowlevel.checkpoint()

    def _fail(self, error: OSError) -> NoReturn:
        self.check_open()
        raise trio.BrokenResourceError(str(error)) from error
