"""The connection to the backend: its PROXY header, long lines, and clients that go away meanwhile (sections 1 to 3)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.backend_login import LOGINS, login_block, login_until
from conformance.dialogues import LOGGED_IN, PROTOCOLS, asked, greeted
from conformance.fakes.peer import Peer
from conformance.rulebook import Level

__all__: list[str] = []

REFUSALS = {"smtp": b"421 no\r\n", "imap": b"* BYE no\r\n", "pop3": b"-ERR no\r\n"}


# proxy_protocol on.


async def _header_read(bench: Bench, *, early: bytes = b"") -> tuple[Peer, Peer]:
    """Read the PROXY header, before which the backend may have said something."""
    client = await greeted(bench)
    await bench.admit(request=await asked(bench, client))
    backend = await bench.backend()
    await backend.send(early)
    host, port = client.socket_stream.socket.getsockname()[:2]
    listener = client.socket_stream.socket.getpeername()[1]
    await backend.expect(f"PROXY TCP4 {host} 127.0.0.1 {port} {listener}\r\n".encode())
    return client, backend


def _header_comes_first() -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await _header_read(bench, early=LOGINS[bench.protocol][0].reply)
        await backend.until(b"\r\n")
        for step in LOGINS[bench.protocol][1 : 3 if bench.protocol == "smtp" else -1]:
            await backend.send(step.reply)
            if bench.protocol != "smtp" or step.name == "hello":
                await backend.until(b"\r\n")
        if bench.protocol != "smtp":
            await backend.send(LOGINS[bench.protocol][-1].reply)
        await client.expect(LOGGED_IN[bench.protocol])

    return script


def _header_is_alone() -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await _header_read(bench)
        await backend.send(REFUSALS[bench.protocol])
        await client.expect(PROTOCOLS[bench.protocol].internal_error)
        await client.expect_eof()
        await backend.expect_eof()

    return script


for protocol in PROTOCOLS:
    block = Block(protocol, "proxy_protocol on;")
    case(
        f"{protocol}/backend-connect/header-comes-first",
        "the PROXY header precedes the login, also where the backend has greeted already",
        rules="PROXY-12 PROXY-13 PROXY-15 PROXY-16 PROXY-17",
        directives="proxy_protocol",
        block=block,
    )(_header_comes_first())
    case(
        f"{protocol}/backend-connect/header-is-alone",
        "nothing follows the PROXY header before the backend has greeted",
        rules="PROXY-12 PROXY-1",
        directives="proxy_protocol",
        block=block,
    )(_header_is_alone())


# The client meanwhile.


def _client_resets(step: str) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, bench.protocol, step)
        await client.reset()
        await backend.expect_eof()

    return script


def _client_half_closes(step: str) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, bench.protocol, step)
        await client.send(b"last words\r\n")
        await client.send_eof()
        steps = LOGINS[bench.protocol]
        for known in steps[[known.name for known in steps].index(step) :]:
            await backend.send(known.reply)
            if known is not steps[-1]:
                await backend.until(b"\r\n")
        await backend.expect(b"last words\r\n")
        await backend.expect_eof()

    return script


for protocol in PROTOCOLS:
    for step in (LOGINS[protocol][0], LOGINS[protocol][-1]):
        case(
            f"{protocol}/backend-connect/client-resets-at-{step.name}",
            "a client that resets its connection during the login takes the backend's with it",
            rules="PROXY-3 CORE-83",
            block=login_block(protocol),
        )(_client_resets(step.name))
    case(
        f"{protocol}/backend-connect/client-half-closes",
        "a client that half-closes during the login is logged in, and its last line arrives",
        rules="PROXY-3 CORE-83 PROXY-76",
        level=Level.VENDOR,
        block=login_block(protocol),
    )(_client_half_closes(LOGINS[protocol][0].name))


@case(
    "imap/backend-connect/long-line",
    "a password that no single write can hold reaches a backend that is slow to read it",
    rules="PROXY-11",
    directives="imap_client_buffer",
    block=Block("imap", "imap_client_buffer 4m;"),
)
async def _(bench: Bench) -> None:
    size = 3_000_000
    password = b"p" * size
    bench.narrow_backend(4096)
    client = await greeted(bench)
    await client.send(b"a LOGIN %s {%d}\r\n" % (bench.user, size))
    await client.expect(b"+ OK\r\n")
    await client.pour([password, b"\r\n"])
    await bench.admit()
    backend = await bench.backend()
    await backend.send(b"* OK hi\r\n")
    await backend.until(b"\r\n")
    await backend.send(b"+ go\r\n")
    await backend.expect(b"%s {%d}\r\n" % (bench.user, size))
    await backend.send(b"+ go\r\n")
    bench.check("the password", await backend.exactly(size + 2) == password + b"\r\n", True)
    await backend.send(b"a OK in\r\n")
    await client.expect(b"a OK in\r\n")
