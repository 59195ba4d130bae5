"""The IMAP dialogue (imap rules)."""

from __future__ import annotations

import pytest

from refproxy.config.settings import StartTlsMode
from tests.dialogue.talk import IMAP, Talk

BAD = b"a BAD invalid command\r\n"
STAR_BAD = b"* BAD invalid command\r\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"a CAPABILITY\r\n", b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\na OK completed\r\n"),
        (b"a noop\n", b"a OK completed\r\n"),
        (b"a  NOOP x y z \r\n", b"a OK completed\r\n"),
        (b"a NOOP w x y z\r\n", BAD),
        (b"a.b-c_d NOOP\r\n", b"a.b-c_d OK completed\r\n"),
        (b"a" * 32 + b" NOOP\r\n", b"a" * 32 + b" OK completed\r\n"),
        (b"a" * 33 + b" NOOP\r\n", STAR_BAD),
        (b" NOOP\r\n", STAR_BAD),
        (b"a+ NOOP\r\n", STAR_BAD),
        (b"* NOOP\r\n", STAR_BAD),
        (b"\r\n", STAR_BAD),
        (b"FOO\r\n", STAR_BAD),
        (b"a\r\n", STAR_BAD),
        (b"a \r\n", BAD),
        (b"a ID NIL\r\n", BAD),
        (b"a NOOP\rx\r\n", BAD),
        (b"a STARTTLS\r\n", BAD),
        (b"a LOGIN\r\n", BAD),
        (b"a LOGIN u\r\n", BAD),
        (b"a LOGIN u p x\r\n", BAD),
        (b'a LOGIN "" p\r\n', BAD),
        (b'a LOGIN "u p\r\n', BAD),
        (b'a LOGIN u "p\\\r\n', BAD),
        (b"a LOGIN u p\0w\r\n", BAD),
        (b"a AUTHENTICATE\r\n", BAD),
        (b"a AUTHENTICATE FOO\r\n", BAD),
        (b"a AUTHENTICATE CRAM-MD5\r\n", BAD),
        (b"a AUTHENTICATE PLAIN x y\r\n", BAD),
        (b"a AUTHENTICATE plain\r\n", b"+ \r\n"),
        (b'a AUTHENTICATE "LOGIN"\r\n', b"+ VXNlcm5hbWU6\r\n"),
        (b"a LOGIN {}\r\n", BAD),
        (b"a LOGIN {4-}\r\n", BAD),
        (b"a LOGIN {4x}\r\n", BAD),
        (b"a LOGIN {4} \r\n", BAD),
        (b"a NOOP {3}\r\nabc\r\n", b"+ OK\r\na OK completed\r\n"),
        (b"a NOOP {3+}\r\nabc\r\n", b"a OK completed\r\n"),
        (b"a NOOP {003}\r\nabc\r\n", b"+ OK\r\na OK completed\r\n"),
        (b"a NOOP {3}\r\nabcd\r\n", b"+ OK\r\n" + BAD),
        (b"a FOO {10}\r\n", BAD),
    ],
)
def test_a_line_and_its_reply(line: bytes, reply: bytes) -> None:
    """IMAP-14 to IMAP-34: whole, and octet by octet."""
    whole, pieces = Talk(IMAP), Talk(IMAP)
    assert whole.say(line) == reply
    assert b"".join(pieces.say(line[at : at + 1]) for at in range(len(line))) == reply
    assert not whole.closed


@pytest.mark.parametrize(
    ("line", "user", "password"),
    [
        (b'a LOGIN "us er" "p\\"a\\\\ss"\r\n', b"us er", b'p"a\\ss'),
        (b'a LOGIN us"er pa\\ss\r\n', b'us"er', b"pa\\ss"),
        (b'a LOGIN "u\\ser" "p\\ ass"\r\n', b"user", b"p ass"),
        (b'a LOGIN user ""\r\n', b"user", b""),
        (b'a LOGIN "user""pass"\r\n', b"user", b"pass"),
        (b'a LOGIN "user"pass\r\n', b"user", b"pass"),
        (b"a LOGIN {6}\r\nus\r\ner {6}\r\np\r\nass\r\n", b"us\r\ner", b"p\r\nass"),
        (b"a LOGIN {4+}\r\nuser {0+}\r\n\r\n", b"user", b""),
        (b"a LOGIN u\xe9 p\xff\r\n", b"u\xe9", b"p\xff"),
    ],
)
def test_login_takes_atoms_strings_and_literals(line: bytes, user: bytes, password: bytes) -> None:
    """IMAP-21, IMAP-22, IMAP-27, IMAP-40, IMAP-41."""
    talk = Talk(IMAP)
    talk.say(line)
    assert talk.credentials == (b"plain", user, password)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        (
            StartTlsMode.ON,
            b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN STARTTLS\r\na OK completed\r\n",
            b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\na OK completed\r\n",
        ),
        (
            StartTlsMode.ONLY,
            b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS STARTTLS LOGINDISABLED\r\na OK completed\r\n",
            b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\na OK completed\r\n",
        ),
    ],
)
def test_the_capabilities_around_starttls(mode: StartTlsMode, before: bytes, after: bytes) -> None:
    """IMAP-36 to IMAP-39, IMAP-60 to IMAP-63."""
    talk = Talk(IMAP, starttls=mode)
    assert talk.say(b"a CAPABILITY\r\n") == before
    assert talk.say(b"a STARTTLS\r\na NOOP\r\n") == b"a OK completed\r\n"
    talk.start_tls()
    assert talk.say(b"a CAPABILITY\r\n") == after
    assert talk.say(b"a STARTTLS\r\n") == BAD


