"""SMTP limits: the length of a line, the number of errors, the number of commands (smtp rules, section 4)."""

from __future__ import annotations

from mmap import PAGESIZE

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.rulebook import Level
from conformance.smtp_words import (
    ARGUMENT,
    BYE,
    DENIED,
    INVALID,
    NEED_AUTH,
    NEXT,
    OK,
    SEQUENCE,
    b64,
    log_in_saying,
    settle,
    talk,
)

__all__: list[str] = []

SMALL = Block("smtp", "smtp_client_buffer 512;")
PLAIN = Block("smtp")


def noop_of(length: int, end: bytes = b"\r\n") -> bytes:
    """A NOOP line of so many octets, its end included."""
    return b"NOOP " + b"x" * (length - 5 - len(end)) + end


def _fits(line: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, (line, OK), SMTP.noop, (line, OK))
        await log_in_saying(bench, client)

    return script


def _too_long(start: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(start)
        rest = await client.rest()
        bench.check("all that is said to a line that is too long", rest, INVALID, b"")

    return script


FITTING = {
    "exactly-the-buffer": (SMALL, noop_of(512)),
    "exactly-the-buffer-with-bare-lf": (SMALL, noop_of(512, b"\n")),
    "exactly-the-default-of-one-page": (PLAIN, noop_of(PAGESIZE)),
    "spaces-up-to-the-buffer": (SMALL, b"NOOP" + b" " * 506 + b"\r\n"),
}
for slug, (block, line) in FITTING.items():
    case(
        f"smtp/limit/line-fits-{slug}",
        f"a line of {slug.replace('-', ' ')} is read",
        rules="SMTP-25",
        directives="smtp_client_buffer",
        block=block,
    )(_fits(line))

TOO_LONG = {
    "one-octet-more-than-the-buffer": (SMALL, noop_of(513)),
    "buffer-full-without-an-end": (SMALL, b"NOOP " + b"x" * 507),
    "one-octet-more-than-one-page": (PLAIN, noop_of(PAGESIZE + 1)),
    "invalid-from-the-start": (SMALL, b"?" * 512),
    "much-more": (SMALL, b"NOOP " + b"x" * 20000),
    "unknown-verb": (SMALL, b"XYZZY " + b"x" * 506),
}
for slug, (block, line) in TOO_LONG.items():
    case(
        f"smtp/limit/line-too-long-{slug}",
        f"{slug.replace('-', ' ')}: refused as invalid, or nothing, and the connection is closed",
        rules="SMTP-26 SMTP-25 CORE-24",
        directives="smtp_client_buffer",
        block=block,
        level=Level.VENDOR,
    )(_too_long(line))


@case(
    "smtp/limit/refusal-of-a-long-line-arrives",
    "the reply to a line that is too long is not lost to a reset",
    rules="SMTP-26 CORE-81",
    directives="smtp_client_buffer",
    block=SMALL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"NOOP " + b"x" * 20000)
    await client.expect(INVALID)
    await client.expect_eof()


@case(
    "smtp/limit/lines-one-by-one-do-not-add-up",
    "lines that are answered one by one may be longer together than the buffer",
    rules="SMTP-25 SMTP-27",
    directives="smtp_client_buffer",
    block=SMALL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, *[(noop_of(200), OK)] * 8)
    await log_in_saying(bench, client)


@case(
    "smtp/limit/batch-may-be-longer-than-the-buffer",
    "the limit is for a line, not for all that is sent at once",
    rules="SMTP-27",
    directives="smtp_client_buffer",
    block=SMALL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(noop_of(100) * 20)
    await client.expect(OK * 20)
    await log_in_saying(bench, client)


@case(
    "smtp/limit/refused-logins-take-no-room",
    "AUTH lines that were refused leave the whole buffer to the next one",
    rules="SMTP-27",
    directives="smtp_client_buffer",
    block=SMALL,
    level=Level.VENDOR,
    deviates={"angie": "a refused AUTH line stays in the buffer (SMTP-27)"},
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    for attempt in (b"1", b"2", b"3"):
        await client.send(b"AUTH PLAIN %s\r\n" % b64(b"\0" + b"u" * 200 + b"\0p"))
        request = await bench.request()
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], attempt)
        await request.answer("Auth-Status: no", "Auth-Wait: 1")
        await client.expect(DENIED)
    await talk(client, SMTP.noop)


@case(
    "smtp/limit/long-login-fits-the-buffer",
    "credentials in a line of exactly the buffer are asked about unchanged",
    rules="SMTP-25 SMTP-74 SASL-23",
    directives="smtp_client_buffer",
    block=SMALL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    password = b"p" * (372 - len(bench.user))  # 374 octets are 499 in base64, which is all the room there is
    line = b"AUTH PLAIN %s\r\n" % b64(b"\0" + bench.user + b"\0" + password).rstrip(b"=")
    bench.check("the length of the line", len(line), 512)
    await client.send(line)
    request = await bench.request()
    bench.check("the password", request.password, password)


# Errors.

INVALID_LINE = (b"XYZZ\r\n", INVALID)


def _errors(allowed: int) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        for _ in range(allowed - 1):
            await talk(client, INVALID_LINE, SMTP.noop)
        await talk(client, INVALID_LINE)
        await client.expect_eof()

    return script


for number, words in (("", "by default"), ("0", "of 0, which acts as 1"), ("1", "of 1"), ("3", "of 3")):
    limit = 5 if not number else max(1, int(number))
    case(
        f"smtp/limit/max-errors-{number or 'default'}",
        f"with max_errors {words} invalid line {limit} closes the connection, correct ones between them do not help",
        rules="SMTP-29 CORE-21",
        directives="max_errors",
        block=Block("smtp", f"max_errors {number};" if number else ""),
    )(_errors(limit))

TWO_ERRORS = Block("smtp", "max_errors 2;")
FREE = {
    "vrfy": (b"VRFY x\r\n", INVALID),
    "expn": (b"EXPN x\r\n", INVALID),
    "help": (b"HELP\r\n", INVALID),
    "starttls": (b"STARTTLS\r\n", INVALID),
    "unknown-mechanism": (b"AUTH XYZ\r\n", INVALID),
    "disabled-mechanism": (b"AUTH CRAM-MD5\r\n", INVALID),
    "auth-without-argument": (b"AUTH\r\n", ARGUMENT),
    "helo-without-argument": (b"HELO\r\n", ARGUMENT),
    "undecodable-credentials": (b"AUTH PLAIN !\r\n", INVALID),
    "credentials-without-nul": (b"AUTH PLAIN YQ==\r\n", INVALID),
    "mail": (b"MAIL FROM:<a@b>\r\n", NEED_AUTH),
    "rcpt": (b"RCPT TO:<a@b>\r\n", SEQUENCE),
    "star-in-an-exchange": (b"AUTH PLAIN\r\n*\r\n", NEXT + INVALID),
}


def _free(turn: tuple[bytes, bytes]) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *[turn] * 4, SMTP.noop)
        await log_in_saying(bench, client)

    return script


for slug, turn in FREE.items():
    case(
        f"smtp/limit/no-error-{slug}",
        f"{slug.replace('-', ' ')}: refused, and free of max_errors",
        rules="SMTP-30 SMTP-44",
        directives="max_errors",
        block=TWO_ERRORS,
    )(_free(turn))


@case(
    "smtp/limit/refused-logins-are-no-errors",
    "logins that the auth server refused are free of max_errors",
    rules="SMTP-30",
    directives="max_errors",
    block=TWO_ERRORS,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    for _ in range(3):
        await client.send(b"AUTH PLAIN %s\r\n" % bench.plain64)
        await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 1")
        await client.expect(DENIED)
    await talk(client, INVALID_LINE, SMTP.noop)


@case(
    "smtp/limit/errors-survive-a-refused-login",
    "errors before and after a refused login add up",
    rules="SMTP-32 SMTP-29",
    directives="max_errors",
    block=TWO_ERRORS,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, INVALID_LINE)
    await client.send(b"AUTH PLAIN %s\r\n" % bench.plain64)
    await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(DENIED)
    await talk(client, INVALID_LINE)
    await client.expect_eof()


# Commands.

THREE = Block("smtp", "max_commands 3;")
COMMANDS = {
    # slug: what, three that are counted, the rest that must be refused
    "noop": ("three NOOPs", (SMTP.noop,) * 3, b"NOOP\r\n"),
    "quit": ("three NOOPs, then QUIT", (SMTP.noop,) * 3, b"QUIT\r\n"),
    "invalid-lines-are-free": ("invalid lines between three NOOPs",
                               (SMTP.noop, INVALID_LINE, SMTP.noop, INVALID_LINE, SMTP.noop), b"NOOP\r\n"),
    "refused-commands-count": ("VRFY, HELO without a name and MAIL",
                               ((b"VRFY x\r\n", INVALID), (b"HELO\r\n", ARGUMENT), (b"MAIL x\r\n", NEED_AUTH)),
                               b"NOOP\r\n"),
    "answers-to-challenges-count": ("AUTH PLAIN, its answer, and NOOP",
                                    ((b"AUTH PLAIN\r\n", NEXT), (b"*\r\n", INVALID), SMTP.noop), b"NOOP\r\n"),
}  # fmt: skip


def _commands(turns: tuple[tuple[bytes, bytes], ...], line: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *turns, (line, INVALID))
        await client.expect_eof()

    return script


for slug, (what, turns, line) in COMMANDS.items():
    case(
        f"smtp/limit/max-commands-{slug}",
        f"with max_commands 3, after {what} the next command is refused, and the connection closed",
        rules="SMTP-31 CORE-22",
        directives="max_commands",
        block=THREE,
    )(_commands(turns, line))


@case(
    "smtp/limit/max-commands-stops-a-login",
    "a login that is one command too many is not asked about",
    rules="SMTP-31",
    directives="max_commands",
    block=THREE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, *[SMTP.noop] * 3, (b"AUTH PLAIN %s\r\n" % bench.plain64, INVALID))
    await client.expect_eof()
    await settle(bench)
    bench.no_request()


@case(
    "smtp/limit/max-commands-allows-the-last",
    "the last allowed command is carried out",
    rules="SMTP-31",
    directives="max_commands",
    block=THREE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, *[SMTP.noop] * 2, (b"QUIT\r\n", BYE))
    await client.expect_eof()
