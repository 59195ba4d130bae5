"""A run: the target is started once for cases that can share it, all of them go at once, and each finding is told."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

import conformance.cases.canary  # noqa: F401 (registers)
from conformance.bench import Bench, World
from conformance.case import Case, Needs, registered
from conformance.targets.base import Fixture, Running, Target, TargetTrouble
from conformance.verdict import Finding, Mismatch, Outcome, Verdict, judge

__all__ = ["Plan", "Tell", "run"]

STARTS = 4  # of the target at once, each for few cases
LAST_BREATH = 0.25  # seconds from the end of a target's connections to the end of its process
SICK = frozenset({Verdict.FAIL, Verdict.ERROR})
"""Verdicts about a canary that make the rest meaningless."""

OUTLIVED = "which passed before other cases: the target did not stay well"

Tell = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how. `expected` are known deviations by case id, `directory` is for the target's files.

    Ladders of cases that pass are drawn on wish only: it takes a good part of the suite's own time.
    """

    cases: Sequence[Case]
    target: Target
    directory: Path
    jobs: int = 64
    scale: float = 1.0
    expected: Mapping[str, str] = field(default_factory=dict)
    draws_all: bool = True


async def run(plan: Plan, tell: Tell) -> None:
    """Run all cases of a plan, telling each finding.

    Raises TargetTrouble when the target does not start, dies, or fails the canaries, which begin and end every run.
    """
    runnable = []
    for case in plan.cases:
        if (reason := plan.target.refusal(case)) is not None:
            tell(Finding(case, Outcome.SKIPPED, judge(case, Outcome.SKIPPED, frozenset(), {}), reason))
        else:
            runnable.append(case)
    watch = Watch(plan.target, runnable, tell)
    cases = [case for case in runnable if not is_canary(case)]
    numbers = {case.id: number for number, case in enumerate([*watch.cases, *cases])}
    world = World.of(plan.target, plan.directory)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(world.serve)
            await _run_starts(plan, starts(watch, cases, tell), numbers, world)
            nursery.cancel_scope.cancel()
    except* TargetTrouble as troubles:
        trouble = _first(troubles)
    else:
        return
    raise trouble


@dataclass(frozen=True, slots=True)
class Stage:
    """Cases that go at once, and what is done when all have ended."""

    cases: Sequence[Case]
    tell: Tell
    end: Callable[[Running], None] = lambda running: None


def starts(watch: Watch, cases: Sequence[Case], tell: Tell) -> list[list[Stage]]:
    """What to do with the target, one list for each time it is started.

    Nothing comes before the canaries, nor after them. Those that may share a start come first, because they tell most
    in the shortest time; canaries see that the process outlived them.
    """
    if not watch.cases:
        return [[Stage(group, tell)] for group in groups(cases)]
    with_canaries, *others = groups([*watch.cases, *cases])
    most = Stage([case for case in with_canaries if not is_canary(case)], tell)
    if not others:
        return [[watch.first, most, watch.last]]
    return [[watch.first, most, watch.between], *([Stage(group, tell)] for group in others), [watch.last]]


def is_canary(case: Case) -> bool:
    """Whether a case is there to see that the target is well."""
    return case.id.split("/")[1] == "canary"


class Watch:
    """The canaries of the protocols that the cases are about: judged again and again, told once."""

    def __init__(self, target: Target, cases: Sequence[Case], tell: Tell) -> None:
        protocols = {case.block.protocol for case in cases}
        canaries = [case for case in registered().values() if is_canary(case) and case.block.protocol in protocols]
        self.cases = [case for case in canaries if target.refusal(case) is None]
        self._chosen = {case.id for case in cases}
        self._tell = tell
        self._before: list[Finding] = []
        self._between: list[Finding] = []
        self._after: list[Finding] = []

    @property
    def first(self) -> Stage:
        """The stage before all others."""
        return Stage(self.cases, self._before.append, self._end_first)

    @property
    def between(self) -> Stage:
        """A stage behind others; the canaries are not told unless they fail."""
        return Stage(self.cases, self._between.append, self._end_between)

    @property
    def last(self) -> Stage:
        """The stage after all others."""
        return Stage(self.cases, self._after.append, self._end_last)

    def _end_first(self, running: Running) -> None:
        if sick := [finding for finding in self._before if finding.verdict in SICK]:
            self._fail(
                sick, running, "so nothing else was judged: the target is not set up as cases expect, or not well"
            )

    def _end_between(self, running: Running) -> None:
        if sick := [finding for finding in self._between if finding.verdict in SICK]:
            self._fail(sick, running, OUTLIVED)

    def _end_last(self, running: Running) -> None:
        sick = [finding for finding in self._after if finding.verdict in SICK]
        failed = {finding.case.id for finding in sick}
        for finding in self._before:
            if finding.case.id in self._chosen - failed:
                self._tell(finding)
        if sick:
            self._fail(sick, running, OUTLIVED)

    def _fail(self, sick: Sequence[Finding], running: Running, meaning: str) -> None:
        sick = sorted(sick, key=lambda finding: finding.case.id)
        for finding in sick:
            self._tell(finding)
        names = ", ".join(finding.case.id for finding in sick)
        raise TargetTrouble(f"the canary failed ({names}), {meaning}; {running.said()}")


