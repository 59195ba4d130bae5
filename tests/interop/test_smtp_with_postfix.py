"""swaks and aiosmtplib through the proxy to Postfix: what reaches Postfix, and what comes back."""

from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage

import aiosmtplib
import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.clients import CLIENT_ADDRESS, LineClient, swaks
from tests.interop.conftest import STRANGERS, USERS
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy

SERVERS = {
    "xclient": "/xclient protocol smtp; smtp_auth plain login cram-md5; smtp_capabilities 'SIZE 10240000' 8BITMIME;",
    "retry": "/retry protocol smtp;",
    "none": "/xclient protocol smtp; smtp_auth none;",
    "auth": "/xclient protocol smtp; proxy_smtp_auth on;",
    "auth_telling": "/xclient protocol smtp; proxy_smtp_auth on; proxy_pass_error_message on;",
    "haproxy": "/haproxy protocol smtp; proxy_protocol on; xclient off; smtp_auth none;",
    "haproxy_auth": "/haproxy protocol smtp; proxy_protocol on; xclient off; proxy_smtp_auth on;",
    "strict": "/strict protocol smtp;",
    "strict_telling": "/strict protocol smtp; proxy_pass_error_message on;",
}

ALICE = "alice@example.test"
BOB = "bob+mail=1@example.test"
OUTSIDE = "somebody@elsewhere.example"
"""Only a logged-in client may send there."""

AUTH_FAILED = 28
RECIPIENT_REFUSED = 24
"""Exit statuses of swaks."""


def login(user: str, method: str) -> tuple[str, ...]:
    return ("--auth", method, "--auth-user", user, "--auth-password", USERS[user])


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("user", [ALICE, BOB])
def test_postfix_learns_address_name_and_login_from_xclient(
    proxy: Proxy, postfix: Postfix, auth: AuthServer, user: str, method: str
) -> None:
    """PROXY-33, PROXY-38; Postfix would refuse to relay to the outside without the login."""
    sent = swaks(proxy.ports["xclient"], *login(user, method), "--to", OUTSIDE)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "235 2.0.0 OK" in sent.stdout
    assert (
        postfix.wait_for_client(sent.stdout) == f"unknown[{CLIENT_ADDRESS}], sasl_method=XCLIENT, sasl_username={user}"
    )
    assert auth.requests[-1].headers["Auth-Method"] == ("cram-md5" if method == "CRAM-MD5" else "plain")
    assert auth.requests[-1].headers["Client-IP"] == CLIENT_ADDRESS
    assert auth.requests[-1].unescaped("Auth-User") == user.encode()


def test_postfix_learns_the_hello_name(proxy: Proxy, postfix: Postfix) -> None:
    """PROXY-41: the client's own EHLO follows XCLIENT; Postfix names it when it refuses a recipient."""
    swaks(proxy.ports["xclient"], *login(ALICE, "PLAIN"), "--to", "nobody-by-name@example.test")
    line = postfix.child.wait_for("reject: RCPT.*nobody-by-name@")
    assert f"from unknown[{CLIENT_ADDRESS}]" in line
    assert "proto=ESMTP helo=<client.example.test>" in line


@pytest.mark.usefixtures("postfix")
def test_the_proxy_greets_and_lists_what_is_configured(proxy: Proxy) -> None:
    """SMTP-47, SMTP-48: Postfix' own capabilities stay hidden until the login."""
    with LineClient(proxy.ports["xclient"]) as client:
        assert client.until(rb"\n") == b"220 mx.example.test ESMTP ready\r\n"
        assert client.ask(b"EHLO client.example.test\r\n", rb"(?m)^250 .*\n") == (
            b"250-mx.example.test\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n"
        )


@pytest.mark.usefixtures("postfix")
def test_a_wrong_password_is_refused_with_the_words_of_the_auth_server(proxy: Proxy) -> None:
    """SMTP-84."""
    sent = swaks(
        proxy.ports["xclient"], "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", "wrong", "--to", OUTSIDE
    )
    assert sent.returncode == AUTH_FAILED, sent.stdout
    assert "535 5.7.0 Invalid login or password" in sent.stdout


def test_after_a_refusal_with_a_wait_the_client_may_try_again(proxy: Proxy, postfix: Postfix, auth: AuthServer) -> None:
    """SMTP-85, SMTP-90."""
    with smtplib.SMTP("127.0.0.1", proxy.ports["retry"], source_address=(CLIENT_ADDRESS, 0)) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(ALICE, "wrong")
        assert refused.value.smtp_error == b"5.7.0 Invalid login or password"
        client.login(ALICE, USERS[ALICE])
        client.mail(ALICE)
        client.rcpt(OUTSIDE)
        _, reply = client.data(b"Subject: second attempt\r\n\r\n")
    assert postfix.wait_for_client(reply.decode()).endswith(f"sasl_username={ALICE}")
    assert int(auth.requests[-1].headers["Auth-Login-Attempt"]) > 1


