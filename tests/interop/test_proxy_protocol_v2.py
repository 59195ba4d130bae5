"""The PROXY header of version 2, as real servers understand it."""

from __future__ import annotations

import socket

from refproxy.wire.proxy_header import V2_LIMIT, Endpoints, format_v2
from refproxy.wire.tls_facts import TlsFacts
from tests.interop.clients import CLIENT_ADDRESS, Imap, Pop3, swaks
from tests.interop.conftest import USERS
from tests.interop.dovecot import Dovecot
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy, not_with_nginx

pytestmark = not_with_nginx("nginx knows no proxy_protocol v2 before 1.31")

COMMON = "proxy_protocol v2; xclient off;"
SERVERS = {
    "smtp": "/haproxy protocol smtp; smtp_auth none;",
    "imap": "/haproxy protocol imap;",
    "pop3": "/haproxy protocol pop3;",
}

ALICE = "alice@example.test"


def test_postfix_understands_it(proxy: Proxy, postfix: Postfix) -> None:
    """PROXY-21."""
    sent = swaks(proxy.ports["smtp"], "--to", ALICE)
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout) == f"unknown[{CLIENT_ADDRESS}]"


def test_dovecot_understands_it(proxy: Proxy, dovecot: Dovecot) -> None:
    """PROXY-21."""
    since = dovecot.child.mark()
    with Imap(proxy.ports["imap"]) as imap:
        imap.login(ALICE, USERS[ALICE])
    dovecot.wait_for_login("imap", ALICE, CLIENT_ADDRESS, since)
    with Pop3(proxy.ports["pop3"]) as pop3:
        pop3.user(ALICE)
        pop3.pass_(USERS[ALICE])
        pop3.quit()
    dovecot.wait_for_login("pop3", ALICE, CLIENT_ADDRESS, since)


def test_postfix_takes_the_longest_header(postfix: Postfix) -> None:
    """PROXY-23, PROXY-99, PROXY-100."""
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", server_name=b"x" * 255, alpn=b"y" * 90)
    ends = Endpoints(CLIENT_ADDRESS, "127.0.0.1", 4444, 25)
    header = format_v2(ends, tls, b"i" * 104)
    assert len(header) == V2_LIMIT
    with socket.create_connection(("127.0.0.1", postfix.ports["haproxy"]), timeout=60) as connection:
        connection.sendall(header)
        assert connection.recv(4) == b"220 "
