"""What a core answers to an input: octets to send, and what must happen next.

Needs ask the shell for input: `Line`, `Octets`. Asks make it do something and bring an answer: `StartTls`,
`Authenticate`, `Connect`, `Pause`. Ends finish the dialogue: `Relay`, `Close`.

What every line of a dialogue makes anew is a NamedTuple here and in `wire`: immutable, too, and made in half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from refproxy.dialogue.login import Route
from refproxy.wire.auth_http import Attempt

__all__ = ["Authenticate", "Close", "Connect", "End", "Line", "Next", "Octets", "Pause", "Relay", "StartTls", "Turn"]


class End(Enum):
    """Why a dialogue was closed, as the log words it."""

    CLIENT_QUIT = "client quit"
    CLIENT_CLOSED = "client closed connection"
    CLIENT_RESET = "client reset connection"
    CLIENT_TIMED_OUT = "client timed out"
    CLIENT_TALKED_EARLY = "client sent data before the greeting"
    TOO_MANY_ERRORS = "client sent too many invalid commands"
    TOO_MANY_COMMANDS = "client sent too many commands"
    TOO_LONG = "client sent too long command"
    LITERAL_REFUSED = "client sent a literal with a refused command"
    LOGIN_FAILED = "client login failed"
    AUTH_UNAVAILABLE = "auth server failed"
    BACKEND_FAILED = "backend failed"
    BROKEN_PROXY_HEADER = "broken PROXY header"
    TLS_FAILED = "TLS handshake failed"
    CERTIFICATE_REFUSED = "client certificate refused"
    SHUTDOWN = "shutdown timeout"
    PROXIED = "proxied session done"
    PROXIED_TIMED_OUT = "proxied session timed out"
    INTERNAL_ERROR = "internal error"


class Line(NamedTuple):
    """Needs one line, line end included, of at most `limit` octets; more is reported with `overlong`."""

    limit: int


@dataclass(frozen=True, slots=True)
class Octets:
    """Needs exactly `count` octets; if only `limit` fit, that many are waited for and reported with `overlong`."""

    count: int
    limit: int


@dataclass(frozen=True, slots=True)
class StartTls:
    """Asks for a TLS handshake; clear text already read is thrown away. Answered with `tls_started`
    or `tls_failed`."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Asks the auth server. Answered with `accepted`, `refused` or `auth_unavailable`."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Connect:
    """Asks for a connection to a backend and a login there. Answered with `logged_in` or `backend_failed`."""

    route: Route


@dataclass(frozen=True, slots=True)
class Pause:
    """Asks for `seconds` of nothing. Answered with `resumed`; with `listen`, at once when the client talks."""

    seconds: float
    listen: bool = False


@dataclass(frozen=True, slots=True)
class Relay:
    """The dialogue is over; from now on octets are copied both ways."""


@dataclass(frozen=True, slots=True)
class Close:
    """The session is over."""

    end: End


Next = Line | Octets | StartTls | Authenticate | Connect | Pause | Relay | Close


class Turn(NamedTuple):
    """One answer of a core: send `reply`, then meet `then`."""

    reply: bytes
    then: Next
