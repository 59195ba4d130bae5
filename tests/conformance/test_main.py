"""The suite's command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.report.results import from_json


def test_the_canaries_pass_on_this_projects_own_proxy(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = CliRunner().invoke(
        main, ["run", "--target", "refproxy", "--only", "*/canary/*", "--json", str(results)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert "3 cases: 3 pass" in done.output
    read = from_json(results.read_text())
    assert read.counts == {"pass": 3}
    assert json.loads(results.read_text())["schema"] == 1
    assert all("ping" in case.ladder for case in read.cases)
    assert "k3y-of-the-case" not in results.read_text()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--only", "smtp/xclint/*"], 'no case is called "smtp/xclint/*"'),
        (["--rule", "SMTP_12"], 'no rule is called "SMTP_12"; the nearest are'),
        (["--directive", "xclint"], 'no directive is called "xclint"; the nearest are xclient'),
        (["--only", "*", "--exclude", "*"], "no case is selected"),
    ],
)
def test_a_wrong_selection_is_an_error(options: list[str], complaint: str) -> None:
    done = CliRunner().invoke(main, ["list", *options])
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_a_target_that_does_not_start_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["run", "--target", "command", "--command", "false"])
    assert done.exit_code == 2
    assert "the target ended with status 1; it said nothing" in done.stderr
