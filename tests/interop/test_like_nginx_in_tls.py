"""TLS through nginx and through refproxy: the same octets inside TLS, the same auth requests, the same endings.

Every session here keeps to rules of class vendor, and to what nginx 1.22 does already. Left out is what refproxy does
by rules of its own: certificates by server name (TLS-30), mail without login under `starttls only` (TLS-49), resumption
(TLS-55).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.certificates import Certificates
from tests.interop.comparison import (
    Conversation,
    Handshake,
    Sent,
    World,
    closing,
    imap,
    open_world,
    plain,
    pop3,
    raw,
    smtp,
)

USERS = {"alice": "secret"}

COMMON = """
ssl_certificate tls/mx.pem;
ssl_certificate_key tls/mx.pem;
ssl_client_certificate tls/ca.pem;
# The default of nginx 1.22 is another one.
ssl_protocols TLSv1.2 TLSv1.3;
auth_http_pass_client_cert on;
"""
MODES = ("on", "optional", "optional_no_ca")
SERVERS = {
    **{
        name: f"/plain protocol {protocol}; {settings}"
        for protocol in ("smtp", "pop3", "imap")
        for name, settings in {
            f"{protocol}_on": "starttls on;",
            f"{protocol}_only": "starttls only;",
            f"{protocol}_on_verify": "starttls on; ssl_verify_client on;",
        }.items()
    },
    **{
        name: f"/plain listen ssl; protocol {protocol}; {settings}"
        for protocol in ("smtp", "pop3", "imap")
        for name, settings in {
            f"{protocol}s": "",
            # A setting for plain connections, without effect here.
            f"{protocol}s_starttls": "starttls only;",
            **{f"{protocol}s_{mode}": f"ssl_verify_client {mode};" for mode in MODES},
        }.items()
    },
    "smtp_none": "/plain protocol smtp; starttls on; smtp_auth none;",
    "smtps_none": "/plain listen ssl; protocol smtp; smtp_auth none; ssl_verify_client optional;",
    "smtps_proxied": "/plain listen ssl proxy_protocol; protocol smtp; set_real_ip_from 127.0.0.2;",
    "imaps_proxied": "/plain listen ssl proxy_protocol; protocol imap;",
    "pop3_proxied": "/plain listen proxy_protocol; protocol pop3; starttls only; set_real_ip_from 127.0.0.0/8;",
}

ALICE = plain("alice", "secret")
TLS, TLS_1_2 = Handshake(), Handshake(version=ssl.TLSVersion.TLSv1_2)


def later(conversation: list[Sent]) -> list[Sent]:
    """Without the greeting: the conversation goes on in TLS."""
    return conversation[1:]


def header(octets: bytes) -> list[Sent]:
    """A PROXY header, on which nothing is answered."""
    return [Sent(octets, rb"\A")]


V1 = b"PROXY TCP4 192.0.2.7 198.51.100.9 4444 993\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x09\x11\x5c\x03\xe1"

IN_SMTP = smtp(b"EHLO c.example", b"AUTH PLAIN " + ALICE, b"NOOP", b"QUIT")
IN_POP3 = pop3(b"CAPA", b"AUTH", b"USER alice", b"PASS secret", b"QUIT")
IN_IMAP = imap(b"a CAPABILITY", b"b LOGIN alice secret", b"c NOOP", b"d LOGOUT")

SESSIONS: dict[str, tuple[str, Conversation]] = {
    # From the first octet.
    "smtp: login": ("smtps", [TLS, *closing(IN_SMTP)]),
    "smtp: login in TLS 1.2": ("smtps", [TLS_1_2, *closing(IN_SMTP)]),
    "smtp: STARTTLS": ("smtps_starttls", [TLS, *closing(smtp(b"EHLO c", b"STARTTLS", b"STARTTLS", b"QUIT"))]),
    "smtp: no login": ("smtps_none", [TLS, *closing(smtp(b"EHLO c", b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>", b"QUIT"))]),
    "smtp: wrong password": ("smtps", [TLS, *closing(smtp(b"EHLO c", b"AUTH PLAIN " + plain("alice", "wrong")))]),
    "smtp: too many errors": ("smtps", [TLS, *closing(smtp(*[b"FOO"] * 6))]),
    "pop3: login": ("pop3s", [TLS, *closing(IN_POP3)]),
    "pop3: login in TLS 1.2": ("pop3s", [TLS_1_2, *closing(IN_POP3)]),
    "pop3: STLS": ("pop3s_starttls", [TLS, *closing(pop3(b"CAPA", b"STLS", b"QUIT"))]),
    "pop3: wrong password": ("pop3s", [TLS, *closing(pop3(b"USER alice", b"PASS wrong"))]),
    "imap: login": ("imaps", [TLS, *closing(IN_IMAP)]),
    "imap: login in TLS 1.2": ("imaps", [TLS_1_2, *closing(IN_IMAP)]),
    "imap: STARTTLS": ("imaps_starttls", [TLS, *closing(imap(b"a CAPABILITY", b"b STARTTLS", b"c LOGOUT"))]),
    "imap: wrong password": ("imaps", [TLS, *closing(imap(b"a LOGIN alice wrong"))]),
    "imap: pipelined login": ("imaps", [TLS, *smtp(), *raw(b"a NOOP\r\nb LOGIN alice secret\r\nc LOGOUT\r\n")]),
    # The protocol that is agreed on.
    "smtp: ALPN": ("smtps", [Handshake(alpn=("h2", "smtp")), *closing(IN_SMTP)]),
    "pop3: ALPN": ("pop3s", [Handshake(alpn=("pop3", "imap")), *closing(IN_POP3)]),
    "imap: ALPN after STARTTLS": (
        "imap_on", [*imap(b"a STARTTLS"), Handshake(alpn=("imap",)), *closing(later(IN_IMAP))]
    ),
    "smtp: another ALPN": ("smtps", [Handshake(alpn=("imap", "SMTP"))]),
    "imap: another ALPN after STARTTLS": ("imap_on", [*imap(b"a STARTTLS"), Handshake(alpn=("pop3",))]),
    # STARTTLS offered.
    "smtp: on": ("smtp_on", [*smtp(b"EHLO c.example", b"STARTTLS"), TLS, *closing(later(IN_SMTP))]),
    "smtp: on, in clear": ("smtp_on", closing(IN_SMTP)),
    "smtp: on, early": ("smtp_on", [*smtp(b"starttls now"), TLS, *later(smtp(b"STARTTLS", b"NOOP"))]),
    "smtp: on, hello forgotten": (
        "smtp_on", [*smtp(b"EHLO c", b"STARTTLS"), TLS, *closing(later(smtp(b"AUTH PLAIN " + ALICE, b"QUIT")))]
    ),
    "smtp: on, mail forgotten": (
        "smtp_none",
        [*smtp(b"EHLO c", b"MAIL FROM:<a@b>", b"STARTTLS"), TLS, *later(smtp(b"RCPT TO:<c@d>", b"MAIL FROM:<a@b>"))],
    ),
    "smtp: on, injection": (
        "smtp_on",
        [
            *smtp(b"EHLO c"), Sent(b"NOOP\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n", b"Start TLS\r\n"),
            TLS, *later(smtp(b"RSET")),
        ],
    ),
    "pop3: on": ("pop3_on", [*pop3(b"CAPA", b"AUTH", b"STLS"), TLS, *closing(later(IN_POP3))]),
    "pop3: on, in clear": ("pop3_on", closing(IN_POP3)),
    "pop3: on, after USER": ("pop3_on", [*pop3(b"USER a", b"CAPA", b"STLS", b"stls x"), TLS, *later(pop3(b"NOOP"))]),
    "pop3: on, injection": ("pop3_on", [*pop3(b"STLS\r\nUSER a"), TLS, *later(pop3(b"PASS x", b"CAPA"))]),
    "imap: on": ("imap_on", [*imap(b"a CAPABILITY", b"b STARTTLS"), TLS, *closing(later(IN_IMAP))]),
    "imap: on, in clear": ("imap_on", closing(IN_IMAP)),
    "imap: on, arguments": ("imap_on", [*imap(b"a starttls x y"), TLS, *later(imap(b"b STARTTLS", b"c NOOP"))]),
    "imap: on, injection": ("imap_on", [*imap(b"a STARTTLS\r\nb LOGIN x y"), TLS, *later(imap(b"c NOOP"))]),
    # STARTTLS required.
    "smtp: only": (
        "smtp_only", [*smtp(b"HELO c", b"EHLO c.example", b"STARTTLS"), TLS, *closing(later(IN_SMTP))]
    ),
    "smtp: only, in clear": (
        "smtp_only", smtp(b"AUTH PLAIN " + ALICE, b"AUTH LOGIN", b"AUTH", b"AUTH CRAM-MD5", b"NOOP", b"RSET", b"EHLO c")
    ),
    "smtp: only, many refusals": ("smtp_only", closing(smtp(*[b"AUTH PLAIN"] * 7, b"NOOP", b"QUIT"))),
    "pop3: only": ("pop3_only", [*pop3(b"CAPA", b"STLS"), TLS, *closing(later(IN_POP3))]),
    "pop3: only, in clear": (
        "pop3_only", closing(pop3(b"USER alice", b"PASS x", b"APOP a b", b"AUTH PLAIN", b"NOOP", b"QUIT"))
    ),
    "imap: only": ("imap_only", [*imap(b"a CAPABILITY", b"b STARTTLS"), TLS, *closing(later(IN_IMAP))]),
    "imap: only, in clear": (
        "imap_only", closing(imap(b"a LOGIN alice secret", b"b AUTHENTICATE PLAIN", b"c NOOP", b"d LOGOUT"))
    ),
    # Behind a PROXY header.
    "smtp: PROXY header": ("smtps_proxied", [*header(V1), TLS, *closing(IN_SMTP)]),
    "imap: PROXY header of version 2": ("imaps_proxied", [*header(V2), TLS, *closing(IN_IMAP)]),
    "pop3: PROXY header and STLS": (
        "pop3_proxied", [*header(V2), *pop3(b"STLS"), TLS, *closing(later(IN_POP3))]
    ),
}  # fmt: skip

CLOSING = {"smtp": closing(IN_SMTP), "pop3": closing(IN_POP3), "imap": closing(IN_IMAP)}
STARTTLS = {"smtp": smtp(b"STARTTLS"), "pop3": pop3(b"STLS"), "imap": imap(b"a STARTTLS")}
LETS_IN = {
    ("on", "client"),
    ("optional", "client"),
    ("optional", None),
    ("optional_no_ca", "client"),
    ("optional_no_ca", None),
    ("optional_no_ca", "unknown"),
}


@pytest.fixture(scope="module")
def world(proxy_directories: Callable[[], Path], certificates: Certificates) -> Iterator[World]:
    with open_world(proxy_directories, certificates, USERS, SERVERS, COMMON) as world:
        yield world


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_the_same_as_with_nginx(world: World, name: str) -> None:
    world.compare(*SESSIONS[name])


@pytest.mark.parametrize("protocol", ["smtp", "pop3", "imap"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shown", [None, "client", "unknown", "expired"])
def test_a_certificate_is_judged_as_by_nginx(world: World, protocol: str, mode: str, shown: str | None) -> None:
    handshake = Handshake(shown=shown)
    conversation = CLOSING[protocol] if (mode, shown) in LETS_IN else [Sent(b"", None)]
    world.compare(f"{protocol}s_{mode}", [handshake, *conversation])


@pytest.mark.parametrize("protocol", ["smtp", "pop3", "imap"])
@pytest.mark.parametrize("shown", [None, "client", "unknown"])
def test_after_starttls_a_certificate_is_judged_as_by_nginx(world: World, protocol: str, shown: str | None) -> None:
    conversation = later(CLOSING[protocol]) if shown == "client" else [Sent(b"", None)]
    world.compare(f"{protocol}_on_verify", [*STARTTLS[protocol], Handshake(shown=shown), *conversation])
