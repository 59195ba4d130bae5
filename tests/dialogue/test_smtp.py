"""The SMTP dialogue (smtp rules)."""

from __future__ import annotations

from typing import Any

import pytest

from refproxy.config.settings import Mechanism, StartTlsMode
from refproxy.dialogue.turn import Close, End, Pause
from tests.dialogue.talk import SMTP, Talk

OK, INVALID = b"250 2.0.0 OK\r\n", b"500 5.5.1 Invalid command\r\n"
ARGUMENT, SEQUENCE = b"501 5.5.4 Invalid argument\r\n", b"503 5.5.1 Bad sequence of commands\r\n"
NONE = frozenset({Mechanism.NONE})
ALL = frozenset(Mechanism) - {Mechanism.APOP}


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"HELO a\r\n", b"250 mx.example\r\n"),
        (b"helo  a  \n", b"250 mx.example\r\n"),
        (b"HELO\r\n", ARGUMENT),
        (b"HELO a b\r\n", ARGUMENT),
        (b"EHLO a\r\n", b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n"),
        (b"EHLO \0\r\n", ARGUMENT),
        (b"MAIL FROM:<a@b>\r\n", b"530 5.7.1 Authentication required\r\n"),
        (b"MAIL\r\n", b"530 5.7.1 Authentication required\r\n"),
        (b"RCPT TO:<a@b>\r\n", SEQUENCE),
        (b"RSET x y\r\n", OK),
        (b"NOOP anything\r\n", OK),
        (b"VRFY a\r\n", INVALID),
        (b"EXPN a\r\n", INVALID),
        (b"HELP\r\n", INVALID),
        (b"STARTTLS\r\n", INVALID),
        (b"DATA\r\n", INVALID),
        (b"XCLIENT ADDR=1.2.3.4\r\n", INVALID),
        (b"\r\n", INVALID),
        (b" NOOP\r\n", INVALID),
        (b"NOOP\tx\r\n", INVALID),
        (b"NO\rOP\r\n", INVALID),
        (b"NOOP" + b" x" * 11 + b"\r\n", OK),
        (b"NOOP" + b" x" * 12 + b"\r\n", INVALID),
        (b"AUTH\r\n", ARGUMENT),
        (b"AUTH FOO\r\n", INVALID),
        (b"AUTH CRAM-MD5\r\n", INVALID),
        (b"AUTH PLAIN a b\r\n", INVALID),
        (b"AUTH PLAIN\r\n", b"334 \r\n"),
        (b"auth login\r\n", b"334 VXNlcm5hbWU6\r\n"),
        (b"AUTH LOGIN dQ==\r\n", b"334 UGFzc3dvcmQ6\r\n"),
        (b"AUTH PLAIN =\r\n", INVALID),
    ],
)
def test_a_line_and_its_reply(line: bytes, reply: bytes) -> None:
    """SMTP-16 to SMTP-21, SMTP-33 to SMTP-43, SMTP-52 to SMTP-56: whole, and octet by octet."""
    whole, pieces = Talk(SMTP), Talk(SMTP)
    assert whole.say(line) == reply
    assert b"".join(pieces.say(line[at : at + 1]) for at in range(len(line))) == reply
    assert not whole.closed


def test_quit_closes_and_drops_what_follows() -> None:
    """SMTP-40."""
    talk = Talk(SMTP)
    assert talk.say(b"QUIT now\r\nNOOP\r\n") == b"221 2.0.0 Bye\r\n"
    assert talk.closed


@pytest.mark.parametrize(
    ("changes", "reply"),
    [
        (
            {"smtp__capabilities": (b"SIZE 10240000", b"8BITMIME")},
            b"250-mx.example\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
        ),
        ({"smtp__auth": NONE}, b"250 mx.example\r\n"),
        ({"smtp__auth": NONE, "smtp__capabilities": (b"VRFY",)}, b"250-mx.example\r\n250 VRFY\r\n"),
        (
            {"smtp__auth": ALL},
            b"250-mx.example\r\n250 AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL XOAUTH2 OAUTHBEARER\r\n",
        ),
        ({"starttls": StartTlsMode.ON}, b"250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n"),
        ({"starttls": StartTlsMode.ONLY}, b"250-mx.example\r\n250 STARTTLS\r\n"),
    ],
)
def test_the_ehlo_reply(changes: dict[str, Any], reply: bytes) -> None:
    """SMTP-47 to SMTP-50."""
    assert Talk(SMTP, **changes).say(b"EHLO a\r\n") == reply


