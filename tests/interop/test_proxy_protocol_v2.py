"""The PROXY header of version 2, as real servers understand it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refproxy.wire.proxy_header import V2_LIMIT, Endpoints, format_v2
from refproxy.wire.tls_facts import TlsFacts
from tests.interop.auth_server import AuthServer, Route
from tests.interop.certificates import MX, Certificates
from tests.interop.clients import CLIENT_ADDRESS, Imap, Pop3, swaks
from tests.interop.conftest import USERS
from tests.interop.dovecot import Dovecot
from tests.interop.haproxy import Haproxy, Passage, start_haproxy
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy, not_with_nginx

pytestmark = not_with_nginx("nginx knows no proxy_protocol v2 before 1.31")

COMMON = """
proxy_protocol v2 tlv;
xclient off;
ssl_certificate tls/mx.pem;
ssl_certificate_key tls/mx.pem;
ssl_client_certificate tls/ca.pem;
ssl_verify_client optional;
"""
SERVERS = {
    "smtp": "/haproxy protocol smtp; smtp_auth none; starttls on; proxy_protocol v2;",
    "smtp_tlv": "/haproxy protocol smtp; smtp_auth none; starttls on;",
    "imap": "/haproxy protocol imap; starttls on; proxy_protocol v2;",
    "imap_tlv": "/haproxy protocol imap; starttls on;",
    "imap_logged": "/logged protocol imap; starttls on;",
    "pop3": "/haproxy protocol pop3; starttls on; proxy_protocol v2;",
    "pop3_tlv": "/haproxy protocol pop3; starttls on;",
}

ALICE = "alice@example.test"


every_layout = pytest.mark.parametrize("layout", ["", "_tlv"])
every_client = pytest.mark.parametrize("in_tls", [False, True])


@every_layout
@every_client
def test_postfix_understands_it(
    proxy: Proxy, postfix: Postfix, certificates: Certificates, layout: str, in_tls: bool
) -> None:
    """PROXY-21, PROXY-23, PROXY-99: also what it tells of the client's TLS session."""
    key = certificates.file("client")
    how = ("--tls", "--tls-sni", MX, "--tls-cert", key, "--tls-key", key) if in_tls else ()
    sent = swaks(proxy.ports[f"smtp{layout}"], *how, "--to", ALICE)
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout) == f"unknown[{CLIENT_ADDRESS}]"


@every_layout
@every_client
def test_dovecot_understands_it(
    proxy: Proxy, dovecot: Dovecot, certificates: Certificates, layout: str, in_tls: bool
) -> None:
    """PROXY-21, PROXY-23, PROXY-99: also what it tells of the client's TLS session."""
    since = dovecot.child.mark()
    with Imap(proxy.ports[f"imap{layout}"]) as imap:
        if in_tls:
            imap.starttls(certificates.context("client", alpn=("imap",)))
        imap.login(ALICE, USERS[ALICE])
    # Dovecot trusts a connection like TLS of its own when it is told that the client speaks TLS.
    assert (", secured" in dovecot.wait_for_login("imap", ALICE, CLIENT_ADDRESS, since)) == in_tls
    with Pop3(proxy.ports[f"pop3{layout}"]) as pop3:
        if in_tls:
            pop3.stls(certificates.context("client", alpn=("pop3",)))
        pop3.user(ALICE)
        pop3.pass_(USERS[ALICE])
        pop3.quit()
    assert (", secured" in dovecot.wait_for_login("pop3", ALICE, CLIENT_ADDRESS, since)) == in_tls


@pytest.fixture(scope="module")
def haproxy(
    proxy: Proxy, proxy_directories: Callable[[], Path], dovecot: Dovecot, auth: AuthServer
) -> Iterator[Haproxy]:
    """HAProxy as a backend: it logs what the header says, and goes on to Dovecot; route `/logged` of IMAP."""
    told = "source=%[src] authority=%[fc_pp_authority] unique_id=%[fc_pp_unique_id]"
    passage = Passage(dovecot.ports["imap"], "accept-proxy", more=f'log-format "{told}"')
    running = start_haproxy(proxy_directories(), {"imap": passage})
    auth.routes["/logged imap"] = Route(running.ports["imap"])
    yield running
    running.child.stop()


def test_haproxy_reads_what_it_tells(proxy: Proxy, haproxy: Haproxy, certificates: Certificates) -> None:
    """PROXY-23, PROXY-99: the name is the client's, the id that of its connection alone."""
    ids = []
    for in_tls in (True, True, False):
        since = haproxy.child.mark()
        with Imap(proxy.ports["imap_logged"]) as imap:
            if in_tls:
                imap.starttls(certificates.context("client"))
            imap.login(ALICE, USERS[ALICE])
        told = haproxy.child.wait_for(rf"source={CLIENT_ADDRESS} authority={MX if in_tls else '-'} ", since)
        ids.append(told.partition("unique_id=")[2])
    assert all(ids)
    assert "-" not in ids
    assert len(set(ids)) == len(ids)


def test_postfix_takes_the_longest_header(postfix: Postfix) -> None:
    """PROXY-23, PROXY-99, PROXY-100."""
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", server_name=b"x" * 255, alpn=b"y" * 90)
    ends = Endpoints(CLIENT_ADDRESS, "127.0.0.1", 4444, 25)
    header = format_v2(ends, tls, b"i" * 104)
    assert len(header) == V2_LIMIT
    with socket.create_connection(("127.0.0.1", postfix.ports["haproxy"]), timeout=60) as connection:
        connection.sendall(header)
        assert connection.recv(4) == b"220 "
