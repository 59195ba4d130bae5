"""Sessions on IPv6, dual-stack and UNIX listeners: served as any other, and how their clients are told of."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.real_ip import peer_text
from conformance.dialogues import PROTOCOLS, admitted, greeted, log_in
from conformance.secured import implicit, secured

__all__: list[str] = []

KINDS = ("ipv6", "dual", "unix")


def _serves(kind: str, *, tls: bool = False) -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench, await secured(bench) if tls else None)
        bench.check("Client-IP", relay.request["Client-IP"].decode(), peer_text(bench, kind))
        bench.check("whether Auth-SSL is there", "Auth-SSL" in relay.request, tls)
        if bench.protocol == "smtp":
            bench.check("Client-Host", relay.request["Client-Host"], b"[UNAVAILABLE]")
        await relay.client.send(b"ping\r\n")
        await relay.backend.expect(b"ping\r\n")
        await relay.backend.send(b"pong\r\n")
        await relay.client.expect(b"pong\r\n")
        await relay.backend.close()
        await relay.client.expect_eof()

    return script


for name in PROTOCOLS:
    for kind in KINDS:
        case(
            f"{name}/listener/{kind}",
            f"a session on a listener of kind {kind}, from greeting to end",
            rules="AUTH-21 CORE-4 CORE-6",
            directives="listen",
            block=Block(name, address=kind),
        )(_serves(kind))
        case(
            f"{name}/listener/{kind}-in-tls",
            f"a session in TLS on a listener of kind {kind}",
            rules="AUTH-21 TLS-1 AUTH-29 CORE-6",
            directives="listen",
            block=implicit(name, address=kind),
        )(_serves(kind, tls=True))

ADDR = {"ipv6": "IPV6:::1", "dual": "IPV6:::ffff:{ip}", "unix": "[UNAVAILABLE]"}


def _tells_backend(address: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        await backend.send(b"220 backend.example ESMTP\r\n")
        await backend.expect(b"EHLO mx.example\r\n")
        await backend.send(b"250 backend.example\r\n")
        wanted = address.replace("{ip}", bench.ip).encode()
        await backend.expect(b"XCLIENT ADDR=%s LOGIN=%s NAME=[UNAVAILABLE]\r\n" % (wanted, bench.user))

    return script


for kind, address in ADDR.items():
    case(
        f"smtp/listener/{kind}-xclient",
        f"XCLIENT tells of a client on a listener of kind {kind}: ADDR={address}",
        rules="PROXY-35" if kind == "unix" else "AUTH-21 PROXY-35",
        directives="listen xclient",
        block=Block("smtp", address=kind),
    )(_tells_backend(address))


@case(
    "smtp/listener/unix-name-with-resolver",
    "a UNIX client has no name to look up: [TEMPUNAVAIL] where a resolver is configured",
    rules="CORE-43 PROXY-39",
    directives="listen resolver",
    block=Block("smtp", "resolver {dns}; resolver_timeout 1s;", address="unix"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request, _ = await admitted(bench, client)
    bench.check("Client-Host", request["Client-Host"], b"[TEMPUNAVAIL]")
    bench.check("Client-IP", request["Client-IP"], b"unix:")
