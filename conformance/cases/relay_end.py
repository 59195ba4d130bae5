"""How a relay ends: end of file, reset, proxy_timeout (proxy rules, sections 9.2 and 9.3)."""

from __future__ import annotations

import socket

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.relay_data import blocks, digest
from conformance.dialogues import LOGGED_IN, PROTOCOLS, Relay, admitted, greeted, log_in, serve_login
from conformance.fakes.peer import Peer

__all__: list[str] = []

MUCH = 4 << 20  # octets; more than a proxy holds, and the kernel's buffers are likely to


def ends(relay: Relay, side: str) -> tuple[Peer, Peer]:
    """The end that is named, and the other."""
    return (relay.client, relay.backend) if side == "client" else (relay.backend, relay.client)


def _half_close(side: str) -> Script:
    async def script(bench: Bench) -> None:
        ending, other = ends(await log_in(bench), side)
        await ending.send(b"last words, half a li")
        await ending.send_eof()
        await other.expect(b"last words, half a li")
        await other.expect_eof()
        await other.send(b"too late\r\n")
        await ending.expect_eof()

    return script


def _close(side: str) -> Script:
    async def script(bench: Bench) -> None:
        ending, other = ends(await log_in(bench), side)
        await ending.send_last(b"bye\r\n")
        await other.expect(b"bye\r\n")
        await other.expect_eof()

    return script


def _reset(side: str) -> Script:
    async def script(bench: Bench) -> None:
        ending, other = ends(await log_in(bench), side)
        await ending.reset()
        await other.expect_eof()

    return script


def _undelivered(side: str) -> Script:
    """All of it is sent, and the end of file, before the other side begins to read."""

    async def script(bench: Bench) -> None:
        ending, other = ends(await log_in(bench), side)

        async def say_all() -> None:
            await ending.pour(blocks(5, MUCH))
            await ending.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_all)
            await other.send(b"ping\r\n")
            await ending.expect(b"ping\r\n")
            bench.check(f"the digest of {MUCH} octets", await other.soak(MUCH), digest(5, MUCH))
            await other.expect_eof()
            await ending.expect_eof()

    return script


def _other_direction_is_dropped(side: str) -> Script:
    """The end of file of one side ends the relay although the other side's octets are stuck at it."""

    async def script(bench: Bench) -> None:
        ending, other = ends(await log_in(bench), side)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.pour, blocks(6, 64 << 20))
            await ending.exactly(100)  # it flows
            await ending.send(b"bye\r\n")
            await ending.send_eof()
            await other.expect(b"bye\r\n")
            await other.expect_eof()
        bench.check("whether all octets were taken", other.poured == 64 << 20, False)

    return script


for protocol, words in PROTOCOLS.items():
    for side in ("client", "backend"):
        case(
            f"{protocol}/relay-end/{side}-half-closes",
            "what was sent is delivered, then both connections are closed; an answer is lost",
            rules="PROXY-79 PROXY-76 PROXY-80",
            block=words.block,
        )(_half_close(side))
        case(
            f"{protocol}/relay-end/{side}-closes",
            "the last octets are delivered, and nothing else before the end",
            rules="PROXY-76 PROXY-80",
            block=words.block,
        )(_close(side))
        case(
            f"{protocol}/relay-end/{side}-resets",
            "a reset of one connection ends the other",
            rules="PROXY-77 PROXY-80",
            block=words.block,
        )(_reset(side))
for side in ("client", "backend"):
    case(
        f"imap/relay-end/{side}-half-closes-behind-megabytes",
        "all octets before the end of file are delivered, however late the other side reads them",
        rules="PROXY-78 PROXY-76",
        block=PROTOCOLS["imap"].block,
        limit=30,
        alone=True,
    )(_undelivered(side))
    case(
        f"imap/relay-end/{side}-half-closes-while-the-other-sends",
        "the end of file of one side is the end, although the other side still has much to say",
        rules="PROXY-79 PROXY-76",
        block=PROTOCOLS["imap"].block,
        limit=30,
        alone=True,
    )(_other_direction_is_dropped(side))


# proxy_timeout.

THREE_SECONDS = "proxy_timeout 3s;"
PAUSE = 2


async def _expires(bench: Bench, relay: Relay, began: float, least: float) -> None:
    """Both ends are closed without a word."""
    await relay.client.expect_eof()
    await relay.backend.expect_eof()
    bench.check_duration("the close", began, least, least + 1.7)


def _idle() -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        await _expires(bench, await log_in(bench), began, 1)

    return script


def _renewed_by(side: str) -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        began = trio.current_time()
        source, sink = ends(relay, side)
        await bench.silence(PAUSE)
        await source.send(b"x")
        await sink.expect(b"x")
        await _expires(bench, relay, began, PAUSE + 3)

    return script


def _renewed_by_reading(slow: str) -> Script:
    """Octets are stuck at a side that reads again after a while, which alone renews."""

    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        began = trio.current_time()
        sink, source = ends(relay, slow)
        sink.socket_stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        # More than the target's own socket takes, and soon read; a backend's reading alone renews only by our rule,
        # so there the client always has more to send, which is read then.
        total = (8 if slow == "client" else 32) << 20
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.pour, blocks(7, total))
            await bench.silence(PAUSE)
            await sink.soak(total)
        await relay.client.expect_eof()
        await relay.backend.expect_eof()
        bench.check_duration("the close", began, PAUSE + 3)

    return script


def _zero() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        await serve_login(bench, backend)
        await client.expect(LOGGED_IN[bench.protocol])
        await client.expect_eof()
        await backend.expect_eof()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/relay-end/idle-until-proxy-timeout",
        "an idle relay is closed at proxy_timeout, without a word",
        rules="PROXY-82 PROXY-85 imap:IMAP-99 pop3:POP3-58",
        directives="proxy_timeout",
        block=Block(protocol, "proxy_timeout 1s;"),
    )(_idle())
    case(
        f"{protocol}/relay-end/proxy-timeout-renewed-by-client",
        "what the client sends renews proxy_timeout",
        rules="PROXY-82 PROXY-83 imap:IMAP-99 pop3:POP3-58",
        directives="proxy_timeout",
        block=Block(protocol, THREE_SECONDS),
    )(_renewed_by("client"))
    case(
        f"{protocol}/relay-end/proxy-timeout-renewed-by-backend",
        "what the backend sends renews proxy_timeout",
        rules="PROXY-84 PROXY-83 imap:IMAP-99 pop3:POP3-58",
        directives="proxy_timeout",
        block=Block(protocol, THREE_SECONDS),
    )(_renewed_by("backend"))
    case(
        f"{protocol}/relay-end/proxy-timeout-of-zero",
        "with proxy_timeout 0 the client reads its last login reply, and the end",
        rules="PROXY-86",
        directives="proxy_timeout",
        block=Block(protocol, "proxy_timeout 0;"),
    )(_zero())
case(
    "imap/relay-end/proxy-timeout-renewed-by-a-client-that-reads-again",
    "a client that reads after a while renews proxy_timeout by that",
    rules="PROXY-82 PROXY-83",
    directives="proxy_timeout",
    block=Block("imap", THREE_SECONDS),
    limit=30,
    alone=True,
)(_renewed_by_reading("client"))
case(
    "imap/relay-end/proxy-timeout-renewed-by-a-backend-that-reads-again",
    "a backend that reads after a while renews proxy_timeout by that",
    rules="PROXY-82 PROXY-83",
    directives="proxy_timeout",
    block=Block("imap", THREE_SECONDS),
    limit=30,
    alone=True,
)(_renewed_by_reading("backend"))
