"""One parser per type of value: from the words of a statement to a value, or the ConfigError Angie would print.

A parser takes a Call, which is the statement and what it may consult, and returns the value of this statement alone;
joining it with others is the business of the directive's row. Sizes are octets, durations float seconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol, TypeVar

from refproxy.config.settings import Mechanism, Where
from refproxy.config.tree import open_fault, place, printable, read_octets
from refproxy.errors import ConfigError

__all__ = ["Call", "Notes", "Parser", "Site", "bad"]

T = TypeVar("T", bound=Enum)

LARGEST = 2**63 - 1
"""The largest number, size in octets, or time in the directive's own unit (CONF-24 to CONF-27)."""

HINT_LIMIT = 60  # octets of input quoted in a hint


class Resolve(Protocol):
    """Finds the addresses of a host name; raises OSError when there are none."""

    def __call__(self, host: str, /) -> Sequence[str]: ...


@dataclass(slots=True)
class Notes:
    """What the operator should read besides faults, collected while a file is read."""

    lines: list[str] = field(default_factory=list)
    later: dict[str, Where] = field(default_factory=dict)  # what is accepted but not effective yet, and where first

    def warn(self, text: str, where: Where) -> None:
        self.lines.append(f"[warn] {text} in {place(where)}")

    def notice(self, text: str, where: Where) -> None:
        self.lines.append(f"[notice] {text} in {place(where)}")

    def not_yet(self, label: str, where: Where) -> None:
        self.later.setdefault(label, where)


@dataclass(frozen=True, slots=True)
class Site:
    """What parsers may consult: the directory of relative names, the resolver, and the memory of one load."""

    base: Path
    resolve: Resolve
    notes: Notes = field(default_factory=Notes)
    zones: dict[bytes, int] = field(default_factory=dict)  # shared memory zones and their sizes (TLS-16)

    def path(self, name: bytes) -> str:
        """A file name made absolute."""
        return os.path.join(self.base, os.fsdecode(name))


@dataclass(frozen=True, slots=True)
class Call:
    """One statement, as its parser sees it; `previous` is the value from earlier statements of the same block."""

    name: str
    words: tuple[bytes, ...]
    where: Where
    site: Site
    previous: object = None

    @property
    def word(self) -> bytes:
        return self.words[0]

    def warn(self, text: str) -> None:
        self.site.notes.warn(text, self.where)

    def not_yet(self, parameter: str) -> None:
        """Note that a parameter is accepted but has no effect in this version."""
        self.site.notes.not_yet(f"{self.name} … {parameter}", self.where)

    def invalid(self, word: bytes, expected: str) -> ConfigError:
        """The message for a value that is no number, size or time."""
        return bad(f'"{self.name}" directive invalid value', word, expected)


Parser = Callable[[Call], object]


def bad(text: str, found: bytes, expected: str) -> ConfigError:
    """A fault with Angie's text and a hint; whoever called the parser adds the position."""
    cut = found[:HINT_LIMIT] + (b"..." if len(found) > HINT_LIMIT else b"")
    return ConfigError(text, hint=f'found "{printable(cut)}", expected {expected}')


# -- flags, words, numbers -----------------------------------------------------------------------------------------


def flag(call: Call) -> bool:
    """`on` or `off`, in any case (CONF-21)."""
    match call.word.lower():
        case b"on":
            return True
        case b"off":
            return False
    text = f'invalid value "{printable(call.word)}" in "{call.name}" directive, it must be "on" or "off"'
    raise ConfigError(text)


def choice(values: type[T]) -> Callable[[Call], T]:
    """One word of an enumeration, in any case (CONF-22)."""
    words = {str(member.value).encode(): member for member in values}

    def parse(call: Call) -> T:
        if (member := words.get(call.word.lower())) is None:
            raise unknown_word(call.word, words)
        return member

    return parse


V = TypeVar("V")


def bits(words: Mapping[bytes, V]) -> Callable[[Call], frozenset[V]]:
    """A set of words, in any case; a repeated one is only worth a warning (CONF-23)."""
    folded = {word.lower(): value for word, value in words.items()}

    def parse(call: Call) -> frozenset[V]:
        seen = set[V](call.previous) if isinstance(call.previous, frozenset) else set[V]()
        for word in call.words:
            if (value := folded.get(word.lower())) is None:
                raise unknown_word(word, words)
            if value in seen:
                call.warn(f'duplicate value "{printable(word)}"')
            seen.add(value)
        return frozenset(seen)

    return parse


