"""A client's connection during the dialogue: lines and counted octets out of a byte stream, within bounds."""

from __future__ import annotations

import trio

from refproxy.errors import PeerError, Side
from refproxy.net.closing import close_at_once
from refproxy.net.reset_watch import ResetCancels
from refproxy.net.tls.stream import TlsStream

__all__ = ["LineStream", "Overlong"]

READ_SIZE = 4096
DRAIN_SECONDS = 2.0  # how long a closing session takes input that nobody will read (CORE-81)
TLS_DRAIN_SECONDS = 3.0  # and how long it waits for the peer's close_notify (TLS-53)
DRAIN_OCTETS = 256 * 1024


class Overlong(Exception):
    """The limit was reached without a line end; the octets stay in the buffer."""

    def __init__(self, partial: bytes) -> None:
        super().__init__(f"{len(partial)} octets without a line end")
        self.partial = partial


class LineStream:
    """Reads ahead at most `capacity` octets; no need asks for more.

    A reset raises PeerError; an end of file is an ordinary answer (None). `reset_cancels`, where the connection has it,
    notices a reset without reading; `wait_reset` is for all others.
    """

    def __init__(
        self, stream: trio.abc.HalfCloseableStream, capacity: int, reset_cancels: ResetCancels | None = None
    ) -> None:
        self.stream = stream
        self.reset_cancels = reset_cancels
        self._capacity = capacity
        self._buffer = bytearray()
        self._searched = 0  # octets at the start of the buffer known to hold no line end
        self._eof = False

    @property
    def pending(self) -> bool:
        """Whether input has been read that nobody took."""
        return bool(self._buffer)

    async def line(self, limit: int) -> bytes | None:
        """Return the next line with its end, or None at the end of file (an incomplete line is dropped with it).

        Raises Overlong, and PeerError for a reset.
        """
        while True:
            end = self._buffer.find(b"\n", self._searched, limit)
            if end >= 0:
                return self._take(end + 1)
            if len(self._buffer) >= limit:
                raise Overlong(bytes(self._buffer[:limit]))
            self._searched = len(self._buffer)
            if not await self._read():
                return None

    async def octets(self, count: int, limit: int) -> bytes | None:
        """Return exactly `count` octets, or None at the end of file. Raises Overlong when `limit` do not suffice."""
        while len(self._buffer) < min(count, limit):
            if not await self._read():
                return None
        if count > limit:
            raise Overlong(bytes(self._buffer[:limit]))
        return self._take(count)

    async def wait_input(self) -> None:
        """Return when there is input, or the end of file."""
        if not self._buffer and not self._eof:
            await self._read()

    async def wait_reset(self) -> None:
        """Return when the peer resets the connection; reads ahead within the capacity. Meant to be cancelled."""
        try:
            while len(self._buffer) < self._capacity and await self._read():
                pass
        except PeerError:
            return
        await trio.sleep_forever()

    def discard(self) -> None:
        """Forget what was read ahead: before a TLS handshake it was clear text (CVE-2011-0411 class; TLS-38)."""
        self._buffer.clear()
        self._searched = 0

    def take_pending(self) -> bytes:
        """Hand over what was read ahead."""
        return self._take(len(self._buffer))

    async def send(self, octets: bytes) -> None:
        """Send all. Raises PeerError for a broken connection."""
        try:
            await self.stream.send_all(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
            raise PeerError(Side.CLIENT, "client reset connection") from broken

    async def close_after_reply(self) -> None:
        """Close so that the last reply is read: half-close (in TLS: close_notify), drain briefly, close.

        Closing with input unread makes the kernel reset the connection, and the reply may be lost (IMAP-13).
        """
        with trio.move_on_after(TLS_DRAIN_SECONDS if isinstance(self.stream, TlsStream) else DRAIN_SECONDS):
            try:
                await self.stream.send_eof()
                left = 0 if self._eof else DRAIN_OCTETS
                while left > 0 and (octets := await self.stream.receive_some(READ_SIZE)):
                    left -= len(octets)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the peer was quicker
        await close_at_once(self.stream)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._searched = 0
        return taken

    async def _read(self) -> bool:
        """Read once; False at the end of file."""
        if self._eof:
            return False
        try:
            octets = await self.stream.receive_some(max(1, min(READ_SIZE, self._capacity - len(self._buffer))))
        except trio.BrokenResourceError as broken:
            self._eof = True
            raise PeerError(Side.CLIENT, "client reset connection") from broken
        self._buffer += octets
        self._eof = not octets
        return not self._eof
