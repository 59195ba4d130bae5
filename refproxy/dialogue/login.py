"""The login at a backend: a tuple of exchanges, and the one core that walks it.

A login is strictly half-duplex (PROXY-1): one line to the backend, wait for its complete reply, next line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from refproxy.config.settings import BackendTlsMode
from refproxy.errors import BackendFailure, FailureKind
from refproxy.wire.auth_http import printable

__all__ = ["Encrypt", "Exchange", "Login", "LoginWalk", "Route", "Send", "Step"]

Measure = Callable[[bytes | bytearray], int | None]


@dataclass(frozen=True, slots=True)
class Step:
    """What is the same in every login that takes this step.

    `action` is how the log calls it (CORE-33). `accept` tells the replies that let the login go on; `measure` finds
    their end. With `then_tls` the reply is followed by a TLS handshake (TLS-64).
    """

    action: str
    accept: Callable[[bytes], bool]
    measure: Measure
    then_tls: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """A line for the backend; `mask` is shown in place of one that holds a secret."""

    line: bytes = field(repr=False)
    mask: str | None = None

    @property
    def shown(self) -> str:
        """The line as a reader may see it."""
        return printable(self.line.removesuffix(b"\r\n"), limit=512) if self.mask is None else self.mask


class Exchange(NamedTuple):
    """One line to the backend and the reply to it.

    `send` is None when the backend speaks first, and when the line cannot be built (a password is missing, PROXY-45).
    """

    step: Step
    send: Send | None = None


class Login(NamedTuple):
    """All exchanges of a login, and what the client gets at its end.

    `replies_to_client` says whether the backend's last reply goes to the client; if not, `success` does (PROXY-49).
    `is_negative` tells the replies that may be passed on as errors (PROXY-67).
    """

    exchanges: tuple[Exchange, ...]
    is_negative: Callable[[bytes], bool]
    success: bytes = b""
    replies_to_client: bool = True


class Route(NamedTuple):
    """Where to connect, and how to log in there; `host` is a name if `by_name`. `tls`: how the line gets private."""

    host: str
    port: int
    user: bytes
    login: Login
    tls: BackendTlsMode = BackendTlsMode.OFF
    by_name: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Encrypt:
    """A TLS handshake is next; `encrypted` says what comes after it."""


class LoginWalk:
    """Walks a login: fed with what the backend sends, it answers with the next line, or with the end.

    `limit` is `proxy_buffer`: the most that one reply may hold (PROXY-26).
    """

    def __init__(self, login: Login, limit: int) -> None:
        self._login, self._limit = login, limit
        self._position, self._step = 0, login.exchanges[0].step
        self._received = bytearray()
        self.final: bytes | None = None  # what the client gets, once the login is through

    @property
    def action(self) -> str:
        """What the proxy is doing, as the log calls it."""
        return self._step.action

    @property
    def room(self) -> int:
        """How many octets may be read before the reply is too long."""
        return self._limit - len(self._received)

    def receive(self, octets: bytes | bytearray) -> Send | Encrypt | None:
        """Take octets from the backend. None: wait for more, or done if `final` is set.

        Raises BackendFailure.
        """
        self._received += octets
        step = self._step
        length = step.measure(self._received)
        if length is None:
            if self.room <= 0:
                raise BackendFailure(FailureKind.TOO_LONG, "upstream sent too long response")
            return None
        reply = bytes(self._received[:length])
        if not step.accept(reply):
            # Everything of this step is passed on, not only the line that decided (PROXY-67).
            passed = bytes(self._received) if self._login.is_negative(reply) else b""
            raise BackendFailure(FailureKind.UNEXPECTED, "upstream sent invalid response", passed)
        if step.then_tls:
            if len(self._received) > length:
                # Sent in clear, but it would be read as if it had come through TLS (CVE-2011-0411 class; TLS-64).
                raise BackendFailure(FailureKind.UNEXPECTED, "upstream sent data behind its answer to STARTTLS")
            return Encrypt()
        return self._advance(length)

    def encrypted(self) -> Send | None:
        """Learn that the handshake is done. Raises BackendFailure."""
        return self._advance(len(self._received))

    def closed(self) -> BackendFailure:
        """Say how the login fails when the backend closes the connection now (PROXY-27)."""
        return BackendFailure(FailureKind.CLOSED, "upstream prematurely closed connection")

    def _advance(self, length: int) -> Send | None:
        self._position += 1
        if self._position == len(self._login.exchanges):
            kept = self._received if self._login.replies_to_client else self._received[length:]
            self.final = self._login.success + bytes(kept)
            return None
        # What the backend sent before it was asked cannot be an answer: drop it (PROXY-25).
        self._received.clear()
        exchange = self._login.exchanges[self._position]
        self._step = exchange.step
        if exchange.send is None:
            raise BackendFailure(FailureKind.UNUSABLE_CREDENTIALS, "no password for the upstream")
        return exchange.send
