"""What is relayed: every octet, both ways, at the pace of who reads (proxy rules, sections 5.5 and 9.1)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import trio

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import LOGGED_IN, PROTOCOLS, asked, greeted, log_in, serve_login
from conformance.fakes.peer import Peer
from conformance.rulebook import Level

__all__ = ["blocks", "digest", "poured"]

BLOCK = 65536
PINGS = 50


def blocks(seed: int, size: int) -> Iterator[bytes]:
    """So many octets of every value, numbered so that no block can stand for another."""
    body = random.Random(seed).randbytes(BLOCK)
    for start in range(0, size, BLOCK):
        yield (start.to_bytes(8, "big") + body[8:])[: size - start]


def digest(seed: int, size: int) -> str:
    """The SHA-256 of all of it."""
    whole = hashlib.sha256()
    for block in blocks(seed, size):
        whole.update(block)
    return whole.hexdigest()


async def poured(bench: Bench, source: Peer, sink: Peer, seed: int, size: int) -> None:
    """Send octets from one end to the other and compare. Raises Mismatch."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.pour, blocks(seed, size))
        bench.check(f"the digest of {size} octets", await sink.soak(size), digest(seed, size))


UP, DOWN, BOTH = "up", "down", "both-ways"
SIZES = {"64-kib": 1 << 16, "1-mib": 1 << 20, "64-mib": 1 << 26}


def _integrity(direction: str, size: int) -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        async with trio.open_nursery() as nursery:
            if direction in (UP, BOTH):
                nursery.start_soon(poured, bench, relay.client, relay.backend, 1, size)
            if direction in (DOWN, BOTH):
                nursery.start_soon(poured, bench, relay.backend, relay.client, 2, size)
        await relay.backend.close()
        await relay.client.expect_eof()

    return script


for protocol, words in PROTOCOLS.items():
    for name, size in SIZES.items():
        for direction in (UP, DOWN, BOTH):
            if size > SIZES["1-mib"] and protocol != "imap":
                continue
            case(
                f"{protocol}/relay/{name}-{direction}",
                "all octets arrive unchanged and in their order",
                rules="PROXY-72 PROXY-73",
                block=words.block,
                limit=10 if size < SIZES["64-mib"] else 60,
                alone=size == SIZES["64-mib"],
            )(_integrity(direction, size))


# Back-pressure.


def _back_pressure(slow: str) -> Script:
    """One side does not read what the other pours: the pouring stops, while lines of the slow side still arrive."""

    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        sink, source = (relay.client, relay.backend) if slow == "client" else (relay.backend, relay.client)
        total = SIZES["64-mib"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.pour, blocks(3, total))
            before, still = -1, 0
            while still < PINGS:
                await sink.send(b"ping\r\n")
                await source.expect(b"ping\r\n")
                still = still + 1 if source.poured == before else 0
                before = source.poured
            bench.check("whether everything was taken although nobody reads", before == total, False)
            bench.note(f"{before} octets were on their way")
            bench.check(f"the digest of {total} octets", await sink.soak(total), digest(3, total))

    return script


for slow in ("client", "backend"):
    case(
        f"imap/relay/slow-{slow}",
        f"a {slow} that does not read stops the other side through TCP; its own octets still go",
        rules="PROXY-74",
        block=PROTOCOLS["imap"].block,
        limit=60,
        alone=True,
    )(_back_pressure(slow))


# Small things at once.


def _at_once() -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        for octet in b"\r\n\0.\xff":
            await relay.client.send(bytes([octet]))
            await relay.backend.expect(bytes([octet]))
            await relay.backend.send(bytes([octet]))
            await relay.client.expect(bytes([octet]))

    return script


def _own_commands() -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        words = PROTOCOLS[bench.protocol]
        for line in (words.quit[0], words.starttls[0], words.invalid[0] * 10, words.auth + bench.plain64 + b"\r\n"):
            await relay.client.send(line)
            await relay.backend.expect(line)
        await relay.backend.send(words.internal_error)
        await relay.client.expect(words.internal_error)
        bench.no_request()

    return script


