"""Auth-Status: WAIT, after which the auth server is asked again (auth_http rules, section 9)."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import LOGGED_IN, PROTOCOLS, asked, failure, greeted, serve_login
from conformance.rulebook import Level

__all__: list[str] = []


def _asked_again(*, admit: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        first = await asked(bench, client)
        await client.send(PROTOCOLS[bench.protocol].noop[0])
        began = trio.current_time()
        await first.answer("Auth-Status: WAIT", "Auth-Wait: 1")
        second = await bench.request()
        bench.check_duration("the second request", began, 1)
        bench.check("the second request", second.raw, first.raw)
        if admit:
            await bench.admit(request=second)
            backend = await bench.backend()
            await serve_login(bench, backend)
            await client.expect(LOGGED_IN[bench.protocol])
            await backend.expect(PROTOCOLS[bench.protocol].noop[0])
        else:
            await second.answer("Auth-Status: no")
            await client.expect(failure(bench.protocol, b"no"))
            await client.expect_eof()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-wait/asked-again-and-admitted",
        "the same request comes again after Auth-Wait, unheard by the client, whose next line is for the backend",
        rules="AUTH-56 AUTH-80 AUTH-20 smtp:SMTP-86 smtp:SMTP-111",
        block=Block(protocol),
    )(_asked_again(admit=True))
    case(
        f"{protocol}/auth-wait/asked-again-and-refused",
        "a refusal after WAIT is the only thing the client reads",
        rules="AUTH-56 AUTH-80 AUTH-62",
        block=Block(protocol),
    )(_asked_again(admit=False))


@case(
    "smtp/auth-wait/answer-may-name-user-and-password",
    "Auth-User and Auth-Pass of a WAIT answer stand in the next request and go to the backend",
    rules="AUTH-56 AUTH-80 AUTH-50 AUTH-51",
    block=Block("smtp", "proxy_smtp_auth on;"),
    directives="proxy_smtp_auth",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    await request.answer("Auth-Status: WAIT", "Auth-Wait: 1", "Auth-User: new user", "Auth-Pass: new%20")
    request = await bench.request()
    bench.check("Auth-User", request["Auth-User"], b"new%20user")
    bench.check("Auth-Pass", request["Auth-Pass"], b"new%2520")
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"1")
    await bench.admit(request=request)
    backend = await bench.backend()
    await backend.send(b"220 backend.example ESMTP\r\n")
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250 backend.example\r\n")
    await backend.until(b"\r\n")
    await backend.send(b"220 ok\r\n")
    await backend.expect(b"AUTH PLAIN " + b64encode(b"\0new user\0new%20") + b"\r\n")


@case(
    "smtp/auth-wait/client-may-go",
    "a client that resets its connection during the wait is not asked about again",
    rules="AUTH-37 CORE-83",
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    await request.send(b"Auth-Status: WAIT\r\nAuth-Wait: 1\r\n\r\n")
    await request.peer.expect_eof()
    await client.reset()
    other = await greeted(bench)  # its own wait is the clock: it began later and is over later
    request = await asked(bench, other, user=b"other-" + bench.user)
    await request.answer("Auth-Status: WAIT", "Auth-Wait: 1")
    again = await bench.request()
    bench.check("the user of the next request", again.user, b"other-" + bench.user)


@case(
    "smtp/auth-wait/without-delay-is-repeated-slowly",
    "WAIT without Auth-Wait is repeated after one second, and the answer then counts",
    rules="AUTH-81 SMTP-86",
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    began = trio.current_time()
    await request.answer("Auth-Status: WAIT")
    request = await bench.request()
    bench.check_duration("the second request", began, 1)
    await bench.admit(request=request)
    await serve_login(bench, await bench.backend())
    await client.expect(LOGGED_IN["smtp"])


@case(
    "smtp/auth-wait/error-ends-it",
    "WAIT without Auth-Wait ends with a refusal",
    rules="AUTH-62 AUTH-81",
    level=Level.VENDOR,
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    await request.answer("Auth-Status: WAIT")
    request = await bench.request()
    await request.answer("Auth-Status: no")
    await client.expect(failure("smtp", b"no"))
    await client.expect_eof()


@case(
    "smtp/auth-wait/session-timeout-does-not-run",
    "the wait may be longer than `timeout`",
    rules="AUTH-56 CORE-17",
    block=Block("smtp", "timeout 1s;"),
    directives="timeout",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    await request.answer("Auth-Status: WAIT", "Auth-Wait: 2")
    await bench.admit()
    await serve_login(bench, await bench.backend())
    await client.expect(LOGGED_IN["smtp"])


@case(
    "imap/auth-wait/digest-is-sent-again",
    "with CRAM-MD5 the same digest and salt stand in the request that comes again",
    rules="AUTH-80",
    block=Block("imap", "imap_auth plain cram-md5;"),
    directives="imap_auth",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"a AUTHENTICATE CRAM-MD5\r\n")
    salt = b64decode((await client.line()).removeprefix(b"+ "))
    digest = hmac.new(bench.password, salt, "md5").hexdigest().encode()
    await client.send(b64encode(bench.user + b" " + digest) + b"\r\n")
    first = await bench.request()
    await first.answer("Auth-Status: WAIT", "Auth-Wait: 1")
    second = await bench.request()
    bench.check("the second request", second.raw, first.raw)
