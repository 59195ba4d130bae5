"""PROXY headers of version 2 that a client's connection begins with, and headers before TLS (core rules, 9.1)."""

from __future__ import annotations

import socket
import struct

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.proxy_header_v1 import PAUSE, block, conveyed
from conformance.dialogues import PROTOCOLS, Words, admitted, greeted
from conformance.proxy_headers import SIGNATURE, raw_v2, tlv, v1, v2
from conformance.rulebook import Level
from conformance.secured import TLS, implicit
from conformance.verdict import Mismatch

__all__: list[str] = []

SERVER4, SERVER6 = "198.51.100.9", "2001:db8::2"
SMALL = {"nginx": "a header has at most 107 octets before 1.23.2"}
HEADER_LIMIT = 4096
V4 = 12 + 16  # octets of a header with IPv4 addresses

MORE: dict[str, tuple[bytes, bool]] = {
    # slug: what follows the addresses, whether it is much
    "no-tlv": (b"", False),
    "alpn": (tlv(1, b"imap"), False),
    "several-tlvs": (tlv(1, b"imap") + tlv(4, b"noop") + tlv(5, b"id") + tlv(0xE0, b""), False),
    "wrong-checksum": (tlv(3, b"\1\2\3\4"), False),
    "broken-tlv": (b"\x01\xff\xffx", False),
    "one-odd-octet": (b"\x04", False),
    "padding-with-line-ends": (tlv(4, b"\r\nQUIT\r\n" * 4), False),
    "postfix-limit": (tlv(4, bytes(536 - V4 - 3)), True),
    "largest": (tlv(4, bytes(HEADER_LIMIT - V4 - 3)), True),
}


def _conveys(more: bytes, version: int = 4) -> Script:
    async def script(bench: Bench) -> None:
        four, six = bench.elsewhere()
        source, server = (four, SERVER4) if version == 4 else (six, SERVER6)
        client = await greeted(bench, first=v2(source, server, 4444, 25, more=more))
        request, _ = await admitted(bench, client)
        bench.check("Client-IP", request["Client-IP"].decode(), source)
        bench.check("the lines of the header", conveyed(request), [source, "4444", server, "25"])

    return script


for slug, (more, much) in MORE.items():
    case(
        f"imap/proxy-v2/{slug}",
        f"the addresses are taken, what follows them is not looked at: {slug.replace('-', ' ')}",
        rules="CORE-63 AUTH-23 CORE-67",
        level=Level.VENDOR,
        directives="listen set_real_ip_from",
        block=block(),
        deviates=SMALL if much else None,
    )(_conveys(more))
for name in PROTOCOLS:
    for version in (4, 6):
        case(
            f"{name}/proxy-v2/ipv{version}",
            f"the IPv{version} addresses of the header are those of the client and what it connected to",
            rules="CORE-63 AUTH-23 CORE-67",
            level=Level.VENDOR,
            directives="listen set_real_ip_from",
            block=block(name),
        )(_conveys(b"", version))


@case(
    "imap/proxy-v2/extreme-ports",
    "ports are unsigned, and in network order",
    rules="CORE-63 AUTH-23",
    level=Level.VENDOR,
    block=block(),
)
async def _(bench: Bench) -> None:
    four, _ = bench.elsewhere()
    client = await greeted(bench, first=v2(four, SERVER4, 65535, 256))
    request, _ = await admitted(bench, client)
    bench.check("the lines of the header", conveyed(request), [four, "65535", SERVER4, "256"])


CANONICAL = {
    "longest-run-of-zeros": "2001:db8:0:0:1:0:0:1",
    "no-run-of-zeros": "2001:db8:1:2:3:4:5:6",
    "one-zero": "2001:db8:0:1:1:1:1:1",
}


def address_text(address: str) -> str:
    """An IPv6 address as the C library writes it."""
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))


def _writes_text(address: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench, first=v2(address, SERVER6))
        request, _ = await admitted(bench, client)
        bench.check("Proxy-Protocol-Addr", request["Proxy-Protocol-Addr"].decode(), address_text(address))
        bench.check("Client-IP", request["Client-IP"], request["Proxy-Protocol-Addr"])

    return script


