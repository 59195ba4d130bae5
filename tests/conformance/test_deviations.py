"""The file of known deviations, and what a run makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance.__main__ import main
from conformance.deviations import EXAMPLE, load_expected
from conformance.selection import Unknown

KNOWN = {"smtp/canary/one-session": 1, "imap/canary/one-session": 2}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "expect.toml"
    path.write_text(text)
    return path


def test_the_example_is_read(tmp_path: Path) -> None:
    assert load_expected(written(tmp_path, EXAMPLE), KNOWN) == {
        "smtp/canary/one-session": "why this proxy answers otherwise (https://bugs.example.org/12)"
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            '["smtp/canary/one-sesion"]\nreason = "a"\nlink = "b"',
            'no case is called "smtp/canary/one-sesion"; the nearest are smtp/canary/one-session',
        ),
        ('["smtp/canary/one-session"]\nreason = "a"', "needs 'link' as a text that is not empty, found None"),
        ('["smtp/canary/one-session"]\nreason = " "\nlink = "b"', "needs 'reason' as a text"),
        ('["smtp/canary/one-session"]\nreason = "a"\nlink = "b"\nurl = "c"', "has the key 'url'; known are reason"),
        ('"smtp/canary/one-session" = "so"', "is 'so'; wanted a table like this"),
        ("reason =", "is no TOML"),
    ],
)
def test_a_wrong_file_is_an_error_that_helps(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Unknown) as raised:
        load_expected(written(tmp_path, text), KNOWN)
    assert complaint in str(raised.value)
    assert "expect.toml" in str(raised.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unknown, match="No such file"):
        load_expected(tmp_path / "expect.toml", KNOWN)


def run(*options: str) -> Result:
    return CliRunner().invoke(main, ["run", "--target", "refproxy", *options], catch_exceptions=False)


def test_a_deviation_that_no_longer_happens_fails_the_run_and_is_run_again(tmp_path: Path) -> None:
    expect = written(tmp_path, EXAMPLE)
    done = run("--only", "*/canary/*", "--expect", str(expect))
    assert done.exit_code == 1
    assert "1 unexpected pass" in done.output
    assert "known to deviate: why this proxy answers otherwise (https://bugs.example.org/12)" in done.output
    again = run("--rerun-failed")
    assert again.exit_code == 0
    assert "1 cases: 1 pass" in again.output
    assert "no case failed when it last ran against refproxy" in run("--rerun-failed").stderr


def test_results_of_cases_that_were_not_run_again_are_kept(tmp_path: Path) -> None:
    expect = written(tmp_path, EXAMPLE)
    run("--only", "smtp/canary/*", "--expect", str(expect))
    assert run("--only", "imap/canary/*").exit_code == 0
    assert "1 cases: 1 pass" in run("--rerun-failed").output


def test_an_unknown_case_in_the_file_ends_the_run(tmp_path: Path) -> None:
    done = run("--expect", str(written(tmp_path, '["smtp/nothing"]\nreason = "a"\nlink = "b"')))
    assert done.exit_code == 2
    assert 'no case is called "smtp/nothing"' in done.stderr
