"""The description of a proxy that is already running: a TOML file that says where it listens and what it claims."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from conformance.case import Block, Needs
from conformance.rulebook import Level
from conformance.selection import perhaps
from conformance.targets.base import Place

__all__ = ["EXAMPLE", "Descriptor", "DescriptorError", "example_of", "load_descriptor", "normal"]

Kind = TypeVar("Kind")

PROTOCOLS = ("smtp", "imap", "pop3")
DIALECTS = (Level.VENDOR.value, Level.OURS.value)
CLAIMS = sorted({value for name, value in vars(Needs).items() if name.isupper()} - {Needs.CONFIGURABLE, Needs.SIGNALS})
"""A proxy that somebody else started has the directives of its profiles, and gets no signals."""

HEAD = """# A running proxy, for `refproxy-conformance run --target external` and `refproxy-conformance serve`.
# Everything is on one machine: clients come from 127.0.0.0/8, backends are on ports of 127.0.0.1.
name = "myproxy"
version = "1.0"
claims = [{claims}]
dialects = ["vendor"]    # "vendor": it wants to be what Angie and nginx are; "ours": what refproxy is; or none
auth_port = 9143         # our auth server, at http://127.0.0.1:9143/auth
dns_port = 9153          # our name server, over UDP and TCP
directory = "myproxy-files"    # certificates for it are kept here; from the directory of this file

# What listens where, by protocol and by the directives of Angie's language that say how it should behave; `serve`
# shows them filled in. `parameters` are those of `listen`. Cases without a profile are skipped.
"""

EXAMPLE = (
    HEAD.format(claims='"auth_http", "resolver"')
    + """
[profiles.smtp]
protocol = "smtp"
listen = "127.0.0.1:2525"    # or "[::1]:2525", or "unix:/run/myproxy/smtp"

[profiles.imap]
protocol = "imap"
listen = "127.0.0.1:2143"

[profiles.pop3]
protocol = "pop3"
listen = "127.0.0.1:2110"

