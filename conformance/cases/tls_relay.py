"""Relays of clients in TLS, and how TLS connections end (tls rules, section 9; PROXY-72 to PROXY-81)."""

from __future__ import annotations

import hashlib
import random

import trio

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import PROTOCOLS, Relay, Words, admitted, log_in
from conformance.fakes.peer import Peer
from conformance.secured import expect_deadline, implicit, secured, starttls
from conformance.verdict import Mismatch

__all__: list[str] = []

MIB = 1024 * 1024
SIZES = {"one-octet": 1, "one-record": 16384, "more-than-a-record": 16385, "one-mebibyte": MIB}
MOST = 8 * MIB
PATIENCE = 60.0
NOTIFY_WAIT = 3.0  # seconds that the proxy waits for the client's close_notify (TLS-53)


async def relayed(bench: Bench) -> Relay:
    """A relay with a client in TLS."""
    return await log_in(bench, await secured(bench))


def some_octets(bench: Bench, count: int, what: str) -> bytes:
    """Octets that are another case's or direction's by no accident."""
    return random.Random(f"{bench.case.id} {what}").randbytes(count)


async def carry(bench: Bench, source: Peer, sink: Peer, octets: bytes, what: str) -> None:
    """Send octets from one end to the other; compare what comes out. Raises Mismatch."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.send, octets)
        found = await sink.exactly(len(octets))
    digest = hashlib.sha256(octets).hexdigest()
    bench.check(f"the digest of {len(octets)} octets to the {what}", hashlib.sha256(found).hexdigest(), digest)


def _carries(count: int) -> Script:
    async def script(bench: Bench) -> None:
        relay = await relayed(bench)
        async with trio.open_nursery() as nursery:
            up, down = some_octets(bench, count, "up"), some_octets(bench, count, "down")
            nursery.start_soon(carry, bench, relay.client, relay.backend, up, "backend")
            nursery.start_soon(carry, bench, relay.backend, relay.client, down, "client")

    return script


for words in PROTOCOLS.values():
    for slug, count in SIZES.items():
        block = starttls(words.name) if slug == "one-mebibyte" else implicit(words.name)
        case(
            f"{words.name}/tls-relay/{slug}-each-way",
            f"{count} octets go each way at once between a client in TLS and its backend, unchanged",
            rules="PROXY-72 PROXY-75",
            block=block,
            limit=PATIENCE,
        )(_carries(count))


case(
    "imap/tls-relay/eight-mebibytes-each-way",
    "8 MiB go each way at once between a client in TLS and its backend, unchanged",
    rules="PROXY-72 PROXY-74",
    block=implicit("imap"),
    limit=PATIENCE,
)(_carries(MOST))


def _delivers_before_the_end(count: int) -> Script:
    async def script(bench: Bench) -> None:
        relay = await relayed(bench)
        octets = some_octets(bench, count, "down")
        async with trio.open_nursery() as nursery:

            async def say_all() -> None:
                await relay.backend.send(octets)
                await relay.backend.close()

            nursery.start_soon(say_all)
            found = await relay.client.exactly(count)
        bench.check("whether all octets came unchanged", found == octets, True)
        await relay.client.expect_eof()
        bench.check("close_notify", relay.client.close_notify, True)

    return script


async def _ends_without_close_notify(bench: Bench) -> None:
    """The client's TCP connection just ends: no close_notify, as mail clients do it."""
    relay = await relayed(bench)
    octets = some_octets(bench, 100_000, "up")
    async with trio.open_nursery() as nursery:

        async def say_all() -> None:
            await relay.client.send(octets)
            await relay.client.send_eof()

        nursery.start_soon(say_all)
        found = await relay.backend.exactly(len(octets))
    bench.check("whether all octets came unchanged", found == octets, True)
    await relay.backend.expect_eof()


async def _ends_with_close_notify(bench: Bench) -> None:
    relay = await relayed(bench)
    await relay.client.send(b"last words\r\n")
    await relay.client.close()
    await relay.backend.expect(b"last words\r\n")
    await relay.backend.expect_eof()


async def _answers_close_notify(bench: Bench) -> None:
    relay = await relayed(bench)
    try:
        await relay.client.tls.unwrap()  # sends close_notify, and waits for the proxy's
    except trio.BrokenResourceError as broken:
        raise Mismatch("close_notify", "the end of file without it") from broken


async def _ends_with_reset(bench: Bench) -> None:
    relay = await relayed(bench)
    await relay.client.send(b"ping\r\n")
    await relay.backend.expect(b"ping\r\n")
    await relay.client.reset()
    await relay.backend.expect_eof()


async def _ends_by_timeout(bench: Bench) -> None:
    relay = await relayed(bench)
    before = trio.current_time()
    await relay.client.send(b"ping\r\n")  # begins the time anew
    await relay.backend.expect(b"ping\r\n")
    await expect_deadline(relay.client, before, 1)
    bench.check("close_notify", relay.client.close_notify, False)
    await relay.backend.expect_eof()


