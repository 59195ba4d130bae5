"""Refusals: what the client reads, when, and what it may try then (auth_http rules, sections 7, 8 and 10)."""

from __future__ import annotations

from base64 import b64encode

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import LOGGED_IN, PROTOCOLS, asked, failure, greeted, serve_login
from conformance.fakes.peer import Peer
from conformance.rulebook import Level

__all__: list[str] = []


# One refusal.

REFUSALS: dict[str, tuple[str, tuple[bytes, ...], bytes, bytes, str]] = {
    # slug: what, the answer's lines, the text for the client, SMTP's code, rules
    "text-is-copied-raw": ("octets above ASCII, quotes and a NUL stay", (b'Auth-Status: [X] "a" %41 \xe9\0',),
                           b'[X] "a" %41 \xe9\0', b"535 5.7.0", "AUTH-62 AUTH-61 imap:IMAP-5"),
    "text-of-900-octets": ("a long text is not cut", (b"Auth-Status: " + b"t" * 900,), b"t" * 900, b"535 5.7.0",
                           "AUTH-62 AUTH-61"),
    "error-code": ("a code of the auth server's choice", (b"Auth-Status: later", b"Auth-Error-Code: 454 4.7.0"),
                   b"later", b"454 4.7.0", "AUTH-53 SASL-76"),
    "error-code-empty": ("an empty code is none", (b"Auth-Status: no", b"Auth-Error-Code:"), b"no", b"535 5.7.0",
                         "AUTH-53 SASL-76"),
    "route-is-no-matter": ("a route does not help", (b"Auth-Status: no", b"Auth-Server: 127.0.0.1", b"Auth-Port: 1"),
                           b"no", b"535 5.7.0", "AUTH-62 imap:IMAP-5"),
    "sasl-error-for-plain": ("Auth-Error-SASL counts for OAuth only", (b"Auth-Status: no", b"Auth-Error-SASL: e30="),
                             b"no", b"535 5.7.0", "AUTH-54 AUTH-88"),
    "wait-zero": ("a wait of 0 is none", (b"Auth-Status: no", b"Auth-Wait: 0"),
                  b"no", b"535 5.7.0", "AUTH-52 AUTH-62 SASL-73"),
    "wait-with-unit": ("a wait with a unit is none", (b"Auth-Status: no", b"Auth-Wait: 1s"), b"no", b"535 5.7.0",
                       "AUTH-52 AUTH-62 SASL-73"),
    "wait-negative": ("a negative wait is none", (b"Auth-Status: no", b"Auth-Wait: -1"), b"no", b"535 5.7.0",
                      "AUTH-52 AUTH-62 SASL-73"),
    "wait-empty": ("an empty wait is none", (b"Auth-Status: no", b"Auth-Wait:"), b"no", b"535 5.7.0",
                   "AUTH-52 AUTH-62"),
}  # fmt: skip


def _refusal(lines: tuple[bytes, ...], text: bytes, code: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await request.answer(*lines)
        await client.expect(failure(bench.protocol, text, code))
        await client.expect_eof()
        bench.no_backend()
        bench.no_request()

    return script


for slug, (what, lines, text, code, rules) in REFUSALS.items():
    for protocol in PROTOCOLS if not slug.startswith("wait") else ("smtp",):
        case(f"{protocol}/auth-failure/{slug}", f"{what}; then the connection is closed", rules=rules,
             block=Block(protocol))(_refusal(lines, text, code))  # fmt: skip


# A refusal with Auth-Wait leaves the connection open.


def _retry() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        for attempt in (1, 2, 3):
            request = await asked(bench, client, password=b"guess-%d" % attempt)
            bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"%d" % attempt)
            bench.check("Auth-Pass", request.password, b"guess-%d" % attempt)
            began = trio.current_time()
            await request.answer(f"Auth-Status: no {attempt}", "Auth-Wait: 1")
            await client.expect(failure(bench.protocol, b"no %d" % attempt))
            bench.check_duration("the failure", began, 1)
        await client.send(PROTOCOLS[bench.protocol].noop[0])
        await client.expect(PROTOCOLS[bench.protocol].noop[1])
        request = await asked(bench, client)
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"4")
        await bench.admit(request=request)
        await serve_login(bench, await bench.backend())
        await client.expect(LOGGED_IN[bench.protocol])

    return script