for slug, address in CANONICAL.items():
    case(
        f"imap/proxy-v2/text-with-{slug}",
        f"{address} is written as the C library writes it",
        rules="AUTH-23 PROXY-19 CORE-67",
        level=Level.VENDOR,
        block=block(),
    )(_writes_text(address))


# Headers that convey nothing.

ADDRESSES = bytes([10, 9, 9, 9, 198, 51, 100, 9]) + struct.pack("!HH", 4444, 25)
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
SKIPPED: dict[str, tuple[bytes, bool]] = {
    # slug: header, whether it is large
    "local": (raw_v2(0x20, 0x00, b""), False),
    "local-with-addresses": (raw_v2(0x20, 0x11, ADDRESSES), False),
    "local-with-tlv": (raw_v2(0x20, 0x00, tlv(4, b"x" * 20)), False),
    "unspecified-family": (raw_v2(0x21, 0x00, b""), False),
    "unspecified-family-with-octets": (raw_v2(0x21, 0x00, ADDRESSES), False),
    "unix-stream": (raw_v2(0x21, 0x31, UNIX), True),
    "unknown-family": (raw_v2(0x21, 0x41, ADDRESSES), False),
    "datagrams": (raw_v2(0x21, 0x12, ADDRESSES), False),
    "unspecified-transport": (raw_v2(0x21, 0x10, ADDRESSES), False),
    "unknown-command": (raw_v2(0x22, 0x11, ADDRESSES), False),
}


def _conveys_nothing(header: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench, first=header)
        request, _ = await admitted(bench, client)
        bench.check("Client-IP", request["Client-IP"].decode(), bench.ip)
        bench.check("the lines of the header", conveyed(request), [])

    return script


for slug, (octets, large) in SKIPPED.items():
    case(
        f"imap/proxy-v2/skipped-{slug}",
        f"a header that tells nothing ({slug.replace('-', ' ')}) is skipped: the client is the TCP peer",
        rules="CORE-63 CORE-65",
        level=Level.VENDOR,
        block=block(),
        deviates=SMALL if large else None,
    )(_conveys_nothing(octets))


# Headers that are none.

MALFORMED = {
    "version-one": raw_v2(0x11, 0x11, ADDRESSES),
    "version-three": raw_v2(0x31, 0x11, ADDRESSES),
    "version-zero": raw_v2(0x01, 0x11, ADDRESSES),
    "too-short-for-ipv4": raw_v2(0x21, 0x11, ADDRESSES[:11]),
    "too-short-for-ipv6": raw_v2(0x21, 0x21, bytes(35)),
    "nothing-behind-the-head": raw_v2(0x21, 0x11, b""),
    "one-octet-too-large": raw_v2(0x21, 0x11, ADDRESSES + bytes(HEADER_LIMIT - V4 + 1)),
    "announced-too-large": raw_v2(0x21, 0x11, ADDRESSES, length=65535),
    "local-announced-too-large": raw_v2(0x20, 0x00, b"", length=65535),
    "wrong-end-of-signature": SIGNATURE[:-1] + b"\r" + raw_v2(0x21, 0x11, ADDRESSES)[12:],
    "line-ends-alone": b"\r\n\r\n" + b"NOOP\r\n",
}


