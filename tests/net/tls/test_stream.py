"""TLS as a Trio stream: over sockets, where OpenSSL reads and writes by itself, and over memory streams."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import struct
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.server import ServerTls
from refproxy.net.tls.stream import HandshakeFailed, TlsStream
from tests.net.tls.pairs import Transports, connected, only, our_client, server_for
from tests.pki import Pki

T = TypeVar("T")

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
every_kind = pytest.mark.parametrize("kind", ["sockets", "memory"])
every_version = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
MEGABYTE = os.urandom(1024) * 1024


@pytest.fixture(scope="module")
def server(pki: Pki) -> ServerTls:
    return server_for(pki)


# -- the contract of trio's streams --------------------------------------------------------------------------------


class Strict(trio.abc.HalfCloseableStream):
    """What our streams leave out for speed and Trio's contract wants: a checkpoint in each call, a word to misuse."""

    def __init__(self, stream: TlsStream) -> None:
        self.stream = stream
        self._busy = {"send": False, "receive": False}
        self._closed = False

    async def _alone(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        if self._busy[what]:
            raise trio.BusyResourceError
        self._busy[what] = True
        try:
            await trio.lowlevel.checkpoint()
            return await call()
        finally:
            self._busy[what] = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is not None and not isinstance(max_bytes, int):
            raise TypeError
        if max_bytes is not None and max_bytes < 1:
            raise ValueError
        return await self._alone("receive", lambda: self.stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._alone("send", lambda: self.stream.send_all(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._alone("send", self.stream.wait_send_all_might_not_block)

    async def send_eof(self) -> None:
        await self._alone("send", self.stream.send_eof)

    async def aclose(self) -> None:
        self._closed = True
        await self.stream.aclose()


@pytest.mark.slow
@every_kind
async def test_the_contract_of_a_half_closeable_stream(kind: str, server: ServerTls, transports: Transports) -> None:
    """TLS-53: send_eof is close_notify."""

    async def make() -> tuple[Strict, Strict]:
        ours, theirs = transports(kind)
        made: list[TlsStream] = []

        async def accept() -> None:
            made.append(await server.accept(ours))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            client = await our_client(theirs)
        return Strict(made[0]), Strict(client)

    await trio.testing.check_half_closeable_stream(make, None)


# -- octets through it ---------------------------------------------------------------------------------------------


@every_kind
@every_version
async def test_big_transfers_go_both_ways_at_once_past_slow_readers(
    kind: str, version: ssl.TLSVersion, pki: Pki, server: ServerTls
) -> None:
    async with connected(server, only(pki.client_context(), version), kind=kind) as (stream, client):
        received: dict[str, bytearray] = {"ours": bytearray(), "theirs": bytearray()}

        async def read(name: str, source: trio.abc.ReceiveStream, size: int) -> None:
            while len(received[name]) < len(MEGABYTE):
                received[name] += await source.receive_some(size)
                if len(received[name]) < 100_000:
                    await wait_all_tasks_blocked()  # so the senders meet full buffers

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, MEGABYTE)
            nursery.start_soon(client.send_all, MEGABYTE)
            nursery.start_soon(read, "ours", stream, 4097)
            nursery.start_soon(read, "theirs", client, 12_345)
        assert received["ours"] == received["theirs"] == MEGABYTE


async def test_a_sender_waits_for_a_reader(pki: Pki, server: ServerTls) -> None:
    async with connected(server, pki.client_context()) as (stream, client):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, MEGABYTE * 8)
                await wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        assert await client.receive_some(1024) == MEGABYTE[:1024]


@every_kind
async def test_what_was_cancelled_in_the_middle_of_a_send_is_never_continued_with_other_octets(
    kind: str, pki: Pki, server: ServerTls
) -> None:
    """OpenSSL would send the rest of the first record and believe that it was the new one."""
    async with connected(server, pki.client_context(), kind=kind) as (stream, _):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                if kind == "memory":
                    assert isinstance(stream.transport, trio.StapledStream)
                    stream.transport.send_stream.send_all_hook = trio.sleep_forever
                nursery.start_soon(stream.send_all, MEGABYTE * 8)
                await wait_all_tasks_blocked()
                scope.cancel()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"451 4.3.2 Internal server error\r\n")


@every_version
async def test_close_notify_follows_a_whole_record(version: ssl.TLSVersion, pki: Pki, server: ServerTls) -> None:
    """PROXY-81: a relay is cancelled while the client does not read; what it reads later still ends properly."""
    async with connected(server, only(pki.client_context(), version)) as (stream, client):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, MEGABYTE * 8)
                await wait_all_tasks_blocked()
                scope.cancel()
        received = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_eof)
            while octets := await client.receive_some(65536):
                received += len(octets)
        assert 0 < received < len(MEGABYTE * 8)


