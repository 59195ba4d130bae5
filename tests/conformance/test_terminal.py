"""What the terminal tells about a failure."""

from __future__ import annotations

import io

from rich.console import Console

from conformance.bench import Bench
from conformance.case import Block, Case
from conformance.report.terminal import TerminalReport
from conformance.rulebook import load_rules
from conformance.verdict import Finding, Outcome, Verdict


async def nothing(bench: Bench) -> None:
    """A script that finds nothing."""


def test_a_failure_tells_the_rules_and_why_they_matter() -> None:
    case = Case("smtp/a/b", "a title", ("SMTP-13", "SMTP-100"), Block("smtp"), nothing)
    written = io.StringIO()
    with TerminalReport(1, Console(file=written, width=200)) as report:
        report(Finding(case, Outcome.DIFFERED, Verdict.FAIL, wanted="a 503", found="silence"))
    lines = [line.strip() for line in written.getvalue().splitlines()]
    for id in case.rules:
        rule = load_rules()[id]
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{id} ({rule.level.value}): "))
        assert rule.reason
        assert lines[place + 1] == f"why: {rule.reason}"
    assert "found:  silence" in lines
