"""The live view of a run, and what is said at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from conformance.rulebook import load_rules
from conformance.verdict import BAD, Finding, Verdict

__all__ = ["TerminalReport"]

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INFO: "cyan",
    Verdict.SKIP: "dim",
    Verdict.EXPECTED: "yellow",
    Verdict.UNEXPECTED: "bold red",
    Verdict.ERROR: "bold magenta",
}
SLOWEST = 5
RULE_SHOWN = 600  # characters of a rule's text


class TerminalReport:
    """Tells each failure as it comes, readable by itself; a context manager around the run."""

    def __init__(self, total: int, console: Console, *, verbose: bool = False) -> None:
        self._console, self._verbose = console, verbose
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("judging", total=total)
        self._findings: list[Finding] = []

    def __enter__(self) -> TerminalReport:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, finding: Finding) -> None:
        """Take in a finding."""
        self._findings.append(finding)
        self._progress.advance(self._task)
        if finding.verdict in BAD or finding.verdict in (Verdict.ERROR, Verdict.WARN):
            self._tell(finding)
        elif self._verbose or finding.verdict is Verdict.INFO:
            reason = f": {escape(finding.reason)}" if finding.reason else ""
            self._console.print(
                f"{_styled(finding.verdict)} {finding.case.id}{reason}", highlight=False, soft_wrap=True
            )

    def _tell(self, finding: Finding) -> None:
        """Everything that explains a failure: what, by which rule, what was wanted, what happened, how."""
        case, console = finding.case, self._console
        console.print(
            f"\n{_styled(finding.verdict)} [bold]{case.id}[/]: {escape(case.title)}", highlight=False, soft_wrap=True
        )
        for rule in (load_rules()[id] for id in case.rules):
            text = " ".join(rule.text.split())
            console.print(
                f"  {rule.id} ({rule.level.value}): {escape(text[:RULE_SHOWN])}", highlight=False, soft_wrap=True
            )
            if rule.reason:
                console.print(f"    why: {escape(rule.reason)}", highlight=False, soft_wrap=True)
        if finding.wanted:
            console.print(f"  wanted: {escape(finding.wanted)}", highlight=False, soft_wrap=True)
            console.print(f"  found:  {escape(finding.found)}", highlight=False, soft_wrap=True)
        elif finding.reason:
            console.print(f"  {escape(finding.reason)}", highlight=False, soft_wrap=True)
        console.print(escape(finding.ladder), highlight=False, soft_wrap=True)

    def summary(self, target: str) -> None:
        """The counts, and the slowest cases."""
        counts = Counter(finding.verdict for finding in self._findings)
        words = ", ".join(f"{counts[verdict]} {_styled(verdict)}" for verdict in Verdict if counts[verdict])
        slowest = sorted(self._findings, key=lambda finding: -finding.duration)[:SLOWEST]
        self._console.print(
            "slowest: " + ", ".join(f"{f.case.id} {f.duration:.2f} s" for f in slowest), highlight=False, soft_wrap=True
        )
        self._console.print(
            f"{target}: {len(self._findings)} cases: {words or 'none'}", highlight=False, soft_wrap=True
        )


def exit_status(findings: Sequence[Finding]) -> int:
    """0 fine, 1 failures, 2 trouble of ours or the target's, 3 nothing was judged."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.ERROR in verdicts:
        return 2
    if verdicts & BAD:
        return 1
    return 3 if verdicts <= {Verdict.SKIP} else 0


def _styled(verdict: Verdict) -> str:
    return f"[{STYLES[verdict]}]{verdict.value}[/]"
