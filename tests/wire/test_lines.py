"""What the three protocols share at the level of a line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.errors import WireError
from refproxy.wire.lines import has_control, split_answer, strip_line_end


@pytest.mark.parametrize(
    ("line", "text"),
    [(b"a\r\n", b"a"), (b"a\n", b"a"), (b"a", b"a"), (b"\n", b""), (b"a\n\n", b"a\n"), (b"a\r\r\n", b"a\r")],
)
def test_one_line_end_is_stripped(line: bytes, text: bytes) -> None:
    assert strip_line_end(line) == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\r\n", (b"",)),
        (b"\n", (b"",)),
        (b"   \r\n", (b"",)),
        (b"AQ==\r\n", (b"AQ==",)),
        (b"AQ== \n", (b"AQ==",)),
        (b" AQ==\r\n", (b"", b"AQ==")),
        (b"a  b c  \r\n", (b"a", b"b", b"c")),
        (b"a\tb\0\r\n", (b"a\tb\0",)),
        (b"a b c d\r\n", None),
        (b" a b c\r\n", None),
        (b"a\rb\r\n", None),
        (b"a\r\r\n", None),
        (b"a", None),
    ],
)
def test_the_words_of_an_answer(line: bytes, words: tuple[bytes, ...] | None) -> None:
    """SASL-13, SASL-81: the first word may be empty, a fourth or a stray CR is unparsable."""
    if words is None:
        with pytest.raises(WireError):
            split_answer(line, 3)
    else:
        assert split_answer(line, 3) == words


@pytest.mark.parametrize("octet", range(256))
def test_control_octets(octet: int) -> None:
    """SMTP-123."""
    assert has_control(b"a" + bytes([octet]) + b"z") is (octet < 0x20 or octet == 0x7F)


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=40), st.integers(1, 12))
def test_any_octets_are_words_or_unparsable(octets: bytes, most: int) -> None:
    """SASL-13."""
    with suppress(WireError):
        words = split_answer(octets, most)
        assert 1 <= len(words) <= most
        assert all(words[1:])
        assert not any(b" " in word or b"\r" in word for word in words)