def test_mail_without_login_is_delivered(proxy: Proxy, postfix: Postfix, auth: AuthServer) -> None:
    """SMTP-76, SMTP-78."""
    sent = swaks(proxy.ports["none"], "--to", f"{ALICE},{BOB}", "--header", "Subject: no login")
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout) == f"unknown[{CLIENT_ADDRESS}]"
    for user in (ALICE, BOB):
        postfix.wait_until_delivered(sent.stdout, user)
    headers = auth.requests[-1].headers
    assert headers["Auth-Method"] == "none"
    assert headers["Auth-SMTP-Helo"] == "client.example.test"
    assert headers["Auth-SMTP-From"] == "MAIL FROM:<sender@elsewhere.example>"
    assert headers["Auth-SMTP-To"] == f"RCPT TO:<{ALICE}>"


@pytest.mark.usefixtures("postfix")
def test_without_login_the_reply_to_the_recipient_is_that_of_postfix(proxy: Proxy) -> None:
    """PROXY-48: also a refusal, and although error messages are not passed on."""
    sent = swaks(proxy.ports["none"], "--to", "nobody@example.test")
    assert sent.returncode == RECIPIENT_REFUSED, sent.stdout
    assert "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown" in sent.stdout
    sent = swaks(proxy.ports["none"], "--to", OUTSIDE)
    assert sent.returncode == RECIPIENT_REFUSED, sent.stdout
    assert f"<{OUTSIDE}>: Relay access denied" in sent.stdout


@pytest.mark.usefixtures("postfix")
def test_after_a_refused_recipient_the_session_goes_on_with_postfix(proxy: Proxy) -> None:
    """PROXY-48: the relay starts with any reply."""
    sent = swaks(proxy.ports["none"], "--to", f"nobody@example.test,{ALICE}")
    assert sent.returncode == 0, sent.stdout
    assert "550 5.1.1 <nobody@example.test>" in sent.stdout
    assert "250 2.0.0 Ok: queued as" in sent.stdout


@pytest.mark.parametrize("user", [ALICE, BOB])
def test_the_proxy_logs_in_to_postfix(proxy: Proxy, postfix: Postfix, user: str) -> None:
    """PROXY-42, PROXY-37: a login of Postfix' own, and no LOGIN in XCLIENT."""
    sent = swaks(proxy.ports["auth"], *login(user, "LOGIN"), "--to", OUTSIDE)
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout) == f"unknown[{CLIENT_ADDRESS}], sasl_method=PLAIN, sasl_username={user}"


@pytest.mark.usefixtures("postfix")
@pytest.mark.parametrize(
    ("server", "reply"), [("auth", "451 4.3.2 Internal server error"), ("auth_telling", "535 5.7.8 Error: ")]
)
def test_a_login_that_postfix_refuses(proxy: Proxy, server: str, reply: str) -> None:
    """PROXY-66, PROXY-67."""
    ((user, password),) = STRANGERS.items()
    sent = swaks(
        proxy.ports[server], "--auth", "PLAIN", "--auth-user", user, "--auth-password", password, "--to", OUTSIDE
    )
    assert sent.returncode == AUTH_FAILED, sent.stdout
    assert reply in sent.stdout


@pytest.mark.usefixtures("postfix")
@pytest.mark.parametrize(
    ("server", "reply"),
    [
        ("strict", b"451 4.3.2 Internal server error\r\n"),
        ("strict_telling", b"550 5.7.0 Error: insufficient authorization\r\n"),
    ],
)
def test_xclient_that_postfix_refuses(proxy: Proxy, server: str, reply: bytes) -> None:
    """PROXY-31, PROXY-68: it is sent although Postfix does not offer it; then both connections are closed."""
    with LineClient(proxy.ports[server]) as client:
        client.until(rb"\n")
        client.send(b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n")
        assert client.rest() == reply


@pytest.mark.parametrize(("server", "user"), [("haproxy", None), ("haproxy_auth", ALICE)])
def test_postfix_learns_the_address_from_the_proxy_header(
    proxy: Proxy, postfix: Postfix, server: str, user: str | None
) -> None:
    """PROXY-15, PROXY-16."""
    sent = swaks(proxy.ports[server], *(login(user, "PLAIN") if user else ()), "--to", ALICE)
    assert sent.returncode == 0, sent.stdout
    as_whom = f", sasl_method=PLAIN, sasl_username={user}" if user else ""
    assert postfix.wait_for_client(sent.stdout) == f"unknown[{CLIENT_ADDRESS}]{as_whom}"


def test_aiosmtplib_sends_a_large_message(proxy: Proxy, postfix: Postfix) -> None:
    """PROXY-74: more than fits into any buffer."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ALICE, OUTSIDE, "large"
    message.set_content("0123456789 abcdef\n" * 100_000)

    async def send() -> str:
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1", port=proxy.ports["xclient"], source_address=(CLIENT_ADDRESS, 0), start_tls=False
        ) as client:
            await client.login(BOB, USERS[BOB])
            _, reply = await client.send_message(message)
            return reply

    reply = asyncio.run(send())
    assert postfix.wait_for_client(reply).endswith(f"sasl_username={BOB}")
    assert postfix.wait_for_size(reply) > 1_900_000
