"""POP3 as octets (pop3 rules, section 3; proxy rules, section 6)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.errors import WireError
from refproxy.wire.pop3 import Command, is_negative, measure_reply, parse_command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"CAPA\r\n", Command(b"CAPA")),
        (b"cApA\n", Command(b"CAPA")),
        (b"NOOP \r\n", Command(b"NOOP")),
        (b"QUIT now  please \r\n", Command(b"QUIT", (b"now", b"please"))),
        (b"STLS a b c\r\n", Command(b"STLS", (b"a", b"b", b"c"))),
        (b"STLS a b c d\r\n", None),
        (b"STLS a b c  \r\n", Command(b"STLS", (b"a", b"b", b"c"))),
        (b"USER\r\n", Command(b"USER")),
        (b"USER   \r\n", Command(b"USER")),
        (b"USER  us er \r\n", Command(b"USER", (b"us er ",))),
        (b"PASS a b c d e\r\n", Command(b"PASS", (b"a b c d e",))),
        (b'PASS "q\\\t\0\xff{3}\r\n', Command(b"PASS", (b'"q\\\t\0\xff{3}',))),
        (b"APOP u\td x\r\n", Command(b"APOP", (b"u\td", b"x"))),
        (b"AUTH\r\n", Command(b"AUTH")),
        (b"\r\n", None),
        (b" NOOP\r\n", None),
        (b"NOOPS\r\n", None),
        (b"NOO\r\n", None),
        (b"NOOP\tx\r\n", None),
        (b"NO\0P\r\n", None),
        (b"STAT\r\n", None),
        (b"USER a\rb\r\n", None),
        (b"USER a\r\r\n", None),
        (b"NOOP", None),
    ],
)
def test_a_command_line(line: bytes, command: Command | None) -> None:
    """POP3-10 to POP3-14."""
    if command is None:
        with pytest.raises(WireError):
            parse_command(line)
    else:
        assert parse_command(line) == command


@pytest.mark.parametrize("line", [b"AUTH" + b" " * 12000 + b"\rx\n", b"PASS" + b" x" * 6000 + b"\r\r\n"])
def test_a_long_line_with_a_stray_cr_is_refused(line: bytes) -> None:
    """POP3-16: a quadratic match would hold up every session for seconds here."""
    with pytest.raises(WireError):
        parse_command(line)


@settings(derandomize=True, deadline=None)
@given(
    st.sampled_from([b"USER", b"PASS"]),
    st.binary().map(lambda text: text.translate(None, b"\r\n").lstrip(b" ")).filter(bool),
)
def test_names_and_passwords_come_through_unchanged(verb: bytes, text: bytes) -> None:
    """POP3-13, POP3-14, PROXY-56: whatever is no line end."""
    assert parse_command(verb + b" " + text + b"\r\n").arguments == (text,)


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=40))
def test_any_octets_are_a_command_or_invalid(octets: bytes) -> None:
    """POP3-15."""
    for line in (octets, octets + b"\r\n", b"AUTH " + octets + b"\n"):
        with suppress(WireError):
            assert len(parse_command(line).arguments) <= 3


@pytest.mark.parametrize(
    ("received", "length"),
    [(b"", None), (b"+OK", None), (b"+OK\n", None), (b"+OK\r", None), (b"+OK\r\n", 5), (b"-ERR x\r\n+OK\r\n", 8)],
)
def test_a_reply_is_one_line(received: bytes, length: int | None) -> None:
    """PROXY-24."""
    assert measure_reply(received) == length


@pytest.mark.parametrize(
    ("reply", "negative"), [(b"-ERR\r\n", True), (b"-ERR [X] y\r\n", True), (b"+OK\r\n", False), (b"-err\r\n", False)]
)
def test_which_replies_are_negative(reply: bytes, negative: bool) -> None:
    """PROXY-67."""
    assert is_negative(reply) is negative
