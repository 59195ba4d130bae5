"""PROXY headers to backends: which addresses, in which form, and when (proxy rules, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import LOGGED_IN, PROTOCOLS, Words, admitted, greeted, serve_login
from conformance.fakes.peer import Peer
from conformance.proxy_headers import Header, parse_v2, v1, v2, v2_length
from conformance.rulebook import Level

__all__ = ["header_of"]

SERVER4, SERVER6 = "198.51.100.9", "2001:db8::2"
TRUSTED = "set_real_ip_from 0.0.0.0/0; set_real_ip_from ::/0; set_real_ip_from unix:;"
TCP4, TCP6, LOCAL = 0x11, 0x21, 0x00
CRC = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One row of PROXY-19: the client's side, and the addresses that the backend is to be told.

    `{ip}` and `{port}` are the client's own, `{4}` and `{6}` those in its header, `{lport}` is the listener's port.
    `v2` has family, source, destination and source port of a version 2 header.
    """

    kind: str
    first: str
    trusted: bool
    v1: str
    v2: tuple[int, str, str, str]
    rules: str = "PROXY-16 PROXY-17 PROXY-15"


OWN = "TCP4 {ip} 127.0.0.1 {port} {lport}"
OWN_V2 = (TCP4, "{ip}", "127.0.0.1", "{port}")
MIXED = "PROXY-18 PROXY-19"
UNIX = "PROXY-98"
NOTHING = (LOCAL, "", "", "0")
V1_IN, V1_IN_6, V2_IN = "v1", "v1-ipv6", "v2"

ROWS = {
    "ipv4": Row("ipv4", "", False, OWN, OWN_V2),
    "ipv6": Row("ipv6", "", False, "TCP6 ::1 ::1 {port} {lport}", (TCP6, "::1", "::1", "{port}")),
    "dual-stack": Row(
        "dual", "", False, "TCP6 ::ffff:{ip} ::ffff:127.0.0.1 {port} {lport}", OWN_V2, "PROXY-15 PROXY-19 PROXY-22"
    ),
    "unix": Row("unix", "", False, "UNKNOWN", NOTHING, UNIX),
    "believed": Row("ipv4", V1_IN, True, "TCP4 {4} 127.0.0.1 4444 {lport}", (TCP4, "{4}", "127.0.0.1", "4444")),
    "believed-v2": Row("ipv4", V2_IN, True, "TCP4 {4} 127.0.0.1 4444 {lport}", (TCP4, "{4}", "127.0.0.1", "4444")),
    "not-believed": Row("ipv4", V1_IN, False, OWN, OWN_V2),
    "unknown": Row("ipv4", "unknown", True, OWN, OWN_V2),
    "believed-ipv6-on-ipv6": Row("ipv6", V1_IN_6, True, "TCP6 {6} ::1 4444 {lport}", (TCP6, "{6}", "::1", "4444")),
    "believed-ipv6-on-ipv4": Row(
        "ipv4",
        V1_IN_6,
        True,
        "TCP6 {6} ::ffff:127.0.0.1 4444 {lport}",
        (TCP6, "{6}", "::ffff:127.0.0.1", "4444"),
        MIXED,
    ),
    "believed-ipv4-on-ipv6": Row(
        "ipv6", V1_IN, True, "TCP6 ::ffff:{4} ::1 4444 {lport}", (TCP6, "::ffff:{4}", "::1", "4444"), MIXED
    ),
    "believed-ipv4-on-dual-stack": Row(
        "dual",
        V1_IN,
        True,
        "TCP6 ::ffff:{4} ::ffff:127.0.0.1 4444 {lport}",
        (TCP4, "{4}", "127.0.0.1", "4444"),
        MIXED,
    ),
    "believed-on-unix": Row("unix", V1_IN, True, "UNKNOWN", NOTHING, UNIX),
}


async def header_of(backend: Peer) -> Header:
    """Read the version 2 header that a backend's connection begins with. Raises Mismatch."""
    start = await backend.exactly(16)
    return parse_v2(start + await backend.exactly(v2_length(start)))


def row_block(row: Row, protocol: str, directive: str) -> Block:
    """The block of a row."""
    directives = f"proxy_protocol {directive}; {TRUSTED if row.trusted else ''}".strip()
    return Block(protocol, directives, "proxy_protocol" if row.first else "", row.kind)


async def arrived(bench: Bench, row: Row) -> tuple[Peer, dict[str, str]]:
    """A client that has read the greeting, and what the marks of the row stand for."""
    four, six = bench.elsewhere()
    firsts = {
        "": b"",
        V1_IN: v1(four, SERVER4),
        V1_IN_6: v1(six, SERVER6),
        V2_IN: v2(four, SERVER4),
        "unknown": b"PROXY UNKNOWN\r\n",
    }
    client = await greeted(bench, first=firsts[row.first])
    marks = {"4": four, "6": six, "ip": bench.ip, "port": "0", "lport": "0"}
    if row.kind != "unix":
        marks |= {"port": str(client.local[1]), "lport": str(client.remote[1])}
    return client, marks


