"""Faults in the login at the backend, and in what a client hears of a failed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refproxy import backend
from refproxy.dialogue import imap, logins, pop3
from refproxy.dialogue.client import ClientCore
from refproxy.dialogue.login import LoginWalk
from refproxy.dialogue.logins import SmtpLogin
from refproxy.session import Session
from refproxy.wire import sasl
from tests.mutants.catalog import fault
from tests.mutants.edits import edited

ERRORS = "*/backend-error/*"


def changed(**changes: Any) -> Callable[[Any], Any]:
    """A change of some fields of a step."""
    return lambda proper: replace(proper, **changes)


fault(
    "error-passed-although-hidden",
    "the backend's words are passed on whatever proxy_pass_error_message says",
    ERRORS,
    (ClientCore, "backend_failed", edited((' if self.settings.proxy.pass_error_message else b""', ""))),
)
fault(
    "error-hidden-although-wanted",
    "the backend's words are never passed on",
    ERRORS,
    (ClientCore, "backend_failed", edited(("self.settings.proxy.pass_error_message", "False"))),
)
fault(
    "error-first-line-only",
    "of an error of several lines the first is passed on",
    "*/backend-error/*-in-full smtp/backend-error/*",
    (
        LoginWalk,
        "receive",
        edited(("passed = bytes(self._received)", "passed = bytes(self._received).partition(b'\\n')[0] + b'\\n'")),
    ),
)
fault(
    "error-positive-replies-passed",
    "a positive reply in the wrong place is passed on",
    ERRORS,
    (LoginWalk, "receive", edited((' if self._login.is_negative(reply) else b""', ""))),
)
fault(
    "error-session-goes-on",
    "after a failed login at the backend the client may try again",
    ERRORS,
    (
        ClientCore,
        "backend_failed",
        edited(
            (
                "return Turn(passed or self.internal_error(), Close(End.BACKEND_FAILED))",
                "self._enter_command()\n    return self._again(passed or self.internal_error())",
            )
        ),
    ),
)
fault(
    "imap-count-of-characters",
    "the size of a user's literal counts characters",
    "imap/backend-login/*",
    (imap, "imap_login", edited(("(tag, len(user))", "(tag, len(user.decode('utf-8', 'replace')))"))),
)
fault(
    "imap-count-of-the-password-without-end",
    "the size of a password's literal includes its line end",
    "imap/backend-login/*",
    (imap, "imap_login", edited(("(user, len(secret))", "(user, len(secret) + 2)"))),
)
fault(
    "imap-own-tag",
    "the login has a tag of the proxy's own",
    "imap/backend-login/*",
    (imap, "imap_login", lambda proper: lambda tag, *args, **kwargs: proper(b"a001", *args, **kwargs)),
)
fault(
    "imap-any-tag-answers",
    "the answer to a login may have any tag",
    "imap/backend-error/*",
    (imap, "imap_login", edited(('imap.last_line(reply).startswith(tag + b" OK")', 'b" OK" in imap.last_line(reply)'))),
)
fault(
    "imap-preauth-accepted",
    "a greeting may be PREAUTH",
    "imap/backend-error/*",
    (
        logins,
        "_IMAP_GREETING",
        lambda proper: proper._replace(step=replace(proper.step, accept=lambda reply: reply.startswith(b"* "))),
    ),
)
fault(
    "imap-answer-of-the-proxy",
    "the client gets an OK of the proxy instead of the backend's answer",
    "imap/hand-over/*",
    (
        imap,
        "imap_login",
        lambda proper: (
            lambda *args, **kwargs: proper(*args, **kwargs)._replace(
                replies_to_client=False, success=args[0] + b" OK completed\r\n"
            )
        ),
    ),
)
fault(
    "pop3-any-reply-accepted",
    "a reply to USER may be anything but -ERR",
    "pop3/backend-error/*",
    (logins, "_POP3_USER", changed(accept=lambda reply: not reply.startswith(b"-ERR"))),
)
fault(
    "pop3-user-and-pass-at-once",
    "PASS does not wait for the reply to USER",
    "pop3/backend-login/*",
    (
        pop3,
        "pop3_login",
        edited(
            ('Exchange(_POP3_USER, Send(b"USER %s\\r\\n" % user)),', ""),
            ('b"PASS %s\\r\\n" % password.reveal()', 'b"USER %s\\r\\nPASS %s\\r\\n" % (user, password.reveal())'),
        ),
    ),
)
fault(
    "smtp-first-line-decides",
    "a reply of several lines is complete with its first",
    "smtp/backend/goes-on-* smtp/backend/next-line-*",
    (logins, "_HELO", changed(measure=lambda received: received.find(b"\r\n") + 2 or None)),
)
fault(
    "smtp-any-positive-code",
    "any 2yz lets the login go on",
    "smtp/backend-error/* smtp/backend/*-ends-the-login",
    (logins, "_HELO", changed(accept=lambda reply: reply.startswith(b"2"))),
)
fault(
    "smtp-codes-may-differ",
    "lines of a reply may have different codes",
    "smtp/backend-error/codes-*",
    (logins, "_AUTH", changed(accept=lambda reply: reply.startswith(b"235"))),
    (logins, "_HELO", changed(accept=lambda reply: reply.startswith(b"250"))),
)
fault(
    "smtp-authorization-identity",
    "AUTH PLAIN names the user twice",
    "smtp/backend/auth-plain-*",
    (sasl, "format_plain", lambda proper: lambda user, password: user + proper(user, password)),
)
fault(
    "smtp-text-of-the-backend",
    "the client reads the backend's reply to AUTH",
    "smtp/backend/client-reads-*",
    (SmtpLogin, "build", edited((", self.success, replies_to_client=False)", ")"))),
)
fault(
    "smtp-hello-of-the-client",
    "the backend is greeted with the client's name, not the proxy's",
    "smtp/backend/xclient-off-*",
    (
        SmtpLogin,
        "build",
        edited(
            (
                "exchanges.append(Exchange(_HELO, _line(verb, self.server_name)))",
                "exchanges.append(Exchange(_HELO, _line(verb, self.helo or self.server_name)))",
            )
        ),
    ),
)
fault(
    "early-reply-counts",
    "what a backend said before it was asked is its answer",
    "*/backend-reply/what-came-early-*",
    (LoginWalk, "_advance", edited(("self._received.clear()", "del self._received[:length]"))),
    (
        LoginWalk,
        "receive",
        edited(("self._received += octets", "self._received += octets; held = len(self._received)")),
    ),
)
fault(
    "reply-one-octet-more",
    "a reply may have one octet more than proxy_buffer",
    "*/backend-reply/*-too-long",
    (LoginWalk, "room", edited(("self._limit - ", "1 + self._limit - "))),
)
fault(
    "reply-one-octet-less",
    "a reply that fills proxy_buffer is too long",
    "*/backend-reply/*-of-exactly-*",
    (LoginWalk, "room", edited(("self._limit - ", "self._limit - 1 - "))),
)
fault(
    "backend-without-timeout",
    "a login at the backend may take for ever",
    "*/backend-fault/silent-* */backend-fault/timeout-is-*",
    (Session, "_connect", edited(("trio.move_on_after(settings.timeout)", "trio.move_on_after(math.inf)"))),
)
fault(
    "backend-timeout-renewed",
    "each reply renews the time of a login",
    "*/backend-fault/timeout-is-*",
    (
        Session,
        "_connect",
        edited(("trio.move_on_after(settings.timeout)", "trio.move_on_after(10 * settings.timeout)")),
    ),
)
fault(
    "backend-first-address-only",
    "of the addresses of a name only the first is tried",
    "imap/auth-route/name-*",
    (backend, "_connect", edited(("for host in hosts:", "for host in hosts[:1]:"))),
)
