"""poplib through the proxy to Dovecot."""

from __future__ import annotations

import base64
import hmac
import poplib
import re
from collections.abc import Iterator

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.clients import CLIENT_ADDRESS, PROXY_ADDRESS, LineClient, Pop3
from tests.interop.conftest import STRANGERS, USERS
from tests.interop.dovecot import Dovecot
from tests.interop.proxies import Proxy

SERVERS = {
    "plain": "/plain protocol pop3; pop3_auth plain apop cram-md5;",
    "retry": "/retry protocol pop3;",
    "telling": "/plain protocol pop3; proxy_pass_error_message on;",
    "haproxy": "/haproxy protocol pop3; proxy_protocol on;",
}

ALICE, BOB = USERS
MESSAGE = b"From: a@example.test\r\nSubject: waiting\r\n\r\nfirst line\r\n.second line\r\nthird line\r\n"


@pytest.fixture
def waiting_message(dovecot: Dovecot) -> Iterator[None]:
    """One message in an otherwise empty mailbox of Alice."""
    mailbox = dovecot.homes / ALICE / "Maildir" / "new"
    for directory in (mailbox, mailbox.with_name("cur"), mailbox.with_name("tmp")):
        directory.mkdir(parents=True, exist_ok=True)
        for message in directory.iterdir():
            message.unlink()
    for directory in (*mailbox.parents[:2], *mailbox.parent.iterdir()):
        directory.chmod(0o777)
    file = mailbox / "1700000000.M1P1.test"
    file.write_bytes(MESSAGE.replace(b"\r\n", b"\n"))
    file.chmod(0o666)
    yield
    file.unlink(missing_ok=True)


@pytest.mark.parametrize("user", [ALICE, BOB])
def test_user_and_password_reach_dovecot(proxy: Proxy, dovecot: Dovecot, auth: AuthServer, user: str) -> None:
    """PROXY-56, PROXY-57: the answer to PASS is Dovecot's."""
    since = dovecot.child.mark()
    with Pop3(proxy.ports["plain"]) as client:
        assert client.user(user) == b"+OK"
        assert client.pass_(USERS[user]) == b"+OK Logged in."
        client.stat()
        client.quit()
    dovecot.wait_for_login("pop3", user, PROXY_ADDRESS, since)
    assert auth.requests[-1].headers["Client-IP"] == CLIENT_ADDRESS
    assert auth.requests[-1].unescaped("Auth-Pass") == USERS[user].encode()


@pytest.mark.parametrize("user", [ALICE, BOB])
def test_apop_reaches_dovecot_as_user_and_password(proxy: Proxy, dovecot: Dovecot, auth: AuthServer, user: str) -> None:
    """POP3-37, POP3-38: Dovecot itself offers no APOP here."""
    since = dovecot.child.mark()
    with Pop3(proxy.ports["plain"]) as client:
        assert client.apop(user, USERS[user]) == b"+OK Logged in."
        client.quit()
    dovecot.wait_for_login("pop3", user, PROXY_ADDRESS, since)
    assert auth.requests[-1].headers["Auth-Method"] == "apop"


@pytest.mark.usefixtures("dovecot")
@pytest.mark.parametrize("user", [ALICE, BOB])
def test_cram_md5(proxy: Proxy, auth: AuthServer, user: str) -> None:
    """SASL-35 to SASL-38."""
    with LineClient(proxy.ports["plain"]) as client:
        client.until(rb"\n")
        challenge = base64.b64decode(client.ask(b"AUTH CRAM-MD5\r\n").removeprefix(b"+ "))
        digest = hmac.new(USERS[user].encode(), challenge, "md5").hexdigest()
        answer = client.ask(base64.b64encode(f"{user} {digest}".encode()) + b"\r\n")
        assert answer == b"+OK Logged in.\r\n"
    assert auth.requests[-1].headers["Auth-Salt"] == challenge.decode("ascii")


@pytest.mark.usefixtures("dovecot")
def test_auth_plain(proxy: Proxy) -> None:
    """POP3-47."""
    token = base64.b64encode(f"\0{BOB}\0{USERS[BOB]}".encode())
    with LineClient(proxy.ports["plain"]) as client:
        client.until(rb"\n")
        assert client.ask(b"AUTH PLAIN\r\n") == b"+ \r\n"
        assert client.ask(token + b"\r\n") == b"+OK Logged in.\r\n"


@pytest.mark.usefixtures("waiting_message")
def test_messages_are_read(proxy: Proxy) -> None:
    with Pop3(proxy.ports["plain"]) as client:
        client.user(ALICE)
        client.pass_(USERS[ALICE])
        assert client.stat()[0] == 1
        lines = MESSAGE.splitlines()
        _, top, _ = client.top(1, 1)
        assert top == lines[:4]
        _, whole, _ = client.retr(1)
        assert whole == lines
        client.dele(1)
        client.quit()


@pytest.mark.usefixtures("dovecot")
def test_the_greeting_and_the_capabilities_are_the_proxys(proxy: Proxy) -> None:
    """POP3-2, POP3-26."""
    with Pop3(proxy.ports["plain"]) as client:
        assert re.fullmatch(rb"\+OK POP3 ready <\d+\.\d+@mx\.example\.test>", client.getwelcome())
        assert client.capa() == {"TOP": [], "USER": [], "UIDL": [], "SASL": ["PLAIN", "LOGIN", "CRAM-MD5"]}


def test_dovecot_learns_the_address_from_the_proxy_header(proxy: Proxy, dovecot: Dovecot) -> None:
    """PROXY-15, PROXY-16."""
    since = dovecot.child.mark()
    with Pop3(proxy.ports["haproxy"]) as client:
        client.user(ALICE)
        client.pass_(USERS[ALICE])
        client.quit()
    dovecot.wait_for_login("pop3", ALICE, CLIENT_ADDRESS, since)


@pytest.mark.usefixtures("dovecot")
def test_a_wrong_password_is_refused_with_the_words_of_the_auth_server(proxy: Proxy) -> None:
    """POP3-50: without Auth-Wait the connection is closed."""
    with LineClient(proxy.ports["plain"]) as client:
        client.until(rb"\n")
        assert client.ask(f"USER {ALICE}\r\n".encode()) == b"+OK\r\n"
        client.send(b"PASS wrong\r\n")
        assert client.rest() == b"-ERR Invalid login or password\r\n"


@pytest.mark.usefixtures("dovecot")
def test_after_a_refusal_with_a_wait_the_client_may_try_again(proxy: Proxy, auth: AuthServer) -> None:
    """POP3-50."""
    with Pop3(proxy.ports["retry"]) as client:
        client.user(ALICE)
        with pytest.raises(poplib.error_proto, match="-ERR Invalid login or password"):
            client.pass_("wrong")
        client.user(ALICE)
        client.pass_(USERS[ALICE])
        client.quit()
    assert auth.requests[-1].headers["Auth-Login-Attempt"] == "2"


@pytest.mark.usefixtures("dovecot")
@pytest.mark.parametrize(
    ("server", "reply"), [("plain", rb"-ERR internal server error\r\n"), ("telling", rb"-ERR \[AUTH\] [^\r\n]+\r\n")]
)
def test_a_login_that_dovecot_refuses(proxy: Proxy, server: str, reply: bytes) -> None:
    """POP3-57."""
    ((user, password),) = STRANGERS.items()
    with LineClient(proxy.ports[server]) as client:
        client.until(rb"\n")
        client.ask(f"USER {user}\r\n".encode())
        client.send(f"PASS {password}\r\n".encode())
        assert re.fullmatch(reply, client.rest())