def test_starttls_forgets_the_name_and_pipelined_lines() -> None:
    """SMTP-97 to SMTP-101, SMTP-45."""
    talk = Talk(SMTP, starttls=StartTlsMode.ON, smtp__auth=NONE)
    assert talk.say(b"EHLO a\r\nMAIL FROM:<x>\r\nSTARTTLS\r\nNOOP\r\n").endswith(OK + b"220 2.0.0 Start TLS\r\n")
    talk.start_tls()
    assert talk.turn.reply == b""
    assert talk.say(b"RCPT TO:<y>\r\n") == SEQUENCE
    assert talk.say(b"STARTTLS\r\n") == INVALID
    assert talk.say(b"EHLO a\r\n") == b"250 mx.example\r\n"


def test_starttls_only_forbids_auth_and_mail_in_clear() -> None:
    """SMTP-52, SMTP-102 (ours)."""
    talk = Talk(SMTP, starttls=StartTlsMode.ONLY, smtp__auth=NONE)
    assert talk.say(b"AUTH PLAIN AAA=\r\n") == INVALID
    assert talk.say(b"MAIL FROM:<x>\r\n") == b"530 5.7.0 Must issue a STARTTLS command first\r\n"
    assert talk.say(b"RCPT TO:<x>\r\n") == b"530 5.7.0 Must issue a STARTTLS command first\r\n"
    assert talk.say(b"NOOP\r\n") == OK


def test_none_mode_keeps_the_mail_line_after_a_refusal() -> None:
    """SMTP-79, SMTP-80, SMTP-90."""
    talk = Talk(SMTP, smtp__auth=NONE)
    assert talk.say(b"mail  from:<a@b>  SIZE=1  \r\nRCPT TO:<c@d>\r\n") == OK
    assert talk.attempt is not None
    assert talk.attempt.envelope is not None
    assert talk.attempt.envelope.mail == b"mail  from:<a@b>  SIZE=1"
    assert talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\nAuth-Error-Code: 450 4.7.1\r\n") == b"450 4.7.1 no\r\n"
    assert talk.say(b"MAIL FROM:<x>\r\n") == SEQUENCE
    assert talk.say(b"RCPT TO:<e@f>\r\n") == b""
    assert talk.attempt is not None
    assert talk.attempt.number == 2
    talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n")
    assert talk.say(b"RSET\r\nRCPT TO:<e@f>\r\n") == OK + SEQUENCE


X, XN = b"XCLIENT ADDR=192.0.2.7 LOGIN=u NAME=[UNAVAILABLE]\r\n", b"XCLIENT ADDR=192.0.2.7 NAME=[UNAVAILABLE]\r\n"
AUTH = b"AUTH PLAIN AHUAcA==\r\n"
MAIL, RCPT = b"MAIL FROM:<a>\r\n", b"RCPT TO:<b>\r\n"
EHLO_S, HELO_S, EHLO_C, HELO_C = b"EHLO mx.example\r\n", b"HELO mx.example\r\n", b"EHLO c\r\n", b"HELO c\r\n"


@pytest.mark.parametrize(
    ("xclient", "smtp_auth", "said", "none", "lines"),
    [
        (True, False, b"", False, [EHLO_S, X]),
        (True, False, HELO_C, False, [EHLO_S, X, HELO_C]),
        (True, False, EHLO_C, False, [EHLO_S, X, EHLO_C]),
        (True, True, b"", False, [EHLO_S, XN, AUTH]),
        (True, True, HELO_C, False, [EHLO_S, XN, HELO_C, AUTH]),
        (True, True, EHLO_C, False, [EHLO_S, XN, EHLO_C, AUTH]),
        (True, False, b"", True, [EHLO_S, XN, MAIL, RCPT]),
        (True, True, HELO_C, True, [EHLO_S, XN, HELO_C, MAIL, RCPT]),
        (True, False, EHLO_C, True, [EHLO_S, XN, EHLO_C, MAIL, RCPT]),
        (False, False, b"", False, [HELO_S]),
        (False, False, HELO_C, False, [HELO_S]),
        (False, False, EHLO_C, False, [EHLO_S]),
        (False, True, HELO_C, False, [HELO_S, AUTH]),
        (False, True, EHLO_C, False, [EHLO_S, AUTH]),
        (False, False, HELO_C, True, [HELO_S, MAIL, RCPT]),
        (False, True, EHLO_C, True, [EHLO_S, MAIL, RCPT]),
        (True, False, b"EHLO a\r\n" + HELO_C, False, [EHLO_S, X, EHLO_C]),
    ],
)
def test_the_lines_to_the_backend(xclient: bool, smtp_auth: bool, said: bytes, none: bool, lines: list[bytes]) -> None:
    """PROXY-28 to PROXY-32, PROXY-37, PROXY-44."""
    auth = frozenset({Mechanism.PLAIN, Mechanism.NONE})
    talk = Talk(SMTP, proxy__xclient=xclient, proxy__smtp_auth=smtp_auth, smtp__auth=auth)
    talk.say(said + (MAIL + RCPT if none else AUTH))
    assert talk.backend_lines() == lines