@pytest.mark.parametrize(
    ("line", "closed"),
    [
        (b"a LOGIN u p\r\n", False),
        (b"a AUTHENTICATE PLAIN\r\n", False),
        (b"a LOGIN {4}\r\n", False),
    ],
)
def test_starttls_only_refuses_logins_in_clear(line: bytes, closed: bool) -> None:
    """IMAP-30 (ours), IMAP-33: no invitation to send a password."""
    talk = Talk(IMAP, starttls=StartTlsMode.ONLY)
    assert talk.say(line) == BAD
    assert talk.closed is closed


def test_a_refused_non_synchronizing_literal_closes() -> None:
    """IMAP-25: its data must never be read as commands."""
    talk = Talk(IMAP)
    assert talk.say(b"a FOO {10+}\r\nb NOOP\r\n") == BAD
    assert talk.closed
    talk = Talk(IMAP, starttls=StartTlsMode.ONLY)
    assert talk.say(b"a LOGIN {8+}\r\nb NOOP\r\n") == BAD
    assert talk.closed


@pytest.mark.parametrize("answer", [b"! {9+}", b"AHUAcA== {9+}", b"{9+}"])
def test_an_answer_with_a_literal_on_its_way_closes(answer: bytes) -> None:
    """IMAP-54 (ours): nothing behind it is a command."""
    talk = Talk(IMAP)
    assert talk.say(b"a AUTHENTICATE PLAIN\r\n") == b"+ \r\n"
    assert talk.say(answer + b"\r\na LOGOUT\r\n") == BAD
    assert talk.closed
    assert talk.attempt is None


def test_an_answer_that_announces_a_literal_is_refused() -> None:
    """IMAP-54 (ours)."""
    talk = Talk(IMAP)
    assert talk.say(b"a AUTHENTICATE PLAIN\r\nAHUAcA== {3}\r\nn NOOP\r\n") == b"+ \r\n" + BAD + b"n OK completed\r\n"
    assert talk.attempt is None


def test_logout_says_bye() -> None:
    """IMAP-33."""
    talk = Talk(IMAP)
    assert talk.say(b"a LOGOUT\r\nb NOOP\r\n") == b"* BYE\r\na OK completed\r\n"
    assert talk.closed


def test_command_and_literals_share_the_buffer() -> None:
    """IMAP-6, IMAP-7, IMAP-9, IMAP-10."""
    fits = b"a NOOP {50}\r\n" + b"x" * 50 + b"\r\n"
    talk = Talk(IMAP, imap__client_buffer=len(fits))
    assert talk.say(fits * 2) == b"+ OK\r\na OK completed\r\n" * 2
    talk = Talk(IMAP, imap__client_buffer=len(fits) - 1)
    assert talk.say(fits) == b"+ OK\r\n" + BAD
    assert talk.closed
    talk = Talk(IMAP, imap__client_buffer=100)
    assert talk.say(b"a NOOP {9999}\r\n" + b"x" * 85) == b"+ OK\r\n" + BAD
    assert talk.closed
    talk = Talk(IMAP, imap__client_buffer=40)
    assert talk.say(b"a NOOP " + b"x" * 33) == BAD
    assert talk.closed


def test_an_exchange_shares_the_buffer() -> None:
    """IMAP-8, SASL-21; the next command has all of it again."""
    command, answer = b"a AUTHENTICATE LOGIN\r\n", b"dXNlcg==\r\n"
    talk = Talk(IMAP, imap__client_buffer=len(command) + 2 * len(answer))
    assert talk.say(command + answer + answer) == b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"
    assert talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n") == b"a NO no\r\n"
    assert talk.say(command + answer + answer[:-2] + b"A\r\n") == b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n" + BAD
    assert talk.closed


def test_the_tag_is_used_to_the_end_of_an_attempt_and_then_forgotten() -> None:
    """IMAP-51, IMAP-53, IMAP-89, AUTH-89."""
    talk = Talk(IMAP)
    assert talk.say(b"tag1 AUTHENTICATE LOGIN\r\n!\r\n") == b"+ VXNlcm5hbWU6\r\ntag1 BAD invalid command\r\n"
    talk.say(b"tag2 LOGIN u p\r\n")
    assert talk.verdict(b"Auth-Status: [X] no\r\nAuth-Wait: 2\r\n") == b"tag2 NO [X] no\r\n"
    assert talk.say(b"FOO\r\n") == STAR_BAD


def test_the_lines_to_the_backend() -> None:
    """PROXY-58 to PROXY-63, SASL-91."""
    talk = Talk(IMAP)
    talk.say(b'a01 LOGIN "u\\"x y" secret\r\n')
    assert talk.backend_lines() == [b"a01 LOGIN {5}\r\n", b'u"x y {6}\r\n', b"secret\r\n"]
