"""The boundary of STARTTLS: what is thrown away there, what survives it, and what breaks it (TLS-38 to TLS-41)."""

from __future__ import annotations

import trio

from conformance.attempts import talk
from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import IMAP, POP3, PROTOCOLS, SMTP, Words, admitted, greeted, log_in, probe
from conformance.fakes.peer import Peer
from conformance.secured import expect_deadline, expect_no_reply, filled, in_tls, secured, starttls
from conformance.verdict import Mismatch

__all__: list[str] = []

NAME = "mx.example"


async def _begun(bench: Bench, *, behind: bytes = b"", before: bytes = b"") -> Peer:
    """A client that has sent STARTTLS with more in the same segment, and has read the reply to it."""
    words = PROTOCOLS[bench.protocol]
    client = await greeted(bench)
    await client.send(before + words.starttls[0] + behind)
    return client


INJECTED: dict[str, tuple[Words, bytes]] = {
    # slug: protocol, what comes behind STARTTLS in the same segment
    "one-command": (SMTP, b"EHLO injected.example\r\n"),
    "whole-login": (SMTP, b"AUTH PLAIN {plain64}\r\n"),
    "many-commands": (SMTP, b"NOOP\r\nRSET\r\nEHLO injected.example\r\nAUTH PLAIN {plain64}\r\nQUIT\r\n"),
    "part-of-a-command": (SMTP, b"AUTH PLAIN "),
    "quit": (SMTP, b"QUIT\r\n"),
    "invalid-commands": (SMTP, b"XYZZ\r\n" * 10),
    "tagged-command": (IMAP, b"i CAPABILITY\r\n"),
    "login-in-clear": (IMAP, b"i LOGIN {user} {password}\r\n"),
    "login-with-literals": (IMAP, b"i LOGIN {5}\r\nabcde {3+}\r\nabc\r\n"),
    "authenticate": (IMAP, b"i AUTHENTICATE PLAIN\r\n{plain64}\r\n"),
    "part-of-a-tag": (IMAP, b"n1"),
    "logout": (IMAP, b"i NOOP\r\ni LOGOUT\r\n"),
    "user-and-pass": (POP3, b"USER {user}\r\nPASS {password}\r\n"),
    "user-alone": (POP3, b"USER {user}\r\n"),
    "auth-plain": (POP3, b"AUTH PLAIN {plain64}\r\n"),
    "half-a-command": (POP3, b"QU"),
    "quit-and-more": (POP3, b"CAPA\r\nQUIT\r\nNOOP\r\n"),
}


async def _survived(bench: Bench, client: Peer) -> bool:
    """Shake hands behind a STARTTLS with more in its segment; False if the target has ended the connection instead.

    Discarding is the vendors' way (TLS-38), and what RFC 3207 demands: that nothing is carried out. Raises Mismatch.
    """
    try:
        await client.start_tls(bench.trusting(), NAME)
    except Mismatch:
        if client.loosely is None:
            raise
        bench.note("the connection was ended, since something came behind STARTTLS")
        bench.no_request()
        return False
    return True


def _discards(words: Words, behind: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await _begun(bench, behind=filled(bench, behind))
        await client.expect(words.starttls[1])
        if not await _survived(bench, client):
            return
        await talk(client, probe(bench))
        bench.no_request()
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])

    return script


for slug, (words, behind) in INJECTED.items():
    case(
        f"{words.name}/starttls/injected-{slug}",
        f"what a client sends in clear behind STARTTLS is never carried out nor answered: {behind[:40]!r}",
        rules="TLS-38 smtp:SMTP-100 imap:IMAP-61",
        directives="starttls",
        block=starttls(words.name),
    )(_discards(words, behind))


def _answers_before(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        sent, reply = probe(bench)
        client = await _begun(bench, before=sent + words.invalid[0], behind=words.quit[0])
        await client.expect(reply)
        await client.expect(words.invalid[1])
        await client.expect(words.starttls[1])
        if await _survived(bench, client):
            await talk(client, probe(bench))

    return script


def _breaks_on_plain(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await _begun(bench)
        await client.expect(words.starttls[1])
        await client.send(words.noop[0] + words.auth + bench.plain64 + b"\r\n")
        await expect_no_reply(client)
        bench.no_request()

    return script


def _keeps_counting_errors(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])
        await client.send(words.starttls[0])
        await client.expect(words.starttls[1])
        await client.start_tls(bench.trusting(), NAME)
        await client.send(words.noop[0])
        await client.expect(words.noop[1])
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])
        await client.expect_eof()

    return script