[profiles.smtp-resolving]
protocol = "smtp"
listen = "127.0.0.1:2526"
directives = "resolver {dns};"
"""
)
FIRST_PORT = 2500


class DescriptorError(Exception):
    """The file is wrong: the text names file and key, says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A running proxy: what it is, and for the name of each profile its block and its place."""

    name: str
    version: str
    claims: frozenset[str]
    dialects: frozenset[Level]
    auth_port: int
    dns_port: int
    directory: Path
    profiles: Mapping[str, tuple[Block, Place]]


def normal(block: Block) -> Block:
    """The block with white space that does not matter taken out, to be compared."""
    directives = " ".join(block.directives.replace(";", " ; ").split())
    return Block(block.protocol, directives, " ".join(block.listen.split()), block.address)


def load_descriptor(path: Path) -> Descriptor:
    """Read a descriptor. Raises DescriptorError."""
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DescriptorError(f"{path}: {error.strerror}. A descriptor looks like this:\n\n{EXAMPLE}") from error
    except ValueError as error:
        raise DescriptorError(f"{path} is no TOML: {error}") from error
    table = _Table(str(path), "", whole)
    descriptor = Descriptor(
        table.matching("name", r"[\w.-]+", "a name of letters, digits, dots and hyphens"),
        table.value("version", str, "a text", ""),
        table.words("claims", CLAIMS),
        frozenset(map(Level, table.words("dialects", DIALECTS))),
        table.port("auth_port"),
        table.port("dns_port"),
        path.resolve().parent / table.value("directory", str, "the name of a directory", f"{path.stem}-files"),
        dict(_profiles(table)),
    )
    table.end()
    return descriptor


def _profiles(table: _Table) -> Iterable[tuple[str, tuple[Block, Place]]]:
    blocks: dict[Block, str] = {}
    profiles = table.value("profiles", dict, "tables such as [profiles.smtp]")
    if not profiles:
        raise table.wrong("profiles", profiles, "at least one table such as [profiles.smtp]")
    for name, value in profiles.items():
        if not isinstance(value, dict):
            raise table.wrong(f"profiles.{name}", value, f"a table [profiles.{name}]")
        profile = _Table(table.file, f"profiles.{name}.", value)
        protocol = profile.value("protocol", str, f"one of {', '.join(PROTOCOLS)}")
        if protocol not in PROTOCOLS:
            raise profile.wrong("protocol", protocol, f"one of {', '.join(PROTOCOLS)}{perhaps(protocol, PROTOCOLS)}")
        address, place = profile.place("listen")
        if profile.value("dual", bool, "true or false", default=False):
            address, place = "dual", Place("127.0.0.1", place.port)  # IPv4 clients at an IPv6 socket
        block = Block(
            protocol,
            profile.value("directives", str, "directives of a server block, as a text", ""),
            profile.value("parameters", str, "parameters of `listen`, as a text", ""),
            address,
        )
        profile.end()
        if normal(block) in blocks:
            raise table.wrong(
                f"profiles.{name}", "the same block", f"another one than profiles.{blocks[normal(block)]} has"
            )
        blocks[normal(block)] = name
        yield name, (block, place)


class _Table:
    """A table of the file, which is asked for its keys and at the end complains about those nobody asked for."""

    def __init__(self, file: str, prefix: str, values: dict[str, object]) -> None:
        self.file, self._prefix, self._values = file, prefix, values
        self._asked: list[str] = []

    def value(self, key: str, kind: type[Kind], expected: str, default: Kind | None = None) -> Kind:
        """The value of a key; without a default it is required."""
        self._asked.append(key)
        if key not in self._values:
            if default is None:
                raise DescriptorError(f"{self.file}: {self._prefix}{key} is missing; expected {expected}")
            return default
        found = self._values[key]
        # True is an int to Python.
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise self.wrong(key, found, expected)
        return found

    def matching(self, key: str, pattern: str, expected: str) -> str:
        found = self.value(key, str, expected)
        if not re.fullmatch(pattern, found):
            raise self.wrong(key, found, expected)
        return found

    def words(self, key: str, known: Collection[str]) -> frozenset[str]:
        expected = f"a list with some of {', '.join(known)}"
        found: list[object] = self.value(key, list, expected, [])
        for word in found:
            if not isinstance(word, str) or word not in known:
                raise self.wrong(key, word, f"{expected}{perhaps(str(word), known)}")
        return frozenset(str(word) for word in found)

    def port(self, key: str) -> int:
        expected = "a port from 1 to 65535"
        found = self.value(key, int, expected)
        if not 0 < found < 65536:
            raise self.wrong(key, found, expected)
        return found

    def place(self, key: str) -> tuple[str, Place]:
        """The kind of an address, and the place."""
        expected = 'an address such as "127.0.0.1:2525", "[::1]:2525" or "unix:/path"'
        found = self.value(key, str, expected)
        if match := re.fullmatch(r"unix:(/.+)", found):
            return "unix", Place("", 0, match[1])
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([\d.]+)):(\d{1,5})", found)
        if match is None or not 0 < int(match[3]) < 65536:
            raise self.wrong(key, found, expected)
        return ("ipv6" if match[1] else "ipv4"), Place(match[1] or match[2], int(match[3]))

    def end(self) -> None:
        """Complain about a key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                known = f"one of {', '.join(self._asked)}{perhaps(key, self._asked)}"
                raise DescriptorError(f"{self.file}: the key {self._prefix}{key} is unknown; expected {known}")

    def wrong(self, key: str, found: object, expected: str) -> DescriptorError:
        return DescriptorError(f"{self.file}: {self._prefix}{key} is {found!r}; expected {expected}")


def example_of(blocks: Iterable[Block]) -> str:
    """A descriptor with a profile for each block, to be cut down to what the proxy can do."""
    lines = [HEAD.format(claims=", ".join(f'"{claim}"' for claim in CLAIMS))]
    for number, block in enumerate(blocks):
        port = FIRST_PORT + number
        listen = {"unix": f"unix:/run/myproxy/{number}", "ipv6": f"[::1]:{port}", "dual": f"[::1]:{port}"}
        lines += [
            f"[profiles.{block.protocol}-{number}]",
            f'protocol = "{block.protocol}"',
            f'listen = "{listen.get(block.address, f"127.0.0.1:{port}")}"',
        ]
        lines += ["dual = true"] if block.address == "dual" else []
        lines += [f"directives = {_quoted(block.directives)}"] if block.directives else []
        lines += [f"parameters = {_quoted(block.listen)}"] if block.listen else []
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    return '"' + re.sub(r'["\\\x00-\x1f\x7f]', lambda m: escapes.get(m[0], f"\\u{ord(m[0]):04x}"), text) + '"'
