"""One connection of the embedded world: lines in, lines out."""

from __future__ import annotations

import trio

__all__ = ["Hangup", "Lines"]

LINE_LIMIT = 65536
READ_SIZE = 4096


class Hangup(Exception):
    """The peer closed the connection, or sent a line of no sensible length."""


class Lines:
    """Reads lines and counted octets from a stream, and sends lines."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._received = bytearray()

    async def line(self) -> bytes:
        """The next line, without its end. Raises Hangup."""
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > LINE_LIMIT:
                raise Hangup
            await self._read()
        return self._take(end + 1).rstrip(b"\r\n")

    async def octets(self, count: int) -> bytes:
        """The next `count` octets. Raises Hangup."""
        while len(self._received) < count:
            await self._read()
        return self._take(count)

    async def block(self) -> bytes:
        """The lines up to a line with a dot alone, undotted (RFC 5321 section 4.5.2; RFC 1939 section 3)."""
        lines = []
        while (line := await self.line()) != b".":
            lines.append(line.removeprefix(b".") + b"\r\n")
        return b"".join(lines)

    async def send(self, *lines: bytes) -> None:
        """Send lines, given without their ends."""
        await self.stream.send_all(b"".join([line + b"\r\n" for line in lines]))

    async def send_block(self, octets: bytes) -> None:
        """Send lines with dots doubled, and a dot alone."""
        lines = octets.removesuffix(b"\r\n").split(b"\r\n")
        await self.send(*[b"." + line if line.startswith(b".") else line for line in lines], b".")

    async def _read(self) -> None:
        try:
            octets = await self.stream.receive_some(READ_SIZE)
        except trio.BrokenResourceError as broken:
            raise Hangup from broken
        if not octets:
            raise Hangup
        self._received += octets

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken
