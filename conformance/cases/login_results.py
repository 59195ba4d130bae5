"""What the IMAP or POP3 client reads of an attempt, and what becomes of its session (imap, 12; pop3, 10)."""

from __future__ import annotations

from conformance.attempts import Attempt, alive, check_attempt, opened, talk
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.frames import FRAMES
from conformance.rulebook import Level

__all__: list[str] = []

ATTEMPT = {"imap": b"t-1 AUTHENTICATE PLAIN AHUAcA==\r\n", "pop3": b"AUTH PLAIN AHUAcA==\r\n"}
NO = {"imap": b"t-1 NO ", "pop3": b"-ERR "}
KINDS = ("imap", "pop3")
AGAIN = Attempt(b"u", b"p")


def _refused(kind: str, text: bytes, *lines: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(ATTEMPT[kind])
        await (await bench.request()).answer(*lines)
        await client.expect(NO[kind] + text + b"\r\n")
        await client.expect_eof()
        bench.no_request()
        bench.no_backend()

    return script


REFUSALS: dict[str, tuple[str, str, bytes, tuple[bytes, ...]]] = {
    # slug: what, rule of IMAP and of POP3, the text, the answer's lines
    "plain-text": ("the text, and the end", "IMAP-85 POP3-50", b"Invalid login", (b"Auth-Status: Invalid login",)),
    "empty-text": ("a space and nothing", "IMAP-85 POP3-50", b"", (b"Auth-Status:",)),
    "response-code": ("copied", "IMAP-86 POP3-51", b"[AUTHENTICATIONFAILED] no",
                      (b"Auth-Status: [AUTHENTICATIONFAILED] no",)),
    "high-octets-and-quotes": ("copied", "IMAP-86 POP3-51", b'"N\xc3\xb6" \\ \xff',
                               (b'Auth-Status: "N\xc3\xb6" \\ \xff',)),
    "error-code": ("ignored", "IMAP-87 POP3-52", b"no", (b"Auth-Status: no", b"Auth-Error-Code: 454 4.7.0")),
    "route-beside-a-refusal": ("not taken", "IMAP-85 POP3-50", b"no",
                               (b"Auth-Server: 127.0.0.1", b"Auth-Port: 25", b"Auth-Status: no")),
}  # fmt: skip
for kind in KINDS:
    for slug, (what, rules, text, lines) in REFUSALS.items():
        case(
            f"{kind}/refused/{slug}",
            what,
            rules=rules if kind == "imap" else " ".join(reversed(rules.split())),
            block=Block(kind),
            level=Level.VENDOR,
        )(_refused(kind, text, *lines))


# Refusals that keep the session.


def _kept(kind: str) -> Script:
    """Two attempts in one packet with commands between: all is in order, and the attempts are counted."""
    noop, ok = FRAMES[kind].words.noop
    second = ATTEMPT[kind].replace(b"t-1", b"t-2")

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(ATTEMPT[kind] + noop + second + noop)
        request = await bench.request()
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"1")
        await request.answer("Auth-Status: again", "Auth-Wait: 1")
        await client.expect(NO[kind] + b"again\r\n" + ok)
        request = await check_attempt(bench, client, AGAIN, tag=b"t-2")
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")

    return script


