"""The rule book as data: every rule of `docs/rules`, with its level, its text, and why it matters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

__all__ = [
    "DIRECTORY",
    "PREFIXES",
    "Grounds",
    "Level",
    "Rule",
    "grounds_lines",
    "load_rules",
    "parse_grounds",
    "parse_rules",
    "prose_lines",
]

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

GROUNDS_HEADING = "## Levels, sources and reasons"
GROUNDS = re.compile(r"- ([A-Z0-9]+-\d+): (must|should|vendor|ours); ([^;]+); (\S.*)")


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
    """One numbered rule. `kind` is the class in the rule book: rfc, vendor or ours (None where it is missing).

    `source` says who demands it, `reason` in one sentence what breaks without it; both are empty where the file has
    no line about the rule.
    """

    id: str
    kind: str | None
    text: str
    where: str
    level: Level
    source: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a rule binds: one line of the last section of a file."""

    id: str
    level: Level
    source: str
    reason: str
    where: str


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
    grounds = {line.id: line for line in parse_grounds(path)}
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
    return [_rule(m[1], m[2], "\n".join(lines).strip(), where, grounds.get(m[1])) for m, where, lines in found]


def _rule(id: str, kind: str | None, text: str, where: str, grounds: Grounds | None) -> Rule:
    """A rule with what its line says; without a line its class decides the level."""
    if grounds is None:
        return Rule(id, kind, text, where, {"rfc": Level.MUST, "ours": Level.OURS}.get(kind or "", Level.VENDOR))
    return Rule(id, kind, text, where, grounds.level, grounds.source, grounds.reason)


def grounds_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of the section of levels, sources and reasons, well formed or not, with their places."""
    inside = False
    for where, line in prose_lines(path):
        if line.startswith("#"):
            inside = line.rstrip() == GROUNDS_HEADING
        elif inside and line.strip():
            yield where, line


def parse_grounds(path: Path) -> list[Grounds]:
    """What a file says about the level, source and reason of its rules, in order; malformed lines are left out."""
    return [
        Grounds(match[1], Level(match[2]), match[3].strip(), match[4].strip(), where)
        for where, line in grounds_lines(path)
        if (match := GROUNDS.fullmatch(line))
    ]


@cache
def load_rules() -> Mapping[str, Rule]:
    """All rules by id, in the order of the book."""
    return {rule.id: rule for name in PREFIXES for rule in parse_rules(DIRECTORY / f"{name}.md")}