def mechanisms(*allowed: Mechanism) -> Callable[[Call], frozenset[Mechanism]]:
    """The words of a `*_auth` directive."""
    return bits({mechanism.value.encode(): mechanism for mechanism in allowed})


def unknown_word(word: bytes, known: Mapping[bytes, object]) -> ConfigError:
    return bad(f'invalid value "{printable(word)}"', word, "one of " + ", ".join(map(printable, known)))


def maybe_number(digits: bytes) -> int | None:
    """Decimal digits as a number up to LARGEST; None for anything else (CONF-24)."""
    if not re.fullmatch(rb"0*[0-9]{1,19}", digits):
        return None
    number = int(digits.lstrip(b"0") or b"0")
    return number if number <= LARGEST else None


def number(call: Call) -> int:
    """A number (CONF-24)."""
    if (value := maybe_number(call.word)) is None:
        raise bad(f'"{call.name}" directive invalid number', call.word, "a number")
    return value


def number_or_auto(call: Call) -> int | None:
    """A number, or None for `auto` (CONF-39, worker_processes)."""
    value = None if call.word == b"auto" else maybe_number(call.word)
    if value is None and call.word != b"auto":
        raise call.invalid(call.word, 'a number or "auto"')
    return value


SIZE_UNITS = {b"": 1, b"k": 1024, b"m": 1024 * 1024}


def maybe_size(text: bytes) -> int | None:
    """Octets, from digits and an optional `k` or `m` in any case; None for anything else (CONF-25)."""
    match = re.fullmatch(rb"([0-9]+)([kKmM]?)", text)
    digits = maybe_number(match[1]) if match else None
    if match is None or digits is None:
        return None
    octets = digits * SIZE_UNITS[match[2].lower()]
    return octets if octets <= LARGEST else None


def size(minimum: int = 0) -> Callable[[Call], int]:
    """Octets, at least `minimum`: less would break every session (CONF-51)."""

    def parse(call: Call) -> int:
        octets = maybe_size(call.word)
        if octets is None:
            raise call.invalid(call.word, "octets, as in 4096, 4k or 1m")
        if octets < minimum:
            raise call.invalid(call.word, f"at least {minimum} octets")
        return octets

    return parse


# -- times ---------------------------------------------------------------------------------------------------------

TIME_PART = re.compile(rb"([0-9]*)(ms|[yMwdhms ]|\Z) *")
MILLISECOND, SECOND = 8, 7
UNITS = {  # unit: its rank, larger units first, and its length in ms (CONF-26)
    b"y": (1, 31_536_000_000),
    b"M": (2, 2_592_000_000),
    b"w": (3, 604_800_000),
    b"d": (4, 86_400_000),
    b"h": (5, 3_600_000),
    b"m": (6, 60_000),
    b"s": (SECOND, 1000),
    b" ": (9, 1000),
    b"": (9, 1000),
    b"ms": (MILLISECOND, 1),
}


def maybe_time(text: bytes, *, coarse: bool = False) -> float | None:
    """Seconds, from parts with falling units; None for anything else (CONF-26, CONF-27).

    Coarse times have years and months but no milliseconds. A space stands for "seconds" where no unit was given,
    and nothing but the end may follow a plain number, so that `1 s` is refused and `1m 30` is not.
    """
    total, reached, position = 0, 0 if coarse else 2, 0
    if not re.search(rb"[0-9]", text):
        return None
    while position < len(text):
        match = TIME_PART.match(text, position)
        if match is None:
            return None
        digits, unit = match.groups()
        rank, length = UNITS[unit]
        if (unit and reached >= (SECOND if unit == b" " else rank)) or (coarse and rank == MILLISECOND):
            return None
        total += int(digits or b"0") * length
        reached, position = rank, match.end()
    largest = LARGEST * 1000 if coarse else LARGEST
    return total / 1000 if total <= largest else None