def test_the_auth_server_may_replace_user_and_password() -> None:
    """PROXY-7, PROXY-37, PROXY-38, PROXY-42."""
    talk = Talk(SMTP, smtp__auth=NONE)
    talk.say(MAIL + RCPT)
    lines = talk.backend_lines(b"Auth-User: a+b=c d\r\nAuth-Server: ::1\r\nAuth-Port: 25\r\n")
    assert lines[1] == b"XCLIENT ADDR=192.0.2.7 LOGIN=a+2Bb+3Dc+20d NAME=[UNAVAILABLE]\r\n"
    talk = Talk(SMTP, proxy__smtp_auth=True)
    talk.say(AUTH)
    assert talk.backend_lines(b"Auth-Pass: \r\nAuth-Server: ::1\r\nAuth-Port: 25\r\n")[2] == b"AUTH PLAIN AHUA\r\n"


def test_auth_without_a_reusable_password_has_no_line() -> None:
    """PROXY-45: EHLO and XCLIENT go out, then the login fails."""
    talk = Talk(SMTP, proxy__smtp_auth=True, smtp__auth=ALL)
    talk.say(b"AUTH EXTERNAL dQ==\r\n")
    assert talk.backend_lines()[-1] is None


def test_a_line_may_fill_the_buffer_exactly() -> None:
    """SMTP-25, SMTP-26."""
    talk = Talk(SMTP, smtp__client_buffer=512)
    assert talk.say(b"NOOP " + b"x" * 505 + b"\r\n") == OK
    assert talk.say(b"NOOP " + b"x" * 507) == INVALID
    assert talk.closed


def test_the_greeting_may_wait_for_early_talkers() -> None:
    """SMTP-12, SMTP-13: silence is greeted, talk is refused."""
    talk = Talk(SMTP, smtp__greeting_delay=5.0)
    assert (talk.greeting, talk.turn.then) == (b"", Pause(5.0, listen=True))
    assert talk.core.resumed(early=False).reply == b"220 mx.example ESMTP ready\r\n"
    talk = Talk(SMTP, smtp__greeting_delay=5.0)
    turn = talk.core.resumed(early=True)
    assert turn.reply == b"503 5.5.0 Improper use of SMTP command pipelining\r\n"
    assert turn.then == Close(End.CLIENT_TALKED_EARLY)


def test_auth_drops_a_remembered_mail_line() -> None:
    """SMTP-75, SMTP-81: the login goes through, without envelope."""
    talk = Talk(SMTP, smtp__auth=NONE)
    assert talk.say(b"HELO c\r\n" + MAIL + AUTH) == b"250 mx.example\r\n" + OK
    assert talk.attempt is not None
    assert talk.attempt.envelope is None
    assert talk.credentials == (b"plain", b"u", b"p")
    assert talk.backend_lines() == [EHLO_S, X, HELO_C]


def test_the_esmtp_mark_outlives_starttls() -> None:
    """SMTP-45, SMTP-99: the name does not."""
    talk = Talk(SMTP, starttls=StartTlsMode.ON, proxy__xclient=False)
    talk.say(b"EHLO c\r\nSTARTTLS\r\n")
    talk.start_tls()
    talk.say(AUTH)
    assert talk.backend_lines() == [EHLO_S]


@pytest.mark.parametrize("command", [b"HELO %s", b"EHLO %s", b"MAIL FROM:<%s>", b"RCPT TO:<%s>"])
@pytest.mark.parametrize("octet", [b"\0", b"\t", b"\x1f", b"\x7f"])
def test_control_octets_are_not_replayed(command: bytes, octet: bytes) -> None:
    """SMTP-123: no state changes; 8-bit octets are fine."""
    talk = Talk(SMTP, smtp__auth=NONE)
    if command.startswith(b"RCPT"):
        talk.say(b"MAIL FROM:<a>\r\n")
    assert talk.say(command % octet + b"\r\n") == ARGUMENT
    assert not talk.closed
    reply = talk.say(command % b"\xc3\xa9" + b"\r\n")
    assert reply.startswith(b"250") or talk.attempt is not None


def test_an_empty_password_is_a_password() -> None:
    """PROXY-45."""
    talk = Talk(SMTP, proxy__smtp_auth=True)
    talk.say(b"AUTH PLAIN AAA=\r\n")
    assert talk.backend_lines()[-1] == b"AUTH PLAIN AAA=\r\n"
