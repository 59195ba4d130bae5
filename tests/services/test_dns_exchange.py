"""Questions to name servers in virtual time: repeats, rotation, and everything that is no answer (CORE-49, CORE-50)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rrset
import pytest
import trio
from dns.name import from_text
from dns.rdatatype import RdataType
from trio.testing import MockClock

from refproxy.config.settings import TcpAddress
from refproxy.services.dns_exchange import TOLD_LIMIT, NameServers
from refproxy.services.dns_messages import Answer, Question
from tests.dns_server import REFUSE, MemoryDns, Reply, Zone, answer, edited, silence

SERVERS = [TcpAddress("192.0.2.53", 53), TcpAddress("2001:db8::53", 5353), TcpAddress("192.0.2.54", 53)]
HOST = "host.example"
QUESTION = Question(from_text("host.example."), RdataType.A)
GOOD = answer(f"{HOST}. 60 A 192.0.2.7")


@dataclass
class World:
    """Three name servers, each with a zone of its own."""

    dns: MemoryDns
    servers: NameServers
    lines: list[str] = field(default_factory=list)

    def on(self, number: int, *replies: Reply, kind: str = "A") -> None:
        self.dns.zones[SERVERS[number]].on(HOST, kind, *replies)

    async def ask(self, *questions: Question) -> list[Answer]:
        return await self.servers.ask(questions or [QUESTION], self.lines.append)

    @property
    def asked(self) -> list[tuple[float, int]]:
        """When which server was asked."""
        queries = [query for zone in self.dns.zones.values() for query in zone.queries]
        return sorted((query.time, SERVERS.index(query.server)) for query in queries)


@pytest.fixture
def world(nursery: trio.Nursery) -> World:
    dns = MemoryDns(nursery)
    dns.zones = {server: Zone() for server in SERVERS}
    found = World(dns, NameServers(SERVERS, dns.open_udp, dns.dial))
    for number in range(len(SERVERS)):
        found.on(number, GOOD)
    return found


async def test_a_query_is_one_question_with_a_random_number(world: World, autojump_clock: MockClock) -> None:
    """CORE-49: RD set, class IN, no EDNS."""
    await world.ask()
    await world.ask()
    (first,), (second,) = world.dns.zones[SERVERS[0]].queries, world.dns.zones[SERVERS[1]].queries
    assert first.message.flags == dns.flags.RD
    assert first.message.edns == -1
    assert first.message.question == [dns.rrset.from_text_list("host.example.", 0, "IN", "A", [])]
    assert first.octets[2:] == second.octets[2:]


async def test_numbers_come_from_where_secrets_come_from(
    world: World, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CORE-49."""
    monkeypatch.setattr("secrets.randbelow", lambda limit: limit - 1)
    await world.ask()
    assert world.dns.zones[SERVERS[0]].queries[0].octets[:2] == b"\xff\xff"


async def test_different_lookups_start_at_different_servers(world: World, autojump_clock: MockClock) -> None:
    """CORE-49."""
    for _ in range(4):
        await world.ask()
    assert sorted(number for _, number in world.asked) == [0, 0, 1, 2]
    await world.ask(QUESTION, Question(QUESTION.name, RdataType.AAAA))
    assert sorted(number for _, number in world.asked) == [0, 0, 1, 1, 1, 2]


async def test_an_unanswered_query_is_repeated_to_the_next_server(world: World, autojump_clock: MockClock) -> None:
    """CORE-49: every 5 s, round and round; the number stays the same."""
    for number in range(3):
        world.on(number, silence)
    with trio.move_on_after(22):
        await world.ask()
    assert world.asked == [(0, 0), (5, 1), (10, 2), (15, 0), (20, 1)]
    assert len({query.octets for zone in world.dns.zones.values() for query in zone.queries}) == 1
    assert world.lines == []
    assert (len(world.dns.datagrams), world.dns.open_datagrams) == (3, 0)


async def test_a_dead_first_server_costs_five_seconds(world: World, autojump_clock: MockClock) -> None:
    """CORE-49."""
    world.on(0, silence)
    assert (await world.ask())[0].addresses == ("192.0.2.7",)
    assert trio.current_time() == 5


async def test_a_late_answer_of_an_earlier_server_counts(world: World, autojump_clock: MockClock) -> None:
    """CORE-49."""
    world.on(0, answer(f"{HOST}. 60 A 192.0.2.1", after=7))
    world.on(1, silence)
    assert (await world.ask())[0].addresses == ("192.0.2.1",)
    assert trio.current_time() == 7
    assert world.asked == [(0, 0), (5, 1)]


@pytest.mark.parametrize("rcode", [1, 2, 3, 4, 5, 9])
async def test_an_error_is_final(world: World, autojump_clock: MockClock, rcode: int) -> None:
    """CORE-49: no other server is asked."""
    world.on(0, answer(rcode=rcode))
    assert await world.ask() == [Answer(rcode)]
    assert world.asked == [(0, 0)]


async def test_a_refusal_is_logged_and_does_not_speed_up(world: World, autojump_clock: MockClock) -> None:
    """CORE-49."""
    world.on(0, lambda query: [REFUSE])
    assert (await world.ask())[0].addresses == ("192.0.2.7",)
    assert world.lines == ['recv() failed (111: Connection refused) while resolving, resolver: "192.0.2.53:53"']
    assert world.asked == [(0, 0), (5, 1)]


async def test_an_answer_after_a_refusal_counts(world: World, autojump_clock: MockClock) -> None:
    """CORE-49: a refusal may be forged."""
    world.on(0, lambda query: [REFUSE], answer(f"{HOST}. 60 A 192.0.2.1", after=1))
    assert (await world.ask())[0].addresses == ("192.0.2.1",)
    assert trio.current_time() == 1


