"""POP3 as octets: command lines from clients, replies from backends."""

from __future__ import annotations

import re
from typing import NamedTuple

from refproxy.errors import WireError

__all__ = ["Command", "is_negative", "measure_reply", "parse_command", "split_words"]

MAX_ARGUMENTS = 3
_KNOWN = {b"USER", b"PASS", b"APOP", b"AUTH", b"CAPA", b"NOOP", b"QUIT", b"STLS"}
# One space only: with more, a line of spaces and a stray CR would be tried in every way to share them out.
_LINE = re.compile(rb"([A-Za-z]{4})(?: ([^\r]*))?\r?\n", re.DOTALL)


class Command(NamedTuple):
    """A verb in upper case, and its arguments."""

    verb: bytes
    arguments: tuple[bytes, ...] = ()


def parse_command(line: bytes) -> Command:
    """Read one line, line end included.

    USER and PASS take all that follows as one argument, spaces included (POP3-13).
    Raises WireError for an unknown verb, a fourth argument or a stray CR (POP3-10 to POP3-12).
    """
    match = _LINE.fullmatch(line)
    verb = match[1].upper() if match else b""
    if match is None or verb not in _KNOWN:
        raise WireError("not a POP3 command")
    rest = (match[2] or b"").lstrip(b" ")
    if verb in (b"USER", b"PASS"):
        return Command(verb, (rest,) if rest else ())
    return Command(verb, split_words(rest))


def split_words(text: bytes) -> tuple[bytes, ...]:
    """Split at spaces, which alone separate. Raises WireError for more than three words (POP3-12)."""
    words = tuple(filter(None, text.split(b" ")))
    if len(words) > MAX_ARGUMENTS:
        raise WireError("too many arguments")
    return words


def measure_reply(received: bytes | bytearray) -> int | None:
    """Length of the one-line reply at the start of `received`, or None while it is incomplete (PROXY-24)."""
    end = received.find(b"\r\n")
    return None if end < 0 else end + 2


def is_negative(reply: bytes) -> bool:
    """Whether a backend's reply may be shown to a client as an error (PROXY-67)."""
    return reply.startswith(b"-ERR")
