"""What a case came to: from what its script found to the verdict about a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from conformance.case import Case
from conformance.rulebook import Level

__all__ = ["Finding", "Mismatch", "Outcome", "Verdict", "judge"]


class Outcome(Enum):
    """What the script of a case found."""

    AGREED = "agreed"
    DIFFERED = "differed"
    SKIPPED = "skipped"
    BROKE = "broke"  # our own defect, or the target is gone


class Verdict(Enum):
    """What is said of a target, case by case."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    INFO = "info"
    SKIP = "skip"
    EXPECTED = "expected failure"
    UNEXPECTED = "unexpected pass"
    ERROR = "error"


BAD = frozenset({Verdict.FAIL, Verdict.UNEXPECTED})
"""The verdicts that make a run fail."""


class Mismatch(Exception):
    """The target did not do what the case wants. `wanted` are the accepted outcomes, `found` is what happened."""

    def __init__(self, wanted: str, found: str) -> None:
        super().__init__(f"wanted {wanted}, found {found}")
        self.wanted, self.found = wanted, found


@dataclass(frozen=True, slots=True)
class Finding:
    """One case run against one target. `reason` says why, in one line; `ladder` draws what crossed."""

    case: Case
    outcome: Outcome
    verdict: Verdict
    reason: str = ""
    wanted: str = ""
    found: str = ""
    duration: float = 0.0
    ladder: str = ""
    notes: tuple[str, ...] = ()


def judge(case: Case, outcome: Outcome, dialects: frozenset[Level], expected: Mapping[str, str]) -> Verdict:
    """Decide about a case.

    A rule of a dialect that the target does not claim never fails it: `dialects` holds VENDOR, OURS or both. `expected`
    are the known deviations of the target, by case id.
    """
    match outcome:
        case Outcome.SKIPPED:
            return Verdict.SKIP
        case Outcome.BROKE:
            return Verdict.ERROR
        case Outcome.AGREED:
            return Verdict.UNEXPECTED if case.id in expected else Verdict.PASS
        case Outcome.DIFFERED if case.level in (Level.VENDOR, Level.OURS) and case.level not in dialects:
            return Verdict.INFO
        case Outcome.DIFFERED if case.id in expected:
            return Verdict.EXPECTED
        case Outcome.DIFFERED:
            return Verdict.WARN if case.level is Level.SHOULD else Verdict.FAIL
