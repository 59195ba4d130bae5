"""TLS towards Dovecot and Postfix, by the configuration or by the auth server's word; and backends without trust."""

from __future__ import annotations

import re

import pytest

from tests.interop.clients import CLIENT_ADDRESS, PROXY_ADDRESS, Imap, LineClient, Pop3, swaks
from tests.interop.conftest import USERS
from tests.interop.dovecot import SECURED_ADDRESS, Dovecot
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy, not_with_nginx

pytestmark = not_with_nginx("nginx connects to backends in clear only")

COMMON = """
proxy_ssl_verify on;
proxy_ssl_trusted_certificate tls/ca.pem;
proxy_ssl_name backend.example.test;
"""
NOT_TO_BE_TRUSTED = {
    "wrong_name": "proxy_ssl_name elsewhere.example;",
    "unknown_ca": "proxy_ssl_trusted_certificate tls/unknown_ca.pem;",
}
SERVERS = {
    **{
        name: f"{block} protocol {protocol};"
        for protocol in ("imap", "pop3")
        for name, block in {
            f"{protocol}_on": "/tls proxy_ssl on;",
            f"{protocol}_by_address": "/tls proxy_ssl on; proxy_ssl_name 127.0.0.1;",
            f"{protocol}_starttls": "/starttls proxy_ssl starttls;",
            f"{protocol}_clear": "/starttls proxy_ssl off;",
            f"{protocol}_haproxy": "/tls_haproxy proxy_ssl on; proxy_protocol on;",
            f"{protocol}_haproxy_v2": "/tls_haproxy proxy_ssl on; proxy_protocol v2 tlv;",
            f"{protocol}_haproxy_starttls": "/haproxy proxy_ssl starttls; proxy_protocol on;",
            f"{protocol}_chosen": "/chosen",
            **{f"{protocol}_on_{name}": f"/tls proxy_ssl on; {wrong}" for name, wrong in NOT_TO_BE_TRUSTED.items()},
            **{
                f"{protocol}_starttls_{name}": f"/starttls proxy_ssl starttls; {wrong}"
                for name, wrong in NOT_TO_BE_TRUSTED.items()
            },
        }.items()
    },
    "smtp_on": "/tls protocol smtp; proxy_ssl on;",
    "smtp_on_auth": "/tls protocol smtp; proxy_ssl on; proxy_smtp_auth on;",
    "smtp_on_none": "/tls protocol smtp; proxy_ssl on; smtp_auth none;",
    "smtp_starttls": "/starttls protocol smtp; proxy_ssl starttls;",
    "smtp_starttls_auth": "/starttls protocol smtp; proxy_ssl starttls; proxy_smtp_auth on;",
    "smtp_starttls_plainly": "/starttls protocol smtp; proxy_ssl starttls; proxy_smtp_auth on; xclient off;",
    "smtp_starttls_none": "/starttls protocol smtp; proxy_ssl starttls; smtp_auth none;",
    "smtp_clear": "/starttls protocol smtp; proxy_ssl off;",
    "smtp_haproxy": "/tls_haproxy protocol smtp; proxy_ssl on; proxy_protocol on; xclient off; smtp_auth none;",
    "smtp_no_starttls": "/strict protocol smtp; proxy_ssl starttls; xclient off; smtp_auth none;",
    "smtp_chosen": "/chosen protocol smtp;",
    **{f"smtp_on_{name}": f"/tls protocol smtp; proxy_ssl on; {wrong}" for name, wrong in NOT_TO_BE_TRUSTED.items()},
    **{
        f"smtp_starttls_{name}": f"/starttls protocol smtp; proxy_ssl starttls; {wrong}"
        for name, wrong in NOT_TO_BE_TRUSTED.items()
    },
}

ALICE, BOB = USERS
OUTSIDE = "somebody@elsewhere.example"
AUTH_FAILED, RECIPIENT_REFUSED = 28, 24
"""Exit statuses of swaks."""

INTERNAL_ERROR = {"imap": b"* BAD internal server error\r\n", "pop3": b"-ERR internal server error\r\n"}