async def test_a_server_without_a_route_is_like_a_silent_one(world: World, autojump_clock: MockClock) -> None:
    """CORE-49: it is tried again when its turn comes."""
    world.dns.unreachable |= {SERVERS[0], SERVERS[1]}
    world.on(2, silence)
    with trio.move_on_after(14):
        await world.ask()
    world.dns.unreachable.clear()
    assert world.asked == [(10, 2)]
    failed = 'connect() to {0} failed (101: Network is unreachable) while resolving, resolver: "{0}"'
    assert world.lines == [failed.format(server) for server in SERVERS[:2]]


async def test_a_server_that_becomes_reachable_is_asked_on_its_next_turn(
    world: World, autojump_clock: MockClock
) -> None:
    """CORE-49."""
    world.dns.unreachable |= set(SERVERS)

    async def mend() -> None:
        await trio.sleep(12)
        world.dns.unreachable.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        assert (await world.ask())[0].addresses == ("192.0.2.7",)
    assert world.asked == [(15, 0)]


def with_ident(octets: bytes) -> bytes:
    return bytes([octets[0], octets[1] ^ 1]) + octets[2:]


def with_flags(flags: int) -> Callable[[bytes], bytes]:
    return lambda octets: octets[:2] + flags.to_bytes(2, "big") + octets[4:]


def asking(kind: int, class_: int) -> Callable[[bytes], bytes]:
    start = len(b"\x04host\x07example\0") + 12
    return lambda octets: octets[:start] + bytes([0, kind, 0, class_]) + octets[start + 4 :]


def renamed(octets: bytes) -> bytes:
    return octets.replace(b"\x04host", b"\x05other")


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (with_ident, "wrong ident {other} in DNS response for host.example, expect {ident}"),
        (with_flags(0x0180), "invalid UDP DNS response {ident} fl:0180"),
        (with_flags(0x9180), "invalid UDP DNS response {ident} fl:9180"),
        (with_flags(0x81C0), "invalid UDP DNS response {ident} fl:81C0"),
        (renamed, "unexpected DNS response for other.example"),
        (asking(16, 1), "unexpected DNS response for host.example"),
        (asking(1, 3), "unexpected DNS response for host.example"),
        (lambda octets: octets[:5] + b"\2" + octets[6:], "invalid number of questions in DNS response"),
        (lambda octets: octets[:11], "short DNS response"),
        (lambda octets: octets[:20], "short DNS response"),
        (lambda octets: b"", "short DNS response"),
    ],
)
async def test_what_does_not_answer_the_query_is_logged_and_ignored(
    world: World, autojump_clock: MockClock, edit: Callable[[bytes], bytes], line: str
) -> None:
    """CORE-50."""
    world.on(0, edited(answer(f"{HOST}. 60 A 198.51.100.66"), edit), answer(f"{HOST}. 60 A 192.0.2.1", after=1))
    assert (await world.ask())[0].addresses == ("192.0.2.1",)
    (ident,) = {int.from_bytes(query.octets[:2], "big") for query in world.dns.zones[SERVERS[0]].queries}
    assert world.lines == [line.format(ident=ident, other=ident ^ 1)]
    assert trio.current_time() == 1


@pytest.mark.parametrize("flags", [0x8000, 0x85B0])
async def test_flags_that_do_not_matter(world: World, autojump_clock: MockClock, flags: int) -> None:
    """CORE-50: AA, RA, AD and CD."""
    world.on(0, edited(GOOD, with_flags(flags)))
    assert (await world.ask())[0].addresses == ("192.0.2.7",)


async def test_a_flood_of_forged_answers_does_not_flood_the_log(world: World, autojump_clock: MockClock) -> None:
    """CORE-50."""
    world.on(0, *[edited(GOOD, with_ident)] * 200, GOOD)
    assert (await world.ask())[0].addresses == ("192.0.2.7",)
    assert len(world.lines) == TOLD_LIMIT


async def test_answers_are_in_the_order_of_the_questions(world: World, autojump_clock: MockClock) -> None:
    world.on(0, answer(f"{HOST}. 60 A 192.0.2.1", after=1))
    world.on(0, answer(f"{HOST}. 60 AAAA ::1"), kind="AAAA")
    answers = await world.ask(QUESTION, Question(QUESTION.name, RdataType.AAAA))
    assert [found.addresses for found in answers] == [("192.0.2.1",), ("::1",)]


async def test_tcp_goes_to_the_server_whose_answer_was_truncated(world: World, autojump_clock: MockClock) -> None:
    """CORE-48: one connection to each."""
    truncated = answer(flags=dns.flags.TC)
    world.on(0, truncated)
    world.on(0, silence, kind="AAAA")
    world.on(1, truncated, kind="AAAA")
    world.dns.zones[SERVERS[0]].on(HOST, "A", GOOD, transport="TCP")
    world.dns.zones[SERVERS[1]].on(HOST, "AAAA", answer(f"{HOST}. 60 AAAA ::1"), transport="TCP")
    answers = await world.ask(QUESTION, Question(QUESTION.name, RdataType.AAAA))
    assert [found.addresses for found in answers] == [("192.0.2.7",), ("::1",)]
    assert world.dns.connections == SERVERS[:2]


async def test_cancelling_leaves_nothing_open(world: World, autojump_clock: MockClock) -> None:
    for number in range(3):
        world.on(number, silence)
        world.on(number, silence, kind="AAAA")
    with trio.move_on_after(12):
        await world.ask(QUESTION, Question(QUESTION.name, RdataType.AAAA))
    assert (len(world.dns.datagrams), world.dns.open_datagrams) == (6, 0)