@every_kind
async def test_cancelling_a_receive_loses_nothing(kind: str, pki: Pki, server: ServerTls) -> None:
    """AUTH-37: a watcher reads ahead and is cancelled again and again."""
    async with connected(server, pki.client_context(), kind=kind) as (stream, client):
        received = b""
        for number in range(100):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def receive() -> None:
                        nonlocal received
                        while True:
                            received += await stream.receive_some(3)

                    nursery.start_soon(receive)
                    if number % 3:
                        await wait_all_tasks_blocked()
                    await client.send_all(b"%04d" % number)
                    if number % 2:
                        await wait_all_tasks_blocked()
                    scope.cancel()
        await client.send_all(b".")
        while not received.endswith(b"."):
            received += await stream.receive_some()
        assert received == b"".join(b"%04d" % number for number in range(100)) + b"."


@every_kind
async def test_one_task_receives_while_another_sends(kind: str, pki: Pki, server: ServerTls) -> None:
    async with connected(server, pki.client_context(), kind=kind) as (stream, client):
        seen = b""

        async def receive() -> None:
            nonlocal seen
            seen = await stream.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            await stream.send_all(b"first")
            assert await client.receive_some() == b"first"
            await client.send_all(b"second")
        assert seen == b"second"


@every_kind
async def test_two_tasks_may_wait_for_input(kind: str, pki: Pki, server: ServerTls) -> None:
    """A sender that must read first, as in a renegotiation, never disturbs the reader, and the reverse."""
    async with connected(server, pki.client_context(), kind=kind) as (stream, client):
        got: list[bytes] = []

        async def receive() -> None:
            got.append(await stream.receive_some(1))

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as first:
                    first.start_soon(receive)
                    await wait_all_tasks_blocked()
                    nursery.start_soon(receive)
                    nursery.start_soon(receive)
                    await wait_all_tasks_blocked()
                    scope.cancel()
            await wait_all_tasks_blocked()
            await client.send_all(b"xy")
        assert sorted(got) == [b"x", b"y"]


# -- ends ----------------------------------------------------------------------------------------------------------


@every_kind
@every_version
@pytest.mark.parametrize("farewell", [True, False], ids=["close_notify", "nothing"])
async def test_an_end_with_and_without_close_notify_is_an_end_of_file(
    kind: str, version: ssl.TLSVersion, farewell: bool, pki: Pki, server: ServerTls
) -> None:
    """TLS-53: and after it there is no other answer."""
    async with connected(server, only(pki.client_context(), version), kind=kind) as (stream, client):
        client._https_compatible = True  # its close_notify is enough, ours is not waited for
        await stream.send_all(b"hi")
        assert await client.receive_some() == b"hi"  # with the session tickets: closing with input unread resets
        await client.send_all(b"last")
        await (client.aclose() if farewell else client.transport_stream.aclose())
        assert await stream.receive_some() == b"last"
        assert await stream.receive_some() == b""
        assert await stream.receive_some(1) == b""


@every_kind
async def test_an_end_within_a_record_is_an_end_of_file(kind: str, server: ServerTls, transports: Transports) -> None:
    ours, theirs = transports(kind)
    wire, relayed = transports("memory")

    async def relay_but_cut_the_last() -> None:
        while octets := await relayed.receive_some(65536):
            await theirs.send_all(octets[:-3] if len(octets) == 22 + len(b"hello") else octets)

    async def relay_back() -> None:
        while octets := await theirs.receive_some(65536):
            await relayed.send_all(octets)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay_but_cut_the_last)
        nursery.start_soon(relay_back)
        made: list[TlsStream] = []

        async def accept() -> None:
            made.append(await server.accept(ours))

        async with trio.open_nursery() as inner:
            inner.start_soon(accept)
            client = await our_client(wire)
        await client.send_all(b"hello")
        await wait_all_tasks_blocked()
        await theirs.send_eof()
        assert await made[0].receive_some() == b""
        nursery.cancel_scope.cancel()


