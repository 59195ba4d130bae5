"""What happens, as facts: the one vocabulary of log, ladder and every other reader.

Every event carries the `SessionInfo` it belongs to, or None for the program as a whole. What is shown of a line comes
from the core that understood it, so no event ever holds a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from refproxy.config.settings import LogLevel, ServerSettings
from refproxy.errors import Side

__all__ = [
    "Event",
    "LineReceived",
    "LineSent",
    "Noted",
    "OctetsRelayed",
    "SessionCrashed",
    "SessionEnded",
    "SessionInfo",
    "SessionStarted",
    "TlsStarted",
    "WentWrong",
]


@dataclass(slots=True)
class SessionInfo:
    """What identifies a session to a reader; fields fill up as the session goes on.

    `number` counts connections of the process; `client` is the TCP peer with its port, `listen` the address it came to.
    """

    number: int
    settings: ServerSettings
    client: str
    listen: str
    started: float  # trio.current_time()
    action: str = "initializing session"
    login: bytes | None = None
    backend: str | None = None
    tls: bool = False
    starttls: bool = False
    octets_from: dict[Side, int] = field(default_factory=lambda: {Side.CLIENT: 0, Side.BACKEND: 0})


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A client connected."""

    session: SessionInfo
    level = LogLevel.INFO


@dataclass(frozen=True, slots=True)
class LineReceived:
    """A peer said something in the dialogue; `shown` holds no secret."""

    session: SessionInfo
    side: Side
    shown: str
    level = LogLevel.DEBUG


@dataclass(frozen=True, slots=True)
class LineSent:
    """The proxy said something to a peer; `shown` holds no secret and may have several lines."""

    session: SessionInfo
    side: Side
    shown: str
    level = LogLevel.DEBUG


@dataclass(frozen=True, slots=True)
class TlsStarted:
    """A TLS handshake with a peer is done; version and cipher have OpenSSL's names."""

    session: SessionInfo
    side: Side
    version: str
    cipher: str
    level = LogLevel.DEBUG


@dataclass(frozen=True, slots=True)
class OctetsRelayed:
    """Octets went through the relay, coming from `side`."""

    session: SessionInfo
    side: Side
    octets: bytes = field(repr=False)
    level = LogLevel.DEBUG


@dataclass(frozen=True, slots=True)
class Noted:
    """Something an operator may want to read; peers misbehaving, logins, ends. The rule book words `text`."""

    session: SessionInfo | None
    text: str
    level: LogLevel = LogLevel.INFO
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class WentWrong:
    """Something failed that an operator should look at (auth server, backend, own resources)."""

    session: SessionInfo | None
    text: str
    level: LogLevel = LogLevel.ERROR
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class SessionCrashed:
    """A defect of ours ended a session; its neighbours go on."""

    session: SessionInfo
    traceback: str
    level = LogLevel.CRIT


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session is over: how it ended, and after how many seconds."""

    session: SessionInfo
    end: str
    seconds: float
    level = LogLevel.INFO


Event = (
    SessionStarted
    | LineReceived
    | LineSent
    | TlsStarted
    | OctetsRelayed
    | Noted
    | WentWrong
    | SessionCrashed
    | SessionEnded
)
