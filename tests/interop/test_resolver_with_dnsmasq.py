"""Names of clients from a real dnsmasq."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from refproxy.config.settings import ResolverSettings, TcpAddress
from refproxy.services.resolver import NotResolved, Resolver
from refproxy.wire.xclient import TEMPUNAVAIL, UNAVAILABLE
from tests.interop.dnsmasq import MANY, Dnsmasq

NOT_FOUND = "could not be resolved (3: Host not found)"


@pytest.fixture
def resolver(dnsmasq: Dnsmasq) -> Resolver:
    return Resolver(ResolverSettings((dnsmasq.address,)))


@pytest.mark.parametrize(
    ("client", "name", "line"),
    [
        ("192.0.2.7", b"mail.example.test", None),
        ("2001:db8::7", b"mail.example.test", None),
        ("192.0.2.8", UNAVAILABLE, None),
        ("192.0.2.10", b"alias.example.test", None),
        ("192.0.2.12", UNAVAILABLE, f'"nowhere.example.test" {NOT_FOUND}'),
        ("192.0.2.13", TEMPUNAVAIL, '192.0.2.13 resolved to invalid host name "under_score.example.test"'),
        ("192.0.2.14", b"many.example.test", None),
        ("192.0.2.99", UNAVAILABLE, f"192.0.2.99 {NOT_FOUND}"),
        ("2001:db8::99", UNAVAILABLE, f"2001:db8::99 {NOT_FOUND}"),
        ("198.18.0.1", TEMPUNAVAIL, "198.18.0.1 could not be resolved (5: Operation refused)"),
    ],
)
async def test_the_name_of_a_client(resolver: Resolver, client: str, name: bytes, line: str | None) -> None:
    """CORE-44 to CORE-48, CORE-51: confirmed, of another, an alias, missing, invalid, over TCP, none, refused."""
    lines: list[str] = []
    assert await resolver.client_name(client, lines.append) == name
    assert lines == ([] if line is None else [line])


async def test_the_first_of_several_names(resolver: Resolver, dnsmasq: Dnsmasq) -> None:
    """CORE-45: whichever dnsmasq says first."""
    answer = ask(dnsmasq.address, "11.2.0.192.in-addr.arpa.", "PTR")
    first, second = [record.to_text().removesuffix(".") for record in answer.answer[0]]
    assert {first, second} == {"one.example.test", "two.example.test"}
    assert await resolver.client_name("192.0.2.11", print) == first.encode()


async def test_what_is_kept_is_not_asked_again(dnsmasq: Dnsmasq) -> None:
    """CORE-52: dnsmasq's TTL is 0, so `valid=` is needed."""
    resolver = Resolver(ResolverSettings((dnsmasq.address,), valid=60))
    mark = dnsmasq.child.mark()
    for _ in range(3):
        assert await resolver.client_name("192.0.2.7", print) == b"mail.example.test"
    assert ask(dnsmasq.address, "the-end.example.test.", "A").rcode() == dns.rcode.NXDOMAIN
    dnsmasq.child.wait_for("query.* the-end", mark)
    queries = [line for line in dnsmasq.child.output.splitlines()[mark:] if "query[" in line]
    assert sorted(line.partition("query[")[2].partition("]")[0] for line in queries) == ["A", "A", "AAAA", "PTR"]


async def test_the_addresses_of_a_host(resolver: Resolver, dnsmasq: Dnsmasq) -> None:
    """CORE-48: also of one with too many for a datagram."""
    assert ask(dnsmasq.address, "many.example.test.", "A").flags & dns.flags.TC
    assert await resolver.addresses("mail.example.test", print) == ("192.0.2.7", "2001:db8::7")
    assert sorted(await resolver.addresses("many.example.test", print)) == sorted([*MANY, "192.0.2.14"])
    with pytest.raises(NotResolved) as failed:
        await resolver.addresses("nowhere.example.test", print)
    assert str(failed.value) == f'"nowhere.example.test" {NOT_FOUND}'


def ask(server: TcpAddress, name: str, kind: str) -> dns.message.Message:
    """Ask with dnspython alone."""
    return dns.query.udp(dns.message.make_query(name, kind), server.host, timeout=20, port=server.port)
