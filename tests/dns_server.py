"""A DNS server that answers as it is told, also wrongly; on loopback sockets, or in memory and virtual time."""

from __future__ import annotations

import heapq
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio
from trio.testing import memory_stream_pair

from refproxy.config.settings import Address, TcpAddress
from refproxy.errors import PeerError, Side

__all__ = [
    "CLOSE",
    "REFUSE",
    "DnsServer",
    "MemoryDns",
    "Query",
    "Reply",
    "Send",
    "Step",
    "Zone",
    "answer",
    "edited",
    "reverse_name",
    "silence",
]


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it arrived."""

    octets: bytes
    transport: str
    server: TcpAddress
    time: float

    @property
    def message(self) -> dns.message.Message:
        return dns.message.from_wire(self.octets)

    @property
    def asks(self) -> tuple[str, str]:
        """Name and type, as in `("host.example", "A")`."""
        (question,) = self.message.question
        return question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)


@dataclass(frozen=True, slots=True)
class Send:
    """Octets to send, `after` seconds of virtual time. Over TCP a length goes before them unless they are `raw`."""

    octets: bytes
    after: float = 0.0
    raw: bool = False


class Signal:
    """What a server may do besides sending."""


REFUSE = Signal()
"""In memory only: what the kernel reports when nothing listens."""
CLOSE = Signal()
"""Close the TCP connection."""

Step = Send | Signal
Reply = Callable[[Query], Sequence[Step]]


def answer(*records: str, rcode: int = 0, flags: int = 0, after: float = 0.0) -> Reply:
    """Records in the text of zone files, as in `host.example. 60 A 192.0.2.1`."""

    def reply(query: Query) -> list[Step]:
        message = dns.message.make_response(query.message)
        message.set_rcode(dns.rcode.Rcode(rcode))
        message.flags |= flags
        for record in records:
            owner, ttl, kind, data = record.split(" ", 3)
            message.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
        return [Send(message.to_wire(max_size=65535), after)]

    return reply


def edited(reply: Reply, edit: Callable[[bytes], bytes]) -> Reply:
    """A reply with other octets."""

    def edited_reply(query: Query) -> list[Step]:
        return [Send(edit(step.octets), step.after) for step in reply(query) if isinstance(step, Send)]

    return edited_reply


def silence(query: Query) -> list[Step]:
    """No answer."""
    return []


NXDOMAIN = answer(rcode=3)


class Zone:
    """What is answered to which question, `default` to all others, and the questions that came."""

    def __init__(self, default: Reply = NXDOMAIN) -> None:
        self._default = default
        self.queries: list[Query] = []
        self._replies: dict[tuple[str, str, str], Reply] = {}

    def on(self, name: str, kind: str, *replies: Reply, transport: str = "UDP") -> None:
        """Answer a question with all of these replies; with none of them never."""
        self._replies[name, kind, transport] = lambda query: [step for reply in replies for step in reply(query)]

    def host(self, name: str, *addresses: str, ttl: int = 60) -> None:
        """A name with addresses, which have this name."""
        for kind, colon in (("A", False), ("AAAA", True)):
            texts = [text for text in addresses if (":" in text) == colon]
            self.on(name, kind, answer(*(f"{name}. {ttl} {kind} {text}" for text in texts)))
        for text in addresses:
            self.pointer(text, name, ttl=ttl)

    def pointer(self, address: str, *names: str, ttl: int = 60) -> None:
        """The names of an address."""
        owner = reverse_name(address)
        self.on(owner, "PTR", answer(*(f"{owner}. {ttl} PTR {name}." for name in names)))

    @property
    def asked(self) -> list[tuple[str, str]]:
        """The questions in order, as in `("host.example", "A")`."""
        return [query.asks for query in self.queries]

    def answer(self, query: Query) -> Sequence[Step]:
        self.queries.append(query)
        name, kind = query.asks
        return self._replies.get((name.lower(), kind, query.transport), self._default)(query)


def reverse_name(address: str) -> str:
    """The name for PTR questions. Written down without the library that the resolver uses."""
    if ":" not in address:
        return ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    nibbles = socket.inet_pton(socket.AF_INET6, address).hex()
    return ".".join(reversed(nibbles)) + ".ip6.arpa"


# -- in memory -----------------------------------------------------------------------------------------------------


class MemoryDatagram:
    """One connected socket of the resolver."""

    def __init__(self, dns: MemoryDns, server: TcpAddress) -> None:
        self._dns, self._server = dns, server
        self._coming: list[tuple[float, int, Step]] = []
        self._changed = trio.Event()
        self._numbers = count()
        self.is_closed = False

    async def send(self, octets: bytes) -> None:
        assert not self.is_closed
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        for step in self._dns.zone_of(self._server).answer(Query(octets, "UDP", self._server, now)):
            after = step.after if isinstance(step, Send) else 0.0
            heapq.heappush(self._coming, (now + after, next(self._numbers), step))
        self._changed.set()

    async def receive(self, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._coming or self._coming[0][0] > trio.current_time():
            self._changed = trio.Event()
            with trio.move_on_at(self._coming[0][0] if self._coming else float("inf")):
                await self._changed.wait()
        step = heapq.heappop(self._coming)[2]
        if isinstance(step, Send):
            return step.octets[:limit]
        raise PeerError(Side.DNS, "recv() failed (111: Connection refused)")

    def close(self) -> None:
        self.is_closed = True


class MemoryDns:
    """Name servers without sockets; `zone` belongs to all that have none of their own."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.zone = Zone()
        self.zones: dict[TcpAddress, Zone] = {}
        self.unreachable: set[TcpAddress] = set()
        self.datagrams: list[MemoryDatagram] = []
        self.connections: list[TcpAddress] = []
        self.chunk = 65537  # octets per write over TCP
        self._nursery = nursery

    def zone_of(self, server: TcpAddress) -> Zone:
        return self.zones.get(server, self.zone)

    @property
    def open_datagrams(self) -> int:
        return sum(not datagram.is_closed for datagram in self.datagrams)

    def open_udp(self, address: TcpAddress, side: Side) -> MemoryDatagram:
        if address in self.unreachable:
            raise PeerError(side, f"connect() to {address} failed (101: Network is unreachable)")
        self.datagrams.append(MemoryDatagram(self, address))
        return self.datagrams[-1]

    async def dial(self, address: Address, side: Side) -> trio.abc.HalfCloseableStream:
        assert isinstance(address, TcpAddress)
        await trio.lowlevel.checkpoint()
        self.connections.append(address)
        if address in self.unreachable:
            raise PeerError(side, f"connect() to {address} failed (111: Connection refused)")
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(serve_stream, theirs, self.zone_of(address), address, self.chunk)
        return ours