def log_in(proxy: Proxy, protocol: str, server: str, user: str = ALICE) -> None:
    """Log in with a real client, and use what is behind the login."""
    if protocol == "imap":
        with Imap(proxy.ports[server]) as imap:
            imap.login(user, USERS[user])
            assert imap.select("INBOX")[0] == "OK"
    else:
        with Pop3(proxy.ports[server]) as pop3:
            pop3.user(user)
            assert pop3.pass_(USERS[user]) == b"+OK Logged in."
            pop3.stat()
            pop3.quit()


def login_octets(protocol: str) -> tuple[bytes, ...]:
    if protocol == "imap":
        return (f"a LOGIN {ALICE} {USERS[ALICE]}\r\n".encode(),)
    return f"USER {ALICE}\r\n".encode(), f"PASS {USERS[ALICE]}\r\n".encode()


def credentials(user: str) -> tuple[str, ...]:
    return ("--auth", "PLAIN", "--auth-user", user, "--auth-password", USERS[user])


# Dovecot.


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize(
    ("server", "address", "local"),
    [
        ("on", PROXY_ADDRESS, "127.0.0.1"),
        ("by_address", PROXY_ADDRESS, "127.0.0.1"),
        ("starttls", PROXY_ADDRESS, SECURED_ADDRESS),
        ("haproxy", CLIENT_ADDRESS, "127.0.0.1"),
        ("haproxy_v2", CLIENT_ADDRESS, "127.0.0.1"),
        ("haproxy_starttls", CLIENT_ADDRESS, "127.0.0.1"),
    ],
)
def test_dovecot_is_reached_in_tls(
    proxy: Proxy, dovecot: Dovecot, protocol: str, server: str, address: str, local: str
) -> None:
    """TLS-60, TLS-62, TLS-64: the PROXY header goes in front, in clear."""
    since = dovecot.child.mark()
    log_in(proxy, protocol, f"{protocol}_{server}")
    assert ", TLS" in dovecot.wait_for_login(protocol, ALICE, address, since, local=local)


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("mode", ["on", "starttls"])
@pytest.mark.parametrize("wrong", NOT_TO_BE_TRUSTED)
def test_another_dovecot_learns_nothing(proxy: Proxy, dovecot: Dovecot, protocol: str, mode: str, wrong: str) -> None:
    """TLS-62, TLS-65."""
    since, here = dovecot.child.mark(), proxy.child.mark()
    with LineClient(proxy.ports[f"{protocol}_{mode}_{wrong}"]) as client:
        client.until(rb"\n")
        *before, last = login_octets(protocol)
        for line in before:
            client.ask(line)
        client.send(last)
        assert client.rest() == INTERNAL_ERROR[protocol]
    reason = {
        "wrong_name": 'upstream SSL certificate does not match "elsewhere.example"',
        "unknown_ca": "upstream SSL certificate verify error: (",
    }[wrong]
    failed = proxy.child.wait_for(re.escape(reason), here)
    assert "[error]" in failed
    assert f' while SSL handshaking to upstream, client: "{CLIENT_ADDRESS}:' in failed
    # No login on this connection; and not "TLS handshaking", for the handshake itself was done.
    dovecot.child.wait_for(rf"{protocol}-login: Info: Disconnected.*no auth attempts.*user=<>.*, TLS[:,] ", since)


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_dovecot_takes_no_login_in_clear(proxy: Proxy, dovecot: Dovecot, protocol: str) -> None:
    """The tests with STARTTLS prove something only if Dovecot insists on it."""
    with LineClient(proxy.ports[f"{protocol}_clear"]) as client:
        client.until(rb"\n")
        *before, last = login_octets(protocol)
        for line in before:
            client.ask(line)
        client.send(last)
        assert client.rest() == INTERNAL_ERROR[protocol]


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_the_auth_server_chooses_tls_for_each_user(proxy: Proxy, dovecot: Dovecot, protocol: str) -> None:
    """AUTH-101."""
    since = dovecot.child.mark()
    log_in(proxy, protocol, f"{protocol}_chosen", ALICE)
    assert ", TLS" in dovecot.wait_for_login(protocol, ALICE, PROXY_ADDRESS, since)
    log_in(proxy, protocol, f"{protocol}_chosen", BOB)
    assert ", TLS" not in dovecot.wait_for_login(protocol, BOB, PROXY_ADDRESS, since)


# Postfix.