def _then_closed() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await request.answer("Auth-Status: first", "Auth-Wait: 1")
        await client.expect(failure(bench.protocol, b"first"))
        request = await asked(bench, client)
        await request.answer("Auth-Status: last")
        await client.expect(failure(bench.protocol, b"last"))
        await client.expect_eof()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-failure/retries-are-delayed-and-counted",
        "each failure comes after Auth-Wait, the attempts count up, the last one gets in; max_errors plays no part",
        rules="AUTH-65 AUTH-68 AUTH-20 AUTH-69 smtp:SMTP-111 AUTH-11",
        block=Block(protocol, "max_errors 1;"),
        directives="max_errors",
        limit=20,
    )(_retry())
    case(
        f"{protocol}/auth-failure/wait-of-an-earlier-answer-is-forgotten",
        "a second refusal without Auth-Wait closes the connection",
        rules="AUTH-62 AUTH-65",
        block=Block(protocol),
    )(_then_closed())


@case(
    "pop3/auth-failure/user-is-needed-again",
    "after a failure PASS alone is no command, and both lines of a new login are used; all in one packet",
    rules="AUTH-66 AUTH-67",
    block=Block("pop3"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"USER u\r\nPASS p\r\nPASS p1\r\nUSER u2\r\nPASS p2\r\n")
    request = await bench.request()
    await request.answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(b"+OK\r\n-ERR no\r\n-ERR invalid command\r\n+OK\r\n")
    request = await bench.request()
    bench.check("Auth-User", request["Auth-User"], b"u2")
    bench.check("Auth-Pass", request["Auth-Pass"], b"p2")
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")


@case(
    "smtp/auth-failure/envelope-is-kept",
    "without AUTH a further RCPT after a refused one is the next attempt, with the same HELO and MAIL",
    rules="AUTH-67 AUTH-68",
    level=Level.VENDOR,
    block=Block("smtp", "smtp_auth none;"),
    directives="smtp_auth",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"HELO me.example\r\n")
    await client.expect(b"250 mx.example\r\n")
    await client.send(b"MAIL FROM:<a@b>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    for attempt in (b"1", b"2"):
        await client.send(b"RCPT TO:<%s@d>\r\n" % attempt)
        request = await bench.request()
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], attempt)
        bench.check("Auth-SMTP-Helo", request["Auth-SMTP-Helo"], b"me.example")
        bench.check("Auth-SMTP-From", request["Auth-SMTP-From"], b"MAIL FROM:<a@b>")
        bench.check("Auth-SMTP-To", request["Auth-SMTP-To"], b"RCPT TO:<%s@d>" % attempt)
        await request.answer("Auth-Status: no such user", "Auth-Error-Code: 550 5.1.1", "Auth-Wait: 1")
        await client.expect(b"550 5.1.1 no such user\r\n")