async def test_a_reset_is_a_broken_stream(pki: Pki, server: ServerTls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    client = trio.SSLStream(SocketStream(peer), pki.client_context(), server_hostname="mx.example")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        stream = await server.accept(SocketStream(ours))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")
    await stream.aclose()


@every_kind
async def test_half_close(kind: str, pki: Pki, server: ServerTls) -> None:
    """TLS-53: after our close_notify the peer may still send; a second one is not sent, and nothing is waited for."""
    async with connected(server, pki.client_context(), kind=kind) as (stream, client):
        await stream.send_eof()
        await stream.send_eof()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")
        assert await client.receive_some() == b""
        await client.send_all(b"still here")
        assert await stream.receive_some() == b"still here"
        with trio.fail_after(1):
            await stream.aclose()


@every_kind
async def test_closing_a_stream_wakes_whoever_waits(kind: str, pki: Pki, server: ServerTls) -> None:
    async with connected(server, pki.client_context(), kind=kind) as (stream, _):
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await stream.receive_some()

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            await stream.aclose()
        await stream.aclose()


async def test_a_closed_stream_leaves_the_next_owner_of_its_descriptor_alone(pki: Pki, server: ServerTls) -> None:
    async with connected(server, pki.client_context()) as (stream, _):
        assert isinstance(stream.transport, SocketStream)
        number = stream.transport.socket.fileno()
        stream.transport.close()
        left, right = socket.socketpair()
        assert left.fileno() == number  # the lowest that is free
        with left, right:
            right.sendall(b"not for TLS")
            calls: list[Callable[[], Awaitable[Any]]] = [
                stream.receive_some,
                lambda: stream.send_all(b"x"),
                stream.send_eof,
                stream.wait_send_all_might_not_block,
            ]
            for call in calls:
                with pytest.raises(trio.ClosedResourceError):
                    await call()
            await stream.aclose()
            right.setblocking(False)
            with pytest.raises(BlockingIOError):
                right.recv(1)
            assert left.recv(100) == b"not for TLS"


# -- handshakes ----------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_handshake_in_pieces(size: int, version: ssl.TLSVersion, pki: Pki, server: ServerTls) -> None:
    left, right = socket.socketpair()
    stream = SocketStream(left)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = only(pki.client_context(), version).wrap_bio(incoming, outgoing, server_hostname="mx.example")
    peer = SocketStream(right)

    async def shake() -> None:
        while True:
            try:
                client.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            octets = outgoing.read()
            for start in range(0, len(octets), size):
                await peer.send_all(octets[start : start + size])
                await wait_all_tasks_blocked()
            if done:
                return
            incoming.write(await peer.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake)
        accepted = await server.accept(stream)
    assert accepted.connection.get_protocol_version_name() == ("TLSv1.2" if version is V12 else "TLSv1.3")
    stream.close()
    peer.close()


def client_hello(pki: Pki) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = pki.client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="mx.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@every_kind
async def test_a_client_that_leaves_at_any_octet_of_its_hello(
    kind: str, pki: Pki, server: ServerTls, transports: Transports
) -> None:
    """TLS-34."""
    hello = client_hello(pki)
    for end in (0, 1, 4, 5, 6, 50, len(hello) - 1, len(hello)):
        ours, theirs = transports(kind)
        await theirs.send_all(hello[:end])
        await theirs.send_eof()
        with pytest.raises(HandshakeFailed, match="peer closed connection in SSL handshake"):
            await server.accept(ours)
        await trio.aclose_forcefully(ours)
        await trio.aclose_forcefully(theirs)


async def test_a_client_that_resets_the_connection_in_its_handshake(pki: Pki, server: ServerTls) -> None:
    """TLS-34."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    peer.sendall(client_hello(pki)[:20])
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with pytest.raises(HandshakeFailed, match="peer closed connection in SSL handshake"):
        await server.accept(SocketStream(ours))
    ours.close()


def accept_octets(server: ServerTls, octets: bytes) -> str:
    """What a handshake with these octets from the client comes to."""

    async def accept() -> str:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(octets)
        await theirs.send_eof()
        try:
            await server.accept(ours)
        except HandshakeFailed as failed:
            return str(failed)
        return "a session"

    return trio.run(accept)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http request"),
        (b"QUIT\r\nQUIT\r\n", ""),
        (b"\x15\x03\x01\x00\x02\x02\x28", ""),
        (b"\x16\x03\x01\xff\xff" + b"x" * 100, "too long"),
    ],
)
def test_what_is_no_tls_is_called_by_its_name(octets: bytes, reason: str, server: ServerTls) -> None:
    """TLS-32, TLS-34."""
    text = accept_octets(server, octets)
    assert text.startswith("SSL_do_handshake() failed (SSL: error:")
    assert reason in text


@settings(max_examples=60, deadline=None)
@given(
    octets=st.binary(max_size=200), head=st.sampled_from([b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x30\x01\x00\x00"])
)
@example(octets=b"", head=b"\x16")
def test_no_garbage_is_anything_but_a_failed_handshake(octets: bytes, head: bytes, server: ServerTls) -> None:
    """TLS-32, TLS-34."""
    assert accept_octets(server, head + octets) != "a session"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damaged_hello_is_anything_but_a_failed_handshake(data: st.DataObject, pki: Pki, server: ServerTls) -> None:
    """TLS-34: nothing but HandshakeFailed."""
    hello = bytearray(client_hello(pki))
    for _ in range(data.draw(st.integers(1, 5))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    assert accept_octets(server, bytes(hello)) != "a session"


@every_kind
async def test_a_client_that_cannot_be_served_gets_an_alert(
    kind: str, pki: Pki, server: ServerTls, transports: Transports
) -> None:
    """TLS-34: the alert is all it gets, whatever carries it."""
    ours, theirs = transports(kind)
    await theirs.send_all(b"GET / HTTP/1.0\r\n\r\n" + b"x" * 100)
    with pytest.raises(HandshakeFailed):
        await server.accept(ours)
    context = only(pki.client_context(), V12)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    ours, theirs = transports(kind)  # the server has an EC key
    client = trio.SSLStream(theirs, context, server_hostname="mx.example")
    async with trio.open_nursery() as nursery:

        async def shake() -> None:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.do_handshake()
            assert "HANDSHAKE_FAILURE" in str(caught.value.__cause__)

        nursery.start_soon(shake)
        with pytest.raises(HandshakeFailed, match="no shared cipher"):
            await server.accept(ours)


@every_kind
async def test_a_silent_client_can_be_given_up(kind: str, server: ServerTls, transports: Transports) -> None:
    """CORE-17: by the caller's deadline."""
    ours, _ = transports(kind)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.accept, ours)
            await wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


