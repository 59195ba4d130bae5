"""The benchmark's command line and arithmetic; what it measures is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.benchmarks.__main__ import Sample, arguments, main, summarize


@pytest.mark.parametrize(
    "words", [[], ["sessions", "-n", "0"], ["sessions", "-n", "x"], ["sessions", "--peer", "sendmail"]]
)
def test_wrong_arguments_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(words)
    assert ended.value.code == 2
    assert "usage: scripts/bench" in capsys.readouterr().err


def test_the_summary_holds_medians_ratio_and_spread() -> None:
    ours = [Sample(cpu, 0.1, 0.1, 100.0) for cpu in (3.0, 1.0, 2.0)]
    theirs = [Sample(0.5, 0.1, 0.1, 400.0)]
    cpu, rate = summarize("imap", {"refproxy": ours, "nginx": theirs})
    assert (cpu.name, cpu.unit, cpu.refproxy, cpu.nginx, cpu.ratio, cpu.spread) == (
        "session-cpu-imap", "ms", 2.0, 0.5, 4.0, 1.0,
    )  # fmt: skip
    assert (rate.name, rate.ratio) == ("session-rate-imap", 0.25)
    assert summarize("imap", {"refproxy": ours})[0].as_json()["ratio"] is None


@pytest.mark.slow
def test_a_tiny_run_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.json"
    words = ["sessions", "-n", "20", "--repetitions", "1", "--concurrency", "4", "--peer", "none", "--json", str(file)]
    assert main(words) == 0
    figures = json.loads(file.read_text())["figures"]
    protocols = ("imap", "smtp", "pop3")
    assert [figure["name"] for figure in figures] == [
        f"session-{kind}-{protocol}" for protocol in protocols for kind in ("cpu", "rate")
    ]
    assert all(set(figure) == {"name", "unit", "refproxy", "nginx", "ratio", "spread"} for figure in figures)
    assert "load generator" in capsys.readouterr().out
