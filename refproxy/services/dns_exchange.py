"""Questions to name servers: datagrams, repeats to the next server, and TCP for what did not fit (CORE-49, CORE-50)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol

import trio
from dns.rdatatype import RdataType

from refproxy.config.settings import TcpAddress
from refproxy.errors import PeerError, Side, WireError
from refproxy.net.closing import close_at_once
from refproxy.net.dial import Dial
from refproxy.services.dns_messages import Answer, Question, format_query, parse_answer

__all__ = ["DatagramChannel", "NameServers", "OpenUdp", "Tell"]

REPEAT_AFTER = 5.0  # seconds without an answer (CORE-49)
DATAGRAM_LIMIT = 4096  # octets; without EDNS a server sends at most 512
TOLD_LIMIT = 10  # lines of log per lookup, so that a flood of forged answers does not become one of the log
IDENTS = 2**16

Tell = Callable[[str], None]
"""Told each line for the log, without level and session."""


class DatagramChannel(Protocol):
    """A connected UDP socket, as net.datagram.Datagram; what fails raises PeerError and leaves it usable."""

    async def send(self, octets: bytes, /) -> None: ...

    async def receive(self, limit: int, /) -> bytes: ...

    def close(self) -> None: ...


OpenUdp = Callable[[TcpAddress, Side], DatagramChannel]


@dataclass(frozen=True, slots=True)
class _Query:
    """A question with the number that its answer must repeat."""

    question: Question
    ident: int

    @property
    def octets(self) -> bytes:
        return format_query(self.question, self.ident)


class NameServers:
    """The name servers of a configuration, each of which is where some lookup starts (CORE-49)."""

    def __init__(self, addresses: Sequence[TcpAddress], open_udp: OpenUdp, dial: Dial) -> None:
        self._addresses = tuple(addresses)
        self._open_udp, self._dial = open_udp, dial
        self._turn = 0

    async def ask(self, questions: Sequence[Question], tell: Tell) -> list[Answer]:
        """Ask all questions at once and return their answers in the same order.

        Waits for as long as there is none. A truncated answer is repeated over TCP, unless it is about a pointer.
        """
        tell = _tell_at_most(TOLD_LIMIT, tell)
        start = self._addresses[self._turn]
        self._turn = (self._turn + 1) % len(self._addresses)
        answers: dict[Question, Answer] = {}
        truncated: dict[TcpAddress, list[Question]] = {}

        async def ask_one(question: Question) -> None:
            server, answer = await self._ask_by_udp(question, start, tell)
            if answer.truncated and question.kind != RdataType.PTR:
                truncated.setdefault(server, []).append(question)
            else:
                answers[question] = answer

        async with trio.open_nursery() as nursery:
            for question in questions:
                nursery.start_soon(ask_one, question)
        for server, unanswered in truncated.items():
            answers |= await self._ask_by_tcp(unanswered, server, tell)
        return [answers[question] for question in questions]

    def _rounds(self, start: TcpAddress) -> Iterator[TcpAddress]:
        """All servers, again and again, from one on."""
        at = self._addresses.index(start)
        return cycle(self._addresses[at:] + self._addresses[:at])

    async def _ask_by_udp(self, question: Question, start: TcpAddress, tell: Tell) -> tuple[TcpAddress, Answer]:
        """Ask server after server; the answer of an earlier one is as good as that of the last."""
        query = _Query(question, secrets.randbelow(IDENTS))
        answers: list[tuple[TcpAddress, Answer]] = []
        channels: dict[TcpAddress, DatagramChannel] = {}

        async def listen(server: TcpAddress) -> None:
            answers.append((server, await _receive_answer(channels[server], server, query, tell)))
            nursery.cancel_scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                for server in self._rounds(start):
                    try:
                        if server not in channels:
                            channels[server] = self._open_udp(server, Side.DNS)
                            nursery.start_soon(listen, server)
                        await channels[server].send(query.octets)
                    except PeerError as error:
                        tell(_about(error.reason, server))  # and wait all the same: a refusal may be forged
                    await trio.sleep(REPEAT_AFTER)
        finally:
            for channel in channels.values():
                channel.close()
        return answers[0]

    async def _ask_by_tcp(self, questions: Sequence[Question], start: TcpAddress, tell: Tell) -> dict[Question, Answer]:
        """Ask one question after the other on one connection; on a new one to the next server if that fails."""
        answers: dict[Question, Answer] = {}
        for server in self._rounds(start):
            with trio.move_on_after(REPEAT_AFTER):
                try:
                    stream = await self._dial(server, Side.DNS)
                    try:
                        for question in questions:
                            if question not in answers:
                                answers[question] = await _ask_on_stream(stream, server, question, tell)
                        break
                    finally:
                        await close_at_once(stream)
                except PeerError as error:
                    tell(_about(error.reason, server))
                await trio.sleep_forever()  # until it is time for a repeat
        return answers


async def _receive_answer(channel: DatagramChannel, server: TcpAddress, query: _Query, tell: Tell) -> Answer:
    """Wait for the answer to a query, whatever else comes."""
    while True:
        try:
            return parse_answer(await channel.receive(DATAGRAM_LIMIT), query.question, query.ident)
        except PeerError as error:
            tell(_about(error.reason, server))
        except WireError as error:
            tell(str(error))


async def _ask_on_stream(stream: trio.abc.Stream, server: TcpAddress, question: Question, tell: Tell) -> Answer:
    """Send a query and wait for its answer, whatever else comes. Raises PeerError for a broken connection."""
    query = _Query(question, secrets.randbelow(IDENTS))
    octets = query.octets
    try:
        await stream.send_all(len(octets).to_bytes(2, "big") + octets)
        while True:
            size = int.from_bytes(await _receive_exactly(stream, 2), "big")
            message = await _receive_exactly(stream, size)
            try:
                return parse_answer(message, query.question, query.ident, "TCP")
            except WireError as error:
                tell(str(error))
    except trio.BrokenResourceError as broken:
        raise PeerError(Side.DNS, "name server reset connection") from broken


async def _receive_exactly(stream: trio.abc.Stream, count: int) -> bytes:
    """Read so many octets, at most 65535 of them. Raises PeerError at the end of file."""
    received = bytearray()
    while len(received) < count:
        octets = await stream.receive_some(count - len(received))
        if not octets:
            raise PeerError(Side.DNS, "name server prematurely closed connection")
        received += octets
    return bytes(received)


def _about(reason: str, server: TcpAddress) -> str:
    return f'{reason} while resolving, resolver: "{server}"'


def _tell_at_most(limit: int, tell: Tell) -> Tell:
    told = 0

    def tell_some(line: str) -> None:
        nonlocal told
        told += 1
        if told <= limit:
            tell(line)

    return tell_some
