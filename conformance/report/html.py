"""Results as one HTML page: rules by targets, each cell leading to its cases and their ladders.

The page loads nothing and works without its script. What came over the wire is escaped here, and the content security
policy lets no other script run than the one whose hash it names, in case the escaping should ever fail.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path

from conformance.report.results import CaseResult, Results
from conformance.rulebook import Rule, load_rules
from conformance.verdict import BAD, Verdict

__all__ = ["to_html"]

STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")
DIFFERENT = {verdict.value for verdict in (*BAD, Verdict.ERROR, Verdict.WARN, Verdict.EXPECTED, Verdict.INFO)}
WORST_FIRST = (
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.UNEXPECTED,
    Verdict.WARN,
    Verdict.EXPECTED,
    Verdict.INFO,
    Verdict.PASS,
    Verdict.SKIP,
)
MARKS = {Verdict.PASS: "✓", Verdict.SKIP: "–", Verdict.INFO: "i", Verdict.EXPECTED: "~", Verdict.WARN: "!"}
RULE_SHOWN = 1000  # characters


def to_html(all_results: Sequence[Results]) -> str:
    """The page."""
    digest = b64encode(sha256(f"\n{SCRIPT}".encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Mail proxy conformance</title>",
            f"<style>\n{STYLE}</style></head><body>",
            "<h1>Mail proxy conformance</h1>",
            *_counts(all_results),
            *_matrix(all_results),
            *_all_cases(all_results),
            '<dialog aria-labelledby="of"><h2 id="of"></h2><button class="close" type="button">Close</button>',
            '<p class="of faint"></p><div class="cases"></div></dialog>',
            f"<script>\n{SCRIPT}</script></body></html>",
            "",
        ]
    )


def _counts(all_results: Sequence[Results]) -> Iterator[str]:
    verdicts = [verdict for verdict in Verdict if any(results.counts[verdict.value] for results in all_results)]
    names = "".join(f'<th scope="col" class="{_css(verdict.value)}">{verdict.value}</th>' for verdict in verdicts)
    yield f'<table class="counts"><thead><tr><th scope="col">target</th>{names}</tr></thead><tbody>'
    for column, results in enumerate(all_results):
        cells = "".join(_count(verdict, results.counts[verdict.value]) for verdict in verdicts)
        yield f'<tr><th scope="row"><a href="#t{column}">{_named(results)}</a></th>{cells}</tr>'
    yield "</tbody></table>"


def _count(verdict: Verdict, count: int) -> str:
    return f'<td data-name="{verdict.value}" class="{_css(verdict.value) if count else "none"}">{count}</td>'


def _matrix(all_results: Sequence[Results]) -> Iterator[str]:
    book = load_rules()
    named = {rule for results in all_results for case in results.cases for rule in case.rules}
    # Results may be from another version of the suite, with rules that this one does not have.
    rules = [*(rule for rule in book if rule in named), *sorted(named - book.keys())]
    yield '<h2 id="rules">Rules</h2>'
    yield '<form class="controls" hidden><label>Find <input type="search" id="search"></label>'
    yield '<label><input type="checkbox" id="differing"> only where a target differs</label>'
    yield '<span id="shown" class="faint" role="status"></span></form>'
    heads = "".join(f'<th scope="col">{_named(results)}</th>' for results in all_results)
    yield f'<table class="matrix"><thead><tr><th scope="col">rule</th>{heads}</tr></thead><tbody>'
    for rule in rules:
        yield from _row(rule, book.get(rule), all_results)
    yield "</tbody></table>"


def _row(id: str, rule: Rule | None, all_results: Sequence[Results]) -> Iterator[str]:
    level = rule.level.value if rule else "unknown to this version"
    text = " ".join(rule.text.split()) if rule else ""
    short = text if len(text) <= RULE_SHOWN else text[: RULE_SHOWN - 1] + "…"
    cells = [
        [(number, case) for number, case in enumerate(results.cases) if id in case.rules] for results in all_results
    ]
    differs = any(case.verdict in DIFFERENT for cell in cells for _, case in cell)
    words = escape(f"{id} {level} {text} {' '.join(case.id for cell in cells for _, case in cell)}".lower())
    yield f'<tr data-words="{words}"{" data-differs" if differs else ""}>'
    yield f'<th scope="row"><b>{escape(id)}</b> <span class="faint">{level}</span>'
    yield f'<span class="rule">{escape(short)}</span></th>'
    for column, (results, cell) in enumerate(zip(all_results, cells, strict=True)):
        yield f"<td>{_cell(id, results, column, cell)}</td>"
    yield "</tr>"


def _cell(rule: str, results: Results, column: int, cell: Sequence[tuple[int, CaseResult]]) -> str:
    if not cell:
        return ""
    counts = Counter(case.verdict for _, case in cell)
    verdicts = [verdict for verdict in WORST_FIRST if counts[verdict.value]]
    said = ", ".join(f"{counts[verdict.value]} {verdict.value}" for verdict in verdicts)
    marks = " ".join(
        f'<span class="verdict {_css(verdict.value)}">{MARKS.get(verdict, "✗")} {counts[verdict.value]}</span>'
        for verdict in verdicts
    )
    ids = [f"t{column}-{number}" for number, _ in _worst_first(cell)]
    title = escape(f"{rule} at {results.target}: {said}")
    name = f'<span class="name">{escape(results.target)}</span>'
    return (
        f'<a href="#{ids[0]}" data-cases="{" ".join(ids)}" data-title="{title}" title="{said}" aria-label="{title}">'
        f"{name} {marks}</a>"
    )


def _worst_first(cell: Iterable[tuple[int, CaseResult]]) -> list[tuple[int, CaseResult]]:
    return sorted(cell, key=lambda numbered: WORST_FIRST.index(Verdict(numbered[1].verdict)))


def _all_cases(all_results: Sequence[Results]) -> Iterator[str]:
    for column, results in enumerate(all_results):
        yield f'<h2 id="t{column}">Cases: {_named(results)}</h2>'
        for number, case in _worst_first(enumerate(results.cases)):
            yield from _case(f"t{column}-{number}", case)


def _case(id: str, case: CaseResult) -> Iterator[str]:
    bad = " data-bad" if case.verdict in DIFFERENT else ""
    yield f'<details id="{id}"{bad}><summary><span class="verdict {_css(case.verdict)}">{case.verdict}</span>'
    yield f"<b>{escape(case.id)}</b> {escape(case.title)}</summary><dl>"
    facts = {
        "rules": f"{' '.join(case.rules)} ({case.level})",
        "directives": " ".join(case.directives),
        "wanted": case.wanted,
        "found": case.found,
        "reason": "" if case.wanted and case.verdict == Verdict.FAIL.value else case.reason,
        "notes": "\n".join(case.notes),
        "took": f"{case.duration:.3f} s" if case.duration else "",
    }
    yield from (f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items() if fact)
    yield "</dl>"
    if case.ladder:
        # A box that scrolls has to be reachable with the keyboard.
        yield f'<pre tabindex="0" aria-label="ladder of {escape(case.id)}">\n{escape(case.ladder)}</pre>'
    yield "</details>"


def _named(results: Results) -> str:
    return f'{escape(results.target)} <span class="faint">{escape(_version(results))}</span>'


def _version(results: Results) -> str:
    """The version without the name that most programs begin it with."""
    return results.target_version.split("\n")[0].replace("version", "").strip(" ,:").split(" ")[-1].split("/")[-1]


def _css(verdict: str) -> str:
    return verdict.replace(" ", "-")