async def serve_stream(stream: trio.abc.Stream, zone: Zone, server: TcpAddress, chunk: int = 65537) -> None:
    """Answer the queries on one TCP connection."""
    try:
        async with stream:
            while size := await receive_exactly(stream, 2):
                octets = await receive_exactly(stream, int.from_bytes(size, "big"))
                for step in zone.answer(Query(octets, "TCP", server, trio.current_time())):
                    if not isinstance(step, Send):
                        return
                    if step.after:
                        await trio.sleep(step.after)
                    framed = step.octets if step.raw else struct.pack("!H", len(step.octets)) + step.octets
                    for at in range(0, len(framed), chunk):
                        await stream.send_all(framed[at : at + chunk])
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the resolver has heard enough


async def receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    """So many octets, or nothing at the end of file."""
    received = b""
    while len(received) < size:
        octets = await stream.receive_some(size - len(received))
        if not octets:
            return b""
        received += octets
    return received


# -- on sockets ----------------------------------------------------------------------------------------------------


class DnsServer:
    """A name server on a free port of a loopback address, the same for UDP and TCP."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.zone = Zone()
        self.connections = 0
        self.ports: list[int] = []  # that datagrams came from
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        while True:
            self._tcp = trio.socket.from_stdlib_socket(socket.create_server((host, 0), family=family))
            self.address = TcpAddress(host, self._tcp.getsockname()[1])
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            try:
                datagrams.bind((host, self.address.port))
            except OSError:  # somebody has this port of UDP
                self._tcp.close()
                datagrams.close()
                continue
            self._udp = trio.socket.from_stdlib_socket(datagrams)
            return

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        with self._tcp, self._udp:
            async with trio.open_nursery() as nursery:
                task_status.started()
                nursery.start_soon(self._serve_tcp, nursery)
                while True:
                    octets, client = await self._udp.recvfrom(65536)
                    self.ports.append(client[1])
                    for step in self.zone.answer(Query(octets, "UDP", self.address, trio.current_time())):
                        assert isinstance(step, Send), "only the kernel refuses"
                        await self._udp.sendto(step.octets, client)

    async def _serve_tcp(self, connections: trio.Nursery) -> None:
        while True:
            stream = trio.SocketStream((await self._tcp.accept())[0])
            self.connections += 1
            connections.start_soon(serve_stream, stream, self.zone, self.address)
