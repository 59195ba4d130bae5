"""Dialogues before the login as data: turns of the client, and what came of them at the auth server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import trio

from conformance.bench import Bench
from conformance.case import Needs, Script
from conformance.dialogues import PROTOCOLS, probe
from conformance.fakes.auth_server import AuthRequest
from conformance.fakes.peer import Peer
from conformance.verdict import Mismatch

__all__ = [
    "Attempt",
    "Turn",
    "alive",
    "check_attempt",
    "demands",
    "dialogue",
    "login",
    "opened",
    "talk",
    "unasked",
    "uncontacted",
]

Turn = tuple[bytes, bytes]
"""What the client sends, and what it reads then."""

MODEST = 400  # octets; checkpassword, a way to ask about logins, takes 512 of user and password together

REFUSED = {"smtp": b"535 5.7.0 nope\r\n", "imap": b" NO nope\r\n", "pop3": b"-ERR nope\r\n"}
"""The answer to a refusal with the text `nope`; in IMAP the tag comes before it."""

SALTED = {b"plain": False, b"apop": True, b"cram-md5": True}
"""Whether a request of this method has a salt; for the others there is a case of its own."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Credentials as they must reach the auth server, user and password percent-encoded."""

    user: bytes = b"user"
    password: bytes = b"pass"
    method: bytes = b"plain"


def demands(password: bytes) -> list[str]:
    """What a case needs for such a password, raw or percent-encoded: not every one reaches an auth server."""
    octets = unquote_to_bytes(password)
    found = [Needs.ANY_PASSWORD] if any(octet < 0x20 for octet in octets) else []
    return [*found, Needs.LONG_PASSWORD] if len(octets) > MODEST else found


async def opened(bench: Bench, *, first: bytes = b"") -> Peer:
    """A client that has sent `first` and read the greeting; in POP3 a salt may be in it."""
    client = await bench.client()
    await client.send(first)
    if bench.protocol == "pop3":
        greeting = await client.line()
        bench.check("the start of the greeting", greeting[: 3 if bench.loosely else 14], b"+OK", b"+OK POP3 ready")
    else:
        await client.expect(PROTOCOLS[bench.protocol].greeting, loosely=bench.loosely)
    return client


async def talk(client: Peer, *turns: Turn) -> None:
    """Take turns: send, and read exactly what is expected. Raises Mismatch."""
    for sent, wanted in turns:
        await client.send(sent)
        await client.expect(wanted)


async def alive(bench: Bench, client: Peer) -> None:
    """The session goes on in command state, and nobody asked the auth server. Raises Mismatch."""
    await talk(client, probe(bench))
    bench.no_request()


def dialogue(*turns: Turn, closed: bool = False) -> Script:
    """A script of turns without any attempt, at whose end the connection is open, or closed."""

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        async with unasked(bench):
            await talk(client, *turns)
            if closed:
                await client.expect_eof()
            else:
                await alive(bench, client)

    return script


@asynccontextmanager
async def unasked(bench: Bench) -> AsyncIterator[None]:
    """While in the block, a request to the auth server is a Mismatch, at once and not only when patience ends."""

    async def watch() -> None:
        request = await bench.request()
        raise Mismatch("no request to the auth server", f"one for {request['Auth-User']!r}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield
        bench.no_request()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def uncontacted(bench: Bench) -> AsyncIterator[None]:
    """While in the block, a connection to the backend is a Mismatch, at once and not only when patience ends."""

    async def watch() -> None:
        await bench.backend()
        raise Mismatch("no connection to the backend", "one")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield
        bench.no_backend()
        nursery.cancel_scope.cancel()


async def check_attempt(bench: Bench, client: Peer, wanted: Attempt, *, tag: bytes = b"a") -> AuthRequest:
    """The auth server is asked about these credentials; its refusal reaches the client, and is the end."""
    request = await bench.request()
    bench.check("Auth-Method", request["Auth-Method"], wanted.method)
    bench.check("Auth-User", request["Auth-User"], wanted.user)
    bench.check("Auth-Pass", request["Auth-Pass"], wanted.password)
    if wanted.method in SALTED:
        bench.check("presence of Auth-Salt", "Auth-Salt" in request, SALTED[wanted.method])
    await request.answer("Auth-Status: nope")
    await client.expect((tag if bench.protocol == "imap" else b"") + REFUSED[bench.protocol])
    if client.loosely is None:
        await client.expect_eof()  # the vendors' way; others let clients try again
    bench.no_request()
    return request


def login(*turns: Turn, then: bytes, wanted: Attempt, tag: bytes = b"a", pieces: int | None = None) -> Script:
    """A script of turns and a last line that completes an attempt."""

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await talk(client, *turns)
        await client.send(then, pieces=pieces)
        await check_attempt(bench, client, wanted, tag=tag)

    return script