def time(call: Call) -> float:
    """A time of millisecond resolution."""
    if (seconds := maybe_time(call.word)) is None:
        raise call.invalid(call.word, "a time, as in 30s, 1m30s or 500ms")
    return seconds


def time_or_off(call: Call) -> float | None:
    """A time where 0 means "not at all" (CONF-28)."""
    return time(call) or None


def whole_seconds(call: Call) -> int:
    """A time of second resolution."""
    if (seconds := maybe_time(call.word, coarse=True)) is None:
        raise call.invalid(call.word, "a time in whole seconds, as in 300, 5m or 1d")
    return int(seconds)


# -- strings and files ---------------------------------------------------------------------------------------------


def string(call: Call) -> str:
    """A word, taken as it is (CONF-29)."""
    return printable(call.word)


def strings(call: Call) -> tuple[str, ...]:
    """Every word, taken as it is."""
    return tuple(map(printable, call.words))


def ignored(call: Call) -> None:
    """A value that nobody looks at."""


def sendable(call: Call, word: bytes) -> bytes:
    """A word that may go on the wire: CR, LF and NUL would end or split a line there (CONF-50)."""
    if re.search(rb"[\r\n\0]", word):
        raise bad(f'invalid character in "{call.name}" directive', word, "no CR, LF or NUL")
    return word


def wire_word(call: Call) -> bytes:
    """A word that is sent to peers."""
    return sendable(call, call.word)


def wire_words(call: Call) -> tuple[bytes, ...]:
    """Words that are sent to peers, in the order written."""
    return tuple(sendable(call, word) for word in call.words)


def header(call: Call) -> tuple[tuple[bytes, bytes]]:
    """`auth_http_header NAME VALUE` (AUTH-3)."""
    name, value = wire_words(call)
    return ((name, value),)


def file_name(call: Call) -> str:
    """A file name, made absolute."""
    return call.site.path(call.word)


def pem_source(call: Call) -> tuple[str]:
    """A certificate or key: a file, or `data:` and `engine:` values as they stand (TLS-4, TLS-5)."""
    word = call.word
    return (os.fsdecode(word) if word.startswith((b"data:", b"engine:")) else call.site.path(word),)


def file_names(call: Call) -> tuple[str]:
    """A file name for a directive that may be repeated."""
    return (file_name(call),)


def pair(call: Call) -> tuple[tuple[str, str]]:
    """`ssl_conf_command NAME VALUE` (TLS-9)."""
    name, value = strings(call)
    return ((name, value),)


def pass_phrases(call: Call) -> tuple[bytes, ...]:
    """The lines of `ssl_password_file`, which is read at once; an empty file is one empty phrase (TLS-13)."""
    path = call.site.path(call.word)
    try:
        return tuple(read_octets(path).splitlines()) or (b"",)
    except OSError as error:
        raise open_fault(path, error, None) from error


def session_cache(call: Call) -> tuple[str, ...]:
    """`ssl_session_cache off | none | [builtin[:N]] [shared:NAME:SIZE]` (TLS-16)."""
    for word in call.words:
        if not is_session_cache(call.site, word):
            expected = "off, none, builtin[:N] or shared:NAME:SIZE"
            raise bad(f'invalid session cache "{printable(word)}"', word, expected)
    return strings(call)


SMALLEST_ZONE = 32768  # eight pages (TLS-16)


def is_session_cache(site: Site, word: bytes) -> bool:
    """Tell whether a word is one; raises ConfigError for a zone whose size will not do."""
    if word in (b"off", b"none", b"builtin"):
        return True
    if word.startswith(b"builtin:"):
        return maybe_number(word.removeprefix(b"builtin:")) is not None
    match = re.fullmatch(rb"shared:([^:]+):(.*)", word, re.DOTALL)
    octets = maybe_size(match[2]) if match else None
    if match is None or octets is None:
        return False
    if octets < SMALLEST_ZONE:
        raise bad(f'session cache "{printable(word)}" is too small', word, f"at least {SMALLEST_ZONE} octets")
    declared = site.zones.setdefault(match[1], octets)
    if declared != octets:
        zone = f'the size {octets} of shared memory zone "{printable(match[1])}"'
        raise ConfigError(f"{zone} conflicts with already declared size {declared}")
    return True
