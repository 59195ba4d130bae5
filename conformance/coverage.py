"""Which cases exercise which rule and which directive; and why none does, where none does."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.case import Case
from conformance.selection import Unknown, perhaps

__all__ = ["REASONS", "Coverage", "cover", "load_reasons"]

RANGE = re.compile(r"([A-Z0-9]+)-(\d+)\.\.(\d+)")
"""As the rule book writes it: all rules from the first to the last."""

REASONS = Path(__file__).parent / "uncovered.toml"


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ids of the cases by rule or directive, in the order of the book, and the reasons for those without any."""

    cases: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, str]

    @property
    def unexplained(self) -> list[str]:
        """What has neither a case nor a reason."""
        return [name for name, ids in self.cases.items() if not ids and name not in self.reasons]

    @property
    def outdated(self) -> list[str]:
        """What has a reason for having no case, and has a case."""
        return [name for name in self.reasons if self.cases[name]]


def cover(names: Iterable[str], cases: Collection[Case], reasons: Mapping[str, str]) -> Coverage:
    """Find the cases of all rules and directives."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for case in cases:
        for name in dict.fromkeys((*case.rules, *case.directives)):
            if name not in found:
                raise Unknown(f'case {case.id}: no rule and no directive is called "{name}"{perhaps(name, found)}')
            found[name].append(case.id)
    return Coverage({name: tuple(ids) for name, ids in found.items()}, reasons)


def load_reasons(path: Path, known: Collection[str]) -> dict[str, str]:
    """The reasons of a file. Raises Unknown, whose text helps, also for a rule or directive that does not exist."""
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unknown(f"{path}: {error}") from error
    reasons: dict[str, str] = {}
    for key, reason in written.items():
        if not isinstance(reason, str) or not reason.strip():
            raise Unknown(f"{path}: the reason of {key} is {reason!r}; wanted a text that is not empty")
        for name in meant(key, known):
            if name not in known:
                raise Unknown(f'{path}: no rule and no directive is called "{name}"{perhaps(name, known)}')
            if name in reasons:
                raise Unknown(f"{path}: {name} has two reasons")
            reasons[name] = reason
    return reasons


def meant(key: str, known: Collection[str]) -> list[str]:
    """The names that a key stands for: itself, or the rules of a range, whose ends have to exist."""
    if (match := RANGE.fullmatch(key)) is None:
        return [key]
    first, last = int(match[2]), int(match[3])
    inner = [f"{match[1]}-{number}" for number in range(first + 1, last)]
    return [f"{match[1]}-{first}", *(name for name in inner if name in known), f"{match[1]}-{last}"]
