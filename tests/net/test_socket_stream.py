"""Streams over sockets that try before they wait."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

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
