"""The few kinds of error refproxy distinguishes, by who has to act on them."""

from __future__ import annotations

from enum import Enum

__all__ = [
    "AuthUnavailable",
    "BackendFailure",
    "ConfigError",
    "FailureKind",
    "PeerError",
    "Side",
    "TlsFault",
    "WireError",
]


class Side(Enum):
    """Which connection of a session."""

    __hash__ = object.__hash__  # Enum's hashes the name, in Python, at every look-up; each member is unique anyway

    CLIENT = "client"
    BACKEND = "backend"
    AUTH = "auth server"
    DNS = "name server"


class ConfigError(Exception):
    """The operator's configuration is wrong.

    `text` is what Angie prints; `where` is `FILE:LINE`, or None for the few checks that have no position
    (CONF-13); `hint` says what was found and what was expected.
    """

    def __init__(self, text: str, where: str | None = None, hint: str | None = None) -> None:
        self.text, self.where, self.hint = text, where, hint
        place = f" in {where}" if where else ""
        super().__init__(f"{text}{place}" + (f": {hint}" if hint else ""))


class TlsFault(ConfigError):
    """TLS cannot be set up as configured: a file, a list of ciphers, or a wish beyond what the TLS library can do.

    `directive` is to blame, with the statement of number `index` in its block; the reader adds the position.
    """

    def __init__(self, directive: str, text: str, index: int = -1) -> None:
        self.directive, self.index = directive, index
        super().__init__(text)


class WireError(Exception):
    """A peer sent octets that the protocol does not allow; the peer is to blame."""


class PeerError(Exception):
    """A connection could not be made, or broke."""

    def __init__(self, side: Side, reason: str) -> None:
        self.side, self.reason = side, reason
        super().__init__(reason)


class AuthUnavailable(Exception):
    """The auth server gave no usable verdict; the text is the log line (AUTH-90 to AUTH-98)."""


class FailureKind(Enum):
    """Why a login at the backend failed (PROXY-66 to PROXY-69)."""

    UNREACHABLE = "unreachable"
    UNKNOWN_HOST = "unknown host"
    TLS_FAILED = "TLS failed"
    TIMED_OUT = "timed out"
    CLOSED = "closed"
    TOO_LONG = "too long reply"
    UNEXPECTED = "unexpected reply"
    UNUSABLE_CREDENTIALS = "unusable credentials"


class BackendFailure(Exception):
    """The backend did not let the login through.

    `reply` holds the backend's octets when it said no in an orderly way (FailureKind.UNEXPECTED), else nothing.
    """

    def __init__(self, kind: FailureKind, text: str, reply: bytes = b"") -> None:
        self.kind, self.text, self.reply = kind, text, reply
        super().__init__(text)
