"""The resolver on real sockets: nothing here waits for a clock."""

from __future__ import annotations

import socket

import dns.flags
import pytest
import trio

from refproxy.config.settings import ResolverSettings, TcpAddress
from refproxy.services.resolver import Resolver
from refproxy.wire.xclient import TEMPUNAVAIL, UNAVAILABLE
from tests.dns_server import CLOSE, DnsServer, Send, answer, edited, reverse_name

CLIENT, CLIENT6 = "192.0.2.7", "2001:db8::7"
HOST = "host.example"


@pytest.fixture
async def server(nursery: trio.Nursery) -> DnsServer:
    server = DnsServer()
    await nursery.start(server.run)
    return server


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
async def test_a_name_is_found_and_confirmed(nursery: trio.Nursery, address: str, client: str) -> None:
    """CORE-44, CORE-46, CORE-47, CORE-49."""
    server = DnsServer(address)
    await nursery.start(server.run)
    server.zone.host(HOST, CLIENT, CLIENT6)
    lines: list[str] = []
    resolver = Resolver(ResolverSettings((server.address,)))
    assert await resolver.client_name(client, lines.append) == b"host.example"
    assert server.zone.asked[0] == (reverse_name(client), "PTR")
    assert lines == []


async def test_queries_at_the_same_time_have_ports_of_their_own(server: DnsServer) -> None:
    """CORE-49."""
    server.zone.host(HOST, CLIENT6, CLIENT)
    resolver = Resolver(ResolverSettings((server.address,)))
    assert await resolver.addresses(HOST, print) == (CLIENT, CLIENT6)
    assert len(set(server.ports)) == 2


async def test_many_addresses_come_over_tcp(server: DnsServer) -> None:
    """CORE-48."""
    many = [f"198.51.{high}.{low}" for high in range(2) for low in range(150)]
    server.zone.pointer(CLIENT, HOST)
    server.zone.on(HOST, "A", answer(flags=dns.flags.TC))
    server.zone.on(HOST, "A", answer(*(f"{HOST}. 60 A {text}" for text in (*many, CLIENT))), transport="TCP")
    server.zone.on(HOST, "AAAA", answer(flags=dns.flags.TC))
    server.zone.on(HOST, "AAAA", answer(), transport="TCP")
    resolver = Resolver(ResolverSettings((server.address,)))
    assert await resolver.client_name(CLIENT, print) == b"host.example"
    assert server.connections == 1


async def first_line(resolver: Resolver) -> str:
    """What the resolver says first about a lookup of HOST, which ends then."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        scope.cancel()

    with trio.CancelScope() as scope:
        await resolver.addresses(HOST, tell)
    return lines[0]


async def test_a_connection_cut_by_the_server(server: DnsServer) -> None:
    """CORE-48."""
    server.zone.on(HOST, "A", answer(flags=dns.flags.TC))
    server.zone.on(HOST, "A", lambda query: [Send(b"\1\0", raw=True), CLOSE], transport="TCP")
    line = await first_line(Resolver(ResolverSettings((server.address,), ipv6=False)))
    assert line == f'name server prematurely closed connection while resolving, resolver: "{server.address}"'


@pytest.mark.parametrize(
    ("rcode", "name", "text"), [(3, UNAVAILABLE, "3: Host not found"), (2, TEMPUNAVAIL, "2: Server failure")]
)
async def test_an_error(server: DnsServer, rcode: int, name: bytes, text: str) -> None:
    """CORE-48."""
    server.zone.on(reverse_name(CLIENT), "PTR", answer(rcode=rcode))
    lines: list[str] = []
    assert await Resolver(ResolverSettings((server.address,))).client_name(CLIENT, lines.append) == name
    assert lines == [f"{CLIENT} could not be resolved ({text})"]


async def test_datagrams_of_any_kind_before_the_answer(server: DnsServer) -> None:
    """CORE-50."""
    server.zone.host(HOST, CLIENT)
    owner = reverse_name(CLIENT)
    good = answer(f"{owner}. 60 PTR {HOST}.")
    server.zone.on(
        *(owner, "PTR", edited(good, lambda octets: b""), edited(good, lambda octets: b"x" * 5000)),
        *(edited(good, lambda octets: octets[:2] + b"\0" + octets[3:]), good),
    )
    lines: list[str] = []
    resolver = Resolver(ResolverSettings((server.address,)))
    assert await resolver.client_name(CLIENT, lines.append) == b"host.example"
    assert lines[0] == "short DNS response"
    assert [line.split(" response")[0] for line in lines[1:]] == ["invalid UDP DNS"] * 2


async def test_nobody_listens_there() -> None:
    """CORE-49: the refusal is logged."""
    with socket.socket(type=socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = TcpAddress("127.0.0.1", nobody.getsockname()[1])
    line = await first_line(Resolver(ResolverSettings((address,))))
    assert line == f'recv() failed (111: Connection refused) while resolving, resolver: "{address}"'
