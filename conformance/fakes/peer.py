"""One end of a connection with the target: sends octets as they are, and checks what comes back."""

from __future__ import annotations

import hashlib
import re
import select
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Any

import trio

from conformance.replies import Meaning, length_of, meanings
from conformance.transcript import Transcript
from conformance.verdict import Mismatch
from refproxy.observe.ladder import Side

__all__ = ["Peer"]

READ_SIZE = 65536
SHOWN = 300  # octets in a message

TlsStream = trio.SSLStream[trio.abc.Stream]
Stream = trio.SocketStream | TlsStream


class Peer:
    """A client, a backend or an auth server on one connection."""

    def __init__(self, stream: trio.SocketStream, side: Side, transcript: Transcript) -> None:
        self.socket_stream = stream
        self.stream: Stream = stream
        self.side, self.transcript = side, transcript
        self.awaited = ""
        """What is being waited for, in words."""

        self.close_notify: bool | None = None
        """Whether the end of file came with close_notify; None before it, and without TLS."""

        self.loosely: str | None = None
        """The protocol whose replies `expect` compares by their meaning; None if it compares octets."""

        self.poured = 0
        self._cut = 0
        self._received = bytearray()
        self._ended = False

    # Sending.

    async def send(self, octets: bytes, *, pieces: int | None = None, pause: float = 0.0) -> None:
        """Send octets, on wish in `pieces` of so many octets each, every one a packet of its own.

        A `pause` of some milliseconds after each makes the target read each by itself.
        """
        self.transcript.sent(self.side, octets)
        size = pieces or max(1, len(octets))
        try:
            for start in range(0, len(octets), size):
                await self.stream.send_all(octets[start : start + size])
                if pause:
                    await trio.sleep(pause)
        except trio.BrokenResourceError:
            self.transcript.remark(f"{self.side.value}: the connection is gone")

    async def send_eof(self, octets: bytes = b"") -> None:
        """Half-close; octets go out in one packet with the end of file, so that the target learns of both at once."""
        if octets:
            self.socket_stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            await self.send(octets)
        self.transcript.remark(f"{self.side.value} half-closes")
        try:
            await self.socket_stream.send_eof()
        except (trio.BrokenResourceError, OSError):
            self.transcript.remark(f"{self.side.value}: the connection is gone")

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

    async def expect(self, *accepted: bytes, loosely: str | None = None) -> bytes:
        """The next octets are one of these; return which. Raises Mismatch.

        With a protocol in `loosely` (or in the attribute), what is a reply of it may have other words.
        """
        protocol = loosely or self.loosely
        if protocol is not None:
            wanted_meanings = [(wanted, meanings(protocol, wanted)) for wanted in accepted]
            meant = {wanted: meaning for wanted, meaning in wanted_meanings if meaning is not None}
            if len(meant) == len(set(accepted)):
                return await self._expect_meaning(protocol, meant)
        while True:
            received = bytes(self._received)
            for wanted in accepted:
                if received.startswith(wanted):
                    self._take(len(wanted))
                    return wanted
            self.awaited = f"{self.side.value}: " + " or ".join(repr(wanted[:SHOWN]) for wanted in accepted)
            if not any(wanted.startswith(received) for wanted in accepted) or not await self._read():
                raise self._differs(accepted, received)

    async def _expect_meaning(self, protocol: str, meant: dict[bytes, list[Meaning]]) -> bytes:
        while True:
            received = bytes(self._received)
            lengths = {wanted: length_of(protocol, meaning, received) for wanted, meaning in meant.items()}
            for wanted, length in lengths.items():
                if length or not wanted:
                    self._take(length or 0)
                    return wanted
            self.awaited = f"{self.side.value}: " + " or ".join(f"the like of {wanted[:SHOWN]!r}" for wanted in meant)
            if None not in lengths.values() or not await self._read():
                raise self._differs(tuple(meant), received)

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

    async def anything(self) -> bool:
        """Whether an octet comes before the end of file; it stays to be read."""
        return bool(self._received) or await self._read()

    async def rest(self) -> bytes:
        """Everything up to the end of file or a reset."""
        while await self._read():
            pass
        return self._take(len(self._received))

    async def expect_nothing(self) -> None:
        """Nothing has come up to now; the target had its time, since something later has happened. Raises Mismatch."""
        readable, _, _ = select.select([self.socket_stream.socket], [], [], 0)
        if readable:
            await self._read()
        if self._received or self._ended:
            self.transcript.remark(f"{self.side.value}: wanted nothing yet", wrong=True)
            raise Mismatch(f"{self.side.value}: nothing yet", repr(self.transcript.masked(bytes(self._received))))

    async def expect_eof(self) -> None:
        """Nothing more comes but the end of file or a reset. Raises Mismatch."""
        rest = await self.rest()
        if rest:
            raise self._differs((b"",), rest)

    # TLS.

    async def start_tls(
        self, context: ssl.SSLContext, name: str = "", *, session: ssl.SSLSession | None = None, before: bytes = b""
    ) -> TlsStream:
        """Shake hands, as the client (`name` is sent as SNI) or as the backend. Raises Mismatch when that fails.

        The octets of `before` leave in clear, in one packet with the first of TLS.
        """
        tls = self._prepare_tls(context, name, before)
        if session is not None:
            tls.session = session  # trio hands it to the ssl object
        try:
            await tls.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            raise Mismatch("a TLS handshake", f"{error.__cause__ or error}") from error
        self.transcript.remark(f"TLS with the {self.side.value}: {tls.version()}, {tls.cipher()[0]}")
        self.stream = tls
        return tls

    async def fail_tls(self, context: ssl.SSLContext, name: str = "") -> str:
        """Try to shake hands in vain; return OpenSSL's reason, as TLSV1_ALERT_PROTOCOL_VERSION. Raises Mismatch."""
        tls = self._prepare_tls(context, name)
        try:
            await tls.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
            self.transcript.remark(f"no TLS with the {self.side.value}: {cause}")
            return _reason(str(cause))
        raise Mismatch("no TLS handshake", f"{tls.version()}, {tls.cipher()[0]}")

    def _prepare_tls(self, context: ssl.SSLContext, name: str, before: bytes = b"") -> TlsStream:
        early, self._received = bytes(self._received), bytearray()
        return trio.SSLStream(
            _Primed(self.socket_stream, early, before, self._cut),
            context,
            server_hostname=name or None,
            server_side=self.side is Side.BACKEND,
            https_compatible=True,
        )

    @property
    def tls(self) -> TlsStream:
        """The TLS stream, after the handshake."""
        assert isinstance(self.stream, trio.SSLStream)
        return self.stream

    def cut_into(self, size: int) -> None:
        """From now on, records of a TLS handshake leave in packets of at most so many octets."""
        self._cut = size

    # Where.

    @property
    def local(self) -> tuple[str, int]:
        """The address and port of this end."""
        host, port, *_ = self.socket_stream.socket.getsockname()
        return host, port

    @property
    def remote(self) -> tuple[str, int]:
        """The address and port of the target's end."""
        host, port, *_ = self.socket_stream.socket.getpeername()
        return host, port

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
            how = "" if self.stream is self.socket_stream else await self._tell_close_notify()
            self.transcript.remark(f"end of file for the {self.side.value}{how}")
        self.awaited = ""
        return not self._ended

    async def _tell_close_notify(self) -> str:
        """Find out how TLS ended: trio's stream is broken after an end without close_notify, else at its end."""
        try:
            self.close_notify = not await self.stream.receive_some(1)
        except (trio.BrokenResourceError, ssl.SSLError):
            self.close_notify = False
        return " with close_notify" if self.close_notify else " without close_notify"

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


def _reason(text: str) -> str:
    """OpenSSL's name of an error in the text that Python makes of it, which has it in one of two forms."""
    match = re.match(r"\[SSL(?:: (\w+))?\] ([^(]+)", text)
    return (match[1] or match[2].strip().upper().replace(" ", "_")) if match else text


class _Primed(trio.abc.Stream):
    """A connection of which TLS takes over what was read `early`.

    The octets of `before` leave with the first that TLS sends, all of it in packets of at most `cut` octets.
    """

    def __init__(self, stream: trio.SocketStream, early: bytes, before: bytes, cut: int) -> None:
        self._stream, self._early, self._before, self._cut = stream, early, before, cut

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._early:
            await trio.lowlevel.checkpoint()
            early, self._early = self._early, b""
            return early
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        data, self._before = self._before + data, b""
        size = self._cut or max(1, len(data))
        for start in range(0, len(data), size):
            await self._stream.send_all(memoryview(data)[start : start + size])

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
