"""`max_errors` and `max_commands` (CORE-21 to CORE-23)."""

from __future__ import annotations

from base64 import b64encode

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import PROTOCOLS, asked, failure, greeted

__all__: list[str] = []


def _errors(limit: int, *, pipelined: bool) -> Script:
    """The line that makes the count reach the limit is answered, and is the last."""

    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        line, reply = PROTOCOLS[bench.protocol].invalid
        noop, done = PROTOCOLS[bench.protocol].noop
        if pipelined:
            await client.send(line * limit + noop)
            await client.expect(reply * limit)
        else:
            for count in range(1, limit + 1):
                await client.send(noop)
                await client.expect(done)
                await client.send(line)
                await client.expect(reply)
                if count == limit:
                    break
        await client.expect_eof()
        bench.no_request()

    return script


def _not_errors(lines: tuple[bytes, ...]) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        words = PROTOCOLS[bench.protocol]
        for line in lines * 3:
            await client.send(line)
            await client.line()
        await client.send(words.noop[0])
        await client.expect(words.noop[1])
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])
        await client.expect_eof()

    return script


def _failed_login_between() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        words = PROTOCOLS[bench.protocol]
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])
        request = await asked(bench, client)
        await request.answer("Auth-Status: no", "Auth-Wait: 1")
        await client.expect(failure(bench.protocol, b"no"))
        await client.send(words.invalid[0])
        await client.expect(words.invalid[1])
        await client.expect_eof()

    return script


REFUSED_FOR_STATE: dict[str, tuple[bytes, ...]] = {
    "smtp": (b"RCPT TO:<a@b>\r\n",),
    "pop3": (b"PASS x\r\n", b"APOP a b\r\n"),
}
"""Well-formed commands, refused for their state or because they are not configured."""

for protocol in PROTOCOLS:
    for limit, setting in ((5, ""), (3, "max_errors 3;"), (1, "max_errors 1;"), (1, "max_errors 0;")):
        name = {"": "default", "max_errors 0;": "zero"}.get(setting, str(limit))
        case(
            f"{protocol}/max-errors/{name}",
            f"with {setting or 'five by default'} the invalid command number {limit} is answered, then closed",
            rules="CORE-21 CORE-23",
            directives="max_errors",
            block=Block(protocol, setting),
        )(_errors(limit, pipelined=False))
    case(
        f"{protocol}/max-errors/in-one-packet",
        "nothing behind the last invalid command is answered",
        rules="CORE-21",
        directives="max_errors",
        block=Block(protocol, "max_errors 3;"),
    )(_errors(3, pipelined=True))
    case(
        f"{protocol}/max-errors/survive-a-failed-login",
        "a login that fails is no error, and takes none back",
        rules="CORE-21 AUTH-69",
        directives="max_errors",
        block=Block(protocol, "max_errors 2;"),
    )(_failed_login_between())
for protocol, lines in REFUSED_FOR_STATE.items():
    case(
        f"{protocol}/max-errors/state-errors-do-not-count",
        "well-formed commands that are refused for their state are not counted",
        rules="CORE-21",
        directives="max_errors",
        block=Block(protocol, "max_errors 1;"),
    )(_not_errors(lines))


# max_commands.


def _commands(limit: int, *, pipelined: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        line, reply = PROTOCOLS[bench.protocol].noop
        refusal = PROTOCOLS[bench.protocol].invalid[1].replace(b"x BAD", b"n BAD")
        if pipelined:
            await client.send(line * (limit + 2))
            await client.expect(reply * limit + refusal)
        else:
            for _ in range(limit):
                await client.send(line)
                await client.expect(reply)
            await client.send(line)
            await client.expect(refusal)
        await client.expect_eof()

    return script


def _continuations_count() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        mark = b"334 " if bench.protocol == "smtp" else b"+ "
        await client.send((b"n AUTHENTICATE" if bench.protocol == "imap" else b"AUTH") + b" LOGIN\r\n")
        await client.expect(mark + b"VXNlcm5hbWU6\r\n")
        await client.send(b64encode(bench.user) + b"\r\n")
        await client.expect(mark + b"UGFzc3dvcmQ6\r\n")
        await client.send(b64encode(bench.password) + b"\r\n")
        await client.expect(PROTOCOLS[bench.protocol].invalid[1].replace(b"x BAD", b"n BAD"))
        await client.expect_eof()
        bench.no_request()

    return script


def _errors_do_not_count() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        words = PROTOCOLS[bench.protocol]
        for _ in range(3):
            await client.send(words.invalid[0])
            await client.expect(words.invalid[1])
        await client.send(words.noop[0])
        await client.expect(words.noop[1])

    return script


for protocol in PROTOCOLS:
    for limit in (0, 1, 3):
        case(
            f"{protocol}/max-commands/{limit or 'zero'}",
            f"with max_commands {limit} the command number {limit + 1} is refused, then closed",
            rules="CORE-22 CORE-23",
            directives="max_commands",
            block=Block(protocol, f"max_commands {limit};"),
        )(_commands(limit, pipelined=False))
    case(
        f"{protocol}/max-commands/in-one-packet",
        "nothing behind the refused command is answered",
        rules="CORE-22",
        directives="max_commands",
        block=Block(protocol, "max_commands 3;"),
    )(_commands(3, pipelined=True))
    case(
        f"{protocol}/max-commands/continuation-lines-count",
        "the answers to challenges are commands, too: the password is not even looked at",
        rules="CORE-22",
        directives="max_commands",
        block=Block(protocol, f"max_commands 2; {protocol}_auth plain{'' if protocol == 'pop3' else ' login'};"),
    )(_continuations_count())
    case(
        f"{protocol}/max-commands/invalid-lines-do-not-count",
        "only lines that could be parsed are counted",
        rules="CORE-22",
        directives="max_commands",
        block=Block(protocol, "max_commands 1;"),
    )(_errors_do_not_count())


# What a client has sent beyond the last reply must not make TCP reset the connection before it is read.


def _last_reply_arrives() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        line, reply = PROTOCOLS[bench.protocol].invalid
        await client.send(line + b"x" * 20000)
        await client.expect(reply)
        await client.expect_eof()

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/max-errors/last-reply-is-not-lost",
        "the reply to the last error arrives, whatever the client has sent behind it, and then the end of file",
        rules="CORE-81 imap:IMAP-13",
        block=Block(protocol, "max_errors 1;"),
    )(_last_reply_arrives())
