"""The rule book as data: every rule of `docs/rules`, with its level, its text, and why it matters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

__all__ = ["DIRECTORY", "PREFIXES", "Level", "Rule", "load_rules", "parse_rules", "prose_lines"]

PACKAGED = Path(__file__).parent / "rules"
DIRECTORY = PACKAGED if PACKAGED.is_dir() else Path(__file__).parent.parent / "docs" / "rules"
"""In an installed package the rule book lies beside this file."""

PREFIXES = {
    "config": "CONF",
    "core": "CORE",
    "smtp": "SMTP",
    "imap": "IMAP",
    "pop3": "POP3",
    "sasl": "SASL",
    "auth_http": "AUTH",
    "proxy": "PROXY",
    "tls": "TLS",
}
"""The files of the rule book, and the letters that their ids begin with."""

DEFINITION = re.compile(r"^\s*(?:[-*]\s+|\|\s*|#{2,4}\s+)\*\*([A-Z0-9]+-\d+)\*\*(?: \((rfc|vendor|ours)\)(?= |$))?")
QUIRK = re.compile(r"^\|\s*\*\*([A-Z0-9]+-Q\d+)\*\*\s*\|")


class Level(Enum):
    """How much a rule binds a mail proxy.

    MUST and SHOULD bind every one. VENDOR is what Angie and nginx do by choice, and binds those who claim their
    dialect. OURS is what refproxy does by choice.
    """

    MUST = "must"
    SHOULD = "should"
    VENDOR = "vendor"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Rule:
    """One numbered rule. `kind` is the class in the rule book: rfc, vendor or ours (None where it is missing)."""

    id: str
    kind: str | None
    text: str
    where: str

    @property
    def level(self) -> Level:
        """What the class means for a proxy."""
        return {"rfc": Level.MUST, "ours": Level.OURS}.get(self.kind or "", Level.VENDOR)


def numbered_lines(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Every line with its place, and whether it is part of a fenced block, where nothing is a definition."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = line.lstrip().startswith("```")
        yield f"{path.name}:{number}", line, fenced or fence
        fenced ^= fence


def prose_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines outside fenced blocks, with their places."""
    return ((where, line) for where, line, fenced in numbered_lines(path) if not fenced)


def parse_rules(path: Path) -> list[Rule]:
    """All rules of one file, in order.

    A rule in a list or heading reaches to the next rule or heading; one in a table row takes in the rows below it
    whose first cell is empty.
    """
    found: list[tuple[re.Match[str], str, list[str]]] = []
    open_row = open_text = False
    for where, line, fenced in numbered_lines(path):
        if fenced:
            if open_text:
                found[-1][2].append(line)
        elif match := DEFINITION.match(line):
            open_row = line.lstrip().startswith("|")
            open_text = not open_row
            found.append((match, where, [line[match.end() :].strip()]))
        elif line.startswith("#") or QUIRK.match(line):
            open_row = open_text = False
        elif open_row and not re.match(r"\|\s*\|", line):
            open_row = False
        elif open_row or open_text:
            found[-1][2].append(line)
    return [Rule(m[1], m[2], "\n".join(lines).strip(), where) for m, where, lines in found]


@cache
def load_rules() -> Mapping[str, Rule]:
    """All rules by id, in the order of the book."""
    return {rule.id: rule for name in PREFIXES for rule in parse_rules(DIRECTORY / f"{name}.md")}
