"""The error log, in Angie's words and formats (core rules, section 7); the standard library does the writing."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import SysLogHandler
from typing import TextIO, assert_never

from refproxy.config.settings import LogLevel, LogSettings, Settings
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
    TlsStarted,
    WentWrong,
)
from refproxy.observe.log_filter import RateLimit, fits
from refproxy.wire.auth_http import printable

__all__ = ["Entry", "Log", "format_json", "format_text", "messages_of", "open_log"]

MESSAGE_LIMIT = 2048  # octets of a message, the size of Angie's line buffer
WITHOUT_ACTION = frozenset({"client logged in", "proxied session done"})  # CORE-30
NAMES = {Side.CLIENT: "client", Side.BACKEND: "upstream", Side.AUTH: "auth server", Side.DNS: "name server"}
THREAD = 0  # the TID of CORE-29: Angie's workers have one thread
SYSLOG_PORT = 514
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
"""Names as Angie has them; the position is the code of RFC 5424."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `time` is seconds since the epoch; `errno` is None unless the system refused something."""

    time: float
    level: LogLevel
    message: str
    session: SessionInfo | None = None
    errno: int | None = None
    with_action: bool = True


class Log:
    """A reader that writes each event to the logs of its session's server, or to the main ones (CORE-26).

    Made by `open_log`; `least` is the lowest level that any of the logs takes. Nothing it is told holds a password, and
    what it writes of others' octets is escaped.
    """

    def __init__(
        self,
        main_logs: tuple[LogSettings, ...],
        handlers: Mapping[str, logging.Handler],
        *,
        least: LogLevel,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.wants_lines = least is LogLevel.DEBUG
        self._least, self._main_logs, self._handlers, self._clock = least, main_logs, handlers, clock
        self._limits: dict[LogSettings, RateLimit] = {}

    def __call__(self, event: Event) -> None:
        """Write the event wherever its level is wanted."""
        session, level = event.session, event.level
        if level < self._least:
            return
        logs = self._main_logs if session is None else session.settings.error_logs
        wanting = [log for log in logs if level >= log.level]
        if not wanting:
            return
        for entry in self._entries(event):
            for log in wanting:
                self._write(log, entry)

    def _write(self, log: LogSettings, entry: Entry) -> None:
        """Write an entry, unless filter or rate of the log keep it out."""
        line = format_json(entry) if log.json else format_text(entry)
        if log.filter is not None:
            tags, properties = _tags(entry.session), dict(_properties(entry.session))
            if not fits(log.filter, entry.message, line, tags, properties):
                return
        if log.rate is not None:
            limit = self._limits.setdefault(log, RateLimit(log.rate))
            if not limit.takes(entry.time):
                return
            if dropped := limit.take_dropped():
                told = Entry(entry.time, LogLevel.WARN, f"{dropped} messages were over the rate of the log")
                note = format_json(told) if log.json else format_text(told)
                self._handlers[log.destination].handle(_record(told.level, note))
        self._handlers[log.destination].handle(_record(entry.level, line))

    def reopen(self) -> None:
        """Open the files anew, after they were moved away. One that cannot be opened stays as it is, and says so."""
        for handler in self._handlers.values():
            if isinstance(handler, logging.FileHandler):
                try:
                    stream = _open(handler.baseFilename)
                except ConfigError as error:
                    entry = Entry(self._clock(), LogLevel.EMERG, str(error))
                    handler.handle(_record(entry.level, format_text(entry)))
                    continue
                if (old := handler.setStream(stream)) is not None:
                    old.close()

    def close(self) -> None:
        """Close files and sockets; stderr stays."""
        for handler in self._handlers.values():
            handler.close()

    def _entries(self, event: Event) -> Iterator[Entry]:
        errno = event.errno if isinstance(event, Noted | WentWrong) else None
        now = self._clock()
        for message in messages_of(event):
            with_action = not isinstance(event, SessionEnded) and message not in WITHOUT_ACTION
            yield Entry(now, event.level, message, event.session, errno, with_action)


def messages_of(event: Event) -> list[str]:
    """What the log says of an event: one message, or several for what has several lines."""
    match event:
        case SessionStarted():
            return ["client connected"]
        case LineReceived(_, side, shown):
            return [f"{NAMES[side]}: {line}" for line in shown.split("\n")]
        case LineSent(_, side, shown):
            return [f"to {NAMES[side]}: {line}" for line in shown.split("\n")]
        case TlsStarted(_, side, version, cipher):
            return [f"SSL with {NAMES[side]}: {version}, cipher: {cipher}"]
        case OctetsRelayed(_, side, octets):
            return [f"relaying {len(octets)} octets from {NAMES[side]}"]
        case Noted() | WentWrong():
            return [event.text]
        case SessionCrashed(_, traceback):
            return [f"session crashed: {line.strip()}" for line in traceback.split("\n") if line.strip()]
        case SessionEnded(session, end, seconds):
            counts = session.octets_from
            moved = f"{counts[Side.CLIENT]} octets from client, {counts[Side.BACKEND]} from upstream"
            return [f"session ended: {end}, {moved}, {seconds:.3f} s"]
        case _:
            assert_never(event)


def format_text(entry: Entry) -> str:
    """Write an entry in Angie's text format (CORE-29), without a line end."""
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(entry.time))
    number = f" *{entry.session.number}" if entry.session else ""
    error = "" if entry.errno is None else f" ({entry.errno}: {os.strerror(entry.errno)})"
    action = f" while {entry.session.action}" if entry.session and entry.with_action else ""
    properties = "".join(f', {name}: "{value}"' for name, value in _properties(entry.session))
    head = f"{stamp} [{_name(entry.level)}] {os.getpid()}#{THREAD}:{number}"
    return f"{head} {_harmless(entry.message)}{error}{action}{properties}"


