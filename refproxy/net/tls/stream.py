"""TLS as a Trio stream: pyOpenSSL on the socket itself where there is one, through memory over any other stream.

Python's own ssl module cannot finish a handshake with a bad client certificate and say so inside TLS (TLS-42), and
moves every octet through memory buffers. OpenSSL on the socket's descriptor spares that copy: it reads and writes by
itself, and this stream only waits when it says what it wants.

One task may receive while another sends, as with trio.SSLStream. Both may then want the same thing of the socket (an
alert to be written while octets are read), so waiting is shared: see _Turnstile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import trio
from OpenSSL import SSL

from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.openssl_gaps import clear_errors

__all__ = ["RECORD_SIZE", "HandshakeFailed", "TlsStream", "openssl_reason"]

T = TypeVar("T")
RECORD_SIZE = 16384
"""The most octets of data in one TLS record (RFC 8446 section 5.1); a read never returns more."""


class HandshakeFailed(Exception):
    """The handshake did not succeed; the text is the log line (TLS-34). The peer was told by an alert, if at all."""


class _Carrier(Protocol):
    """What carries the records of a TLS connection."""

    def check_open(self) -> None:
        """Raise trio.ClosedResourceError when the connection was closed."""

    async def flush(self) -> None:
        """Bring out what OpenSSL has written."""

    async def flush_unless_busy(self) -> None:
        """The same, but leave it to another task that is about it already."""

    async def wait_input(self) -> None:
        """Wait until OpenSSL may find more to read."""

    async def wait_room(self) -> None:
        """Wait until OpenSSL may write again."""


class TlsStream(trio.abc.HalfCloseableStream):
    """A TLS connection over `transport`. The contract is trio.abc.HalfCloseableStream's; the handshake comes first.

    `connection` is prepared by the context's owner: its state (accepting or connecting) and what it should say. A peer
    that ends without close_notify is at its end of file: mail clients do that, and the protocols know where they end.
    """

    __slots__ = ("_carrier", "_is_unfair", "_unsent", "connection", "transport")

    def __init__(self, transport: trio.abc.Stream, make: Callable[[Any], SSL.Connection]) -> None:
        self.transport = transport
        if isinstance(transport, SocketStream):
            self.connection = make(transport.socket)
            self._carrier: _Carrier = _OnSocket(transport)
            self._is_unfair = transport.is_unfair
        else:
            self.connection = make(None)
            self._carrier = _OverStream(transport, self.connection)
            self._is_unfair = _always
        self._unsent: memoryview | None = None  # of the send that is under way, or was cancelled

    @property
    def version(self) -> str:
        """The version of TLS, by OpenSSL's name."""
        return self.connection.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        """The cipher, by OpenSSL's name."""
        return self.connection.get_cipher_name() or ""

    async def do_handshake(self) -> None:
        """Shake hands. Raises HandshakeFailed; then, and after a cancellation, the stream is good for nothing."""
        try:
            await self._perform(self.connection.do_handshake)
            await self._carrier.flush()
        except (SSL.ZeroReturnError, SSL.SysCallError, trio.BrokenResourceError) as gone:
            raise HandshakeFailed("peer closed connection in SSL handshake") from gone
        except SSL.Error as error:
            raise HandshakeFailed(f"SSL_do_handshake() failed ({openssl_reason(error)})") from error

    @property
    def is_on_socket(self) -> bool:
        """Whether there is a socket underneath, so that `fileno`, `receive_now` and `send_now` are of use."""
        return isinstance(self.transport, SocketStream)

    @property
    def has_decrypted(self) -> bool:
        """Whether octets wait inside that the socket knows nothing of."""
        return self.connection.pending() > 0

    def fileno(self) -> int:
        """The descriptor of the socket, for a set of them to wait on."""
        assert isinstance(self.transport, SocketStream)
        return self.transport.fileno()

    def receive_now(self, room: int) -> bytes | None:
        """Receive at most `room` octets, or None instead of waiting; else as `receive_some`.

        Raises trio.WouldBlock in the rare case that something must be sent first.
        """
        self._carrier.check_open()
        clear_errors()
        try:
            return self.connection.recv(room)
        except SSL.WantReadError:
            return None
        except SSL.WantWriteError:
            raise trio.WouldBlock from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise trio.BrokenResourceError(openssl_reason(error)) from error

    def send_now(self, octets: bytes) -> int:
        """Send what can be sent without waiting, and return how much that was; else as `send_all`.

        What was not sent must be sent next, for OpenSSL has begun with it.
        """
        self._carrier.check_open()
        clear_errors()
        sent = 0
        try:
            while sent < len(octets):
                sent += self.connection.send(memoryview(octets)[sent:])
        except (SSL.WantWriteError, SSL.WantReadError):
            return sent
        except SSL.Error as error:
            raise trio.BrokenResourceError(openssl_reason(error)) from error
        return sent

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at most `max_bytes` octets, none at the end of file. Raises trio.BrokenResourceError."""
        if self._is_unfair():
            await trio.lowlevel.checkpoint()
        try:
            return await self._perform(self.connection.recv, min(max_bytes or RECORD_SIZE, RECORD_SIZE))
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise trio.BrokenResourceError(openssl_reason(error)) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError when the peer is gone, or an earlier send was cancelled."""
        if self._is_unfair():
            await trio.lowlevel.checkpoint()
        if self._unsent is not None:  # OpenSSL would take the rest of the earlier record for the beginning of this one
            raise trio.BrokenResourceError("an earlier send is not through")
        self._unsent = memoryview(data)
        try:
            while self._unsent:
                self._unsent = self._unsent[await self._perform(self.connection.send, self._unsent) :]
                await self._carrier.flush()
        except SSL.Error as error:
            if self._sent_eof:
                raise trio.ClosedResourceError("close_notify was sent") from error
            raise trio.BrokenResourceError(openssl_reason(error)) from error
        self._unsent = None

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        self._carrier.check_open()
        await self._carrier.wait_room()

    async def send_eof(self) -> None:
        """Send close_notify: nothing more will be sent, but the peer may still send (RFC 8446 section 6.1)."""
        if self._is_unfair():
            await trio.lowlevel.checkpoint()
        if self._sent_eof:  # OpenSSL's second shutdown waits for the peer's
            return
        try:
            if self._unsent:  # its record must be whole first: OpenSSL would take the rest of it for the close_notify
                await self._perform(self.connection.send, self._unsent)
                self._unsent = None
            await self._perform(self.connection.shutdown)
            await self._carrier.flush()
        except SSL.Error as error:
            raise trio.BrokenResourceError(openssl_reason(error)) from error

    async def aclose(self) -> None:
        """Send close_notify and close; the peer's own is not waited for."""
        try:
            await self.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it was closed already
        finally:
            await self.transport.aclose()

    @property
    def _sent_eof(self) -> bool:
        return bool(self.connection.get_shutdown() & SSL.SENT_SHUTDOWN)

    async def _perform(self, operation: Callable[..., T], *args: Any) -> T:
        """Let OpenSSL do something, for as many attempts as it takes. Raises SSL.Error, not the two that mean waiting.

        Whoever wrote flushes at the end; a reader must not, for a cancellation there would lose what was read.
        """
        carrier = self._carrier
        while True:
            carrier.check_open()  # OpenSSL would go on with whoever has the descriptor next
            clear_errors()  # what a neighbour's handshake left there would be taken for this connection's failure
            wait: Callable[[], Awaitable[None]]
            try:
                return operation(*args)
            except SSL.WantReadError:
                wait = carrier.wait_input
            except SSL.WantWriteError:
                wait = carrier.wait_room
            except Exception:  # OpenSSL's, or that of a callback of ours: either may have written an alert
                with suppress(trio.BrokenResourceError):
                    await carrier.flush_unless_busy()
                raise
            await carrier.flush_unless_busy()
            await wait()


