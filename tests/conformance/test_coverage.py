"""What is said about rules and directives without a case; the file of reasons is held to what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import conformance.cases.all  # noqa: F401
from conformance.__main__ import main
from conformance.bench import Bench
from conformance.case import Block, Case, registered
from conformance.coverage import REASONS, cover, load_reasons
from conformance.rulebook import load_rules
from conformance.selection import Unknown
from refproxy.config.directives import BY_NAME

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = [*load_rules(), *BY_NAME]


async def nothing(bench: Bench) -> None:
    """A script that finds nothing."""


def a_case(id: str, rules: str, directives: str = "") -> Case:
    return Case(id, "a title", tuple(rules.split()), Block("smtp"), nothing, tuple(directives.split()))


def test_cases_are_found_by_rule_and_directive() -> None:
    found = cover(
        ["SMTP-1", "SMTP-2", "SMTP-3", "xclient"],
        [a_case("a/b", "SMTP-1"), a_case("a/c", "SMTP-1 SMTP-2", "xclient")],
        {"SMTP-2": "nobody knows how"},
    )
    assert found.cases == {"SMTP-1": ("a/b", "a/c"), "SMTP-2": ("a/c",), "SMTP-3": (), "xclient": ("a/c",)}
    assert found.unexplained == ["SMTP-3"]
    assert found.outdated == ["SMTP-2"]


def test_a_case_about_an_unknown_directive_is_an_error() -> None:
    with pytest.raises(Unknown, match=r'case a/b: .* is called "xclint"; the nearest are xclient'):
        cover(["SMTP-1", "xclient"], [a_case("a/b", "SMTP-1", "xclint")], {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('SMPT-1 = "because"', 'is called "SMPT-1"; the nearest are'),
        ('xclient = ""', "the reason of xclient is ''"),
        ("xclient = 5", "the reason of xclient is 5"),
        ('"xclient-2..5" = "because"', 'is called "xclient-2..5"'),
        ('SMTP-3 = "because"\n"SMTP-2..4" = "because"', "SMTP-3 has two reasons"),
        ("xclient", "Expected"),
    ],
)
def test_a_wrong_file_of_reasons_is_an_error(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "reasons.toml"
    path.write_text(text)
    with pytest.raises(Unknown, match=re.escape(complaint)):
        load_reasons(path, NAMES)


def test_a_range_is_every_rule_from_its_first_to_its_last(tmp_path: Path) -> None:
    path = tmp_path / "reasons.toml"
    path.write_text('"SMTP-2..5" = "because"')
    assert load_reasons(path, ["SMTP-1", "SMTP-2", "SMTP-4", "SMTP-5", "SMTP-6"]) == dict.fromkeys(
        ["SMTP-2", "SMTP-4", "SMTP-5"], "because"
    )


def test_the_command_fails_without_reasons_and_tells_the_cases(tmp_path: Path) -> None:
    empty = tmp_path / "reasons.toml"
    empty.write_text("")
    done = CliRunner().invoke(main, ["coverage", "--all", "--reasons", str(empty)])
    assert done.exit_code == 1
    assert "PROXY-38: smtp/xclient/login-in-xtext-printable" in done.output
    assert "with neither a case nor a reason: " in done.output
    assert "CONF-1 " in done.output.splitlines()[-1]


def test_the_command_is_content_when_every_reason_is_given(tmp_path: Path) -> None:
    covered = {name for case in registered().values() for name in (*case.rules, *case.directives)}
    reasons = tmp_path / "reasons.toml"
    reasons.write_text("".join(f'{name} = "so"\n' for name in NAMES if name not in covered))
    done = CliRunner().invoke(main, ["coverage", "--reasons", str(reasons)])
    assert done.exit_code == 0, done.output
    reasons.write_text("".join(f'{name} = "so"\n' for name in NAMES))
    done = CliRunner().invoke(main, ["coverage", "--reasons", str(reasons)])
    assert done.exit_code == 1
    assert "a case, so the reason for having none must go: " in done.output


def test_everything_has_a_case_or_a_reason_and_nothing_has_both() -> None:
    found = cover(NAMES, registered().values(), load_reasons(REASONS, NAMES))
    assert (found.unexplained, found.outdated) == ([], [])


def test_a_file_that_a_reason_names_has_a_test_about_the_rule() -> None:
    faults = []
    for name, reason in load_reasons(REASONS, NAMES).items():
        for file in re.findall(r"tests/[\w/]+\.py", reason):
            text = (ROOT / file).read_text(encoding="utf-8")
            if name in load_rules() and not re.search(rf"\b{name}\b", text):
                faults.append(f"{name}: {file} does not cite it")
    assert not faults, "\n".join(faults)


def test_a_case_is_about_the_rules_of_its_protocol_and_the_directives_of_its_block() -> None:
    made = registered()
    assert "IMAP-61" in made["imap/starttls/injected-logout"].rules
    assert "SMTP-100" not in made["imap/starttls/injected-logout"].rules
    assert "SMTP-100" in made["smtp/starttls/injected-quit"].rules
    directives = made["smtp/flag/inherited"].directives
    assert directives == ("smtp_capabilities", "smtp_auth", "xclient")
    assert {"ssl_certificate", "starttls"} <= {*made["imap/starttls/injected-logout"].directives}
