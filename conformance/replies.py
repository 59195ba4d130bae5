"""What replies mean, for proxies that have words of their own: whether octets say what was wanted in other words.

Only what a client acts on is compared: in SMTP the first digit of the code (RFC 5321, 4.3.2), in IMAP tag and status,
in POP3 the status; in lists of capabilities the words about TLS. Untagged data that nobody asked for is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["Meaning", "length_of", "meanings"]

WORDS = frozenset({b"STARTTLS", b"STLS", b"LOGINDISABLED"})
"""Those that decide how a client may log in."""

SMTP = re.compile(rb"(?:(\d)\d\d-[^\n]*\n)*(\d)\d\d(?:[ \r][^\n]*)?\n")
IMAP = re.compile(rb"(\+)(?: [^\n]*|\r?)\n|([^ \r\n]+) (OK|NO|BAD|BYE|PREAUTH|CAPABILITY)(?:[ \r][^\n]*)?\n")
POP3 = re.compile(rb"(\+OK|-ERR|\+)(?:[ \r][^\n]*)?\n")
LIST = re.compile(rb"(?:[^\n]*\n)*?\.\r?\n")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A reply without its wording. `words` are None where it is no list of capabilities."""

    status: bytes
    tag: bytes = b""
    words: frozenset[bytes] | None = None
    is_list: bool = False


def meanings(protocol: str, octets: bytes) -> list[Meaning] | None:
    """What octets mean as a client reads them; None if they are anything but whole replies."""
    found, at = [], 0
    while at < len(octets):
        for is_list in (True, False) if protocol == "pop3" else (False,):
            taken = _reply(protocol, octets, at, is_list=is_list)
            if taken is not None:
                break
        else:
            return None
        meaning, at = taken
        found.append(meaning)
    return found


def length_of(protocol: str, wanted: list[Meaning], received: bytes) -> int | None:
    """How many of the octets say what is wanted; 0 if they say something else, None as long as they say too little."""
    at = 0
    for meaning in wanted:
        for found, end in _replies(protocol, received, at, is_list=meaning.is_list):
            at = end
            if _means(found, meaning):
                break
            if found.tag != b"*":
                return 0
        else:
            return None if _unfinished(received, at, meaning) else 0
    return at


def _replies(protocol: str, octets: bytes, at: int, *, is_list: bool) -> Iterator[tuple[Meaning, int]]:
    while (taken := _reply(protocol, octets, at, is_list=is_list)) is not None:
        yield taken
        at = taken[1]


def _reply(protocol: str, octets: bytes, at: int, *, is_list: bool) -> tuple[Meaning, int] | None:
    """The reply that begins at a place, and where it ends."""
    match protocol:
        case "smtp":
            if found := SMTP.match(octets, at):
                words = _words(found[0]) if found[0].count(b"\n") > 1 else None
                return Meaning(found[2], words=words), found.end()
        case "imap":
            if found := IMAP.match(octets, at):
                words = _words(found[0]) if found[3] == b"CAPABILITY" else None
                return Meaning(found[3] or b"+", found[2] or b"", words), found.end()
        case _:
            if found := POP3.match(octets, at):
                meaning, end = Meaning(found[1]), found.end()
                if not is_list or found[1] != b"+OK":
                    return meaning, end
                # A list is one only if what follows is no further reply.
                rest = LIST.match(octets, end)
                if rest and not POP3.match(octets, end):
                    # A list without an entry is wanted where any will do.
                    words = _words(rest[0]) if rest[0].count(b"\n") > 1 else None
                    return replace(meaning, words=words, is_list=True), rest.end()
    return None


def _means(found: Meaning, wanted: Meaning) -> bool:
    if wanted.words is None:
        found = replace(found, words=None)
    return found == wanted


def _words(octets: bytes) -> frozenset[bytes]:
    return WORDS & set(octets.upper().replace(b"-", b" ").split())


def _unfinished(octets: bytes, at: int, wanted: Meaning) -> bool:
    """Whether more octets could still make the wanted reply of what begins at a place."""
    if wanted.is_list:
        return octets[at : at + 3] in (b"", b"+", b"+O", b"+OK")
    last = octets.rfind(b"\n", at) + 1
    # Lines that are no replies are not passed over, but SMTP's replies may have many lines.
    return last <= at or bool(re.fullmatch(rb"(?:\d\d\d-[^\n]*\n)+", octets[at:last]))
