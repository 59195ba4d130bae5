"""The relay: octets both ways until one side ends or nothing moves any more (proxy rules, section 9).

Two sockets that both keep up are served by one task, which an epoll set of the session's own wakes for either of them:
a session spends nearly all its life here, and a second task would cost a tenth of all the time it ever takes. As soon
as a receiver does not keep up, each direction has to wait for something of its own, and gets a task for that. So do
streams without a socket.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeGuard

import trio

from refproxy.errors import Side
from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.stream import RECORD_SIZE, TlsStream

__all__ = ["RelayEnd", "RelayResult", "relay"]

FAIR_AFTER = 16  # reads of one direction before others have a turn
DEADLINE_SLACK = 0.3  # seconds; a deadline that would move by less stays where it is (PROXY-85)


class RelayEnd(Enum):
    """What ended a relay."""

    END_OF_FILE = "end of file"
    BROKEN = "broken connection"


@dataclass(slots=True)
class RelayResult:
    """How a relay ended, by which side (both None while it goes on), and how many octets came from each."""

    end: RelayEnd | None = None
    side: Side | None = None
    octets_from: dict[Side, int] = field(default_factory=lambda: {Side.CLIENT: 0, Side.BACKEND: 0})


async def relay(
    client: trio.abc.Stream,
    backend: trio.abc.Stream,
    clock: trio.CancelScope,
    *,
    idle: float,
    buffers: Mapping[Side, int],
    pending: bytes = b"",
    observe: Callable[[Side, bytes], None] | None = None,
    octets_from: dict[Side, int] | None = None,
) -> RelayResult:
    """Copy both ways until one side ends; nothing moving for `idle` seconds cancels `clock`, the scope this runs in.

    `buffers` says how many octets a read from each side may hold. `pending` was read from the client already and goes
    to the backend first. `octets_from`, if given, counts what came from each side while the relay runs.
    The first end of file ends both directions, once its octets are delivered (PROXY-76, PROXY-79). Traffic in either
    direction renews the deadline (PROXY-83). A direction is read only when its last octets were taken (PROXY-74).
    """
    result = RelayResult() if octets_from is None else RelayResult(octets_from=octets_from)
    clock.deadline = trio.current_time() + idle
    books = _Books(result, clock, idle, observe)
    up = _Way(Side.CLIENT, client, backend, buffers[Side.CLIENT], pending)
    down = _Way(Side.BACKEND, backend, client, buffers[Side.BACKEND])
    if _keeps_nothing_back(client, up.room) and _keeps_nothing_back(backend, down.room) and not pending:
        await _copy_in_one_task(client, backend, up, down, books)
    if result.end is None:
        await _copy_in_two_tasks(up, down, books)
    return result


def _keeps_nothing_back(stream: trio.abc.Stream, room: int) -> TypeGuard[SocketStream | TlsStream]:
    """Whether a set of descriptors can tell when the stream has something to read.

    In TLS nothing may be left inside, where the set would not see it: a read must have room for a whole record.
    """
    if isinstance(stream, TlsStream):
        return stream.is_on_socket and room >= RECORD_SIZE and not stream.has_decrypted
    return isinstance(stream, SocketStream)


@dataclass(slots=True)
class _Way:
    """One direction. `ahead` was received and goes to the sink first; a read gets at most `room` octets."""

    side: Side
    source: trio.abc.Stream
    sink: trio.abc.Stream
    room: int
    ahead: bytes = b""

    def take_ahead(self) -> bytes:
        octets, self.ahead = self.ahead, b""
        return octets


@dataclass(slots=True)
class _Books:
    """What moved, by when the next octets must move, and how it ended."""

    result: RelayResult
    clock: trio.CancelScope
    idle: float
    observe: Callable[[Side, bytes], None] | None

    def received(self, way: _Way, octets: bytes) -> None:
        if self.observe is not None:
            self.observe(way.side, octets)
        self._renew()

    def delivered(self, way: _Way, count: int) -> None:
        self.result.octets_from[way.side] += count
        self._renew()

    def ended(self, way: _Way, end: RelayEnd) -> None:
        self.result.end, self.result.side = end, way.side

    def _renew(self) -> None:
        deadline = trio.current_time() + self.idle
        if deadline - self.clock.deadline > DEADLINE_SLACK:
            self.clock.deadline = deadline


async def _copy_in_one_task(
    client: SocketStream | TlsStream, backend: SocketStream | TlsStream, up: _Way, down: _Way, books: _Books
) -> None:
    """Copy until an end, or until a receiver does not keep up; what it did not take is `ahead` then."""
    try:
        either = select.epoll()
    except OSError:
        return  # out of descriptors; two tasks do without
    ways = {client.fileno(): (client, backend, up), backend.fileno(): (backend, client, down)}
    with either:
        for descriptor in ways:
            either.register(descriptor, select.EPOLLIN)
        while True:
            await trio.lowlevel.wait_readable(either.fileno())
            for descriptor, _ in either.poll(0):
                if not _copy_now(*ways[descriptor], books):
                    return


def _copy_now(source: SocketStream | TlsStream, sink: SocketStream | TlsStream, way: _Way, books: _Books) -> bool:
    """Copy what is there, but not for ever; tell whether to go on as before: no end, and the receiver keeps up."""
    for _ in range(FAIR_AFTER):
        try:
            octets = source.receive_now(way.room)
        except trio.BrokenResourceError:
            octets = b""  # PROXY-77
        except trio.WouldBlock:
            return False
        if octets is None:
            break
        if not octets:
            books.ended(way, RelayEnd.END_OF_FILE)
            return False
        try:
            sent = sink.send_now(octets)
        except trio.BrokenResourceError:
            books.ended(way, RelayEnd.BROKEN)
            return False
        if books.observe is not None:
            books.observe(way.side, octets[:sent])
        books.delivered(way, sent)
        if sent < len(octets):
            way.ahead = octets[sent:]
            return False
        if len(octets) < way.room:
            break  # it is empty
    return True


async def _copy_in_two_tasks(up: _Way, down: _Way, books: _Books) -> None:
    """Copy until an end; a direction that waits for its receiver does not hold up the other."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, up, books, nursery.cancel_scope)
        await _pump(down, books, nursery.cancel_scope)


async def _pump(way: _Way, books: _Books, scope: trio.CancelScope) -> None:
    """Copy one direction; its end ends the other one, too."""
    end = RelayEnd.END_OF_FILE
    while octets := (way.take_ahead() or await _receive(way.source, way.room)):
        books.received(way, octets)
        try:
            await way.sink.send_all(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            end = RelayEnd.BROKEN
            break
        books.delivered(way, len(octets))
    books.ended(way, end)
    scope.cancel()


async def _receive(source: trio.abc.Stream, room: int) -> bytes:
    """Read once; a reset counts as the end of file (PROXY-77)."""
    try:
        return bytes(await source.receive_some(room))
    except trio.BrokenResourceError:
        return b""
