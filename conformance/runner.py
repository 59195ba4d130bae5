"""A run: the target is started once for cases that can share it, all of them go at once, and each finding is told."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from conformance.bench import Bench, World
from conformance.case import Case
from conformance.targets.base import Fixture, Running, Target, TargetTrouble
from conformance.verdict import Finding, Mismatch, Outcome, Verdict, judge

__all__ = ["Plan", "run"]

Tell = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how. `expected` are known deviations by case id, `directory` is for the target's files."""

    cases: Sequence[Case]
    target: Target
    directory: Path
    jobs: int = 64
    scale: float = 1.0
    expected: Mapping[str, str] = field(default_factory=dict)


async def run(plan: Plan, tell: Tell) -> None:
    """Run all cases of a plan, telling each finding. Raises TargetTrouble when the target does not start or dies."""
    runnable = []
    for case in plan.cases:
        if (reason := plan.target.refusal(case)) is not None:
            tell(Finding(case, Outcome.SKIPPED, judge(case, Outcome.SKIPPED, frozenset(), {}), reason))
        else:
            runnable.append(case)
    world = World.of(plan.target, plan.directory)
    numbers = {case.id: number for number, case in enumerate(runnable)}
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(world.serve)
            for group in groups(runnable):
                await _run_group(plan, group, numbers, world, tell)
            nursery.cancel_scope.cancel()
    except* TargetTrouble as troubles:
        trouble = _first(troubles)
    else:
        return
    raise trouble


def groups(cases: Iterable[Case]) -> list[list[Case]]:
    """Cases that share a start of the target; those that must be alone come last."""
    shared: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        shared.setdefault((case.id if case.alone else "", case.main), []).append(case)
    return [shared[key] for key in sorted(shared)]


async def _run_group(plan: Plan, cases: list[Case], numbers: Mapping[str, int], world: World, tell: Tell) -> None:
    blocks = list(dict.fromkeys(case.block for case in cases))
    fixture = Fixture(blocks, world.auth_port, world.dns.port, world.files, plan.directory, cases[0].main)
    limit = trio.CapacityLimiter(plan.jobs)
    async with plan.target.run(fixture) as running, trio.open_nursery() as nursery:
        for case in cases:
            bench = Bench(case, numbers[case.id], running, world)
            nursery.start_soon(_run_case, plan, bench, running, limit, tell)


async def _run_case(plan: Plan, bench: Bench, running: Running, limit: trio.CapacityLimiter, tell: Tell) -> None:
    case = bench.case
    async with limit:
        started = trio.current_time()
        outcome, reason, wanted, found = Outcome.AGREED, "", "", ""
        try:
            with trio.fail_after(case.limit * plan.scale):
                await bench.run()
        except* Mismatch as mismatches:
            mismatch = _first(mismatches)
            assert isinstance(mismatch, Mismatch)
            outcome, wanted, found = Outcome.DIFFERED, mismatch.wanted, mismatch.found
        except* trio.TooSlowError:
            outcome, wanted = Outcome.DIFFERED, bench.awaited
            found = f"nothing within {case.limit * plan.scale:g} s"
        except* Exception as defects:
            outcome = Outcome.BROKE
            reason = "".join(traceback.format_exception(_first(defects))).strip()
    if outcome is not Outcome.AGREED and (trouble := running.trouble()) is not None:
        raise TargetTrouble(f"{case.id}: {trouble}")
    known = case.deviates.get(plan.target.name)
    expected = plan.expected if known is None else {case.id: known, **plan.expected}
    verdict = judge(case, outcome, plan.target.dialects, expected)
    if verdict is Verdict.UNEXPECTED:
        reason = f"passes, but is known to deviate: {expected[case.id]}"
    hide = bench.transcript.masked_text
    tell(
        Finding(
            case,
            outcome,
            verdict,
            hide(reason or expected.get(case.id, "") or (f"wanted {wanted}; found {found}" if wanted else "")),
            hide(wanted),
            hide(found),
            trio.current_time() - started,
            bench.transcript.draw(f"{case.id}: {case.title}"),
            tuple(map(hide, bench.notes)),
        )
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first leaf of an exception group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
