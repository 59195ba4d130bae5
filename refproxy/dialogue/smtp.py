"""The SMTP dialogue with the client (smtp rules)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from refproxy.config.settings import Mechanism, ServerSettings
from refproxy.dialogue.client import MASK, Client, ClientCore, State
from refproxy.dialogue.login import Login
from refproxy.dialogue.logins import SmtpLogin
from refproxy.dialogue.mechanisms import show_mechanism
from refproxy.dialogue.turn import Close, End, Line, Next, Pause, Turn
from refproxy.errors import WireError
from refproxy.wire.auth_http import Envelope, Refused, printable
from refproxy.wire.lines import has_control
from refproxy.wire.sasl import Credentials
from refproxy.wire.secret import Secret
from refproxy.wire.smtp import Command, parse_command
from refproxy.wire.tls_facts import TlsFacts
from refproxy.wire.xclient import format_xclient

__all__ = ["SmtpClient"]

OK = b"250 2.0.0 OK\r\n"
BYE = b"221 2.0.0 Bye\r\n"
START_TLS = b"220 2.0.0 Start TLS\r\n"
AUTHED = b"235 2.0.0 OK\r\n"
INVALID = b"500 5.5.1 Invalid command\r\n"
ARGUMENT = b"501 5.5.4 Invalid argument\r\n"
SEQUENCE = b"503 5.5.1 Bad sequence of commands\r\n"
EARLY = b"503 5.5.0 Improper use of SMTP command pipelining\r\n"
NEED_AUTH = b"530 5.7.1 Authentication required\r\n"
NEED_TLS = b"530 5.7.0 Must issue a STARTTLS command first\r\n"
INTERNAL_ERROR = b"451 4.3.2 Internal server error\r\n"
DENIED = b"535 5.7.0"  # unless the auth server gives another code (SMTP-88)


class SmtpClient(ClientCore):
    """One SMTP client before its login; COMMANDS is the state machine."""

    max_words = 11  # as in a command line (SMTP-20, SMTP-24)

    def __init__(self, settings: ServerSettings, client: Client, make_salt: Callable[[], bytes]) -> None:
        super().__init__(settings, client, make_salt)
        self._helo = b""
        self._esmtp = False  # EHLO was said once; survives HELO and STARTTLS (SMTP-45)
        self._mail = b""
        self._rcpt = b""

    @property
    def configured(self) -> frozenset[Mechanism]:
        return self.settings.smtp.auth

    def _open(self) -> Turn:
        """Greet, or first wait for a client that talks too early (SMTP-12, SMTP-13)."""
        delay = self.settings.smtp.greeting_delay
        return Turn(b"", Pause(delay, listen=True)) if delay else self._greet()

    def resumed(self, *, early: bool) -> Turn:
        if self.state is not State.GREETING:
            return super().resumed(early=early)
        if early:
            self.heard = "(early talk)"
            return Turn(EARLY, Close(End.CLIENT_TALKED_EARLY))
        return self._greet()

    def _greet(self) -> Turn:
        self.state = State.COMMAND
        return self._again(b"220 %s ESMTP ready\r\n" % self.settings.server_name)

    def tls_started(self, facts: TlsFacts) -> Turn:
        self._helo = self._mail = self._rcpt = b""  # SMTP-99
        return super().tls_started(facts)

    def _need(self) -> Next:
        return Line(self.settings.smtp.client_buffer)

    def _reject(self) -> bytes:
        return INVALID

    def _challenge(self, text: bytes) -> bytes:
        return b"334 %s\r\n" % text

    def _refusal(self, refused: Refused) -> bytes:
        return b"%s %s\r\n" % (refused.error_code or DENIED, refused.text)

    def _certificate_refusal(self, text: bytes) -> bytes:
        return b"421 4.7.1 %s\r\n" % text

    def internal_error(self) -> bytes:
        return INTERNAL_ERROR

    def _login(self, user: bytes, password: Secret | None, *, starttls: bool) -> Login:
        proxy = self.settings.proxy
        without_auth = self._credentials is not None and self._credentials.method == b"none"
        xclient = None
        if proxy.xclient:
            xclient = format_xclient(self.client.ip, b"" if proxy.smtp_auth else user, self.client.name)
        return SmtpLogin(
            self.settings.server_name,
            self._helo,
            self._esmtp,
            xclient,
            Envelope(self._helo, self._mail, self._rcpt) if without_auth else None,
            proxy.smtp_auth,
            AUTHED,
            starttls,
        ).build(user, password)

    def _command(self, line: bytes) -> Turn:
        try:
            command = parse_command(line)
        except WireError:
            return self._invalid(line)
        self.heard = _show(command)
        return self._over_budget() or COMMANDS[command.verb](self, command)

    def _helo_or_ehlo(self, command: Command) -> Turn:
        if len(command.arguments) != 1 or has_control(command.text):
            return self._again(ARGUMENT)
        self._helo, self._mail, self._rcpt = command.arguments[0], b"", b""
        if command.verb == b"HELO":
            return self._again(b"250 %s\r\n" % self.settings.server_name)
        self._esmtp = True
        methods = () if self._in_clear_but_must_not else self.advertised()
        capabilities = self.settings.smtp.capabilities
        return self._again(_ehlo_reply(self.settings.server_name, capabilities, methods, self._starttls_possible))

    def _auth(self, command: Command) -> Turn:
        if self._in_clear_but_must_not:
            return self._rejected()
        if not command.arguments:
            return self._again(ARGUMENT)
        name, *responses = command.arguments
        return self._begin_exchange(name, tuple(responses))

    def _mail_from(self, command: Command) -> Turn:
        if Mechanism.NONE not in self.configured:
            return self._again(NEED_AUTH)
        if self._in_clear_but_must_not:
            return self._again(NEED_TLS)
        if self._mail:
            return self._again(SEQUENCE)
        if not command.arguments or has_control(command.text):
            return self._again(ARGUMENT)
        self._mail = command.text
        return self._again(OK)

    def _rcpt_to(self, command: Command) -> Turn:
        if not self._mail:
            return self._again(NEED_TLS if self._none_in_clear else SEQUENCE)
        if not command.arguments or has_control(command.text):
            return self._again(ARGUMENT)
        self._rcpt = command.text
        nobody = Credentials(b"none", b"", Secret(b""))
        return self._attempt(nobody, Envelope(self._helo, self._mail, self._rcpt))

    @property
    def _none_in_clear(self) -> bool:
        return Mechanism.NONE in self.configured and self._in_clear_but_must_not

    def _rset(self, command: Command) -> Turn:
        self._mail = self._rcpt = b""
        return self._again(OK)

    def _noop(self, command: Command) -> Turn:
        return self._again(OK)

    def _quit(self, command: Command) -> Turn:
        return Turn(BYE, Close(End.CLIENT_QUIT))

    def _starttls(self, command: Command) -> Turn:
        return self._start_tls(START_TLS)

    def _unsupported(self, command: Command) -> Turn:
        return self._rejected()


Rule = Callable[[SmtpClient, Command], Turn]

COMMANDS: dict[bytes, Rule] = {
    b"HELO": SmtpClient._helo_or_ehlo,
    b"EHLO": SmtpClient._helo_or_ehlo,
    b"AUTH": SmtpClient._auth,
    b"MAIL": SmtpClient._mail_from,
    b"RCPT": SmtpClient._rcpt_to,
    b"RSET": SmtpClient._rset,
    b"NOOP": SmtpClient._noop,
    b"QUIT": SmtpClient._quit,
    b"STARTTLS": SmtpClient._starttls,
    b"VRFY": SmtpClient._unsupported,
    b"EXPN": SmtpClient._unsupported,
    b"HELP": SmtpClient._unsupported,
}
"""What is legal in state COMMAND, the only one with commands (smtp rules, section 5)."""


@lru_cache  # all sessions of a server get the same
def _ehlo_reply(name: bytes, capabilities: tuple[bytes, ...], methods: tuple[bytes, ...], starttls: bool) -> bytes:
    """Section 6 of the rules: name, capabilities, AUTH, STARTTLS; all but the last line with a hyphen."""
    lines = [name, *capabilities]
    if methods:
        lines.append(b"AUTH " + b" ".join(methods))
    if starttls:
        lines.append(b"STARTTLS")
    *first, last = lines
    return b"".join([b"250-%s\r\n" % line for line in first]) + b"250 %s\r\n" % last


def _show(command: Command) -> str:
    """The command as it may be shown: names and envelope, no secrets."""
    verb = command.verb.decode("ascii")
    match command.verb, command.arguments:
        case b"AUTH", (mechanism, *responses):
            return " ".join([verb, show_mechanism(mechanism), *([MASK] if responses else [])])
        case ((b"HELO" | b"EHLO" | b"MAIL" | b"RCPT"), _):
            return printable(command.text, limit=512)
        case _:
            return verb
