"""The logins at backends, protocol by protocol (proxy rules, sections 5 to 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refproxy.dialogue.login import Exchange, Login, Send, Step
from refproxy.wire import imap, pop3, sasl, smtp
from refproxy.wire.auth_http import Envelope
from refproxy.wire.secret import Secret

__all__ = ["SmtpLogin", "imap_login", "pop3_login"]


def _starts_with(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda reply: reply.startswith(prefixes)


_pop3_ok = _starts_with(b"+OK")
_POP3_GREETING = Exchange(Step("reading response from upstream", _pop3_ok, pop3.measure_reply))
_STLS = Exchange(Step("sending STLS to upstream", _pop3_ok, pop3.measure_reply, then_tls=True), Send(b"STLS\r\n"))
_POP3_USER = Step("sending user name to upstream", _pop3_ok, pop3.measure_reply)
_POP3_PASS = Step("sending password to upstream", _pop3_ok, pop3.measure_reply)


def pop3_login(user: bytes, password: Secret, *, starttls: bool = False) -> Login:
    """USER and PASS, whichever way the client came in (PROXY-52 to PROXY-57); before them STLS if wanted (TLS-64)."""
    opening = (_POP3_GREETING, _STLS) if starttls else (_POP3_GREETING,)
    return Login(
        (
            *opening,
            Exchange(_POP3_USER, Send(b"USER %s\r\n" % user)),
            Exchange(_POP3_PASS, Send(b"PASS %s\r\n" % password.reveal(), "PASS ***")),
        ),
        pop3.is_negative,
    )


def _imap_continues(reply: bytes) -> bool:
    return imap.last_line(reply).startswith(b"+")


_IMAP_GREETING = Exchange(Step("reading response from upstream", _starts_with(b"* OK"), imap.measure_line))
_IMAP_LOGIN = Step("sending LOGIN command to upstream", _imap_continues, imap.measure_reply)
_IMAP_USER = Step("sending user name to upstream", _imap_continues, imap.measure_reply)


def imap_login(tag: bytes, user: bytes, password: Secret, *, starttls: bool = False) -> Login:
    """LOGIN with two synchronizing literals under the client's tag (PROXY-58 to PROXY-65).

    Before it STARTTLS if wanted (TLS-64).
    """
    secret = password.reveal()

    def done(reply: bytes) -> bool:
        return imap.last_line(reply).startswith(tag + b" OK")

    opening: tuple[Exchange, ...] = (_IMAP_GREETING,)
    if starttls:
        step = Step("sending STARTTLS to upstream", done, imap.measure_reply, then_tls=True)
        opening = (_IMAP_GREETING, Exchange(step, Send(tag + b" STARTTLS\r\n")))
    return Login(
        (
            *opening,
            Exchange(_IMAP_LOGIN, Send(b"%s LOGIN {%d}\r\n" % (tag, len(user)))),
            Exchange(_IMAP_USER, Send(b"%s {%d}\r\n" % (user, len(secret)))),
            Exchange(Step("sending password to upstream", done, imap.measure_reply), Send(b"%s\r\n" % secret, "***")),
        ),
        imap.is_negative,
    )


def _replies(*codes: bytes) -> Callable[[bytes], bool]:
    """Accept one of `codes`, the same in all lines of a reply (PROXY-24)."""
    return lambda reply: smtp.is_reply(reply) and reply.startswith(codes)


_SMTP_GREETING = Exchange(Step("reading response from upstream", _replies(b"220"), smtp.measure_reply))
_HELO = Step("sending HELO/EHLO to upstream", _replies(b"250"), smtp.measure_reply)
_STARTTLS = Exchange(
    Step("sending STARTTLS to upstream", _replies(b"220"), smtp.measure_reply, then_tls=True), Send(b"STARTTLS\r\n")
)
_XCLIENT = Step("sending XCLIENT to upstream", _replies(b"220", b"250"), smtp.measure_reply)
_CLIENT_HELO = Step("sending client HELO/EHLO to upstream", _replies(b"250"), smtp.measure_reply)
_MAIL = Step("sending MAIL FROM to upstream", _replies(b"250"), smtp.measure_reply)
# Whatever well-formed reply RCPT gets is the client's, and the relay starts (PROXY-48).
_RCPT = Step("sending RCPT TO to upstream", smtp.is_reply, smtp.measure_reply)
_AUTH = Step("sending AUTH to upstream", _replies(b"235"), smtp.measure_reply)


@dataclass(frozen=True, slots=True)
class SmtpLogin:
    """The choices that make up an SMTP login; `build` puts the exchanges in their order (PROXY-28, PROXY-29).

    `starttls` puts EHLO, STARTTLS and a TLS handshake in front of everything but the greeting (TLS-64). `helo` is the
    client's own name, empty if it gave none; `esmtp` whether it ever said EHLO (PROXY-32).
    `xclient` is the XCLIENT line or None. `envelope` is set in `none` mode; otherwise, with `authenticate`,
    AUTH PLAIN is sent. `success` is what the client gets in AUTH mode (PROXY-49).
    """

    server_name: bytes
    helo: bytes
    esmtp: bool
    xclient: bytes | None
    envelope: Envelope | None
    authenticate: bool
    success: bytes
    starttls: bool = False

    def build(self, user: bytes, password: Secret | None) -> Login:
        """All exchanges; without the password that AUTH needs, its line is missing and the login ends there."""
        exchanges = [_SMTP_GREETING]
        if self.starttls:
            exchanges += [Exchange(_HELO, _line(b"EHLO ", self.server_name)), _STARTTLS]
        verb = b"EHLO " if self.esmtp or self.xclient is not None else b"HELO "
        exchanges.append(Exchange(_HELO, _line(verb, self.server_name)))
        if self.xclient is not None:
            exchanges.append(Exchange(_XCLIENT, Send(self.xclient)))
            if self.helo:
                verb = b"EHLO " if self.esmtp else b"HELO "
                exchanges.append(Exchange(_CLIENT_HELO, _line(verb, self.helo)))
        if self.envelope is not None:
            exchanges.append(Exchange(_MAIL, _line(self.envelope.mail)))
            exchanges.append(Exchange(_RCPT, _line(self.envelope.rcpt)))
            return Login(tuple(exchanges), smtp.is_negative)
        if self.authenticate:
            exchanges.append(Exchange(_AUTH, _auth_plain(user, password)))
        return Login(tuple(exchanges), smtp.is_negative, self.success, replies_to_client=False)


def _auth_plain(user: bytes, password: Secret | None) -> Send | None:
    if password is None:
        return None
    message = sasl.encode_base64(sasl.format_plain(user, password.reveal()))
    return Send(b"AUTH PLAIN %s\r\n" % message, "AUTH PLAIN ***")


def _line(*parts: bytes) -> Send:
    """A line without secrets."""
    return Send(b"".join((*parts, b"\r\n")))
