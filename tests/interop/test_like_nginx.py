"""The same sessions through nginx and through refproxy: the same octets to the client, the auth server, the backend.

Every session here keeps to rules of class vendor, and to what nginx 1.22 does already: it has no OAuth, no
`max_commands` and no PROXY header of version 2, and does not escape the login in XCLIENT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.certificates import Certificates
from tests.interop.comparison import Sent, World, b64, closing, imap, open_world, plain, pop3, raw, smtp

USERS = {"alice": "secret", "two words": 'pass "word" 100%', "köbi": "grün+weiß="}

SERVERS = {
    "smtp": "/plain protocol smtp; smtp_capabilities 'SIZE 10240000' 8BITMIME; smtp_auth login plain external;",
    "smtp_default": "/plain protocol smtp;",
    "smtp_plainly": "/plain protocol smtp; xclient off;",
    "smtp_auth": "/plain protocol smtp; proxy_smtp_auth on;",
    "smtp_auth_plainly": "/plain protocol smtp; proxy_smtp_auth on; xclient off;",
    "smtp_none": "/plain protocol smtp; smtp_auth none; smtp_capabilities PIPELINING;",
    "smtp_none_plainly": "/plain protocol smtp; smtp_auth none; xclient off;",
    "smtp_retry": "/retry protocol smtp; auth_http_header X-Key 'some key';",
    "smtp_two_errors": "/plain protocol smtp; max_errors 2;",
    "pop3": "/plain protocol pop3;",
    "pop3_apop": "/plain protocol pop3; pop3_auth plain apop cram-md5; pop3_capabilities TOP USER 'EXPIRE 60';",
    "imap": "/plain protocol imap;",
    "imap_all": "/plain protocol imap; imap_auth external cram-md5 login plain; imap_capabilities IMAP4rev1 'X A';",
}


ALICE = plain("alice", "secret")

SESSIONS: dict[str, tuple[str, list[Sent]]] = {
    "smtp: hello": ("smtp", closing(smtp(b"EHLO c.example", b"HELO c.example", b"ehlo  c.example ", b"QUIT now"))),
    "smtp: default hello": ("smtp_default", closing(smtp(b"EHLO c.example", b"QUIT"))),
    "smtp: hello without login": ("smtp_none", closing(smtp(b"EHLO c.example", b"QUIT"))),
    "smtp: arguments": ("smtp", smtp(b"EHLO", b"EHLO a b", b"HELO", b"AUTH", b"NOOP a b c", b"RSET x")),
    "smtp: order": ("smtp", smtp(b"MAIL FROM:<a@b>", b"RCPT TO:<a@b>", b"RSET", b"NOOP")),
    "smtp: refused": ("smtp", smtp(b"VRFY a", b"EXPN a", b"HELP", b"STARTTLS", b"AUTH NTLM", b"AUTH CRAM-MD5 x")),
    "smtp: errors": ("smtp", closing(smtp(b"DATA", b"", b" NOOP", b"NO\tOP", b"XCLIENT ADDR=1.2.3.4"))),
    "smtp: two errors": ("smtp_two_errors", closing(smtp(b"VRFY x", b"FOO", b"NOOP", b"FOO"))),
    "smtp: eleven arguments": ("smtp", smtp(b"NOOP 1 2 3 4 5 6 7 8 9 10 11", b"NOOP 1 2 3 4 5 6 7 8 9 10 11 12")),
    "smtp: SASL": (
        "smtp",
        smtp(
            b"AUTH PLAIN", b"*", b"AUTH plain", b"QUIT", b"AUTH LOGIN", b"!", b"AUTH LOGIN", b"YQ==", b"!",
            b"AUTH LOGIN YQ==", b"*", b"AUTH PLAIN AA=x", b"AUTH PLAIN YWJj", b"AUTH EXTERNAL", b"%", b"NOOP",
        ),
    ),
    "smtp: bare line feeds": ("smtp", raw(b"NOOP\nNOOP\rX\nNOOP\r\nQUIT\n")),
    "smtp: AUTH PLAIN": ("smtp", closing(smtp(b"EHLO c.example", b"AUTH PLAIN " + ALICE, b"NOOP", b"QUIT"))),
    "smtp: AUTH LOGIN": ("smtp", closing(smtp(b"HELO c.example", b"AUTH LOGIN", b64("alice"), b64("secret"), b"QUIT"))),
    "smtp: AUTH before hello": ("smtp", closing(smtp(b"AUTH PLAIN", ALICE + b" junk", b"QUIT"))),
    "smtp: odd login": (
        "smtp_auth", closing(smtp(b"EHLO c", b"AUTH PLAIN " + plain("two words", USERS["two words"]), b"QUIT"))
    ),
    "smtp: 8-bit login": (
        "smtp_auth", closing(smtp(b"EHLO c", b"AUTH PLAIN " + plain("köbi", USERS["köbi"]), b"QUIT"))
    ),
    "smtp: xclient off": ("smtp_plainly", closing(smtp(b"EHLO c.example", b"AUTH PLAIN " + ALICE, b"QUIT"))),
    "smtp: xclient off, no hello": ("smtp_plainly", closing(smtp(b"AUTH PLAIN " + ALICE, b"QUIT"))),
    "smtp: proxy_smtp_auth": ("smtp_auth", closing(smtp(b"EHLO c.example", b"AUTH PLAIN " + ALICE, b"QUIT"))),
    "smtp: proxy_smtp_auth, HELO": (
        "smtp_auth_plainly", closing(smtp(b"HELO c.example", b"AUTH LOGIN " + b64("alice"), b64("secret"), b"QUIT"))
    ),
    "smtp: EHLO is remembered": ("smtp_auth", closing(smtp(b"EHLO a", b"HELO b", b"AUTH PLAIN " + ALICE, b"QUIT"))),
    "smtp: no login": (
        "smtp_none",
        closing(smtp(b"EHLO c", b"mail  from:<a@b>  SIZE=1  ", b"MAIL FROM:<x@y>", b"RCPT", b"RCPT TO:<c@d>", b"QUIT")),
    ),
    "smtp: no login, no hello": ("smtp_none", closing(smtp(b"MAIL FROM:<>", b"RCPT TO:<c@d>", b"NOOP", b"QUIT"))),
    "smtp: no login, xclient off": (
        "smtp_none_plainly", closing(smtp(b"HELO c", b"MAIL FROM:<>", b"RCPT TO:<c@d>", b"RCPT TO:<e@f>", b"QUIT"))
    ),
    "smtp: login beside none": ("smtp_none", closing(smtp(b"EHLO c", b"AUTH PLAIN " + ALICE, b"QUIT"))),
    "smtp: wrong password": ("smtp", closing(smtp(b"EHLO c", b"AUTH PLAIN " + plain("alice", "wrong")))),
    "smtp: second attempt": (
        "smtp_retry",
        closing(smtp(b"EHLO c", b"AUTH PLAIN " + plain("alice", "wrong"), b"NOOP", b"AUTH PLAIN " + ALICE, b"QUIT")),
    ),
    "smtp: pipelined login": ("smtp", raw(b"EHLO c\r\nAUTH PLAIN ", ALICE, b"\r\nNOOP\r\nQUIT\r\n")),
    "pop3: capabilities": ("pop3", closing(pop3(b"CAPA", b"AUTH", b"NOOP", b"capa", b"QUIT now please"))),
    "pop3: configured capabilities": ("pop3_apop", closing(pop3(b"CAPA", b"AUTH", b"QUIT"))),
    "pop3: refused": ("pop3", pop3(b"PASS x", b"USER", b"APOP a b", b"STLS", b"AUTH NTLM", b"AUTH CRAM-MD5", b"NOOP")),
    "pop3: errors": ("pop3", closing(pop3(b"STAT", b"", b" NOOP", b"TOP 1 2", b"NOOP 1 2 3 4"))),
    "pop3: USER": ("pop3", pop3(b"USER a", b"NOOP", b"CAPA", b"USER b", b"PASS x", b"USER a", b"STAT", b"PASS x")),
    "pop3: SASL": ("pop3", pop3(b"AUTH PLAIN", b"*", b"AUTH LOGIN", b"YQ==", b"!", b"AUTH PLAIN YWJj", b"NOOP")),
    "pop3: login": ("pop3", closing(pop3(b"USER alice", b"PASS secret", b"STAT", b"QUIT"))),
    "pop3: odd login": (
        "pop3", closing(pop3(b"USER  two words", b"PASS " + USERS["two words"].encode(), b"STAT", b"QUIT"))
    ),
    "pop3: AUTH PLAIN": ("pop3", closing(pop3(b"AUTH PLAIN " + ALICE, b"QUIT"))),
    "pop3: AUTH LOGIN": ("pop3", closing(pop3(b"AUTH LOGIN", b64("köbi"), b64(USERS["köbi"]), b"QUIT"))),
    "pop3: wrong password": ("pop3", closing(pop3(b"USER alice", b"PASS wrong"))),
    "pop3: wrong APOP": ("pop3_apop", closing(pop3(b"APOP alice 0123456789abcdef0123456789abcdef"))),
    "imap: capabilities": ("imap", closing(imap(b"a CAPABILITY", b"b noop", b"C.1 NOOP x y", b"d LOGOUT"))),
    "imap: configured capabilities": ("imap_all", closing(imap(b"a CAPABILITY", b"b LOGOUT"))),
    "imap: refused": (
        "imap",
        imap(
            b"a LOGIN", b"a LOGIN x", b"a LOGIN x y z", b"a AUTHENTICATE", b"a AUTHENTICATE NTLM", b"a STARTTLS",
            b"a AUTHENTICATE CRAM-MD5", b'a LOGIN "" x',
        ),
    ),
    "imap: errors": ("imap", closing(imap(b"a ID NIL", b"b ", b"*", b"c NOOP 1 2 3 4", b"NOOP"))),
    "imap: SASL": (
        "imap_all",
        imap(
            b"a AUTHENTICATE PLAIN", b"*", b"b AUTHENTICATE LOGIN", b"YQ==", b"!", b"c AUTHENTICATE PLAIN YWJj",
            b"d AUTHENTICATE EXTERNAL", b"!", b"e NOOP",
        ),
    ),
    "imap: LOGIN": ("imap", closing(imap(b"a LOGIN alice secret", b"b NOOP", b"c LOGOUT"))),
    "imap: quoted LOGIN": (
        "imap", closing(imap(rb'a LOGIN "two words" "pass \"word\" 100%"', b"b LOGOUT"))
    ),
    "imap: literal LOGIN": (
        "imap", closing(imap(b"a LOGIN {9}", b"two words {16}", USERS["two words"].encode(), b"b LOGOUT"))
    ),
    "imap: literal+ LOGIN": ("imap", closing(imap(b"a LOGIN {5+}\r\nalice {6+}\r\nsecret", b"b LOGOUT"))),
    "imap: AUTHENTICATE PLAIN": ("imap", closing(imap(b"a AUTHENTICATE PLAIN", ALICE, b"b NOOP", b"c LOGOUT"))),
    "imap: AUTHENTICATE LOGIN": (
        "imap", closing(imap(b"a1 AUTHENTICATE LOGIN", b64("köbi"), b64(USERS["köbi"]), b"b LOGOUT"))
    ),
    "imap: wrong password": ("imap", closing(imap(b"a LOGIN alice wrong"))),
    "imap: pipelined login": ("imap", raw(b"a NOOP\r\nb LOGIN alice secret\r\nc NOOP\r\nd LOGOUT\r\n")),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(proxy_directories: Callable[[], Path], certificates: Certificates) -> Iterator[World]:
    with open_world(proxy_directories, certificates, USERS, SERVERS) as world:
        yield world


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_the_same_as_with_nginx(world: World, name: str) -> None:
    server, conversation = SESSIONS[name]
    world.compare(server, conversation)
