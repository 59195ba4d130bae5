"""The benchmark's command line, arithmetic and load; how fast anything is is never asserted."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from scripts.benchmarks import idle_load, relay
from scripts.benchmarks.__main__ import arguments, main, measure, parts
from scripts.benchmarks.bulk import send_bulk, take_bulk
from scripts.benchmarks.certificate import make_certificate
from scripts.benchmarks.figures import Figure, figure, format_json, format_table
from scripts.benchmarks.load import LoadError, Transport
from scripts.benchmarks.proxies import (
    PROTOCOLS,
    TICKS,
    BenchError,
    Program,
    Setting,
    configuration,
    cpu_seconds,
    nginx_like,
    refproxy,
    resident_octets,
)
from scripts.benchmarks.relay_load import Direction
from scripts.benchmarks.sessions import summarize
from scripts.benchmarks.sessions_load import Load
from scripts.benchmarks.stage import Cost, allow_open_files, compare, describe_costs, describe_tls
from tests.interop.processes import find_program


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "required: command"),
        (["sessions", "-n", "0"], "'0' is not a positive number"),
        (["sessions", "--repetitions", "x"], "'x' is not a number"),
        (["sessions", "--protocol", "nntp"], "invalid choice: 'nntp'"),
        (["sessions", "--peer", "sendmail"], 'neither "nginx" nor "none" nor a path'),
        (["sessions", "--peer", "./missing"], "'./missing' is not a program"),
        (["sessions", "--json", "missing/out.json"], "'missing/out.json' cannot be written"),
        (["relay", "--variant", "32k"], "invalid choice: '32k'"),
        (["idle", "--variant", "64k"], "invalid choice: '64k'"),
        (["idle", "--seconds", "-1"], "'-1' is not a number"),
        (["all", "--protocol", "imap"], "unrecognized arguments: --protocol imap"),
        (["sessions", "--peer", "none", "--peer-only"], "--peer-only needs a peer"),
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


def test_each_command_has_its_own_defaults() -> None:
    assert arguments(["relay"]).mib == 256
    options = arguments(["idle", "--quick", "--seconds", "0"])
    assert (options.sessions, options.seconds, options.repetitions) == (500, 0, 2)


def test_all_is_every_configuration_of_every_benchmark() -> None:
    singly = (["sessions"], ["sessions", "--tls"], ["relay"], ["idle"])
    assert [len(parts(arguments(words))) for words in (*singly, ["all"])] == [1, 1, 3, 2, 7]


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


def test_the_cpu_of_a_relay_is_that_of_both_directions() -> None:
    samples = {Direction.DOWN: BOTH, Direction.UP: {program: costs[::-1] for program, costs in BOTH.items()}}
    down, up, cpu = relay.summarize(relay.Variant.TLS, relay.GIB // 2, samples)
    assert [each.name for each in (down, up, cpu)] == ["relay-down-tls", "relay-up-tls", "cpu-per-gib-tls"]
    assert (down.unit, down.refproxy, up.ratio) == ("MB/s", relay.GIB / 2 / 20 / 1e6, 0.25)
    assert (cpu.unit, cpu.refproxy, cpu.peer) == ("s/GiB", 10.0, 2.0)
    (alone,) = relay.summarize(relay.Variant.LARGE, relay.GIB, {Direction.DOWN: OURS})
    assert alone.name == "relay-down-64k"


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
    assert cpu_seconds(os.getpid()) - before >= 0.1 - 2 / TICKS  # of a child that ended, both times are cut to ticks


def test_what_used_nothing_has_no_spread_and_no_ratio() -> None:
    idle = compare("idle-cpu", "%", {refproxy(): [0.0, 0.0], ANGIE: [0.0, 1.0, 0.0]}, float)
    assert (idle.refproxy, idle.spread, idle.peer, idle.peer_spread, idle.ratio) == (0.0, 0.0, 0.0, 1.0, None)


def test_a_peer_can_be_shown_alone() -> None:
    (alone, _) = summarize("imap", 2000, {ANGIE: BOTH[ANGIE]})
    expected = {"name": "session-cpu-imap", "unit": "ms", "refproxy": None, "angie": 0.5, "ratio": None, "spread": None}
    assert alone.as_json("angie") == expected
    assert format_table([alone], "angie").splitlines()[1].split() == [
        "session-cpu-imap", "ms", "-", "-", "0.500", "0%", "-",
    ]  # fmt: skip


def test_a_part_that_fails_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(_: Sequence[Program]) -> list[Figure]:
        raise BenchError("refproxy: no greeting")

    def working(programs: Sequence[Program]) -> list[Figure]:
        return [figure(program.name, "ms", [1.0]) for program in programs]

    figures, complete = measure([failing, working], [refproxy()])
    assert ([each.name for each in figures], complete) == (["refproxy"], False)
    assert capsys.readouterr().err == "scripts/bench: refproxy: no greeting\n"


@pytest.mark.parametrize(
    ("tls", "remark"),
    [
        (["TLSv1.3 A", "TLSv1.3 A"], False),
        (["TLSv1.3 A", "TLSv1.2 A"], True),
    ],
)
def test_different_tls_is_pointed_out(tls: list[str], remark: bool) -> None:
    costs = [[replace(cost(1.0, wall=2.0), tls=each)] * 2 for each in tls]
    line = describe_tls("imap-tls", dict(zip([refproxy(), ANGIE], costs, strict=True)))
    assert f"ECDSA P-256: refproxy {tls[0]}; angie {tls[1]}" in line
    assert ("NOT THE SAME" in line) is remark


def test_a_childs_memory_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert resident_octets(os.getpid()) > resident_octets(child.pid) > 0
        child.communicate(b"\n")


def test_more_open_files_than_the_system_allows_are_refused() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] == resource.RLIM_INFINITY:
        pytest.skip("the system allows any number of open files")
    with pytest.raises(BenchError, match="open files are needed, and only"):
        allow_open_files(limits[1] + 1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


PATIENCE = 20.0  # seconds; a fault of a test ends as a failure, not as a test that waits for ever


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@pytest.fixture
def server_context(tmp_path: Path) -> ssl.SSLContext:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


@contextmanager
def imap_server(
    listener: socket.socket, replies: Sequence[bytes], context: ssl.SSLContext | None = None, *, lines: int = 1
) -> Iterator[int]:
    """One session: replies, with a line awaited after each of the first `lines`. The port is the value."""

    def serve() -> None:
        sock, _ = listener.accept()
        sock.settimeout(PATIENCE)
        with context.wrap_socket(sock, server_side=True) if context else sock as stream:
            for number, reply in enumerate(replies):
                stream.sendall(reply)
                if number < lines:
                    stream.recv(1000)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.join()


@pytest.mark.parametrize(
    ("replies", "complaint"),
    [
        ([b"* OK hi\r\n", b"a NO refused\r\n"], r"step 2: got b'a NO refused', wanted b'a OK'"),
        ([b"* OK hi\r\n", b"* BAD inter", b"nal\r\n"], r"step 2: got a close after b'\* BAD internal\\r\\n'"),
    ],
)
@pytest.mark.parametrize("transport", Transport)
def test_a_failed_session_ends_the_load(
    replies: list[bytes],
    complaint: str,
    transport: Transport,
    listener: socket.socket,
    server_context: ssl.SSLContext,
) -> None:
    context = server_context if transport is Transport.TLS else None
    with imap_server(listener, replies, context) as port, pytest.raises(LoadError, match=complaint):
        Load("imap", port, sessions=1, concurrency=1, context=transport.context()).run()


def test_a_session_over_tls_names_what_was_negotiated(listener: socket.socket, server_context: ssl.SSLContext) -> None:
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    server_context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    replies = [b"* OK hi\r\n", b"a OK\r\n", b"b OK\r\n", b"c OK\r\n"]
    with imap_server(listener, replies, server_context, lines=3) as port:
        load = Load("imap", port, sessions=1, concurrency=1, context=Transport.TLS.context())
        load.run()
    assert load.tls == "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256"


def test_a_port_without_tls_ends_the_load(listener: socket.socket) -> None:
    # Found when the handshake begins or when it goes on, as the greeting comes early or late.
    with (
        imap_server(listener, [b"* OK hi\r\n"]) as port,
        pytest.raises((ssl.SSLError, LoadError), match="WRONG_VERSION_NUMBER"),
    ):
        Load("imap", port, sessions=1, concurrency=1, context=Transport.TLS.context()).run()


@pytest.fixture
def orders() -> Iterator[TextIO]:
    """Orders that nobody gives."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w"), os.fdopen(reader) as stream:
        yield stream


