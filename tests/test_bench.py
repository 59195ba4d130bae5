"""The benchmark's command line, arithmetic and load; how fast anything is is never asserted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.benchmarks.__main__ import arguments, main
from scripts.benchmarks.figures import format_json, format_table
from scripts.benchmarks.load import LoadError
from scripts.benchmarks.proxies import BenchError, Program, cpu_seconds, nginx_like, refproxy
from scripts.benchmarks.sessions import summarize
from scripts.benchmarks.sessions_load import Load
from scripts.benchmarks.stage import Cost, describe_costs


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "required: command"),
        (["sessions", "-n", "0"], "'0' is not a positive number"),
        (["sessions", "--repetitions", "x"], "'x' is not a positive number"),
        (["sessions", "--protocol", "nntp"], "invalid choice: 'nntp'"),
        (["sessions", "--peer", "sendmail"], 'neither "nginx" nor "none" nor a path'),
        (["sessions", "--peer", "./missing"], "'./missing' is not a program"),
        (["sessions", "--json", "missing/out.json"], "'missing/out.json' cannot be written"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        arguments(words)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "usage: scripts/bench" in error
    assert complaint in error


def test_quick_leaves_what_was_given() -> None:
    options = arguments(["sessions", "--quick", "-n", "7"])
    assert (options.sessions, options.repetitions) == (7, 3)


def program(directory: Path, shown: str) -> str:
    """A program that shows `shown` whatever it is asked."""
    path = directory / "server"
    path.write_text(f"#!/bin/sh\necho '{shown}' >&2\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        ("server 1.0 --with-http_v2_module", "is built without a mail proxy"),
        ("--modules-path=/missing --with-mail=dynamic", "/missing/ngx_mail_module.so is not installed"),
    ],
)
def test_a_peer_without_mail_is_refused(
    shown: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = program(tmp_path, shown)
    with pytest.raises(BenchError, match=complaint):
        nginx_like("server", path)
    assert main(["sessions", "--peer", path]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_mail_module_to_load_comes_first_in_the_file(tmp_path: Path) -> None:
    module = tmp_path / "ngx_mail_module.so"
    module.touch()
    found = nginx_like("server", program(tmp_path, f"--modules-path={tmp_path} --with-mail=dynamic"))
    assert found.preamble == f"load_module {module};\n"


def cost(proxy: float, wall: float) -> Cost:
    return Cost(proxy, generator=0.1, servers=0.2, wall=wall)


ANGIE = Program("angie", ("/angie",))
OURS = {refproxy(): [cost(proxy, wall=20.0) for proxy in (6.0, 2.0, 4.0)]}
BOTH = {**OURS, ANGIE: [cost(1.0, wall=5.0)]}


def test_the_summary_holds_medians_ratio_and_spreads() -> None:
    cpu, rate = summarize("imap", 2000, BOTH)
    assert (cpu.name, cpu.unit, cpu.refproxy, cpu.spread, cpu.peer, cpu.peer_spread, cpu.ratio) == (
        "session-cpu-imap", "ms", 2.0, 1.0, 0.5, 0.0, 4.0,
    )  # fmt: skip
    assert (rate.name, rate.unit, rate.ratio) == ("session-rate-imap", "1/s", 0.25)
    assert "4.00" in format_table([cpu], "nginx")


def test_the_json_names_the_peer() -> None:
    (figure, _), (alone, _) = summarize("imap", 2000, BOTH), summarize("imap", 2000, OURS)
    expected = {"name": "session-cpu-imap", "unit": "ms", "refproxy": 2.0, "angie": 0.5, "ratio": 4.0, "spread": 1.0}
    assert json.loads(format_json([figure], "angie")) == {"figures": [expected]}
    assert json.loads(format_json([alone], "nginx"))["figures"][0] | {"nginx": None, "ratio": None} == alone.as_json(
        "nginx"
    )


def test_a_rate_that_is_not_the_proxys_own_says_so() -> None:
    waiting, saturated = cost(1.0, wall=2.0), cost(1.0, wall=1.05)
    assert "limited by the load" in describe_costs("imap", "nginx", [waiting], "ms per session", 1.0)
    assert describe_costs("imap", "refproxy", [saturated], "ms per session", 10.0) == (
        "imap refproxy: CPU ms per session 10.000, load generator 1.000, servers 2.000; proxy busy 95% of a core"
    )


def test_a_childs_time_is_counted_while_it_lives_and_after() -> None:
    burn = "import time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\ninput()"
    before = cpu_seconds(os.getpid())
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_seconds(os.getpid()) - before >= 0.1
        child.communicate(b"\n")
    assert cpu_seconds(os.getpid()) - before >= 0.1


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.mark.parametrize(
    ("replies", "complaint"),
    [
        ([b"* OK hi\r\n", b"a NO refused\r\n"], r"step 2: got b'a NO refused', wanted b'a OK'"),
        ([b"* OK hi\r\n", b"* BAD inter", b"nal\r\n"], r"step 2: got a close after b'\* BAD internal\\r\\n'"),
    ],
)
def test_a_failed_session_ends_the_load(replies: list[bytes], complaint: str, listener: socket.socket) -> None:
    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            for number, reply in enumerate(replies):
                sock.sendall(reply)
                if number == 0:
                    sock.recv(1000)

    server = threading.Thread(target=serve)
    server.start()
    try:
        with pytest.raises(LoadError, match=complaint):
            Load("imap", listener.getsockname()[1], sessions=1, concurrency=1).run()
    finally:
        server.join()


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