def format_json(entry: Entry) -> str:
    """Write an entry as one JSON object in one line (CORE-32), without a line end."""
    stamp = datetime.fromtimestamp(entry.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line: dict[str, object] = {"time": stamp, "level": _name(entry.level), "pid": os.getpid(), "tid": THREAD}
    session = entry.session
    if session:
        line["connection"] = session.number
    line["message"] = _harmless(entry.message)
    if entry.errno is not None:
        line["error"] = {"code": entry.errno, "message": os.strerror(entry.errno)}
    if session:
        action = {"action": session.action} if entry.with_action else {}
        line["mail"] = action | dict(_properties(session))
        line["tags"] = _tags(session)
    return json.dumps(line, separators=(",", ":"))


def _tags(session: SessionInfo | None) -> list[str]:
    return ["mail", *session.settings.log_tags] if session else []


def _properties(session: SessionInfo | None) -> Iterator[tuple[str, str]]:
    """What identifies a session, in the order of CORE-29; each only once it is known."""
    if session is None:
        return
    yield "client", _quotable(session.client)
    yield "server", _quotable(session.listen)
    if session.starttls:
        yield "starttls", "true"
    if session.login is not None:
        yield "login", _quotable(printable(session.login, MESSAGE_LIMIT))
    if session.backend is not None:
        yield "upstream", _quotable(session.backend)


def _harmless(text: str) -> str:
    r"""The text as one line: control octets and what is not ASCII as `\xNN`."""
    if text.isascii() and text.isprintable() and len(text) <= MESSAGE_LIMIT:
        return text
    return printable(text.encode("utf-8", "backslashreplace"), MESSAGE_LIMIT)


def _quotable(text: str) -> str:
    """The text harmless between quotes: a login with a quote in it must not look like two properties."""
    return _harmless(text).replace('"', "\\x22")


def _name(level: LogLevel) -> str:
    return level.name.lower()


def _record(level: LogLevel, line: str) -> logging.LogRecord:
    """What the standard library's handlers take; its level name is Angie's."""
    return logging.makeLogRecord({"msg": line, "levelname": _name(level)})


# -- destinations --------------------------------------------------------------------------------------------------


def open_log(settings: Settings, emergency: TextIO | None = None) -> Log:
    """Open every destination of the configuration; `emergency` is where `stderr` goes (default: there).

    Raises ConfigError when a file cannot be opened or a syslog server's name is unknown (CORE-27). The caller closes.
    """
    logs = {*settings.error_logs}.union(*(server.error_logs for server in settings.servers))
    handlers: dict[str, logging.Handler] = {}
    try:
        for destination in sorted({log.destination for log in logs}):
            handlers[destination] = _handler(destination, sys.stderr if emergency is None else emergency)
    except ConfigError:
        for handler in handlers.values():
            handler.close()
        raise
    return Log(settings.error_logs, handlers, least=min(log.level for log in logs))


def _handler(destination: str, emergency: TextIO) -> logging.Handler:
    if destination == "stderr":
        return logging.StreamHandler(emergency)
    if destination.startswith("syslog:"):
        return _open_syslog(destination.removeprefix("syslog:"))
    _open(destination).close()  # the handler's own fault would not have Angie's words
    return logging.FileHandler(destination, encoding="utf-8")


def _open(path: str) -> TextIOWrapper:
    """Open a log file for append; the caller closes it. Raises ConfigError."""
    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f'open() "{path}" failed ({error.errno}: {error.strerror})') from error


class _Syslog(SysLogHandler):
    """Datagrams as Angie sends them: `<PRIORITY>Mon DD HH:MM:SS HOST TAG: LINE`."""

    append_nul = False
    head = ""

    def mapPriority(self, levelName: str) -> str:
        """Take the level as severity; Angie's names are syslog's."""
        return levelName

    def format(self, record: logging.LogRecord) -> str:
        """Put time, host and tag in front."""
        return f"{time.strftime('%b %e %H:%M:%S')} {self.head}: {super().format(record)}"


def _open_syslog(text: str) -> _Syslog:
    """Open a destination whose parameters the configuration reader has checked."""
    given = {name: value for name, _, value in (parameter.partition("=") for parameter in text.split(","))}
    server = given["server"]
    try:
        handler = _Syslog(_syslog_address(server), FACILITIES.index(given.get("facility", "local7")))
    except OSError as error:
        raise ConfigError(f'no way to syslog server "{server}" ({error.errno}: {error.strerror})') from error
    tag = given.get("tag", "refproxy")
    handler.head = tag if "nohostname" in given else f"{socket.gethostname()} {tag}"
    return handler


def _syslog_address(server: str) -> str | tuple[str, int]:
    if server.startswith("unix:"):
        return server.removeprefix("unix:")
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]"):
        host, port = server, str(SYSLOG_PORT)
    return host.strip("[]"), int(port)
