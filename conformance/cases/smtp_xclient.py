"""XCLIENT: what the backend is told about the client (proxy rules, section 5.2)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, case
from conformance.dialogues import admitted, greeted

__all__: list[str] = []

RESOLVING = Block("smtp", "resolver {dns}; resolver_timeout 1s;")


async def xclient_of(bench: Bench) -> bytes:
    """Log in without EHLO; return the XCLIENT line."""
    client = await greeted(bench)
    _, backend = await admitted(bench, client)
    await backend.send(b"220 backend.example ESMTP\r\n")
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250 backend.example\r\n")
    line = await backend.line()
    await backend.send(b"250 ok\r\n")
    await client.expect(b"235 2.0.0 OK\r\n")
    return line


@case(
    "smtp/xclient/name-unavailable-without-resolver",
    "NAME is [UNAVAILABLE] where no resolver is configured",
    rules="PROXY-39 CORE-42 PROXY-33",
    directives="xclient resolver",
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    _, backend = await admitted(bench, client)
    await backend.send(b"220 backend.example ESMTP\r\n")
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250 backend.example\r\n")
    await backend.expect(b"XCLIENT ADDR=%s LOGIN=%s NAME=[UNAVAILABLE]\r\n" % (bench.ip.encode(), bench.user))
