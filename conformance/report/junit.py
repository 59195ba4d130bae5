"""Results as JUnit XML, for what shows the tests of a build."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from conformance.report.results import CaseResult, Results
from conformance.verdict import BAD, Verdict

__all__ = ["to_junit"]

FAILURES = {verdict.value for verdict in BAD}
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, not even escaped (XML 1.0, production 2)."""


def to_junit(all_results: Sequence[Results]) -> str:
    """One test suite per target. The format knows no warnings: they pass, and say in their output what they are."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>"]
    for results in all_results:
        counts = results.counts
        name = _attribute(f"{results.target} {results.target_version}".strip())
        lines.append(
            f'<testsuite name={name} tests="{len(results.cases)}" '
            f'failures="{sum(counts[verdict] for verdict in FAILURES)}" errors="{counts[Verdict.ERROR.value]}" '
            f'skipped="{counts[Verdict.SKIP.value] + counts[Verdict.EXPECTED.value]}" '
            f'time="{sum(case.duration for case in results.cases):.4f}">'
        )
        lines += [_case(results.target, case) for case in results.cases]
        lines.append("</testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _case(target: str, case: CaseResult) -> str:
    group, _, name = case.id.rpartition("/")
    parts = f"{target}.{group.replace('/', '.')}"
    head = f'<testcase classname={_attribute(parts)} name={_attribute(name)} time="{case.duration:.4f}">'
    return f"{head}{_outcome(case)}</testcase>"


def _outcome(case: CaseResult) -> str:
    said = _attribute(case.reason or case.title)
    account = _text(f"{case.title}\nrules: {' '.join(case.rules)}\n{case.reason}\n{case.ladder}")
    match Verdict(case.verdict):
        case Verdict.PASS:
            return ""
        case Verdict.SKIP | Verdict.EXPECTED:
            return f"<skipped message={said}/>"
        case Verdict.ERROR:
            return f"<error message={said}>{account}</error>"
        case Verdict.WARN | Verdict.INFO:
            return f"<system-out>{_text(case.verdict)}: {account}</system-out>"
        case Verdict.FAIL | Verdict.UNEXPECTED:
            return f"<failure type={_attribute(case.verdict)} message={said}>{account}</failure>"


def _text(text: str) -> str:
    return escape(ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text))


def _attribute(text: str) -> str:
    return quoteattr(ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text))
