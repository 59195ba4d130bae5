"""One end of a connection with the target: sends octets as they are, and checks what comes back."""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Any

import trio

from conformance.transcript import Transcript
from conformance.verdict import Mismatch
from refproxy.observe.ladder import Side

__all__ = ["Peer"]

READ_SIZE = 65536
SHOWN = 300  # octets in a message

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Peer:
    """A client, a backend or an auth server on one connection."""

    def __init__(self, stream: trio.SocketStream, side: Side, transcript: Transcript) -> None:
        self.socket_stream = stream
        self.stream: Stream = stream
        self.side, self.transcript = side, transcript
        self.awaited = ""
        """What is being waited for, in words."""

        self.awaited = ""
        """What is being waited for, in words."""

        self.poured = 0
        self._received = bytearray()
        self._ended = False

    # Sending.

    async def send(self, octets: bytes, *, pieces: int | None = None) -> None:
        """Send octets, on wish in `pieces` of so many octets each, every one a packet of its own."""
        self.transcript.sent(self.side, octets)
        size = pieces or max(1, len(octets))
        try:
            for start in range(0, len(octets), size):
                await self.stream.send_all(octets[start : start + size])
        except trio.BrokenResourceError:
            self.transcript.remark(f"{self.side.value}: the connection is gone")

    async def send_eof(self) -> None:
        """Half-close."""
        self.transcript.remark(f"{self.side.value} half-closes")
        await self.socket_stream.send_eof()

    async def send_last(self, octets: bytes) -> None:
        """Send octets and the end of file in one packet, so that the target learns of both at once."""
        self.socket_stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await self.send(octets)
        await self.close()

    async def close(self) -> None:
        """Close, in TLS with close_notify."""
        self.transcript.remark(f"{self.side.value} closes")
        await self.stream.aclose()

    async def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.transcript.remark(f"{self.side.value} resets")
        self.socket_stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(self.socket_stream)

    async def pour(self, blocks: Iterable[bytes]) -> None:
        """Send many octets, which the transcript does not show; `poured` counts them."""
        self.transcript.remark(f"{self.side.value} begins to send much")
        try:
            for block in blocks:
                await self.stream.send_all(block)
                self.poured += len(block)
        except trio.BrokenResourceError:
            self.transcript.remark(f"{self.side.value}: the connection is gone after {self.poured} octets")

    # Receiving.

    async def expect(self, *accepted: bytes) -> bytes:
        """The next octets are one of these; return which. Raises Mismatch."""
        while True:
            received = bytes(self._received)
            for wanted in accepted:
                if received.startswith(wanted):
                    self._take(len(wanted))
                    return wanted
            self.awaited = f"{self.side.value}: " + " or ".join(repr(wanted[:SHOWN]) for wanted in accepted)
            self.awaited = f"{self.side.value}: " + " or ".join(repr(wanted[:SHOWN]) for wanted in accepted)
            if not any(wanted.startswith(received) for wanted in accepted) or not await self._read():
                raise self._differs(accepted, received)

    async def line(self) -> bytes:
        """The next line with its end. Raises Mismatch at the end of file."""
        return await self.until(b"\n")

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and including the mark. Raises Mismatch at the end of file."""
        while (at := self._received.find(mark)) < 0:
            if not await self._read():
                raise self._differs((b"..." + mark,), bytes(self._received))
        return self._take(at + len(mark))

    async def exactly(self, count: int) -> bytes:
        """The next `count` octets. Raises Mismatch at the end of file."""
        while len(self._received) < count:
            if not await self._read():
                raise Mismatch(f"{count} octets", f"{len(self._received)} octets and the end of file")
        return self._take(count)

    async def soak(self, count: int) -> str:
        """The SHA-256 of the next `count` octets, not shown in the transcript. Raises Mismatch at the end of file."""
        digest = hashlib.sha256()
        left = count
        while left:
            octets = self._take(min(left, len(self._received)))
            try:
                octets = octets or bytes(await self.stream.receive_some(min(left, READ_SIZE)))
            except (trio.BrokenResourceError, ssl.SSLError):
                octets = b""
            if not octets:
                raise Mismatch(f"{count} octets", f"{count - left} octets and the end of file")
            digest.update(octets)
            left -= len(octets)
        self.transcript.remark(f"{self.side.value} has received {count} octets")
        return digest.hexdigest()

    async def rest(self) -> bytes:
        """Everything up to the end of file or a reset."""
        while await self._read():
            pass
        return self._take(len(self._received))

    async def expect_eof(self) -> None:
        """Nothing more comes but the end of file or a reset. Raises Mismatch."""
        rest = await self.rest()
        if rest:
            raise self._differs((b"",), rest)

    # TLS.

    async def start_tls(self, context: ssl.SSLContext, name: str = "") -> trio.SSLStream[trio.SocketStream]:
        """Shake hands as the client, or as the server without a name. Raises Mismatch when that fails."""
        server_side = context.verify_mode is ssl.CERT_NONE and not name
        tls = trio.SSLStream(
            self.socket_stream, context, server_hostname=name or None, server_side=server_side, https_compatible=True
        )
        try:
            await tls.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            raise Mismatch("a TLS handshake", f"{error.__cause__ or error}") from error
        self.transcript.remark(f"TLS with the {self.side.value}: {tls.version()}, {tls.cipher()[0]}")
        self.stream = tls
        return tls

    # How.

    async def _read(self) -> bool:
        if self._ended:
            return False
        octets: Any = b""
        self.awaited = self.awaited or f"more from the target at the {self.side.value}"
        try:
            octets = await self.stream.receive_some(READ_SIZE)
        except (trio.BrokenResourceError, ssl.SSLError):
            self.transcript.remark(f"{self.side.value}: the connection was reset")
        if octets:
            self._received += octets
            self.transcript.received(self.side, bytes(octets))
        else:
            self._ended = True
            self.transcript.remark(f"end of file for the {self.side.value}")
        self.awaited = ""
        return not self._ended

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _differs(self, accepted: tuple[bytes, ...], found: bytes) -> Mismatch:
        wanted = " or ".join(repr(octets[:SHOWN]) if octets else "the end of file" for octets in accepted)
        ended = ", then the end of file" if self._ended else ""
        self.transcript.remark(f"{self.side.value}: wanted {wanted}", wrong=True)
        masked = self.transcript.masked(found[:SHOWN])
        return Mismatch(
            f"{self.side.value}: {wanted}", f"{masked!r}{ended}" if found or not ended else "the end of file"
        )
