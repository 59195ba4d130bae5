"""From what a case found to the verdict about a target."""

from __future__ import annotations

import pytest

from conformance.bench import Bench
from conformance.case import Block, Case
from conformance.rulebook import Level
from conformance.verdict import Outcome, Verdict, judge

ANGIE = frozenset({Level.VENDOR})


async def nothing(bench: Bench) -> None:
    """A script that finds nothing."""


def a_case(level: Level) -> Case:
    return Case("a/b", "a title", ("SMTP-1",), Block("smtp"), nothing, level=level)


@pytest.mark.parametrize(
    ("level", "dialects", "verdict"),
    [
        (Level.MUST, frozenset(), Verdict.FAIL),
        (Level.SHOULD, frozenset(), Verdict.WARN),
        (Level.VENDOR, frozenset(), Verdict.INFO),
        (Level.VENDOR, ANGIE, Verdict.FAIL),
        (Level.OURS, ANGIE, Verdict.INFO),
        (Level.OURS, ANGIE | {Level.OURS}, Verdict.FAIL),
    ],
)
def test_a_difference_counts_for_those_whom_the_rule_binds(
    level: Level, dialects: frozenset[Level], verdict: Verdict
) -> None:
    assert judge(a_case(level), Outcome.DIFFERED, dialects, {}) is verdict
    assert judge(a_case(level), Outcome.AGREED, dialects, {}) is Verdict.PASS


def test_known_deviations() -> None:
    known = {"a/b": "a reason"}
    assert judge(a_case(Level.MUST), Outcome.DIFFERED, ANGIE, known) is Verdict.EXPECTED
    assert judge(a_case(Level.MUST), Outcome.AGREED, ANGIE, known) is Verdict.UNEXPECTED
    assert judge(a_case(Level.MUST), Outcome.SKIPPED, ANGIE, known) is Verdict.SKIP
    assert judge(a_case(Level.MUST), Outcome.BROKE, ANGIE, known) is Verdict.ERROR
