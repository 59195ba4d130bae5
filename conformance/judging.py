"""What `run` does around a run: the live report, the files that are written at the end, the exit status."""

from __future__ import annotations

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
from conformance.runner import Plan, run
from conformance.targets.base import Target, TargetTrouble
from conformance.verdict import Finding

__all__ = ["Order", "judge_target"]

NAME = "refproxy-conformance"
TROUBLE = 2


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
    """Run the cases, tell what comes out, and return the exit status."""
    findings: list[Finding] = []
    directory = Path(tempfile.mkdtemp(prefix="conformance-"))
    report = TerminalReport(len(order.cases), Console(), verbose=order.verbose)
    try:
        with report:

            def tell(finding: Finding) -> None:
                findings.append(finding)
                report(finding)

            plan = Plan(order.cases, order.target, directory, order.jobs, order.scale, order.expected)
            trio.run(run, plan, tell)
    except TargetTrouble as trouble:
        complain(f"{trouble} (its files are in {directory})")
        return TROUBLE
    report.summary(f"{order.target.name} ({order.target.version})")
    results = collect(order.target.name, order.target.version, findings)
    try:
        remember(results)
    except OSError as error:
        complain(f"the results cannot be kept for --rerun-failed: {error}")
    try:
        write_reports(order.reports, [results])
    except OSError as error:
        complain(f"a report cannot be written: {error}")
        return TROUBLE
    return exit_status(findings)


def complain(text: str) -> None:
    """Tell of trouble."""
    click.echo(f"{NAME}: {text}", err=True)