def _pipelined() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(PROTOCOLS[bench.protocol].auth + bench.plain64 + b"\r\nNOOP\r\nhalf a li")
        await bench.admit()
        backend = await bench.backend()
        await serve_login(bench, backend)
        await client.expect(LOGGED_IN[bench.protocol])
        await backend.expect(b"NOOP\r\nhalf a li")
        await client.send(b"ne\r\n")
        await backend.expect(b"ne\r\n")

    return script


def _sent_meanwhile() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        size = SIZES["1-mib"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.pour, blocks(4, size))
            await bench.admit(request=request)
            backend = await bench.backend()
            await serve_login(bench, backend)
            await client.expect(LOGGED_IN[bench.protocol])
            bench.check(f"the digest of {size} octets", await backend.soak(size), digest(4, size))

    return script


LAST = {"smtp": (b"250 ok\r\n", b"235 2.0.0 OK\r\n", "PROXY-50"), "imap": (b"a OK in\r\n", b"a OK in\r\n", "PROXY-65"),
        "pop3": (b"+OK in\r\n", b"+OK in\r\n", "PROXY-57")}  # fmt: skip
"""The backend's last reply, what the client reads for it, the rule."""


async def _until_last_reply(bench: Bench) -> tuple[Peer, Peer]:
    client = await greeted(bench)
    await bench.admit(request=await asked(bench, client))
    backend = await bench.backend()
    replies = {"smtp": (b"220 hi\r\n", b"250 ok\r\n"), "imap": (b"* OK hi\r\n", b"+ go\r\n", b"+ go\r\n"),
               "pop3": (b"+OK\r\n", b"+OK\r\n")}  # fmt: skip
    for reply in replies[bench.protocol]:
        await backend.send(reply)
        await backend.until(b"\r\n")
    return client, backend


def _behind_the_reply(more: bytes, *, close: bool) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await _until_last_reply(bench)
        reply, read, _ = LAST[bench.protocol]
        await (backend.send_last(reply + more) if close else backend.send(reply + more))
        await client.expect(read + more)
        if close:
            await client.expect_eof()

    return script


for protocol, words in PROTOCOLS.items():
    case(
        f"{protocol}/relay/single-octets",
        "an octet is passed on at once, without waiting for more, whatever it is",
        rules="PROXY-75 PROXY-72",
        block=words.block,
    )(_at_once())
    case(
        f"{protocol}/relay/commands-are-the-backends",
        "commands that the proxy itself knows are passed on, too, and nothing is counted",
        rules="PROXY-72",
        block=words.block,
    )(_own_commands())
    case(
        f"{protocol}/relay/pipelined-behind-the-login",
        "what the client sent in one packet behind its credentials is the first that the backend reads",
        rules="PROXY-51",
        level=Level.VENDOR,
        block=words.block,
    )(_pipelined())
    case(
        f"{protocol}/relay/sent-during-the-login",
        "a megabyte that the client sends while it is being logged in arrives, in its order",
        rules="PROXY-51 PROXY-3",
        level=Level.VENDOR,
        block=words.block,
    )(_sent_meanwhile())
    case(
        f"{protocol}/relay/behind-the-last-reply",
        "what the backend sent in one packet behind its last reply goes to the client",
        rules=LAST[protocol][2],
        block=words.block,
    )(_behind_the_reply(b"and\r\nmore\xff\r\n", close=False))
    case(
        f"{protocol}/relay/half-a-line-behind-the-last-reply",
        "half a line behind the last reply does not hold it back",
        rules=f"PROXY-24 {LAST[protocol][2]}",
        block=words.block,
    )(_behind_the_reply(b"and\r\nmore\xff", close=False))
    case(
        f"{protocol}/relay/behind-the-last-reply-and-closed",
        "and so it does when the backend's end of file is in the same packet",
        rules=f"{LAST[protocol][2]} PROXY-76",
        block=words.block,
    )(_behind_the_reply(b"and\r\nmore\xff\r\n", close=True))
