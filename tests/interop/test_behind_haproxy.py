"""HAProxy in front of the proxy: the client's true address goes all the way to the backends' logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.certificates import Certificates
from tests.interop.clients import CLIENT_ADDRESS, PROXY_ADDRESS, Imap, LineClient, Pop3, swaks
from tests.interop.conftest import USERS
from tests.interop.dovecot import Dovecot
from tests.interop.haproxy import Haproxy, Passage, start_haproxy
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy

COMMON = """
ssl_certificate tls/mx.pem;
ssl_certificate_key tls/mx.pem;
"""
TRUSTING = "set_real_ip_from 127.0.0.1;"
SERVERS = {
    "smtp": f"/xclient listen proxy_protocol; protocol smtp; {TRUSTING}",
    "smtp_starttls": f"/xclient listen proxy_protocol; protocol smtp; {TRUSTING} starttls only;",
    "smtps": f"/xclient listen ssl proxy_protocol; protocol smtp; {TRUSTING}",
    "smtp_distrusting": "/xclient listen proxy_protocol; protocol smtp; set_real_ip_from 127.0.0.9;",
    "imap": f"/haproxy listen proxy_protocol; protocol imap; {TRUSTING} proxy_protocol on;",
    "imaps": f"/haproxy listen ssl proxy_protocol; protocol imap; {TRUSTING} proxy_protocol on;",
    "imap_distrusting": "/haproxy listen proxy_protocol; protocol imap; proxy_protocol on;",
    "pop3": f"/haproxy listen proxy_protocol; protocol pop3; {TRUSTING} proxy_protocol on;",
    "pop3s": f"/haproxy listen ssl proxy_protocol; protocol pop3; {TRUSTING} proxy_protocol on;",
}

ENDS_TLS = "ssl crt tls/mx.pem ca-file tls/ca.pem verify optional"
BEGINS_TLS = "ssl verify required ca-file tls/ca.pem verifyhost mx.example.test"

ALICE = "alice@example.test"
OUTSIDE = "somebody@elsewhere.example"
LOGIN = ("--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", USERS[ALICE])


@pytest.fixture(scope="module")
def haproxy(proxy: Proxy, proxy_directories: Callable[[], Path]) -> Iterator[Haproxy]:
    """Passages to every server block: `NAME_v1`, `NAME_v2`, and as their names say."""
    passages = {}
    for name, port in proxy.ports.items():
        passages[f"{name}_v1"] = Passage(port, server="send-proxy")
        passages[f"{name}_v2"] = Passage(port, server="send-proxy-v2")
    for protocol in ("smtp", "imap", "pop3"):
        plain, tls = proxy.ports[protocol], proxy.ports[f"{protocol}s"]
        # HAProxy tells of the client's certificate and of TLS, which ends there.
        passages[f"{protocol}_told_of_tls"] = Passage(plain, ENDS_TLS, "send-proxy-v2-ssl-cn")
        passages[f"{protocol}_tls_anew"] = Passage(tls, ENDS_TLS, f"send-proxy-v2-ssl-cn {BEGINS_TLS}")
        passages[f"{protocol}_tls_begins"] = Passage(tls, server=f"send-proxy {BEGINS_TLS}")
    running = start_haproxy(proxy_directories(), passages)
    yield running
    running.child.stop()


def check_told(auth: AuthServer, port: int, client: str, *, tls: bool) -> None:
    """The auth server knows both addresses of the header, the client's, and of TLS with the proxy only."""
    headers = auth.requests[-1].headers
    assert headers["Client-IP"] == client
    assert headers["Proxy-Protocol-Addr"] == CLIENT_ADDRESS
    assert headers["Proxy-Protocol-Server-Addr"] == PROXY_ADDRESS
    assert headers["Proxy-Protocol-Server-Port"] == str(port)
    assert ("Auth-SSL" in headers) == tls


