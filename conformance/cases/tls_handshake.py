"""TLS ports: the handshake comes first, and nothing else is heard (tls rules, sections 1 and 4)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import PROTOCOLS, Words, log_in
from conformance.rulebook import Level
from conformance.secured import expect_deadline, expect_no_reply, implicit, secured, unverified

__all__: list[str] = []

NAME = "mx.example"

# Implicit TLS.


def _serves(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        bench.check("the certificate's host", dict(_names(client.tls.getpeercert())).get("DNS"), NAME)
        relay = await log_in(bench, client)
        await relay.client.send(b"ping\r\n")
        await relay.backend.expect(b"ping\r\n")
        await relay.backend.send(b"pong\r\n")
        await relay.client.expect(b"pong\r\n")

    return script


def _names(certificate: object) -> list[tuple[str, str]]:
    assert isinstance(certificate, dict)
    return list(certificate["subjectAltName"])


def _says_nothing_in_clear(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        await client.send(octets)
        await expect_no_reply(client)
        bench.no_request()

    return script


def _takes_small_pieces(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        client.cut_into(40)
        await client.start_tls(bench.trusting(), NAME)
        await client.expect(words.greeting)
        await client.send(words.noop[0], pieces=1)
        await client.expect(words.noop[1])

    return script


def _waits_only_so_long(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        started = trio.current_time()
        client = await bench.client()
        if octets:
            await client.send(octets)
        await expect_deadline(client, started, 1)

    return script


def _stays_plain(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        reason = await client.fail_tls(unverified(), NAME)
        bench.check("what a TLS client makes of the greeting", reason, "WRONG_VERSION_NUMBER")
        bench.no_request()
        await log_in(bench)  # the target is well

    return script


OTHERS = {
    "mail-command": b"QUIT\r\n",
    "http-request": b"GET / HTTP/1.0\r\n\r\n",
    "many-octets": b"A" * 5000,
    "sslv2-hello": bytes.fromhex("802e0100020015000000100100800300800700c0060040020080040080") + bytes(20),
}

for words in PROTOCOLS.values():
    name = words.name
    case(
        f"{name}/tls/one-session",
        "a TLS port shakes hands before the greeting; the session is then as any other",
        rules="TLS-28 TLS-1 CORE-70 imap:IMAP-3",
        directives="listen ssl_certificate ssl_certificate_key",
        block=implicit(name),
    )(_serves(words))
    for slug, octets in OTHERS.items():
        case(
            f"{name}/tls/plain-{slug}",
            "what is no TLS gets no reply on a TLS port, at most an alert",
            rules="TLS-32 smtp:SMTP-10 imap:IMAP-3",
            directives="listen",
            block=implicit(name),
        )(_says_nothing_in_clear(octets))
    case(
        f"{name}/tls/hello-on-a-plain-port",
        "a TLS client on a plain port gets no TLS, and does no harm",
        rules="TLS-33",
        level=Level.VENDOR,
        block=words.block,
    )(_stays_plain(words))
    case(
        f"{name}/tls/hello-in-small-pieces",
        "handshake and commands may come in any pieces",
        rules="TLS-28",
        block=implicit(name),
    )(_takes_small_pieces(words))
    case(
        f"{name}/tls/silence-is-ended",
        "a client that begins no handshake is closed after timeout, without a word",
        rules="SMTP-109 CORE-17 TLS-29",
        directives="timeout",
        block=implicit(name, "timeout 1s;"),
    )(_waits_only_so_long(b""))
    case(
        f"{name}/tls/half-a-hello-is-ended",
        "a client that does not end its handshake is closed after timeout, without a word",
        rules="SMTP-109 CORE-17 TLS-29",
        directives="timeout",
        block=implicit(name, "timeout 1s;"),
    )(_waits_only_so_long(b"\x16\x03\x01\x02\x00\x01"))
