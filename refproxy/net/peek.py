"""Looking at what a stream has received without taking it.

What a client sends first may be for two readers: a PROXY header for the proxy, and the ClientHello right behind it for
the TLS engine, which reads from the socket itself. So the first reader must take its own octets and not one more.
"""

from __future__ import annotations

from typing import Protocol

import trio

from refproxy.net.socket_stream import SocketStream

__all__ = ["Peekable", "Peeking", "peekable"]


class Peekable(Protocol):
    """The receiving side of a stream that can be looked into."""

    async def peek(self, max_bytes: int, /) -> bytes:
        """Wait until there is something, and return at most `max_bytes` octets of it; none at the end of file.

        Raises trio.BrokenResourceError for a reset. What was seen stays, so a second call need not wait.
        """
        ...

    async def receive_some(self, max_bytes: int | None = None, /) -> bytes:
        """As trio.abc.ReceiveStream."""
        ...


class Peeking(trio.abc.HalfCloseableStream):
    """Gives `peek` to a stream that has none. It holds what was seen, so nobody else may read the stream within."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream
        self._seen = b""

    async def peek(self, max_bytes: int) -> bytes:
        """As Peekable wants it."""
        if self._seen:
            await trio.lowlevel.checkpoint()
        else:
            self._seen = bytes(await self._stream.receive_some(max_bytes))
        return self._seen[:max_bytes]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what was seen first."""
        if not self._seen:
            return bytes(await self._stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()  # before taking: being cancelled after it would lose what was taken
        count = len(self._seen) if max_bytes is None else max_bytes
        taken, self._seen = self._seen[:count], self._seen[count:]
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Half-close."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream within, and forget what was seen."""
        self._seen = b""
        await self._stream.aclose()


def peekable(stream: trio.abc.HalfCloseableStream) -> SocketStream | Peeking:
    """Return the stream itself if it can be looked into, or else one around it that takes its place."""
    return stream if isinstance(stream, SocketStream | Peeking) else Peeking(stream)
