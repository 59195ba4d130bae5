"""How many mutants the conformance suite catches, and which survive: `python -m tests.mutants.score [NAME...]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

import trio

import conformance.cases.all  # noqa: F401  # registers every case
from conformance.case import registered
from conformance.runner import Plan, run
from conformance.selection import Selection, select
from conformance.targets.angie import AngieLike, refproxy
from conformance.targets.base import TargetTrouble
from conformance.verdict import BAD, Finding, Verdict
from tests.mutants.catalog import Mutant, load_all

__all__ = ["Score", "main", "score", "score_healthy"]

AT_ONCE = 4  # most of a run is waiting
STARTS = 3  # two targets may choose the same free port
PATIENCE = 0.4  # of the suite's own, for a case that waits for what a mutant never does
WRONG = BAD | {Verdict.ERROR}


@dataclass(frozen=True, slots=True)
class Score:
    """The first case that failed, or the trouble that kept cases from being run; both empty for none."""

    case: str = ""
    trouble: str = ""


def target_of(name: str) -> AngieLike:
    """Refproxy with a fault in it. It has the name of the healthy one, whose known deviations are no news."""
    whole = refproxy()
    words = [sys.executable, "-m", "tests.mutants", name, "run", "-p", "{prefix}", "-c", "{conf}"]
    return AngieLike(whole.name, words, claims=whole.claims, dialects=whole.dialects, version=whole.version)


def score(name: str) -> Score:
    """Run the cases of a mutant until the first one fails."""
    return _judge(target_of(name), load_all()[name].cases, PATIENCE)


def score_healthy(cases: Sequence[str]) -> Score:
    """Run cases against a healthy refproxy, which should pass them all: what always fails catches nothing."""
    return _judge(refproxy(), cases, 1.0)


def _judge(target: AngieLike, globs: Sequence[str], patience: float) -> Score:
    cases = select(registered(), Selection(only=globs))
    trouble = ""
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
            try:
                return Score(trio.run(_first_failure, Plan(cases, target, Path(directory), scale=patience)))
            except TargetTrouble as troubled:
                trouble = str(troubled)
        if trouble.startswith("the canary failed"):
            return Score(trouble.partition("(")[2].partition(")")[0])
        if "bind()" not in trouble:
            break
    return Score(trouble=trouble.splitlines()[-1])


async def _first_failure(plan: Plan) -> str:
    failed: list[str] = []
    with trio.CancelScope() as scope:

        def tell(finding: Finding) -> None:
            if finding.verdict in WRONG:
                failed.append(finding.case.id)
                scope.cancel()

        await run(plan, tell)
    return "".join(failed[:1])


@contextmanager
def _workers() -> Iterator[ProcessPoolExecutor]:
    executor = ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn"))  # trio and threads do not like forks
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def main(arguments: Sequence[str]) -> int:
    """Score the named mutants, or all; return the exit status, 1 if any survives or the healthy refproxy fails."""
    mutants = load_all()
    if arguments == ["--list"]:
        for mutant in mutants.values():
            print(f"{mutant.name}: {mutant.what}")
        return 0
    if unknown := [name for name in arguments if name not in mutants]:
        print(f"no such mutant: {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    return _score_all([mutants[name] for name in arguments] or list(mutants.values()))


def _score_all(chosen: Sequence[Mutant]) -> int:
    started = monotonic()
    survivors = []
    with _workers() as workers:
        # First, and beside the others: it takes as long as many of them.
        healthy = workers.submit(score_healthy, sorted({glob for mutant in chosen for glob in mutant.cases}))
        found = workers.map(score, [mutant.name for mutant in chosen])
        health = healthy.result()
        wrong = health.case or health.trouble
        print(f"a healthy refproxy {f'FAILS {wrong}' if wrong else 'passes'}", flush=True)
        for mutant, result in zip(chosen, found, strict=True):
            verdict = "caught" if result.case else "BROKEN" if result.trouble else "SURVIVED"
            print(f"{verdict}  {mutant.name}: {mutant.what}; {result.case or result.trouble}", flush=True)
            if not result.case:
                survivors.append(mutant.name)
    tally = f"{len(chosen) - len(survivors)} of {len(chosen)} caught in {monotonic() - started:.0f} s"
    print(f"mutants: {tally}; survivors: {', '.join(survivors) or 'none'}")
    return 1 if survivors or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
