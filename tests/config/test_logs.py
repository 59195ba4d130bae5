"""The `error_log` directive: rules CORE-26 to CORE-28."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from refproxy.config.logs import error_log
from refproxy.config.settings import LogFilter, LogLevel, LogMatch, LogSettings, Where
from refproxy.config.values import Call, Site
from refproxy.errors import ConfigError


def no_names(host: str, /) -> Sequence[str]:
    raise OSError(host)


def call(words: str) -> Call:
    site = Site(Path("/base"), no_names)
    return Call("error_log", tuple(word.encode() for word in words.split(" ")), Where("F", 1), site)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stderr", LogSettings("stderr", LogLevel.ERROR)),
        ("stderr debug", LogSettings("stderr", LogLevel.DEBUG)),
        ("logs/a.log emerg", LogSettings("/base/logs/a.log", LogLevel.EMERG)),
        ("/a.log info format=json", LogSettings("/a.log", LogLevel.INFO, json=True)),
        ("/a.log format=json format=default", LogSettings("/a.log")),
        ("off", LogSettings("/base/off")),
        ("syslog:server=127.0.0.1 warn", LogSettings("syslog:server=127.0.0.1", LogLevel.WARN)),
    ],
)
def test_error_log_takes_these_words(words: str, expected: LogSettings) -> None:
    """CORE-26, CORE-27."""
    assert error_log(call(words)) == (expected,)


@pytest.mark.parametrize(
    "destination",
    [
        "syslog:server=unix:/dev/log,nohostname",
        "syslog:server=[::1]:1514,facility=local7,severity=info,tag=mail_1",
        "syslog:tag=,server=127.0.0.1:514",
    ],
)
def test_syslog_takes_these_parameters(destination: str) -> None:
    """CORE-27."""
    assert error_log(call(destination)) == (LogSettings(destination),)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("stderr bogus", 'invalid log level "bogus"'),
        ("stderr ERROR", 'invalid log level "ERROR"'),
        ("stderr error error", 'duplicate log level "error"'),
        ("stderr error info", 'duplicate log level "info"'),
        ("stderr format=xml", 'invalid parameter "format=xml"'),
        ("stderr rate=fast", 'invalid parameter "rate=fast"'),
        ("stderr filter=foo", 'missing filter type in "foo"'),
        ("stderr filter=foo:x", 'unknown filter type "foo"'),
        (
            "stderr filter=tag:~(",
            'invalid regular expression in "tag:~(": missing ), unterminated subpattern at position 0',
        ),
        ("memory:32m", "refproxy keeps no logs in memory"),
        ("syslog:", 'unknown syslog parameter ""'),
        ("syslog:foo,server=127.0.0.1", 'unknown syslog parameter "foo"'),
        ("syslog:nohostname", "no syslog server specified"),
        ("syslog:server=127.0.0.1,server=127.0.0.1", 'duplicate syslog "server"'),
        ("syslog:server=127.0.0.1:0", 'invalid port in syslog server "127.0.0.1:0"'),
        ("syslog:server=nosuch", 'host not found in syslog server "nosuch"'),
        ("syslog:facility=zz", 'unknown syslog facility "zz"'),
        ("syslog:severity=zz", 'unknown syslog severity "zz"'),
        ("syslog:tag=a-b", 'syslog "tag" only allows alphanumeric characters and underscore'),
        ("syslog:tag=" + "a" * 33, "syslog tag length exceeds 32"),
    ],
)
def test_error_log_refuses_other_words(words: str, text: str) -> None:
    """CORE-26, CORE-27, CORE-28."""
    with pytest.raises(ConfigError) as caught:
        error_log(call(words))
    assert caught.value.text == text


def test_filters_and_rates_are_read() -> None:
    """CORE-28: of several the last one counts."""
    (found,) = error_log(call("stderr filter=tag:x rate=10 rate=5m/s"))
    assert (found.filter, found.rate) == (LogFilter("tag", LogMatch.PART, "x"), 5)
    (found,) = error_log(call("stderr filter=login:~^ann@ rate=0 info"))
    assert (found.filter, found.rate) == (LogFilter("login", LogMatch.REGEX, "^ann@"), None)
    (found,) = error_log(call("stderr filter=message:=done"))
    assert (str(found.filter), found.rate) == ("message:=done", 1000)
