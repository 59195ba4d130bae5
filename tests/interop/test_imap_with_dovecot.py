"""imaplib through the proxy to Dovecot."""

from __future__ import annotations

import hashlib
import imaplib
import re

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.clients import CLIENT_ADDRESS, PROXY_ADDRESS, Imap, LineClient
from tests.interop.conftest import STRANGERS, USERS
from tests.interop.dovecot import Dovecot
from tests.interop.proxies import Proxy

SERVERS = {
    "plain": "/plain protocol imap; imap_auth plain login cram-md5; imap_capabilities IMAP4rev1 LITERAL+;",
    "retry": "/retry protocol imap;",
    "telling": "/plain protocol imap; proxy_pass_error_message on;",
    "haproxy": "/haproxy protocol imap; proxy_protocol on;",
}

ALICE, BOB = USERS


def plain(user: str, password: str) -> bytes:
    return f"\0{user}\0{password}".encode()


def log_in(client: Imap, user: str, method: str) -> None:
    match method:
        case "LOGIN":
            client.login(user, USERS[user])
        case "AUTHENTICATE PLAIN":
            client.authenticate("PLAIN", lambda _: plain(user, USERS[user]))
        case "AUTHENTICATE CRAM-MD5":
            client.login_cram_md5(user, USERS[user])
        case _:
            raise AssertionError(method)


@pytest.mark.parametrize("method", ["LOGIN", "AUTHENTICATE PLAIN", "AUTHENTICATE CRAM-MD5"])
@pytest.mark.parametrize("user", [ALICE, BOB])
def test_a_login_reaches_dovecot(proxy: Proxy, dovecot: Dovecot, auth: AuthServer, user: str, method: str) -> None:
    """PROXY-59 to PROXY-63: user and password arrive unchanged, whichever way the client logged in."""
    since = dovecot.child.mark()
    with Imap(proxy.ports["plain"]) as client:
        assert client.capabilities == ("IMAP4REV1", "LITERAL+", "AUTH=PLAIN", "AUTH=LOGIN", "AUTH=CRAM-MD5")
        log_in(client, user, method)
        status, _ = client.select("INBOX")
        assert status == "OK"
    dovecot.wait_for_login("imap", user, PROXY_ADDRESS, since)
    assert auth.requests[-1].headers["Auth-Protocol"] == "imap"
    assert auth.requests[-1].headers["Client-IP"] == CLIENT_ADDRESS
    assert auth.requests[-1].unescaped("Auth-User") == user.encode()


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_message_goes_in_and_comes_out(proxy: Proxy, dovecot: Dovecot, size: int) -> None:
    """PROXY-72 to PROXY-78: literals of any size in both directions."""
    text = b"0123456789abcde\n".replace(b"\n", b"\r\n") * (size // 17)
    message = b"From: a@example.test\r\nSubject: appended\r\n\r\n" + text
    with Imap(proxy.ports["plain"]) as client:
        client.login(ALICE, USERS[ALICE])
        status, _ = client.append("INBOX", "(\\Flagged)", "", message)
        assert status == "OK"
        client.select("INBOX")
        _, found = client.search(None, "FLAGGED")
        last = found[0].split()[-1].decode()
        _, fetched = client.fetch(last, "(BODY.PEEK[])")
        assert isinstance(fetched[0], tuple)
        assert hashlib.sha256(fetched[0][1]).digest() == hashlib.sha256(message).digest()
        client.store(last, "+FLAGS", "(\\Deleted)")
        client.expunge()


def test_pipelined_commands_reach_dovecot(proxy: Proxy, dovecot: Dovecot) -> None:
    """IMAP-97: what follows the login in the same segment is the backend's."""
    with LineClient(proxy.ports["plain"]) as client:
        client.until(rb"\n")
        client.send(f"a LOGIN {ALICE} {USERS[ALICE]}\r\nb NOOP\r\nc LOGOUT\r\n".encode())
        answer = client.rest()
    tagged = [line.split(b" ", 2)[:2] for line in answer.splitlines() if not line.startswith(b"*")]
    assert tagged == [[b"a", b"OK"], [b"b", b"OK"], [b"c", b"OK"]]


def test_dovecot_learns_the_address_from_the_proxy_header(proxy: Proxy, dovecot: Dovecot) -> None:
    """PROXY-15, PROXY-16."""
    since = dovecot.child.mark()
    with Imap(proxy.ports["haproxy"]) as client:
        client.login(ALICE, USERS[ALICE])
    dovecot.wait_for_login("imap", ALICE, CLIENT_ADDRESS, since)


@pytest.mark.usefixtures("dovecot")
def test_a_wrong_password_is_refused_with_the_words_of_the_auth_server(proxy: Proxy) -> None:
    """IMAP-85: without Auth-Wait the connection is closed."""
    with LineClient(proxy.ports["plain"]) as client:
        client.until(rb"\n")
        client.send(f"a LOGIN {ALICE} wrong\r\n".encode())
        assert client.rest() == b"a NO Invalid login or password\r\n"


@pytest.mark.usefixtures("dovecot")
def test_after_a_refusal_with_a_wait_the_client_may_try_again(proxy: Proxy, auth: AuthServer) -> None:
    """IMAP-85, SASL-20."""
    with Imap(proxy.ports["retry"]) as client:
        with pytest.raises(imaplib.IMAP4.error, match="Invalid login or password"):
            client.login(ALICE, "wrong")
        client.login(ALICE, USERS[ALICE])
    assert auth.requests[-1].headers["Auth-Login-Attempt"] == "2"


@pytest.mark.usefixtures("dovecot")
@pytest.mark.parametrize(
    ("server", "reply"),
    [("plain", rb"\* BAD internal server error\r\n"), ("telling", rb"a NO \[AUTHENTICATIONFAILED\] [^\r\n]+\r\n")],
)
def test_a_login_that_dovecot_refuses(proxy: Proxy, server: str, reply: bytes) -> None:
    """IMAP-96."""
    ((user, password),) = STRANGERS.items()
    with LineClient(proxy.ports[server]) as client:
        client.until(rb"\n")
        client.send(f"a LOGIN {user} {password}\r\n".encode())
        assert re.fullmatch(reply, client.rest())
