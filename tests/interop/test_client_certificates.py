"""Certificates of clients: who may go on, what those read who may not, and what the auth server is told."""

from __future__ import annotations

import subprocess

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.certificates import Certificates
from tests.interop.clients import Imap, LineClient, s_client, swaks
from tests.interop.conftest import USERS
from tests.interop.postfix import Postfix
from tests.interop.processes import find_program
from tests.interop.proxies import Proxy, deaf_nginx

COMMON = """
ssl_certificate tls/mx.pem;
ssl_certificate_key tls/mx.pem;
ssl_client_certificate tls/ca.pem;
auth_http_pass_client_cert on;
"""
MODES = ("on", "optional", "optional_no_ca")
SERVERS = {
    **{f"smtps_{mode}": f"/xclient listen ssl; protocol smtp; ssl_verify_client {mode};" for mode in MODES},
    **{f"imaps_{mode}": f"/plain listen ssl; protocol imap; ssl_verify_client {mode};" for mode in MODES},
    **{f"pop3s_{mode}": f"/plain listen ssl; protocol pop3; ssl_verify_client {mode};" for mode in MODES},
    "smtp_on": "/xclient protocol smtp; starttls on; ssl_verify_client on;",
    "imap_on": "/plain protocol imap; starttls on; ssl_verify_client on;",
    "pop3_on": "/plain protocol pop3; starttls on; ssl_verify_client on;",
}

ALICE = "alice@example.test"
LOGIN = ("--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", USERS[ALICE])

GREETING = {
    "smtp": "220 mx.example.test ESMTP ready",
    "imap": "* OK IMAP4 ready",
    "pop3": "+OK POP3 ready",
}
REFUSAL = {"smtp": "421 4.7.1 {}", "imap": "* BYE {}", "pop3": "-ERR {}"}
QUIT = {"smtp": b"QUIT\r\n", "imap": b"a LOGOUT\r\n", "pop3": b"QUIT\r\n"}
STARTTLS = {"smtp": b"STARTTLS\r\n", "imap": b"a STARTTLS\r\n", "pop3": b"STLS\r\n"}
BAD, NONE = "SSL certificate error", "No required SSL certificate"


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
@pytest.mark.parametrize(
    ("mode", "shown", "refusal"),
    [
        ("on", "client", None),
        ("on", None, NONE),
        ("on", "unknown", BAD),
        ("on", "expired", BAD),
        ("optional", "client", None),
        ("optional", None, None),
        ("optional", "unknown", BAD),
        ("optional", "expired", BAD),
        ("optional_no_ca", "client", None),
        ("optional_no_ca", None, None),
        ("optional_no_ca", "unknown", None),
        ("optional_no_ca", "expired", BAD),
    ],
)
def test_who_may_go_on(
    proxy: Proxy, certificates: Certificates, protocol: str, mode: str, shown: str | None, refusal: str | None
) -> None:
    """TLS-42 to TLS-45: the verdict is a reply inside TLS, in place of the greeting; then TLS is closed in order."""
    with LineClient(proxy.ports[f"{protocol}s_{mode}"], certificates.context(shown)) as client:
        first = client.until(rb"\n").decode()
        if refusal is None:
            assert first.startswith(GREETING[protocol])
            client.send(QUIT[protocol])
            client.rest()
        else:
            assert first + client.rest().decode() == REFUSAL[protocol].format(refusal) + "\r\n"
        assert not client.cut_off


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
@pytest.mark.parametrize(("shown", "refusal"), [("unknown", BAD), (None, NONE)])
def test_after_starttls_the_verdict_comes_unasked(
    proxy: Proxy, certificates: Certificates, protocol: str, shown: str | None, refusal: str
) -> None:
    """TLS-42, TLS-43, TLS-46."""
    since = proxy.child.mark()
    with LineClient(proxy.ports[f"{protocol}_on"]) as client:
        client.until(rb"\n")
        client.ask(STARTTLS[protocol])
        client.start_tls(certificates.context(shown))
        assert client.rest().decode() == REFUSAL[protocol].format(refusal) + "\r\n"
        assert not client.cut_off
    noted = r"client SSL certificate verify error: \(\d+:.*\)" if shown else "client sent no required SSL certificate"
    proxy.child.wait_for(rf"\[info\] .*{noted} while in starttls state", since)


