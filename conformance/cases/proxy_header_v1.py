"""PROXY headers of version 1 that a client's connection begins with (core rules, section 9.1)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import PROTOCOLS, Words, admitted, greeted
from conformance.fakes.auth_server import AuthRequest
from conformance.proxy_headers import v1
from conformance.rulebook import Level
from conformance.secured import TLS, expect_deadline

__all__: list[str] = []

TRUSTED = "set_real_ip_from 127.0.0.0/8;"
PAUSE = 0.02  # seconds between pieces, for the target to read each by itself
NAMES = ("Proxy-Protocol-Addr", "Proxy-Protocol-Port", "Proxy-Protocol-Server-Addr", "Proxy-Protocol-Server-Port")


def block(protocol: str = "imap", directives: str = TRUSTED) -> Block:
    """A block whose connections begin with a PROXY header."""
    return Block(protocol, directives, "proxy_protocol")


def conveyed(request: AuthRequest) -> list[str]:
    """What the request says of the header, in the order of the lines."""
    return [request[name].decode() for name in NAMES if name in request]


def own(bench: Bench, text: str) -> str:
    """A text with the addresses in it that only this case has."""
    four, six = bench.elsewhere()
    return text.replace("{4}", four).replace("{6}", six).replace("{six}", six.upper())


VALID: dict[str, tuple[str, str, tuple[str, str, str, str]]] = {
    # slug: the words of the header, Client-IP, the Proxy-Protocol-* lines
    "ipv4": ("TCP4 {4} 198.51.100.9 4444 25", "{4}", ("{4}", "4444", "198.51.100.9", "25")),
    "ipv6": ("TCP6 {6} 2001:db8::2 4444 25", "{6}", ("{6}", "4444", "2001:db8::2", "25")),
    "smallest-ports": ("TCP4 {4} 0.0.0.0 0 0", "{4}", ("{4}", "0", "0.0.0.0", "0")),
    "largest-ports": ("TCP4 {4} 255.255.255.255 65535 65535", "{4}", ("{4}", "65535", "255.255.255.255", "65535")),
    "zeros-before-ports": ("TCP4 {4} 198.51.100.9 004444 0025", "{4}", ("{4}", "4444", "198.51.100.9", "25")),
    "ipv6-in-capitals": ("TCP6 {six} 2001:DB8::2 4444 25", "{6}", ("{six}", "4444", "2001:DB8::2", "25")),
    "ipv6-with-zeros": ("TCP6 {6} 2001:0db8:0:0:0:0:0:0002 1 2", "{6}", ("{6}", "1", "2001:0db8:0:0:0:0:0:0002", "2")),
    "ipv6-any": ("TCP6 {6} :: 1 2", "{6}", ("{6}", "1", "::", "2")),
    "ipv4-in-ipv6": ("TCP6 ::ffff:{4} ::ffff:1.2.3.4 1 2", "::ffff:{4}", ("::ffff:{4}", "1", "::ffff:1.2.3.4", "2")),
}


def _conveys(words: str, client_ip: str, lines: tuple[str, ...]) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench, first=f"PROXY {own(bench, words)}\r\n".encode())
        request, _ = await admitted(bench, client)
        bench.check("Client-IP", request["Client-IP"].decode(), own(bench, client_ip))
        bench.check("the lines of the header", conveyed(request), [own(bench, line) for line in lines])

    return script


for slug, (header, client_ip, lines) in VALID.items():
    case(
        f"imap/proxy-v1/{slug}",
        f"the header `PROXY {header}` is taken, and told to the auth server as it came",
        rules="CORE-62 AUTH-23 CORE-67 CORE-60",
        level=Level.VENDOR,
        directives="listen set_real_ip_from",
        block=block(),
    )(_conveys(header, client_ip, lines))
for name in PROTOCOLS:
    case(
        f"{name}/proxy-v1/greeting-follows-the-header",
        "the header comes first, then the greeting; the session is as any other",
        rules="CORE-60 CORE-70",
        directives="listen set_real_ip_from",
        block=block(name),
    )(_conveys(*VALID["ipv4"]))


# Headers that convey nothing.

UNKNOWN = {
    "alone": b"PROXY UNKNOWN\r\n",
    "with-addresses": b"PROXY UNKNOWN 10.9.9.9 198.51.100.9 4444 25\r\n",
    "with-anything": b"PROXY UNKNOWN \x00\xff\r what not\r\n",
    "longer-word": b"PROXY UNKNOWNX\r\n",
    "longest": b"PROXY UNKNOWN" + b" " * 92 + b"\r\n",
}


def _conveys_nothing(header: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench, first=header)
        request, _ = await admitted(bench, client)
        bench.check("Client-IP", request["Client-IP"].decode(), bench.ip)
        bench.check("the lines of the header", conveyed(request), [])

    return script


for slug, octets in UNKNOWN.items():
    case(
        f"imap/proxy-v1/unknown-{slug}",
        "after UNKNOWN the connection is a direct one: the client is the TCP peer",
        rules="CORE-65 CORE-62",
        directives="listen set_real_ip_from",
        block=block(),
    )(_conveys_nothing(octets))


# Headers that are none.

LONGEST = "TCP6 " + ("ffff:" * 7 + "ffff ") * 2 + "65535 65535"
MALFORMED: dict[str, tuple[bytes, str]] = {
    # slug: octets, and who refuses them: all, or ours alone
    "mail-command": (b"NOOP\r\n", "all"),
    "http-request": (b"GET / HTTP/1.0\r\n\r\n", "all"),
    "lower-case": (b"proxy TCP4 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "lower-case-family": (b"PROXY tcp4 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "no-words": (b"PROXY\r\n", "all"),
    "unknown-family": (b"PROXY TCP5 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "datagrams": (b"PROXY UDP4 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "two-spaces": (b"PROXY  TCP4 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "two-spaces-between-ports": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444  25\r\n", "all"),
    "tab": (b"PROXY\tTCP4 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "space-before": (b" PROXY TCP4 10.9.9.9 198.51.100.9 4444 25\r\n", "all"),
    "space-at-the-end": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444 25 \r\n", "all"),
    "line-feed-alone": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444 25\n", "all"),
    "carriage-return-alone": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444 25\rNOOP\r\n", "all"),
    "without-ports": (b"PROXY TCP4 10.9.9.9 198.51.100.9\r\n", "all"),
    "with-one-port": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444\r\n", "all"),
    "extra-word": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444 25 x\r\n", "all"),
    "port-too-large": (b"PROXY TCP4 10.9.9.9 198.51.100.9 65536 25\r\n", "all"),
    "server-port-too-large": (b"PROXY TCP4 10.9.9.9 198.51.100.9 4444 70000\r\n", "all"),
    "port-with-sign": (b"PROXY TCP4 10.9.9.9 198.51.100.9 +4444 25\r\n", "all"),
    "port-below-zero": (b"PROXY TCP4 10.9.9.9 198.51.100.9 -1 25\r\n", "all"),
    "port-in-letters": (b"PROXY TCP4 10.9.9.9 198.51.100.9 smtp 25\r\n", "all"),
    "host-name": (b"PROXY TCP4 client.example 198.51.100.9 4444 25\r\n", "all"),
    "address-with-zone": (b"PROXY TCP6 fe80::1%lo 2001:db8::2 4444 25\r\n", "all"),
    "address-in-brackets": (b"PROXY TCP6 [2001:db8::1] 2001:db8::2 4444 25\r\n", "all"),
    "line-end-in-an-address": (b"PROXY TCP4 10.9.9.9\r\n 198.51.100.9 4444 25\r\n", "all"),
    "nul-in-an-address": (b"PROXY TCP4 10.9.9.9\0 198.51.100.9 4444 25\r\n", "all"),
    "family-of-the-other": (b"PROXY TCP4 2001:db8::1 2001:db8::2 4444 25\r\n", "ours"),
    "family-of-the-server": (b"PROXY TCP6 2001:db8::1 198.51.100.9 4444 25\r\n", "ours"),
    "ipv4-as-ipv6": (b"PROXY TCP6 10.9.9.9 198.51.100.9 4444 25\r\n", "ours"),
    "three-groups": (b"PROXY TCP4 10.9.9 198.51.100.9 4444 25\r\n", "ours"),
    "group-too-large": (b"PROXY TCP4 10.9.9.256 198.51.100.9 4444 25\r\n", "ours"),
    "zero-before-a-group": (b"PROXY TCP4 10.9.9.09 198.51.100.9 4444 25\r\n", "ours"),
    "two-runs-of-zeros": (b"PROXY TCP6 2001::db8::1 2001:db8::2 4444 25\r\n", "ours"),
    "empty-address": (b"PROXY TCP4  198.51.100.9 4444 25\r\n", "ours"),
    "line-feed-after-unknown": (b"PROXY UNKNOWN\n\r\n", "ours"),
    "unknown-too-long": (b"PROXY UNKNOWN" + b" " * 93 + b"\r\n", "ours"),
}


def _ends(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        await client.send(octets + PROTOCOLS[bench.protocol].auth + bench.plain64 + b"\r\n")
        await client.expect_eof()
        bench.no_request()

    return script


for slug, (octets, who) in MALFORMED.items():
    case(
        f"imap/proxy-v1/malformed-{slug}",
        f"{octets[:60]!r} is no header: the connection ends without an octet",
        rules="CORE-62 CORE-60 CORE-64" if who == "ours" else "CORE-60 CORE-62",
        directives="listen",
        block=block(),
    )(_ends(octets))
for name in PROTOCOLS:
    case(
        f"{name}/proxy-v1/missing",
        "without a header there is no greeting, and the connection ends",
        rules="CORE-60",
        directives="listen",
        block=block(name),
    )(_ends(b""))


# Time and pieces.


def _takes_pieces(cut: int | None) -> Script:
    async def script(bench: Bench) -> None:
        four, _ = bench.elsewhere()
        header = v1(four, "198.51.100.9")
        client = await bench.client()
        await client.send(header[:cut], pieces=None if cut else 1, pause=PAUSE)
        if cut:
            await client.send(header[cut:])
        await client.expect(PROTOCOLS[bench.protocol].greeting)
        request, _ = await admitted(bench, client)
        bench.check("Client-IP", request["Client-IP"].decode(), four)
        bench.check("the lines of the header", conveyed(request), [four, "4444", "198.51.100.9", "25"])

    return script


for slug, cut in {
    "octet-by-octet": None,
    "in-front-of-the-line-feed": -1,
    "behind-the-first-octet": 1,
    "in-an-address": 14,
}.items():
    case(
        f"imap/proxy-v1/cut-{slug}",
        "the header may come in any pieces",
        rules="CORE-61",
        directives="listen",
        block=block(),
    )(_takes_pieces(cut))


def _takes_what_is_behind(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        four, _ = bench.elsewhere()
        client = await bench.client()
        await client.send(v1(four, "198.51.100.9") + words.noop[0] + words.noop[0])
        await client.expect(words.greeting)
        await client.expect(words.noop[1] + words.noop[1])

    return script


def _waits_only_so_long(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        started = trio.current_time()
        client = await bench.client()
        if octets:
            await client.send(octets)
        await expect_deadline(client, started, 1)

    return script


def _ends_early(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        if octets:
            await client.send(octets)
        await client.send_eof()
        await client.expect_eof()

    return script


for words in PROTOCOLS.values():
    case(
        f"{words.name}/proxy-v1/commands-behind-the-header",
        "commands in the same packet are answered after the greeting",
        rules="CORE-71",
        level=Level.VENDOR if words.name == "smtp" else None,
        block=block(words.name),
    )(_takes_what_is_behind(words))
    case(
        f"{words.name}/proxy-v1/silence-is-ended",
        "a client that sends no header is closed after timeout, without a word",
        rules="SMTP-109 CORE-17",
        directives="timeout",
        block=block(words.name, "timeout 1s;"),
    )(_waits_only_so_long(b""))
case(
    "imap/proxy-v1/half-a-header-is-ended",
    "a client that does not end its header is closed after timeout, without a word",
    rules="CORE-61 CORE-17",
    directives="timeout",
    block=block("imap", "timeout 1s;"),
)(_waits_only_so_long(b"PROXY TCP4 10.9.9.9 "))
case(
    "imap/proxy-v1/one-deadline-for-header-and-handshake",
    "header and handshake have one timeout together",
    rules="CORE-17 SMTP-109",
    directives="timeout",
    block=Block("imap", f"{TLS} timeout 1s;", "proxy_protocol ssl"),
)(_waits_only_so_long(b"PROXY UNKNOWN\r\n"))
for slug, octets in {"before-the-header": b"", "within-the-header": b"PROXY TCP4 10.9.9.9 "}.items():
    case(
        f"imap/proxy-v1/end-of-file-{slug}",
        "an end of file where a header is due ends the connection at once",
        rules="CORE-61",
        level=Level.VENDOR,
        block=block(),
    )(_ends_early(octets))
