"""Faults in the dialogues with clients: replies, states, capabilities."""

from __future__ import annotations

import re

from refproxy.dialogue import imap, pop3, smtp
from refproxy.dialogue.client import ClientCore, State
from refproxy.dialogue.imap import ImapClient
from refproxy.dialogue.pop3 import Pop3Client
from refproxy.dialogue.smtp import SmtpClient
from refproxy.wire import imap as imap_wire
from tests.mutants.catalog import fault
from tests.mutants.edits import edited, ruled, value

fault(
    "imap-refusal-untagged",
    "the reply to a refused login has no tag",
    "imap/refused/* imap/auth-failure/error-code",
    (ImapClient, "_refusal", edited(('self._tagged(b"NO " + refused.text)', 'b"* NO %s\\r\\n" % refused.text'))),
)
fault(
    "imap-tag-kept",
    "an invalid line gets the tag of the command before it",
    "imap/tag/*",
    (
        ImapClient,
        "_enter_command",
        edited(
            (
                'self._tag, self._used, self._parser, self._literal = b"", 0,',
                "self._used, self._parser, self._literal = 0,",
            )
        ),
    ),
    (
        ImapClient,
        "_command",
        edited(
            (
                "except WireError:\n        self._tag = parser.tag",
                "except WireError:\n        self._tag = parser.tag or self._tag",
            )
        ),
    ),
)
fault(
    "imap-tag-of-31",
    "a tag may have 31 octets",
    "imap/tag/*",
    (imap_wire, "_TAG", lambda proper: re.compile(proper.pattern.replace(b"32", b"31"))),
)
fault(
    "imap-line-feed-only",
    "a line of CAPABILITY ends without CR",
    "imap/capability/*",
    ruled(imap, ImapClient._capability, edited(('b"\\r\\n"', 'b"\\n"'))),
)
fault(
    "imap-capability-in-another-order",
    "AUTH comes before the configured words",
    "imap/capability/*",
    ruled(imap, ImapClient._capability, edited(('words += [b"AUTH=" + name', 'words[1:1] = [b"AUTH=" + name'))),
)
fault(
    "imap-without-logindisabled",
    "LOGINDISABLED is missing",
    "imap/capability/*",
    ruled(imap, ImapClient._capability, edited((', b"LOGINDISABLED"', ""))),
)
fault(
    "imap-logout-without-bye",
    "LOGOUT is completed without BYE",
    "imap/command/logout*",
    ruled(imap, ImapClient._logout, edited(('b"* BYE\\r\\n" + ', ""))),
)
fault(
    "imap-continuation-uninvited",
    "a literal that does not wait gets a continuation",
    "imap/login/*",
    (ImapClient, "_await_literal", edited(('CONTINUE if literal.synchronizing else b""', "CONTINUE"))),
)
fault(
    "imap-refused-literal-as-commands",
    "the data of a refused literal is read as commands",
    "imap/invalid/*",
    (ImapClient, "_invalid", edited(("if not is_non_synchronizing(octets):", "if True:"))),
)
fault(
    "imap-quotes-keep-backslashes",
    "quoted characters keep their backslash",
    "imap/login/* imap/backend-login/quoted-*",
    (imap_wire.CommandParser, "_take", edited(('_ESCAPE.sub(rb"\\1", quoted[1])', "quoted[1]"))),
)
fault(
    "imap-empty-user",
    "LOGIN takes an empty user",
    "imap/command/login-*",
    ruled(imap, ImapClient._login_command, edited((" or not command.arguments[0]", ""))),
)
fault(
    "imap-literal-of-a-password-invited",
    "a literal in clear text is invited where TLS is a must",
    "imap/starttls-only/*",
    (ImapClient, "_parse", edited(("self._in_clear_but_must_not and ", "False and "))),
)
fault(
    "pop3-user-kept",
    "the user stays over an unknown command",
    "pop3/user/*",
    (ClientCore, "_invalid", edited(("self._enter_command()", "self._exchange = None"))),
)
fault(
    "pop3-user-lost",
    "the user is lost by NOOP",
    "pop3/user/*",
    (Pop3Client, "_noop", edited(("return self", "self._enter_command()\n    return self"))),
    (
        pop3,
        "COMMANDS",
        lambda table: {
            **table,
            State.USER: {**table[State.USER], b"NOOP": lambda core, command: Pop3Client._noop(core, command)},
        },
    ),
)
fault(
    "pop3-pass-first",
    "PASS needs no USER",
    "pop3/command/pass-*",
    (pop3, "COMMANDS", lambda table: {**table, State.COMMAND: {**table[State.COMMAND], b"PASS": Pop3Client._pass}}),
)
fault(
    "pop3-password-of-one-word",
    "a password ends at a space",
    "pop3/login/*",
    (
        pop3,
        "parse_command",
        edited(
            ('if verb in (b"USER", b"PASS"):', 'if verb in (b"USER", b"PASS"):\n        rest = rest.split(b" ")[0]')
        ),
    ),
)
fault(
    "pop3-capa-without-end",
    "CAPA lacks its last line",
    "pop3/capability/*",
    (pop3, "_multi_line", edited((', b".")]', ")]"))),
)
fault(
    "pop3-stls-after-user",
    "STLS is listed where it is not allowed",
    "pop3/capability/*",
    ruled(
        pop3,
        Pop3Client._capa,
        edited(("self._starttls_possible and self.state is State.COMMAND", "self._starttls_possible")),
    ),
)
fault(
    "pop3-user-before-stls",
    "USER is listed where TLS is a must",
    "pop3/capability/*",
    ruled(pop3, Pop3Client._capa, edited(('words = [word for word in words if word.upper() != b"USER"]', "pass"))),
)
fault(
    "pop3-salt-for-nobody",
    "the greeting has a salt without APOP",
    "pop3/greeting/*",
    (Pop3Client, "_open", edited(("if Mechanism.APOP not in self.configured:", "if False:"))),
)
fault(
    "smtp-helo-forgotten",
    "RSET forgets the client's name",
    "smtp/none/rset-* smtp/none/order-*",
    (SmtpClient, "_rset", edited(("self._mail = self._rcpt = b", "self._helo = self._mail = self._rcpt = b"))),
    (smtp, "COMMANDS", lambda table: {**table, b"RSET": lambda core, command: SmtpClient._rset(core, command)}),
)
fault(
    "smtp-mail-kept-after-rset",
    "RSET does not forget MAIL",
    "smtp/none/order-*",
    (smtp, "COMMANDS", lambda table: {**table, b"RSET": SmtpClient._noop}),
)
fault(
    "smtp-mail-kept-after-helo",
    "HELO and EHLO do not forget MAIL",
    "smtp/none/order-*",
    (
        SmtpClient,
        "_helo_or_ehlo",
        edited(
            ('self._helo, self._mail, self._rcpt = command.arguments[0], b"", b""', "self._helo = command.arguments[0]")
        ),
    ),
    (
        smtp,
        "COMMANDS",
        lambda table: {
            **table,
            **dict.fromkeys((b"HELO", b"EHLO"), lambda core, command: SmtpClient._helo_or_ehlo(core, command)),
        },
    ),
)
fault(
    "smtp-second-mail",
    "a second MAIL replaces the first",
    "smtp/none/order-*",
    (
        smtp,
        "COMMANDS",
        lambda table: {**table, b"MAIL": edited(("if self._mail:", "if False:"))(SmtpClient._mail_from)},
    ),
)
fault(
    "smtp-mail-without-its-spaces",
    "spaces at the end of MAIL are replayed",
    "smtp/none/lines-*",
    (smtp, "parse_command", edited(('.rstrip(b" "))', ")"))),
)
fault(
    "smtp-controls-replayed",
    "control octets in an envelope reach the backend",
    "smtp/none/control-*",
    (smtp, "has_control", lambda _: lambda text: False),
)
fault(
    "smtp-esmtp-forgotten",
    "HELO takes an earlier EHLO back",
    "smtp/backend/*-after-ehlo-then-helo",
    (
        smtp,
        "COMMANDS",
        lambda table: {
            **table,
            b"HELO": edited(('if command.verb == b"HELO":', 'self._esmtp = False\n    if command.verb == b"HELO":'))(
                SmtpClient._helo_or_ehlo
            ),
        },
    ),
)
fault(
    "smtp-starttls-before-auth",
    "EHLO lists STARTTLS before AUTH",
    "smtp/ehlo/*",
    (smtp, "_ehlo_reply", edited(('lines.append(b"STARTTLS")', 'lines.insert(1, b"STARTTLS")'))),
)
fault(
    "smtp-hyphen-at-the-end",
    "the last line of a reply looks like one in the middle",
    "smtp/ehlo/*",
    (smtp, "_ehlo_reply", edited(('b"250 %s\\r\\n" % last', 'b"250-%s\\r\\n" % last'))),
)
fault(
    "smtp-auth-offered-in-clear",
    "EHLO lists AUTH where TLS is a must",
    "smtp/ehlo/*",
    (
        smtp,
        "COMMANDS",
        lambda table: {
            **table,
            b"EHLO": edited(("() if self._in_clear_but_must_not else self.advertised()", "self.advertised()"))(
                SmtpClient._helo_or_ehlo
            ),
        },
    ),
)
fault(
    "smtp-early-talk-allowed",
    "a client may talk during the greeting delay",
    "smtp/greeting/early-talk-*",
    (SmtpClient, "resumed", edited(("if early:", "if False:"))),
)
fault(
    "smtp-no-greeting-delay",
    "the greeting comes at once",
    "smtp/greeting/delay-*",
    (SmtpClient, "_open", edited(("if delay else", "if False else"))),
)
fault(
    "smtp-unknown-is-502",
    "an unknown command gets 502",
    "smtp/command/unknown-*",
    (smtp, "INVALID", value(b"502 5.5.1 Invalid command\r\n")),
)
fault(
    "smtp-argument-is-500",
    "a wrong argument gets the reply to an unknown command",
    "smtp/command/*",
    (smtp, "ARGUMENT", value(smtp.INVALID)),
)
fault(
    "smtp-space-for-tab",
    "a tab separates, too",
    "smtp/line/invalid-*",
    (smtp, "parse_command", lambda proper: lambda line: proper(line.replace(b"\t", b" "))),
)
fault(
    "carriage-return-as-a-line-end",
    "CRCRLF ends a line",
    "imap/line/* smtp/line/invalid-* pop3/command/carriage-*",
    (smtp, "parse_command", lambda proper: lambda line: proper(line.replace(b"\r\r\n", b"\r\n"))),
    (pop3, "parse_command", lambda proper: lambda line: proper(line.replace(b"\r\r\n", b"\r\n"))),
)
fault(
    "imap-internal-error-tagged",
    "the internal error is a tagged NO",
    "imap/auth-answer/*",
    (imap, "INTERNAL_ERROR", value(b"A1 NO internal server error\r\n")),
)