@deaf_nginx
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shown", ["client", "unknown"])
def test_openssl_reads_the_verdict(proxy: Proxy, certificates: Certificates, mode: str, shown: str) -> None:
    """TLS-42, TLS-44: s_client gets through its handshake, and is told whose certificates are wanted (TLS-8)."""
    key = certificates.file(shown)
    admitted = shown == "client" or mode == "optional_no_ca"
    commands = "a LOGOUT\n" if admitted else ""
    told = s_client(proxy.ports[f"imaps_{mode}"], "-cert", key, "-key", key, commands=commands)
    assert told.returncode == 0, told.stderr
    assert (f"{GREETING['imap']}\n" if admitted else f"* BYE {BAD}\n") in told.stdout
    assert "Acceptable client certificate CA names\nO = trustme" in told.stdout


@pytest.mark.parametrize(("server", "how"), [("smtps_on", "--tls-on-connect"), ("smtp_on", "--tls")])
def test_swaks_with_a_certificate_sends_a_message(
    proxy: Proxy, postfix: Postfix, auth: AuthServer, certificates: Certificates, server: str, how: str
) -> None:
    """TLS-44."""
    key = certificates.file("client")
    sent = swaks(proxy.ports[server], how, "--tls-cert", key, "--tls-key", key, *LOGIN, "--to", "x@elsewhere.example")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert postfix.wait_for_client(sent.stdout).endswith(f"sasl_username={ALICE}")
    assert auth.requests[-1].headers["Auth-SSL-Verify"] == "SUCCESS"


@pytest.mark.parametrize("shown", ["client", "unknown"])
@pytest.mark.usefixtures("dovecot")
def test_the_auth_server_learns_what_openssl_knows(
    proxy: Proxy, auth: AuthServer, certificates: Certificates, shown: str
) -> None:
    """AUTH-27, AUTH-31 to AUTH-33."""
    with Imap(proxy.ports["imaps_optional_no_ca"], certificates.context(shown)) as client:
        client.login(ALICE, USERS[ALICE])
    request = auth.requests[-1]
    file = certificates.file(shown)
    if shown == "client":
        assert request.headers["Auth-SSL-Verify"] == "SUCCESS"
    else:
        # The last thing that OpenSSL finds wrong with a certificate whose issuer it does not know.
        assert request.headers["Auth-SSL-Verify"] == "FAILED:unable to verify the first certificate"
    assert request.headers["Auth-SSL-Subject"] == of_openssl(file, "-subject", "-nameopt", "RFC2253")
    assert request.headers["Auth-SSL-Issuer"] == of_openssl(file, "-issuer", "-nameopt", "RFC2253")
    assert request.headers["Auth-SSL-Serial"] == of_openssl(file, "-serial")
    fingerprint = of_openssl(file, "-fingerprint", "-sha1").replace(":", "").lower()
    assert request.headers["Auth-SSL-Fingerprint"] == fingerprint
    assert request.unescaped("Auth-SSL-Cert").decode() == openssl_x509(file)


@pytest.mark.usefixtures("dovecot")
def test_no_certificate_is_told_as_such(proxy: Proxy, auth: AuthServer, certificates: Certificates) -> None:
    """AUTH-31, AUTH-32."""
    with Imap(proxy.ports["imaps_optional"], certificates.context()) as client:
        client.login(ALICE, USERS[ALICE])
    headers = auth.requests[-1].headers
    told = [name for name in headers if name.startswith("Auth-SSL")]
    assert told == ["Auth-SSL", "Auth-SSL-Protocol", "Auth-SSL-Cipher", "Auth-SSL-Verify"]
    assert headers["Auth-SSL-Verify"] == "NONE"


def openssl_x509(file: str, *arguments: str) -> str:
    command = [find_program("openssl", "openssl"), "x509", "-in", file, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def of_openssl(file: str, *arguments: str) -> str:
    """What `openssl x509` says behind the `=`."""
    return openssl_x509(file, "-noout", *arguments).strip().partition("=")[2]
