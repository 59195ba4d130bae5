"""What the three dialogues share: mechanisms, verdicts, limits, secrets."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refproxy.config.settings import MailProtocol, Mechanism, StartTlsMode
from refproxy.dialogue.turn import Authenticate, Close, Connect, End, Pause, StartTls
from refproxy.errors import BackendFailure, FailureKind
from refproxy.wire.auth_http import Refused
from tests.dialogue.talk import IMAP, POP3, ROUTE, SMTP, Talk
from tests.proxied import INTERNAL_ERROR

REJECT = {
    SMTP: b"500 5.5.1 Invalid command\r\n",
    POP3: b"-ERR invalid command\r\n",
    IMAP: b"a BAD invalid command\r\n",
}
START = {SMTP: b"AUTH ", POP3: b"AUTH ", IMAP: b"a AUTHENTICATE "}
CHALLENGE = {SMTP: b"334 ", POP3: b"+ ", IMAP: b"+ "}
REFUSED = {SMTP: b"535 5.7.0 %s\r\n", POP3: b"-ERR %s\r\n", IMAP: b"a NO %s\r\n"}
NOOP = {SMTP: b"NOOP\r\n", POP3: b"NOOP\r\n", IMAP: b"a NOOP\r\n"}
DONE = {SMTP: b"250 2.0.0 OK\r\n", POP3: b"+OK\r\n", IMAP: b"a OK completed\r\n"}
every_protocol = pytest.mark.parametrize("protocol", [SMTP, POP3, IMAP])


def talk_with(protocol: MailProtocol, **changes: object) -> Talk:
    """A dialogue with every mechanism switched on."""
    word = protocol.value
    everything = frozenset(Mechanism) - {Mechanism.APOP, Mechanism.NONE}
    return Talk(protocol, **{f"{word}__auth": everything, **changes})


def encoded(text: bytes) -> bytes:
    return b64encode(text)


@every_protocol
@pytest.mark.parametrize(
    ("mechanism", "answers", "credentials"),
    [
        (b"PLAIN", [b"\0user\0pass"], (b"plain", b"user", b"pass")),
        (b"plain", [b"adm\0user\0pass"], (b"plain", b"user", b"pass")),
        (b"PLAIN", [b"\0\0"], (b"plain", b"", b"")),
        (b"PLAIN", [b"user"], None),
        (b"PLAIN", [b"\0user"], None),
        (b"PLAIN", [b""], None),
        (b"PLAIN", [b"\0us\0er\0pass"], None),
        (b"LOGIN", [b"user", b"pass"], (b"plain", b"user", b"pass")),
        (b"LOGIN", [b"", b""], (b"plain", b"", b"")),
        (b"EXTERNAL", [b"user"], (b"external", b"user", None)),
        (b"EXTERNAL", [b""], (b"external", b"", None)),
        (b"XOAUTH2", [b"user=u\x01auth=Bearer t\x01\x01"], (b"xoauth2", b"u", b"t")),
        (b"XOAUTH2", [b"user=u\x01auth=Bearer t\x01"], None),
        (b"OAUTHBEARER", [b"n,a=u@x,\x01host=h\x01auth=Bearer t\x01\x01"], (b"oauthbearer", b"u@x", b"t")),
        (b"OAUTHBEARER", [b"n,,\x01auth=Bearer t\x01\x01"], None),
    ],
)
@pytest.mark.parametrize("initial", [True, False])
def test_the_mechanisms(
    protocol: MailProtocol,
    mechanism: bytes,
    answers: list[bytes],
    credentials: tuple[bytes, bytes, bytes | None] | None,
    initial: bool,
) -> None:
    """SASL-7 to SASL-10, SASL-29 to SASL-50: with and without initial response."""
    talk = talk_with(protocol)
    words = [encoded(answer) or b"=" for answer in answers]
    lines = [START[protocol] + mechanism + b" " + words.pop(0)] if initial else [START[protocol] + mechanism]
    replies = talk.say(b"".join(line + b"\r\n" for line in [*lines, *words]))
    assert talk.credentials == credentials
    if credentials is None:
        assert replies.endswith(REJECT[protocol])
    assert replies.count(CHALLENGE[protocol]) == len(answers) - initial


@every_protocol
def test_cram_md5_challenges_afresh_each_time(protocol: MailProtocol) -> None:
    """SASL-25 (ours), SASL-26, SASL-35 to SASL-37."""
    talk = talk_with(protocol)
    for number in (1, 2):
        salt = b"<%d.1700000000@mx.example>" % number
        reply = talk.say(START[protocol] + b"CRAM-MD5\r\n")
        assert reply == CHALLENGE[protocol] + encoded(salt) + b"\r\n"
        talk.say(encoded(b"us er " + b"0" * 32) + b"\r\n")
        assert talk.credentials == (b"cram-md5", b"us er", b"0" * 32)
        assert talk.attempt is not None
        assert talk.attempt.credentials.salt == salt
        assert talk.attempt.number == number
        talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n")
    assert talk.say(START[protocol] + b"CRAM-MD5 abcd\r\n") == REJECT[protocol]


@every_protocol
@pytest.mark.parametrize("answer", [b"*", b"!!!!", b"abcde", b" AHUAcA=="])
def test_a_bad_answer_ends_the_exchange(protocol: MailProtocol, answer: bytes) -> None:
    """SASL-12, SASL-13, SASL-15, SASL-16; not counted by max_errors (SASL-18)."""
    talk = talk_with(protocol, max_errors=1)
    start = START[protocol] + b"PLAIN\r\n"
    challenge = CHALLENGE[protocol] + b"\r\n"
    assert (
        talk.say((start + answer + b"\r\n") * 3 + NOOP[protocol]) == (challenge + REJECT[protocol]) * 3 + DONE[protocol]
    )


@every_protocol
@pytest.mark.parametrize("octet", [b"\0", b"\r", b"\n"])
def test_octets_that_could_inject_are_refused(protocol: MailProtocol, octet: bytes) -> None:
    """SASL-94: NUL everywhere, CR and LF where they would reach a backend raw."""
    harmless = octet != b"\0" and protocol is not POP3
    for user, password in [(b"u" + octet, b"p"), (b"u", b"p" + octet)]:
        talk = talk_with(protocol)
        reply = talk.say(START[protocol] + b"LOGIN\r\n" + encoded(user) + b"\r\n" + encoded(password) + b"\r\n")
        assert (talk.attempt is not None) is harmless
        assert reply.endswith(REJECT[protocol]) is not harmless


@every_protocol
@pytest.mark.parametrize(
    ("headers", "text", "closed"),
    [
        (b"Auth-Status: no\r\n", b"no", True),
        (b"Auth-Status: no\r\nAuth-Wait: 0\r\n", b"no", True),
        (b"Auth-Status: no\r\nAuth-Wait: 1s\r\n", b"no", True),
        (b"Auth-Status: no\r\nAuth-Wait: 3\r\n", b"no", False),
        (b"Auth-Status:\r\nAuth-Wait: 3\r\n", b"", False),
        (b"Auth-Status: ok\r\n" + ROUTE, b"ok", True),
        (b"Auth-Status: no\r\nAuth-Status: OK\r\n" + ROUTE, b"no", True),
        (b"Auth-Status: first\r\nAuth-Status: last\r\n", b"last", True),
    ],
)
def test_refusals(protocol: MailProtocol, headers: bytes, text: bytes, closed: bool) -> None:
    """AUTH-47, AUTH-52, AUTH-61, AUTH-62, AUTH-65, SMTP-84, SMTP-85, IMAP-85, POP3-50."""
    talk = talk_with(protocol)
    talk.say(START[protocol] + b"PLAIN AHUAcA==\r\n")
    assert talk.verdict(headers) == REFUSED[protocol] % text
    assert talk.closed is closed


@every_protocol
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("mechanism", "answer", "expected"),
    [
        (b"XOAUTH2", b"user=u\x01auth=Bearer t\x01\x01", b""),
        (b"OAUTHBEARER", b"n,a=u,\x01auth=Bearer t\x01\x01", b"AQ=="),
    ],
)
def test_the_oauth_error_challenge(
    protocol: MailProtocol, mechanism: bytes, answer: bytes, expected: bytes, keep: bool
) -> None:
    """SASL-80 to SASL-82, AUTH-83 to AUTH-86, SMTP-93 to SMTP-96."""
    for line, accepted in [(expected, True), (b"*", False), (b"a b c d e f g h i j k l m", False)]:
        talk = talk_with(protocol)
        talk.say(START[protocol] + mechanism + b" " + encoded(answer) + b"\r\n")
        wait = b"Auth-Wait: 2\r\n" if keep else b""
        assert talk.verdict(b"Auth-Status: no\r\nAuth-Error-SASL: e30=\r\n" + wait) == CHALLENGE[protocol] + b"e30=\r\n"
        assert talk.say(line + b"\r\n") == (REFUSED[protocol] % b"no" if accepted else REJECT[protocol])
        assert talk.closed is not keep


@every_protocol
def test_the_error_challenge_is_for_oauth_only(protocol: MailProtocol) -> None:
    """AUTH-54."""
    talk = talk_with(protocol)
    talk.say(START[protocol] + b"PLAIN AHUAcA==\r\n")
    assert talk.verdict(b"Auth-Status: no\r\nAuth-Error-SASL: e30=\r\n") == REFUSED[protocol] % b"no"


@every_protocol
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_max_errors(protocol: MailProtocol, limit: int) -> None:
    """CORE-21, SMTP-29, IMAP-75, POP3-68: 0 acts as 1."""
    talk = talk_with(protocol, max_errors=limit)
    for number in range(1, max(1, limit) + 1):
        assert talk.say(b"a FOO\r\n") != b""
        assert talk.closed is (number >= limit)


@every_protocol
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_max_commands(protocol: MailProtocol, limit: int) -> None:
    """CORE-22, SMTP-31, IMAP-77, POP3-70: answers to challenges count, invalid lines do not."""
    talk = talk_with(protocol, max_commands=limit)
    talk.say(b"a FOO\r\n")
    assert talk.say(NOOP[protocol] * limit) == DONE[protocol] * limit
    assert talk.say(NOOP[protocol]) == REJECT[protocol]
    assert talk.closed


@every_protocol
def test_nothing_heard_holds_a_secret(protocol: MailProtocol) -> None:
    """The core masks what it alone knows to be secret."""
    secret = b"c2VjcmV0"
    lines = {
        SMTP: [b"AUTH " + secret, b"AUTH PLAIN AHUA" + secret, b"AUTH LOGIN " + secret, secret, secret + b" " + secret],
        POP3: [b"AUTH " + secret, b"PASS " + secret, b"USER u", b"PASS " + secret, b"AUTH LOGIN", secret, secret],
        IMAP: [b"a AUTHENTICATE " + secret, b"a LOGIN u " + secret, b"b LOGIN {1+}\r\nu {8+}\r\n" + secret],
    }  # fmt: skip
    talk = talk_with(protocol, max_errors=100)
    heard = []
    for line in lines[protocol]:
        for piece in (line + b"\r\n").splitlines(keepends=True):
            talk.say(piece)
            heard.append(talk.core.heard)
        if talk.attempt is not None:
            talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n")
    assert secret.decode() not in "".join(heard)
    assert "***" in "".join(heard)


@every_protocol
@pytest.mark.parametrize("passes", [True, False])
def test_only_an_orderly_refusal_of_the_backend_is_passed(protocol: MailProtocol, passes: bool) -> None:
    """PROXY-66, PROXY-69."""
    talk = talk_with(protocol, proxy__pass_error_message=passes)
    talk.say(START[protocol] + b"PLAIN AHUAcA==\r\n")
    talk.verdict(b"Auth-Status: OK\r\n" + ROUTE)
    internal = talk.core.internal_error()
    assert talk.core.backend_failed(BackendFailure(FailureKind.CLOSED, "closed")).reply == internal
    turn = talk.core.backend_failed(BackendFailure(FailureKind.UNEXPECTED, "no", b"550 no\r\n"))
    assert turn.reply == (b"550 no\r\n" if passes else internal)


LINES = st.sampled_from(
    [
        b"NOOP\r\n", b"a NOOP\r\n", b"USER u\r\n", b"PASS p\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"dQ==\r\n",
        b"a AUTHENTICATE XOAUTH2\r\n", b"a LOGIN {3}\r\n", b"a LOGIN {3+}\r\nabc", b" {2}\r\n", b"ab", b"*\r\n",
        b"AUTH OAUTHBEARER bixhPXUsAWF1dGg9QmVhcmVyIHQBAQ==\r\n", b"AQ==\r\n", b"\r\n", b"EHLO x\r\n", b"STLS\r\n",
        b"MAIL FROM:<a>\r\n", b"RCPT TO:<b>\r\n", b"STARTTLS\r\n", b"a STARTTLS\r\n", b"RSET\r\n",
        b'a LOGIN "u" "p"\r\n',
        b"x" * 300, b'"', b"\0", b"\r",
    ]
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    protocol=st.sampled_from([SMTP, POP3, IMAP]),
    pieces=st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=12),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    wait=st.booleans(),
)
@example(protocol=IMAP, pieces=[b"a LOGIN {3}\r\n", b"\0\0\0", b" x\r\n"], cuts=[1], wait=True)
def test_any_octets_cut_anywhere_give_the_same_turns(
    protocol: MailProtocol, pieces: list[bytes], cuts: list[int], wait: bool
) -> None:
    """No input raises, every input is answered, and the cuts between reads change nothing (SMTP-23)."""

    def run(cut: bool) -> tuple[bytes, bool]:
        talk = talk_with(protocol, starttls=StartTlsMode.ON, imap__client_buffer=200, smtp__client_buffer=512)
        said, octets, at, turn = b"", b"".join(pieces), 0, 0
        while at < len(octets) and not talk.closed:
            size = cuts[turn % len(cuts)] if cut else len(octets)
            said += talk.say(octets[at : at + size])
            at, turn = at + size, turn + 1
            while isinstance(talk.turn.then, Authenticate | StartTls | Connect):
                match talk.turn.then:
                    case StartTls():
                        return said, talk.closed  # clear text behind it is dropped by the shell
                    case Authenticate():
                        talk.turn = talk.core.refused(Refused(b"no", int(wait)))
                        if isinstance(talk.turn.then, Pause):
                            talk.turn = talk.core.resumed(early=False)
                        said += talk.turn.reply
                        said += talk.say(b"")
                    case Connect():
                        raise AssertionError("nobody was accepted")
        assert isinstance(talk.core.heard, str)
        return said, isinstance(talk.turn.then, Close)

    assert run(cut=True) == run(cut=False)


STARTTLS = {SMTP: b"STARTTLS\r\n", POP3: b"STLS\r\n", IMAP: b"s STARTTLS\r\n"}


@every_protocol
def test_counters_outlive_starttls_and_failed_logins(protocol: MailProtocol) -> None:
    """SMTP-32, SMTP-99, IMAP-64, POP3-60, SASL-20."""
    talk = talk_with(protocol, starttls=StartTlsMode.ON, max_errors=2, max_commands=4)
    talk.say(b"a FOO\r\n")
    login = START[protocol] + b"PLAIN AHUAcA==\r\n"
    for number in (1, 2):
        talk.say(login)
        assert talk.attempt is not None
        assert talk.attempt.number == number
        talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n")
        if number == 1:
            talk.say(STARTTLS[protocol])
            talk.start_tls()
            assert talk.turn.reply == b""
    assert talk.say(NOOP[protocol]) == DONE[protocol]
    assert talk.say(NOOP[protocol]) == REJECT[protocol]
    assert talk.turn.then == Close(End.TOO_MANY_COMMANDS)
    talk = talk_with(protocol, starttls=StartTlsMode.ON, max_errors=2)
    talk.say(b"a FOO\r\n" + STARTTLS[protocol])
    talk.start_tls()
    talk.say(b"a FOO\r\n")
    assert talk.turn.then == Close(End.TOO_MANY_ERRORS)


@every_protocol
@pytest.mark.parametrize(
    "mechanism", [b"PLAIN", b"LOGIN", b"CRAM-MD5", b"EXTERNAL", b"XOAUTH2", b"OAUTHBEARER", b"PLAIN AHUAcA==", b"FOO"]
)
def test_starttls_only_refuses_every_mechanism_in_clear(protocol: MailProtocol, mechanism: bytes) -> None:
    """SASL-4; not counted (SASL-18)."""
    talk = talk_with(protocol, starttls=StartTlsMode.ONLY, max_errors=1)
    line = START[protocol] + mechanism + b"\r\n"
    assert talk.say(line) == REJECT[protocol]
    assert talk.attempt is None
    talk.say(STARTTLS[protocol])
    talk.start_tls()
    reply = talk.say(line)
    assert reply.startswith(CHALLENGE[protocol]) or talk.attempt is not None or mechanism == b"FOO"


@every_protocol
def test_what_is_not_configured_is_refused(protocol: MailProtocol) -> None:
    """SASL-2, SASL-3, SASL-7: but for PLAIN and LOGIN."""
    nothing = Talk(protocol, **{f"{protocol.value}__auth": frozenset[Mechanism]()})
    for name in (b"CRAM-MD5", b"EXTERNAL", b"XOAUTH2", b"OAUTHBEARER", b"APOP", b"NONE", b"PLAINX", b"PLAI"):
        assert nothing.say(START[protocol] + name + b"\r\n") == REJECT[protocol]
    for name in (b"PLAIN", b"login"):
        assert nothing.say(START[protocol] + name + b"\r\n*\r\n").startswith(CHALLENGE[protocol])


@every_protocol
def test_an_unparsable_answer_counts_as_an_error(protocol: MailProtocol) -> None:
    """SASL-13, SASL-18: a word too many, or a stray CR; the exchange is over."""
    fits, too_many = (11, 12) if protocol is SMTP else (3, 4)
    start = START[protocol] + b"PLAIN\r\n"
    talk = talk_with(protocol, max_errors=2)
    talk.say(start + b" ".join([b"AHUAcA=="] + [b"x"] * (fits - 1)) + b"\r\n")
    assert talk.credentials == (b"plain", b"u", b"p")
    talk = talk_with(protocol, max_errors=2)
    talk.say(start)
    assert talk.say(b" ".join([b"AHUAcA=="] + [b"x"] * (too_many - 1)) + b"\r\n") == REJECT[protocol]
    assert talk.say(NOOP[protocol]) == DONE[protocol]
    talk.say(start)
    assert talk.say(b"AHUA\rcA==\r\n") == REJECT[protocol]
    assert talk.turn.then == Close(End.TOO_MANY_ERRORS)


@every_protocol
def test_the_acknowledgement_of_an_error_challenge_counts_as_a_command(protocol: MailProtocol) -> None:
    """SASL-84."""
    talk = talk_with(protocol, max_commands=1)
    talk.say(START[protocol] + b"XOAUTH2 " + encoded(b"user=u\x01auth=Bearer t\x01\x01") + b"\r\n")
    talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 2\r\nAuth-Error-SASL: e30=\r\n")
    assert talk.say(b"\r\n") == REJECT[protocol]
    assert talk.turn.then == Close(End.TOO_MANY_COMMANDS)


@every_protocol
def test_an_unparsable_acknowledgement_is_an_error_and_no_command(protocol: MailProtocol) -> None:
    """SASL-81, SASL-84."""
    for max_errors, closed in ((1, True), (2, False)):
        talk = talk_with(protocol, max_errors=max_errors, max_commands=2)
        talk.say(START[protocol] + b"XOAUTH2 " + encoded(b"user=u\x01auth=Bearer t\x01\x01") + b"\r\n")
        talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 2\r\nAuth-Error-SASL: e30=\r\n")
        assert talk.say(b"\r \r\n") == REJECT[protocol]
        assert talk.closed is closed
    assert talk.say(NOOP[protocol]) == DONE[protocol]


@every_protocol
def test_no_verdict_is_the_internal_error(protocol: MailProtocol) -> None:
    """AUTH-60, SMTP-87: and the session ends."""
    talk = talk_with(protocol)
    talk.say(START[protocol] + b"PLAIN AHUAcA==\r\n")
    turn = talk.core.auth_unavailable()
    assert turn.reply == INTERNAL_ERROR[protocol]
    assert turn.then == Close(End.AUTH_UNAVAILABLE)


@every_protocol
def test_lines_behind_an_attempt_wait_for_its_end(protocol: MailProtocol) -> None:
    """SASL-17, SMTP-91, IMAP-88, POP3-53: answered after a kept refusal."""
    talk = talk_with(protocol)
    talk.say(START[protocol] + b"LOGIN\r\ndQ==\r\ncA==\r\n" + NOOP[protocol])
    assert talk.credentials == (b"plain", b"u", b"p")
    assert talk.verdict(b"Auth-Status: no\r\nAuth-Wait: 1\r\n") == REFUSED[protocol] % b"no"
    assert talk.say(b"") == DONE[protocol]


@pytest.mark.slow
@settings(derandomize=True, deadline=None)
@given(
    protocol=st.sampled_from([SMTP, POP3, IMAP]),
    password=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=8, max_size=20),
    end=st.sampled_from([b"\r\n", b"\n", b" x\r\n", b"\r\r\n", b" {3}\r\n", b" {3+}\r\n"]),
)
def test_no_way_of_logging_in_shows_the_password(protocol: MailProtocol, password: str, end: bytes) -> None:
    """Well-formed or not, in clear or in base64."""
    secret = password.encode("ascii")
    size = len(secret)
    bearer = b"user=u\x01auth=Bearer " + secret + b"\x01\x01"
    hidden = [password, *(encoded(text).decode() for text in (secret, b"\0u\0" + secret, bearer, b"u " + secret))]
    dialogues = [
        b"USER u\r\nPASS " + secret + end,
        b"PASS " + secret + end,
        b"APOP u " + secret + end,
        b"a LOGIN u " + secret + end,
        b'a LOGIN "u" "' + secret + b'"' + end,
        b"a LOGIN u {%d}\r\n" % size + secret + end,
        b"a LOGIN {1+}\r\nu {%d+}\r\n" % size + secret + end,
        START[protocol] + b"PLAIN " + encoded(b"\0u\0" + secret) + end,
        START[protocol] + b"PLAIN\r\n" + encoded(b"\0u\0" + secret) + end,
        START[protocol] + b"LOGIN dQ==\r\n" + encoded(secret) + end,
        START[protocol] + b"LOGIN\r\ndQ==\r\n" + encoded(secret) + end,
        START[protocol] + b"XOAUTH2 " + encoded(bearer) + end,
        START[protocol] + b"CRAM-MD5\r\n" + encoded(b"u " + secret) + end,
    ]
    for octets in dialogues:
        talk = talk_with(protocol)
        for line in octets.splitlines(keepends=True):
            talk.say(line)
            assert not [text for text in hidden if text in talk.core.heard], octets
            assert password not in repr(talk.turn)
