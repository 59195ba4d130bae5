"""What the auth server is told of the client's address (AUTH-21, AUTH-23)."""

from __future__ import annotations

import socket
import struct

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import PROTOCOLS, asked, greeted
from conformance.rulebook import Level

__all__: list[str] = []

PROXY_LINES = ("Proxy-Protocol-Addr", "Proxy-Protocol-Port", "Proxy-Protocol-Server-Addr", "Proxy-Protocol-Server-Port")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def _client_ip(wanted: bytes) -> Script:
    async def script(bench: Bench) -> None:
        request = await asked(bench, await greeted(bench))
        bench.check("Client-IP", request["Client-IP"], wanted.replace(b"{ip}", bench.ip.encode()))
        bench.check("Client-Host", "Client-Host" in request, bench.protocol == "smtp")
        bench.check("lines of a PROXY header", [name for name in PROXY_LINES if name in request], [])

    return script


for protocol in PROTOCOLS:
    for address, wanted in (("ipv6", b"::1"), ("dual", b"::ffff:{ip}"), ("unix", b"unix:")):
        case(
            f"{protocol}/auth-client/{address}-listener",
            f"Client-IP of a client on a listener of the kind {address}",
            rules="AUTH-21 AUTH-22",
            block=Block(protocol, address=address),
        )(_client_ip(wanted))


def version2(command: int, family: int, body: bytes) -> bytes:
    """A PROXY header of version 2."""
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


def ipv4(bench: Bench) -> bytes:
    """Addresses and ports of version 2, the source being the case's own."""
    own = socket.inet_aton("10" + bench.ip.removeprefix("127"))
    return own + socket.inet_aton("198.51.100.9") + struct.pack("!HH", 4444, 25)


def _header(header: bytes, lines: tuple[bytes, ...], *, trusted: bool) -> Script:
    """`{ip}` in the header and the lines is an address of the case's own, `{v2}` stands for a header of version 2."""

    async def script(bench: Bench) -> None:
        own = "10" + bench.ip.removeprefix("127")
        v6 = "2001:db8::" + ":".join(f"{int(part):x}" for part in bench.ip.split("."))
        bench.knows(own, v6)
        marks = {b"{ip}": own.encode(), b"{v6}": v6.encode(), b"{v2}": version2(1, 0x11, ipv4(bench)),
                 b"{local}": version2(0, 0x11, ipv4(bench)), b"{udp}": version2(1, 0x12, ipv4(bench))}  # fmt: skip
        octets, wanted = header, list(lines)
        for mark, text in marks.items():
            octets = octets.replace(mark, text)
            wanted = [line.replace(mark, text) for line in wanted]
        client = await bench.client()
        await client.send(octets)
        await client.expect(PROTOCOLS[bench.protocol].greeting)
        request = await asked(bench, client)
        bench.check("the lines", [value for name in PROXY_LINES for value in request.all(name)], wanted)
        replaced = trusted and bool(wanted)
        bench.check("Client-IP", request["Client-IP"], wanted[0] if replaced else bench.ip.encode())

    return script


HEADERS: dict[str, tuple[str, bytes, tuple[bytes, ...]]] = {
    "version-1": ("version 1", b"PROXY TCP4 {ip} 198.51.100.9 4444 25\r\n", (b"{ip}", b"4444", b"198.51.100.9", b"25")),
    "version-1-ipv6": ("version 1 with IPv6", b"PROXY TCP6 {v6} 2001:db8::25 65535 0\r\n",
                       (b"{v6}", b"65535", b"2001:db8::25", b"0")),
    "version-1-ports-with-zeros": ("leading zeros of ports go", b"PROXY TCP4 {ip} 198.51.100.9 04444 025\r\n",
                                   (b"{ip}", b"4444", b"198.51.100.9", b"25")),
    "version-1-destination-as-received": ("addresses are copied as they came",
                                          b"PROXY TCP6 {v6} 2001:DB8:0:0::25 4444 25\r\n",
                                          (b"{v6}", b"4444", b"2001:DB8:0:0::25", b"25")),
    "version-1-unknown": ("UNKNOWN tells nothing", b"PROXY UNKNOWN {ip} 198.51.100.9 4444 25\r\n", ()),
    "version-2": ("version 2", b"{v2}", (b"{ip}", b"4444", b"198.51.100.9", b"25")),
    "version-2-local": ("LOCAL tells nothing", b"{local}", ()),
    "version-2-datagram": ("a datagram tells nothing", b"{udp}", ()),
}  # fmt: skip
for protocol in PROTOCOLS:
    for slug, (what, header, lines) in HEADERS.items():
        for trusted in (True, False):
            if protocol != "smtp" and (slug not in ("version-1", "version-2") or not trusted):
                continue
            case(
                f"{protocol}/auth-client/{slug}{'' if trusted else '-untrusted'}",
                f"{what}, from a peer that is {'' if trusted else 'not '}in set_real_ip_from",
                rules="AUTH-23 CORE-65 CORE-67 AUTH-21",
                level=Level.VENDOR,
                directives="set_real_ip_from",
                block=Block(protocol, "set_real_ip_from 127.0.0.0/8;" if trusted else "", listen="proxy_protocol"),
            )(_header(header, lines, trusted=trusted))
