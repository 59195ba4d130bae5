"""SMTP as octets: command lines from clients, replies from backends."""

from __future__ import annotations

import re
from typing import NamedTuple

from refproxy.errors import WireError

__all__ = ["Command", "is_negative", "is_reply", "measure_reply", "parse_command"]

MAX_ARGUMENTS = 11  # SMTP-20
_KNOWN = {
    b"HELO", b"EHLO", b"AUTH", b"QUIT", b"NOOP", b"MAIL", b"RCPT", b"RSET", b"VRFY", b"EXPN", b"HELP", b"STARTTLS",
}  # fmt: skip
_LINE = re.compile(rb"([A-Za-z]+)( [^\r]*)?\r?\n", re.DOTALL)
_CODE = re.compile(rb"\d{3}")


class Command(NamedTuple):
    """A verb in upper case, its arguments, and `text`: the line from the verb to its last argument (SMTP-77)."""

    verb: bytes
    arguments: tuple[bytes, ...]
    text: bytes


def parse_command(line: bytes) -> Command:
    """Read one line, line end included.

    Raises WireError for an unknown verb, a non-letter in it, a twelfth argument or a stray CR (SMTP-16 to SMTP-21).
    """
    match = _LINE.fullmatch(line)
    verb = match[1].upper() if match else b""
    if match is None or verb not in _KNOWN:
        raise WireError("not an SMTP command")
    arguments = tuple(filter(None, (match[2] or b"").split(b" ")))
    if len(arguments) > MAX_ARGUMENTS:
        raise WireError("too many arguments")
    return Command(verb, arguments, match[0].rstrip(b"\r\n").rstrip(b" "))


def measure_reply(received: bytes | bytearray) -> int | None:
    """Length of the reply at the start of `received`, all its lines, or None while it is incomplete (PROXY-24)."""
    start = 0
    while (end := received.find(b"\r\n", start)) >= 0:
        if received[start + 3 : start + 4] != b"-":
            return end + 2
        start = end + 2
    return None


def is_reply(reply: bytes) -> bool:
    """Whether every line of a complete reply carries the same three-digit code (RFC 5321 section 4.2.1)."""
    code = reply[:3]
    return _CODE.fullmatch(code) is not None and reply.count(b"\r\n" + code) + 1 == reply.count(b"\r\n")


def is_negative(reply: bytes) -> bool:
    """Whether a backend's reply may be shown to a client as an error: 4xx or 5xx (PROXY-67)."""
    return is_reply(reply) and reply[:1] in (b"4", b"5")
