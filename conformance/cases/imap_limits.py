"""How much an IMAP client may send: the buffer, max_errors, max_commands (imap rules, 3 and 11)."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Block, Needs, case
from conformance.rulebook import Level

__all__: list[str] = []

SMALL = Block("imap", "imap_client_buffer 64; imap_auth plain login cram-md5;")
GO = b"+ OK\r\n"
BAD = b"a BAD invalid command\r\n"
OK = b"a OK completed\r\n"


def padded(start: bytes, size: int, end: bytes = b"\r\n", *, fill: bytes = b"x") -> bytes:
    """Octets of exactly this size."""
    return start + fill * (size - len(start) - len(end)) + end


FITS: dict[str, tuple[str, str, tuple[Turn, ...]]] = {
    "line-that-fills-the-buffer": ("accepted", "IMAP-6", ((padded(b"a NOOP ", 64), OK),)),
    "line-that-fills-the-buffer-before-a-bare-line-feed": ("accepted", "IMAP-6",
                                                           ((padded(b"a NOOP ", 64, b"\n"), OK),)),
    "each-line-has-the-whole-buffer": ("ten full ones in turn", "IMAP-6", ((padded(b"a NOOP ", 64), OK),) * 10),
    "batch-of-full-lines": ("each has the whole buffer", "IMAP-6 IMAP-11", ((padded(b"a NOOP ", 64) * 3, OK * 3),)),
    "long-batch": ("fifty commands at once", "IMAP-11", ((b"a NOOP\r\n" * 50, OK * 50),)),
    "long-batch-that-fits-no-buffer-evenly": ("no command is cut at the buffer's end", "IMAP-11",
                                              ((b"a NOOP xyz\r\n" * 50, OK * 50),)),
    "literal-that-fills-the-buffer": ("announcement and octets together", "IMAP-6",
                                      ((b"a NOOP {40}\r\n", GO), (b"x" * 40 + b" yyyyyyyy\r\n", OK),)),
}  # fmt: skip
for slug, (what, rules, turns) in FITS.items():
    case(
        f"imap/buffer/{slug}",
        what,
        rules=rules,
        block=SMALL,
        directives="imap_client_buffer",
        level=Level.VENDOR,
        deviates={"nginx": "input beyond one buffer waits for more octets, as in 1.31.5 (IMAP-11)"}
        if "batch" in slug
        else None,
        limit=8,
    )(dialogue(*turns))

OVERFLOWS: dict[str, tuple[str, str, tuple[Turn, ...]]] = {
    "line-one-octet-too-long": ("refused with its tag", "IMAP-7 IMAP-6 CORE-24", ((padded(b"a NOOP ", 65), BAD),)),
    "line-without-an-end": ("refused as soon as the buffer is full", "IMAP-7", ((padded(b"a NOOP ", 64, b""), BAD),)),
    "tag-without-an-end": ("refused when the buffer is full, though it is none", "IMAP-7 IMAP-15",
                           ((b"t" * 64, b"* BAD invalid command\r\n"),)),
    "invalid-line-without-an-end": ("refused when the buffer is full", "IMAP-7 IMAP-15",
                                    ((padded(b"a XYZZY ", 64, b""), BAD),)),
    "spaces-without-an-end": ("they count, too", "IMAP-7", ((padded(b"a ", 64, b"", fill=b" "), BAD),)),
    "literal-one-octet-too-long": ("refused", "IMAP-7 IMAP-6",
                                   ((b"a NOOP {40}\r\n", GO), (b"x" * 40 + b" yyyyyyyyy\r\n", BAD))),
    "unwaited-literal-too-long": ("refused when the buffer is full", "IMAP-7 IMAP-10",
                                  ((padded(b"a NOOP {100+}\r\n", 64, b""), BAD),)),
    "quoted-string-without-an-end": ("refused when the buffer is full", "IMAP-7",
                                     ((padded(b'a LOGIN "', 64, b""), BAD),)),
}  # fmt: skip
for slug, (what, rules, turns) in OVERFLOWS.items():
    case(f"imap/buffer/{slug}", what, rules=rules, block=SMALL, directives="imap_client_buffer", limit=8)(
        dialogue(*turns, closed=True)
    )

case(
    "imap/buffer/announcement-that-fills-it",
    "the continuation comes, then the reject and the end",
    rules="IMAP-9 IMAP-7",
    block=SMALL,
    directives="imap_client_buffer",
    deviates={"nginx": "the reject waits for the next octet, as in 1.31.5 (IMAP-9)"},
    limit=8,
)(dialogue((padded(b"a NOOP ", 64, b" {5}\r\n"), GO + BAD), closed=True))


# An AUTHENTICATE exchange has one buffer in all.

WORD = b"AHUAcA=="  # \0u\0p
FULL = 64 - len(b"a AUTHENTICATE PLAIN\r\n")

case(
    "imap/buffer/exchange-that-fills-it",
    "AUTHENTICATE and its answer together may be just as long as the buffer",
    rules="IMAP-8 SASL-21",
    block=SMALL,
    directives="imap_client_buffer",
)(login((b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), then=padded(WORD, FULL), wanted=Attempt(b"u", b"p")))
case(
    "imap/buffer/exchange-one-octet-too-long",
    "AUTHENTICATE and its answer together are longer than the buffer",
    rules="IMAP-8 SASL-21",
    block=SMALL,
    directives="imap_client_buffer",
)(dialogue((b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (padded(WORD, FULL + 1), BAD), closed=True))
case(
    "imap/buffer/initial-response-that-fills-it",
    "an initial response may fill the buffer",
    rules="IMAP-8 SASL-21",
    block=SMALL,
    directives="imap_client_buffer",
)(login(then=padded(b"a AUTHENTICATE PLAIN " + WORD, 64), wanted=Attempt(b"u", b"p")))
case(
    "imap/buffer/refused-exchange-leaves-no-trace",
    "after a refused answer the next exchange has the whole buffer again",
    rules="IMAP-8 IMAP-52",
    block=SMALL,
    directives="imap_client_buffer",
)(
    login(
        (b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
        (padded(b"*", FULL), BAD),
        (b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
        then=padded(WORD, FULL),
        wanted=Attempt(b"u", b"p"),
    )
)


# max_errors: what counts as an error and what does not.

ONE = Block("imap", "max_errors 1; imap_auth plain login;")
COUNTED: dict[str, tuple[Turn, ...]] = {
    "unknown-command": ((b"a XYZZY\r\n", BAD),),
    "tag-that-is-none": ((b"(a) NOOP\r\n", b"* BAD invalid command\r\n"),),
    "empty-line": ((b"\r\n", b"* BAD invalid command\r\n"),),
    "fourth-argument": ((b"a NOOP 1 2 3 4\r\n", BAD),),
    "bad-literal": ((b"a LOGIN {x}\r\n", BAD),),
    "stray-carriage-return": ((b"a NOOP\rx\r\n", BAD),),
    "four-words-in-an-exchange": ((b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"AHUAcA== b c d\r\n", BAD)),
    "carriage-return-in-an-exchange": ((b"a AUTHENTICATE PLAIN\r\n", b"+ \r\n"), (b"AHU\rAcA==\r\n", BAD)),
}
UNCOUNTED: dict[str, tuple[Turn, ...]] = {
    "login-without-password": ((b"a LOGIN user\r\n", BAD),),
    "login-with-three-arguments": ((b"a LOGIN a b c\r\n", BAD),),
    "login-with-an-empty-user": ((b'a LOGIN "" pass\r\n', BAD),),
    "authenticate-without-method": ((b"a AUTHENTICATE\r\n", BAD),),
    "unknown-method": ((b"a AUTHENTICATE XYZZY\r\n", BAD),),
    "method-that-is-not-configured": ((b"a AUTHENTICATE CRAM-MD5\r\n", BAD),),
    "too-many-responses": ((b"a AUTHENTICATE PLAIN AHUAcA== x\r\n", BAD),),
    "bad-base64": ((b"a AUTHENTICATE PLAIN !!!!\r\n", BAD),),
    "cancelled-exchange": ((b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"), (b"dQ==\r\n", b"+ UGFzc3dvcmQ6\r\n"),
                           (b"*\r\n", BAD)),
    "starttls-where-it-is-off": ((b"a STARTTLS\r\n", BAD),),
}  # fmt: skip


def thrice(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns three times in a row."""
    return tuple(turns) * 3


