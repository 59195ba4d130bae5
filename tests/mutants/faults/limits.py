"""Faults in limits and timers: lines, errors, commands, `timeout`."""

from __future__ import annotations

import select

from refproxy import converse, session
from refproxy.dialogue import pop3
from refproxy.dialogue.client import ClientCore
from refproxy.dialogue.imap import ImapClient
from refproxy.dialogue.smtp import SmtpClient
from refproxy.net import reset_watch
from refproxy.session import Session
from tests.mutants.catalog import fault
from tests.mutants.edits import edited, value

ERRORS = "*/max-errors/*"
COMMANDS = "*/max-commands/*"

fault(
    "max-errors-one-more",
    "one error more than max_errors is allowed",
    ERRORS,
    (ClientCore, "_invalid", edited(("self._errors >= self", "self._errors > self"))),
)
fault(
    "max-errors-one-less",
    "max_errors is reached one error early",
    ERRORS,
    (ClientCore, "_invalid", edited(("self._errors >= self", "self._errors + 1 >= self"))),
)
fault(
    "max-errors-counts-refusals",
    "what is only not allowed counts as an error",
    ERRORS,
    (ClientCore, "_rejected", edited(("self._enter_command()", "self._enter_command()\n    self._errors += 1"))),
)
fault(
    "max-errors-anew-after-a-login",
    "a refused login wipes out errors",
    ERRORS,
    (ClientCore, "_end_attempt", edited(("self._enter_command()", "self._enter_command()\n    self._errors = 0"))),
)
fault(
    "max-commands-one-more",
    "one command more than max_commands is allowed",
    COMMANDS,
    (ClientCore, "_over_budget", edited(("<= self", "<= 1 + self"))),
)
fault(
    "max-commands-one-less",
    "max_commands is reached one command early",
    COMMANDS,
    (ClientCore, "_over_budget", edited(("<= self", "< self"))),
)
fault(
    "max-commands-without-answers",
    "answers to challenges do not count",
    COMMANDS,
    (ClientCore, "_sasl_answer", edited(("self._over_budget() or ", ""))),
)
fault(
    "smtp-line-one-less",
    "a line that fills the buffer is too long",
    "smtp/limit/line-*",
    (SmtpClient, "_need", edited(("client_buffer)", "client_buffer - 1)"))),
)
fault(
    "smtp-line-one-more",
    "a line may be one octet longer than the buffer",
    "smtp/limit/line-*",
    (SmtpClient, "_need", edited(("client_buffer)", "client_buffer + 1)"))),
)
fault(
    "pop3-line-of-256",
    "a line may have 256 octets",
    "pop3/limit/*",
    (pop3, "POP3_COMMAND_LIMIT", value(256)),
)
fault(
    "imap-buffer-not-shared",
    "literals and answers take no room in the buffer",
    "imap/buffer/*",
    (ImapClient, "receive", edited(("self._used += len(octets)", "pass"))),
)
fault(
    "imap-buffer-not-emptied",
    "a command takes room from the next one",
    "imap/buffer/*",
    (
        ImapClient,
        "_enter_command",
        edited(
            (
                'self._tag, self._used, self._parser, self._literal = b"", 0, None, None',
                'self._tag, self._parser, self._literal = b"", None, None',
            )
        ),
    ),
)
fault(
    "timeout-doubled",
    "a client has twice `timeout`",
    "*/timeout/silent-client",
    (session, "converse", edited(("trio.current_time() + allowance", "trio.current_time() + 3 * allowance"))),
)
fault(
    "timeout-renewed",
    "each line renews `timeout`",
    "*/timeout/*-do-not-renew",
    (
        session,
        "converse",
        edited(("if clock.deadline == math.inf and (client_is_next or reply):", "if client_is_next or reply:")),
    ),
)
fault(
    "timeout-during-auth",
    "`timeout` runs while the auth server thinks",
    "*/timeout/suspended-*",
    (converse, "_unless_reset", edited(("clock.deadline = math.inf", "pass"))),
)
fault(
    "timeout-during-starttls-renewed",
    "STARTTLS renews `timeout`",
    "smtp/timeout/starttls-*",
    (
        Session,
        "_answer_starttls",
        edited(("self._lines.discard()", "self._lines.discard()\n    self._scope.deadline = math.inf")),
    ),
)
fault(
    "reset-unnoticed",
    "a client that resets its connection is not noticed during a login",
    "*/reset/while-* */auth-answer/reset-cancels-*",
    (reset_watch.ResetWatch, "run", edited(("self._scopes[descriptor].cancel()", "pass"))),
)
fault(
    "half-close-cancels",
    "a half-close ends a login like a reset",
    "*/auth-answer/half-close-* */half-close/behind-a-login",
    (reset_watch, "ONLY_ERRORS", lambda proper: proper | select.EPOLLRDHUP),
)
