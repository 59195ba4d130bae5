"""The IMAP dialogue with the client (imap rules)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from refproxy.config.settings import Mechanism, ServerSettings, StartTlsMode
from refproxy.dialogue.client import MASK, Client, ClientCore, State
from refproxy.dialogue.login import Login
from refproxy.dialogue.logins import imap_login
from refproxy.dialogue.mechanisms import show_mechanism
from refproxy.dialogue.turn import Close, End, Line, Next, Octets, Turn
from refproxy.errors import WireError
from refproxy.wire.auth_http import Refused, printable
from refproxy.wire.imap import Command, CommandParser, Literal, announces_literal, is_non_synchronizing
from refproxy.wire.sasl import Credentials
from refproxy.wire.secret import Secret

__all__ = ["ImapClient"]

GREETING = b"* OK IMAP4 ready\r\n"
CONTINUE = b"+ OK\r\n"
INTERNAL_ERROR = b"* BAD internal server error\r\n"
LOGIN_COMMANDS = (b"LOGIN", b"AUTHENTICATE")


class ImapClient(ClientCore):
    """One IMAP client before its login; COMMANDS is the state machine.

    A command with literals comes in parts; `_parser` collects them. Command, literals and the answers of its SASL
    exchange share `imap_client_buffer` (IMAP-6, IMAP-8): `_used` counts what they took.
    """

    def __init__(self, settings: ServerSettings, client: Client, make_salt: Callable[[], bytes]) -> None:
        super().__init__(settings, client, make_salt)
        self._tag = b""
        self._used = 0
        self._parser: CommandParser | None = None  # a command is under way, past its first line
        self._literal: Literal | None = None  # its octets come next

    @property
    def configured(self) -> frozenset[Mechanism]:
        return self.settings.imap.auth

    def _open(self) -> Turn:
        """Greet (IMAP-1)."""
        self.state = State.COMMAND
        return self._again(GREETING)

    def receive(self, octets: bytes) -> Turn:
        self._used += len(octets)
        if self.state in (State.SASL, State.OAUTH_ERROR) and announces_literal(octets):
            return self._refuse_literal_answer(octets)
        return super().receive(octets)

    def _refuse_literal_answer(self, line: bytes) -> Turn:
        """Treat an answer to a challenge that announces a literal as one that gives up (IMAP-54)."""
        turn = super().receive(b"*\r\n")
        if is_non_synchronizing(line) and not isinstance(turn.then, Close):
            return Turn(turn.reply, Close(End.LITERAL_REFUSED))  # its data is on its way (IMAP-25)
        return turn

    def overlong(self, partial: bytes) -> Turn:
        """End the session; the tag is known even from a partial line (IMAP-7)."""
        if self._parser is None and self.state is State.COMMAND:
            parser = CommandParser()
            with suppress(WireError):
                parser.begin(partial + b"\n")
            self._tag = parser.tag
        return super().overlong(partial)

    def _need(self) -> Next:
        room = self.settings.imap.client_buffer - self._used
        return Octets(self._literal.size, room) if self._literal else Line(room)

    def _enter_command(self) -> None:
        super()._enter_command()
        self._tag, self._used, self._parser, self._literal = b"", 0, None, None

    def _again(self, reply: bytes) -> Turn:
        if self.state is State.COMMAND and self._parser is None:
            self._enter_command()  # the reply ends a command
        return super()._again(reply)

    def _tagged(self, text: bytes) -> bytes:
        return b"%s %s\r\n" % (self._tag or b"*", text)

    def _reject(self) -> bytes:
        return self._tagged(b"BAD invalid command")

    def _completed(self) -> bytes:
        return self._tagged(b"OK completed")

    def _challenge(self, text: bytes) -> bytes:
        return b"+ %s\r\n" % text

    def _refusal(self, refused: Refused) -> bytes:
        return self._tagged(b"NO " + refused.text)

    def _certificate_refusal(self, text: bytes) -> bytes:
        return b"* BYE %s\r\n" % text

    def internal_error(self) -> bytes:
        return INTERNAL_ERROR

    def _login(self, user: bytes, password: Secret | None, *, starttls: bool) -> Login:
        assert password is not None, "an answer without a password is unusable (AUTH-58)"
        return imap_login(self._tag, user, password, starttls=starttls)

    # A command, part by part.

    def _command(self, line: bytes) -> Turn:
        if self._literal is not None:
            return self._take_literal(line)
        parser = self._parser or CommandParser()
        try:
            part = self._parse(parser, line)
        except WireError:
            self._tag = parser.tag
            return self._invalid(line)
        self._tag = parser.tag
        if isinstance(part, Literal):
            return self._await_literal(parser, part, line)
        return self._carry_out(part, continued=self._parser is not None)

    def _parse(self, parser: CommandParser, line: bytes) -> Command | Literal:
        if self._parser is not None:
            return parser.rest(line)
        parser.begin(line)
        part = parser.arguments(line)
        if isinstance(part, Literal) and self._in_clear_but_must_not and parser.name in LOGIN_COMMANDS:
            # Do not invite a clear text password (IMAP-30). The command counts as understood but not allowed, unless
            # the password is on its way already: then the session must end (IMAP-25).
            if not part.synchronizing:
                raise WireError("literal in clear text")
            return Command(parser.name, ())
        return part

    def _await_literal(self, parser: CommandParser, literal: Literal, line: bytes) -> Turn:
        announcement = f"{{{literal.size}{'' if literal.synchronizing else '+'}}}"
        known = f"{printable(parser.tag)} {parser.name.decode('ascii')}"
        self.heard = f"{MASK if self._parser else known} {announcement}"
        self._parser, self._literal = parser, literal
        return Turn(CONTINUE if literal.synchronizing else b"", self._need())

    def _take_literal(self, octets: bytes) -> Turn:
        assert self._parser is not None
        self._parser.literal(octets)
        self._literal = None
        self.heard = f"{MASK} ({len(octets)} octets)"
        return Turn(b"", self._need())

    def _invalid(self, octets: bytes) -> Turn:
        if not is_non_synchronizing(octets):
            return super()._invalid(octets)
        # The literal's data is on its way and must never be read as commands (IMAP-25).
        turn = super()._invalid(octets)
        return turn if isinstance(turn.then, Close) else Turn(turn.reply, Close(End.LITERAL_REFUSED))

    def _carry_out(self, command: Command, *, continued: bool) -> Turn:
        self.heard = MASK if continued else _show(self._tag, command)
        self._parser = None
        if (too_many := self._over_budget()) is not None:
            return too_many
        if command.name in LOGIN_COMMANDS and self._in_clear_but_must_not:
            return self._rejected()
        return COMMANDS[command.name](self, command)

    # The commands.

    def _capability(self, command: Command) -> Turn:
        """Section 7 of the rules."""
        words = [b"* CAPABILITY", *self.settings.imap.capabilities]
        if self._in_clear_but_must_not:
            words += [b"STARTTLS", b"LOGINDISABLED"]
        else:
            words += [b"AUTH=" + name for name in self.advertised()]
            if self.settings.starttls is StartTlsMode.ON and self.client.tls is None:
                words.append(b"STARTTLS")
        return self._again(b" ".join(words) + b"\r\n" + self._completed())

    def _noop(self, command: Command) -> Turn:
        return self._again(self._completed())

    def _logout(self, command: Command) -> Turn:
        return Turn(b"* BYE\r\n" + self._completed(), Close(End.CLIENT_QUIT))

    def _starttls(self, command: Command) -> Turn:
        return self._start_tls(self._completed())

    def _login_command(self, command: Command) -> Turn:
        if len(command.arguments) != 2 or not command.arguments[0]:
            return self._rejected()
        user, password = command.arguments
        return self._attempt(Credentials(b"plain", user, Secret(password)))

    def _authenticate(self, command: Command) -> Turn:
        if not command.arguments:
            return self._rejected()
        name, *responses = command.arguments
        return self._begin_exchange(name, tuple(responses))


Rule = Callable[[ImapClient, Command], Turn]

COMMANDS: dict[bytes, Rule] = {
    b"CAPABILITY": ImapClient._capability,
    b"NOOP": ImapClient._noop,
    b"LOGOUT": ImapClient._logout,
    b"STARTTLS": ImapClient._starttls,
    b"LOGIN": ImapClient._login_command,
    b"AUTHENTICATE": ImapClient._authenticate,
}
"""What is legal in state COMMAND, the only one with commands (IMAP-33)."""


def _show(tag: bytes, command: Command) -> str:
    """The command as it may be shown: tag, word, user name or mechanism, no secrets."""
    words = [printable(tag), command.name.decode("ascii")]
    if command.name in LOGIN_COMMANDS and command.arguments:
        first = command.arguments[0]
        words.append(show_mechanism(first) if command.name == b"AUTHENTICATE" else printable(first))
        words += [MASK] * (len(command.arguments) - 1)
    return " ".join(words)
