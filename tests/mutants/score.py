"""How many mutants the conformance suite catches, and which survive: `python -m tests.mutants.score [NAME...]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

import conformance.cases.all  # noqa: F401  # registers every case
from conformance.case import registered
from conformance.runner import Plan, run
from conformance.selection import Selection, select
from conformance.targets.angie import AngieLike, refproxy
from conformance.targets.base import TargetTrouble
from conformance.verdict import BAD, Finding
from tests.mutants.catalog import Mutant, load_all

__all__ = ["caught_by", "main"]


def target_of(mutant: Mutant) -> AngieLike:
    """Refproxy with the fault in it."""
    whole = refproxy()
    words = [sys.executable, "-m", "tests.mutants", mutant.name, "run", "-p", "{prefix}", "-c", "{conf}"]
    return AngieLike(mutant.name, words, claims=whole.claims, dialects=whole.dialects, version=whole.version)


def caught_by(mutant: Mutant) -> list[str]:
    """The cases that fail because of a mutant; one that keeps the target from starting is caught by all."""
    cases = select(registered(), Selection(only=mutant.cases))
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        try:
            trio.run(run, Plan(cases, target_of(mutant), Path(directory)), findings.append)
        except TargetTrouble as trouble:
            return [f"(the target: {trouble})"]
    return [finding.case.id for finding in findings if finding.verdict in BAD]


def main(names: Sequence[str]) -> int:
    """Score the named mutants, or all; return the exit status, 1 if any survives."""
    mutants = load_all()
    chosen = [mutants[name] for name in names] if names else list(mutants.values())
    survivors = []
    for mutant in chosen:
        caught = caught_by(mutant)
        first = f"{caught[0]} and {len(caught) - 1} more" if len(caught) > 1 else "".join(caught)
        print(f"{'caught' if caught else 'SURVIVED'}  {mutant.name}: {mutant.what}; {first}", flush=True)
        if not caught:
            survivors.append(mutant.name)
    score = f"{len(chosen) - len(survivors)} of {len(chosen)} caught"
    print(f"mutants: {score}; survivors: {', '.join(survivors) or 'none'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
