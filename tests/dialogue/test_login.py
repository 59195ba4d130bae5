"""The walk through a backend's login (proxy rules, sections 4 to 8)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.dialogue.login import Login, LoginWalk
from refproxy.dialogue.logins import SmtpLogin, imap_login, pop3_login
from refproxy.errors import BackendFailure, FailureKind
from refproxy.wire.auth_http import Envelope
from refproxy.wire.secret import Secret

POP3 = pop3_login(b"u", Secret(b"secret"))
IMAP = imap_login(b"a01", b"u", Secret(b"secret"))
SMTP = SmtpLogin(b"mx", b"c", True, b"XCLIENT ADDR=192.0.2.7 NAME=x\r\n", None, False, b"235 2.0.0 OK\r\n").build(
    b"u", None
)
RCPT = SmtpLogin(b"mx", b"", False, None, Envelope(b"", b"MAIL a", b"RCPT b"), False, b"").build(b"", None)


def walk(login: Login, octets: list[bytes], limit: int = 4096) -> tuple[list[bytes], bytes | None]:
    """Feed pieces; return the lines sent and what the client gets. Raises BackendFailure."""
    core, sent = LoginWalk(login, limit), []
    for piece in octets:
        if (send := core.receive(piece)) is not None:
            sent.append(send.line)
            assert "secret" not in send.shown
    return sent, core.final


@pytest.mark.parametrize(
    ("login", "replies", "lines", "final"),
    [
        (POP3, [b"+OK\r\n", b"+OKAY\r\n", b"+OK 3\r\nmore"], [b"USER u\r\n", b"PASS secret\r\n"], b"+OK 3\r\nmore"),
        (
            IMAP,
            [b"* OK\r\n* X\r\n", b"+\r\n", b"* a\r\n* b\r\n+ go\r\n", b"* C\r\na01 OK x\r\n* D\r\n"],
            [b"a01 LOGIN {1}\r\n", b"u {6}\r\n", b"secret\r\n"],
            b"* C\r\na01 OK x\r\n* D\r\n",
        ),
        (
            SMTP,
            [b"220-a\r\n220 b\r\n", b"250-x\r\n250-y\r\n250 z\r\n", b"220 again\r\n", b"250 ok\r\nbehind"],
            [b"EHLO mx\r\n", b"XCLIENT ADDR=192.0.2.7 NAME=x\r\n", b"EHLO c\r\n"],
            b"235 2.0.0 OK\r\nbehind",
        ),
        (
            RCPT,
            [b"220 a\r\n", b"250 b\r\n", b"250 c\r\n", b"550-no\r\n550 no\r\n"],
            [b"HELO mx\r\n", b"MAIL a\r\n", b"RCPT b\r\n"],
            b"550-no\r\n550 no\r\n",
        ),
    ],
)
def test_a_login_goes_through(login: Login, replies: list[bytes], lines: list[bytes], final: bytes) -> None:
    """PROXY-24, PROXY-25, PROXY-28, PROXY-48 to PROXY-65."""
    assert walk(login, replies) == (lines, final)


@pytest.mark.parametrize(
    ("login", "reply", "passed"),
    [
        (SMTP, b"421 busy\r\n", b"421 busy\r\n"),
        (SMTP, b"550-a\r\n550 b\r\n", b"550-a\r\n550 b\r\n"),
        (SMTP, b"250 hello\r\n", b""),
        (SMTP, b"junk\r\n", b""),
        (SMTP, b"220-a\r\n421 b\r\n", b""),
        (POP3, b"-ERR [SYS/TEMP] x\r\n", b"-ERR [SYS/TEMP] x\r\n"),
        (POP3, b"+ok\r\n", b""),
        (IMAP, b"* BYE x\r\n", b"* BYE x\r\n"),
        (IMAP, b"* PREAUTH x\r\n", b""),
    ],
)
def test_only_negative_replies_can_be_passed_on(login: Login, reply: bytes, passed: bytes) -> None:
    """PROXY-66 to PROXY-69."""
    with pytest.raises(BackendFailure) as failed:
        walk(login, [reply])
    assert failed.value.kind is FailureKind.UNEXPECTED
    assert failed.value.reply == passed


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (b"* OK foo\r\na01 NO bad\r\n", b"* OK foo\r\na01 NO bad\r\n"),
        (b"a01 BAD x\r\n", b"a01 BAD x\r\n"),
        (b"a02 OK x\r\n", b""),
        (b"* BYE gone\r\n", b"* BYE gone\r\n"),
    ],
)
def test_an_imap_login_refused(answer: bytes, passed: bytes) -> None:
    """PROXY-64, PROXY-67, IMAP-96."""
    with pytest.raises(BackendFailure) as failed:
        walk(IMAP, [b"* OK\r\n", b"+ \r\n", b"+ \r\n", answer])
    assert failed.value.reply == passed


def test_a_malformed_rcpt_reply_is_not_the_clients() -> None:
    """PROXY-48 (ours)."""
    with pytest.raises(BackendFailure) as failed:
        walk(RCPT, [b"220 a\r\n", b"250 b\r\n", b"250 c\r\n", b"junk\r\n"])
    assert failed.value.reply == b""


@pytest.mark.parametrize("login", [POP3, SMTP, IMAP])
def test_a_reply_may_fill_the_buffer_exactly(login: Login) -> None:
    """PROXY-26."""
    greeting = {id(POP3): b"+OK ", id(SMTP): b"220 ", id(IMAP): b"* OK "}[id(login)]
    walk(login, [greeting + b"x" * (62 - len(greeting)) + b"\r\n"], limit=64)
    for piece in (greeting + b"x" * (63 - len(greeting)) + b"\r", b"\n" * 64, b"x" * 64):
        with pytest.raises(BackendFailure) as failed:
            walk(login, [piece], limit=64)
        assert failed.value.kind is FailureKind.TOO_LONG


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_cuts_change_nothing(data: st.DataObject) -> None:
    """PROXY-25: a reply may arrive in any pieces."""
    replies = [b"220-a\r\n220 b\r\n", b"250-x\r\n250 z\r\n", b"220 again\r\n", b"250 ok\r\n"]
    pieces = []
    for reply in replies:
        cut = data.draw(st.integers(1, len(reply) - 1))
        pieces += [reply[:cut], reply[cut:]]
    assert walk(SMTP, pieces) == walk(SMTP, replies)


@settings(derandomize=True, deadline=None)
@given(st.sampled_from([SMTP, POP3, IMAP, RCPT]), st.lists(st.binary(min_size=1, max_size=30), max_size=8))
def test_any_octets_fail_in_an_orderly_way(login: Login, pieces: list[bytes]) -> None:
    """A backend may send anything: the walk waits, goes on, or raises BackendFailure."""
    with suppress(BackendFailure):
        walk(login, pieces, limit=100)
