"""The POP3 dialogue (pop3 rules)."""

from __future__ import annotations

import pytest

from refproxy.config.settings import Mechanism, StartTlsMode
from tests.dialogue.talk import POP3, Talk

OK, ERR = b"+OK\r\n", b"-ERR invalid command\r\n"
APOP = frozenset({Mechanism.APOP})


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"CAPA\r\n", b"+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n"),
        (b"noop\n", OK),
        (b"NOOP a b c \r\n", OK),
        (b"NOOP a b c d\r\n", ERR),
        (b"NO\rOP\r\n", ERR),
        (b" NOOP\r\n", ERR),
        (b"NOOPS\r\n", ERR),
        (b"\r\n", ERR),
        (b"STAT\r\n", ERR),
        (b"USER\r\n", ERR),
        (b"USER \r\n", ERR),
        (b"USER a\0b\r\n", ERR),
        (b"USER  us er \r\n", OK),
        (b"PASS x\r\n", ERR),
        (b"APOP u d\r\n", ERR),
        (b"STLS\r\n", ERR),
        (b"AUTH\r\n", b"+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
        (b"AUTH \r\n", b"+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
        (b"AUTH PLAIN\r\n", b"+ \r\n"),
        (b"AUTH LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
        (b"AUTH CRAM-MD5\r\n", ERR),
    ],
)
def test_a_line_and_its_reply(line: bytes, reply: bytes) -> None:
    """POP3-10 to POP3-15, POP3-20, POP3-25 to POP3-27, POP3-40: whole, and octet by octet."""
    whole, pieces = Talk(POP3), Talk(POP3)
    assert whole.say(line) == reply
    assert b"".join(pieces.say(line[at : at + 1]) for at in range(len(line))) == reply
    assert not whole.closed


@pytest.mark.parametrize("line", [b"USER x\r\n", b"APOP u d\r\n", b"AUTH\r\n", b"STLS\r\n", b"FOO\r\n", b"PASS\r\n"])
def test_what_leads_back_from_user_to_start(line: bytes) -> None:
    """POP3-31, POP3-32."""
    talk = Talk(POP3, starttls=StartTlsMode.ON)
    assert talk.say(b"USER u\r\n" + line + b"PASS p\r\n") == OK + ERR + ERR


def test_user_survives_noop_and_capa_without_stls() -> None:
    """POP3-29, POP3-31, POP3-13."""
    talk = Talk(POP3, starttls=StartTlsMode.ON)
    assert talk.say(b"CAPA\r\n").endswith(b"SASL PLAIN LOGIN\r\nSTLS\r\n.\r\n")
    assert talk.say(b"USER  us er \r\nNOOP\r\nCAPA\r\n").endswith(b"SASL PLAIN LOGIN\r\n.\r\n")
    talk.say(b"PASS  pa ss \r\n")
    assert talk.credentials == (b"plain", b"us er ", b"pa ss ")


def test_starttls_only() -> None:
    """POP3-20, POP3-25, TLS-48: no USER, no SASL, no login in clear."""
    talk = Talk(POP3, starttls=StartTlsMode.ONLY)
    assert talk.say(b"CAPA\r\n") == b"+OK Capability list follows\r\nTOP\r\nUIDL\r\nSTLS\r\n.\r\n"
    assert talk.say(b"USER u\r\nAPOP u d\r\nAUTH\r\nAUTH PLAIN\r\n") == ERR * 4
    assert talk.say(b"STLS\r\nNOOP\r\n") == OK
    talk.start_tls()
    assert talk.say(b"USER u\r\nSTLS\r\n") == OK + ERR


def test_apop_uses_the_salt_of_the_greeting() -> None:
    """POP3-2, POP3-36, POP3-37, POP3-39, SASL-40."""
    talk = Talk(POP3, pop3__auth=APOP)
    assert talk.greeting == b"+OK POP3 ready <1.1700000000@mx.example>\r\n"
    assert talk.say(b"CAPA\r\nAUTH\r\n") == (
        b"+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\n.\r\n+OK methods supported:\r\n.\r\n"
    )
    for _ in range(2):
        talk.say(b"APOP u digest\r\n")
        assert talk.credentials == (b"apop", b"u", b"digest")
        assert talk.attempt is not None
        assert talk.attempt.credentials.salt == b"<1.1700000000@mx.example>"
        assert talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n") == b"-ERR no\r\n"
    assert talk.say(b"APOP u\r\nAPOP u d x\r\n") == ERR + ERR


@pytest.mark.parametrize(
    ("buffer", "line", "fits"),
    [
        (12288, b"NOOP " + b"x" * 248 + b"\r\n", True),
        (12288, b"NOOP " + b"x" * 249 + b"\r\n", False),
        (12288, b"AUTH PLAIN " + b"A" * 12275 + b"\r\n", True),
        (12288, b"AUTH PLAIN " + b"A" * 12276 + b"\r\n", False),
        (128, b"NOOP " + b"x" * 121 + b"\r\n", True),
        (128, b"NOOP " + b"x" * 122 + b"\r\n", False),
        (128, b"AUTH PLAIN " + b"A" * 116 + b"\r\n", False),
    ],
)
def test_the_line_limits(buffer: int, line: bytes, fits: bool) -> None:
    """POP3-16, POP3-48, POP3-80."""
    talk = Talk(POP3, pop3__client_buffer=buffer)
    talk.say(line)
    assert talk.closed is not fits


def test_a_long_answer_to_a_challenge_fits() -> None:
    """POP3-48, POP3-80."""
    talk = Talk(POP3)
    assert talk.say(b"AUTH LOGIN\r\n" + b"dXNl" * 1000 + b"\r\n") == b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n"


def test_the_lines_to_the_backend() -> None:
    """PROXY-52 to PROXY-56, SASL-92."""
    talk = Talk(POP3)
    talk.say(b"USER u x\r\nPASS p  \r\n")
    assert talk.backend_lines() == [b"USER u x\r\n", b"PASS p  \r\n"]
