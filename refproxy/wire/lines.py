"""What all three protocols do with a line: ends, words, octets that may not go further."""

from __future__ import annotations

import re

from refproxy.errors import WireError

__all__ = ["has_control", "split_answer", "strip_line_end"]

_ANSWER = re.compile(rb"([^\r]*)\r?\n", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def strip_line_end(line: bytes) -> bytes:
    r"""Remove `\r\n` or a bare `\n`."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def split_answer(line: bytes, most: int) -> tuple[bytes, ...]:
    """Split the answer to a SASL challenge at spaces; the first word may be empty (SASL-13).

    Raises WireError for a stray CR and for more than `most` words.
    """
    match = _ANSWER.fullmatch(line)
    if match is None:
        raise WireError("stray CR")
    first, *others = match[1].split(b" ")
    words = (first, *filter(None, others))
    if len(words) > most:
        raise WireError("too many words")
    return words


def has_control(text: bytes) -> bool:
    """Whether there is a control octet, which may not be replayed to a backend (SMTP-46)."""
    return _CONTROL.search(text) is not None
