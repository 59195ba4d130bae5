"""Real clients in TLS with the proxy: whole sessions, handshakes of every kind, and what they may do in clear."""

from __future__ import annotations

import asyncio
import imaplib
import poplib
import re
import smtplib
from contextlib import suppress
from email.message import EmailMessage

import aiosmtplib
import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.certificates import MX, SECOND, Certificates
from tests.interop.clients import CLIENT_ADDRESS, PROXY_ADDRESS, Imap, LineClient, Pop3, Smtp, s_client, swaks
from tests.interop.conftest import USERS
from tests.interop.dovecot import Dovecot
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy, deaf_nginx, not_with_nginx

COMMON = """
ssl_certificate tls/mx.pem;
ssl_certificate_key tls/mx.pem;
ssl_protocols TLSv1.2 TLSv1.3;
"""
SERVERS = {
    "smtp": "/xclient protocol smtp; starttls only;",
    "smtp_on": "/xclient protocol smtp; starttls on;",
    "smtps": "/xclient listen ssl; protocol smtp;",
    "imap": "/plain protocol imap; starttls only;",
    "imap_on": "/plain protocol imap; starttls on;",
    "imaps": "/plain listen ssl; protocol imap;",
    "imaps_two": """/plain listen ssl; protocol imap;
        ssl_certificate tls/second.pem; ssl_certificate_key tls/second.pem;
        ssl_certificate tls/mx.pem; ssl_certificate_key tls/mx.pem;""",
    "pop3": "/plain protocol pop3; starttls only;",
    "pop3_on": "/plain protocol pop3; starttls on;",
    "pop3s": "/plain listen ssl; protocol pop3;",
}

ALICE = "alice@example.test"
OUTSIDE = "somebody@elsewhere.example"
"""Postfix takes it from a logged-in client only."""

LOGIN = ("--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", USERS[ALICE])

TLS_FAILED, AUTH_FAILED = 29, 28
"""Exit statuses of swaks."""

QUIT = {"smtp": "QUIT\n", "imap": "a LOGOUT\n", "pop3": "QUIT\n"}
FAREWELL = {"smtp": "221 2.0.0 Bye", "imap": "a OK completed", "pop3": "+OK"}

every_protocol = pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])


# Whole sessions.


@pytest.mark.parametrize(("server", "how"), [("smtp", "--tls"), ("smtps", "--tls-on-connect")])
@pytest.mark.parametrize("version", ["tlsv1_2", "tlsv1_3"])
def test_swaks_sends_a_message(
    proxy: Proxy, postfix: Postfix, auth: AuthServer, certificates: Certificates, server: str, how: str, version: str
) -> None:
    """TLS-1, TLS-36, AUTH-29, AUTH-30: the message gets through, and the auth server learns what swaks knows of TLS."""
    trust = ("--tls-verify", "--tls-ca-path", certificates.pki.ca)
    sent = swaks(proxy.ports[server], how, "--tls-protocol", version, *trust, *LOGIN, "--to", OUTSIDE)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert postfix.wait_for_client(sent.stdout).startswith(f"unknown[{CLIENT_ADDRESS}], sasl_method=XCLIENT")
    told = re.search(r"=== TLS started with cipher (\S+?):(\S+?):", sent.stdout)
    assert told is not None, sent.stdout
    headers = auth.requests[-1].headers
    assert headers["Auth-SSL"] == "on"
    assert (headers["Auth-SSL-Protocol"], headers["Auth-SSL-Cipher"]) == (told[1], told[2])
    assert "Auth-SSL-Verify" not in headers


@pytest.mark.parametrize("implicit", [True, False])
def test_smtplib_sends_a_message(proxy: Proxy, postfix: Postfix, certificates: Certificates, implicit: bool) -> None:
    """TLS-1, TLS-36, TLS-40."""
    context = certificates.context()
    with Smtp(proxy.ports["smtps" if implicit else "smtp"], context if implicit else None) as client:
        client.ehlo()
        if not implicit:
            assert not client.has_extn("auth")
            client.starttls(context=context)
            client.ehlo()
        assert client.has_extn("auth")
        assert not client.has_extn("starttls")
        client.login(ALICE, USERS[ALICE])
        client.mail(ALICE)
        client.rcpt(OUTSIDE)
        _, reply = client.data(b"Subject: in TLS\r\n\r\n")
    assert postfix.wait_for_client(reply.decode()).endswith(f"sasl_username={ALICE}")


