"""Whatever a name server says: a value of NAME, in time, and nothing left over."""

from __future__ import annotations

import re
from collections.abc import Sequence

import dns.flags
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from refproxy.config.settings import ResolverSettings, TcpAddress
from refproxy.services.resolver import Resolver
from tests.dns_server import CLOSE, MemoryDns, Query, Send, Step, Zone, answer

CLIENT = "192.0.2.7"
NAME = re.compile(rb"[a-z0-9.-]+|\[UNAVAILABLE\]|\[TEMPUNAVAIL\]")

pytestmark = pytest.mark.slow


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Octets behind the number of the query: anything, or records behind a fitting head."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    rcode = draw(st.sampled_from([0, 0, 0, 2, 3, 9]))
    flags = 0x8180 | rcode | draw(st.sampled_from([0, 0, dns.flags.TC]))
    head = flags.to_bytes(2, "big") + b"\0\1" + draw(st.integers(0, 3)).to_bytes(2, "big") + bytes(4)
    records = b""
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from([1, 5, 12, 28, 16]))
        data = draw(
            st.sampled_from(
                [b"\xc0\x0c", b"\1a\xc0\x0c", b"\0", b"\xc0\x00", b"\3a.b\0", bytes([192, 0, 2, 7]), b"\x40"]
            )
            | st.binary(max_size=20)
        )
        records += b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + bytes(4) + len(data).to_bytes(2, "big") + data
    return head + b"?" + records


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(hostile(), min_size=1, max_size=6), st.booleans())
def test_any_octets_give_a_name_in_time(answers: Sequence[bytes], cuts: bool) -> None:
    """CORE-37, CORE-48, CORE-50, CORE-51."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            memory = MemoryDns(nursery)
            left = list(answers)

            def reply(query: Query) -> list[Step]:
                octets = left.pop(0) if len(left) > 1 else left[0]
                question = query.octets[12:]
                message = query.octets[:2] + octets[:10] + octets[10:].replace(b"?", question, 1)
                steps: list[Step] = [Send(message)]
                return [*steps, CLOSE] if cuts and query.transport == "TCP" else steps

            memory.zone = Zone(default=reply)
            resolver = Resolver(ResolverSettings((TcpAddress("::1", 53),)), memory.open_udp, memory.dial)
            lines: list[str] = []
            name = await resolver.client_name(CLIENT, lines.append)
            assert NAME.fullmatch(name)
            assert trio.current_time() <= 60
            assert all(line.isprintable() for line in lines)
            assert memory.open_datagrams == 0
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_octets_over_tcp_give_a_name_in_time(octets: bytes, chunk: int) -> None:
    """CORE-37, CORE-48."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            memory = MemoryDns(nursery)
            memory.chunk = chunk
            memory.zone.pointer(CLIENT, "host.example")
            memory.zone.on("host.example", "A", answer(flags=dns.flags.TC))
            memory.zone.on("host.example", "A", lambda query: [Send(octets, raw=True)], transport="TCP")
            resolver = Resolver(ResolverSettings((TcpAddress("::1", 53),), ipv6=False), memory.open_udp, memory.dial)
            assert NAME.fullmatch(await resolver.client_name(CLIENT, lambda line: None))
            assert trio.current_time() <= 60
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