# -- neighbours ----------------------------------------------------------------------------------------------------


async def test_a_failed_handshake_does_not_touch_a_neighbour(pki: Pki, server: ServerTls) -> None:
    """TLS-34: OpenSSL's errors of one connection are never taken for those of another."""
    async with connected(server, pki.client_context()) as (stream, client), trio.open_nursery() as nursery:
        received = []

        async def receive() -> None:
            received.append(await stream.receive_some())

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        ours, theirs = memory_stream_pair()
        await theirs.send_all(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(HandshakeFailed):
            await server.accept(ours)
        await client.send_all(b"fine")
        await wait_all_tasks_blocked()
        assert received == [b"fine"]


@every_version
async def test_a_forged_client_certificate_does_not_touch_a_neighbour(version: ssl.TLSVersion, pki: Pki) -> None:
    """TLS-42: a signature that does not fit leaves an error in OpenSSL's queue, though the handshake goes on."""
    server = server_for(pki, verify_client=pki.verify.ON, client_certificate=pki.ca)
    context = only(pki.client_context(), version)
    async with connected(server, context) as (stream, client):
        forged = only(pki.client_context(), version)
        forged.load_cert_chain(pki.forged)
        async with connected(server, forged) as (other, _):
            assert server.facts(other).verify_text == "certificate signature failure"
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    assert await stream.receive_some() == b"fine"

                nursery.start_soon(receive)  # it has to wait, which is where the error would be found
                await wait_all_tasks_blocked()
                await client.send_all(b"fine")


# -- what a peer may try -------------------------------------------------------------------------------------------


@every_kind
async def test_renegotiation_is_refused_and_does_no_harm(kind: str, server: ServerTls, transports: Transports) -> None:
    """TLS-35."""
    ours, theirs = transports(kind)
    context = SSL.Context(SSL.TLSv1_2_METHOD)

    def make(sock: Any) -> SSL.Connection:
        connection = SSL.Connection(context, sock)
        connection.set_connect_state()
        return connection

    client, made = TlsStream(theirs, make), []

    async def accept() -> None:
        made.append(await server.accept(ours))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        await client.do_handshake()
    (stream,) = made
    assert client.connection.renegotiate()

    async def receive() -> None:
        with pytest.raises(trio.BrokenResourceError):  # OpenSSL as a client gives up with an alert
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        with pytest.raises(HandshakeFailed, match="no renegotiation"):
            await client.do_handshake()
    assert stream.connection.total_renegotiations() == 0


async def test_a_connection_is_gone_when_its_stream_is(pki: Pki, server: ServerTls) -> None:
    """A session must not wait for the garbage collector to give its memory back."""
    gc.collect()
    gc.disable()
    try:
        async with connected(server, pki.client_context()) as (stream, client):
            await client.send_all(b"x")
            assert await stream.receive_some() == b"x"
            watched = weakref.ref(stream.connection)
            server.facts(stream)
        del stream
        assert watched() is None
    finally:
        gc.enable()


async def test_time_bounds_a_send_to_a_client_that_does_not_read(autojump_clock: MockClock, pki: Pki) -> None:
    """PROXY-85: a send can be given up at a deadline."""
    server = server_for(pki)
    async with connected(server, pki.client_context(), kind="memory") as (stream, _):
        assert isinstance(stream.transport, trio.StapledStream)
        stream.transport.send_stream.send_all_hook = trio.sleep_forever
        with trio.move_on_after(5) as scope:
            await stream.send_all(b"x")
        assert scope.cancelled_caught
        assert trio.current_time() == 5