for words in PROTOCOLS.values():
    name = words.name
    for slug, count in {"at-once": 0, "behind-a-mebibyte": MIB}.items():
        case(
            f"{name}/tls-relay/backend-ends-{slug}",
            "what the backend sent before its end of file arrives whole, then close_notify",
            rules="PROXY-78 PROXY-81 PROXY-76",
            block=implicit(name),
            limit=PATIENCE,
        )(_delivers_before_the_end(count))
    case(
        f"{name}/tls-relay/client-ends-without-close-notify",
        "a client's TCP connection ends without close_notify: the backend gets all it sent, and the end",
        rules="PROXY-76 PROXY-78",
        block=implicit(name),
    )(_ends_without_close_notify)
    case(
        f"{name}/tls-relay/client-ends-with-close-notify",
        "close_notify of the client is its end of file",
        rules="PROXY-76 PROXY-78",
        block=implicit(name),
    )(_ends_with_close_notify)
    case(
        f"{name}/tls-relay/close-notify-is-answered",
        "close_notify of the client in the relay is answered with close_notify (RFC 5246, 7.2.1)",
        rules="PROXY-81",
        block=implicit(name),
        deviates={"nginx": "says nothing more once the client has sent close_notify"},
    )(_answers_close_notify)
    case(
        f"{name}/tls-relay/client-resets",
        "a reset of the client's connection ends the backend's",
        rules="PROXY-77",
        block=starttls(name),
    )(_ends_with_reset)
    case(
        f"{name}/tls-relay/idle-session-ends-without-close-notify",
        "after proxy_timeout the client reads the end of file without close_notify",
        rules="PROXY-81 PROXY-82 TLS-54",
        directives="proxy_timeout",
        block=implicit(name, "proxy_timeout 1s;"),
    )(_ends_by_timeout)


# The ends of dialogues.


def _quits(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        await client.send(words.quit[0])
        await client.expect(words.quit[1])
        await client.expect_eof()
        bench.check("close_notify", client.close_notify, True)

    return script


def _errs(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])
        await client.expect_eof()
        bench.check("close_notify", client.close_notify, True)

    return script


def _is_denied(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        await client.send(words.auth + bench.plain64 + b"\r\n")
        request = await bench.request()
        await request.answer("Auth-Status: denied")
        await client.until(b"denied\r\n")
        await client.expect_eof()
        bench.check("close_notify", client.close_notify, True)

    return script


def _loses_its_backend(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        _, backend = await admitted(bench, client)
        await backend.close()
        await client.expect(words.internal_error)
        await client.expect_eof()
        bench.check("close_notify", client.close_notify, True)

    return script


def _times_out(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        before = trio.current_time()
        client = await secured(bench)
        await expect_deadline(client, before, 1)
        bench.check("close_notify", client.close_notify, False)

    return script


def _waits_for_close_notify(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        await client.send(words.quit[0])
        await client.expect(words.quit[1])
        await client.expect_eof()  # of TLS: close_notify
        started = trio.current_time()
        rest = await client.socket_stream.receive_some(100)
        passed = trio.current_time() - started
        bench.check("what follows close_notify", rest, b"")
        bench.check(f"whether the connection lasts {NOTIFY_WAIT:g} s more", 2.5 <= passed <= 6, True)

    return script


def _takes_close_notify(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        await client.send(words.quit[0])
        await client.expect(words.quit[1])
        started = trio.current_time()
        await client.tls.unwrap()  # sends close_notify, and waits for the proxy's
        rest = await client.socket_stream.receive_some(100)
        bench.check("what follows close_notify", rest, b"")
        bench.check("whether the connection ends at once", trio.current_time() - started < NOTIFY_WAIT - 0.3, True)

    return script


ENDS = {
    "quit": (_quits, "", "orderly goodbye"),
    "too-many-errors": (_errs, "max_errors 1;", "too many invalid commands"),
    "denied-login": (_is_denied, "", "login that the auth server denies for good"),
    "failed-backend": (_loses_its_backend, "", "backend that is gone"),
}
for words in PROTOCOLS.values():
    for slug, (make, directives, what) in ENDS.items():
        case(
            f"{words.name}/tls/close-notify-after-{slug}",
            f"the end by {what} comes with close_notify",
            rules="TLS-53 smtp:SMTP-117 imap:IMAP-71 AUTH-64",
            block=implicit(words.name, directives),
        )(make(words))
    case(
        f"{words.name}/tls/no-close-notify-after-timeout",
        "the end by timeout comes without a word and without close_notify",
        rules="TLS-54 CORE-20 smtp:SMTP-117 imap:IMAP-71",
        directives="timeout",
        block=implicit(words.name, "timeout 1s;"),
    )(_times_out(words))
    case(
        f"{words.name}/tls/close-notify-is-waited-for",
        "after its close_notify the proxy waits 3 s for the client's",
        rules="TLS-53 smtp:SMTP-117 imap:IMAP-71",
        block=implicit(words.name),
    )(_waits_for_close_notify(words))
    case(
        f"{words.name}/tls/close-notify-is-not-waited-for-twice",
        "when the client's close_notify has come the proxy closes at once",
        rules="TLS-53 smtp:SMTP-117 imap:IMAP-71",
        block=implicit(words.name),
    )(_takes_close_notify(words))
