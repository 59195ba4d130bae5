"""The `error_log` directive: destination, level and Angie's parameters (CORE-26 to CORE-28)."""

from __future__ import annotations

import re
from dataclasses import replace

from refproxy.config.addresses import UrlFault, parse_url
from refproxy.config.settings import LogFilter, LogLevel, LogMatch, LogSettings
from refproxy.config.tree import printable
from refproxy.config.values import Call, bad
from refproxy.errors import ConfigError

__all__ = ["error_log"]

SYSLOG_PORT = 514
TAG_LIMIT = 32  # octets of a syslog tag
FACILITIES = (
    b"kern user mail daemon auth intern lpr news uucp clock authpriv ftp ntp audit alert cron "
    b"local0 local1 local2 local3 local4 local5 local6 local7"
).split()
SEVERITIES = b"emerg alert crit error warn notice info debug".split()
FILTER = re.compile(rb"([a-z_]+):([=~]?)(.*)", re.DOTALL)
FILTER_SUBJECTS = ("tag", "message", "logline", "client", "server", "starttls", "login", "upstream")
RATE = re.compile(rb"([0-9]{1,9})(?:m/s)?")


def error_log(call: Call) -> tuple[LogSettings]:
    """`error_log DEST [LEVEL] [format=...] [filter=...] [rate=...]`."""
    destination = _destination(call)
    level: LogLevel | None = None
    found = LogSettings(destination)
    for word in call.words[1:]:
        name, equals, value = word.partition(b"=")
        match name:
            case b"format" if equals and value in (b"default", b"json"):
                found = replace(found, json=value == b"json")
            case b"filter" if equals:
                found = replace(found, filter=_filter(value))
            case b"rate" if equals and (match := RATE.fullmatch(value)):
                found = replace(found, rate=int(match[1]) or None)
            case b"format" | b"rate" if equals:
                raise bad(f'invalid parameter "{printable(word)}"', word, "format=default, format=json or rate=N")
            case _:
                level = _level(word, level)
    return (found if level is None else replace(found, level=level),)


def _level(word: bytes, before: LogLevel | None) -> LogLevel:
    """A level; exact, lower case, and only one."""
    names = {level.name.lower().encode(): level for level in LogLevel}
    if (level := names.get(word)) is None:
        raise bad(f'invalid log level "{printable(word)}"', word, "one of " + ", ".join(map(printable, names)))
    if before is not None:
        raise ConfigError(f'duplicate log level "{printable(word)}"')
    return level


def _filter(value: bytes) -> LogFilter:
    """`TYPE:PATTERN`, `TYPE:=EXACT` or `TYPE:~REGEX` (CORE-28)."""
    match = FILTER.fullmatch(value)
    if match is None:
        raise bad(f'missing filter type in "{printable(value)}"', value, "TYPE:PATTERN")
    subject, how, pattern = (part.decode("utf-8", "surrogateescape") for part in match.groups())
    if subject not in FILTER_SUBJECTS:
        raise bad(f'unknown filter type "{printable(match[1])}"', value, ", ".join(FILTER_SUBJECTS))
    if LogMatch(how) is LogMatch.REGEX:
        try:
            re.compile(pattern)
        except re.error as error:
            raise bad(f'invalid regular expression in "{printable(value)}": {error}', value, "TYPE:~REGEX") from error
    return LogFilter(subject, LogMatch(how), pattern)


def _destination(call: Call) -> str:
    word = call.word
    if word.startswith(b"memory:"):
        raise bad("refproxy keeps no logs in memory", word, "stderr, syslog:server=ADDRESS or a file")
    if word.startswith(b"syslog:"):
        _check_syslog(call, word.removeprefix(b"syslog:"))
        return printable(word)
    return "stderr" if word in (b"stderr", b"") else call.site.path(word)


def _check_syslog(call: Call, text: bytes) -> None:
    """Check the comma separated parameters of a syslog destination (CORE-27)."""
    seen: set[bytes] = set()
    for parameter in text.split(b","):
        name, _, value = parameter.partition(b"=")
        if name in seen:
            raise ConfigError(f'duplicate syslog "{printable(name)}"')
        seen.add(name)
        match name:
            case b"server":
                _check_syslog_server(call, value)
            case b"facility":
                if value not in FACILITIES:
                    raise ConfigError(f'unknown syslog facility "{printable(value)}"')
            case b"severity":
                if value not in SEVERITIES:
                    raise ConfigError(f'unknown syslog severity "{printable(value)}"')
            case b"tag":
                _check_tag(value)
            case b"nohostname":
                pass
            case _:
                raise ConfigError(f'unknown syslog parameter "{printable(parameter)}"')
    if b"server" not in seen:
        raise ConfigError("no syslog server specified")


def _check_syslog_server(call: Call, value: bytes) -> None:
    try:
        parse_url(value, call.site.resolve, default=SYSLOG_PORT)
    except UrlFault as fault:
        raise bad(f'{fault} in syslog server "{printable(value)}"', value, "HOST[:PORT] or unix:PATH") from fault


def _check_tag(value: bytes) -> None:
    if len(value) > TAG_LIMIT:
        raise ConfigError(f"syslog tag length exceeds {TAG_LIMIT}")
    if not re.fullmatch(rb"[0-9A-Za-z_]*", value):
        raise ConfigError('syslog "tag" only allows alphanumeric characters and underscore')
