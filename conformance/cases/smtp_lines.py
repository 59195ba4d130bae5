"""How SMTP lines are read: ends, spaces, case, arguments, octets that have no place there (smtp rules, section 3)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.smtp_words import BYE, HELO, INVALID, OK, auth_plain, log_in_saying, settle, talk

__all__: list[str] = []

PLAIN = Block("smtp")
TWO_ERRORS = Block("smtp", "max_errors 2;")

INVALID_LINES = {
    # slug: what, line, rule
    "empty": ("an empty line", b"\r\n", "SMTP-21"),
    "bare-lf-alone": ("a line that is only LF", b"\n", "SMTP-21"),
    "only-spaces": ("a line of spaces", b"  \r\n", "SMTP-21"),
    "leading-space": ("a space before the verb", b" NOOP\r\n", "SMTP-21"),
    "cr-inside": ("a CR inside a line", b"NOOP\rx\r\n", "SMTP-17"),
    "two-crs": ("two CRs before LF", b"NOOP\r\r\n", "SMTP-17"),
    "cr-in-argument": ("a CR in an argument", b"HELO a\rb\r\n", "SMTP-17"),
    "tab-as-separator": ("a TAB behind the verb", b"HELO\tc.example\r\n", "SMTP-19"),
    "tab-at-the-end": ("a TAB at the end", b"NOOP\t\r\n", "SMTP-19"),
    "digit-in-verb": ("a digit in the verb", b"NOOP1\r\n", "SMTP-19"),
    "hyphen-in-verb": ("a hyphen in the verb", b"NO-OP\r\n", "SMTP-19"),
    "nul-in-verb": ("NUL in the verb", b"NO\0OP\r\n", "SMTP-19"),
    "nul-behind-verb": ("NUL behind the verb", b"NOOP\0\r\n", "SMTP-19"),
    "eight-bit-in-verb": ("an 8-bit octet in the verb", b"NO\xc3\x96P\r\n", "SMTP-19"),
    "nul-first": ("NUL before the verb", b"\0NOOP\r\n", "SMTP-19"),
    "telnet-negotiation": ("octets of Telnet", b"\xff\xfd\x03NOOP\r\n", "SMTP-19"),
    "twelve-arguments": ("a twelfth argument", b"NOOP" + b" x" * 12 + b"\r\n", "SMTP-20"),
    "form-feed": ("a form feed behind the verb", b"NOOP\x0c\r\n", "SMTP-19"),
}


def _invalid(line: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, (line, INVALID), SMTP.noop)
        await log_in_saying(bench, client)
        client = await greeted(bench)
        await talk(client, (line, INVALID), (line, INVALID))
        await client.expect_eof()

    return script


for slug, (what, line, rule) in INVALID_LINES.items():
    case(
        f"smtp/line/invalid-{slug}",
        f"{what} makes the line invalid, is answered once, and counts for max_errors",
        rules=f"{rule} SMTP-22 SMTP-29",
        directives="max_errors",
        block=TWO_ERRORS,
    )(_invalid(line))

VALID_LINES = {
    # slug: what, line, reply, rule, what the backend hears
    "lower-case": ("verbs in lower case", b"noop\r\n", OK, "SMTP-18", ()),
    "mixed-case": ("verbs in mixed case", b"hElO c.example\r\n", HELO, "SMTP-18", (b"HELO c.example\r\n",)),
    "bare-lf": ("a bare LF", b"NOOP\n", OK, "SMTP-17", ()),
    "bare-lf-behind-argument": ("a bare LF behind an argument", b"HELO c.example\n", HELO, "SMTP-17",
                                (b"HELO c.example\r\n",)),
    "many-spaces": ("several spaces", b"HELO   c.example\r\n", HELO, "SMTP-16", (b"HELO c.example\r\n",)),
    "trailing-spaces": ("spaces at the end", b"HELO c.example  \r\n", HELO, "SMTP-16", (b"HELO c.example\r\n",)),
    "trailing-space-behind-verb": ("a space behind the verb only", b"NOOP \r\n", OK, "SMTP-16", ()),
    "eleven-arguments": ("eleven arguments", b"NOOP" + b" x" * 11 + b"\r\n", OK, "SMTP-20", ()),
    "nul-in-argument": ("NUL in an argument of NOOP", b"NOOP a\0b\r\n", OK, "SMTP-19", ()),
    "tab-in-argument": ("a TAB in an argument of NOOP", b"NOOP a\tb\r\n", OK, "SMTP-19", ()),
    "eight-bit-in-argument": ("8-bit octets in an argument of NOOP", b"NOOP \xff\x80\r\n", OK, "SMTP-19", ()),
    "case-of-argument-kept": ("the case of a name", b"HELO MiXed.Example\r\n", HELO, "SMTP-18 PROXY-41",
                              (b"HELO MiXed.Example\r\n",)),
}  # fmt: skip


def _valid(line: bytes, reply: bytes, hello: tuple[bytes, ...], pieces: int | None = None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(line, pieces=pieces)
        await client.expect(reply)
        await log_in_saying(bench, client, *hello)

    return script


for slug, (what, line, reply, rules, hello) in VALID_LINES.items():
    case(f"smtp/line/valid-{slug}", f"{what}: fine", rules=rules, block=PLAIN)(_valid(line, reply, hello))

case(
    "smtp/line/octet-by-octet",
    "a line may arrive in single octets",
    rules="SMTP-23",
    block=PLAIN,
)(_valid(b"HELO c.example\r\n", HELO, (b"HELO c.example\r\n",), 1))
case(
    "smtp/line/invalid-octet-by-octet",
    "an invalid line in single octets is answered once, and the next line is read from its beginning",
    rules="SMTP-22 SMTP-23",
    block=PLAIN,
)(_valid(b"XYZZY is no command\r\nHELO c.example\r\n", INVALID + HELO, (b"HELO c.example\r\n",), 1))


def _swallowed(start: bytes, end: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(start)
        await settle(bench)
        await client.expect_nothing()
        await talk(client, (end, INVALID), (b"HELO c.example\r\n", HELO))
        await log_in_saying(bench, client, b"HELO c.example\r\n")

    return script


for slug, start, end in (
    ("unknown-verb", b"XYZZY and more", b" QUIT\r\n"),
    ("wrong-octet", b"NO\0OP", b"QUIT\n"),
    ("cr-in-the-middle", b"NOOP\rQUIT\r", b"\n"),
):
    case(
        f"smtp/line/invalid-is-answered-at-its-end-{slug}",
        "nothing is answered before the LF of an invalid line, and nothing inside it is a command",
        rules="SMTP-22",
        block=PLAIN,
    )(_swallowed(start, end))


@case(
    "smtp/line/valid-is-answered-at-its-end",
    "a command is not carried out before its line end",
    rules="SMTP-16 SMTP-23",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"QUIT")
    await settle(bench)
    await client.expect_nothing()
    await client.send(b"\r")
    await settle(bench)
    await client.expect_nothing()
    await talk(client, (b"\n", BYE))
    await client.expect_eof()


@case(
    "smtp/line/login-is-read-to-its-end",
    "credentials without a line end are not asked about",
    rules="SMTP-23 SMTP-16",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench).rstrip(b"\r\n"))
    await settle(bench)
    bench.no_request()
    await client.send(b"\r\n")
    request = await bench.request()
    bench.check("the password", request.password, bench.password)


@case(
    "smtp/line/verb-starttls-in-mixed-case",
    "STARTTLS is known in any case, so it is no error for max_errors",
    rules="SMTP-18 SMTP-30",
    directives="max_errors",
    block=TWO_ERRORS,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, *[(b"StartTls\r\n", INVALID)] * 3, SMTP.noop)
