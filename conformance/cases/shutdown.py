"""Signals: graceful quit, stop, reload, worker_shutdown_timeout (core rules, section 11; proxy rules, section 10)."""

from __future__ import annotations

import signal

import trio

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.dialogues import PROTOCOLS, Relay, greeted, log_in

__all__: list[str] = []

POLL = 0.02  # seconds between two looks whether a listener is gone
LIMIT = 30.0


async def refused(bench: Bench) -> None:
    """Wait until new connections are refused."""
    while True:
        try:
            client = await bench.client()
        except OSError:
            return
        await client.close()
        await trio.sleep(POLL)


async def still_relays(relay: Relay) -> None:
    """A line goes each way."""
    await relay.client.send(b"ping\r\n")
    await relay.backend.expect(b"ping\r\n")
    await relay.backend.send(b"pong\r\n")
    await relay.client.expect(b"pong\r\n")


def _graceful() -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        waiting = await greeted(bench)
        bench.running.send_signal(signal.SIGQUIT)
        await refused(bench)
        await still_relays(relay)
        words = PROTOCOLS[bench.protocol]
        await waiting.send(words.noop[0])
        await waiting.expect(words.noop[1])
        second = await log_in(bench, waiting)
        await still_relays(second)
        await relay.backend.close()
        await relay.client.expect_eof()
        await still_relays(second)
        await second.client.close()
        await second.backend.expect_eof()
        await bench.running.ended()

    return script


def _fast(number: signal.Signals) -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        waiting = await greeted(bench)
        bench.running.send_signal(number)
        for peer in (relay.client, relay.backend, waiting):
            await peer.expect_eof()
        await bench.running.ended()

    return script


def _nothing_to_do() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.close()
        bench.running.send_signal(signal.SIGQUIT)
        await bench.running.ended()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/shutdown/quit-lets-sessions-finish",
        "after SIGQUIT new clients are refused, relays go on, a client may still log in; the last one out ends it",
        rules="CORE-76 PROXY-87 PROXY-90",
        block=Block(protocol),
        needs={Needs.SIGNALS},
        alone=True,
        limit=LIMIT,
    )(_graceful())
case(
    "smtp/shutdown/quit-is-graceful-without-a-master",
    "SIGQUIT lets sessions finish, whatever master_process says",
    rules="CORE-78 CORE-76",
    block=Block("smtp"),
    main="master_process off;",
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)(_graceful())
for number in (signal.SIGTERM, signal.SIGINT):
    case(
        f"smtp/shutdown/{number.name.lower()}-closes-everything",
        f"{number.name} closes relays and dialogues at once, without a word",
        rules="CORE-75 PROXY-91",
        block=Block("smtp"),
        needs={Needs.SIGNALS},
        alone=True,
        limit=LIMIT,
    )(_fast(number))
case(
    "smtp/shutdown/quit-without-sessions",
    "SIGQUIT ends a proxy that has no sessions",
    rules="CORE-76",
    block=Block("smtp"),
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)(_nothing_to_do())


@case(
    "smtp/shutdown/reload-is-for-new-clients",
    "after SIGHUP new clients meet the new configuration, and no connect is refused; old sessions keep the old one",
    rules="CORE-79 PROXY-87",
    block=Block("smtp"),
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)
async def _(bench: Bench) -> None:
    relay = await log_in(bench)
    waiting = await greeted(bench)
    bench.running.reload("server_name mx.example;", "server_name new.example;")
    while True:
        client = await bench.client()
        greeting = await client.line()
        if greeting == b"220 new.example ESMTP ready\r\n":
            break
        bench.check("the greeting", greeting, b"220 mx.example ESMTP ready\r\n")
        await client.close()
        await trio.sleep(POLL)
    await still_relays(relay)
    await waiting.send(b"HELO c.example\r\n")
    await waiting.expect(b"250 mx.example\r\n")
    await client.send(b"HELO c.example\r\n")
    await client.expect(b"250 new.example\r\n")


@case(
    "smtp/shutdown/broken-configuration-changes-nothing",
    "a reload of a configuration with an error leaves everything as it is",
    rules="CORE-79",
    block=Block("smtp"),
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)
async def _(bench: Bench) -> None:
    relay = await log_in(bench)
    bench.running.reload("server_name mx.example;", "server_name new.example; no_such_directive;")
    await bench.running.logged("no_such_directive")
    await still_relays(relay)
    client = await bench.client()
    await client.expect(b"220 mx.example ESMTP ready\r\n")
    bench.running.reload("server_name new.example; no_such_directive;", "server_name newer.example;")
    while True:
        client = await bench.client()
        greeting = await client.line()
        if greeting == b"220 newer.example ESMTP ready\r\n":
            break
        bench.check("the greeting", greeting, b"220 mx.example ESMTP ready\r\n")
        await client.close()
        await trio.sleep(POLL)
    await still_relays(relay)


# worker_shutdown_timeout.


@case(
    "imap/shutdown/timeout-cuts-relays",
    "worker_shutdown_timeout after SIGQUIT relays are closed without a word, and the proxy ends",
    rules="PROXY-88 CORE-76",
    directives="worker_shutdown_timeout",
    block=Block("imap"),
    main="worker_shutdown_timeout 2s;",
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)
async def _(bench: Bench) -> None:
    relay = await log_in(bench)
    began = trio.current_time()
    bench.running.send_signal(signal.SIGQUIT)
    await refused(bench)
    await still_relays(relay)
    await relay.client.expect_eof()
    await relay.backend.expect_eof()
    bench.check_duration("the close", began, 2, 5)
    await bench.running.ended()


@case(
    "smtp/shutdown/timeout-cuts-relays-after-a-reload",
    "worker_shutdown_timeout after a reload the relays of the old configuration are closed, new ones are not",
    rules="PROXY-88 CORE-79",
    directives="worker_shutdown_timeout",
    block=Block("smtp"),
    main="worker_shutdown_timeout 2s;",
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)
async def _(bench: Bench) -> None:
    old = await log_in(bench)
    began = trio.current_time()
    bench.running.reload("server_name mx.example;", "server_name new.example;")
    while True:
        client = await bench.client()
        if await client.line() == b"220 new.example ESMTP ready\r\n":
            break
        await client.close()
        await trio.sleep(POLL)
    await old.client.expect_eof()
    await old.backend.expect_eof()
    bench.check_duration("the close", began, 2, 5)
    await client.send(b"NOOP\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")


@case(
    "pop3/shutdown/timeout-cuts-dialogues",
    "worker_shutdown_timeout after SIGQUIT dialogues and logins get the internal error, and the proxy ends",
    rules="CORE-77 PROXY-89",
    directives="worker_shutdown_timeout",
    block=Block("pop3"),
    main="worker_shutdown_timeout 1s;",
    needs={Needs.SIGNALS},
    alone=True,
    limit=LIMIT,
)
async def _(bench: Bench) -> None:
    waiting, asking = await greeted(bench), await greeted(bench)
    await asking.send(b"AUTH PLAIN " + bench.plain64 + b"\r\n")
    request = await bench.request()
    bench.running.send_signal(signal.SIGQUIT)
    for client in (waiting, asking):
        await client.expect(b"-ERR internal server error\r\n")
        await client.expect_eof()
    await request.peer.expect_eof()
    await bench.running.ended()