@case(
    "smtp/auth-failure/names-of-a-refusal-are-dropped",
    "Auth-User and Auth-Pass of a refusal do not show up in the next attempt",
    rules="AUTH-50 AUTH-51",
    block=Block("smtp", "smtp_auth none;"),
    directives="smtp_auth",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"MAIL FROM:<a@b>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    for _ in range(2):
        await client.send(b"RCPT TO:<c@d>\r\n")
        request = await bench.request()
        bench.check("Auth-User", request["Auth-User"], b"")
        bench.check("Auth-Pass", request["Auth-Pass"], b"")
        await request.answer("Auth-Status: no", "Auth-Wait: 1", "Auth-User: other", "Auth-Pass: secret")
        await client.expect(b"535 5.7.0 no\r\n")


# OAuth: a challenge before the failure.

OAUTH: dict[str, tuple[bytes, bytes]] = {
    # mechanism: the token, what the client answers to the challenge
    "xoauth2": (b"user=u\1auth=Bearer t\1\1", b""),
    "oauthbearer": (b"n,a=u,\1auth=Bearer t\1\1", b"AQ=="),
}


ANSWERED = {"xoauth2": "SMTP-94", "oauthbearer": "SMTP-95"}
"""The rule of SMTP about the answer to the challenge."""


def oauth_block(protocol: str, more: str = "") -> Block:
    """A block with both mechanisms."""
    return Block(protocol, f"{protocol}_auth plain xoauth2 oauthbearer;{more}")


async def _challenged(bench: Bench, client: Peer, mechanism: str, *lines: str) -> None:
    """Be refused, and read the challenge."""
    verb = b"a AUTHENTICATE " if bench.protocol == "imap" else b"AUTH "
    await client.send(verb + mechanism.upper().encode() + b" " + b64encode(OAUTH[mechanism][0]) + b"\r\n")
    request = await bench.request()
    await request.answer("Auth-Status: expired", "Auth-Error-SASL: eyJzIjoiNDAxIn0=", *lines)
    await client.expect((b"334 " if bench.protocol == "smtp" else b"+ ") + b"eyJzIjoiNDAxIn0=\r\n")


def invalid(protocol: str) -> bytes:
    """The invalid command line, with the tag of the AUTHENTICATE."""
    return PROTOCOLS[protocol].invalid[1].replace(b"x BAD", b"a BAD")


def _challenge(mechanism: str, line: bytes, *, proper: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await _challenged(bench, client, mechanism)
        await client.send(line + b"\r\n")
        await client.expect(failure(bench.protocol, b"expired") if proper else invalid(bench.protocol))
        await client.expect_eof()
        bench.no_backend()

    return script


def _challenge_and_wait(mechanism: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        began = trio.current_time()
        await _challenged(bench, client, mechanism, "Auth-Wait: 1")
        bench.check_duration("the challenge", began, 1)
        await client.send(OAUTH[mechanism][1] + b"\r\n")
        await client.expect(failure(bench.protocol, b"expired"))
        request = await asked(bench, client)
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")

    return script


def _challenge_and_silence() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        began = trio.current_time()
        await _challenged(bench, client, "xoauth2")
        await client.expect_eof()
        bench.check_duration("the close", began, 1)

    return script


for protocol in PROTOCOLS:
    for mechanism, (_token, line) in OAUTH.items():
        wrong = {"xoauth2": b"AQ==", "oauthbearer": b""}[mechanism]
        case(
            f"{protocol}/auth-failure/{mechanism}-challenge",
            "the client gets the auth server's challenge, and after its answer the failure and a close",
            rules=f"AUTH-83 AUTH-84 AUTH-86 AUTH-89 smtp:SMTP-93 smtp:{ANSWERED[mechanism]} smtp:SMTP-96",
            block=oauth_block(protocol),
        )(_challenge(mechanism, line, proper=True))
        case(
            f"{protocol}/auth-failure/{mechanism}-challenge-answered-wrongly",
            "any other line is an invalid command, and the end",
            rules=f"AUTH-85 AUTH-86 smtp:{ANSWERED[mechanism]} smtp:SMTP-96",
            block=oauth_block(protocol),
        )(_challenge(mechanism, wrong, proper=False))
        case(
            f"{protocol}/auth-failure/{mechanism}-challenge-with-wait",
            "with Auth-Wait the challenge is delayed and the connection stays usable",
            rules="AUTH-83 AUTH-86 AUTH-68 smtp:SMTP-93 smtp:SMTP-96",
            block=oauth_block(protocol),
        )(_challenge_and_wait(mechanism))
    case(
        f"{protocol}/auth-failure/oauthbearer-challenge-answered-with-more",
        "more than the one octet of the mechanism is no answer",
        rules="AUTH-84",
        block=oauth_block(protocol),
    )(_challenge("oauthbearer", b"AQ==zzz", proper=False))
    case(
        f"{protocol}/auth-failure/challenge-unanswered",
        "a client that says nothing after the challenge is dropped at `timeout` without a word",
        rules="AUTH-87 SASL-83",
        block=oauth_block(protocol, " timeout 1s;"),
        directives="timeout",
    )(_challenge_and_silence())