def groups(cases: Iterable[Case]) -> list[list[Case]]:
    """Cases that share a start of the target; those that must be alone come last."""
    shared: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        shared.setdefault((case.id if case.alone else "", case.main, case.mail), []).append(case)
    return [shared[key] for key in sorted(shared)]


async def _run_starts(
    plan: Plan, all_stages: Sequence[Sequence[Stage]], numbers: Mapping[str, int], world: World
) -> None:
    """Start the target again and again: the first and the last time by itself, the others a few at a time if it can.

    A start is mostly waiting, and so are the cases that need one of their own.
    """
    first, *others = all_stages
    last = [others.pop()] if len(others) > 1 else []
    limit = trio.CapacityLimiter(STARTS if plan.target.several else 1)

    async def one(number: int, stages: Sequence[Stage]) -> None:
        async with limit:
            await _run_stages(plan, stages, numbers, world, number)

    await one(0, first)
    async with trio.open_nursery() as nursery:
        for number, stages in enumerate(others, 1):
            nursery.start_soon(one, number, stages)
    for stages in last:
        await one(len(all_stages), stages)


async def _run_stages(
    plan: Plan, stages: Sequence[Stage], numbers: Mapping[str, int], world: World, number: int
) -> None:
    cases = [case for stage in stages for case in stage.cases]
    blocks = list(dict.fromkeys(case.block for case in cases))
    first = cases[0]
    fixture = Fixture(
        blocks,
        world.auth_port,
        world.dns.port,
        world.files,
        plan.directory / f"start-{number}" if number else plan.directory,
        first.main,
        first.mail,
        world.auth6_port,
        first.alone and Needs.SIGNALS in first.needs,
    )
    limit = trio.CapacityLimiter(plan.jobs)
    async with plan.target.run(fixture) as running:
        for stage in stages:
            async with trio.open_nursery() as nursery:
                for case in stage.cases:
                    bench = Bench(case, numbers[case.id], running, world)
                    nursery.start_soon(_run_case, plan, bench, running, limit, stage.tell)
            stage.end(running)


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
    may_end = case.alone and Needs.SIGNALS in case.needs
    if outcome is not Outcome.AGREED and not may_end:
        with trio.move_on_after(LAST_BREATH):
            await running.ended()
        if (trouble := running.trouble()) is not None:
            reason = f"{case.id}: {trouble}"
            tell(Finding(case, Outcome.BROKE, Verdict.ERROR, reason, ladder=bench.transcript.draw(case.id)))
            raise TargetTrouble(reason)
    known = case.deviates.get(plan.target.name)
    expected = plan.expected if known is None else {case.id: known, **plan.expected}
    verdict = judge(case, outcome, plan.target.dialects, expected)
    if verdict is Verdict.UNEXPECTED:
        reason = f"passes, but is known to deviate: {expected[case.id]}"
    hide = bench.transcript.masked_text
    drawn = plan.draws_all or verdict is not Verdict.PASS
    tell(
        Finding(
            case,
            outcome,
            verdict,
            hide(reason or expected.get(case.id, "") or (f"wanted {wanted}; found {found}" if wanted else "")),
            hide(wanted),
            hide(found),
            trio.current_time() - started,
            bench.transcript.draw(f"{case.id}: {case.title}") if drawn else "",
            tuple(map(hide, bench.notes)),
        )
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first leaf of an exception group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
