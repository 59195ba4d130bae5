"""Tests of the ladder."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refproxy.config.settings import AuthHttp, MailProtocol, ServerSettings, TcpAddress, Where
from refproxy.errors import Side
from refproxy.observe.events import (
    Event,
    LineReceived,
    LineSent,
    Noted,
    OctetsRelayed,
    SessionCrashed,
    SessionEnded,
    SessionInfo,
    SessionStarted,
    WentWrong,
)
from refproxy.observe.ladder import EVENTS_KEPT, OCTETS_KEPT, SESSIONS_KEPT, Ladder, render


def session(number: int = 7, protocol: MailProtocol = MailProtocol.SMTP) -> SessionInfo:
    auth_http = AuthHttp((TcpAddress("127.0.0.1", 9000),), b"127.0.0.1", b"/auth")
    settings = ServerSettings(Where("mail.conf", 1), protocol, (), b"mx.example", auth_http)
    return SessionInfo(number, settings, "127.0.0.1:40000", "127.0.0.1:25", 0.0)


INFO = session()


def from_client(*chunks: bytes, protocol: MailProtocol = MailProtocol.SMTP) -> list[Event]:
    return [OctetsRelayed(session(protocol=protocol), Side.CLIENT, chunk) for chunk in chunks]


def from_backend(*chunks: bytes) -> list[Event]:
    return [OctetsRelayed(INFO, Side.BACKEND, chunk) for chunk in chunks]


def test_a_session_is_drawn_from_top_to_bottom() -> None:
    INFO.octets_from = {Side.CLIENT: 6, Side.BACKEND: 9}
    drawn = render(
        [
            SessionStarted(INFO),
            LineSent(INFO, Side.CLIENT, "220 mx.example"),
            LineReceived(INFO, Side.CLIENT, "AUTH PLAIN ***"),
            LineSent(INFO, Side.AUTH, "GET /auth HTTP/1.0\nAuth-Pass: ***"),
            LineReceived(INFO, Side.AUTH, "Auth-Status: OK"),
            LineReceived(INFO, Side.BACKEND, "220-one\n220 two"),
            LineSent(INFO, Side.BACKEND, "EHLO mx.example"),
            Noted(INFO, "client logged in"),
            *from_client(b"QUIT\r\n"),
            *from_backend(b"221 bye\r\n"),
            SessionEnded(INFO, "proxied session done", 0.25),
        ],
        width=90,
    )
    assert (
        drawn
        == """\
