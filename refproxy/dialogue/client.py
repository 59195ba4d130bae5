"""What the three client-facing cores share: counting lines, SASL exchanges, verdicts, and the way to the backend.

A core is fed and answers: one input in, one `Turn` out. It never awaits, logs, or reads a clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache

from refproxy.config.settings import BackendTlsMode, Mechanism, ServerSettings, StartTlsMode
from refproxy.dialogue.login import Login, Route
from refproxy.dialogue.mechanisms import ALWAYS_USABLE, MECHANISMS, OAUTH_METHODS, SaslExchange
from refproxy.dialogue.turn import Authenticate, Close, Connect, End, Next, Pause, Relay, StartTls, Turn
from refproxy.errors import BackendFailure, WireError
from refproxy.wire.auth_http import Accepted, Attempt, Envelope, Refused
from refproxy.wire.lines import split_answer
from refproxy.wire.sasl import Credentials
from refproxy.wire.secret import Secret
from refproxy.wire.tls_facts import TlsFacts, refuse_certificate

__all__ = ["MASK", "Client", "ClientCore", "State"]

MASK = "***"


class State(Enum):
    """Where a dialogue stands. Only in COMMAND and USER is a line a command."""

    GREETING = "greeting"
    COMMAND = "command"
    USER = "user"  # POP3: a user name was accepted
    SASL = "sasl"
    OAUTH_ERROR = "oauth error"  # the client must acknowledge an error challenge (SASL-81)
    AUTHENTICATING = "authenticating"
    LOGIN = "login"
    RELAY = "relay"


@dataclass(slots=True)
class Client:
    """What is known of the client from outside its dialogue.

    `ip` is None for a UNIX socket. `name` is its confirmed DNS name or one of XCLIENT's bracketed words. `tls` is set
    while it speaks TLS.
    """

    ip: str | None
    name: bytes = b"[UNAVAILABLE]"
    tls: TlsFacts | None = None


@cache
def _names_of(mechanisms: frozenset[Mechanism]) -> tuple[bytes, ...]:
    return tuple(name for name, mechanism in MECHANISMS.items() if mechanism.word in mechanisms)


class ClientCore(ABC):
    """A client-facing core. `heard` is the last input as it may be shown; it never holds a secret."""

    max_words = 3  # in an answer to a challenge (SASL-13)
    forbidden_in_credentials = frozenset(b"\0")

    def __init__(self, settings: ServerSettings, client: Client, make_salt: Callable[[], bytes]) -> None:
        self.settings, self.client, self._make_salt = settings, client, make_salt
        self.state = State.GREETING
        self.heard = ""
        self.user = b""
        self._errors = self._commands = self._attempts = 0
        self._exchange: SaslExchange | None = None
        self._credentials: Credentials | None = None
        self._refused: Refused | None = None

    # What each protocol says in its own words.

    @property
    @abstractmethod
    def configured(self) -> frozenset[Mechanism]:
        """The mechanisms of `imap_auth`, `pop3_auth` or `smtp_auth`."""

    @abstractmethod
    def _open(self) -> Turn:
        """Open the dialogue."""

    @abstractmethod
    def _command(self, line: bytes) -> Turn:
        """Take a command line."""

    @abstractmethod
    def _need(self) -> Next:
        """The input wanted in the current state."""

    @abstractmethod
    def _reject(self) -> bytes:
        """The reply to what cannot be understood or is not allowed."""

    @abstractmethod
    def _challenge(self, text: bytes) -> bytes:
        """A challenge line; `text` is base64 already."""

    @abstractmethod
    def _refusal(self, refused: Refused) -> bytes:
        """The reply to a login that the auth server refused."""

    @abstractmethod
    def _certificate_refusal(self, text: bytes) -> bytes:
        """The reply to a client whose certificate is missing or wrong (TLS-43)."""

    @abstractmethod
    def internal_error(self) -> bytes:
        """The reply when the proxy, the auth server or the backend failed."""

    @abstractmethod
    def _login(self, user: bytes, password: Secret | None, *, starttls: bool) -> Login:
        """The login at the backend."""

    @property
    def in_relay(self) -> bool:
        """Whether the dialogue is over and the proxy may not put in a word any more."""
        return self.state is State.RELAY

    # Inputs.

    def start(self) -> Turn:
        """Open the dialogue; a refused certificate takes the place of the greeting (TLS-42)."""
        return self._refuse_certificate() or self._open()

    def receive(self, octets: bytes) -> Turn:
        """Take what the last need asked for."""
        match self.state:
            case State.SASL:
                return self._sasl_answer(octets)
            case State.OAUTH_ERROR:
                return self._oauth_acknowledgement(octets)
            case _:
                return self._command(octets)

    def overlong(self, partial: bytes) -> Turn:
        """Learn that the limit was reached without a line end; `partial` is what came."""
        self.heard = f"({len(partial)} octets without a line end)"
        return Turn(self._reject(), Close(End.TOO_LONG))

    def resumed(self, *, early: bool) -> Turn:
        """Learn that a pause is over; `early` when the client broke it by talking."""
        assert not early, "only a greeting delay listens"
        return self._tell_refusal()

    def tls_started(self, facts: TlsFacts) -> Turn:
        """Learn that the TLS handshake is done: the dialogue starts anew, without a greeting (TLS-40, TLS-42)."""
        self.client.tls = facts
        self._enter_command()
        return self._refuse_certificate() or Turn(b"", self._need())

    def tls_failed(self) -> Turn:
        """Learn that the TLS handshake failed: there is no way to say a word (TLS-34)."""
        return Turn(b"", Close(End.TLS_FAILED))

    def accepted(self, verdict: Accepted) -> Turn:
        """Learn that the auth server let the client in."""
        credentials = self._credentials
        assert credentials is not None
        own = credentials.password if credentials.reusable else None
        password = verdict.password if verdict.password is not None else own
        self.user = credentials.user if verdict.user is None else verdict.user
        self.state = State.LOGIN
        tls = verdict.tls or self.settings.backend_tls.mode
        login = self._login(self.user, password, starttls=tls is BackendTlsMode.STARTTLS)
        return Turn(b"", Connect(Route(verdict.host, verdict.port, self.user, login, tls, verdict.by_name)))

    def refused(self, verdict: Refused) -> Turn:
        """Learn that the auth server refused the client; with a wait the client hears of it later (AUTH-65)."""
        self._refused = verdict
        return Turn(b"", Pause(verdict.wait)) if verdict.wait else self._tell_refusal()

    def auth_unavailable(self) -> Turn:
        """Learn that the auth server gave no usable verdict (AUTH-60)."""
        return Turn(self.internal_error(), Close(End.AUTH_UNAVAILABLE))

    def logged_in(self, octets: bytes) -> Turn:
        """Learn that the login is through; `octets` are for the client."""
        self.state = State.RELAY
        return Turn(octets, Relay())

    def backend_failed(self, failure: BackendFailure) -> Turn:
        """Learn that the login failed; the client gets the backend's own words if the operator wants (PROXY-66)."""
        passed = failure.reply if self.settings.proxy.pass_error_message else b""
        return Turn(passed or self.internal_error(), Close(End.BACKEND_FAILED))

    def _refuse_certificate(self) -> Turn | None:
        facts = self.client.tls
        refusal = refuse_certificate(facts, self.settings.tls.verify_client) if facts else None
        return Turn(self._certificate_refusal(refusal.reply), Close(End.CERTIFICATE_REFUSED)) if refusal else None

    # Lines.

    @property
    def _in_clear_but_must_not(self) -> bool:
        """Whether `starttls only` forbids logging in now (SASL-4)."""
        return self.settings.starttls is StartTlsMode.ONLY and self.client.tls is None

    @property
    def _starttls_possible(self) -> bool:
        return self.settings.starttls is not StartTlsMode.OFF and self.client.tls is None

    def _again(self, reply: bytes) -> Turn:
        """Reply, and wait for the next input of this state."""
        return Turn(reply, self._need())

    def _enter_command(self) -> None:
        self.state, self._exchange = State.COMMAND, None

    def _invalid(self, octets: bytes) -> Turn:
        """Answer a line that the parser rejects; enough of them end the session (CORE-21)."""
        self.heard = f"(invalid line, {len(octets)} octets)"
        reply = self._reject()
        self._enter_command()
        self._errors += 1
        if self._errors >= self.settings.max_errors:
            return Turn(reply, Close(End.TOO_MANY_ERRORS))
        return self._again(reply)

    def _over_budget(self) -> Turn | None:
        """Count a parsable line; one too many is not carried out (CORE-22)."""
        self._commands += 1
        if self._commands <= self.settings.max_commands:
            return None
        return Turn(self._reject(), Close(End.TOO_MANY_COMMANDS))

    def _rejected(self) -> Turn:
        """Refuse what was understood but is not allowed; free of `max_errors` (SASL-18)."""
        reply = self._reject()
        self._enter_command()
        return self._again(reply)

    def _start_tls(self, reply: bytes) -> Turn:
        if not self._starttls_possible:
            return self._rejected()
        return Turn(reply, StartTls())

    # Logging in.

    def advertised(self) -> tuple[bytes, ...]:
        """The configured SASL mechanisms in their fixed order (SASL-1)."""
        return _names_of(self.configured)

    def _begin_exchange(self, name: bytes, responses: tuple[bytes, ...]) -> Turn:
        """Run a mechanism; `responses` are the words that came behind its name (SASL-7, SASL-8)."""
        mechanism = MECHANISMS.get(name.upper())
        if mechanism is None:
            return self._rejected()
        if mechanism.word not in self.configured and mechanism.word not in ALWAYS_USABLE:
            return self._rejected()
        if len(responses) > mechanism.initial:
            return self._rejected()
        self._exchange = SaslExchange(mechanism, self._make_salt() if mechanism.is_salted else b"")
        self.state = State.SASL
        return self._take_answer(responses[0]) if responses else self._next_challenge()

    def _next_challenge(self) -> Turn:
        assert self._exchange is not None
        return self._again(self._challenge(self._exchange.challenge))

    def _sasl_answer(self, line: bytes) -> Turn:
        try:
            words = split_answer(line, self.max_words)
        except WireError:
            return self._invalid(line)
        self.heard = MASK
        return self._over_budget() or self._take_answer(words[0])

    def _take_answer(self, text: bytes) -> Turn:
        assert self._exchange is not None
        try:
            credentials = self._exchange.answer(text)
        except WireError:
            return self._rejected()
        return self._next_challenge() if credentials is None else self._attempt(credentials)

    def _attempt(self, credentials: Credentials, envelope: Envelope | None = None) -> Turn:
        """Ask the auth server, unless user or password hold octets that could do harm further on."""
        password = credentials.password.reveal() if credentials.password else b""
        if not self.forbidden_in_credentials.isdisjoint(credentials.user + password):
            return self._rejected()
        self._exchange = None
        self._credentials, self.user = credentials, credentials.user
        self._attempts += 1
        self.state = State.AUTHENTICATING
        return Turn(b"", Authenticate(Attempt(credentials, self._attempts, envelope)))

    def _tell_refusal(self) -> Turn:
        """Send the refusal, or first the error challenge that OAuth has for it (SASL-80)."""
        refused, credentials = self._refused, self._credentials
        assert refused is not None
        assert credentials is not None
        if refused.challenge is not None and credentials.method in OAUTH_METHODS:
            self.state = State.OAUTH_ERROR
            return self._again(self._challenge(refused.challenge))
        return self._end_attempt(self._refusal(refused))

    def _oauth_acknowledgement(self, line: bytes) -> Turn:
        refused, credentials = self._refused, self._credentials
        assert refused is not None
        assert credentials is not None
        self.heard = MASK
        try:
            words = split_answer(line, self.max_words)
        except WireError:
            self._errors += 1
            turn = self._end_attempt(self._reject())
            return Turn(turn.reply, Close(End.TOO_MANY_ERRORS)) if self._errors >= self.settings.max_errors else turn
        if (too_many := self._over_budget()) is not None:
            return too_many
        expected = words == (OAUTH_METHODS[credentials.method],)
        return self._end_attempt(self._refusal(refused) if expected else self._reject())

    def _end_attempt(self, reply: bytes) -> Turn:
        """Close after a refusal, or go on when the auth server gave a wait (AUTH-62, AUTH-65)."""
        assert self._refused is not None
        keep = self._refused.wait > 0
        self._refused = self._credentials = None
        self._enter_command()
        return self._again(reply) if keep else Turn(reply, Close(End.LOGIN_FAILED))
