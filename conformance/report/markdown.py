"""Results as Markdown, to be posted to a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from conformance.report.results import CaseResult, Results
from conformance.verdict import BAD, Verdict

__all__ = ["to_markdown"]

TOLD = {verdict.value for verdict in (*BAD, Verdict.ERROR, Verdict.WARN)}
ROOM = 60000  # characters; GitHub takes 65536 in a comment
SHOWN = 200  # characters of a cell
SPECIAL = re.compile(r"[&<>\"'`*_\[\]|~@\\#$]|:(?=//)")


def to_markdown(all_results: Sequence[Results]) -> str:
    """Counts, a table of what went wrong, and the ladders to unfold, as many as there is room for."""
    lines = ["## Mail proxy conformance", "", *_counts(all_results), ""]
    wrong = [(results.target, case) for results in all_results for case in results.cases if case.verdict in TOLD]
    if not wrong:
        return "\n".join([*lines, "Nothing went wrong.", ""])
    lines += ["| target | case | verdict | rules | wanted | found |", "|---|---|---|---|---|---|"]
    lines += [_row(target, case) for target, case in wrong]
    left = ROOM - sum(len(line) + 1 for line in lines)
    for number, (target, case) in enumerate(wrong):
        ladder = "\n".join(_ladder(target, case))
        left -= len(ladder) + 1
        if left < 0:
            lines += ["", f"{len(wrong) - number} more ladders did not find room here; the HTML report has them."]
            break
        lines.append(ladder)
    return "\n".join([*lines, ""])


def _counts(all_results: Sequence[Results]) -> Iterator[str]:
    verdicts = [verdict.value for verdict in Verdict if any(results.counts[verdict.value] for results in all_results)]
    yield f"| target | cases | {' | '.join(verdicts)} |"
    yield "|---|" + "--:|" * (1 + len(verdicts))
    for results in all_results:
        counts = " | ".join(str(results.counts[verdict]) for verdict in verdicts)
        yield f"| {plain(results.target)} {plain(results.target_version)} | {len(results.cases)} | {counts} |"


def _row(target: str, case: CaseResult) -> str:
    wanted, found = (case.wanted, case.found) if case.wanted else ("", case.reason)
    cells = (plain(target), plain(case.id), case.verdict, plain(" ".join(case.rules)), _code(wanted), _code(found))
    return f"| {' | '.join(cells)} |"


def _ladder(target: str, case: CaseResult) -> Iterator[str]:
    # A fence ends at as many backticks as it began with: one more than any line has.
    fence = "`" * (1 + max([2, *map(len, re.findall("`+", case.ladder))]))
    yield from ("", f"<details><summary>{plain(target)}: {plain(case.id)}, {plain(case.title)}</summary>", "")
    yield from (f"{fence}text", case.ladder.rstrip("\n"), fence, "", "</details>")


def _code(text: str) -> str:
    short = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return f"<code>{plain(short)}</code>" if short else ""


def plain(text: str) -> str:
    """Text as it is: nothing in it is markup, a link, or calls for somebody."""
    return SPECIAL.sub(lambda match: f"&#{ord(match[0])};", " ".join(text.split()))
