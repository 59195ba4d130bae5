"""Streams over sockets that try before they wait."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from functools import partial

import pytest
import trio
import trio.testing

from refproxy.net.socket_stream import FAIR_AFTER, SocketStream


async def test_a_stream_that_is_always_ready_gives_others_a_turn() -> None:
    left, right = socket.socketpair()
    stream = SocketStream(left)
    right.sendall(b"x" * 1000)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        for _ in range(10 * FAIR_AFTER):
            assert await stream.receive_some(1) == b"x"
        nursery.cancel_scope.cancel()
    assert turns >= 9
    stream.close()
    right.close()


async def test_cancelling_a_receive_loses_nothing() -> None:
    """A watcher that reads ahead is cancelled again and again; every octet must still be there for the relay."""
    left, right = socket.socketpair()
    stream = SocketStream(left)
    right.sendall(bytes(range(200)))
    received = b""
    for _ in range(400):
        with trio.CancelScope() as scope:
            scope.cancel()
            received += await stream.receive_some(1)
    with trio.move_on_after(0):
        while octets := await stream.receive_some(1000):
            received += octets
    while len(received) < 200:
        received += await stream.receive_some(1000)
    assert received == bytes(range(200))
    stream.close()
    right.close()


async def test_a_reset_is_a_broken_stream_and_a_close_a_closed_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        stream = SocketStream(server.accept()[0])
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some(10)
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some(10)
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")


async def test_what_is_peeked_at_stays_in_the_socket() -> None:
    left, right = socket.socketpair()
    stream = SocketStream(left)
    right.sendall(b"abcdef")
    assert await stream.peek(4) == b"abcd"
    assert await stream.peek(100) == b"abcdef"
    assert await stream.receive_some(2) == b"ab"
    assert await stream.peek(100) == b"cdef"
    assert left.recv(100) == b"cdef"
    stream.close()
    right.close()


async def test_peeking_waits_for_something_or_the_end_of_file() -> None:
    left, right = socket.socketpair()
    stream = SocketStream(left)
    seen: list[bytes] = []

    async def peek() -> None:
        seen.append(await stream.peek(10))

    acts: list[tuple[Callable[[], None], bytes]] = [(partial(right.sendall, b"x"), b"x"), (right.close, b"")]
    for act, expected in acts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peek)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            act()
        assert seen == [expected]
        seen.clear()
        await stream.receive_some(1)
    stream.close()


async def test_peeking_at_a_reset_connection_and_at_a_closed_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        stream = SocketStream(server.accept()[0])
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    with pytest.raises(trio.BrokenResourceError):
        await stream.peek(10)
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.peek(10)


async def test_a_peeker_gives_others_a_turn() -> None:
    """Octets that nobody takes are always ready."""
    left, right = socket.socketpair()
    stream = SocketStream(left)
    right.sendall(b"x")
    with trio.CancelScope() as scope:
        scope.cancel()
        for _ in range(FAIR_AFTER):
            await stream.peek(1)
    assert scope.cancelled_caught
    stream.close()
    right.close()
