"""Lines and counted octets out of a client's connection (CORE-24, CORE-81 to CORE-83)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from refproxy.net.line_stream import LineStream, Overlong


async def test_lines_in_any_pieces_up_to_the_limit() -> None:
    peer, ours = memory_stream_pair()
    lines = LineStream(ours, 16)
    for piece in (b"on", b"e\r\ntwo\n", b"x" * 15 + b"\n" + b"y" * 16):
        await peer.send_all(piece)
    assert await lines.line(16) == b"one\r\n"
    assert await lines.line(16) == b"two\n"
    assert await lines.line(16) == b"x" * 15 + b"\n"
    with pytest.raises(Overlong) as overlong:
        await lines.line(16)
    assert overlong.value.partial == b"y" * 16
    assert lines.take_pending() == b"y" * 16


async def test_the_end_of_file_ends_a_half_line() -> None:
    """CORE-82."""
    peer, ours = memory_stream_pair()
    lines = LineStream(ours, 16)
    await peer.send_all(b"a\nhalf")
    await peer.send_eof()
    assert await lines.line(16) == b"a\n"
    assert await lines.line(16) is None
    assert await lines.octets(4, 16) == b"half"
    assert await lines.octets(1, 16) is None


async def test_counted_octets() -> None:
    """IMAP-10: what does not fit is reported when the room is full."""
    peer, ours = memory_stream_pair()
    lines = LineStream(ours, 8)
    await peer.send_all(b"abcdefgh")
    assert await lines.octets(0, 8) == b""
    assert await lines.octets(2, 8) == b"ab"
    with pytest.raises(Overlong):
        await lines.octets(100, 6)


async def test_reading_ahead_stays_within_the_capacity(autojump_clock: MockClock) -> None:
    """CORE-83: a client that floods during an attempt fills one buffer, not the memory."""
    peer, ours = memory_stream_pair()
    lines = LineStream(ours, 128)
    await peer.send_all(b"x" * 10_000)
    with trio.move_on_after(5):
        await lines.wait_reset()
    assert len(lines.take_pending()) == 128


async def test_a_reset_is_noticed_and_an_end_of_file_is_not(autojump_clock: MockClock) -> None:
    """SMTP-121."""
    peer, ours = memory_stream_pair()
    lines = LineStream(ours, 128)
    await peer.send_eof()
    with trio.move_on_after(5) as waiting:
        await lines.wait_reset()
    assert waiting.cancelled_caught
