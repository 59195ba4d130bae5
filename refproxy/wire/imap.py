"""IMAP as octets: command lines with literals from clients, replies from backends.

A command comes as a line, or as lines with literals between them. `CommandParser` is fed line by line and literal by
literal, and says after each whether the command is complete or how many octets of literal come next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from refproxy.errors import WireError

__all__ = [
    "Command",
    "CommandParser",
    "Literal",
    "announces_literal",
    "is_negative",
    "is_non_synchronizing",
    "last_line",
    "measure_line",
    "measure_reply",
    "tag_of",
]

MAX_ARGUMENTS = 3  # IMAP-20
TAG_LIMIT = 32  # octets (IMAP-16)
LITERAL_LIMIT = 2**63 - 1  # a larger announcement is not a number any more (IMAP section 4, state SIZE)

# ASTRING-CHAR without "+" (RFC 3501 section 9, `tag`).
_TAG = re.compile(rb"([A-Za-z0-9!#$&',\-./:;<=>?@\[\]^_`|}~]{1,%d}) " % TAG_LIMIT)
_WORD = re.compile(rb" *([A-Za-z]+)(?=[ \r\n])")
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r*\n")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\[^\r\n\0])*)"', re.DOTALL)
_ATOM = re.compile(rb"[^ \r\n\0]+")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_END = re.compile(rb"\r?\n")
_KNOWN = {b"LOGIN", b"AUTHENTICATE", b"CAPABILITY", b"NOOP", b"LOGOUT", b"STARTTLS"}


class Command(NamedTuple):
    """A command word in upper case, and its arguments as octets, unquoted."""

    name: bytes
    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """An announced literal: `size` octets follow; a synchronizing one wants a continuation line first."""

    size: int
    synchronizing: bool


@dataclass(slots=True)
class CommandParser:
    """Collects one command. Use a fresh one for each."""

    tag: bytes = b""
    name: bytes = b""
    _arguments: list[bytes] = field(default_factory=list)

    def begin(self, line: bytes) -> None:
        """Read tag and command word. `tag` is set as soon as it is known (IMAP-15).

        Raises WireError for a bad tag or an unknown word (IMAP-16 to IMAP-19).
        """
        self.tag = tag_of(line)
        word = _WORD.match(line, len(self.tag) + 1) if self.tag else None
        name = word[1].upper() if word else b""
        if word is None or name not in _KNOWN:
            raise WireError("not an IMAP command")
        self.name = name

    def arguments(self, line: bytes) -> Command | Literal:
        """Read the arguments of the first line, after `begin`."""
        word = _WORD.match(line, len(self.tag) + 1)
        assert word is not None, "begin comes first"
        return self._scan(line, word.end())

    def literal(self, octets: bytes) -> None:
        """Take the octets of an announced literal as the next argument."""
        self._arguments.append(octets)

    def rest(self, line: bytes) -> Command | Literal:
        """Read the line that follows a literal; a space or line end must come first (IMAP-22)."""
        if line[:1] not in (b" ", b"\r", b"\n"):
            raise WireError("octets right behind a literal")
        return self._scan(line, 0)

    def _scan(self, line: bytes, position: int) -> Command | Literal:
        while True:
            while line[position : position + 1] == b" ":
                position += 1
            if _END.fullmatch(line, position):
                return Command(self.name, tuple(self._arguments))
            if len(self._arguments) == MAX_ARGUMENTS:
                raise WireError("too many arguments")
            if line[position : position + 1] == b"{":
                announcement = _LITERAL.fullmatch(line, position)
                if announcement is None or len(announcement[1]) > 40 or int(announcement[1]) > LITERAL_LIMIT:
                    raise WireError("malformed literal")
                return Literal(int(announcement[1]), synchronizing=not announcement[2])
            position = self._take(line, position)

    def _take(self, line: bytes, position: int) -> int:
        if quoted := _QUOTED.match(line, position):
            self._arguments.append(_ESCAPE.sub(rb"\1", quoted[1]))
            return quoted.end()
        atom = _ATOM.match(line, position)
        if atom is None or line[position : position + 1] == b'"':
            raise WireError("malformed argument")
        self._arguments.append(atom[0])
        return atom.end()


def tag_of(line: bytes) -> bytes:
    """The tag a line begins with, or nothing when it has none that a reply could carry."""
    match = _TAG.match(line)
    return match[1] if match else b""


def is_non_synchronizing(line: bytes) -> bool:
    """Whether a refused line announces literal data that the client sends without waiting (IMAP-25)."""
    text = line.rstrip(b"\r\n")
    return len(text) >= len(b"{1+}") and text.endswith(b"+}")


def announces_literal(line: bytes) -> bool:
    """Whether a line ends with the announcement of a literal, of either kind."""
    return _LITERAL.search(line) is not None


def measure_line(received: bytes | bytearray) -> int | None:
    """Length of the first line, for the greeting (PROXY-58)."""
    end = received.find(b"\r\n")
    return None if end < 0 else end + 2


def measure_reply(received: bytes | bytearray) -> int | None:
    """Length through the line that answers a step; any number of untagged lines may come before it (PROXY-64).

    `* BYE` ends the wait: nothing will follow it.
    """
    start = 0
    while (end := received.find(b"\r\n", start)) >= 0:
        if received[start : start + 2] != b"* " or received[start : start + 5].upper() == b"* BYE":
            return end + 2
        start = end + 2
    return None


def last_line(reply: bytes) -> bytes:
    """The line of a reply that decides: its last."""
    return reply[reply.rfind(b"\r\n", 0, -2) + 2 :] if reply.count(b"\r\n") > 1 else reply


def is_negative(reply: bytes) -> bool:
    """Whether a backend's reply may be shown to a client as an error: NO, BAD or BYE (PROXY-67)."""
    words = last_line(reply).upper().split(b" ")
    return len(words) > 1 and words[1].rstrip(b"\r\n") in (b"NO", b"BAD", b"BYE")
