"""What a log lets through (CORE-28)."""

from __future__ import annotations

import io

import pytest

from refproxy.config.settings import LogFilter, LogLevel, LogMatch, LogSettings, Settings
from refproxy.observe.events import Noted
from refproxy.observe.log import Log, open_log
from refproxy.observe.log_filter import RateLimit, fits
from tests.observe.test_log import known, server

PART, EXACT, REGEX = LogMatch.PART, LogMatch.EXACT, LogMatch.REGEX
TAGS, PROPERTIES = ("mail", "edge"), {"login": "ann", "client": "192.0.2.7:25"}


@pytest.mark.parametrize(
    ("wanted", "through"),
    [
        (LogFilter("tag", PART, "edg"), True),
        (LogFilter("tag", EXACT, "edg"), False),
        (LogFilter("message", PART, "timed"), True),
        (LogFilter("message", EXACT, "client timed out"), True),
        (LogFilter("message", EXACT, "timed"), False),
        (LogFilter("message", REGEX, "^client .* out$"), True),
        (LogFilter("logline", PART, "[info]"), True),
        (LogFilter("login", EXACT, "ann"), True),
        (LogFilter("client", REGEX, r"^192\.0\.2\."), True),
        (LogFilter("upstream", PART, ""), False),
    ],
)
def test_what_a_filter_lets_through(wanted: LogFilter, through: bool) -> None:
    assert fits(wanted, "client timed out", "... [info] client timed out", TAGS, PROPERTIES) is through


def test_a_rate_counts_each_second_for_itself() -> None:
    limit = RateLimit(2)
    assert [limit.takes(now) for now in (10.0, 10.5, 10.9, 10.99, 11.0)] == [True, True, False, False, True]
    assert (limit.take_dropped(), limit.take_dropped()) == (2, 0)


def log_of(settings: LogSettings, written: io.StringIO) -> Log:
    return open_log(Settings("mail.conf", (), error_logs=(settings,)), written)


def test_a_log_tells_how_much_its_rate_kept_out() -> None:
    written = io.StringIO()
    log = log_of(LogSettings("stderr", LogLevel.INFO, rate=1), written)
    log._clock = iter((5.0, 5.1, 5.2, 6.0)).__next__
    for number in range(4):
        log(Noted(None, f"message {number}"))
    lines = [line.partition("#0: ")[2] for line in written.getvalue().splitlines()]
    assert lines == ["message 0", "2 messages were over the rate of the log", "message 3"]


def test_a_log_writes_only_what_fits_its_filter() -> None:
    written = io.StringIO()
    log = log_of(LogSettings("stderr", LogLevel.INFO), written)
    info = known(server(LogSettings("stderr", LogLevel.INFO, filter=LogFilter("message", PART, "b"))))
    for text in ("abc", "xyz"):
        log(Noted(info, text))
    assert [line.split(" while ")[0].rpartition("*5 ")[2] for line in written.getvalue().splitlines()] == ["abc"]
