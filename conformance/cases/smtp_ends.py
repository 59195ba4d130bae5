"""How SMTP dialogues end: timers, clients that go (smtp rules, sections 12 and 13)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted, log_in
from conformance.rulebook import Level
from conformance.smtp_words import (
    AUTHED,
    BACKEND_GREETING,
    DENIED,
    INVALID,
    OK,
    PASSWORD_PROMPT,
    USERNAME_PROMPT,
    accept_login,
    auth_plain,
    b64,
    serve,
    settle,
    talk,
)

__all__: list[str] = []

PLAIN = Block("smtp")


# Timers.

TWO = Block("smtp", "timeout 2s;")
THREE = Block("smtp", "timeout 3s;")


def _silent(turns: tuple[tuple[bytes, bytes], ...]) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        await client.expect(SMTP.greeting)
        started = trio.current_time()
        await talk(client, *turns)
        await client.expect_eof()
        bench.check_duration("the close", started, 1.9)
        bench.no_request()

    return script


SILENT: tuple[tuple[str, str, tuple[tuple[bytes, bytes], ...]], ...] = (
    ("after-the-greeting", "after the greeting", ()),
    ("in-an-exchange", "in an exchange", ((b"AUTH LOGIN\r\n", USERNAME_PROMPT),)),
    ("after-a-command", "after a command", ((b"NOOP\r\n", OK),)),
)
for slug, what, turns in SILENT:
    case(
        f"smtp/timeout/silent-{slug}",
        f"a client that is silent {what} is closed without a word",
        rules="SMTP-107 CORE-17",
        directives="timeout",
        block=TWO,
        level=Level.VENDOR,
    )(_silent(turns))


@case(
    "smtp/timeout/part-of-a-line",
    "octets without a line end do not renew `timeout`",
    rules="SMTP-107 CORE-17",
    directives="timeout",
    block=THREE,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.expect(SMTP.greeting)
    started = trio.current_time()
    await client.send(b"NO")
    await bench.silence(2.0)
    await client.send(b"OP")
    await client.expect_eof()
    bench.check_duration("the close", started, 3.0, 4.8)


@case(
    "smtp/timeout/commands-do-not-renew-it",
    "`timeout` is a total for the dialogue, however busy the client is",
    rules="SMTP-115 CORE-17",
    directives="timeout",
    block=THREE,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.expect(SMTP.greeting)
    started = trio.current_time()
    await bench.silence(2.0)
    await talk(client, SMTP.noop)
    await client.expect_eof()
    bench.check_duration("the close", started, 3.0, 4.8)


@case(
    "smtp/timeout/renewed-by-a-refused-login",
    "after a refusal with a wait the client has the whole `timeout` again",
    rules="SMTP-107",
    directives="timeout",
    block=THREE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 2")
    await client.expect(DENIED)
    refused = trio.current_time()
    await bench.silence(1.6)  # now more than `timeout` since the greeting
    await talk(client, SMTP.noop)
    await client.expect_eof()
    bench.check_duration("the close", refused, 2.8)


@case(
    "smtp/timeout/not-while-the-auth-server-thinks",
    "`timeout` does not run while the auth server is asked",
    rules="SMTP-115 SMTP-110",
    directives="timeout",
    block=TWO,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    request = await bench.request()
    await bench.silence(2.6)
    await client.expect_nothing()
    await request.answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(DENIED)


@case(
    "smtp/timeout/bounds-the-whole-login-at-the-backend",
    "a backend that answers one step late has no more time for the next",
    rules="SMTP-112 PROXY-9",
    directives="timeout",
    block=THREE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await bench.admit()
    backend = await bench.backend()
    started = trio.current_time()
    await bench.silence(1.6)
    await backend.send(BACKEND_GREETING)
    await backend.expect(b"EHLO mx.example\r\n")
    await client.expect(b"451 4.3.2 Internal server error\r\n")
    await client.expect_eof()
    await backend.expect_eof()
    bench.check_duration("the failure", started, 2.8, 4.4)


@case(
    "smtp/timeout/not-in-the-relay",
    "`timeout` has no say once the relay has begun",
    rules="CORE-19",
    directives="timeout",
    block=TWO,
)
async def _(bench: Bench) -> None:
    relay = await log_in(bench)
    await bench.silence(2.6)
    await relay.client.send(b"late\r\n")
    await relay.backend.expect(b"late\r\n")


# Clients that go.


def _gone(turns: tuple[tuple[bytes, bytes], ...], unfinished: bytes, *, reset: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *turns)
        await client.send(unfinished)
        await (client.reset() if reset else client.close())
        await settle(bench)
        bench.no_request()
        second = await greeted(bench)  # and nobody else suffers
        await second.send(auth_plain(bench))
        request = await bench.request()
        bench.check("the password", request.password, bench.password)
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"1")

    return script


GONE: dict[str, tuple[tuple[tuple[bytes, bytes], ...], bytes]] = {
    "after-the-greeting": ((), b""),
    "in-a-command": ((), b"EHLO c.exam"),
    "in-an-exchange": (((b"AUTH LOGIN\r\n", USERNAME_PROMPT),), b""),
    "in-an-answer": (
        ((b"AUTH LOGIN\r\n", USERNAME_PROMPT), (b64(b"user") + b"\r\n", PASSWORD_PROMPT)),
        b64(b"incomplete password"),
    ),
    "in-credentials": ((), b"AUTH PLAIN AHVzZXIAcGFzcw=="),
}
for slug, (turns, unfinished) in GONE.items():
    for verb, reset in (("closes", False), ("resets", True)):
        case(
            f"smtp/end/client-{verb}-{slug}",
            f"a client that {verb} {slug.replace('-', ' ')} leads to no question to the auth server",
            rules="SMTP-118",
            block=PLAIN,
        )(_gone(turns, unfinished, reset=reset))


@case(
    "smtp/end/half-close-behind-noop",
    "a client that half-closes once its command is answered is gone",
    rules="SMTP-119",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, SMTP.noop)
    await client.send_eof()
    await client.expect_eof()


@case(
    "smtp/end/half-close-with-noop",
    "a command that comes in one packet with a half-close is answered, then the connection is closed",
    rules="SMTP-119",
    block=PLAIN,
    deviates={"nginx": "1.22 answers, but overlooks the end of file that came with the command until `timeout`"},
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send_eof(b"NOOP\r\n")
    await client.expect(OK)
    await client.expect_eof()


@case(
    "smtp/end/half-close-behind-many-commands",
    "every complete line before a half-close is answered",
    rules="SMTP-120 CORE-82",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"NOOP\r\nVRFY x\r\nRSET\r\nNOOP unfinished")
    await client.send_eof()
    await client.expect(OK + INVALID + OK)
    await client.expect_eof()


@case(
    "smtp/end/half-close-behind-credentials",
    "a login before a half-close is carried through",
    rules="SMTP-121",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await client.send_eof()
    await accept_login(bench)
    await client.expect(AUTHED)
    await client.expect_eof()


@case(
    "smtp/end/half-close-at-once",
    "a half-close instead of a command closes without a word",
    rules="SMTP-118",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send_eof()
    await client.expect_eof()


@case(
    "smtp/end/reset-while-the-auth-server-thinks",
    "a reset by the client gives up the question to the auth server",
    rules="CORE-83 SMTP-91",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    request = await bench.request()
    await client.reset()
    await request.peer.expect_eof()
    await settle(bench)
    bench.no_backend()


@case(
    "smtp/end/reset-during-the-login-at-the-backend",
    "a reset by the client gives up the login at the backend",
    rules="CORE-83 PROXY-3",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await bench.admit()
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(backend, (b"EHLO mx.example\r\n", b"250-not yet\r\n"))
    await client.reset()
    await backend.expect_eof()
