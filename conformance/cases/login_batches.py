"""Octets behind a login, and clients that end or break off around it (imap rules, 3, 11 and 14; pop3 rules, 10)."""

from __future__ import annotations

from conformance.attempts import alive, opened, talk
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.login_lines import backend_reads
from conformance.frames import FRAMES
from conformance.rulebook import Level

__all__: list[str] = []

LOGIN = {
    # The ways to log in, each with the part after which the attempt begins.
    "imap": {
        "login": (b"", b"a LOGIN u p\r\n"),
        "login-with-literals": (b"", b"a LOGIN {1+}\r\nu {1+}\r\np\r\n"),
        "authenticate": (b"", b"a AUTHENTICATE PLAIN AHUAcA==\r\n"),
        "authenticate-in-two-lines": (b"a AUTHENTICATE PLAIN\r\n", b"AHUAcA==\r\n"),
    },
    "pop3": {
        "user-and-pass": (b"USER u\r\n", b"PASS p\r\n"),
        "auth": (b"", b"AUTH PLAIN AHUAcA==\r\n"),
        "auth-in-two-lines": (b"AUTH PLAIN\r\n", b"AHUAcA==\r\n"),
    },
}
MORE = {"imap": b"b SELECT inbox\r\n\0c FETCH 1 (BODY[]<0.9>)\r\nd ID", "pop3": b"STAT\r\n\0RETR 1\r\nTOP"}


