"""Taking the PROXY header off a connection: cut anywhere, and not one octet more than it has."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from refproxy.errors import PeerError, WireError
from refproxy.net.peek import Peeking
from refproxy.net.proxy_in import receive_proxy_header
from refproxy.net.socket_stream import SocketStream
from refproxy.wire.proxy_header import SIGNATURE_V2, Endpoints, format_v1, format_v2
from refproxy.wire.proxy_header_in import Conveyed

ENDS = ("192.0.2.7", "198.51.100.1", 4444, 25)
HEADERS = [
    (format_v1(Endpoints(*ENDS)), Conveyed(*ENDS)),
    (format_v2(Endpoints(*ENDS)), Conveyed(*ENDS)),
    (format_v1(None), None),
    (format_v2(None), None),
]
BEHIND = b"\x16\x03\x01\x02\x00\x01"


@pytest.mark.parametrize(("header", "conveyed"), HEADERS)
async def test_a_header_cut_in_two_anywhere(header: bytes, conveyed: Conveyed | None) -> None:
    """CORE-61, CORE-71: what is behind it stays for the next reader, whether it came with it or not."""
    for cut in range(len(header) + len(BEHIND)):
        peer, within = memory_stream_pair()
        stream = Peeking(within)
        async with trio.open_nursery() as nursery:

            async def receive(stream: Peeking = stream) -> None:
                assert await receive_proxy_header(stream) == conveyed

            octets = header + BEHIND
            nursery.start_soon(receive)
            await peer.send_all(octets[:cut])
            await trio.testing.wait_all_tasks_blocked()
            await peer.send_all(octets[cut:])
        left = b""
        while len(left) < len(BEHIND):
            left += await stream.receive_some()
        assert left == BEHIND


@pytest.mark.parametrize(("header", "conveyed"), HEADERS)
async def test_a_header_in_a_socket_cut_in_two_anywhere(header: bytes, conveyed: Conveyed | None) -> None:
    """CORE-61, TLS-28: the next reader, such as a TLS engine, reads from the socket itself."""
    for cut in range(len(header) + len(BEHIND)):
        left, right = socket.socketpair()
        stream = SocketStream(left)
        async with trio.open_nursery() as nursery:

            async def receive(stream: SocketStream = stream) -> None:
                assert await receive_proxy_header(stream) == conveyed

            octets = header + BEHIND
            right.sendall(octets[:cut])
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            right.sendall(octets[cut:])
        assert left.recv(100) == BEHIND
        stream.close()
        right.close()


@pytest.mark.parametrize(("header", "conveyed"), HEADERS)
async def test_a_header_octet_by_octet(header: bytes, conveyed: Conveyed | None) -> None:
    """CORE-61."""
    peer, within = memory_stream_pair()
    stream = Peeking(within)

    async def send() -> None:
        for octet in header + BEHIND:
            await peer.send_all(bytes([octet]))
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await receive_proxy_header(stream) == conveyed
        assert await stream.receive_some() == BEHIND[:1]


async def test_the_largest_header_with_much_behind_it() -> None:
    """CORE-61: 4096 octets."""
    peer, within = memory_stream_pair()
    stream = Peeking(within)
    addresses = format_v2(Endpoints(*ENDS))[16:28]
    await peer.send_all(SIGNATURE_V2 + b"\x21\x11" + struct.pack("!H", 4080) + addresses + bytes(4068) + b"x" * 9000)
    assert await receive_proxy_header(stream) == Conveyed(*ENDS)
    left = b""
    while len(left) < 9000:
        left += await stream.receive_some()
    assert left == b"x" * 9000


class Counting:
    """A stream that counts the calls."""

    def __init__(self, stream: Peeking) -> None:
        self.stream, self.calls = stream, 0

    async def peek(self, max_bytes: int) -> bytes:
        self.calls += 1
        return await self.stream.peek(max_bytes)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self.calls += 1
        return await self.stream.receive_some(max_bytes)


async def test_a_client_that_stops_within_the_header_costs_nothing(autojump_clock: MockClock) -> None:
    """CORE-61: waiting for the rest is waiting. The caller bounds it."""
    peer, within = memory_stream_pair()
    counting = Counting(Peeking(within))
    await peer.send_all(b"PROXY TCP4 ")
    with trio.move_on_after(60) as scope:
        await receive_proxy_header(counting)
    assert scope.cancelled_caught
    assert trio.current_time() == 60.0
    assert counting.calls == 3  # saw it, took it, waits


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", 'broken header: ""'),
        (b"PROXY TCP4 192.0.2.7 ", 'broken header: "PROXY TCP4 192.0.2.7 "'),
        (SIGNATURE_V2 + b"\x21\x11\0\x0c", 'broken header: ""'),
        (b"EHLO c.example\r\n", 'broken header: "EHLO c.example"'),
        (SIGNATURE_V2 + b"\x11", "unknown PROXY protocol version: 1"),
        (SIGNATURE_V2 + b"\x21\x11\xff\xff", "header is too large"),
        (SIGNATURE_V2 + b"\x21\x11\0\0", ""),
    ],
)
@pytest.mark.parametrize("pieces", [True, False], ids=["in pieces", "whole"])
async def test_a_broken_header_or_the_end_of_file(octets: bytes, text: str, pieces: bool) -> None:
    """CORE-61 to CORE-64. In pieces it is refused before the rest came, so the text may be shorter."""
    peer, within = memory_stream_pair()

    async def send() -> None:
        for octet in octets:
            await peer.send_all(bytes([octet]))
            await trio.testing.wait_all_tasks_blocked()
        await peer.send_eof()

    async with trio.open_nursery() as nursery:
        if pieces:
            nursery.start_soon(send)
        else:
            await peer.send_all(octets)
            await peer.send_eof()
        with pytest.raises(WireError) as caught:
            await receive_proxy_header(Peeking(within))
    assert str(caught.value) == ('broken header: "E"' if pieces and "EHLO" in text else text)


async def test_a_client_that_is_wrong_but_stays_is_not_waited_for(autojump_clock: MockClock) -> None:
    """CORE-61."""
    peer, within = memory_stream_pair()
    await peer.send_all(b"\x16")
    with pytest.raises(WireError):
        await receive_proxy_header(Peeking(within))
    assert trio.current_time() == 0


async def reset(peer: socket.socket, stream: SocketStream) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    await trio.lowlevel.checkpoint()


async def close(peer: socket.socket, stream: SocketStream) -> None:
    await stream.aclose()


@pytest.mark.parametrize("act", [reset, close])
async def test_a_reset(act: Callable[[socket.socket, SocketStream], Awaitable[None]]) -> None:
    """The client is gone: no header, and no defect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        stream = SocketStream(server.accept()[0])
    caught: list[str] = []

    async def receive() -> None:
        try:
            await receive_proxy_header(stream)
        except PeerError as error:
            caught.append(str(error))

    async with trio.open_nursery() as nursery:
        peer.sendall(b"PROXY ")
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await act(peer, stream)
    assert caught == ["client reset connection"]
    stream.close()
    peer.close()
