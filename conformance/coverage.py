"""Which cases exercise which rule and which directive; and why none does, where none does."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.case import Case
from conformance.selection import Unknown, perhaps

__all__ = ["REASONS", "Coverage", "cover", "load_reasons"]

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
        reasons = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unknown(f"{path}: {error}") from error
    for name, reason in reasons.items():
        if name not in known:
            raise Unknown(f'{path}: no rule and no directive is called "{name}"{perhaps(name, known)}')
        if not isinstance(reason, str) or not reason.strip():
            raise Unknown(f"{path}: the reason of {name} is {reason!r}; wanted a text that is not empty")
    return reasons
