"""Tests of the demo, which is the whole proxy at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import takewhile

import pytest

from refproxy.demo import main
from refproxy.demo.mailbox import PASSWORD, USER


def test_the_demo_sends_a_message_and_reads_it_back_twice(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(once=True)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1] == "demo: 3 of 3 sessions relayed"
    assert status == 0
    assert out.count("ended: proxied session done") == 3
    assert "XCLIENT ADDR=127.0.0.1" in out
    assert "== DATA ==" in out
    assert "TLS with the client from here on: TLSv1.3" in out
    assert f"Auth-User: {USER}" in out
    assert PASSWORD not in out


@pytest.mark.slow
def test_the_demo_stays_up_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "refproxy", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        shown = "".join(takewhile(lambda line: "d LOGOUT" not in line, running.stdout))
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(timeout=20) == 0
        assert running.stderr.read() == ""
    assert f"user {USER}, password {PASSWORD}" in shown
    assert "swaks --server 127.0.0.1:" in shown
    assert "openssl s_client -crlf -quiet -starttls smtp -connect 127.0.0.1:" in shown