def _does_not_count_refusals(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        refusal = words.invalid[1].replace(b"x BAD", b"s BAD")
        for _ in range(4):
            await client.send(words.starttls[0])
            await client.expect(refusal)
        await client.send(words.noop[0])
        await client.expect(words.noop[1])

    return script


def _keeps_the_deadline(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        before = trio.current_time()
        client = await greeted(bench)
        await trio.sleep_until(before + 2.5)  # a client that takes its time: what a restarted deadline would give it
        await client.send(words.starttls[0])
        await client.expect(words.starttls[1])
        await client.start_tls(bench.trusting(), NAME)
        await client.send(words.noop[0])
        await client.expect(words.noop[1])
        await expect_deadline(client, before, 5, late=2)
        bench.check("close_notify after a timeout", client.close_notify, False)

    return script


def _ends_a_missing_handshake(words: Words, octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        before = trio.current_time()
        client = await greeted(bench)
        await client.send(words.starttls[0])
        await client.expect(words.starttls[1])
        if octets:
            await client.send(octets)
        await expect_deadline(client, before, 3, late=2.5)

    return script


def _takes_a_slow_hello(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(words.starttls[0], pieces=1)
        await client.expect(words.starttls[1])
        client.cut_into(40)
        await client.start_tls(bench.trusting(), NAME)
        await client.send(words.noop[0])
        await client.expect(words.noop[1])

    return script


HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01"

for words in PROTOCOLS.values():
    name = words.name
    case(
        f"{name}/starttls/commands-before-are-answered",
        "commands before STARTTLS in the same segment are answered in clear, those behind it never",
        rules="TLS-38 smtp:SMTP-100 imap:IMAP-61",
        directives="starttls",
        block=starttls(name),
    )(_answers_before(words))
    case(
        f"{name}/starttls/plain-octets-break-the-handshake",
        "commands in clear where a handshake is due are not carried out; the connection ends without a reply",
        rules="TLS-39 smtp:SMTP-100 imap:IMAP-62",
        directives="starttls",
        block=starttls(name),
    )(_breaks_on_plain(words))
    case(
        f"{name}/starttls/hello-in-small-pieces",
        "command and ClientHello may come in any pieces",
        rules="TLS-28 smtp:SMTP-98",
        directives="starttls",
        block=starttls(name),
    )(_takes_a_slow_hello(words))
    case(
        f"{name}/starttls/errors-are-remembered",
        "invalid commands in clear and in TLS count together for max_errors",
        rules="TLS-40 CORE-21 smtp:SMTP-99 imap:IMAP-64",
        directives="starttls max_errors",
        block=starttls(name, "max_errors 2;"),
    )(_keeps_counting_errors(words))
    case(
        f"{name}/starttls/refusals-are-no-errors",
        "a STARTTLS refused inside TLS does not count for max_errors",
        rules="TLS-36 CORE-21",
        directives="starttls max_errors",
        block=starttls(name, "max_errors 2;"),
    )(_does_not_count_refusals(words))
    case(
        f"{name}/starttls/deadline-goes-on",
        "the deadline that began with the greeting ends a session that has changed to TLS, without close_notify",
        rules="TLS-54 CORE-17",
        directives="starttls timeout",
        block=starttls(name, "timeout 5s;"),
    )(_keeps_the_deadline(words))
    case(
        f"{name}/starttls/deadline-without-handshake",
        "the same deadline ends a client that never begins its handshake",
        rules="TLS-41 smtp:SMTP-116 imap:IMAP-64",
        directives="starttls timeout",
        block=starttls(name, "timeout 3s;"),
    )(_ends_a_missing_handshake(words, b""))
    case(
        f"{name}/starttls/deadline-within-handshake",
        "the same deadline ends a client that never ends its handshake",
        rules="TLS-41 smtp:SMTP-116 imap:IMAP-64",
        directives="starttls timeout",
        block=starttls(name, "timeout 3s;"),
    )(_ends_a_missing_handshake(words, HALF_A_HELLO))


# What is forgotten, and what is not.


@case(
    "smtp/starttls/forgets-the-hello-name",
    "the name of an EHLO in clear is not given to the backend; that there was an EHLO still counts",
    rules="TLS-40 SMTP-45 SMTP-99",
    directives="starttls xclient",
    block=starttls("smtp", "xclient off;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"EHLO clear.example\r\n")
    await client.until(b"250 STARTTLS\r\n")
    await client.send(b"STARTTLS\r\n")
    await client.expect(b"220 2.0.0 Start TLS\r\n")
    await client.start_tls(bench.trusting(), NAME)
    _, backend = await admitted(bench, client)
    await backend.send(b"220 backend.example ESMTP\r\n")
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250 backend.example\r\n")
    await client.expect(b"235 2.0.0 OK\r\n")


@case(
    "smtp/starttls/hello-in-tls-is-the-one-that-counts",
    "the backend is told the name of the EHLO inside TLS",
    rules="TLS-40",
    directives="starttls xclient",
    block=starttls("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"EHLO clear.example\r\n")
    await client.until(b"250 STARTTLS\r\n")
    await client.send(b"STARTTLS\r\n")
    await client.expect(b"220 2.0.0 Start TLS\r\n")
    await client.start_tls(bench.trusting(), NAME)
    await client.send(b"EHLO inside.example\r\n")
    await client.expect(b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n")
    _, backend = await admitted(bench, client)
    await backend.send(b"220 backend.example ESMTP\r\n")
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250 backend.example\r\n")
    await backend.until(b"\r\n")  # XCLIENT
    await backend.send(b"250 ok\r\n")
    await backend.expect(b"EHLO inside.example\r\n")


@case(
    "smtp/starttls/forgets-mail",
    "a MAIL in clear is forgotten: RCPT inside TLS comes too early",
    rules="TLS-40 SMTP-99",
    directives="starttls smtp_auth",
    block=starttls("smtp", "smtp_auth none;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"MAIL FROM:<a@case.example>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await client.send(b"STARTTLS\r\n")
    await client.expect(b"220 2.0.0 Start TLS\r\n")
    await client.start_tls(bench.trusting(), NAME)
    await client.send(b"RCPT TO:<b@case.example>\r\n")
    await client.expect(b"503 5.5.1 Bad sequence of commands\r\n")
    bench.no_request()


@case(
    "smtp/starttls/forgets-the-name-of-a-sender",
    "Auth-SMTP-Helo and Auth-SMTP-From tell only what was said inside TLS",
    rules="TLS-40 AUTH-28 AUTH-29",
    directives="starttls smtp_auth",
    block=starttls("smtp", "smtp_auth none;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"EHLO clear.example\r\n")
    await client.until(b"250 STARTTLS\r\n")
    await client.send(b"MAIL FROM:<clear@case.example>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await client.send(b"STARTTLS\r\n")
    await client.expect(b"220 2.0.0 Start TLS\r\n")
    await client.start_tls(bench.trusting(), NAME)
    await client.send(b"MAIL FROM:<inside@case.example>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await client.send(b"RCPT TO:<b@case.example>\r\n")
    request = await bench.request()
    bench.check("Auth-SMTP-Helo", request["Auth-SMTP-Helo"], b"")
    bench.check("Auth-SMTP-From", request["Auth-SMTP-From"], b"MAIL FROM:<inside@case.example>")
    bench.check("Auth-SSL", request["Auth-SSL"], b"on")


@case(
    "smtp/starttls/no-hello-needed",
    "STARTTLS works before any EHLO",
    rules="TLS-36 SMTP-97",
    directives="starttls",
    block=starttls("smtp"),
)
async def _(bench: Bench) -> None:
    await log_in(bench, await in_tls(bench))


@case(
    "pop3/starttls/refused-behind-user",
    "STLS between USER and PASS is invalid, and USER is forgotten",
    rules="TLS-36 POP3-61",
    directives="starttls",
    block=starttls("pop3"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"USER %s\r\n" % bench.user)
    await client.expect(b"+OK\r\n")
    await client.send(b"STLS\r\n")
    await client.expect(b"-ERR invalid command\r\n")
    await client.send(b"PASS %s\r\n" % bench.password)
    await client.expect(b"-ERR invalid command\r\n")
    bench.no_request()
    await client.send(b"STLS\r\n")
    await client.expect(b"+OK\r\n")
    await client.start_tls(bench.trusting(), NAME)


@case(
    "pop3/starttls/apop-challenge-stays-valid",
    "the challenge of the greeting in clear is the one of an APOP inside TLS",
    rules="TLS-40 AUTH-18 POP3-4",
    directives="starttls pop3_auth",
    block=starttls("pop3", "pop3_auth plain apop;"),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    greeting = await client.line()
    await client.send(b"STLS\r\n")
    await client.expect(b"+OK\r\n")
    await client.start_tls(bench.trusting(), NAME)
    await client.send(b"APOP %s 0123456789abcdef0123456789abcdef\r\n" % bench.user)
    request = await bench.request()
    bench.check("Auth-Salt", request["Auth-Salt"], greeting.split()[-1])
    bench.check("Auth-SSL", request["Auth-SSL"], b"on")


def _keeps_counting_logins(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        attempt = words.auth + bench.plain64 + b"\r\n"
        await client.send(attempt)
        request = await bench.request()
        await request.answer("Auth-Status: no", "Auth-Wait: 1")
        await client.until(b"no\r\n")
        await client.send(words.starttls[0])
        await client.expect(words.starttls[1])
        await client.start_tls(bench.trusting(), NAME)
        await client.send(attempt)
        request = await bench.request()
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")

    return script


for words in PROTOCOLS.values():
    case(
        f"{words.name}/starttls/login-attempts-are-counted-on",
        "a login refused in clear is the first of the connection, one in TLS the second",
        rules="AUTH-20 TLS-40 smtp:SMTP-99 imap:IMAP-64",
        directives="starttls",
        block=starttls(words.name),
    )(_keeps_counting_logins(words))