def test_an_idle_session_that_ends_is_a_fault(
    listener: socket.socket, orders: TextIO, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = [b"* OK hi\r\n", b"a OK\r\n", b"b OK done\r\n"]
    with (
        imap_server(listener, replies, lines=2) as port,
        pytest.raises(LoadError, match="idle session, held: got a close"),
    ):
        idle_load.Load(port, None, [1], orders).run()
    assert set(json.loads(capsys.readouterr().out)) == {"wall", "cpu", "tls"}


def test_an_idle_session_that_the_proxy_answers_itself_is_a_fault(listener: socket.socket, orders: TextIO) -> None:
    replies = [b"* OK hi\r\n", b"a OK\r\n", b"b OK completed\r\n"]
    with (
        imap_server(listener, replies, lines=2) as port,
        pytest.raises(LoadError, match="step 3: got b'b OK completed', wanted b'b OK done'"),
    ):
        idle_load.Load(port, None, [1], orders).run()


def test_bulk_that_ends_early_is_a_fault() -> None:
    sender, taker = socket.socketpair()
    with sender, taker:
        send_bulk(sender, 1000)
        take_bulk(taker, 900)
        sender.close()
        with pytest.raises(ConnectionError, match="with 1 of 101 octets to come"):
            take_bulk(taker, 101)


COLUMNS = {"name", "unit", "refproxy", "nginx", "ratio", "spread"}


def names_of_a_run(file: Path, words: Sequence[str]) -> list[str]:
    """Run the command; the names of the figures it wrote."""
    assert main([*words, "--json", str(file)]) == 0
    figures = json.loads(file.read_text())["figures"]
    assert all(set(figure) == COLUMNS for figure in figures)
    return [figure["name"] for figure in figures]


TINY = [
    (
        ["sessions", "-n", "20", "--concurrency", "4"],
        [f"session-{kind}-{protocol}" for protocol in PROTOCOLS for kind in ("cpu", "rate")],
    ),
    (
        ["relay", "--variant", "default", "--mib", "1"],
        ["relay-down-default", "relay-up-default", "cpu-per-gib-default"],
    ),
    (["relay", "--variant", "64k", "--mib", "1"], ["relay-down-64k"]),
    (["idle", "--variant", "plain", "-n", "60", "--seconds", "0"], ["idle-kib", "idle-cpu"]),
]
TINY_TLS = [
    (
        ["sessions", "--tls", "-n", "20", "--concurrency", "4"],
        [f"session-{kind}-{protocol}-tls" for protocol in PROTOCOLS for kind in ("cpu", "rate")],
    ),
    (["relay", "--variant", "tls", "--mib", "1"], ["relay-down-tls", "relay-up-tls", "cpu-per-gib-tls"]),
    (["idle", "--variant", "tls", "-n", "60", "--seconds", "0"], ["idle-kib-tls", "idle-cpu-tls"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "names"), TINY)
def test_a_tiny_run_writes_its_figures(
    words: list[str], names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert names_of_a_run(tmp_path / "out", [*words, "--repetitions", "1", "--peer", "none"]) == names
    assert "load generator" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("words", "names"), TINY_TLS)
def test_a_tiny_run_over_tls_writes_its_figures(
    words: list[str], names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_refproxy_with_tls(tmp_path)
    assert names_of_a_run(tmp_path / "out", [*words, "--repetitions", "1", "--peer", "none"]) == names
    assert "refproxy TLSv1.3" in capsys.readouterr().out


def need_refproxy_with_tls(directory: Path) -> None:
    """Skip while refproxy itself says that it has no TLS on listeners; from then on the test checks it."""
    file = directory / "mail.conf"
    file.write_text(configuration(Setting(100, make_certificate(directory)), 1, {"imap": 1}, directory))
    command = [sys.executable, "-m", "refproxy", "test", "-c", str(file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr
    assert "test is successful" in shown
    if re.search('not effective yet: .*"listen … ssl"', shown):
        pytest.skip("refproxy says that TLS on listeners is not effective yet")


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.parametrize(("words", "names"), TINY_TLS)
def test_a_tiny_run_over_tls_measures_nginx(
    words: list[str], names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = ["--repetitions", "1", "--peer", find_program("nginx", "nginx"), "--peer-only"]
    assert names_of_a_run(tmp_path / "out", [*words, *alone]) == names
    assert "nginx TLSv1.3" in capsys.readouterr().out