def filled(text: str, marks: dict[str, str]) -> str:
    """A text of a row with what its marks stand for."""
    for mark, value in marks.items():
        text = text.replace("{" + mark + "}", value)
    return text


def _sends_v1(row: Row) -> Script:
    async def script(bench: Bench) -> None:
        client, marks = await arrived(bench, row)
        _, backend = await admitted(bench, client)
        await backend.expect(f"PROXY {filled(row.v1, marks)}\r\n".encode())
        await serve_login(bench, backend)
        await client.expect(LOGGED_IN[bench.protocol])

    return script


def _sends_v2(row: Row) -> Script:
    async def script(bench: Bench) -> None:
        client, marks = await arrived(bench, row)
        _, backend = await admitted(bench, client)
        header = await header_of(backend)
        family, source, destination, port = row.v2
        bench.check("version and command", header.command, 0x21 if family else 0x20)
        bench.check("the family", header.family, family)
        bench.check("the source", header.source, filled(source, marks))
        bench.check("the destination", header.destination, filled(destination, marks))
        bench.check("the source port", str(header.source_port), filled(port, marks))
        bench.check("the destination port", str(header.destination_port), marks["lport"] if family else "0")
        bench.check("the kinds of TLVs", [kind for kind, _ in header.tlvs], [CRC])
        await serve_login(bench, backend)
        await client.expect(LOGGED_IN[bench.protocol])

    return script


for slug, row in ROWS.items():
    for name in PROTOCOLS if slug in ("ipv4", "ipv6", "dual-stack", "unix", "believed") else ("imap",):
        case(
            f"{name}/proxy-out/v1-{slug}",
            f"the backend is told `PROXY {row.v1}`",
            rules=f"{row.rules} PROXY-20",
            directives="proxy_protocol set_real_ip_from",
            block=row_block(row, name, "on"),
        )(_sends_v1(row))
        case(
            f"{name}/proxy-out/v2-{slug}",
            f"version 2 of the header that tells `PROXY {row.v1}`",
            rules=f"PROXY-22 PROXY-21 PROXY-23 {row.rules}" if row.rules != MIXED else "PROXY-22 PROXY-21 PROXY-23",
            directives="proxy_protocol set_real_ip_from",
            block=row_block(row, name, "v2"),
        )(_sends_v2(row))


def _is_alone(words: Words) -> Script:
    refusals = {"smtp": b"421 busy\r\n", "imap": b"* BYE busy\r\n", "pop3": b"-ERR busy\r\n"}

    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        await backend.until(b"\r\n")
        await backend.send(refusals[words.name])
        await backend.expect_eof()
        await client.expect(words.internal_error)

    return script


def _goes_first(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        await backend.send(words.backend_greeting)
        await backend.expect(b"PROXY TCP4 %s " % bench.ip.encode())
        await backend.until(b"\r\n")
        await serve_login(bench, backend, greet=False)
        await client.expect(LOGGED_IN[bench.protocol])

    return script


def _is_off() -> Script:
    firsts = {"smtp": b"EHLO mx.example\r\n", "imap": b"a LOGIN ", "pop3": b"USER "}

    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        await backend.send(PROTOCOLS[bench.protocol].backend_greeting)
        await backend.expect(firsts[bench.protocol])

    return script


for words in PROTOCOLS.values():
    case(
        f"{words.name}/proxy-out/nothing-before-the-greeting",
        "between the header and the backend's greeting nothing is sent",
        rules="PROXY-12 PROXY-1",
        directives="proxy_protocol",
        block=Block(words.name, "proxy_protocol on;"),
    )(_is_alone(words))
    case(
        f"{words.name}/proxy-out/before-an-early-greeting",
        "the header comes before any line of the login, though the backend has greeted already",
        rules="PROXY-13 PROXY-12",
        directives="proxy_protocol",
        block=Block(words.name, "proxy_protocol on;"),
    )(_goes_first(words))
    case(
        f"{words.name}/proxy-out/off",
        "without proxy_protocol the first line of the login is the first that the backend reads",
        rules="PROXY-12 PROXY-20",
        directives="proxy_protocol",
        block=words.block,
    )(_is_off())


def _has_size(kind: str, size: int) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        start = await backend.exactly(16)
        bench.check("the announced length", v2_length(start), size - 16)
        parse_v2(start + await backend.exactly(size - 16))

    return script


for kind, size in {"ipv4": 35, "ipv6": 59, "unix": 23}.items():
    case(
        f"smtp/proxy-out/v2-size-{kind}",
        f"without TLS the header of a client on a listener of kind {kind} has {size} octets",
        rules="PROXY-23 PROXY-21 PROXY-22",
        level=Level.VENDOR,
        directives="proxy_protocol",
        block=Block("smtp", "proxy_protocol v2;", address=kind),
    )(_has_size(kind, size))
