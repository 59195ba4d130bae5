"""Replies in other words: what counts as the same, what does not, and what is not known yet."""

from __future__ import annotations

import pytest

from conformance.replies import length_of, meanings

SAME = [
    ("smtp", b"220 mx.example ESMTP ready\r\n", b"220 other\r\n"),
    ("smtp", b"500 5.5.1 Invalid command\r\n", b"502 5.5.1 no\r\n"),
    ("smtp", b"250-a\r\n250 AUTH PLAIN\r\n", b"250-b\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n"),
    ("smtp", b"250-a\r\n250 STARTTLS\r\n", b"250-b\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"),
    ("imap", b"* OK IMAP4 ready\r\n", b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n"),
    ("imap", b"a OK in\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\na OK [CAPABILITY IMAP4rev1] Logged in\r\n"),
    ("imap", b"* BYE\r\nq OK completed\r\n", b"* BYE Logging out\r\nq OK done\r\n"),
    ("imap", b"+ OK\r\n", b"+\r\n"),
    ("pop3", b"+OK POP3 ready\r\n", b"+OK\r\n"),
    ("pop3", b"+OK list\r\nSTLS\r\n.\r\n", b"+OK\r\nSTLS\r\nUIDL\r\n.\r\n"),
    ("pop3", b"+OK\r\n.\r\n", b"+OK\r\nSTLS\r\nUIDL\r\n.\r\n"),
]
DIFFERENT = [
    ("smtp", b"250 ok\r\n", b"354 go on\r\n"),
    ("smtp", b"250-a\r\n250 AUTH PLAIN\r\n", b"250-b\r\n250 STARTTLS\r\n"),
    ("smtp", b"250-a\r\n250 STARTTLS\r\n", b"250-b\r\n250 AUTH PLAIN\r\n"),
    ("smtp", b"250 ok\r\n", b"nonsense\r\n"),
    ("imap", b"a OK in\r\n", b"b OK in\r\n"),
    ("imap", b"a NO no\r\n", b"a BAD no\r\n"),
    ("imap", b"+ OK\r\n", b"a BAD no\r\n"),
    ("imap", b"* BYE\r\n", b"q OK done\r\n"),
    ("imap", b"* CAPABILITY IMAP4\r\nc OK\r\n", b"* CAPABILITY IMAP4 STARTTLS\r\nc OK\r\n"),
    ("pop3", b"+OK\r\n", b"-ERR no\r\n"),
    ("pop3", b"+OK list\r\nUIDL\r\n.\r\n", b"+OK\r\nSTLS\r\nUIDL\r\n.\r\n"),
    ("pop3", b"+OK list\r\nUIDL\r\n.\r\n", b"-ERR no\r\n"),
]


def found(protocol: str, wanted: bytes, received: bytes) -> int | None:
    meant = meanings(protocol, wanted)
    assert meant is not None
    return length_of(protocol, meant, received)


@pytest.mark.parametrize(("protocol", "wanted", "received"), SAME)
def test_other_words_mean_the_same(protocol: str, wanted: bytes, received: bytes) -> None:
    assert found(protocol, wanted, received) == len(received)
    assert found(protocol, wanted, received + b"more\r\n") == len(received)


@pytest.mark.parametrize(("protocol", "wanted", "received"), SAME)
def test_a_part_says_nothing_yet(protocol: str, wanted: bytes, received: bytes) -> None:
    assert [found(protocol, wanted, received[:end]) for end in range(len(received))] == [None] * len(received)


@pytest.mark.parametrize(("protocol", "wanted", "received"), DIFFERENT)
def test_other_replies_mean_something_else(protocol: str, wanted: bytes, received: bytes) -> None:
    assert found(protocol, wanted, received) == 0


@pytest.mark.parametrize(
    ("protocol", "octets"),
    [
        ("smtp", b"pong\r\n"), ("imap", b"pong\r\n"), ("pop3", b"pong\r\n"),
        ("smtp", b"250 ok\r\nand more"), ("smtp", b"250-ok\r\n"), ("imap", b"a OK"), ("pop3", b"+OK\r\nmore\xff\r\n"),
    ],
)  # fmt: skip
def test_what_is_no_reply_has_no_meaning(protocol: str, octets: bytes) -> None:
    assert meanings(protocol, octets) is None
