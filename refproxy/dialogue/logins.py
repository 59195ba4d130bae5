"""The logins at backends, protocol by protocol (proxy rules, sections 5 to 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refproxy.dialogue.login import Exchange, Login
from refproxy.wire import imap, pop3, sasl, smtp
from refproxy.wire.auth_http import Envelope, printable
from refproxy.wire.secret import Secret

__all__ = ["SmtpLogin", "imap_login", "pop3_login"]


def _starts_with(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda reply: reply.startswith(prefixes)


_pop3_ok = _starts_with(b"+OK")
_POP3_GREETING = Exchange("reading response from upstream", _pop3_ok, pop3.measure_reply)
_STLS = Exchange("sending STLS to upstream", _pop3_ok, pop3.measure_reply, b"STLS\r\n", "STLS", then_tls=True)


def pop3_login(user: bytes, password: Secret, *, starttls: bool = False) -> Login:
    """USER and PASS, whichever way the client came in (PROXY-52 to PROXY-57); before them STLS if wanted (TLS-64)."""
    return Login(
        (
            _POP3_GREETING,
            *((_STLS,) if starttls else ()),
            Exchange("sending user name to upstream", _pop3_ok, pop3.measure_reply, *_line(b"USER " + user)),
            Exchange(
                "sending password to upstream",
                _pop3_ok,
                pop3.measure_reply,
                b"PASS " + password.reveal() + b"\r\n",
                "PASS ***",
            ),
        ),
        pop3.is_negative,
    )


_IMAP_GREETING = Exchange("reading response from upstream", _starts_with(b"* OK"), imap.measure_line)


def _imap_continues(reply: bytes) -> bool:
    return imap.last_line(reply).startswith(b"+")


def imap_login(tag: bytes, user: bytes, password: Secret, *, starttls: bool = False) -> Login:
    """LOGIN with two synchronizing literals under the client's tag (PROXY-58 to PROXY-65).

    Before it STARTTLS if wanted (TLS-64).
    """
    secret = password.reveal()

    def done(reply: bytes) -> bool:
        return imap.last_line(reply).startswith(tag + b" OK")

    line = _line(tag + b" STARTTLS")
    start_tls = Exchange("sending STARTTLS to upstream", done, imap.measure_reply, *line, then_tls=True)
    return Login(
        (
            _IMAP_GREETING,
            *((start_tls,) if starttls else ()),
            Exchange(
                "sending LOGIN command to upstream",
                _imap_continues,
                imap.measure_reply,
                *_line(b"%s LOGIN {%d}" % (tag, len(user))),
            ),
            Exchange(
                "sending user name to upstream",
                _imap_continues,
                imap.measure_reply,
                *_line(b"%s {%d}" % (user, len(secret))),
            ),
            Exchange("sending password to upstream", done, imap.measure_reply, secret + b"\r\n", "***"),
        ),
        imap.is_negative,
    )


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
            exchanges += [
                _smtp("sending HELO/EHLO to upstream", b"250", send=b"EHLO " + self.server_name),
                _smtp("sending STARTTLS to upstream", b"220", send=b"STARTTLS", then_tls=True),
            ]
        verb = b"EHLO " if self.esmtp or self.xclient is not None else b"HELO "
        exchanges.append(_smtp("sending HELO/EHLO to upstream", b"250", send=verb + self.server_name))
        if self.xclient is not None:
            exchanges.append(_smtp("sending XCLIENT to upstream", b"220", b"250", send=self.xclient))
            if self.helo:
                verb = b"EHLO " if self.esmtp else b"HELO "
                exchanges.append(_smtp("sending client HELO/EHLO to upstream", b"250", send=verb + self.helo))
        if self.envelope is not None:
            exchanges.append(_smtp("sending MAIL FROM to upstream", b"250", send=self.envelope.mail))
            # Whatever well-formed reply RCPT gets is the client's, and the relay starts (PROXY-48).
            exchanges.append(_smtp("sending RCPT TO to upstream", b"", send=self.envelope.rcpt))
            return Login(tuple(exchanges), smtp.is_negative)
        if self.authenticate:
            exchanges.append(_auth_plain(user, password))
        return Login(tuple(exchanges), smtp.is_negative, self.success, replies_to_client=False)


def _replies(*codes: bytes) -> Callable[[bytes], bool]:
    """Accept one of `codes`, the same in all lines of a reply (PROXY-24)."""
    return lambda reply: smtp.is_reply(reply) and reply.startswith(codes)


def _smtp(action: str, *codes: bytes, send: bytes = b"", then_tls: bool = False) -> Exchange:
    text = send.removesuffix(b"\r\n")
    line, shown = _line(text) if text else (b"", "")
    return Exchange(action, _replies(*codes), smtp.measure_reply, line, shown, then_tls)


_SMTP_GREETING = _smtp("reading response from upstream", b"220")


def _auth_plain(user: bytes, password: Secret | None) -> Exchange:
    line = None
    if password is not None:
        line = b"AUTH PLAIN " + sasl.encode_base64(sasl.format_plain(user, password.reveal())) + b"\r\n"
    return Exchange("sending AUTH to upstream", _replies(b"235"), smtp.measure_reply, line, "AUTH PLAIN ***")


def _line(text: bytes) -> tuple[bytes, str]:
    """A line without secrets: its octets, and the same to look at."""
    return text + b"\r\n", printable(text, limit=512)
