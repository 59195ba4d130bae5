"""XCLIENT (proxy rules, section 5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.wire.xclient import decode_xtext, encode_xtext, format_xclient


@pytest.mark.parametrize(
    ("ip", "login", "line"),
    [
        ("127.0.0.1", b"", b"XCLIENT ADDR=127.0.0.1 NAME=n\r\n"),
        ("::1", b"u", b"XCLIENT ADDR=IPV6:::1 LOGIN=u NAME=n\r\n"),
        ("2001:db8::1", b"", b"XCLIENT ADDR=IPV6:2001:db8::1 NAME=n\r\n"),
        ("::ffff:127.0.0.1", b"", b"XCLIENT ADDR=IPV6:::ffff:127.0.0.1 NAME=n\r\n"),
        (None, b"", b"XCLIENT ADDR=[UNAVAILABLE] NAME=n\r\n"),
        ("127.0.0.1", b"a+b=c d\r\n\xff", b"XCLIENT ADDR=127.0.0.1 LOGIN=a+2Bb+3Dc+20d+0D+0A+FF NAME=n\r\n"),
    ],
)
def test_the_line(ip: str | None, login: bytes, line: bytes) -> None:
    """PROXY-33 to PROXY-38."""
    assert format_xclient(ip, login, b"n") == line


@settings(derandomize=True, deadline=None)
@given(st.binary())
def test_xtext_round_trip_and_alphabet(value: bytes) -> None:
    """RFC 3461 section 4; PROXY-38."""
    text = encode_xtext(value)
    assert decode_xtext(text) == value
    assert all(0x21 <= octet <= 0x7E and octet != 0x3D for octet in text)


@pytest.mark.parametrize("text", [b"+", b"a+", b"a+4", b"+  b", b"+4 ", b"+G0", b"++41", b"+\xff\xff"])
def test_xtext_needs_two_digits_behind_a_plus(text: bytes) -> None:
    """RFC 3461 section 4."""
    with pytest.raises(ValueError, match=r"\+"):
        decode_xtext(text)


def test_xtext_may_have_digits_of_either_case() -> None:
    assert decode_xtext(b"a+2bb+2B") == b"a+b+"
