"""XCLIENT: what the backend is told about the client (proxy rules, section 5.2)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import admitted, greeted
from conformance.fakes.dns_server import Answer, no_answer, rcode, records

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


OUTCOMES: dict[str, tuple[str, Answer, Answer | None, bytes, str]] = {
    # slug: what, the answer to PTR, the answer to A, NAME, rules
    "confirmed": ("a name whose A record is the client's address", records("PTR {host}."), records("A {ip}"), b"{host}",
                  "PROXY-39 CORE-47"),
    "unavailable-on-nxdomain": ("the PTR name does not exist", rcode("NXDOMAIN"), None, b"[UNAVAILABLE]", "CORE-48"),
    "unavailable-on-mismatch": ("no address of the name is the client's", records("PTR {host}."),
                                records("A 192.0.2.1"), b"[UNAVAILABLE]", "CORE-47"),
    "tempunavail-on-servfail": ("the name server fails", rcode("SERVFAIL"), None, b"[TEMPUNAVAIL]", "CORE-48"),
    "tempunavail-on-silence": ("the name server is silent", no_answer, None, b"[TEMPUNAVAIL]", "CORE-48 CORE-37"),
}  # fmt: skip


def _outcome(ptr: Answer, forward: Answer | None, name: bytes) -> Script:
    async def script(bench: Bench) -> None:
        bench.say_ptr(ptr)
        if forward is not None:
            bench.say_forward(forward, rcode("NOERROR"))
        wanted = name.replace(b"{host}", bench.host.encode())
        client = await greeted(bench)
        request, backend = await admitted(bench, client)
        bench.check("Client-Host", request["Client-Host"], wanted)
        await backend.send(b"220 backend.example ESMTP\r\n")
        await backend.expect(b"EHLO mx.example\r\n")
        await backend.send(b"250 backend.example\r\n")
        await backend.expect(b"XCLIENT ADDR=%s LOGIN=%s NAME=%s\r\n" % (bench.ip.encode(), bench.user, wanted))

    return script


for slug, (what, ptr, forward, name, rules) in OUTCOMES.items():
    case(
        f"smtp/xclient/name-{slug}",
        f"NAME when {what}",
        rules=rules,
        directives="xclient resolver resolver_timeout",
        block=RESOLVING,
    )(_outcome(ptr, forward, name))
