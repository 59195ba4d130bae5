"""Tests of the log: formats, levels, destinations."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from refproxy.config.settings import (
    AuthHttp,
    LogLevel,
    LogSettings,
    MailProtocol,
    ServerSettings,
    Settings,
    TcpAddress,
    Where,
)
from refproxy.errors import ConfigError, Side
from refproxy.observe.events import (
    Event,
    LineReceived,
    LineSent,
    Noted,
    OctetsRelayed,
    SessionCrashed,
    SessionEnded,
    SessionInfo,
    SessionStarted,
    WentWrong,
)
from refproxy.observe.log import Entry, format_json, format_text, open_log
from refproxy.observe.stream import EventStream

NOON = 1795608000.25  # 2026-11-25 12:00:00.250 UTC


def server(*logs: LogSettings, tags: tuple[str, ...] = ()) -> ServerSettings:
    auth_http = AuthHttp((TcpAddress("127.0.0.1", 9000),), b"127.0.0.1", b"/auth")
    settings = ServerSettings(Where("mail.conf", 1), MailProtocol.POP3, (), b"mx.example", auth_http)
    return replace(settings, error_logs=logs, log_tags=tags)


def session(settings: ServerSettings | None = None) -> SessionInfo:
    return SessionInfo(5, settings or server(), "127.0.0.1:53974", "127.0.0.1:110", 0.0)


def known(settings: ServerSettings | None = None) -> SessionInfo:
    info = session(settings)
    info.action, info.login, info.backend, info.starttls = "proxying", b"ann", "192.0.2.1:1110", True
    return info


def logged(*events: Event, main: tuple[LogSettings, ...] = ()) -> list[str]:
    """What `stderr` gets, without time and process."""
    servers = tuple(event.session.settings for event in events if event.session)
    written = io.StringIO()
    log = open_log(Settings("mail.conf", servers, error_logs=main), written)
    for event in events:
        log(event)
    log.close()
    return [line.split(": ", 1)[1] for line in written.getvalue().splitlines()]


def to_stderr(level: LogLevel) -> ServerSettings:
    return server(LogSettings("stderr", level))


# -- formats


def test_a_line_has_every_field_in_its_place() -> None:
    """CORE-29."""
    entry = Entry(NOON, LogLevel.INFO, "client timed out", known(), errno.ETIMEDOUT)
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(NOON))
    assert format_text(entry) == (
        f"{stamp} [info] {os.getpid()}#0: *5 client timed out (110: Connection timed out) while proxying, "
        'client: "127.0.0.1:53974", server: "127.0.0.1:110", starttls: "true", login: "ann", '
        'upstream: "192.0.2.1:1110"'
    )


def test_fields_that_are_not_known_are_left_out() -> None:
    """CORE-30."""
    line = format_text(Entry(NOON, LogLevel.INFO, "client connected", session()))
    assert line.endswith(
        '*5 client connected while initializing session, client: "127.0.0.1:53974", server: "127.0.0.1:110"'
    )


def test_what_belongs_to_no_session_has_no_number_and_no_fields() -> None:
    line = format_text(Entry(NOON, LogLevel.CRIT, "accept() failed", None, errno.EMFILE))
    assert re.fullmatch(r"\S+ \S+ \[crit\] \d+#0: accept\(\) failed \(24: Too many open files\)", line)


def test_json_is_one_object_with_its_keys_in_order() -> None:
    """CORE-32."""
    entry = Entry(NOON, LogLevel.WARN, "client timed out", known(server(tags=("edge",))), errno.ETIMEDOUT)
    line = json.loads(format_json(entry))
    assert list(line) == ["time", "level", "pid", "tid", "connection", "message", "error", "mail", "tags"]
    assert line == {
        "time": "2026-11-25T12:00:00.250Z",
        "level": "warn",
        "pid": os.getpid(),
        "tid": 0,
        "connection": 5,
        "message": "client timed out",
        "error": {"code": 110, "message": "Connection timed out"},
        "mail": {
            "action": "proxying",
            "client": "127.0.0.1:53974",
            "server": "127.0.0.1:110",
            "starttls": "true",
            "login": "ann",
            "upstream": "192.0.2.1:1110",
        },
        "tags": ["mail", "edge"],
    }


def test_json_without_a_session_has_no_mail_object() -> None:
    line = json.loads(format_json(Entry(NOON, LogLevel.NOTICE, "reloaded")))
    assert list(line) == ["time", "level", "pid", "tid", "message"]


def test_a_login_can_neither_break_the_line_nor_forge_a_field() -> None:
    """CORE-80."""
    info = session()
    info.login = b'eve", upstream: "x\r\n\xff'
    entry = Entry(NOON, LogLevel.INFO, "bad\nline\x1b \N{SNOWMAN}", info)
    line = format_text(entry)
    assert "\n" not in line
    assert "bad\\x0aline\\x1b \\xe2\\x98\\x83 while" in line
    assert 'login: "eve\\x22, upstream: \\x22x\\x0d\\x0a\\xff"' in line
    assert json.loads(format_json(entry))["mail"]["login"] == "eve\\x22, upstream: \\x22x\\x0d\\x0a\\xff"


def test_a_message_is_cut_at_a_limit() -> None:
    assert len(format_text(Entry(NOON, LogLevel.INFO, "x" * 100_000))) < 2200


# -- what is said of events


def test_the_end_of_a_session_says_who_where_and_how_much() -> None:
    info = known(to_stderr(LogLevel.INFO))
    info.octets_from = {Side.CLIENT: 12, Side.BACKEND: 345}
    assert logged(SessionEnded(info, "proxied session done", 1.2341)) == [
        "*5 session ended: proxied session done, 12 octets from client, 345 from upstream, 1.234 s, "
        'client: "127.0.0.1:53974", server: "127.0.0.1:110", starttls: "true", login: "ann", '
        'upstream: "192.0.2.1:1110"'
    ]


@pytest.mark.parametrize(
    ("text", "said"), [("client logged in", "client logged in, client:"), ("x failed", "x failed while proxying,")]
)
def test_the_action_is_left_out_of_two_messages(text: str, said: str) -> None:
    """CORE-30."""
    (line,) = logged(Noted(known(to_stderr(LogLevel.INFO)), text))
    assert line.startswith(f"*5 {said}")


def test_debug_shows_the_dialogue_line_by_line() -> None:
    info = session(to_stderr(LogLevel.DEBUG))
    lines = logged(
        LineReceived(info, Side.CLIENT, "EHLO x"),
        LineSent(info, Side.CLIENT, "250-mx\n250 AUTH PLAIN"),
        LineReceived(info, Side.BACKEND, "220 hello"),
        LineSent(info, Side.AUTH, "GET / HTTP/1.0"),
        OctetsRelayed(info, Side.BACKEND, b"secret"),
    )
    assert [line.partition(" while ")[0] for line in lines] == [
        "*5 client: EHLO x",
        "*5 to client: 250-mx",
        "*5 to client: 250 AUTH PLAIN",
        "*5 upstream: 220 hello",
        "*5 to auth server: GET / HTTP/1.0",
        "*5 relaying 6 octets from upstream",
    ]


def test_a_crash_is_told_line_by_line() -> None:
    lines = logged(SessionCrashed(session(to_stderr(LogLevel.ERROR)), "  File x\n    y()\nKeyError\n"))
    assert [line.partition(" while ")[0] for line in lines] == [
        "*5 session crashed: File x",
        "*5 session crashed: y()",
        "*5 session crashed: KeyError",
    ]


# -- levels and destinations


@pytest.mark.parametrize(("level", "lines"), [(LogLevel.INFO, 3), (LogLevel.ERROR, 2), (LogLevel.ALERT, 0)])
def test_only_events_of_the_level_and_above_are_written(level: LogLevel, lines: int) -> None:
    """CORE-26."""
    info = session(to_stderr(level))
    assert len(logged(SessionStarted(info), WentWrong(info, "x"), WentWrong(info, "y", LogLevel.CRIT))) == lines


def test_lines_are_wanted_only_for_a_log_of_level_debug() -> None:
    quiet = open_log(Settings("mail.conf", (to_stderr(LogLevel.INFO),)))
    curious = open_log(Settings("mail.conf", (to_stderr(LogLevel.INFO), to_stderr(LogLevel.DEBUG))))
    assert not EventStream(quiet).verbose
    assert EventStream(curious).verbose


def test_an_event_goes_to_the_logs_of_its_server_or_else_to_the_main_ones(tmp_path: Path) -> None:
    """CORE-26."""
    main, mine, also = (tmp_path / name for name in ("main", "mine", "also"))
    settings = server(LogSettings(str(mine), LogLevel.INFO), LogSettings(str(also), LogLevel.INFO, json=True))
    log = open_log(Settings("mail.conf", (settings,), error_logs=(LogSettings(str(main)),)))
    log(SessionStarted(session(settings)))
    log(WentWrong(None, "accept() failed", LogLevel.CRIT))
    log.close()
    assert "client connected" in mine.read_text()
    assert json.loads(also.read_text())["message"] == "client connected"
    assert main.read_text().count("\n") == 1
    assert "accept() failed" in main.read_text()


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "mail.log"
    file.write_text("before\n")
    log = open_log(Settings("mail.conf", (), error_logs=(LogSettings(str(file)),)))
    log(WentWrong(None, "after"))
    log.close()
    assert [line.split()[-1] for line in file.read_text().splitlines()] == ["before", "after"]


def test_a_file_that_cannot_be_opened_is_the_operators_fault(tmp_path: Path) -> None:
    """CORE-27."""
    missing = tmp_path / "missing" / "mail.log"
    logs = (LogSettings(str(tmp_path / "fine.log")), LogSettings(str(missing)))
    with pytest.raises(ConfigError) as raised:
        open_log(Settings("mail.conf", (), error_logs=logs))
    assert str(raised.value) == f'open() "{missing}" failed (2: No such file or directory)'


def test_reopen_leaves_the_old_file_and_starts_a_new_one(tmp_path: Path) -> None:
    file, moved = tmp_path / "mail.log", tmp_path / "mail.log.1"
    log = open_log(Settings("mail.conf", (), error_logs=(LogSettings(str(file)),)))
    log(WentWrong(None, "one"))
    file.rename(moved)
    log.reopen()
    log(WentWrong(None, "two"))
    log.close()
    assert moved.read_text().endswith("one\n")
    assert file.read_text().endswith("two\n")
    assert "one" not in file.read_text()


def test_a_file_that_cannot_be_reopened_goes_on_as_it_is(tmp_path: Path) -> None:
    directory, moved = tmp_path / "logs", tmp_path / "moved"
    directory.mkdir()
    log = open_log(Settings("mail.conf", (), error_logs=(LogSettings(str(directory / "mail.log")),)))
    directory.rename(moved)
    log.reopen()
    log(WentWrong(None, "still here"))
    log.close()
    complaint, line = (moved / "mail.log").read_text().splitlines()
    assert "[emerg]" in complaint
    assert complaint.endswith("failed (2: No such file or directory)")
    assert line.endswith("still here")


def test_syslog_gets_datagrams_with_priority_host_and_tag() -> None:
    """CORE-27."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        port = daemon.getsockname()[1]
        here = f"syslog:server=127.0.0.1:{port}"
        logs = (LogSettings(f"{here},facility=mail,tag=edge"), LogSettings(f"{here},nohostname"))
        log = open_log(Settings("mail.conf", (), error_logs=logs))
        log(WentWrong(None, "help", LogLevel.EMERG))
        log.close()
        received = [daemon.recv(4096).decode() for _ in logs]
    stamp = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    host = re.escape(socket.gethostname())
    assert re.fullmatch(rf"<16>{stamp} {host} edge: \S+ \S+ \[emerg\] \d+#0: help", received[0])
    assert re.fullmatch(rf"<184>{stamp} refproxy: \S+ \S+ \[emerg\] \d+#0: help", received[1])
