"""Whose PROXY header is believed, and where the address in it is used (core rules, section 9.2)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.proxy_header_v1 import conveyed
from conformance.dialogues import PROTOCOLS, admitted, greeted
from conformance.fakes.dns_server import rcode, records
from conformance.proxy_headers import v1, v2

__all__: list[str] = []

SERVER4, SERVER6 = "198.51.100.9", "2001:db8::2"

LISTS: dict[str, tuple[str, str, str | None, bool]] = {
    # slug: directives, kind of listener, address to connect from, whether the header is believed
    "no-list": ("", "ipv4", None, False),
    "network": ("set_real_ip_from 127.0.0.0/8;", "ipv4", None, True),
    "everybody": ("set_real_ip_from 0.0.0.0/0;", "ipv4", None, True),
    "network-of-others": ("set_real_ip_from 192.0.2.0/24;", "ipv4", None, False),
    "second-in-the-list": ("set_real_ip_from 192.0.2.0/24; set_real_ip_from 127.0.0.0/8;", "ipv4", None, True),
    "host-bits-set": ("set_real_ip_from 127.1.2.3/8;", "ipv4", None, True),
    "one-address": ("set_real_ip_from 127.0.0.1;", "ipv4", "127.0.0.1", True),
    "one-address-of-another": ("set_real_ip_from 127.0.0.1;", "ipv4", None, False),
    "name": ("set_real_ip_from localhost;", "ipv4", "127.0.0.1", True),
    "ipv6-for-ipv4": ("set_real_ip_from ::/0;", "ipv4", None, False),
    "unix-for-ipv4": ("set_real_ip_from unix:;", "ipv4", None, False),
    "ipv6-address": ("set_real_ip_from ::1;", "ipv6", None, True),
    "ipv6-network": ("set_real_ip_from ::/64;", "ipv6", None, True),
    "ipv6-network-of-others": ("set_real_ip_from 2001:db8::/32;", "ipv6", None, False),
    "ipv4-for-ipv6": ("set_real_ip_from 0.0.0.0/0;", "ipv6", None, False),
    "ipv4-for-mapped": ("set_real_ip_from 127.0.0.0/8;", "dual", None, True),
    "ipv6-for-mapped": ("set_real_ip_from ::/0;", "dual", None, False),
    "mapped-for-mapped": ("set_real_ip_from ::ffff:0:0/96;", "dual", None, False),
    "unix": ("set_real_ip_from unix:;", "unix", None, True),
    "ip-for-unix": ("set_real_ip_from 0.0.0.0/0; set_real_ip_from ::/0;", "unix", None, False),
}


def peer_text(bench: Bench, kind: str) -> str:
    """How the target knows the case's client without any header, by the kind of its listener."""
    return {"ipv4": bench.ip, "ipv6": "::1", "dual": f"::ffff:{bench.ip}", "unix": "unix:"}[kind]


def _believes(kind: str, source: str | None, believed: bool) -> Script:
    async def script(bench: Bench) -> None:
        four, _ = bench.elsewhere()
        client = await greeted(bench, source=source, first=v1(four, SERVER4))
        request, _ = await admitted(bench, client)
        wanted = four if believed else peer_text(bench, kind)
        bench.check("Client-IP", request["Client-IP"].decode(), wanted)
        bench.check("the lines of the header", conveyed(request), [four, "4444", SERVER4, "25"])

    return script


for slug, (directives, kind, source, believed) in LISTS.items():
    case(
        f"imap/real-ip/{slug}",
        f"{directives or 'without a list'} a header of a {kind} peer is {'believed' if believed else 'not believed'}",
        rules="CORE-67 CORE-66 AUTH-23 AUTH-21",
        directives="set_real_ip_from listen",
        block=Block("imap", directives, "proxy_protocol", kind),
    )(_believes(kind, source, believed))


async def _believes_ipv6(bench: Bench) -> None:
    _, six = bench.elsewhere()
    client = await greeted(bench, first=v2(six, SERVER6))
    request, _ = await admitted(bench, client)
    bench.check("Client-IP", request["Client-IP"].decode(), six)
    bench.check("the lines of the header", conveyed(request), [six, "4444", SERVER6, "25"])


EVERYBODY = "set_real_ip_from 0.0.0.0/0; set_real_ip_from ::/0; set_real_ip_from unix:;"
for name in PROTOCOLS:
    for kind in ("ipv4", "ipv6", "dual", "unix"):
        case(
            f"{name}/real-ip/ipv6-client-behind-{kind}",
            f"an IPv6 client behind a trusted {kind} peer is known by its own address",
            rules="CORE-67 AUTH-21 AUTH-23",
            directives="set_real_ip_from",
            block=Block(name, EVERYBODY, "proxy_protocol", kind),
        )(_believes_ipv6)


# What the address is used for in SMTP.

XCLIENT: dict[str, tuple[str, bytes, str]] = {
    # slug: directives, ADDR, what the header conveys
    "ipv4": (EVERYBODY, b"{4}", "4"),
    "ipv6": (EVERYBODY, b"IPV6:{6}", "6"),
    "not-believed": ("", b"{ip}", "4"),
}


def _tells_backend(address: bytes, version: str) -> Script:
    async def script(bench: Bench) -> None:
        four, six = bench.elsewhere()
        header = v1(four, SERVER4) if version == "4" else v1(six, SERVER6)
        client = await greeted(bench, first=header)
        _, backend = await admitted(bench, client)
        await backend.send(b"220 backend.example ESMTP\r\n")
        await backend.expect(b"EHLO mx.example\r\n")
        await backend.send(b"250 backend.example\r\n")
        wanted = address.decode().replace("{4}", four).replace("{6}", six).replace("{ip}", bench.ip).encode()
        await backend.expect(b"XCLIENT ADDR=%s LOGIN=%s NAME=[UNAVAILABLE]\r\n" % (wanted, bench.user))

    return script


for slug, (directives, address, version) in XCLIENT.items():
    case(
        f"smtp/real-ip/xclient-{slug}",
        f"XCLIENT tells the backend {address.decode()}",
        rules="CORE-68 PROXY-35",
        directives="set_real_ip_from xclient",
        block=Block("smtp", directives, "proxy_protocol"),
    )(_tells_backend(address, version))

RESOLVING = "resolver {dns}; resolver_timeout 1s;"


def _looks_up(*, believed: bool, version: int = 4) -> Script:
    async def script(bench: Bench) -> None:
        four, six = bench.elsewhere()
        source, server = (four, SERVER4) if version == 4 else (six, SERVER6)
        looked_up = source if believed else bench.ip
        bench.say_ptr(records("PTR {host}."), looked_up)
        kind = "A" if version == 4 else "AAAA"
        forward = {kind: records(f"{kind} {looked_up}")}
        bench.say_forward(forward.get("A", rcode("NOERROR")), forward.get("AAAA", rcode("NOERROR")))
        client = await greeted(bench, first=v1(source, server))
        request, _ = await admitted(bench, client)
        bench.check("Client-Host", request["Client-Host"].decode(), bench.host)

    return script


for slug, believed, family in (("ipv4", True, 4), ("ipv6", True, 6), ("not-believed", False, 4)):
    case(
        f"smtp/real-ip/name-{slug}",
        f"the name of the {'conveyed address' if believed else 'TCP peer'} is looked up",
        rules="CORE-41 CORE-68" if believed else "CORE-41 CORE-67",
        directives="set_real_ip_from resolver",
        block=Block("smtp", f"{EVERYBODY if believed else ''} {RESOLVING}".strip(), "proxy_protocol"),
    )(_looks_up(believed=believed, version=family))