@pytest.mark.parametrize(
    ("server", "user", "told"),
    [
        ("on", ALICE, f"[{CLIENT_ADDRESS}], sasl_method=XCLIENT, sasl_username={ALICE}"),
        ("on", BOB, f"[{CLIENT_ADDRESS}], sasl_method=XCLIENT, sasl_username={BOB}"),
        ("on_auth", ALICE, f"[{CLIENT_ADDRESS}], sasl_method=PLAIN, sasl_username={ALICE}"),
        ("on_none", None, f"[{CLIENT_ADDRESS}]"),
        ("starttls", ALICE, f"[{CLIENT_ADDRESS}], sasl_method=XCLIENT, sasl_username={ALICE}"),
        ("starttls_auth", BOB, f"[{CLIENT_ADDRESS}], sasl_method=PLAIN, sasl_username={BOB}"),
        ("starttls_plainly", ALICE, f"[{PROXY_ADDRESS}], sasl_method=PLAIN, sasl_username={ALICE}"),
        ("starttls_none", None, f"[{CLIENT_ADDRESS}]"),
        ("haproxy", None, f"[{CLIENT_ADDRESS}]"),
    ],
)
def test_postfix_is_reached_in_tls(proxy: Proxy, postfix: Postfix, server: str, user: str | None, told: str) -> None:
    """TLS-60, TLS-62, TLS-64: XCLIENT and AUTH inside TLS, the PROXY header in front of it."""
    since = postfix.child.mark()
    arguments = (*credentials(user), "--to", OUTSIDE) if user else ("--to", ALICE)
    sent = swaks(proxy.ports[f"smtp_{server}"], *arguments)
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout) == f"unknown{told}"
    postfix.child.wait_for(r"TLS connection established from unknown\[.*TLSv1\.3 with cipher", since)


@pytest.mark.parametrize("mode", ["on", "starttls"])
@pytest.mark.parametrize("wrong", NOT_TO_BE_TRUSTED)
def test_another_postfix_learns_nothing(proxy: Proxy, postfix: Postfix, mode: str, wrong: str) -> None:
    """TLS-62, TLS-65."""
    since = postfix.child.mark()
    sent = swaks(proxy.ports[f"smtp_{mode}_{wrong}"], *credentials(ALICE), "--to", OUTSIDE)
    assert sent.returncode == AUTH_FAILED, sent.stdout
    assert "451 4.3.2 Internal server error" in sent.stdout
    # Postfix lists the commands that it saw.
    seen = {"on": r" tls/smtpd.* commands=0/0", "starttls": r" starttls/smtpd.*\] ehlo=1 starttls=1 commands=2"}[mode]
    postfix.child.wait_for(seen, since)


def test_postfix_takes_nothing_in_clear(proxy: Proxy, postfix: Postfix) -> None:
    """The tests with STARTTLS prove something only if Postfix insists on it."""
    sent = swaks(proxy.ports["smtp_clear"], *credentials(ALICE), "--to", OUTSIDE)
    assert sent.returncode != 0
    assert "530 5.7.0 Must issue a STARTTLS command first" in sent.stdout


def test_without_starttls_there_is_no_way_back_to_clear_text(proxy: Proxy, postfix: Postfix) -> None:
    """TLS-60, TLS-64."""
    since, here = postfix.child.mark(), proxy.child.mark()
    sent = swaks(proxy.ports["smtp_no_starttls"], "--to", ALICE)
    assert sent.returncode == RECIPIENT_REFUSED, sent.stdout
    assert "451 4.3.2 Internal server error" in sent.stdout
    proxy.child.wait_for(r"\[error\] .*upstream sent invalid response: \"502 5\.5\.1 ", here)
    postfix.child.wait_for(r" strict/smtpd.*\] ehlo=1 starttls=0/1 commands=1/2", since)


def test_the_auth_server_chooses_tls_to_postfix_for_each_user(proxy: Proxy, postfix: Postfix) -> None:
    """AUTH-101."""
    since = postfix.child.mark()
    for user, service in ((ALICE, "starttls"), (BOB, "xclient")):
        sent = swaks(proxy.ports["smtp_chosen"], *credentials(user), "--to", OUTSIDE)
        assert sent.returncode == 0, sent.stdout
        postfix.child.wait_for(rf" {service}/smtpd.*: client=unknown.* sasl_username={re.escape(user)}", since)
