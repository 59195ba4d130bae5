"""The rule book can be read as data, is complete in itself, and defines every rule that is cited anywhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.rulebook import (
    DEFINITION,
    GROUNDS,
    PREFIXES,
    QUIRK,
    Grounds,
    Level,
    Rule,
    grounds_lines,
    parse_grounds,
    parse_rules,
    prose_lines,
)

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "docs" / "rules"
FILES = [RULES / f"{name}.md" for name in PREFIXES]
CITING = ("refproxy", "conformance", "tests", "docs")
CITING_SUFFIXES = {".py", ".md", ".rst", ".toml", ".conf", ".txt"}

# What looks like a definition, well formed or not: an id with or without bold where a definition would stand.
CANDIDATE = re.compile(r"^\s*(?:[-*]\s+|\d+\.\s+|\|\s*|#{1,6}\s+)(?:\*\*)?([A-Z][A-Z0-9]+-Q?\d+)(?:\*\*)?(?=\s|$)")
CITATION = re.compile(
    r"(?<![\w-])(" + "|".join(PREFIXES.values()) + r")-(Q?\d+)\b(?!\.\d)"  # not TLS-1.2
    r"(?:\.\.(?:\1-)?(Q?\d+))?"  # SMTP-12..15
)
LEVELS = {"rfc": {Level.MUST, Level.SHOULD}, "vendor": {Level.VENDOR}, "ours": {Level.OURS}}
SENTENCE = re.compile(r"\S(?:[^.!?]|[.!?](?!\s|$))*\.")  # a dot within a word, such as in `2.0.0`, ends nothing
VENDOR = re.compile(r"\*(?:Angie|nginx|Angie, nginx):\*")


@dataclass(frozen=True, slots=True)
class Quirk:
    """One row of a table of known quirks."""

    id: str
    what: str
    choice: str
    rules: tuple[str, ...]
    where: str


def parse_quirks(path: Path) -> list[Quirk]:
    """All quirk rows of one file; a row without four cells gives empty fields."""
    quirks = []
    for where, line in prose_lines(path):
        if match := QUIRK.match(line):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            _, what, choice, rules = cells if len(cells) == 4 else ("", "", "", "")
            quirks.append(Quirk(match[1], what, choice, tuple(rules.split(", ")) if rules else (), where))
    return quirks


def cited_ids(text: str) -> set[str]:
    """Every rule or quirk id in a text; of a range both ends."""
    ids = set()
    for match in CITATION.finditer(text):
        ids.add(f"{match[1]}-{match[2]}")
        if match[3]:
            ids.add(f"{match[1]}-{match[3]}")
    return ids


def citing_files() -> list[Path]:
    paths = (path for name in CITING for path in sorted((ROOT / name).rglob("*")))
    return [path for path in paths if path.suffix in CITING_SUFFIXES and path.is_file()]


def all_rules() -> list[Rule]:
    return [rule for path in FILES for rule in parse_rules(path)]


def all_quirks() -> list[Quirk]:
    return [quirk for path in FILES for quirk in parse_quirks(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_definition_has_the_format_the_class_and_the_prefix_of_its_file(path: Path) -> None:
    faults = []
    for where, line in prose_lines(path):
        if match := CANDIDATE.match(line):
            definition = DEFINITION.match(line)
            if not QUIRK.match(line) and not (definition and definition[2]):
                faults.append(f"{where}: {line[:60]!r} is no definition with a class")
            if not match[1].startswith(PREFIXES[path.stem] + "-"):
                faults.append(f"{where}: {match[1]} does not belong into this file")
    assert not faults, "\n".join(faults)
    assert parse_rules(path), f"{path.name} defines no rule"


def test_every_rule_says_something() -> None:
    assert [rule.id for rule in all_rules() if not re.search(r"\w{2}", rule.text)] == []


def test_every_id_is_defined_once() -> None:
    defined = Counter([rule.id for rule in all_rules()] + [quirk.id for quirk in all_quirks()])
    assert [id_ for id_, times in defined.items() if times > 1] == []


def test_every_rule_of_ours_says_what_the_vendors_do() -> None:
    silent = [
        f"{rule.where}: {rule.id}" for rule in all_rules() if rule.kind == "ours" and not VENDOR.search(rule.text)
    ]
    assert not silent, "\n".join(silent)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_quirk_names_a_choice_and_rules_that_exist(path: Path) -> None:
    rules = {rule.id: rule for rule in all_rules()}
    quirks = parse_quirks(path)
    faults = []
    for quirk in quirks:
        kinds = [rules[id_].kind for id_ in quirk.rules if id_ in rules]
        if quirk.choice not in ("ours", "vendor"):
            faults.append(f"{quirk.where}: {quirk.id} has the choice {quirk.choice!r}")
        if not quirk.what or not quirk.rules or len(kinds) != len(quirk.rules):
            faults.append(f"{quirk.where}: {quirk.id} lacks a text or names rules that do not exist: {quirk.rules}")
        if quirk.choice == "ours" and "ours" not in kinds:
            faults.append(f"{quirk.where}: {quirk.id} is decided our way, but none of its rules is of class ours")
    assert not faults, "\n".join(faults)
    assert quirks, f"{path.name} has no table of quirks"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_of_grounds_is_about_a_rule_of_its_file_and_fits_it(path: Path) -> None:
    rules = {rule.id: rule for rule in parse_rules(path)}
    faults = [
        f"{where}: {line[:60]!r} is not of the form `- ID: level; source; reason.`"
        for where, line in grounds_lines(path)
        if not GROUNDS.fullmatch(line)
    ]
    grounds = parse_grounds(path)
    for line in grounds:
        rule = rules.get(line.id)
        if rule is None:
            faults.append(f"{line.where}: {line.id} is no rule of this file")
        elif line.level not in LEVELS[rule.kind or "vendor"]:
            faults.append(f"{line.where}: the level {line.level.value} does not fit class {rule.kind} of {line.id}")
        if not line.source:
            faults.append(f"{line.where}: {line.id} has no source")
        if not SENTENCE.fullmatch(line.reason):
            faults.append(f"{line.where}: the reason of {line.id} is not one sentence: {line.reason!r}")
    told = [line.id for line in grounds]
    faults += [f"{path.name}: {id} has {times} lines" for id, times in Counter(told).items() if times > 1]
    assert not faults, "\n".join(faults)
    assert told == list(rules), "a rule has no line, or the lines are not in the order of the rules"


def test_every_cited_id_is_defined() -> None:
    defined = {rule.id for rule in all_rules()} | {quirk.id for quirk in all_quirks()}
    unknown = {
        f"{path.relative_to(ROOT)}: {id_}"
        for path in citing_files()
        for id_ in cited_ids(path.read_text(encoding="utf-8", errors="replace")) - defined
    }
    assert not unknown, "\n".join(sorted(unknown))


def test_the_index_links_every_file() -> None:
    index = (RULES / "index.md").read_text(encoding="utf-8")
    assert [path.name for path in FILES if f"({path.name})" not in index] == []
    assert sorted(path.stem for path in RULES.glob("*.md")) == sorted([*PREFIXES, "index"])


def test_a_rule_takes_in_what_belongs_to_it(tmp_path: Path) -> None:
    sample = tmp_path / "sample.md"
    sample.write_text(
        "# title\n"
        "- **SMTP-1** (ours) first\n"
        "\n| table | of it |\n|---|---|\n| a | *Angie:* b |\n"
        "\n| rule | text |\n|---|---|\n"
        "| **SMTP-2** (rfc) | second |\n| | goes on |\n| other | row |\n"
        "### **SMTP-3** no class\n"
        "```\n- **SMTP-4** (rfc) text of the rule above\n```\n"
        "## quirks\n| **SMTP-Q1** | what | ours | SMTP-1, SMTP-2 |\n",
        encoding="utf-8",
    )
    first, second, third = parse_rules(sample)
    assert (first.id, first.kind) == ("SMTP-1", "ours")
    assert VENDOR.search(first.text)
    assert second == Rule("SMTP-2", "rfc", "| second |\n| | goes on |", "sample.md:10", Level.MUST)
    assert (third.id, third.kind) == ("SMTP-3", None)
    assert "text of the rule above" in third.text
    assert parse_quirks(sample) == [Quirk("SMTP-Q1", "what", "ours", ("SMTP-1", "SMTP-2"), "sample.md:18")]


def test_a_line_of_grounds_decides_level_source_and_reason(tmp_path: Path) -> None:
    sample = tmp_path / "sample.md"
    sample.write_text(
        "- **SMTP-1** (rfc) first\n- **SMTP-2** (rfc) second\n"
        "## Levels, sources and reasons\n\n"
        "- SMTP-1: should; RFC 5321 section 4.1; without `a; b` a client waits.\n- SMTP-2: perhaps; x; y.\n"
        "## another section\n- SMTP-2: should; x; not here.\n",
        encoding="utf-8",
    )
    first, second = parse_rules(sample)
    assert (first.text, first.level) == ("first", Level.SHOULD)
    assert parse_grounds(sample) == [Grounds("SMTP-1", first.level, first.source, first.reason, "sample.md:5")]
    assert (first.source, first.reason) == ("RFC 5321 section 4.1", "without `a; b` a client waits.")
    assert (second.level, second.source, second.reason) == (Level.MUST, "", "")
    assert [where for where, _ in grounds_lines(sample)] == ["sample.md:5", "sample.md:6"]


@pytest.mark.parametrize(
    ("reason", "fits"),
    [("a client waits.", True), ("`2.0.0` is lost.", True), ("no end", False), ("one. two.", False), (".", False)],
)
def test_a_reason_is_one_sentence(reason: str, fits: bool) -> None:
    assert bool(SENTENCE.fullmatch(reason)) is fits


def test_citations_are_found_in_prose() -> None:
    text = "see SMTP-12, AUTH-29..33, (POP3-Q1..Q4), CORE-17.\nnot TLS-1.2, X-CORE-9, CRAM-MD5, SASL-IR"
    assert cited_ids(text) == {"SMTP-12", "AUTH-29", "AUTH-33", "POP3-Q1", "POP3-Q4", "CORE-17"}
