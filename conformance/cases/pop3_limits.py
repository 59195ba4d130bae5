"""How much a POP3 client may send: line limits, max_errors, max_commands (pop3 rules, 3 and 13)."""

from __future__ import annotations

from base64 import b64encode

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Block, case
from conformance.cases.imap_limits import padded
from conformance.rulebook import Level

__all__: list[str] = []

POP3 = Block("pop3")
OURS = Block("pop3", "pop3_client_buffer 512;")
VENDORS = Block("pop3", "pop3_client_buffer 128;")
ERR = b"-ERR invalid command\r\n"
OK = b"+OK\r\n"
NAMED = (b"USER user\r\n", OK)
STALLS = {"nginx": "input beyond one buffer waits for more octets, as in 1.31.5 (POP3-17)"}


def plain_line(size: int) -> tuple[bytes, Attempt]:
    """An AUTH PLAIN line of exactly this size, and its attempt."""
    room = size - len(b"AUTH PLAIN \r\n")
    password = b"p" * (room * 3 // 4 - len(b"\0user\0"))
    response = b64encode(b"\0user\0" + password).rstrip(b"=")
    return padded(b"AUTH PLAIN " + response, size, fill=b"="), Attempt(password=password)


# The limit that nginx has, too.

case("pop3/limit/line-of-128-octets", "accepted", rules="POP3-16", block=POP3, level=Level.VENDOR)(
    dialogue((padded(b"NOOP ", 128), OK), (padded(b"NOOP ", 128, b"\n"), OK))
)
case("pop3/limit/user-of-128-octets", "accepted", rules="POP3-16", block=POP3, level=Level.VENDOR)(
    login((padded(b"USER ", 128), OK), then=padded(b"PASS ", 128), wanted=Attempt(b"x" * 121, b"x" * 121))
)
line, attempt = plain_line(128)
case("pop3/limit/auth-of-128-octets", "accepted", rules="POP3-16", block=POP3, level=Level.VENDOR)(
    login(then=line, wanted=attempt)
)
case(
    "pop3/limit/each-line-has-the-whole-limit",
    "ten full lines in turn",
    rules="POP3-16 POP3-17",
    block=POP3,
    level=Level.VENDOR,
)(dialogue(*[(padded(b"NOOP ", 128), OK)] * 10))
case(
    "pop3/limit/long-batch",
    "fifty commands at once",
    rules="POP3-17",
    block=POP3,
    deviates=STALLS,
    limit=8,
)(dialogue((b"NOOP\r\n" * 50, OK * 50)))

LONGER: dict[str, tuple[str, Block, tuple[Turn, ...]]] = {
    "line-one-octet-too-long": ("one octet over 255", POP3, ((padded(b"NOOP ", 256), ERR),)),
    "line-without-an-end": ("refused as soon as 255 octets are there", POP3, ((padded(b"NOOP ", 255, b""), ERR),)),
    "invalid-line-without-an-end": ("refused as soon as 255 octets are there", POP3,
                                    ((padded(b"XYZZ ", 255, b""), ERR),)),
    "user-one-octet-too-long": ("one octet over 255", POP3, ((padded(b"USER ", 256), ERR),)),
    "password-one-octet-too-long": ("one octet over 255", POP3, (NAMED, (padded(b"PASS ", 256), ERR))),
    "auth-over-the-buffer": ("one octet over pop3_client_buffer", OURS, ((plain_line(513)[0], ERR),)),
    "answer-over-the-buffer": ("one octet over pop3_client_buffer", OURS,
                               ((b"AUTH PLAIN\r\n", b"+ \r\n"), (padded(b"AHUAcA==", 513), ERR))),
    "line-over-a-small-buffer": ("pop3_client_buffer holds for all lines if it is less than 255", VENDORS,
                                 ((padded(b"NOOP ", 129), ERR),)),
    "auth-over-a-small-buffer": ("pop3_client_buffer holds for all lines", VENDORS, ((plain_line(129)[0], ERR),)),
}  # fmt: skip
for slug, (what, block, turns) in LONGER.items():
    case(
        f"pop3/limit/{slug}",
        f"{what}: refused, and the end",
        rules="POP3-16 POP3-80 CORE-24" + (" SASL-22" if slug.startswith(("auth", "answer")) else ""),
        block=block,
        directives="pop3_client_buffer" if block is not POP3 else "",
    )(dialogue(*turns, closed=True))

FITTING: dict[str, tuple[str, Block, tuple[Turn, ...], bytes, Attempt]] = {
    "name-and-password-of-255-octets": ("the longest lines", POP3, ((padded(b"USER ", 255), OK),),
                                        padded(b"PASS ", 255),
                                        Attempt(b"x" * 248, b"x" * 248)),
    "auth-of-12288-octets": ("the default is what RFC 5034 wants", POP3, (), *plain_line(12288)),
    "auth-of-the-whole-buffer": ("pop3_client_buffer octets", OURS, (), *plain_line(512)),
    "answer-of-the-whole-buffer": ("pop3_client_buffer octets, whatever AUTH took", OURS,
                                   ((b"AUTH PLAIN\r\n", b"+ \r\n"),),
                                   padded(b"AHUAcA==", 512), Attempt(b"u", b"p")),
    "answers-have-a-limit-each": ("both are as long as can be", OURS,
                                  ((b"AUTH LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
                                   (padded(b"dXNlcg==", 512), b"+ UGFzc3dvcmQ6\r\n")),
                                  padded(b"cGFzcw==", 512), Attempt()),
}  # fmt: skip
for slug, (what, block, turns, last, wanted) in FITTING.items():
    case(
        f"pop3/limit/{slug}",
        f"{what}: accepted",
        rules="POP3-80 POP3-16 POP3-48" + (" SASL-22" if slug.startswith(("auth", "answer")) else ""),
        block=block,
        directives="pop3_client_buffer" if block is not POP3 else "",
        limit=8,
    )(login(*turns, then=last, wanted=wanted))


# max_errors: what counts as an error and what does not.

ONE = Block("pop3", "max_errors 1;")
COUNTED: dict[str, tuple[Turn, ...]] = {
    "unknown-command": ((b"XYZZ\r\n", ERR),),
    "command-of-a-maildrop": ((b"STAT\r\n", ERR),),
    "empty-line": ((b"\r\n", ERR),),
    "fourth-argument": ((b"NOOP 1 2 3 4\r\n", ERR),),
    "stray-carriage-return": ((b"NOOP\rx\r\n", ERR),),
    "unknown-command-after-user": (NAMED, (b"XYZZ\r\n", ERR)),
}
UNCOUNTED: dict[str, tuple[Turn, ...]] = {
    "pass-before-user": ((b"PASS pass\r\n", ERR),),
    "user-without-a-name": ((b"USER\r\n", ERR),),
    "second-user": (NAMED, (b"USER user\r\n", ERR)),
    "pass-without-a-password": (NAMED, (b"PASS\r\n", ERR)),
    "apop-where-it-is-not-configured": ((b"APOP user digest\r\n", ERR),),
    "unknown-method": ((b"AUTH XYZZ\r\n", ERR),),
    "bad-base64": ((b"AUTH PLAIN !!!!\r\n", ERR),),
    "cancelled-exchange": ((b"AUTH PLAIN\r\n", b"+ \r\n"), (b"*\r\n", ERR)),
    "stls-where-it-is-off": ((b"STLS\r\n", ERR),),
}
for slug, turns in COUNTED.items():
    case(
        f"pop3/max-errors/counts-{slug}",
        "with max_errors 1 it is the last line",
        rules="POP3-68 CORE-21",
        block=ONE,
        directives="max_errors",
    )(dialogue(*turns, closed=True))
for slug, turns in UNCOUNTED.items():
    case(
        f"pop3/max-errors/does-not-count-{slug}",
        "refused three times, and the session goes on with max_errors 1",
        rules="POP3-69 SASL-18",
        block=ONE,
        directives="max_errors",
    )(dialogue(*turns * 3))


@case("pop3/max-errors/default-is-five", "the fifth error is the last, whatever comes between", rules="POP3-68",
      block=POP3, directives="max_errors")  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    for _number in range(4):
        await talk(client, (b"XYZZ\r\n", ERR), (b"NOOP\r\n", OK), (b"PASS x\r\n", ERR), NAMED)
    await client.send(b"XYZZ\r\nUSER user\r\nPASS pass\r\n")
    await client.expect(ERR)
    await client.expect_eof()
    bench.no_request()


@case("pop3/max-errors/default-spares-four", "after four errors a login is possible", rules="POP3-68",
      block=POP3, directives="max_errors")  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(client, (b"XYZZ\r\n" * 4, ERR * 4), NAMED)
    await client.send(b"PASS pass\r\n")
    await check_attempt(bench, client, Attempt())


# max_commands.

ENDS: dict[str, tuple[str, tuple[Turn, ...], bool]] = {
    # slug: what, turns, whether they are the end
    "fourth-line": ("rejected", ((b"NOOP\r\n" * 3, OK * 3), (b"NOOP\r\n", ERR)), True),
    "continuation-lines": ("each is a line", ((b"AUTH PLAIN\r\n", b"+ \r\n"), (b"*\r\n", ERR),
                                              (b"AUTH PLAIN\r\n", b"+ \r\n"), (b"AHUAcA==\r\n", ERR)), True),
    "refused-commands": ("they count", ((b"USER\r\n", ERR), (b"STLS\r\n", ERR), (b"PASS x\r\n", ERR),
                                        (b"CAPA\r\n", ERR)),
                         True),
    "quit-as-fourth-line": ("is not executed either", ((b"NOOP\r\n" * 3, OK * 3), (b"QUIT\r\n", ERR)), True),
}  # fmt: skip
for slug, (what, turns, end) in ENDS.items():
    case(
        f"pop3/max-commands/{slug}",
        what,
        rules="POP3-70 SASL-19",
        block=Block("pop3", "max_commands 3;"),
        directives="max_commands",
    )(dialogue(*turns, closed=end))


@case("pop3/limit/full-line-after-a-login-that-was-refused", "the attempt leaves the whole limit to the next line",
      rules="POP3-16 SASL-74", block=POP3)  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(plain_line(128)[0])
    request = await bench.request()
    await request.answer("Auth-Status: later", "Auth-Wait: 1")
    await client.expect(b"-ERR later\r\n")
    await talk(client, (padded(b"NOOP ", 128), OK))
    await alive(bench, client)