class _OnSocket:
    """OpenSSL reads and writes the socket itself."""

    __slots__ = ("_transport", "check_open", "wait_input", "wait_room")

    def __init__(self, transport: SocketStream) -> None:
        self._transport = transport
        self.check_open = transport.check_open
        self.wait_input = _Turnstile(transport.wait_readable).wait
        self.wait_room = _Turnstile(transport.wait_writable).wait

    async def flush(self) -> None:
        """Nothing is ever held back."""

    async def flush_unless_busy(self) -> None:
        """Nothing is ever held back."""


class _OverStream:
    """Records go through OpenSSL's memory buffers, and from there through any stream."""

    __slots__ = ("_connection", "_sending", "_torn", "_transport", "wait_input")

    def __init__(self, transport: trio.abc.Stream, connection: SSL.Connection) -> None:
        self._transport, self._connection = transport, connection
        self._sending = trio.Lock()
        self._torn = False
        self.wait_input = _Turnstile(self._receive).wait

    def check_open(self) -> None:
        """The transport itself raises when it was closed."""

    async def flush(self) -> None:
        async with self._sending:
            await self._send_written()

    async def flush_unless_busy(self) -> None:
        """A reader may be cancelled here, so it takes nothing that a sender is about to take."""
        if self._sending.locked():
            return
        self._sending.acquire_nowait()
        try:
            await self._send_written()
        finally:
            self._sending.release()

    async def wait_room(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def _send_written(self) -> None:
        if self._torn:
            raise trio.BrokenResourceError("an earlier send was cancelled")
        while octets := self._written():
            self._torn = True
            await self._transport.send_all(octets)
            self._torn = False

    async def _receive(self) -> None:
        octets = await self._transport.receive_some(RECORD_SIZE)
        if octets:
            self._connection.bio_write(octets)
        else:
            self._connection.bio_shutdown()

    def _written(self) -> bytes:
        try:
            return self._connection.bio_read(RECORD_SIZE)
        except SSL.WantReadError:  # pyOpenSSL's word for an empty buffer
            return b""


class _Turnstile:
    """Lets one task do the waiting, and all who wait meanwhile go when it is done, however it ended.

    Trio allows one task only to wait for a socket to become readable, and one for it to become writable.
    """

    __slots__ = ("_done", "_wait")

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        self._wait = wait
        self._done: trio.Event | None = None

    async def wait(self) -> None:
        if self._done is not None:
            await self._done.wait()
            return
        self._done = trio.Event()
        try:
            await self._wait()
        finally:
            self._done.set()
            self._done = None


def _always() -> bool:
    """Over other streams every call gives a turn, as Trio's own streams do."""
    return True


def openssl_reason(error: SSL.Error) -> str:
    """OpenSSL's own words for an error, as they stand in log lines: `SSL: error:LIBRARY::REASON`, oldest first."""
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1])
    (queue, *_) = error.args or ([],)
    reasons = [f"error:{library}:{function}:{reason}" for library, function, reason in queue]
    return "SSL: " + " ".join(reasons) if reasons else "SSL: no reason given"
