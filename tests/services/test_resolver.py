"""The resolver in virtual time: every row of the tables of CORE-48, and CORE-43 to CORE-52."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import dns.flags
import pytest
import trio
from trio.testing import MockClock

from refproxy.config.settings import ResolverSettings, TcpAddress
from refproxy.services.resolver import KEPT_ADDRESSES, NotResolved, Resolver
from refproxy.wire.xclient import TEMPUNAVAIL, UNAVAILABLE
from tests.dns_server import CLOSE, MemoryDns, Query, Reply, Send, Step, answer, edited, reverse_name, silence

FIRST, SECOND = TcpAddress("192.0.2.53", 53), TcpAddress("2001:db8::53", 5353)
SETTINGS = ResolverSettings((FIRST,))

CLIENT, CLIENT6 = "192.0.2.7", "2001:db8::7"
PTR, PTR6 = reverse_name(CLIENT), reverse_name(CLIENT6)
HOST = "host.example"


@dataclass
class World:
    """A resolver and the DNS around it."""

    dns: MemoryDns
    resolver: Resolver
    lines: list[str] = field(default_factory=list)

    async def name(self, ip: str | None = CLIENT) -> bytes:
        return await self.resolver.client_name(ip, self.lines.append)

    async def addresses(self, name: str = HOST) -> tuple[str, ...]:
        return await self.resolver.addresses(name, self.lines.append)

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self.dns.zone.asked


Make = Callable[..., World]


@pytest.fixture
def make(nursery: trio.Nursery) -> Make:
    """Makes a world whose settings have these changes."""

    def make_world(**changes: Any) -> World:
        dns = MemoryDns(nursery)
        return World(dns, Resolver(replace(SETTINGS, **changes), dns.open_udp, dns.dial))

    return make_world


@pytest.fixture
def world(make: Make) -> World:
    return make()


def host(world: World, *addresses: str) -> None:
    """Give the client the name HOST, and this name some addresses."""
    world.dns.zone.host(HOST, *addresses)
    world.dns.zone.pointer(CLIENT, HOST)
    world.dns.zone.pointer(CLIENT6, HOST)


# -- fixed cases, and what is asked --------------------------------------------------------------------------------


async def test_a_client_on_a_unix_socket_is_not_looked_up(world: World, autojump_clock: MockClock) -> None:
    """CORE-43."""
    assert await world.name(None) == TEMPUNAVAIL
    assert (world.asked, world.lines) == ([], [])


@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
async def test_a_name_that_leads_back_to_the_client_is_its_name(
    world: World, client: str, autojump_clock: MockClock
) -> None:
    """CORE-44, CORE-46, CORE-47; CORE-48: an address matches."""
    host(world, CLIENT, CLIENT6)
    assert await world.name(client) == b"host.example"
    assert world.asked[0] == (reverse_name(client), "PTR")
    assert sorted(world.asked[1:]) == [(HOST, "A"), (HOST, "AAAA")]
    assert (world.lines, trio.current_time()) == ([], 0)
    assert world.dns.open_datagrams == 0


async def test_the_name_is_in_lower_case(world: World, autojump_clock: MockClock) -> None:
    """CORE-46."""
    host(world, CLIENT)
    world.dns.zone.pointer(CLIENT, "HOST.Example")
    assert await world.name() == b"host.example"
    assert world.asked[1][0] == HOST


async def test_both_families_are_asked_at_the_same_time(world: World, autojump_clock: MockClock) -> None:
    """CORE-46."""
    host(world, CLIENT)
    world.dns.zone.on(HOST, "A", answer(f"{HOST}. 60 A {CLIENT}", after=3))
    world.dns.zone.on(HOST, "AAAA", answer(after=4))
    assert await world.name() == b"host.example"
    assert [query.time for query in world.dns.zone.queries] == [0, 0, 0]
    assert trio.current_time() == 4


async def test_the_session_hears_what_is_being_done(world: World, autojump_clock: MockClock) -> None:
    """CORE-33."""
    host(world, CLIENT)
    actions: list[str] = []
    await world.resolver.client_name(CLIENT, world.lines.append, actions.append)
    assert actions == ["in resolving client address", "in resolving client hostname"]


# -- CORE-48, the PTR step -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rcode", "name", "text"),
    [
        (3, UNAVAILABLE, "3: Host not found"),
        (2, TEMPUNAVAIL, "2: Server failure"),
        (5, TEMPUNAVAIL, "5: Operation refused"),
        (4, TEMPUNAVAIL, "4: Unimplemented"),
        (1, TEMPUNAVAIL, "1: Format error"),
        (6, TEMPUNAVAIL, "6: Unknown error"),
        (15, TEMPUNAVAIL, "15: Unknown error"),
    ],
)
@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
async def test_an_error_of_the_name_server(
    world: World, client: str, rcode: int, name: bytes, text: str, autojump_clock: MockClock
) -> None:
    """CORE-48: NXDOMAIN, SERVFAIL, REFUSED, NOTIMP, FORMERR, RCODE > 5."""
    world.dns.zone.on(reverse_name(client), "PTR", answer(rcode=rcode))
    assert await world.name(client) == name
    assert world.lines == [f"{client} could not be resolved ({text})"]
    assert (len(world.asked), trio.current_time()) == (1, 0)


async def test_no_records_are_no_name(world: World, autojump_clock: MockClock) -> None:
    """CORE-48: NOERROR, no records."""
    world.dns.zone.on(PTR, "PTR", answer())
    assert await world.name() == UNAVAILABLE
    assert world.lines == [f"{CLIENT} could not be resolved (3: Host not found)"]


@pytest.mark.parametrize("record", [f"{PTR}. 60 CNAME x.example.", f"{PTR}. 60 TXT x"])
async def test_an_answer_without_pointer(world: World, record: str, autojump_clock: MockClock) -> None:
    """CORE-48: only CNAME or other types."""
    world.dns.zone.on(PTR, "PTR", answer(record))
    assert await world.name() == TEMPUNAVAIL
    assert (world.lines, trio.current_time()) == (["no PTR type in DNS response"], 0)


async def test_no_answer_to_the_pointer_question(world: World, autojump_clock: MockClock) -> None:
    """CORE-48, CORE-37."""
    world.dns.zone.on(PTR, "PTR", silence)
    assert await world.name() == TEMPUNAVAIL
    assert world.lines == [f"{CLIENT} could not be resolved (110: Operation timed out)"]
    assert trio.current_time() == 30
    assert world.dns.open_datagrams == 0


async def test_an_alias_in_front_of_the_pointer_is_skipped(world: World, autojump_clock: MockClock) -> None:
    """CORE-45: classless delegation."""
    host(world, CLIENT)
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 CNAME 7.0-31.x.arpa.", f"7.0-31.x.arpa. 60 PTR {HOST}."))
    assert await world.name() == b"host.example"


async def test_the_first_of_several_pointers_is_used(world: World, autojump_clock: MockClock) -> None:
    """CORE-45, CORE-48."""
    host(world, CLIENT)
    world.dns.zone.pointer(CLIENT, HOST, "second.example")
    assert await world.name() == b"host.example"
    world.dns.zone.pointer("192.0.2.8", "second.example", HOST)
    assert await world.name("192.0.2.8") == UNAVAILABLE


async def test_a_truncated_pointer_is_used_as_it_is(world: World, autojump_clock: MockClock) -> None:
    """CORE-48."""
    host(world, CLIENT)
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {HOST}.", flags=dns.flags.TC))
    assert await world.name() == b"host.example"
    assert world.dns.connections == []


@pytest.mark.parametrize(
    ("pointer", "shown"),
    [
        (".", ""),
        ("a_b.example.", "a_b.example"),
        ("a\\032b.example.", "a b.example"),
        ("a\\013\\010X:\\032y.example.", "a\\x0d\\x0aX: y.example"),
        ("\\255.example.", "\\xff.example"),
        ("a=b.example.", "a=b.example"),
        ("a/b.example.", "a/b.example"),
    ],
)
async def test_a_name_with_other_characters_is_never_used(
    world: World, pointer: str, shown: str, autojump_clock: MockClock
) -> None:
    """CORE-51, CVE-2026-28753."""
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {pointer}"))
    assert await world.name() == TEMPUNAVAIL
    assert world.lines == [f'{CLIENT} resolved to invalid host name "{shown}"']
    assert len(world.asked) == 1


@pytest.mark.parametrize("name", ["123.456", "-a.example", "a-.b-", "x"])
async def test_other_odd_names_are_fine(world: World, name: str, autojump_clock: MockClock) -> None:
    """CORE-51."""
    world.dns.zone.host(name, CLIENT)
    assert await world.name() == name.encode()


# -- CORE-48, the forward step -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "client"),
    [
        (["192.0.2.8"], CLIENT),
        (["192.0.2.8", "2001:db8::8"], CLIENT),
        ([CLIENT6], CLIENT),
        ([CLIENT], CLIENT6),
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([f"::ffff:{CLIENT}"], f"::ffff:{CLIENT}"),
    ],
)
async def test_addresses_of_others(world: World, addresses: list[str], client: str, autojump_clock: MockClock) -> None:
    """CORE-48: none matches, other family only, IPv4-mapped AAAA for an IPv4 client."""
    host(world, *addresses)
    world.dns.zone.pointer(client, HOST)
    assert await world.name(client) == UNAVAILABLE
    assert world.lines == []


async def test_a_client_with_a_mapped_address_is_the_ipv4_client_it_holds(
    world: World, autojump_clock: MockClock
) -> None:
    """CORE-44, CORE-47, CORE-48."""
    mapped = f"::ffff:{CLIENT}"
    world.dns.zone.host(HOST, "192.0.2.1", CLIENT)
    world.dns.zone.pointer(mapped, HOST)
    assert await world.name(mapped) == b"host.example"
    assert world.asked[0] == (reverse_name(mapped), "PTR")
    assert world.asked[0][0].endswith(".ip6.arpa")


async def test_the_log_shows_a_mapped_address_as_it_is(world: World, autojump_clock: MockClock) -> None:
    assert await world.name(f"::ffff:{CLIENT}") == UNAVAILABLE
    assert world.lines == [f"::ffff:{CLIENT} could not be resolved (3: Host not found)"]


MATCH = answer(f"{HOST}. 60 A {CLIENT}")
NOTHING = answer()
NXDOMAIN, SERVFAIL, NOTIMP, REFUSED, FORMERR = (answer(rcode=rcode) for rcode in (3, 2, 4, 5, 1))
NOT_FOUND = f'"{HOST}" could not be resolved (3: Host not found)'
FAILED = f'"{HOST}" could not be resolved (2: Server failure)'
SLOW = f'"{HOST}" could not be resolved (110: Operation timed out)'


@pytest.mark.parametrize(
    ("a", "aaaa", "name", "lines", "takes"),
    [
        (NXDOMAIN, NXDOMAIN, UNAVAILABLE, [NOT_FOUND], 0),
        (NOTHING, NOTHING, UNAVAILABLE, [NOT_FOUND], 0),
        (MATCH, SERVFAIL, TEMPUNAVAIL, [FAILED], 0),
        (SERVFAIL, NOTHING, TEMPUNAVAIL, [FAILED], 0),
        (MATCH, NOTIMP, TEMPUNAVAIL, [f'"{HOST}" could not be resolved (4: Unimplemented)'], 0),
        (MATCH, REFUSED, TEMPUNAVAIL, [f'"{HOST}" could not be resolved (5: Operation refused)'], 0),
        (MATCH, FORMERR, TEMPUNAVAIL, [f'"{HOST}" could not be resolved (1: Format error)'], 0),
        (NXDOMAIN, SERVFAIL, TEMPUNAVAIL, [FAILED], 0),
        (MATCH, NXDOMAIN, UNAVAILABLE, [NOT_FOUND], 0),
        (NXDOMAIN, NOTHING, UNAVAILABLE, [NOT_FOUND], 0),
        (MATCH, NOTHING, b"host.example", [], 0),
        (MATCH, silence, TEMPUNAVAIL, [SLOW], 30),
        (silence, silence, TEMPUNAVAIL, [SLOW], 30),
        (SERVFAIL, silence, TEMPUNAVAIL, [SLOW], 30),
        (
            answer(f"{HOST}. 60 TXT x"),
            NOTHING,
            TEMPUNAVAIL,
            ["no A or CNAME types in DNS response"],
            0,
        ),
        (MATCH, answer(f"{HOST}. 60 TXT x"), b"host.example", [], 0),
        (MATCH, answer(f"{HOST}. 60 CNAME b.example."), b"host.example", [], 0),
    ],
)
async def test_the_forward_step(
    world: World, a: Reply, aaaa: Reply, name: bytes, lines: list[str], takes: float, autojump_clock: MockClock
) -> None:
    """CORE-46, CORE-48: what the two families answer."""
    host(world)
    world.dns.zone.on(HOST, "A", a)
    world.dns.zone.on(HOST, "AAAA", aaaa)
    assert await world.name() == name
    assert (world.lines, trio.current_time()) == (lines, takes)
    assert world.dns.open_datagrams == 0


async def test_a_chain_of_aliases_in_one_answer(world: World, autojump_clock: MockClock) -> None:
    """CORE-48."""
    host(world)
    chain = [f"{HOST}. 60 CNAME b.example.", "b.example. 60 CNAME c.example."]
    world.dns.zone.on(HOST, "A", answer(*chain, f"c.example. 60 A {CLIENT}"))
    world.dns.zone.on(HOST, "AAAA", answer(*chain))
    assert await world.name() == b"host.example"
    assert len(world.asked) == 3


async def test_the_target_of_an_alias_alone_is_asked(world: World, autojump_clock: MockClock) -> None:
    """CORE-48: CNAME only."""
    host(world)
    world.dns.zone.on(HOST, "A", answer(f"{HOST}. 60 CNAME b.example.", "b.example. 60 CNAME c.example."))
    world.dns.zone.on(HOST, "AAAA", answer())
    world.dns.zone.host("c.example", CLIENT)
    world.dns.zone.pointer(CLIENT, HOST)
    assert await world.name() == b"host.example"
    assert sorted(world.asked[3:]) == [("c.example", "A"), ("c.example", "AAAA")]


async def test_the_target_of_an_alias_may_have_no_address(world: World, autojump_clock: MockClock) -> None:
    """CORE-48: NXDOMAIN of the target."""
    host(world)
    for kind in ("A", "AAAA"):
        world.dns.zone.on(HOST, kind, answer(f"{HOST}. 60 CNAME b.example."))
    assert await world.name() == UNAVAILABLE
    assert world.lines == [NOT_FOUND]


@pytest.mark.parametrize(("length", "name"), [(50, b"host.example"), (51, UNAVAILABLE)])
async def test_aliases_are_followed_for_50_steps(
    world: World, length: int, name: bytes, autojump_clock: MockClock
) -> None:
    """CORE-48."""
    host(world)
    names = [HOST, *(f"n{number}.example" for number in range(length))]
    for owner, target in pairwise(names):
        for kind in ("A", "AAAA"):
            world.dns.zone.on(owner, kind, answer(f"{owner}. 60 CNAME {target}."))
    world.dns.zone.host(names[-1], CLIENT)
    world.dns.zone.pointer(CLIENT, HOST)
    assert await world.name() == name
    assert world.lines == ([] if name == b"host.example" else [NOT_FOUND])


@pytest.mark.parametrize(("target", "questions"), [(HOST, 2), ("b.example", 102)])
async def test_a_loop_of_aliases(world: World, target: str, questions: int, autojump_clock: MockClock) -> None:
    """CORE-48: in one answer, and in two that take turns."""
    host(world)
    for kind in ("A", "AAAA"):
        world.dns.zone.on(HOST, kind, answer(f"{HOST}. 60 CNAME {target}."))
        if target != HOST:
            world.dns.zone.on(target, kind, answer(f"{target}. 60 CNAME {HOST}."))
    assert await world.name() == UNAVAILABLE
    assert world.lines == [NOT_FOUND]
    assert len(world.asked) == 1 + questions


@pytest.mark.parametrize("name", ["a..example", ".a", "..", "a" * 60 + "..b"])
async def test_a_name_that_no_query_can_carry(world: World, name: str, autojump_clock: MockClock) -> None:
    """CORE-48: the label structure is not encodable."""
    label = name.replace(".", "\\.")  # one label that holds dots
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {label}."))
    assert await world.name() == UNAVAILABLE
    assert world.lines == [f'"{name}" could not be resolved (3: Host not found)']
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("changes", "client", "name", "kinds"),
    [
        ({"ipv4": False}, CLIENT, UNAVAILABLE, ["AAAA"]),
        ({"ipv6": False}, CLIENT6, UNAVAILABLE, ["A"]),
        ({"ipv4": False}, CLIENT6, b"host.example", ["AAAA"]),
        ({"ipv6": False}, CLIENT, b"host.example", ["A"]),
    ],
)
async def test_only_families_that_are_on_are_asked(
    make: Make, changes: dict[str, bool], client: str, name: bytes, kinds: list[str], autojump_clock: MockClock
) -> None:
    """CORE-36, CORE-46, CORE-48."""
    world = make(**changes)
    host(world, CLIENT, CLIENT6)
    assert await world.name(client) == name
    assert [kind for _, kind in world.asked] == ["PTR", *kinds]
    assert world.lines == []


# -- malformed answers, and time -----------------------------------------------------------------------------------


async def test_a_malformed_answer_is_a_format_error(world: World, autojump_clock: MockClock) -> None:
    """CORE-48: it can never become usable."""
    host(world)
    world.dns.zone.on(HOST, "A", edited(MATCH, lambda octets: octets[:-1]))
    assert await world.name() == TEMPUNAVAIL
    assert (world.lines, trio.current_time()) == ([f'"{HOST}" could not be resolved (1: Format error)'], 0)
    world.dns.zone.on(PTR, "PTR", edited(answer(f"{PTR}. 60 PTR {HOST}."), lambda octets: octets[:-1]))
    world.lines.clear()
    await trio.sleep(61)  # until the cache has forgotten
    assert await world.name() == TEMPUNAVAIL
    assert world.lines == [f"{CLIENT} could not be resolved (1: Format error)"]


async def test_each_of_the_two_steps_has_its_time(make: Make, autojump_clock: MockClock) -> None:
    """CORE-37: at worst it takes twice `resolver_timeout`."""
    world = make(timeout=7)
    host(world)
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {HOST}.", after=6.9))
    world.dns.zone.on(HOST, "A", silence)
    assert await world.name() == TEMPUNAVAIL
    assert world.lines == [SLOW]
    assert trio.current_time() == pytest.approx(13.9)


async def test_all_aliases_together_have_the_time_of_one_step(make: Make, autojump_clock: MockClock) -> None:
    """CORE-37."""
    world = make(timeout=7)
    host(world)
    for owner, target in ((HOST, "b.example"), ("b.example", HOST)):
        for kind in ("A", "AAAA"):
            world.dns.zone.on(owner, kind, answer(f"{owner}. 60 CNAME {target}.", after=1))
    assert await world.name() == TEMPUNAVAIL
    assert (world.lines, trio.current_time()) == ([SLOW], 7)


async def test_without_a_limit_an_answer_may_take_for_ever(make: Make, autojump_clock: MockClock) -> None:
    """CORE-37: 0 is no limit. However often the question is repeated, there is one socket per server."""
    world = make(timeout=None, servers=(FIRST, SECOND))
    host(world, CLIENT)
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {HOST}.", after=1000))
    assert await world.name() == b"host.example"
    assert trio.current_time() == 1000
    assert len(world.asked) == 200 + 2
    assert len(world.dns.datagrams) == 2 + 2


# -- CORE-52, the cache --------------------------------------------------------------------------------------------


async def test_answers_are_kept_for_their_ttl(world: World, autojump_clock: MockClock) -> None:
    """CORE-52: PTR and forward entries expire independently, at the end of their last second."""
    host(world, CLIENT)
    world.dns.zone.pointer(CLIENT, HOST, ttl=100)
    await trio.sleep(0.5)
    assert await world.name() == b"host.example"
    assert len(world.asked) == 3
    await trio.sleep(60.4)
    assert await world.name() == b"host.example"
    assert len(world.asked) == 3
    await trio.sleep(0.2)
    assert await world.name() == b"host.example"
    assert sorted(world.asked[3:]) == [(HOST, "A"), (HOST, "AAAA")]
    await trio.sleep(50)
    assert await world.name() == b"host.example"
    assert world.asked[5:] == [(PTR, "PTR")]


async def test_the_shortest_ttl_of_a_set_counts(world: World, autojump_clock: MockClock) -> None:
    """CORE-52."""
    host(world)
    world.dns.zone.on(HOST, "A", answer(f"{HOST}. 90 A {CLIENT}"))
    world.dns.zone.on(HOST, "AAAA", answer(f"{HOST}. 5 CNAME b.example.", f"b.example. 90 AAAA {CLIENT6}"))
    assert await world.addresses() == (CLIENT, CLIENT6)
    await trio.sleep(5.9)
    await world.addresses()
    assert len(world.asked) == 2
    await trio.sleep(0.2)
    await world.addresses()
    assert len(world.asked) == 4


async def test_a_ttl_of_zero_serves_the_same_second(world: World, autojump_clock: MockClock) -> None:
    """CORE-52."""
    world.dns.zone.host(HOST, CLIENT, ttl=0)
    await trio.sleep(0.1)
    for _ in range(3):
        assert await world.name() == b"host.example"
    assert len(world.asked) == 3
    await trio.sleep(1)
    assert await world.name() == b"host.example"
    assert len(world.asked) == 6


@pytest.mark.parametrize(("valid", "lifetime"), [(5, 5), (500, 500), (0, 60)])
async def test_valid_replaces_the_ttl(make: Make, valid: float, lifetime: float, autojump_clock: MockClock) -> None:
    """CORE-36, CORE-52; 0 replaces nothing."""
    world = make(valid=valid)
    host(world, CLIENT)
    await world.name()
    await trio.sleep(lifetime)
    await world.name()
    assert len(world.asked) == 3
    await trio.sleep(1)
    await world.name()
    assert len(world.asked) == 6


@pytest.mark.parametrize(
    "pointer",
    [answer(rcode=3), answer(rcode=2), answer(), answer(f"{PTR}. 60 TXT x"), silence],
    ids=["nxdomain", "servfail", "empty", "txt", "silence"],
)
async def test_failures_are_never_kept(world: World, pointer: Reply, autojump_clock: MockClock) -> None:
    """CORE-52."""
    host(world, CLIENT)
    world.dns.zone.on(PTR, "PTR", pointer)
    assert await world.name() != b"host.example"
    world.dns.zone.pointer(CLIENT, HOST)
    assert await world.name() == b"host.example"


@pytest.mark.parametrize(("count", "times_asked"), [(KEPT_ADDRESSES, 1), (KEPT_ADDRESSES + 1, 2)])
async def test_long_sets_of_addresses_are_not_kept(
    world: World, count: int, times_asked: int, autojump_clock: MockClock
) -> None:
    """CORE-52: so that the number of results that are kept bounds the memory."""
    many = [f"198.51.100.{number}" for number in range(count)]
    world.dns.zone.host(HOST, *many)
    for _ in range(2):
        assert await world.addresses() == tuple(many)
    assert world.asked.count((HOST, "A")) == times_asked


# -- one lookup for all who ask ------------------------------------------------------------------------------------


async def test_those_who_ask_at_the_same_time_share_one_query(world: World, autojump_clock: MockClock) -> None:
    """CORE-52."""
    host(world, CLIENT)
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {HOST}.", after=3))
    names: list[bytes] = []

    async def ask() -> None:
        names.append(await world.name())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert names == [b"host.example"] * 5
    assert len(world.asked) == 3
    assert trio.current_time() == 3


async def test_those_who_ask_at_the_same_time_share_a_failure(world: World, autojump_clock: MockClock) -> None:
    """CORE-52: and each logs it."""
    world.dns.zone.on(PTR, "PTR", answer(rcode=2, after=3))
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(world.name)
    assert world.lines == [f"{CLIENT} could not be resolved (2: Server failure)"] * 3
    assert len(world.asked) == 1


async def test_when_the_one_who_asks_gives_up_another_takes_over(world: World, autojump_clock: MockClock) -> None:
    """CORE-52, CORE-37: everybody has a whole `resolver_timeout`, and nothing runs that nobody waits for."""
    host(world, CLIENT)
    world.dns.zone.on(PTR, "PTR", answer(f"{PTR}. 60 PTR {HOST}.", after=4))
    names: list[bytes] = []

    async def ask() -> None:
        names.append(await world.name())

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(3):
            async with trio.open_nursery() as leader:
                leader.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(ask)
                nursery.start_soon(ask)
        assert names == []
        assert world.dns.open_datagrams == 0
    assert names == [b"host.example"] * 2
    assert trio.current_time() == 7
    assert [query.time for query in world.dns.zone.queries] == [0, 3, 7, 7]


async def test_the_time_of_one_is_not_the_time_of_another(world: World, autojump_clock: MockClock) -> None:
    """CORE-37, CORE-52."""
    world.dns.zone.on(PTR, "PTR", silence)
    ends: list[float] = []

    async def ask() -> None:
        assert await world.name() == TEMPUNAVAIL
        ends.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
            await trio.sleep(1)
    assert ends == [30, 31, 32]


# -- addresses for others ------------------------------------------------------------------------------------------


async def test_the_addresses_of_a_host(world: World, autojump_clock: MockClock) -> None:
    world.dns.zone.host(HOST, CLIENT6, "192.0.2.9", CLIENT)
    assert await world.addresses("HOST.Example.".removesuffix(".")) == ("192.0.2.9", CLIENT, CLIENT6)
    assert await world.addresses(HOST) == ("192.0.2.9", CLIENT, CLIENT6)
    assert len(world.asked) == 2


@pytest.mark.parametrize(
    ("a", "aaaa", "text"),
    [
        (NXDOMAIN, NXDOMAIN, "3: Host not found"),
        (NOTHING, NOTHING, "3: Host not found"),
        (SERVFAIL, NOTHING, "2: Server failure"),
        (silence, NOTHING, "110: Operation timed out"),
    ],
)
async def test_a_host_without_addresses(
    world: World, a: Reply, aaaa: Reply, text: str, autojump_clock: MockClock
) -> None:
    world.dns.zone.on(HOST, "A", a)
    world.dns.zone.on(HOST, "AAAA", aaaa)
    with pytest.raises(NotResolved) as failed:
        await world.addresses()
    assert str(failed.value) == f'"{HOST}" could not be resolved ({text})'
    assert failed.value.code == int(text.split(":")[0])
    assert world.lines == []


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, "\udcff" * 300])
async def test_a_host_name_that_no_query_can_carry(world: World, name: str, autojump_clock: MockClock) -> None:
    with pytest.raises(NotResolved, match="3: Host not found"):
        await world.addresses(name)
    assert world.asked == []


# -- TCP -----------------------------------------------------------------------------------------------------------

TRUNCATED = answer(flags=dns.flags.TC)
MANY = answer(*(f"{HOST}. 60 A 198.51.100.{number}" for number in range(250)), f"{HOST}. 60 A {CLIENT}")


@pytest.mark.parametrize("chunk", [1, 2, 3, 65537])
async def test_truncated_addresses_are_asked_for_over_tcp(world: World, chunk: int, autojump_clock: MockClock) -> None:
    """CORE-48: the TC bit; both families on one connection to the same server, however its answers are cut."""
    host(world)
    world.dns.chunk = chunk
    for kind, full in (("A", MANY), ("AAAA", answer(f"{HOST}. 60 AAAA {CLIENT6}"))):
        world.dns.zone.on(HOST, kind, TRUNCATED)
        world.dns.zone.on(HOST, kind, full, transport="TCP")
    assert await world.name() == b"host.example"
    assert world.dns.connections == [FIRST]
    assert sorted(world.asked[-2:]) == [(HOST, "A"), (HOST, "AAAA")]
    assert world.dns.zone.queries[-1].octets[2:] in (query.octets[2:] for query in world.dns.zone.queries[1:3])
    assert (world.lines, trio.current_time()) == ([], 0)


async def test_only_what_was_truncated_is_asked_again(world: World, autojump_clock: MockClock) -> None:
    """CORE-48."""
    host(world, CLIENT6)
    world.dns.zone.on(HOST, "A", TRUNCATED)
    world.dns.zone.on(HOST, "A", MANY, transport="TCP")
    assert await world.name() == b"host.example"
    assert [query.asks for query in world.dns.zone.queries if query.transport == "TCP"] == [(HOST, "A")]


async def test_an_error_over_tcp_is_final(world: World, autojump_clock: MockClock) -> None:
    """CORE-49."""
    host(world)
    world.dns.zone.on(HOST, "A", TRUNCATED)
    world.dns.zone.on(HOST, "A", SERVFAIL, transport="TCP")
    assert await world.name() == TEMPUNAVAIL
    assert world.lines == [FAILED]


async def test_what_does_not_answer_the_question_is_ignored_on_tcp(world: World, autojump_clock: MockClock) -> None:
    """CORE-50."""
    host(world)
    world.dns.zone.on(HOST, "A", TRUNCATED)
    other = edited(MATCH, lambda octets: bytes([octets[0] ^ 1]) + octets[1:])
    empty = edited(MATCH, lambda octets: b"")
    world.dns.zone.on(HOST, "A", other, TRUNCATED, empty, MATCH, transport="TCP")
    assert await world.name() == b"host.example"
    assert world.lines[0].startswith("wrong ident ")
    assert world.lines[1].startswith("invalid TCP DNS response ")
    assert world.lines[2:] == ["short DNS response"]


@pytest.mark.parametrize("sent", [b"", b"\0", b"\xff\xff", b"\xff\xff" + b"x" * 1000])
async def test_a_connection_that_ends_early_is_tried_again_at_the_next_server(
    make: Make, sent: bytes, autojump_clock: MockClock
) -> None:
    """CORE-48, CORE-49."""
    world = make(servers=(SECOND, FIRST))
    host(world)
    world.dns.zone.on(HOST, "A", TRUNCATED)

    def reply(query: Query) -> Sequence[Step]:
        return [Send(sent, raw=True), CLOSE] if query.server == FIRST else MATCH(query)

    world.dns.zone.on(HOST, "A", reply, transport="TCP")
    assert await world.name() == b"host.example"
    assert world.dns.connections == [FIRST, SECOND]
    assert world.lines == [
        f'name server prematurely closed connection while resolving, resolver: "{FIRST}"',
    ]
    assert trio.current_time() == 5


async def test_a_server_without_tcp(make: Make, autojump_clock: MockClock) -> None:
    """CORE-48, CORE-49."""
    world = make(timeout=7)
    host(world)
    world.dns.zone.on(HOST, "A", TRUNCATED)
    world.dns.zone.on(HOST, "A", silence, transport="TCP")
    assert await world.name() == TEMPUNAVAIL
    assert world.lines == [SLOW]
    assert (world.dns.connections, trio.current_time()) == ([FIRST, FIRST], 7)


async def test_a_server_that_refuses_tcp(make: Make, autojump_clock: MockClock) -> None:
    """CORE-48, CORE-49."""
    world = make(timeout=7)
    host(world)
    world.dns.zone.on(HOST, "A", TRUNCATED)
    original = world.dns.open_udp

    def refuse_afterwards(address: TcpAddress, side: Any) -> Any:
        world.dns.unreachable.add(address)
        return channels.pop()

    channels = [original(FIRST, None) for _ in range(3)]  # type: ignore[arg-type]
    world.resolver = Resolver(replace(SETTINGS, timeout=7), refuse_afterwards, world.dns.dial)
    assert await world.name() == TEMPUNAVAIL
    refused = f'connect() to {FIRST} failed (111: Connection refused) while resolving, resolver: "{FIRST}"'
    assert world.lines == [refused, refused, SLOW]
