"""SMTP as octets (smtp rules, section 3; proxy rules, section 4)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.errors import WireError
from refproxy.wire.smtp import Command, is_negative, is_reply, measure_reply, parse_command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"NOOP\r\n", Command(b"NOOP", (), b"NOOP")),
        (b"nOoP\n", Command(b"NOOP", (), b"nOoP")),
        (b"HELO  a  \r\n", Command(b"HELO", (b"a",), b"HELO  a")),
        (
            b"mail  from:<a@b>  SIZE=1  \r\n",
            Command(b"MAIL", (b"from:<a@b>", b"SIZE=1"), b"mail  from:<a@b>  SIZE=1"),
        ),
        (b"EHLO \0\t\xff\r\n", Command(b"EHLO", (b"\0\t\xff",), b"EHLO \0\t\xff")),
        (b"HELP" + b" x" * 11 + b"\r\n", Command(b"HELP", (b"x",) * 11, b"HELP" + b" x" * 11)),
        (b"HELP" + b" x" * 12 + b"\r\n", None),
        (b"STARTTLS \r\n", Command(b"STARTTLS", (), b"STARTTLS")),
        (b"\r\n", None),
        (b" NOOP\r\n", None),
        (b"NOOP\tx\r\n", None),
        (b"NO0P\r\n", None),
        (b"NO\0P\r\n", None),
        (b"NOOP\xe9\r\n", None),
        (b"NOO\r\n", None),
        (b"NOOPE\r\n", None),
        (b"NOOP\rx\r\n", None),
        (b"NOOP x\ry\r\n", None),
        (b"NOOP x\r\r\n", None),
        (b"NOOP", None),
        *[(verb + b" x\r\n", None) for verb in (b"DATA", b"BDAT", b"ETRN", b"LHLO", b"XCLIENT")],
    ],
)
def test_a_command_line(line: bytes, command: Command | None) -> None:
    """SMTP-16 to SMTP-21, SMTP-43, SMTP-77."""
    if command is None:
        with pytest.raises(WireError):
            parse_command(line)
    else:
        assert parse_command(line) == command


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_replayed_cannot_hold_a_second_line(octets: bytes) -> None:
    """SMTP-77, SMTP-12: any octets are a command or invalid, and the text of a command has no line end."""
    for line in (octets, octets + b"\r\n", b"MAIL " + octets + b"\n"):
        with suppress(WireError):
            command = parse_command(line.partition(b"\n")[0] + b"\n")
            assert b"\r" not in command.text
            assert b"\n" not in command.text
            assert command.text.split() or not command.arguments
            assert len(command.arguments) <= 11


@pytest.mark.parametrize(
    ("received", "length"),
    [
        (b"", None),
        (b"220", None),
        (b"220 x\n", None),
        (b"220 x\r\n", 7),
        (b"220\r\n", 5),
        (b"\r\n", 2),
        (b"220 x\r\n221 y\r\n", 7),
        (b"250-x\r\n", None),
        (b"250-x\r\n250-y\r\n", None),
        (b"250-x\r\n250 y\r", None),
        (b"250-x\r\n250 y\r\nz", 14),
        (b"250-x\r\n421 y\r\n", 14),
    ],
)
def test_the_length_of_a_reply(received: bytes, length: int | None) -> None:
    """PROXY-24, PROXY-25."""
    assert measure_reply(received) == length


@pytest.mark.parametrize(
    ("reply", "well_formed", "negative"),
    [
        (b"250 x\r\n", True, False),
        (b"220x\r\n", True, False),
        (b"250\r\n", True, False),
        (b"421 x\r\n", True, True),
        (b"550-a\r\n550 b\r\n", True, True),
        (b"334 \r\n", True, False),
        (b"250-a\r\n550 b\r\n", False, False),
        (b"550-a\r\n250 b\r\n", False, False),
        (b"55\r\n", False, False),
        (b"junk\r\n", False, False),
        (b"\r\n", False, False),
    ],
)
def test_one_code_in_all_lines(reply: bytes, well_formed: bool, negative: bool) -> None:
    """PROXY-24, PROXY-67."""
    assert is_reply(reply) is well_formed
    assert is_negative(reply) is negative


@settings(derandomize=True, deadline=None)
@given(
    st.integers(200, 599),
    st.lists(st.binary(max_size=10).map(lambda text: text.replace(b"\r", b"")), min_size=1, max_size=4),
    st.binary(max_size=10),
)
def test_a_reply_is_found_whatever_follows(code: int, texts: list[bytes], behind: bytes) -> None:
    """PROXY-25: None while it is incomplete, at every cut, and the same length ever after."""
    *first, last = texts
    reply = b"".join(b"%d-%s\r\n" % (code, text) for text in first) + b"%d %s\r\n" % (code, last)
    assert [measure_reply(reply[:cut]) for cut in range(len(reply))] == [None] * len(reply)
    assert measure_reply(reply + behind) == len(reply)
    assert is_reply(reply)
    assert is_negative(reply) is (code >= 400)
