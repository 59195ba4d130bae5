"""Backends that refuse, close, reset, or say nothing during the login (PROXY-9, PROXY-10, PROXY-27, PROXY-69)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.backend_login import LOGINS, PASSED_ON, UNTAGGED, login_block, login_until
from conformance.dialogues import LOGGED_IN, PROTOCOLS, asked, greeted
from conformance.fakes.peer import Peer

__all__: list[str] = []


async def failed(bench: Bench, client: Peer, backend: Peer | None) -> None:
    """The client reads the internal error and the end; the backend, if there still is one, gets nothing but the end."""
    await client.expect(PROTOCOLS[bench.protocol].internal_error)
    await client.expect_eof()
    if backend is not None:
        await backend.expect_eof()
    bench.no_backend()


# Ends in every step, and after each kind of unfinished reply.


def _gone(kind: str, step: str, octets: bytes, how: str) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, kind, step)
        match how:
            case "closed":
                await backend.send_last(octets)
                await failed(bench, client, None)
            case "half-closed":
                await backend.send(octets)
                await backend.send_eof()
                await failed(bench, client, backend)
            case _:
                await backend.send(octets)
                await backend.reset()
                await failed(bench, client, None)

    return script


for kind, steps in LOGINS.items():
    for step in steps:
        if kind == "smtp-none" and step.name not in ("mail", "rcpt"):
            continue
        case(
            f"{kind.removesuffix('-none')}/backend-fault/closed-at-{step.name}",
            "a backend that closes instead of answering: internal error",
            rules="PROXY-27 PROXY-69 PROXY-2 AUTH-63",
            directives="proxy_pass_error_message",
            block=login_block(kind, PASSED_ON),
        )(_gone(kind, step.name, b"", "closed"))

UNFINISHED: dict[str, dict[str, tuple[str, bytes]]] = {
    "smtp": {
        "after-half-a-line": ("hello", b"250 back"),
        "after-half-a-refusal": ("hello", b"550 no"),
        "after-a-bare-line-feed": ("hello", b"550 no\n"),
        "inside-several-lines": ("hello", b"550-no\r\n"),
        "after-a-carriage-return": ("auth", b"535 no\r"),
    },
    "imap": {
        "after-half-a-line": ("password", b"a NO no"),
        "after-an-untagged-line": ("password", b"* CAPABILITY X\r\n"),
        "after-a-bare-line-feed": ("greeting", b"* BYE\n"),
    },
    "pop3": {
        "after-half-a-line": ("password", b"-ERR no"),
        "after-a-bare-line-feed": ("user", b"-ERR no\n"),
        "after-a-carriage-return": ("greeting", b"-ERR no\r"),
    },
}
for kind, rows in UNFINISHED.items():
    for slug, (step_name, octets) in rows.items():
        case(
            f"{kind}/backend-fault/closed-{slug}",
            "a reply that is not complete at the end of file is none, not even for proxy_pass_error_message",
            rules="PROXY-27 PROXY-69",
            directives="proxy_pass_error_message",
            block=login_block(kind, PASSED_ON),
            deviates=UNTAGGED if octets.startswith(b"* CAP") else None,
        )(_gone(kind, step_name, octets, "closed"))
    for how in ("reset", "half-closed"):
        case(
            f"{kind}/backend-fault/{how}-in-a-reply",
            f"a connection that is {how} inside a reply: internal error, and both ends are closed",
            rules="PROXY-27 PROXY-69",
            block=login_block(kind, PASSED_ON),
        )(_gone(kind, LOGINS[kind][-1].name, b"5", how))


# No connection at all.


def _refused() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await request.answer("Auth-Status: OK", "Auth-Server: 127.0.0.1", "Auth-Port: 1")
        await failed(bench, client, None)

    return script


def _unanswered() -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        with trio.socket.socket() as deaf, trio.socket.socket() as first:
            await deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)  # has room for one connection, which is not accepted; a second gets no answer
            await first.connect(deaf.getsockname())
            began = trio.current_time()
            port = deaf.getsockname()[1]
            await request.answer("Auth-Status: OK", "Auth-Server: 127.0.0.1", f"Auth-Port: {port}")
            await failed(bench, client, None)
            bench.check_duration("the error", began, 1)

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/backend-fault/connection-refused",
        "nobody listens where the route leads: internal error at once",
        rules="PROXY-10 PROXY-69",
        directives="proxy_pass_error_message",
        block=Block(protocol, PASSED_ON.strip()),
    )(_refused())
    case(
        f"{protocol}/backend-fault/connect-without-answer",
        "a connect that gets no answer fails at `timeout`",
        rules="PROXY-10 PROXY-9",
        directives="timeout",
        block=Block(protocol, "timeout 1s;"),
    )(_unanswered())


# Silence.


def _silent(kind: str, step: str, octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        client, backend = await login_until(bench, kind, step)
        await backend.send(octets)
        await failed(bench, client, backend)
        bench.check_duration("the error", began, 3)

    return script


SILENT: dict[str, dict[str, tuple[str, bytes]]] = {
    "smtp": {
        "no-greeting": ("greeting", b""),
        "half-a-line": ("hello", b"250 back"),
        "a-bare-line-feed": ("hello", b"250 ok\n"),
        "unfinished-lines": ("client-hello", b"250-a\r\n250-b\r\n"),
    },
    "imap": {"no-greeting": ("greeting", b""), "half-a-line": ("password", b"a OK"), "only-untagged": (
        "password", b"* OK wait\r\n")},
    "pop3": {"no-greeting": ("greeting", b""), "a-bare-line-feed": ("password", b"+OK\n")},
}  # fmt: skip
for kind, rows in SILENT.items():
    for slug, (step_name, octets) in rows.items():
        case(
            f"{kind}/backend-fault/silent-after-{slug}",
            "the login fails at `timeout`, and both ends are closed",
            rules="PROXY-9 PROXY-69",
            directives="timeout",
            block=login_block(kind, "timeout 3s;"),
            deviates=UNTAGGED if slug == "only-untagged" else None,
        )(_silent(kind, step_name, octets))


def _slow(kind: str) -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        client, backend = await login_until(bench, kind, "greeting")
        await bench.silence(2)
        await backend.send(LOGINS[kind][0].reply)
        await backend.until(b"\r\n")
        await failed(bench, client, backend)
        bench.check_duration("the error", began, 3, 4.7)

    return script


def _slow_but_fine(kind: str) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, kind, "greeting")
        await backend.send(LOGINS[kind][0].reply)
        await backend.until(b"\r\n")
        for step in LOGINS[kind][1:-1]:
            await backend.send(step.reply)
            await backend.until(b"\r\n")
        await bench.silence(1)
        await backend.send(LOGINS[kind][-1].reply)
        await client.expect(LOGGED_IN[kind])
        await bench.silence(1.5)  # the login's deadline is over, and was for the login only (CORE-19)
        await backend.send(b"later\r\n")
        await client.expect(b"later\r\n")

    return script


for protocol in PROTOCOLS:
    case(
        f"{protocol}/backend-fault/timeout-is-for-the-whole-login",
        "no reply renews `timeout`: it bounds connect and all replies together",
        rules="PROXY-9 imap:IMAP-95",
        directives="timeout",
        block=login_block(protocol, "timeout 3s;"),
    )(_slow(protocol))
    case(
        f"{protocol}/backend-fault/timeout-does-not-reach-into-the-relay",
        "a login within `timeout`, and a relay that outlives it",
        rules="PROXY-9 CORE-19",
        directives="timeout",
        block=login_block(protocol, "timeout 2s;"),
    )(_slow_but_fine(protocol))
