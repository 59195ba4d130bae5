"""Targets that go wrong, and interruptions: one clear message, no process and no directory left that nobody names."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import conformance.cases.canary  # noqa: F401
from conformance.__main__ import main
from conformance.case import registered
from conformance.report.results import from_json
from conformance.runner import Plan, Watch, is_canary, run, starts
from conformance.targets.angie import command, refproxy
from conformance.targets.base import Running, TargetTrouble
from conformance.verdict import Finding, Outcome, Verdict

pytestmark = pytest.mark.slow

BAD_TARGET = Path(__file__).parent / "bad_target.py"
CANARIES = [case for case in registered().values() if is_canary(case)]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run makes its temporary directory."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def template(how: str) -> str:
    return f"{sys.executable} {BAD_TARGET} {how} {{conf}}"


def judge(how: str, *options: str) -> Result:
    arguments = ["run", "--target", "command", "--command", template(how), "--only", "*/canary/*", *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def running_children(scratch: Path) -> Iterator[int]:
    """The children that targets left behind."""
    for file in scratch.rglob("child"):
        stat = Path(f"/proc/{file.read_text()}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
            yield int(file.read_text())


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("ends", "the target ended with status 7; it said:\n    a word before it goes wrong"),
        ("dies", r"\w+/canary/one-session: the target ended with status 8; it said:\n    a word"),
        (
            "says-nonsense",
            r"the canary failed \(imap/canary/one-session, pop3/.*, smtp/.*\), so nothing else was judged: .*; it said",
        ),
    ],
)
def test_a_target_that_goes_wrong_is_told_once_and_leaves_no_process(scratch: Path, how: str, complaint: str) -> None:
    done = judge(how)
    assert done.exit_code == 2
    assert re.search(complaint, done.stderr)
    assert done.stderr.count("a word before") == 1
    named = re.search(r"the files of the target are in (.*)", done.stderr)
    assert named
    assert (Path(named[1]) / "command" / "mail.conf").exists()
    assert list(running_children(scratch)) == []


def test_a_target_that_does_not_listen_is_told() -> None:
    arguments = ["run", "--target", "command", "--command", "sleep 600", "--timeout-scale", "0.02"]
    done = CliRunner().invoke(main, [*arguments, "--only", "*/canary/*"])
    assert done.exit_code == 2
    assert re.search(r"the target did not listen within 0.2 s at \d+ \(smtp\), .*; it said nothing", done.stderr)


def test_a_program_that_is_not_there_is_told(scratch: Path) -> None:
    done = CliRunner().invoke(main, ["run", "--target", "command", "--command", "/nowhere/proxy"])
    assert done.exit_code == 2
    assert "/nowhere/proxy cannot be started: No such file or directory" in done.stderr


def test_what_was_judged_before_the_target_went_wrong_is_reported(tmp_path: Path) -> None:
    done = judge("says-nonsense", "--json", str(tmp_path / "results.json"))
    assert "3 cases: 3 fail" in done.output
    results = from_json((tmp_path / "results.json").read_text())
    assert results.counts == {"fail": 3}
    assert all("nonsense" in case.found for case in results.cases)


def test_an_interruption_ends_everything_and_tells_what_was_judged(scratch: Path) -> None:
    done = judge("interrupts")
    assert done.exit_code == 130
    assert "0 cases: none" in done.output
    assert "interrupted; 0 of 3 cases were judged" in done.stderr
    assert list(scratch.iterdir()) == []


def test_after_a_run_without_trouble_no_directory_is_left(scratch: Path) -> None:
    done = CliRunner().invoke(main, ["run", "--target", "refproxy", "--only", "pop3/canary/*"])
    assert done.exit_code == 0, done.output
    assert list(scratch.iterdir()) == []


async def test_a_target_that_hangs_fails_the_canary(tmp_path: Path) -> None:
    findings: list[Finding] = []
    with pytest.raises(TargetTrouble, match="the canary failed"):
        await run(Plan(CANARIES, command(template("is-silent")), tmp_path, scale=0.01), findings.append)
    assert {finding.found for finding in findings} == {f"nothing within {CANARIES[0].limit * 0.01:g} s"}
    assert list(running_children(tmp_path)) == []


class Well(Running):
    """A target that is well."""

    def trouble(self) -> str | None:
        return None

    def send_signal(self, number: int) -> None:
        """Do nothing."""

    def reload(self, old: str, new: str) -> None:
        """Do nothing."""

    async def logged(self, text: str) -> None:
        """Nothing is logged, nothing is waited for."""

    async def ended(self) -> None:
        """End at once."""


def finding(number: int, verdict: Verdict) -> Finding:
    return Finding(CANARIES[number], Outcome.AGREED, verdict)


def told(before: Verdict, after: Verdict, *, chosen: int = 3) -> tuple[list[Verdict], str]:
    """What is told of the canaries, all but the first of which pass, and of the trouble."""
    findings: list[Finding] = []
    watch = Watch(refproxy(), CANARIES[:chosen], findings.append)
    try:
        for stage, verdict in ((watch.first, before), (watch.last, after)):
            for number in range(chosen):
                stage.tell(finding(number, Verdict.PASS if number else verdict))
            stage.end(Well())
    except TargetTrouble as trouble:
        return [finding.verdict for finding in findings], str(trouble)
    return [finding.verdict for finding in findings], ""


def test_canaries_are_told_once() -> None:
    assert told(Verdict.PASS, Verdict.PASS) == ([Verdict.PASS] * 3, "")
    assert told(Verdict.EXPECTED, Verdict.EXPECTED) == ([Verdict.EXPECTED, Verdict.PASS, Verdict.PASS], "")


def test_a_canary_that_fails_first_stops_the_run() -> None:
    verdicts, trouble = told(Verdict.FAIL, Verdict.PASS)
    assert verdicts == [Verdict.FAIL]
    assert "the canary failed (smtp/canary/one-session), so nothing else was judged" in trouble


def test_a_canary_that_fails_last_is_trouble_too() -> None:
    verdicts, trouble = told(Verdict.PASS, Verdict.FAIL)
    assert sorted(verdict.value for verdict in verdicts) == ["fail", "pass", "pass"]
    assert "which passed before other cases: the target did not stay well" in trouble


def test_a_canary_that_fails_in_between_stops_the_run() -> None:
    findings: list[Finding] = []
    watch = Watch(refproxy(), CANARIES, findings.append)
    watch.first.tell(finding(0, Verdict.PASS))
    watch.first.end(Well())
    watch.between.tell(finding(0, Verdict.FAIL))
    with pytest.raises(TargetTrouble, match="the target did not stay well"):
        watch.between.end(Well())
    assert [finding.verdict for finding in findings] == [Verdict.FAIL]


def test_canaries_frame_the_run_and_the_cases_that_share_their_start() -> None:
    canary = CANARIES[0]
    common, alone, main = (
        replace(canary, id="smtp/a/common"),
        replace(canary, id="smtp/a/alone", alone=True),
        replace(canary, id="smtp/a/main", main="x y;"),
    )
    watch = Watch(refproxy(), [common], lambda finding: None)
    shown = [
        [[case.id.split("/")[-1] for case in stage.cases] for stage in stages]
        for stages in starts(watch, [common, alone, main], lambda finding: None)
    ]
    canaries = ["one-session"]
    assert shown == [[canaries, ["common"], canaries], [["main"]], [["alone"]], [canaries]]
    assert len(starts(watch, [common], lambda finding: None)) == 1
