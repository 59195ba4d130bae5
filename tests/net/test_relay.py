"""The relay (proxy rules, section 9)."""

from __future__ import annotations

import select
import socket

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from refproxy.config.settings import MailProtocol
from refproxy.errors import Side
from refproxy.net.relay import RelayEnd, RelayResult, relay
from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.server import ServerTls
from tests.pki import Pki

BUFFERS = {Side.CLIENT: 7, Side.BACKEND: 5}


@settings(derandomize=True, deadline=None, max_examples=40)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=10), pending=st.binary(max_size=10))
def test_octets_are_unchanged_under_any_chunking(chunks: list[bytes], pending: bytes) -> None:
    """PROXY-72, PROXY-75, PROXY-78: everything sent before the end of file arrives, on streams and on sockets."""

    async def run(use_sockets: bool) -> bytes:
        pairs = [stream_pair(use_sockets), stream_pair(use_sockets)]
        (client, proxy_client), (proxy_backend, backend) = pairs
        received = b""

        async def talk() -> None:
            for chunk in chunks:
                await client.send_all(chunk)
            await client.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)

            async def carry() -> None:
                result = await relay(
                    proxy_client, proxy_backend, trio.CancelScope(), idle=60, buffers=BUFFERS, pending=pending
                )
                assert (result.end, result.side) == (RelayEnd.END_OF_FILE, Side.CLIENT)
                assert result.octets_from[Side.CLIENT] == len(pending) + sum(map(len, chunks))
                await proxy_backend.aclose()

            nursery.start_soon(carry)
            while octets := await backend.receive_some(100):
                received += octets
        for stream in (client, proxy_client, backend):
            await stream.aclose()
        return received

    assert trio.run(run, False) == trio.run(run, True) == pending + b"".join(chunks)


def stream_pair(use_sockets: bool) -> tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]:
    if not use_sockets:
        return memory_stream_pair()
    left, right = socket.socketpair()
    return SocketStream(left), SocketStream(right)


async def test_nothing_moving_ends_it_at_the_idle_time(autojump_clock: MockClock) -> None:
    """PROXY-82, PROXY-86."""
    _client, proxy_client = memory_stream_pair()
    _backend, proxy_backend = memory_stream_pair()
    with trio.CancelScope() as clock:
        await relay(proxy_client, proxy_backend, clock, idle=86400.0, buffers=BUFFERS)
    assert clock.cancelled_caught
    assert trio.current_time() == 86400.0


async def test_a_receiver_that_stops_stops_the_sender_and_not_the_other_direction(autojump_clock: MockClock) -> None:
    """PROXY-74: at most one read is held."""
    client, proxy_client = trio.testing.lockstep_stream_pair()
    backend, proxy_backend = trio.testing.lockstep_stream_pair()
    results: list[RelayResult] = []

    async def carry() -> None:
        results.append(await relay(proxy_client, proxy_backend, trio.CancelScope(), idle=10.0, buffers=BUFFERS))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry)
        with trio.move_on_after(1) as blocked:
            await client.send_all(b"x" * 100)
        assert blocked.cancelled_caught
        await backend.send_all(b"still")
        assert await client.receive_some(100) == b"still"
        nursery.cancel_scope.cancel()
    assert results == []


@pytest.mark.parametrize("has_descriptors", [True, False])
async def test_on_sockets_a_slow_receiver_loses_nothing_and_holds_up_nobody(
    has_descriptors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PROXY-74, PROXY-78: one task for both directions, until one of them has to wait for its receiver."""
    (client, proxy_client), (proxy_backend, backend) = stream_pair(True), stream_pair(True)
    flood = bytes(range(256)) * 8192  # more than the sockets hold
    results: list[RelayResult] = []

    def no_more() -> select.epoll:
        raise OSError(24, "Too many open files")

    async def carry() -> None:
        buffers = {Side.CLIENT: 4096, Side.BACKEND: 65536}
        results.append(await relay(proxy_client, proxy_backend, trio.CancelScope(), idle=60, buffers=buffers))
        await proxy_client.aclose()
        await proxy_backend.aclose()

    async def send_flood() -> None:
        await backend.send_all(flood)
        await backend.aclose()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            with monkeypatch.context() as patch:
                if not has_descriptors:
                    patch.setattr(select, "epoll", no_more)
                nursery.start_soon(carry)
                await trio.testing.wait_all_tasks_blocked()
            await client.send_all(b"hello")
            assert await backend.receive_some(100) == b"hello"
            nursery.start_soon(send_flood)
            await trio.testing.wait_all_tasks_blocked()
            await client.send_all(b"still there")
            assert await backend.receive_some(100) == b"still there"
            received = bytearray()
            while octets := await client.receive_some(100_000):
                received += octets
    assert received == flood
    await client.aclose()
    (result,) = results
    assert (result.end, result.side) == (RelayEnd.END_OF_FILE, Side.BACKEND)
    assert result.octets_from == {Side.CLIENT: 16, Side.BACKEND: len(flood)}


@pytest.mark.parametrize("room", [1000, 4096, 16384, 65536])
async def test_tls_on_a_socket_is_relayed_whole(room: int, pki: Pki) -> None:
    """PROXY-72, PROXY-73: whatever a read has room for, and however the records come."""
    ours, theirs = socket.socketpair()
    backend, proxy_backend = stream_pair(True)
    tls = ServerTls(pki.tls(), MailProtocol.IMAP)
    flood = bytes(range(256)) * 4096
    theirs.setblocking(False)
    client = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)), pki.client_context(), server_hostname="mx.example"
    )
    results: list[RelayResult] = []

    async def carry() -> None:
        proxy_client = await tls.accept(SocketStream(ours))
        buffers = {Side.CLIENT: room, Side.BACKEND: room}
        results.append(await relay(proxy_client, proxy_backend, trio.CancelScope(), idle=60, buffers=buffers))
        await proxy_client.aclose()
        await proxy_backend.aclose()

    async def send(stream: trio.abc.SendStream) -> None:
        for start in range(0, len(flood), 70_001):
            await stream.send_all(flood[start : start + 70_001])

    async def receive(stream: trio.abc.ReceiveStream) -> None:
        received = bytearray()
        while len(received) < len(flood):
            received += await stream.receive_some(100_000)
        assert received == flood

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry)
            await client.do_handshake()
            async with trio.open_nursery() as both:
                for stream in (client, backend):
                    both.start_soon(send, stream)
                    both.start_soon(receive, stream)
            await backend.aclose()
            assert await client.receive_some(100) == b""
    (result,) = results
    assert result.octets_from == {Side.CLIENT: len(flood), Side.BACKEND: len(flood)}
    await trio.aclose_forcefully(client)


async def test_on_sockets_a_reset_ends_it_like_an_end_of_file() -> None:
    """PROXY-77: here octets that nobody read make the kernel reset."""
    (client, proxy_client), (proxy_backend, backend) = stream_pair(True), stream_pair(True)
    await proxy_client.send_all(b"never read")
    await client.aclose()
    with trio.fail_after(10):
        result = await relay(proxy_client, proxy_backend, trio.CancelScope(), idle=60, buffers=BUFFERS)
    assert (result.end, result.side) == (RelayEnd.END_OF_FILE, Side.CLIENT)
    for stream in (proxy_client, proxy_backend, backend):
        await stream.aclose()
