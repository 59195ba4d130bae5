"""The POP3 dialogue with the client (pop3 rules)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from refproxy.config.settings import POP3_COMMAND_LIMIT, Mechanism, ServerSettings
from refproxy.dialogue.client import MASK, Client, ClientCore, State
from refproxy.dialogue.login import Login
from refproxy.dialogue.logins import pop3_login
from refproxy.dialogue.mechanisms import show_mechanism
from refproxy.dialogue.turn import Close, End, Line, Next, Turn
from refproxy.errors import WireError
from refproxy.wire.auth_http import Refused, printable
from refproxy.wire.pop3 import Command, parse_command
from refproxy.wire.sasl import Credentials
from refproxy.wire.secret import Secret

__all__ = ["Pop3Client"]

OK = b"+OK\r\n"
INVALID = b"-ERR invalid command\r\n"
INTERNAL_ERROR = b"-ERR internal server error\r\n"


class Pop3Client(ClientCore):
    """One POP3 client before its login; COMMANDS is the state machine."""

    forbidden_in_credentials = frozenset(b"\0\r\n")  # they would be written raw into USER and PASS (POP3-Q1)

    def __init__(self, settings: ServerSettings, client: Client, make_salt: Callable[[], bytes]) -> None:
        super().__init__(settings, client, make_salt)
        self._apop_salt: bytes | None = None
        self._name = b""

    @property
    def configured(self) -> frozenset[Mechanism]:
        methods = self.settings.pop3.auth
        return methods | {Mechanism.LOGIN} if Mechanism.PLAIN in methods else methods  # CONF-37

    def _open(self) -> Turn:
        """Greet; the salt is shown when APOP may use it (POP3-1, POP3-2)."""
        self.state = State.COMMAND
        if Mechanism.APOP not in self.configured:
            return self._again(b"+OK POP3 ready\r\n")
        self._apop_salt = self._make_salt()
        return self._again(b"+OK POP3 ready %s\r\n" % self._apop_salt)

    def overlong(self, partial: bytes) -> Turn:
        """Give AUTH lines and the answers to challenges the room that RFC 5034 wants; end all others (POP3-16)."""
        is_auth = self.state in (State.SASL, State.OAUTH_ERROR) or partial[:5].upper() == b"AUTH "
        if is_auth and len(partial) < self.settings.pop3.client_buffer:
            return Turn(b"", Line(self.settings.pop3.client_buffer))
        return super().overlong(partial)

    def _need(self) -> Next:
        return Line(min(POP3_COMMAND_LIMIT, self.settings.pop3.client_buffer))

    def _reject(self) -> bytes:
        return INVALID

    def _challenge(self, text: bytes) -> bytes:
        return b"+ %s\r\n" % text

    def _refusal(self, refused: Refused) -> bytes:
        return b"-ERR %s\r\n" % refused.text

    def _certificate_refusal(self, text: bytes) -> bytes:
        return b"-ERR %s\r\n" % text

    def internal_error(self) -> bytes:
        return INTERNAL_ERROR

    def _login(self, user: bytes, password: Secret | None, *, starttls: bool) -> Login:
        assert password is not None, "an answer without a password is unusable (AUTH-58)"
        return pop3_login(user, password, starttls=starttls)

    def _command(self, line: bytes) -> Turn:
        try:
            command = parse_command(line)
        except WireError:
            return self._invalid(line)
        self.heard = _show(command)
        if (too_many := self._over_budget()) is not None:
            return too_many
        rule = COMMANDS[self.state].get(command.verb)
        return self._rejected() if rule is None else rule(self, command)

    def _capa(self, command: Command) -> Turn:
        """Section 5 of the rules: words as configured, SASL, STLS; in state USER always the form without STLS."""
        words = list(self.settings.pop3.capabilities)
        in_clear = self._in_clear_but_must_not and self.state is State.COMMAND
        if in_clear:
            words = [word for word in words if word.upper() != b"USER"]
        elif methods := self.advertised():
            words.append(b"SASL " + b" ".join(methods))
        if self._starttls_possible and self.state is State.COMMAND:
            words.append(b"STLS")
        return self._again(_multi_line(b"+OK Capability list follows", words))

    def _noop(self, command: Command) -> Turn:
        return self._again(OK)

    def _quit(self, command: Command) -> Turn:
        return Turn(OK, Close(End.CLIENT_QUIT))

    def _user(self, command: Command) -> Turn:
        if self._in_clear_but_must_not or not command.arguments or b"\0" in command.arguments[0]:
            return self._rejected()
        self._name, self.state = command.arguments[0], State.USER
        return self._again(OK)

    def _pass(self, command: Command) -> Turn:
        if not command.arguments:
            return self._rejected()
        return self._attempt(Credentials(b"plain", self._name, Secret(command.arguments[0])))

    def _apop(self, command: Command) -> Turn:
        if self._in_clear_but_must_not or self._apop_salt is None or len(command.arguments) != 2:
            return self._rejected()
        user, digest = command.arguments
        return self._attempt(Credentials(b"apop", user, Secret(digest), reusable=False, salt=self._apop_salt))

    def _auth(self, command: Command) -> Turn:
        if self._in_clear_but_must_not:
            return self._rejected()
        if not command.arguments:
            return self._again(_multi_line(b"+OK methods supported:", self.advertised()))
        name, *responses = command.arguments
        return self._begin_exchange(name, tuple(responses))

    def _stls(self, command: Command) -> Turn:
        return self._start_tls(OK)


Rule = Callable[[Pop3Client, Command], Turn]

COMMANDS: dict[State, dict[bytes, Rule]] = {
    State.COMMAND: {
        b"CAPA": Pop3Client._capa,
        b"NOOP": Pop3Client._noop,
        b"QUIT": Pop3Client._quit,
        b"USER": Pop3Client._user,
        b"APOP": Pop3Client._apop,
        b"AUTH": Pop3Client._auth,
        b"STLS": Pop3Client._stls,
    },
    State.USER: {
        b"CAPA": Pop3Client._capa,
        b"NOOP": Pop3Client._noop,
        b"QUIT": Pop3Client._quit,
        b"PASS": Pop3Client._pass,
    },
}
"""What is legal where (POP3-20, POP3-31); everything else is rejected and leads back to COMMAND."""


def _multi_line(status: bytes, lines: Iterable[bytes]) -> bytes:
    return b"".join([line + b"\r\n" for line in (status, *lines, b".")])


def _show(command: Command) -> str:
    """The command as it may be shown: names, no secrets."""
    verb = command.verb.decode("ascii")
    match command.verb, command.arguments:
        case b"USER", (name,):
            return f"{verb} {printable(name)}"
        case b"APOP", (name, *_):
            return f"{verb} {printable(name)} {MASK}"
        case b"AUTH", (mechanism, *responses):
            return " ".join([verb, show_mechanism(mechanism), *([MASK] if responses else [])])
        case b"PASS", _:
            return f"{verb} {MASK}"
        case _:
            return verb
