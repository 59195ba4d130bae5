"""The relay: octets both ways until one side ends or nothing moves any more (proxy rules, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import trio

from refproxy.errors import Side

__all__ = ["RelayEnd", "RelayResult", "relay"]

DEADLINE_SLACK = 0.3  # seconds; a deadline that would move by less stays where it is (PROXY-85)


class RelayEnd(Enum):
    """What ended a relay."""

    END_OF_FILE = "end of file"
    TIMED_OUT = "timed out"
    BROKEN = "broken connection"


@dataclass(slots=True)
class RelayResult:
    """How a relay ended, by which side, and how many octets came from each."""

    end: RelayEnd = RelayEnd.TIMED_OUT
    side: Side | None = None
    octets_from: dict[Side, int] = field(default_factory=lambda: {Side.CLIENT: 0, Side.BACKEND: 0})


async def relay(
    client: trio.abc.Stream,
    backend: trio.abc.Stream,
    *,
    idle: float,
    buffers: Mapping[Side, int],
    pending: bytes = b"",
    observe: Callable[[Side, bytes], None] | None = None,
    octets_from: dict[Side, int] | None = None,
) -> RelayResult:
    """Copy both ways until one side ends, or nothing moves for `idle` seconds.

    `buffers` says how many octets a read from each side may hold. `pending` was read from the client already and goes
    to the backend first. `octets_from`, if given, counts what came from each side while the relay runs.
    The first end of file ends both directions, once its octets are delivered (PROXY-76, PROXY-79). Traffic in either
    direction renews the deadline (PROXY-83). A direction is read only when its last octets were taken (PROXY-74).
    """
    result = RelayResult() if octets_from is None else RelayResult(octets_from=octets_from)
    ahead = {Side.CLIENT: pending}

    async def pump(source: trio.abc.Stream, sink: trio.abc.Stream, side: Side) -> None:
        end = RelayEnd.END_OF_FILE
        while octets := (ahead.pop(side, b"") or await _receive(source, buffers[side])):
            if observe is not None:
                observe(side, octets)
            renew()
            try:
                await sink.send_all(octets)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                end = RelayEnd.BROKEN
                break
            result.octets_from[side] += len(octets)
            renew()
        result.end, result.side = end, side
        scope.cancel()

    def renew() -> None:
        deadline = trio.current_time() + idle
        if deadline - scope.deadline > DEADLINE_SLACK:
            scope.deadline = deadline

    async with trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        scope.deadline = trio.current_time() + idle
        nursery.start_soon(pump, client, backend, Side.CLIENT)
        await pump(backend, client, Side.BACKEND)
    return result


async def _receive(source: trio.abc.Stream, buffer: int) -> bytes:
    """Read once; a reset counts as the end of file (PROXY-77)."""
    try:
        return bytes(await source.receive_some(buffer))
    except trio.BrokenResourceError:
        return b""