def _ends(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        await client.send(octets + PROTOCOLS[bench.protocol].auth + bench.plain64 + b"\r\n")
        await client.expect_eof()
        bench.no_request()

    return script


for slug, octets in MALFORMED.items():
    case(
        f"imap/proxy-v2/malformed-{slug}",
        f"no header of version 2: {slug.replace('-', ' ')}; the connection ends without an octet",
        rules="CORE-63 CORE-60",
        level=Level.VENDOR,
        block=block(),
    )(_ends(octets))


@case(
    "imap/proxy-v2/end-of-file-within-the-header",
    "an end of file before the announced length ends the connection at once",
    rules="CORE-63 CORE-60",
    level=Level.VENDOR,
    block=block(),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(raw_v2(0x21, 0x11, ADDRESSES, length=20))
    await client.send_eof()
    await client.expect_eof()


def _takes_pieces(size: int) -> Script:
    async def script(bench: Bench) -> None:
        four, _ = bench.elsewhere()
        client = await bench.client()
        await client.send(v2(four, SERVER4, more=tlv(4, b"\n" * 40)), pieces=size, pause=PAUSE)
        await client.expect(PROTOCOLS[bench.protocol].greeting)
        request, _ = await admitted(bench, client)
        bench.check("the lines of the header", conveyed(request), [four, "4444", SERVER4, "25"])

    return script


for slug, size in {"octet-by-octet": 1, "in-the-signature": 7, "in-the-addresses": 20, "in-the-tlvs": 40}.items():
    case(
        f"imap/proxy-v2/cut-{slug}",
        "the header may come in any pieces, up to its announced length",
        rules="CORE-61",
        block=block(),
    )(_takes_pieces(size))


def _takes_what_is_behind(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        four, _ = bench.elsewhere()
        client = await bench.client()
        await client.send(v2(four, SERVER4) + words.noop[0] + words.noop[0])
        await client.expect(words.greeting)
        await client.expect(words.noop[1] + words.noop[1])

    return script


# Before TLS.


def _goes_before_tls(version: int, *, together: bool) -> Script:
    async def script(bench: Bench) -> None:
        four, _ = bench.elsewhere()
        header = v1(four, SERVER4) if version == 1 else v2(four, SERVER4)
        client = await bench.client()
        if together:
            await client.start_tls(bench.trusting(), "mx.example", before=header)
        else:
            await client.send(header)
            await client.start_tls(bench.trusting(), "mx.example")
        await client.expect(PROTOCOLS[bench.protocol].greeting)
        request, _ = await admitted(bench, client)
        bench.check("Client-IP", request["Client-IP"].decode(), four)
        bench.check("the lines of the header", conveyed(request), [four, "4444", SERVER4, "25"])
        bench.check("Auth-SSL", request["Auth-SSL"], b"on")

    return script


async def _does_not_take_tls_first(bench: Bench) -> None:
    client = await bench.client()
    reason = await client.fail_tls(bench.trusting(), "mx.example")
    if "ALERT" in reason:
        raise Mismatch("the end of the connection, no TLS", reason)


async def _survives_starttls(bench: Bench) -> None:
    four, _ = bench.elsewhere()
    words = PROTOCOLS[bench.protocol]
    client = await greeted(bench, first=v1(four, SERVER4))
    await client.send(words.starttls[0])
    await client.expect(words.starttls[1])
    await client.start_tls(bench.trusting(), "mx.example")
    request, _ = await admitted(bench, client)
    bench.check("Client-IP", request["Client-IP"].decode(), four)
    bench.check("the lines of the header", conveyed(request), [four, "4444", SERVER4, "25"])


REAL_IP = "set_real_ip_from 127.0.0.0/8;"
for words in PROTOCOLS.values():
    name = words.name
    case(
        f"{name}/proxy-v2/commands-behind-the-header",
        "commands in the same packet are answered after the greeting",
        rules="CORE-71",
        level=Level.VENDOR if name == "smtp" else None,
        block=block(name),
    )(_takes_what_is_behind(words))
    for version in (1, 2):
        case(
            f"{name}/proxy-v{version}/before-tls",
            "on a TLS port the header comes first, in clear, then the handshake",
            rules="TLS-28 CORE-60 CORE-70",
            directives="listen",
            block=implicit(name, REAL_IP, listen="proxy_protocol"),
        )(_goes_before_tls(version, together=False))
        case(
            f"{name}/proxy-v{version}/in-one-packet-with-the-hello",
            "header and ClientHello may come in one packet",
            rules="TLS-28 CORE-60",
            directives="listen",
            block=implicit(name, REAL_IP, listen="proxy_protocol"),
        )(_goes_before_tls(version, together=True))
    case(
        f"{name}/proxy-v1/missing-before-tls",
        "a ClientHello where the header is due ends the connection, without an alert",
        rules="CORE-60",
        directives="listen",
        block=implicit(name, REAL_IP, listen="proxy_protocol"),
    )(_does_not_take_tls_first)
    case(
        f"{name}/proxy-v1/kept-through-starttls",
        "what the header said is still known after STARTTLS",
        rules="TLS-40 AUTH-23",
        directives="listen starttls",
        block=Block(name, f"{TLS} starttls on; {REAL_IP}", "proxy_protocol"),
    )(_survives_starttls)
