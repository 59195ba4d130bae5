"""Answers of the auth server that end early, come late or never, and clients that go away meanwhile (section 4)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.auth_answers import ERROR, OK, SHORT, concluded, filled
from conformance.dialogues import PROTOCOLS, asked, failure, greeted
from conformance.rulebook import Level

__all__: list[str] = []

# Connections that end early.

ENDS: dict[str, tuple[str, bytes, str, Level]] = {
    # slug: what, octets before the end, rules, level
    "before-any-octet": ("nothing", b"", "AUTH-46", Level.VENDOR),
    "in-the-status-line": ("half a status line", b"HTTP/1.0 20", "AUTH-46", Level.OURS),
    "in-the-headers": ("a complete header that would let the client in", OK + b"{route}\r\n", "AUTH-46", Level.OURS),
    "before-the-last-octet": ("everything but the last octet", OK + b"{route}\r\n\r", "AUTH-46", Level.OURS),
    "after-a-refusal-without-end": ("a refusal without the empty line", b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n",
                                    "AUTH-46", Level.OURS),
}  # fmt: skip


def _end(octets: bytes, how: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        if how == "reset":
            await request.send(filled(bench, octets))
            await request.peer.reset()
        else:
            await request.peer.send_last(filled(bench, octets))
        await concluded(bench, client, ERROR)

    return script


for slug, (what, octets, rules, level) in ENDS.items():
    for how in ("closed",) if octets else ("closed", "reset"):
        case(
            f"smtp/auth-answer/{how}-{slug}",
            f"the connection is {how} after {what}: internal error at once",
            rules=rules,
            block=Block("smtp"),
            level=level,
        )(_end(octets, how))

for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-answer/closed-without-an-answer",
        "the internal error of the protocol, and a close",
        rules="AUTH-60 AUTH-46 smtp:SMTP-87",
        block=Block(protocol),
    )(_end(b"", "closed"))


def _unreachable() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(PROTOCOLS[bench.protocol].auth + bench.plain64 + b"\r\n")
        await concluded(bench, client, ERROR)

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-answer/connection-refused",
        "nobody listens where the auth server should be: internal error at once",
        rules="AUTH-38 AUTH-60 smtp:SMTP-87",
        block=Block(protocol, "auth_http 127.0.0.1:1;"),
        directives="auth_http",
    )(_unreachable())
case(
    "smtp/auth-answer/unix-socket-missing",
    "the UNIX socket of the auth server does not exist: internal error at once",
    rules="AUTH-38 AUTH-60",
    block=Block("smtp", "auth_http unix:{auth_unix}.none;"),
    directives="auth_http",
)(_unreachable())


# Deadlines.


def _silent(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        began = trio.current_time()
        request = await asked(bench, client)
        await request.send(filled(bench, octets))
        await concluded(bench, client, ERROR)
        bench.check_duration("the error", began, 1)
        await request.peer.expect_eof()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-answer/silence-until-the-timeout",
        "no answer within auth_http_timeout: internal error, and the auth server's connection is closed",
        rules="AUTH-36 AUTH-35 AUTH-60 smtp:SMTP-87 AUTH-2",
        block=Block(protocol, "auth_http_timeout 1s;"),
        directives="auth_http_timeout",
    )(_silent(b""))
case(
    "smtp/auth-answer/no-empty-line-until-the-timeout",
    "headers without their empty line are no answer",
    rules="AUTH-36 AUTH-41",
    block=SHORT,
    directives="auth_http_timeout",
)(_silent(OK + b"{route}\r\n"))


@case(
    "smtp/auth-answer/dribbling-does-not-extend-the-timeout",
    "an answer in pieces is cut off at auth_http_timeout, counted from the connect",
    rules="AUTH-35 AUTH-36",
    block=Block("smtp", "auth_http_timeout 4s;"),
    directives="auth_http_timeout",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    began = trio.current_time()
    request = await asked(bench, client)
    await request.send(b"HTTP/1.0 200 OK\r\n")
    await bench.silence(3)
    await request.send(filled(bench, b"Auth-Status: OK\r\n{route}\r\n"))
    await concluded(bench, client, ERROR)
    bench.check_duration("the error", began, 4, 6.4)


@case(
    "smtp/auth-answer/timeout-of-zero-fails-every-login",
    "auth_http_timeout 0 means at once, not never",
    rules="AUTH-35 AUTH-36 CONF-28",
    block=Block("smtp", "auth_http_timeout 0;"),
    directives="auth_http_timeout",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH PLAIN " + bench.plain64 + b"\r\n")
    await client.expect(PROTOCOLS["smtp"].internal_error)
    await client.expect_eof()
    bench.no_backend()  # whether the auth server was reached is nobody's promise


# The client meanwhile.


def _pipelined() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        words = PROTOCOLS[bench.protocol]
        await client.send(words.auth + bench.plain64 + b"\r\n" + words.noop[0])
        request = await bench.request()
        await request.answer("Auth-Status: no", "Auth-Wait: 1")
        await client.expect(failure(bench.protocol, b"no"))
        await client.expect(words.noop[1])

    return script


def _half_closed() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await client.send_eof()
        await bench.admit(request=request)
        await bench.backend()

    return script


def _reset() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await client.reset()
        await request.peer.expect_eof()
        bench.no_backend()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-answer/commands-wait-for-the-answer",
        "a command behind the credentials is answered after their failure",
        rules="AUTH-66 AUTH-37",
        block=Block(protocol),
    )(_pipelined())
    case(
        f"{protocol}/auth-answer/half-close-does-not-cancel",
        "a client that half-closes while the auth server thinks is still logged in",
        rules="AUTH-37 CORE-83",
        block=Block(protocol),
        level=Level.VENDOR,
    )(_half_closed())
    case(
        f"{protocol}/auth-answer/reset-cancels-the-request",
        "a client that resets its connection takes the request with it",
        rules="AUTH-37 CORE-83",
        block=Block(protocol),
    )(_reset())