for slug, turns in COUNTED.items():
    case(
        f"imap/max-errors/counts-{slug}",
        "with max_errors 1 it is the last line",
        rules="IMAP-75 IMAP-76 CORE-21" if "exchange" not in slug else "IMAP-75 SASL-18 SASL-13",
        block=ONE,
        directives="max_errors",
    )(dialogue(*turns, closed=True))
for slug, turns in UNCOUNTED.items():
    case(
        f"imap/max-errors/does-not-count-{slug}",
        "refused three times, and the session goes on with max_errors 1",
        rules="IMAP-76 SASL-18",
        block=ONE,
        directives="max_errors",
    )(dialogue(*thrice(turns)))


@case("imap/max-errors/default-is-five", "the fifth error is the last, whatever comes between", rules="IMAP-75",
      block=Block("imap"), directives="max_errors")  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    for _number in range(4):
        await talk(client, (b"a XYZZY\r\n", BAD), (b"a NOOP\r\n", OK), (b"a LOGIN\r\n", BAD))
    await client.send(b"a XYZZY\r\nb LOGIN user pass\r\n")
    await client.expect(BAD)
    await client.expect_eof()
    bench.no_request()


@case("imap/max-errors/default-spares-four", "after four errors a login is possible", rules="IMAP-75",
      block=Block("imap"), directives="max_errors")  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(client, (b"a XYZZY\r\n" * 4, BAD * 4))
    await client.send(b"a LOGIN user pass\r\n")
    await check_attempt(bench, client, Attempt())


