"""Dovecot is configured for the blocks it has an equivalent of, started, and judged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

import conformance.cases.all  # noqa: F401
from conformance.case import Block, registered
from conformance.deviations import load_expected
from conformance.runner import Plan, run
from conformance.secured import implicit, starttls
from conformance.targets import dovecot as module
from conformance.targets.base import Files, Fixture, TargetTrouble
from conformance.targets.dovecot import Dovecot, choose_places, configuration, dovecot, inexpressible
from conformance.verdict import Finding, Verdict
from tests.interop.processes import find_program, missing

CANARIES = [case for id, case in registered().items() if "/canary/" in id]
EXPECTATIONS = Path(module.__file__).parent.parent / "expectations" / "dovecot.toml"
IN_TLS = [f"{protocol}/starttls/no-second-one" for protocol in ("smtp", "imap", "pop3")]


@pytest.mark.parametrize(
    ("block", "strange"),
    [
        (Block("imap"), []),
        (starttls("pop3", mode="only"), []),
        (implicit("smtp", "starttls only;"), []),
        (Block("smtp", " proxy_smtp_auth  on ; "), []),
        (Block("smtp", "timeout 3s; proxy_smtp_auth on;"), ["timeout 3s"]),
        (Block("imap", listen="ssl proxy_protocol"), ["listen proxy_protocol"]),
        (Block("imap", address="unix"), ["an address of the kind unix"]),
    ],
)
def test_directives_without_an_equivalent_are_named(block: Block, strange: list[str]) -> None:
    assert inexpressible(block) == strange


def test_a_case_that_cannot_be_run_is_refused_with_the_reason() -> None:
    target = Dovecot("/bin/true")
    assert [target.refusal(case) for case in CANARIES] == [None] * 3
    assert target.refusal(replace(CANARIES[0], needs=frozenset({"resolver"}))) == "dovecot does not claim resolver"
    other = replace(CANARIES[0], block=Block("smtp", "timeout 3s;"))
    assert target.refusal(other) == "dovecot has no equivalent of timeout 3s"
    around = "dovecot has no equivalent of directives around the server block: worker_shutdown_timeout 1s;"
    assert target.refusal(replace(CANARIES[0], main="worker_shutdown_timeout 1s;")) == around


def test_blocks_stand_on_addresses_by_their_mode_of_starttls(tmp_path: Path) -> None:
    blocks = [Block("imap"), starttls("imap"), starttls("smtp", mode="only"), implicit("smtp")]
    places = choose_places(blocks)
    assert [place.host for place in places.values()] == ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2"]
    files = Files(tmp_path, {"certificate": "/c.pem"})
    text = configuration(Fixture(blocks, 9143, 0, files, tmp_path), places, tmp_path)
    assert "protocols = imap submission\n" in text
    assert "service pop3-login" not in text
    assert "local 127.0.0.3 {\n  ssl = required\n}" in text
    assert text.count("ssl = yes\n  }") == 1


def test_what_is_not_installed_is_trouble() -> None:
    with pytest.raises(TargetTrouble, match="dovecot-of-nobody is not on the PATH"):
        dovecot("dovecot-of-nobody")


def test_the_expectations_are_about_cases_that_exist() -> None:
    assert load_expected(EXPECTATIONS, registered())


@pytest.fixture
def installed() -> Dovecot:
    """Dovecot with everything it takes, or the end of the test."""
    program = find_program("dovecot", "dovecot-core")
    if not Path("/usr/lib/dovecot/submission-login").exists():
        missing("Dovecot's submission is not installed (Debian package dovecot-submissiond)")
    if os.geteuid() != 0:
        missing("Dovecot starts as root only")
    return dovecot(program)


@pytest.mark.interop
@pytest.mark.slow
async def test_sessions_of_all_protocols_are_judged_in_clear_and_in_tls(installed: Dovecot, tmp_path: Path) -> None:
    findings: list[Finding] = []
    cases = [*CANARIES, *(registered()[id] for id in IN_TLS)]
    await run(Plan(cases, installed, tmp_path), findings.append)
    assert {finding.case.id: finding.verdict for finding in findings} == dict.fromkeys(
        (case.id for case in cases), Verdict.PASS
    )