def _with_the_login(kind: str, before: bytes, last: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        if before:
            await client.send(before)
            await client.line()
        await client.send(last + MORE[kind])
        await bench.admit()
        backend = await bench.backend()
        reply = await backend_reads(backend, kind, b"u", b"p")
        await client.expect(reply)
        await client.send(b"ENTIFY\r\n")
        await backend.expect(MORE[kind] + b"ENTIFY\r\n")

    return script


def _while_logging_in(kind: str, last: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(last)
        request = await bench.request()
        await client.send(b"one ")
        await bench.admit(request=request)
        backend = await bench.backend()
        await client.send(b"two ")
        reply = await backend_reads(backend, kind, b"u", b"p")
        await client.send(b"three\r\n")
        await client.expect(reply)
        await backend.expect(b"one two three\r\n")

    return script


def _kept_to_itself(kind: str, last: bytes) -> Script:
    """Nothing of it reaches the backend before its last reply."""

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(last + b"later\r\n")
        await bench.admit()
        backend = await bench.backend()
        await backend.expect_nothing()
        reply = await backend_reads(backend, kind, b"u", b"p")
        await backend.expect(b"later\r\n")
        await client.expect(reply)

    return script


RULES = {"imap": "IMAP-97 PROXY-3", "pop3": "POP3-53 PROXY-3"}
for kind, ways in LOGIN.items():
    for slug, (before, last) in ways.items():
        case(
            f"{kind}/batch/octets-behind-{slug}",
            "they reach the backend after the login, as they are, and before what comes later",
            rules=RULES[kind],
            block=Block(kind),
            level=Level.VENDOR,
        )(_with_the_login(kind, before, last))
    last = list(ways.values())[-2 if kind == "pop3" else 2][1]
    case(
        f"{kind}/batch/octets-while-the-login-runs",
        "they reach the backend after the login, in their order",
        rules=RULES[kind],
        block=Block(kind),
        level=Level.VENDOR,
    )(_while_logging_in(kind, last))
    case(
        f"{kind}/batch/octets-wait-for-the-last-reply",
        "the backend reads its login alone, however early the client's octets are there",
        rules="PROXY-1 " + RULES[kind],
        block=Block(kind),
    )(_kept_to_itself(kind, last))


# The client ends.


def _half_closed(kind: str, octets: bytes, replies: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send_eof(octets)
        await client.expect(replies)
        await client.expect_eof()
        bench.no_request()

    return script


def _half_closed_attempt(kind: str, last: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(last + b"the last words\r\n")
        await client.send_eof()
        await bench.admit()
        backend = await bench.backend()
        reply = await backend_reads(backend, kind, b"u", b"p")
        await backend.expect(b"the last words\r\n")
        await backend.expect_eof()
        await client.expect(reply)
        await client.expect_eof()

    return script


def _reset_attempt(kind: str, last: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(last)
        request = await bench.request()
        await client.reset()
        await request.peer.expect_eof()
        bench.no_backend()

    return script


def _reset_login(kind: str, last: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(last)
        await bench.admit()
        backend = await bench.backend()
        await client.reset()
        await backend.expect_eof()

    return script


def _reset_dialogue(kind: str, octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(octets)
        await client.reset()
        await alive(bench, await opened(bench))

    return script


STAYS = {"nginx": "1.22 answers the first command only; 1.31.5 answers all and stays open (IMAP-12)"}
HALVES: dict[str, dict[str, tuple[str, str, bytes, bytes]]] = {
    "imap": {
        "after-complete-commands": ("all are answered", "IMAP-12 CORE-82", b"a NOOP\r\na FOO\r\na NOOP\r\n",
                                    b"a OK completed\r\na BAD invalid command\r\na OK completed\r\n"),
        "inside-a-command": ("the incomplete one is dropped", "CORE-82 IMAP-12", b"a NOOP\r\nb LOGIN u p",
                             b"a OK completed\r\n"),
        "inside-a-literal": ("the incomplete command is dropped", "CORE-82 IMAP-12", b"b LOGIN {10}\r\nuser",
                             b"+ OK\r\n"),
        "inside-an-exchange": ("the exchange is dropped", "CORE-82 IMAP-12", b"a AUTHENTICATE PLAIN\r\nAHUA",
                               b"+ \r\n"),
        "without-a-word": ("closed", "CORE-82 IMAP-12", b"", b""),
    },
    "pop3": {
        "after-complete-commands": ("all are answered", "CORE-82 POP3-17", b"NOOP\r\nXYZZ\r\nNOOP\r\n",
                                    b"+OK\r\n-ERR invalid command\r\n+OK\r\n"),
        "inside-a-command": ("the incomplete one is dropped", "CORE-82", b"USER u\r\nPASS p", b"+OK\r\n"),
        "inside-an-exchange": ("the exchange is dropped", "CORE-82", b"AUTH PLAIN\r\nAHUA", b"+ \r\n"),
        "without-a-word": ("closed", "CORE-82", b"", b""),
    },
}  # fmt: skip
for kind, halves in HALVES.items():
    for slug, (what, rules, octets, replies) in halves.items():
        case(
            f"{kind}/half-close/{slug}",
            what,
            rules=rules,
            block=Block(kind),
            limit=8,
            deviates=STAYS if rules.startswith("IMAP") else None,
        )(_half_closed(kind, octets, replies))
    last = b"a LOGIN u p\r\n" if kind == "imap" else b"AUTH PLAIN AHUAcA==\r\n"
    case(
        f"{kind}/half-close/behind-a-login",
        "the login is completed, its octets are delivered, its reply too, then both ends are closed",
        rules="PROXY-76 PROXY-3 CORE-83",
        block=Block(kind),
    )(_half_closed_attempt(kind, last))
    case(
        f"{kind}/reset/while-the-auth-server-is-asked",
        "the attempt is cancelled",
        rules="CORE-83 " + ("IMAP-80" if kind == "imap" else "POP3-50"),
        block=Block(kind),
        limit=8,
    )(_reset_attempt(kind, last))
    case(
        f"{kind}/reset/while-the-backend-login-runs",
        "the login is cancelled",
        rules="PROXY-3 CORE-83",
        block=Block(kind),
        limit=8,
    )(_reset_login(kind, last))
    for slug, octets in {
        "inside-a-command": b"a NO" if kind == "imap" else b"NO",
        "inside-a-secret": b"a LOGIN u {9}\r\nsec" if kind == "imap" else b"AUTH PLAIN\r\nAHUA",
        "with-replies-under-way": FRAMES[kind].words.noop[0] * 20,
    }.items():
        case(
            f"{kind}/reset/{slug}",
            "the session is over, and others go on",
            rules="PROXY-77 CORE-82",
            block=Block(kind),
        )(_reset_dialogue(kind, octets))


# A login that ends what is before it in a batch.


@case(
    "imap/batch/commands-before-the-login",
    "they are answered first, in their order",
    rules="IMAP-11 IMAP-97",
    block=Block("imap"),
)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"a NOOP\r\nx\r\nb CAPABILITY\r\nc LOGIN u {1}\r\np\r\nd NOOP\r\n")
    await talk(
        client,
        (b"", b"a OK completed\r\n* BAD invalid command\r\n"),
        (b"", b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\nb OK completed\r\n+ OK\r\n"),
    )
    await bench.admit()
    backend = await bench.backend()
    await client.expect(await backend_reads(backend, "imap", b"u", b"p", b"c"))
    await backend.expect(b"d NOOP\r\n")