def _nothing_before(kind: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(ATTEMPT[kind])
        request = await bench.request()
        await request.answer("Auth-Status: again", "Auth-Wait: 1")
        await client.send(FRAMES[kind].words.noop[0])
        other = await opened(bench)
        await talk(other, FRAMES[kind].words.noop)
        await client.expect_nothing()
        await client.expect(NO[kind] + b"again\r\n" + FRAMES[kind].words.noop[1])

    return script


def _dropped(kind: str) -> Script:
    noop = FRAMES[kind].words.noop[0]

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(ATTEMPT[kind] + noop * 3 + ATTEMPT[kind])
        await check_attempt(bench, client, AGAIN, tag=b"t-1")

    return script


for kind, (kept, dropped) in {"imap": ("IMAP-88 IMAP-11", "IMAP-88"), "pop3": ("POP3-53 POP3-17", "POP3-53")}.items():
    case(
        f"{kind}/refused/batch-goes-on-after-a-kept-refusal",
        "commands and logins behind it are processed in their order",
        rules=kept,
        block=Block(kind),
    )(_kept(kind))
    case(
        f"{kind}/refused/nothing-is-answered-before-it",
        "while Auth-Wait passes no command is answered",
        rules=f"SASL-74 {kept}",
        block=Block(kind),
    )(_nothing_before(kind))
    case(
        f"{kind}/refused/batch-is-dropped-after-a-closing-refusal",
        "no command and no login behind it is processed",
        rules=dropped,
        block=Block(kind),
    )(_dropped(kind))


@case("imap/refused/tag-is-forgotten", "a line without a tag is answered without one after a refusal", rules="IMAP-89",
      block=Block("imap"), deviates={"nginx": "stale octets stand for the tag, as in 1.31.5 (IMAP-89)"})  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(ATTEMPT["imap"])
    await (await bench.request()).answer("Auth-Status: again", "Auth-Wait: 1")
    await client.expect(b"t-1 NO again\r\n")
    await talk(client, (b"\r\n", b"* BAD invalid command\r\n"))
    await alive(bench, client)


def _errors_survive(kind: str) -> Script:
    """The fifth error is the last one although a refusal came between."""
    line, reply = FRAMES[kind].words.invalid

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await talk(client, (line * 3, reply * 3))
        await client.send(ATTEMPT[kind])
        await (await bench.request()).answer("Auth-Status: again", "Auth-Wait: 1")
        await client.expect(NO[kind] + b"again\r\n")
        await talk(client, (line, reply), (line, reply))
        await client.expect_eof()

    return script


def _waiting(kind: str) -> Script:
    """WAIT: the same is asked again, with what the answer changed, and the client reads nothing of it."""

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(ATTEMPT[kind])
        request = await bench.request()
        await request.answer("Auth-Status: WAIT", "Auth-Wait: 1", "Auth-User: mapped")
        request = await bench.request()
        await client.expect_nothing()
        bench.check("Auth-User", request["Auth-User"], b"mapped")
        bench.check("Auth-Pass", request["Auth-Pass"], b"p")
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"1")
        await request.answer("Auth-Status: no")
        await client.expect(NO[kind] + b"no\r\n")
        await client.expect_eof()

    return script


def _digest_again(kind: str) -> Script:
    frame = FRAMES[kind]

    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"CRAM-MD5"))
        await client.line()
        await client.send(b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n")
        first = await bench.request()
        await first.answer("Auth-Status: WAIT", "Auth-Wait: 1")
        second = await bench.request()
        for name in ("Auth-Method", "Auth-User", "Auth-Pass", "Auth-Salt", "Auth-Login-Attempt"):
            bench.check(name, second[name], first[name])
        bench.check("Auth-Pass", second["Auth-Pass"], b"b913a602c7eda7a495b4e6e7334d3890")

    return script


for kind in KINDS:
    case(
        f"{kind}/refused/errors-are-not-forgotten",
        "a refusal does not begin the count of max_errors anew",
        rules="IMAP-75" if kind == "imap" else "POP3-68",
        block=Block(kind),
        directives="max_errors",
    )(_errors_survive(kind))
    case(
        f"{kind}/wait/asks-again",
        "the same attempt is asked again after Auth-Wait",
        rules="SASL-75 SASL-20 " + ("IMAP-85" if kind == "imap" else "POP3-50"),
        block=Block(kind),
        level=Level.VENDOR,
    )(_waiting(kind))
    case(
        f"{kind}/wait/digest-is-sent-again",
        "a digest is part of the attempt that is asked again",
        rules="SASL-75",
        block=FRAMES[kind].block("cram-md5"),
    )(_digest_again(kind))
