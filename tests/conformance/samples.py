"""Results as a run could have left them, with the most hostile octets that a target may send."""

from __future__ import annotations

from conformance.report.results import CaseResult, Results
from conformance.rulebook import load_rules
from conformance.verdict import Verdict

HOSTILE = (
    "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)>"
    " | `x` *b* [l](http://e.org) @all ]]> \"'&\x1b\0"
)


def case_result(id: str, verdict: Verdict, *rules: str, text: str = "") -> CaseResult:
    failed = verdict is Verdict.FAIL
    return CaseResult(
        id=id,
        title=f"a title {text}".strip(),
        level="vendor",
        rules=rules,
        directives=("xclient",),
        verdict=verdict.value,
        reason="" if verdict is Verdict.PASS else f"a reason {text}".strip(),
        wanted=f"b'+OK' {text}" if failed else "",
        found=f"b'-ERR' {text}" if failed else "",
        duration=0.25,
        ladder=f"client   proxy   backend\n  |-- NOOP -->|  {text}\n``````\n",
    )


def sample(target: str = "alpha", *, text: str = "", size: int = 0) -> Results:
    """One case of each verdict, and passes for `size` rules."""
    rules = list(load_rules())
    cases = [
        case_result(f"smtp/sample/{verdict.name.lower()}", verdict, "SMTP-1", rules[number], text=text)
        for number, verdict in enumerate(Verdict)
    ]
    cases += [
        case_result(f"imap/sample/{rule.lower()}", Verdict.PASS, rule, text="that is long enough for two lines " * 2)
        for rule in rules[:size]
    ]
    return Results("0.1.0", target, f"{target}, version 1.2", tuple(cases))
