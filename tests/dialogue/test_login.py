"""The walk through a backend's login (proxy rules, sections 4 to 8)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refproxy.dialogue.login import Encrypt, Login, LoginWalk, Send
from refproxy.dialogue.logins import SmtpLogin, imap_login, pop3_login
from refproxy.errors import BackendFailure, FailureKind
from refproxy.wire.auth_http import Envelope
from refproxy.wire.secret import Secret

POP3 = pop3_login(b"u", Secret(b"secret"))
IMAP = imap_login(b"a01", b"u", Secret(b"secret"))
SMTP = SmtpLogin(b"mx", b"c", True, b"XCLIENT ADDR=192.0.2.7 NAME=x\r\n", None, False, b"235 2.0.0 OK\r\n").build(
    b"u", None
)
AUTH = SmtpLogin(b"mx", b"", False, None, None, True, b"235 2.0.0 OK\r\n").build(b"u", Secret(b"secret"))
RCPT = SmtpLogin(b"mx", b"", False, None, Envelope(b"", b"MAIL a", b"RCPT b"), False, b"").build(b"", None)

HANDSHAKE = b"(handshake)"
STLS = pop3_login(b"u", Secret(b"secret"), starttls=True)
IMAP_STARTTLS = imap_login(b"a01", b"u", Secret(b"secret"), starttls=True)
SMTP_STARTTLS = SmtpLogin(b"mx", b"c", False, None, None, True, b"235 2.0.0 OK\r\n", starttls=True).build(
    b"u", Secret(b"secret")
)


def walk(login: Login, octets: list[bytes], limit: int = 4096) -> tuple[list[bytes | None], bytes | None]:
    """Feed pieces; return the lines sent and what the client gets. Raises BackendFailure."""
    core = LoginWalk(login, limit)
    sent: list[bytes | None] = []
    for piece in octets:
        if (send := take(core, piece, sent)) is not None:
            sent.append(send.line)
            assert "secret" not in send.shown
    return sent, core.final


def take(core: LoginWalk, piece: bytes, sent: list[bytes | None]) -> Send | None:
    """Feed a piece, and let a handshake succeed if it comes to one."""
    step = core.receive(piece)
    if isinstance(step, Encrypt):
        sent.append(HANDSHAKE)
        return core.encrypted()
    return step


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
        (
            STLS,
            [b"+OK\r\n", b"+OK begin\r\n", b"+OK\r\n", b"+OK 3\r\n"],
            [b"STLS\r\n", HANDSHAKE, b"USER u\r\n", b"PASS secret\r\n"],
            b"+OK 3\r\n",
        ),
        (
            IMAP_STARTTLS,
            [b"* OK\r\n", b"* x\r\na01 OK begin\r\n", b"+\r\n", b"+\r\n", b"a01 OK x\r\n"],
            [b"a01 STARTTLS\r\n", HANDSHAKE, b"a01 LOGIN {1}\r\n", b"u {6}\r\n", b"secret\r\n"],
            b"a01 OK x\r\n",
        ),
        (
            SMTP_STARTTLS,
            [b"220 a\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n", b"250 x\r\n", b"235 in\r\n"],
            [b"EHLO mx\r\n", b"STARTTLS\r\n", HANDSHAKE, b"HELO mx\r\n", b"AUTH PLAIN AHUAc2VjcmV0\r\n"],
            b"235 2.0.0 OK\r\n",
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


@pytest.mark.parametrize("steps", range(1, 4))
@pytest.mark.parametrize(
    ("login", "good", "bad"),
    [
        (POP3, [b"+OK\r\n"] * 2, b"-ERR x\r\n"),
        (IMAP, [b"* OK\r\n", b"+\r\n"], b"a01 NO x\r\n"),
        (SMTP, [b"220 a\r\n", b"250 b\r\n"], b"550 x\r\n"),
        (AUTH, [b"220 a\r\n", b"250 b\r\n"], b"535 x\r\n"),
    ],
)
def test_every_step_can_fail(login: Login, good: list[bytes], bad: bytes, steps: int) -> None:
    """PROXY-27, PROXY-67, PROXY-68: refused, too long, or closed."""
    before = good[: steps - 1]
    with pytest.raises(BackendFailure) as refused:
        walk(login, [*before, bad])
    assert (refused.value.kind, refused.value.reply) == (FailureKind.UNEXPECTED, bad)
    with pytest.raises(BackendFailure) as too_long:
        walk(login, [*before, b"* " + b"x" * 62], limit=64)
    assert (too_long.value.kind, too_long.value.reply) == (FailureKind.TOO_LONG, b"")
    core = LoginWalk(login, 64)
    for reply in before:
        core.receive(reply)
    assert core.action == login.exchanges[len(before)].step.action
    assert (core.closed().kind, core.closed().reply) == (FailureKind.CLOSED, b"")


@pytest.mark.parametrize("reply", [b"235-a\r\n535 b\r\n", b"334 \r\n", b"250 ok\r\n", b"23 x\r\n"])
def test_only_235_ends_auth(reply: bytes) -> None:
    """PROXY-24, PROXY-46: one code in all lines; nothing of these may be passed on."""
    with pytest.raises(BackendFailure) as failed:
        walk(AUTH, [b"220 a\r\n", b"250 b\r\n", reply])
    assert (failed.value.kind, failed.value.reply) == (FailureKind.UNEXPECTED, b"")


def test_auth_may_be_accepted_in_several_lines() -> None:
    """PROXY-25, PROXY-49."""
    lines, final = walk(AUTH, [b"220 a\r\n", b"250 b\r\n", b"235-a\r\n235 b\r\n"])
    assert lines == [b"HELO mx\r\n", b"AUTH PLAIN AHUAc2VjcmV0\r\n"]
    assert final == b"235 2.0.0 OK\r\n"


def test_a_missing_password_ends_the_login_at_its_line() -> None:
    """PROXY-45, PROXY-69."""
    login = SmtpLogin(b"mx", b"", False, None, None, True, b"").build(b"u", None)
    with pytest.raises(BackendFailure) as failed:
        walk(login, [b"220 a\r\n", b"250 b\r\n"])
    assert (failed.value.kind, failed.value.reply) == (FailureKind.UNUSABLE_CREDENTIALS, b"")


def test_what_comes_too_early_is_no_answer() -> None:
    """PROXY-25: it is dropped before the next line is sent."""
    core = LoginWalk(POP3, 64)
    assert core.receive(b"+OK\r\n+OK\r\n+OK\r\n") is not None
    assert (core.final, core.room) == (None, 64)
    assert core.receive(b"+OK\r\n") is not None
    assert core.receive(b"+O") is None
    assert (core.final, core.room) == (None, 62)
    core.receive(b"K\r\n")
    assert core.final == b"+OK\r\n"


ANSWERS = st.sampled_from(
    [b"220 a\r\n", b"220-a\r\n220 b\r\n", b"250 a\r\n", b"250-a\r\n250 b\r\n", b"235 a\r\n", b"550-a\r\n550 b\r\n",
     b"235-a\r\n535 b\r\n", b"junk\r\n", b"+OK\r\n", b"+OK 2\r\n", b"-ERR\r\n", b"* OK\r\n", b"+\r\n", b"+ go\r\n",
     b"* a\r\n* b\r\n+ go\r\n", b"* a\r\na01 OK b\r\n", b"a01 NO b\r\n", b"* BYE\r\n", b"220" + b"x" * 40 + b"\r\n"]
)  # fmt: skip


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from([SMTP, POP3, IMAP, RCPT, AUTH]),
    st.lists(ANSWERS, min_size=1, max_size=5),
    st.lists(st.integers(1, 7), min_size=1, max_size=6),
)
@example(POP3, [b"+OK\r\n"] * 3, [1])
@example(AUTH, [b"220 a\r\n", b"250-a\r\n250 b\r\n", b"235 a\r\n"], [1])
@example(RCPT, [b"220 a\r\n", b"250 a\r\n", b"250 a\r\n", b"550-a\r\n550 b\r\n"], [1])
@example(IMAP, [b"* OK\r\n", b"+\r\n", b"* a\r\n* b\r\n+ go\r\n", b"* a\r\na01 OK b\r\n"], [1])
@example(SMTP, [b"220 a\r\n", b"250 a\r\n", b"220 a\r\n", b"250-a\r\n250 b\r\n"], [2])
def test_every_login_ends_the_same_however_it_is_cut(login: Login, replies: list[bytes], sizes: list[int]) -> None:
    """PROXY-24, PROXY-25: each reply answers one line, and may come in any pieces that have room (PROXY-26)."""

    def run(cut: bool) -> object:
        core = LoginWalk(login, 40)
        sent: list[bytes | None] = []
        try:
            for reply in replies:
                at = piece = 0
                while at < len(reply) and core.final is None:
                    size = min(core.room, sizes[piece % len(sizes)] if cut else len(reply))
                    send = take(core, reply[at : at + size], sent)
                    at, piece = at + size, piece + 1
                    if send is not None:
                        sent.append(send.line)
                        break  # the backend speaks when it is asked
        except BackendFailure as failure:
            return sent, failure.kind, failure.reply
        return sent, core.final

    assert run(cut=True) == run(cut=False)


@pytest.mark.parametrize(
    ("login", "replies"),
    [
        (STLS, [b"+OK\r\n", b"+OK begin\r\n+OK\r\n"]),
        (IMAP_STARTTLS, [b"* OK\r\n", b"a01 OK begin\r\n+ go\r\n"]),
        (SMTP_STARTTLS, [b"220 a\r\n", b"250 x\r\n", b"220 go\r\n250 injected\r\n"]),
    ],
)
def test_what_a_backend_says_in_clear_behind_starttls_ends_the_login(login: Login, replies: list[bytes]) -> None:
    """TLS-64: it would be taken for an answer given in TLS."""
    with pytest.raises(BackendFailure) as failed:
        walk(login, replies)
    assert failed.value.kind is FailureKind.UNEXPECTED
    assert failed.value.reply == b""


@pytest.mark.parametrize(
    ("login", "replies"),
    [
        (STLS, [b"+OK\r\n", b"-ERR no TLS here\r\n"]),
        (IMAP_STARTTLS, [b"* OK\r\n", b"a01 BAD no TLS here\r\n"]),
        (SMTP_STARTTLS, [b"220 a\r\n", b"250 x\r\n", b"502 no TLS here\r\n"]),
    ],
)
def test_a_backend_without_starttls_never_sees_the_credentials(login: Login, replies: list[bytes]) -> None:
    """TLS-64: no way back to clear text."""
    with pytest.raises(BackendFailure) as failed:
        walk(login, replies)
    assert failed.value.reply == replies[-1]