@pytest.mark.parametrize(
    ("passage", "how", "tls"),
    [
        ("smtp_v1", (), False),
        ("smtp_v2", (), False),
        ("smtp_starttls_v1", ("--tls",), True),
        ("smtps_v2", ("--tls-on-connect",), True),
        ("smtp_told_of_tls", ("--tls-on-connect",), False),
        ("smtp_tls_anew", ("--tls-on-connect",), True),
        ("smtp_tls_begins", (), True),
    ],
)
def test_postfix_learns_the_true_address(
    haproxy: Haproxy,
    postfix: Postfix,
    auth: AuthServer,
    certificates: Certificates,
    passage: str,
    how: tuple[str, ...],
    tls: bool,
) -> None:
    """CORE-60, CORE-67, CORE-68, TLS-28, AUTH-23: from HAProxy's header into XCLIENT."""
    key = certificates.file("client")
    trust = ("--tls-verify", "--tls-ca-path", certificates.pki.ca, "--tls-cert", key, "--tls-key", key)
    port = haproxy.ports[passage]
    sent = swaks(port, *how, *(trust if how else ()), *LOGIN, "--to", OUTSIDE)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    told = f"unknown[{CLIENT_ADDRESS}], sasl_method=XCLIENT, sasl_username={ALICE}"
    assert postfix.wait_for_client(sent.stdout) == told
    check_told(auth, port, CLIENT_ADDRESS, tls=tls)


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize(
    ("passage", "client_tls", "tls"),
    [
        ("{}_v1", False, False),
        ("{}_v2", False, False),
        ("{}s_v1", True, True),
        ("{}s_v2", True, True),
        ("{}_told_of_tls", True, False),
        ("{}_tls_anew", True, True),
        ("{}_tls_begins", False, True),
    ],
)
def test_dovecot_learns_the_true_address(
    haproxy: Haproxy,
    dovecot: Dovecot,
    auth: AuthServer,
    certificates: Certificates,
    protocol: str,
    passage: str,
    client_tls: bool,
    tls: bool,
) -> None:
    """CORE-60, CORE-67, CORE-68, TLS-28, AUTH-23: from HAProxy's header into our own."""
    since = dovecot.child.mark()
    port = haproxy.ports[passage.format(protocol)]
    context = certificates.context("client") if client_tls else None
    if protocol == "imap":
        with Imap(port, context) as imap:
            imap.login(ALICE, USERS[ALICE])
    else:
        with Pop3(port, context) as pop3:
            pop3.user(ALICE)
            pop3.pass_(USERS[ALICE])
            pop3.quit()
    dovecot.wait_for_login(protocol, ALICE, CLIENT_ADDRESS, since)
    check_told(auth, port, CLIENT_ADDRESS, tls=tls)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_address_is_not_believed_of_everybody(
    haproxy: Haproxy, postfix: Postfix, dovecot: Dovecot, auth: AuthServer, version: str
) -> None:
    """CORE-67, CORE-68: the header is needed and told of, but the client is HAProxy."""
    port = haproxy.ports[f"smtp_distrusting_{version}"]
    sent = swaks(port, *LOGIN, "--to", OUTSIDE)
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout).startswith(f"unknown[{PROXY_ADDRESS}], ")
    check_told(auth, port, PROXY_ADDRESS, tls=False)

    since, port = dovecot.child.mark(), haproxy.ports[f"imap_distrusting_{version}"]
    with Imap(port) as imap:
        imap.login(ALICE, USERS[ALICE])
    dovecot.wait_for_login("imap", ALICE, PROXY_ADDRESS, since)
    check_told(auth, port, PROXY_ADDRESS, tls=False)


def test_who_comes_without_haproxy_is_not_served(proxy: Proxy) -> None:
    """CORE-60, CORE-64: neither with a mail command nor with TLS in place of the header."""
    since = proxy.child.mark()
    for server in ("smtp", "smtps"):
        with LineClient(proxy.ports[server]) as client:
            client.send(b"EHLO client.example.test\r\n")
            # The octets stay unread, so the connection is reset.
            with pytest.raises(ConnectionResetError):
                client.rest()
    proxy.child.wait_for(r"\[error\] .*broken header: \"EHLO client\.example\.test", since)