# max_commands.

THREE = Block("imap", "max_commands 3;")
ENDS: dict[str, tuple[str, tuple[Turn, ...], bool]] = {
    # slug: what, turns, whether they are the end
    "fourth-line": ("rejected, with its tag", ((b"b NOOP\r\n" * 3, b"b OK completed\r\n" * 3), (b"a NOOP\r\n", BAD)),
                    True),
    "continuation-lines": ("each is a line", ((b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
                                              (b"!\r\n", BAD), (b"a AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
                                              (b"dQ==\r\n", BAD)), True),
    "refused-commands": ("they count", ((b"a LOGIN\r\n", BAD), (b"a STARTTLS\r\n", BAD), (b"a AUTHENTICATE\r\n", BAD),
                                        (b"a CAPABILITY\r\n", BAD)), True),
    "logout-as-fourth-line": ("is not executed either", ((b"a NOOP\r\n" * 3, OK * 3), (b"a LOGOUT\r\n", BAD)), True),
    "literals-do-not-count": ("only whole commands do",
                              ((b"a NOOP {1}\r\n", GO), (b"x {1}\r\n", GO), (b"x {1}\r\n", GO), (b"x\r\n", OK)), False),
}  # fmt: skip
for slug, (what, turns, end) in ENDS.items():
    case(f"imap/max-commands/{slug}", what, rules="IMAP-77 SASL-19", block=THREE, directives="max_commands")(
        dialogue(*turns, closed=end)
    )


@case("imap/max-commands/default-is-a-thousand", "the line after a thousand is refused", rules="IMAP-77",
      block=Block("imap"), directives="max_commands", needs=(Needs.MAX_COMMANDS,))  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"a NOOP\r\n" * 1000)
    await client.expect(OK * 1000)
    await client.send(b"a NOOP\r\n")
    await client.expect(BAD)
    await client.expect_eof()
    bench.no_request()


@case("imap/buffer/full-line-after-a-login-that-was-refused", "the attempt leaves the whole buffer to the next command",
      rules="IMAP-6 SASL-74", block=SMALL, directives="imap_client_buffer")  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(padded(b"a AUTHENTICATE PLAIN " + WORD, 64))
    request = await bench.request()
    await request.answer("Auth-Status: later", "Auth-Wait: 1")
    await client.expect(b"a NO later\r\n")
    await talk(client, (padded(b"a NOOP ", 64), OK))
    await alive(bench, client)
