"""A Trio stream over a connected socket that asks nobody when it knows the answer.

trio.SocketStream gives the other tasks a turn after every call, even when the kernel had everything ready. A mail
session is a few dozen tiny reads and writes, so that turn is most of their cost. Here a call that need not wait returns
at once, and only one in FAIR_AFTER gives a turn, so that a peer which is always ready cannot starve the others.

The other way round, a read that got less than it had room for has emptied the socket, and peers here talk in turns:
the next read waits first, instead of being told by the kernel that there is nothing.
"""

from __future__ import annotations

import socket
from typing import NoReturn

import trio

__all__ = ["SocketStream", "send_without_delay"]

FAIR_AFTER = 16  # calls that did not wait
RECEIVE_SIZE = 65536


class SocketStream(trio.abc.HalfCloseableStream):
    """Owns a connected stream socket, which it makes non-blocking. The contract is trio.abc.HalfCloseableStream's.

    The socket's options are the business of who made it, see `send_without_delay`.
    """

    __slots__ = ("_is_empty", "_unfair", "_waiting", "socket")

    def __init__(self, sock: socket.socket) -> None:
        if sock.gettimeout() != 0:
            sock.setblocking(False)
        self.socket = sock
        self._unfair = 0
        self._waiting = 0  # tasks
        self._is_empty = True  # nothing to read, as far as is known

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at most `max_bytes` octets, none at the end of file. Raises trio.BrokenResourceError for a reset."""
        if self.is_unfair():
            await trio.lowlevel.checkpoint()
        room = max_bytes or RECEIVE_SIZE
        while True:
            if self._is_empty:
                await self.wait_readable()
            if (octets := self.receive_now(room)) is not None:
                return octets

    def receive_now(self, room: int) -> bytes | None:
        """Receive at most `room` octets, or None instead of waiting; else as `receive_some`."""
        try:
            octets = self.socket.recv(room)
        except BlockingIOError:
            self._is_empty = True
            return None
        except OSError as error:
            self._fail(error)
        self._is_empty = len(octets) < room
        return octets

    async def peek(self, max_bytes: int) -> bytes:
        """As receive_some, but the octets stay where they are: the next call gives them again, at once."""
        if self.is_unfair():
            await trio.lowlevel.checkpoint()
        while True:
            if self._is_empty:
                await self.wait_readable()
            try:
                octets = self.socket.recv(max_bytes, socket.MSG_PEEK)
            except BlockingIOError:
                self._is_empty = True
            except OSError as error:
                self._fail(error)
            else:
                self._is_empty = False
                return octets

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError when the peer is gone."""
        if self.is_unfair():
            await trio.lowlevel.checkpoint()
        sent = self.send_now(data)
        while sent < len(data):
            await self.wait_writable()
            sent += self.send_now(memoryview(data)[sent:])

    def send_now(self, octets: bytes | bytearray | memoryview) -> int:
        """Send what can be sent without waiting, and return how much that was; else as `send_all`."""
        try:
            return self.socket.send(octets)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(error)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self.wait_writable()

    async def send_eof(self) -> None:
        """Half-close."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail(error)

    def fileno(self) -> int:
        """The descriptor, for a set of them to wait on."""
        return self.socket.fileno()

    def close(self) -> None:
        """Close at once; whoever waits on the socket hears of it."""
        if self._waiting:
            trio.lowlevel.notify_closing(self.socket)
        self.socket.close()

    async def aclose(self) -> None:
        """Close, as trio.abc.AsyncResource wants it."""
        self.close()
        await trio.lowlevel.checkpoint()

    async def wait_readable(self) -> None:
        """Wait until there is something to receive, or the end of file. One task at a time."""
        self.check_open()
        self._unfair = 0
        self._waiting += 1
        try:
            await trio.lowlevel.wait_readable(self.socket.fileno())
        finally:
            self._waiting -= 1

    async def wait_writable(self) -> None:
        """Wait until the kernel takes more. One task at a time."""
        self.check_open()
        self._unfair = 0
        self._waiting += 1
        try:
            await trio.lowlevel.wait_writable(self.socket.fileno())
        finally:
            self._waiting -= 1

    def check_open(self) -> None:
        """Raise trio.ClosedResourceError when the stream was closed."""
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("this stream was closed")

    def is_unfair(self) -> bool:
        """Whether to give a turn; before a call, because being cancelled after it would lose what was received."""
        self._unfair += 1
        if self._unfair < FAIR_AFTER:
            return False
        self._unfair = 0
        return True

    def _fail(self, error: OSError) -> NoReturn:
        self.check_open()
        raise trio.BrokenResourceError(str(error)) from error


def send_without_delay(sock: socket.socket) -> None:
    """Let a TCP socket send small pieces at once; a relay does not wait for more (PROXY-75)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