@pytest.mark.parametrize("implicit", [True, False])
def test_aiosmtplib_sends_a_large_message(
    proxy: Proxy, postfix: Postfix, certificates: Certificates, implicit: bool
) -> None:
    """PROXY-74: many records of TLS in a row."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ALICE, OUTSIDE, "large, in TLS"
    message.set_content("0123456789 abcdef\n" * 100_000)

    async def send() -> str:
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1",
            port=proxy.ports["smtps" if implicit else "smtp"],
            source_address=(CLIENT_ADDRESS, 0),
            use_tls=implicit,
            start_tls=not implicit,
            tls_context=certificates.context(),
        ) as client:
            await client.login(ALICE, USERS[ALICE])
            _, reply = await client.send_message(message)
            return reply

    assert postfix.wait_for_size(asyncio.run(send())) > 1_900_000


@pytest.mark.parametrize("implicit", [True, False])
def test_imaplib_reads_and_writes(proxy: Proxy, dovecot: Dovecot, certificates: Certificates, implicit: bool) -> None:
    """TLS-1, TLS-36, TLS-37, PROXY-74: large literals in both directions."""
    since, context = dovecot.child.mark(), certificates.context()
    message = b"From: a@example.test\r\nSubject: in TLS\r\n\r\n" + b"0123456789abcde\r\n" * 100_000
    with Imap(proxy.ports["imaps" if implicit else "imap"], context if implicit else None) as client:
        if not implicit:
            assert client.capabilities == ("IMAP4", "IMAP4REV1", "UIDPLUS", "STARTTLS", "LOGINDISABLED")
            client.starttls(context)
        assert client.capabilities == ("IMAP4", "IMAP4REV1", "UIDPLUS", "AUTH=PLAIN")
        client.login(ALICE, USERS[ALICE])
        assert client.append("INBOX", "(\\Flagged)", "", message)[0] == "OK"
        client.select("INBOX")
        _, found = client.search(None, "FLAGGED")
        last = found[0].split()[-1].decode()
        _, fetched = client.fetch(last, "(BODY.PEEK[])")
        assert isinstance(fetched[0], tuple)
        assert fetched[0][1] == message
        client.store(last, "+FLAGS", "(\\Deleted)")
        client.expunge()
    dovecot.wait_for_login("imap", ALICE, PROXY_ADDRESS, since)


@pytest.mark.parametrize("implicit", [True, False])
def test_poplib_logs_in(proxy: Proxy, dovecot: Dovecot, certificates: Certificates, implicit: bool) -> None:
    """TLS-1, TLS-36, TLS-37; APOP with the greeting's challenge stays possible (TLS-40)."""
    since, context = dovecot.child.mark(), certificates.context()
    client = Pop3(proxy.ports["pop3s" if implicit else "pop3"], context if implicit else None)
    with client:
        if not implicit:
            assert client.capa() == {"TOP": [], "UIDL": [], "STLS": []}
            client.stls(context)
        assert client.capa() == {"TOP": [], "USER": [], "UIDL": [], "SASL": ["PLAIN", "LOGIN"]}
        client.user(ALICE)
        assert client.pass_(USERS[ALICE]) == b"+OK Logged in."
        client.quit()
    dovecot.wait_for_login("pop3", ALICE, PROXY_ADDRESS, since)


# Handshakes.


@deaf_nginx
@every_protocol
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("implicit", [True, False])
def test_openssl_shakes_hands(
    proxy: Proxy, certificates: Certificates, protocol: str, version: str, implicit: bool
) -> None:
    """TLS-15, TLS-28, TLS-36: the certificate is good for the name, and the dialogue goes on in TLS."""
    server, how = (f"{protocol}s", ()) if implicit else (protocol, ("-starttls", protocol))
    check = ("-verify_return_error", "-verify_hostname", MX, "-CAfile", certificates.pki.ca, "-servername", MX)
    told = s_client(proxy.ports[server], *how, version, *check, commands=QUIT[protocol])
    assert told.returncode == 0, told.stderr
    assert "Verify return code: 0 (ok)" in told.stdout
    assert f"New, {version.replace('-tls1_', 'TLSv1.')}, Cipher is " in told.stdout
    assert FAREWELL[protocol] in told.stdout


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(proxy: Proxy, version: str) -> None:
    """TLS-15, TLS-34."""
    since = proxy.child.mark()
    told = s_client(proxy.ports["imaps"], version, "-cipher", "DEFAULT@SECLEVEL=0")
    assert told.returncode != 0
    assert "alert protocol version" in told.stderr
    proxy.child.wait_for(r"SSL_do_handshake\(\) failed \(SSL: .*unsupported protocol\).* while SSL handshaking", since)


@deaf_nginx
@every_protocol
@pytest.mark.parametrize("implicit", [True, False])
def test_the_protocol_is_agreed_on(proxy: Proxy, protocol: str, implicit: bool) -> None:
    """TLS-31: its place in the list does not matter."""
    server, how = (f"{protocol}s", ()) if implicit else (protocol, ("-starttls", protocol))
    told = s_client(proxy.ports[server], *how, "-alpn", f"h2,{protocol}", commands=QUIT[protocol])
    assert f"ALPN protocol: {protocol}" in told.stdout
    assert FAREWELL[protocol] in told.stdout


