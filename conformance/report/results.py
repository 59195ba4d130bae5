"""The results of a run as data: the JSON file that all other reports can be made from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from conformance.verdict import Finding, Verdict
from refproxy import __version__

__all__ = ["SCHEMA", "CaseResult", "Results", "collect", "from_json", "to_json"]

SCHEMA = 1
"""Grows when a reader of older files would misread a newer one."""

LISTS = ("rules", "directives", "notes")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case in the results; everything is text that may be shown."""

    id: str
    title: str
    level: str
    rules: tuple[str, ...]
    directives: tuple[str, ...]
    verdict: str
    reason: str
    wanted: str
    found: str
    duration: float
    ladder: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """A run against one target."""

    suite: str
    target: str
    target_version: str
    cases: tuple[CaseResult, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many cases came to each verdict."""
        return Counter(case.verdict for case in self.cases)


def collect(target: str, version: str, findings: Sequence[Finding]) -> Results:
    """The findings of a run, by id."""
    cases = [
        CaseResult(
            id=found.case.id,
            title=found.case.title,
            level=found.case.level.value,
            rules=found.case.rules,
            directives=found.case.directives,
            verdict=found.verdict.value,
            reason=found.reason,
            wanted=found.wanted,
            found=found.found,
            duration=round(found.duration, 4),
            ladder=found.ladder,
            notes=found.notes,
        )
        for found in sorted(findings, key=lambda found: found.case.id)
    ]
    return Results(__version__, target, version, tuple(cases))


def to_json(results: Results) -> str:
    """The results in the versioned schema."""
    cases = [{name: getattr(case, name) for name in CaseResult.__dataclass_fields__} for case in results.cases]
    whole = {
        "schema": SCHEMA,
        "suite": results.suite,
        "target": {"name": results.target, "version": results.target_version},
        "counts": {verdict.value: results.counts[verdict.value] for verdict in Verdict},
        "cases": cases,
    }
    return json.dumps(whole, indent=1) + "\n"


def from_json(text: str) -> Results:
    """Read results. Raises ValueError for another schema or a file that is something else."""
    try:
        whole = json.loads(text)
        if whole["schema"] != SCHEMA:
            raise ValueError(f"schema {whole['schema']} instead of {SCHEMA}")
        target = whole["target"]
        cases = tuple(map(_case_from, whole["cases"]))
        return Results(str(whole["suite"]), str(target["name"]), str(target["version"]), cases)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no results of this suite: {error!r}") from error


def _case_from(fields: dict[str, Any]) -> CaseResult:
    values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in fields.items()}
    case = CaseResult(**values)
    for name, it in values.items():
        wanted: Any = (int, float) if name == "duration" else tuple if name in LISTS else str
        if not isinstance(it, wanted) or (wanted is tuple and not all(isinstance(word, str) for word in it)):
            raise ValueError(f"{name} of a case is {it!r:.100}")
    Verdict(case.verdict)  # raises ValueError
    return case
