"""What `run` does around a run: the live report, the files that are written at the end, the exit status."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import trio
from rich.console import Console

from conformance.case import Case
from conformance.report.files import Format, write_reports
from conformance.report.last import remember
from conformance.report.results import collect
from conformance.report.terminal import TerminalReport, exit_status
from conformance.runner import Plan, Tell, run
from conformance.targets.base import Target, TargetTrouble
from conformance.verdict import Finding

__all__ = ["Order", "judge_target"]

NAME = "refproxy-conformance"
TROUBLE = 2
INTERRUPTED = 130  # as a shell has it for SIGINT


@dataclass(frozen=True, slots=True)
class Order:
    """What to judge and how to tell it. `expected` are known deviations by case id."""

    cases: Sequence[Case]
    target: Target
    jobs: int = 64
    scale: float = 1.0
    expected: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[Format, Path] = field(default_factory=dict)
    verbose: bool = False


def judge_target(order: Order) -> int:
    """Run the cases, tell what comes out, and return the exit status.

    Whatever ends the run, what was judged until then is told and written.
    """
    findings: list[Finding] = []
    directory = Path(tempfile.mkdtemp(prefix="conformance-"))
    report = TerminalReport(len(order.cases), Console(), verbose=order.verbose)

    def tell(finding: Finding) -> None:
        findings.append(finding)
        report(finding)

    draws_all = not {Format.JSON, Format.HTML, Format.JUNIT}.isdisjoint(order.reports)
    plan = Plan(order.cases, order.target, directory, order.jobs, order.scale, order.expected, draws_all)
    trouble, interrupted = None, False
    with report:
        try:
            interrupted = trio.run(run_until_interrupted, plan, tell)
        except TargetTrouble as error:
            trouble = error
    report.summary(f"{order.target.name} ({order.target.version})")
    written = _write(order, findings)
    if trouble is not None:
        complain(f"{trouble}\n{NAME}: the files of the target are in {directory}")
        return TROUBLE
    shutil.rmtree(directory)
    if interrupted:
        complain(f"interrupted; {len(findings)} of {len(order.cases)} cases were judged")
        return INTERRUPTED
    return exit_status(findings) if written else TROUBLE


async def run_until_interrupted(plan: Plan, tell: Tell) -> bool:
    """Run a plan; return whether SIGINT or SIGTERM ended it early. Raises TargetTrouble."""
    interrupted = False

    async def watch() -> None:
        nonlocal interrupted
        async for _ in signals:
            interrupted = True
            nursery.cancel_scope.cancel()

    trouble = None
    # Not KeyboardInterrupt: it can strike anywhere, also where the target's end is being seen to.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                await run(plan, tell)
            except TargetTrouble as error:
                trouble = error
            nursery.cancel_scope.cancel()
    if trouble is not None:
        raise trouble
    return interrupted


def _write(order: Order, findings: Sequence[Finding]) -> bool:
    """Keep the results and write the reports; return whether all reports could be written."""
    results = collect(order.target.name, order.target.version, findings)
    try:
        remember(results)
    except OSError as error:
        complain(f"the results cannot be kept for --rerun-failed: {error}")
    try:
        write_reports(order.reports, [results])
    except OSError as error:
        complain(f"a report cannot be written: {error}")
        return False
    return True


def complain(text: str) -> None:
    """Tell of trouble."""
    click.echo(f"{NAME}: {text}", err=True)