@pytest.mark.parametrize(("server", "how"), [("imaps", ()), ("imap", ("-starttls", "imap"))])
def test_another_protocol_is_refused(proxy: Proxy, server: str, how: tuple[str, ...]) -> None:
    """TLS-31, TLS-34."""
    since = proxy.child.mark()
    told = s_client(proxy.ports[server], *how, "-alpn", "IMAP,pop3", commands=QUIT["imap"])
    assert told.returncode != 0
    assert "alert no application protocol" in told.stderr
    proxy.child.wait_for(r"SSL_do_handshake\(\) failed \(SSL: .*no application protocol\)", since)


@not_with_nginx("nginx ignores the server name")
@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (("-servername", SECOND), SECOND),
        (("-servername", MX), MX),
        (("-servername", "elsewhere.example"), MX),
        (("-noservername",), MX),
    ],
)
def test_the_server_name_chooses_the_certificate(
    proxy: Proxy, certificates: Certificates, asked: tuple[str, ...], name: str
) -> None:
    """TLS-30: the last one is for everybody else."""
    check = ("-verify_return_error", "-verify_hostname", name, "-CAfile", certificates.pki.ca)
    told = s_client(proxy.ports["imaps_two"], *asked, *check, commands=QUIT["imap"])
    assert told.returncode == 0, told.stderr
    assert f"Verified peername: {name}" in told.stdout


def test_swaks_does_not_trust_just_anybody(proxy: Proxy, certificates: Certificates) -> None:
    """TLS-34: the client's alert is no more than a note in the log."""
    since = proxy.child.mark()
    trust = ("--tls-verify", "--tls-ca-path", certificates.file("unknown_ca"))
    sent = swaks(proxy.ports["smtps"], "--tls-on-connect", *trust, *LOGIN, "--to", OUTSIDE)
    assert sent.returncode == TLS_FAILED, sent.stdout
    proxy.child.wait_for(r"\[info\] .*SSL_do_handshake\(\) failed \(SSL: .*alert unknown ca", since)


# Clear text.


def test_in_tls_no_tls_is_to_be_had(proxy: Proxy, certificates: Certificates) -> None:
    """TLS-3."""
    with Smtp(proxy.ports["smtps"], certificates.context()) as smtp:
        assert smtp.docmd("STARTTLS") == (500, b"5.5.1 Invalid command")
    with Imap(proxy.ports["imaps"], certificates.context()) as imap:
        assert "STARTTLS" not in imap.capabilities
    with Pop3(proxy.ports["pop3s"], certificates.context()) as pop3:
        assert "STLS" not in pop3.capa()


def test_starttls_only_takes_no_login_in_clear(proxy: Proxy, auth: AuthServer) -> None:
    """TLS-48: nor does any password reach the auth server."""
    before = len(auth.requests)
    sent = swaks(proxy.ports["smtp"], *LOGIN, "--to", OUTSIDE)
    assert sent.returncode == AUTH_FAILED, sent.stdout
    with Smtp(proxy.ports["smtp"]) as client:
        assert client.docmd("AUTH", "PLAIN AGEAYg==") == (500, b"5.5.1 Invalid command")
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.login(ALICE, USERS[ALICE])
    with Imap(proxy.ports["imap"]) as imap, pytest.raises(imaplib.IMAP4.error, match="invalid command"):
        imap.login(ALICE, USERS[ALICE])
    with Pop3(proxy.ports["pop3"]) as pop3, pytest.raises(poplib.error_proto, match="-ERR invalid command"):
        pop3.user(ALICE)
    assert len(auth.requests) == before


@pytest.mark.parametrize("server", ["smtp_on", "imap_on", "pop3_on"])
def test_starttls_on_takes_a_login_in_clear(
    proxy: Proxy, dovecot: Dovecot, postfix: Postfix, auth: AuthServer, server: str
) -> None:
    """TLS-50; the auth server is not told of TLS."""
    match server:
        case "smtp_on":
            sent = swaks(proxy.ports[server], *LOGIN, "--to", OUTSIDE)
            assert sent.returncode == 0, sent.stdout
        case "imap_on":
            with Imap(proxy.ports[server]) as imap:
                imap.login(ALICE, USERS[ALICE])
        case _:
            with Pop3(proxy.ports[server]) as pop3:
                pop3.user(ALICE)
                pop3.pass_(USERS[ALICE])
    assert not any(name.startswith("Auth-SSL") for name in auth.requests[-1].headers)


@pytest.mark.parametrize("server", ["smtps", "imaps", "pop3s"])
def test_clear_text_where_tls_belongs(proxy: Proxy, server: str) -> None:
    """TLS-32, TLS-34: nothing that could be read comes back."""
    since = proxy.child.mark()
    # OpenSSL may leave octets unread, and then the connection is reset.
    with LineClient(proxy.ports[server]) as client, suppress(ConnectionResetError):
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b"\n" not in client.rest()
    proxy.child.wait_for(r"SSL_do_handshake\(\) failed \(SSL: .*http request\)", since)
