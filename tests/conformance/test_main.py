"""The suite's command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.report.results import from_json
from conformance.rulebook import load_rules
from conformance.targets import angie


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


def test_targets_are_listed_with_what_they_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr(angie, "SYSTEM_PATH", "")
    done = CliRunner().invoke(main, ["targets"])
    assert done.exit_code == 0
    assert re.search(r"(?m)^refproxy: refproxy, version \d.*\n  claims .*auth_http, .*resolver", done.output)
    assert "nginx: not found, nginx is not on the PATH" in done.output
    assert "external: a proxy that runs already" in done.output


def test_rules_are_printed_with_level_source_and_reason() -> None:
    rule = load_rules()["SMTP-100"]
    done = CliRunner().invoke(main, ["rules", rule.id])
    assert done.exit_code == 0
    assert done.output.startswith(f"SMTP-100 (must; RFC 3207 section 4.2; {rule.where})\n  {rule.text[:40]}")
    assert done.output.endswith(f"\n  Why: {rule.reason}\n\n")
    assert CliRunner().invoke(main, ["rules", "SMTP_100"]).exit_code == 2


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_and_option_has_help(command: str) -> None:
    made = main.commands[command]
    assert made.help
    assert [it.name for it in made.params if isinstance(it, click.Option) and not it.help] == []
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_listing_cases_imports_nothing_heavy() -> None:
    text = (
        "import sys\n"
        "from conformance.__main__ import main\n"
        "main(['list'], standalone_mode=False)\n"
        "heavy = {'rich', 'h11', 'OpenSSL', 'cryptography', 'trustme', 'pytest'} & sys.modules.keys()\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "smtp/canary/one-session" in done.stdout
