"""Streams that can be looked into."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import memory_stream_pair

from refproxy.net.peek import Peeking, peekable
from refproxy.net.socket_stream import SocketStream


async def test_what_is_peeked_at_is_received_later() -> None:
    peer, within = memory_stream_pair()
    stream = Peeking(within)
    await peer.send_all(b"abcdef")
    assert await stream.peek(4) == b"abcd"
    assert await stream.peek(2) == b"ab"
    assert await stream.peek(100) == b"abcd"
    assert await stream.receive_some(3) == b"abc"
    assert await stream.peek(100) == b"d"
    assert await stream.receive_some() == b"d"
    assert await stream.receive_some() == b"ef"


async def test_peeking_waits_for_something_or_the_end_of_file() -> None:
    peer, within = memory_stream_pair()
    stream = Peeking(within)
    seen: list[bytes] = []

    async def peek() -> None:
        seen.append(await stream.peek(10))

    acts: list[tuple[Callable[[], Awaitable[None]], bytes]] = [
        (partial(peer.send_all, b"x"), b"x"),
        (peer.send_eof, b""),
    ]
    for act, expected in acts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peek)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            await act()
        assert seen == [expected]
        seen.clear()
        assert await stream.receive_some() == expected
    assert await stream.peek(10) == b""


async def test_being_cancelled_loses_nothing() -> None:
    peer, within = memory_stream_pair()
    stream = Peeking(within)
    await peer.send_all(b"ab")
    assert await stream.peek(1) == b"a"
    for call in (stream.peek, stream.receive_some):
        with trio.CancelScope() as scope:
            scope.cancel()
            await call(1)
        assert scope.cancelled_caught
    assert await stream.receive_some() == b"a"
    assert await stream.receive_some() == b"b"


async def test_all_else_goes_to_the_stream_within() -> None:
    peer, within = memory_stream_pair()
    stream = Peeking(within)
    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"x")
    await stream.send_eof()
    assert await peer.receive_some() == b"x"
    assert await peer.receive_some() == b""
    await peer.send_all(b"y")
    assert await stream.peek(1) == b"y"
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await stream.peek(1)


async def test_a_reset_is_a_broken_stream() -> None:
    peer, within = memory_stream_pair()
    stream = Peeking(within)
    await trio.aclose_forcefully(peer)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")


async def test_only_streams_that_need_it_are_wrapped() -> None:
    _, within = memory_stream_pair()
    left, right = socket.socketpair()
    with right:
        stream = SocketStream(left)
        assert peekable(stream) is stream
        stream.close()
    wrapped = peekable(within)
    assert isinstance(wrapped, Peeking)
    assert peekable(wrapped) is wrapped