session 7: smtp, client 127.0.0.1:40000 at 127.0.0.1:25
client                             proxy                        auth server        backend
|                                    |                               |                   |
|<-- 220 mx.example -----------------|                               |                   |
|-- AUTH PLAIN *** ----------------->|                               |                   |
|                                    |-- GET /auth HTTP/1.0 -------->|                   |
|                                    |-- Auth-Pass: *** ------------>|                   |
|                                    |<-- Auth-Status: OK -----------|                   |
|                                    |<-- 220-one ---------------------------------------|
|                                    |<-- 220 two ---------------------------------------|
|                                    |-- EHLO mx.example ------------------------------->|
|                                    * client logged in              |                   |
|== QUIT ===============================================================================>|
|<== 221 bye ============================================================================|
|   * ended: proxied session done; relayed 6 octets from client, 9 from backend; 0.250 s |
"""
    )


def test_every_line_is_cut_at_the_width_and_holds_no_control_octet() -> None:
    drawn = render(
        [
            LineReceived(INFO, Side.CLIENT, "x" * 500),
            LineReceived(INFO, Side.CLIENT, "a\x1b[2Jb\N{SNOWMAN}"),
            Noted(INFO, "y" * 500),
            WentWrong(INFO, "bell\a"),
            SessionCrashed(INFO, "somewhere\nKeyError\n"),
            *from_client(b"\0\xff\x1b\r\n"),
        ],
        width=100,
    )
    assert all(len(line) <= 100 for line in drawn.split("\n"))
    assert "xxx…" in drawn
    assert "a\\x1b[2Jb\\xe2\\x98\\x83" in drawn
    assert "== \\x00\\xff\\x1b =" in drawn
    assert "KeyError" in drawn
    assert all(char.isprintable() for line in drawn.split("\n") for char in line)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_however_relayed_octets_are_cut_the_ladder_is_the_same(octets: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    chunks = [octets[start:end] for start, end in pairwise(places)]
    assert render(from_client(*chunks)) == render(from_client(octets) if octets else [])


SMTP, POP3, IMAP = MailProtocol.SMTP, MailProtocol.POP3, MailProtocol.IMAP


@pytest.mark.parametrize(
    ("protocol", "line", "shown"),
    [
        (POP3, b"PASS s3cret", "PASS ***"),
        (POP3, b"pass s3cret with spaces", "pass ***"),
        (POP3, b"APOP ann s3cret", "APOP ann ***"),
        (SMTP, b"AUTH PLAIN s3cret", "AUTH PLAIN ***"),
        (SMTP, b"AUTH PLAIN", "AUTH PLAIN"),
        (IMAP, b"a1 LOGIN ann s3cret", "a1 LOGIN ***"),
        (IMAP, b'a1 login "ann" "s3cret"', "a1 login ***"),
        (IMAP, b"a1 AUTHENTICATE PLAIN s3cret", "a1 AUTHENTICATE PLAIN ***"),
        (SMTP, b"MAIL FROM:<ann@example.org>", "MAIL FROM:<ann@example.org>"),
        (SMTP, b"please login here", "please login here"),
        (POP3, b"passenger list", "passenger list"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_the_relay(protocol: MailProtocol, line: bytes, shown: str) -> None:
    drawn = render(from_client(line + b"\r\n", protocol=protocol))
    assert f"|== {shown} ==" in drawn
    assert "s3cret" not in drawn


def test_a_secret_cut_in_two_is_hidden_too() -> None:
    assert "cret" not in render(from_client(b"PASS s3", b"cret\r\n", protocol=POP3))
    assert "cret" not in render(from_client(b"PASS s3", b"cret", protocol=POP3))


@pytest.mark.parametrize(
    ("protocol", "command", "answer"),
    [
        (SMTP, b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
        (POP3, b"AUTH CRAM-MD5\r\n", b"+ PDEuMkBtPg==\r\n"),
        (IMAP, b"a LOGIN {3}\r\n", b"+ go on\r\n"),
        (IMAP, b"a LOGIN {3+}\r\n", b"* 3 EXISTS\r\n"),
    ],
)
def test_a_login_conversation_in_the_relay_is_hidden_until_its_result(
    protocol: MailProtocol, command: bytes, answer: bytes
) -> None:
    drawn = render(
        [
            *from_client(command, protocol=protocol),
            *from_backend(answer),
            *from_client(b"s3cret\r\n", protocol=protocol),
            *from_backend(b"a OK\r\n"),
            *from_client(b"open\r\n", protocol=protocol),
        ]
    )
    assert "s3cret" not in drawn
    assert "|== *** ==" in drawn
    assert "|== open ==" in drawn


def test_a_ladder_keeps_sessions_apart() -> None:
    ladder = Ladder()
    one, two = session(1), session(2)
    ladder(LineReceived(one, Side.CLIENT, "from one"))
    ladder(LineReceived(two, Side.CLIENT, "from two"))
    ladder(Noted(None, "of the program"))
    assert "from two" not in ladder.text(1)
    assert ladder.text() == ladder.text(1) + "\n" + ladder.text(2)
    assert ladder.text(3) == ""


def test_a_ladder_keeps_the_newest_sessions() -> None:
    ladder = Ladder()
    for number in range(SESSIONS_KEPT + 1):
        ladder(SessionStarted(session(number)))
    assert ladder.text(0) == ""
    assert ladder.text(1)
    assert ladder.text(SESSIONS_KEPT)


def test_a_long_session_does_not_fill_the_memory() -> None:
    ladder = Ladder()
    for _ in range(EVENTS_KEPT + 5):
        ladder(LineReceived(INFO, Side.CLIENT, "NOOP"))
    ladder(SessionEnded(INFO, "client quit", 1.0))
    assert "(5 more events were not kept)" in ladder.text()
    assert "ended: client quit" in ladder.text()


def test_a_large_relay_does_not_fill_the_memory() -> None:
    ladder = Ladder()
    for _ in range(3):
        ladder(OctetsRelayed(INFO, Side.BACKEND, b"x" * (OCTETS_KEPT // 2) + b"\n"))
    assert "(2 more events were not kept)" in ladder.text()
