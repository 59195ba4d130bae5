"""`timeout`, before and during the login (CORE-17 to CORE-20)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import PROTOCOLS, asked, failure, greeted
from conformance.fakes.dns_server import no_answer
from conformance.fakes.peer import Peer
from conformance.rulebook import Level

__all__: list[str] = []

# Long enough that a busy machine neither misses a deadline of 3 s nor makes one look renewed.
PAUSE = 2
AUTH_LOGIN = {"smtp": (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
              "imap": (b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
              "pop3": (b"AUTH LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n")}  # fmt: skip


async def dropped(bench: Bench, client: Peer, began: float, after: float) -> None:
    """The client is dropped without a word, so long after; a renewed deadline would come later."""
    await client.expect_eof()
    bench.check_duration("the close", began, after, after + 1.7)
    bench.no_request()


def _silent() -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        client = await greeted(bench)
        await dropped(bench, client, began, 1)

    return script


def _not_renewed(what: str) -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        client = await greeted(bench)
        words = PROTOCOLS[bench.protocol]
        await bench.silence(PAUSE)
        match what:
            case "commands":
                await client.send(words.noop[0] + words.invalid[0])
                await client.expect(words.noop[1] + words.invalid[1])
            case "challenges":
                await client.send(AUTH_LOGIN[bench.protocol][0])
                await client.expect(AUTH_LOGIN[bench.protocol][1])
            case _:
                await client.send(words.noop[0][:3])
        await dropped(bench, client, began, 3)

    return script


def _zero() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.expect_eof()

    return script


def _suspended() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await bench.silence(2.5)
        began = trio.current_time()
        await request.answer("Auth-Status: no", "Auth-Wait: 1")
        await client.expect(failure(bench.protocol, b"no"))
        words = PROTOCOLS[bench.protocol]
        await client.send(words.noop[0])
        await client.expect(words.noop[1])
        await dropped(bench, client, began, 1 + 2)

    return script


def _slow_auth() -> Script:
    """A login whose answer is slow, although the deadline of the dialogue was nearly over when it began."""

    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await bench.silence(PAUSE)
        request = await asked(bench, client)
        await bench.silence(1.5)
        began = trio.current_time()
        await bench.admit(request=request)
        backend = await bench.backend()
        await client.expect(PROTOCOLS[bench.protocol].internal_error)
        await client.expect_eof()
        await backend.expect_eof()
        bench.check_duration("the error", began, 3)

    return script


for protocol in PROTOCOLS:
    one, three = Block(protocol, "timeout 1s;"), Block(protocol, "timeout 3s;")
    case(
        f"{protocol}/timeout/silent-client",
        "a client that says nothing is dropped at `timeout` without a word",
        rules="CORE-17 imap:IMAP-78 pop3:POP3-71",
        level=Level.VENDOR,
        directives="timeout",
        block=one,
    )(_silent())
    for what in ("commands", "challenges", "half-lines"):
        case(
            f"{protocol}/timeout/{what}-do-not-renew",
            f"`timeout` counts from the greeting: {what.replace('-', ' ')} do not renew it",
            rules="CORE-17 imap:IMAP-78 pop3:POP3-71",
            level=Level.VENDOR,
            directives="timeout",
            block=three,
        )(_not_renewed(what))
    case(
        f"{protocol}/timeout/zero",
        "with `timeout 0` the greeting is all",
        rules="CORE-18 CONF-28",
        directives="timeout",
        block=Block(protocol, "timeout 0;"),
    )(_zero())
    case(
        f"{protocol}/timeout/suspended-while-the-auth-server-thinks",
        "`timeout` does not run during the request, and starts anew with the failure",
        rules="AUTH-65 CORE-17 imap:IMAP-79 pop3:POP3-71",
        directives="timeout",
        block=Block(protocol, "timeout 2s;"),
        limit=15,
    )(_suspended())
    case(
        f"{protocol}/timeout/starts-anew-for-the-backend",
        "the backend has all of `timeout`, however little the dialogue had left",
        rules="PROXY-9 CORE-17",
        directives="timeout",
        block=three,
        limit=15,
    )(_slow_auth())


# Before the greeting.


def _no_header(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        client = await bench.client()
        await client.send(octets)
        await dropped(bench, client, began, 1)

    return script


def _afresh(protocol: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        await bench.silence(PAUSE)
        began = trio.current_time()
        await client.send(b"PROXY UNKNOWN\r\n")
        await client.expect(PROTOCOLS[protocol].greeting)
        await bench.silence(PAUSE)
        await client.send(PROTOCOLS[protocol].noop[0])
        await client.expect(PROTOCOLS[protocol].noop[1])
        await dropped(bench, client, began, 3)

    return script


TLS = "ssl_certificate {certificate}; ssl_certificate_key {certificate};"
for protocol in PROTOCOLS:
    case(
        f"{protocol}/timeout/no-proxy-header",
        "a client that sends no PROXY header is dropped at `timeout`, without a greeting",
        rules="CORE-17 CORE-60",
        level=Level.VENDOR,
        directives="timeout",
        block=Block(protocol, "timeout 1s;", listen="proxy_protocol"),
    )(_no_header(b""))
    case(
        f"{protocol}/timeout/no-tls-handshake",
        "a client that does not shake hands is dropped at `timeout`, without an octet",
        rules="CORE-17",
        level=Level.VENDOR,
        directives="timeout",
        block=Block(protocol, f"timeout 1s; {TLS}", listen="ssl"),
    )(_no_header(b""))
    case(
        f"{protocol}/timeout/starts-anew-at-the-greeting",
        "the wait for a PROXY header is not taken from the dialogue",
        rules="CORE-17",
        level=Level.VENDOR,
        directives="timeout",
        block=Block(protocol, "timeout 3s;", listen="proxy_protocol"),
        limit=15,
    )(_afresh(protocol))
case(
    "smtp/timeout/half-a-proxy-header",
    "half a PROXY header does not help",
    rules="CORE-17 CORE-61",
    directives="timeout",
    block=Block("smtp", "timeout 1s;", listen="proxy_protocol"),
)(_no_header(b"PROXY TCP4 192.0.2.1"))


@case(
    "smtp/timeout/does-not-run-during-the-host-lookup",
    "a name server that is silent for longer than `timeout` only delays the greeting",
    rules="CORE-17 CORE-37",
    level=Level.VENDOR,
    directives="timeout resolver_timeout",
    block=Block("smtp", "timeout 1s; resolver {dns}; resolver_timeout 2s;"),
)
async def _(bench: Bench) -> None:
    bench.say_ptr(no_answer)
    began = trio.current_time()
    client = await greeted(bench)
    bench.check_duration("the greeting", began, 2)
    await client.send(b"NOOP\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await dropped(bench, client, began, 2 + 1)


@case(
    "smtp/timeout/starttls-does-not-renew",
    "the handshake of STARTTLS is inside the same `timeout`",
    rules="CORE-17",
    level=Level.VENDOR,
    directives="timeout starttls",
    block=Block("smtp", f"timeout 3s; starttls on; {TLS}"),
)
async def _(bench: Bench) -> None:
    began = trio.current_time()
    client = await greeted(bench)
    await bench.silence(PAUSE)
    await client.send(b"STARTTLS\r\n")
    await client.expect(b"220 2.0.0 Start TLS\r\n")
    await client.start_tls(bench.trusting(), "mx.example")
    await client.send(b"NOOP\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await dropped(bench, client, began, 3)
