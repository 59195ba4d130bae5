"""The name server: answers each question as its case says, over UDP and TCP, with dnspython's messages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

from conformance.targets.base import TargetTrouble

__all__ = ["Answer", "CaseDns", "DnsServer", "Names", "no_answer", "raw", "rcode", "records", "several", "truncated"]

Names = Mapping[str, str]
Answer = Callable[[dns.message.Message, Names], bytes | list[bytes] | None]
"""From a question, and the names of the case, to the octets of the answer, of several ones, or None for silence."""

TTL = 60


def records(*texts: str, owner: str | None = None, ttl: int = TTL) -> Answer:
    """Answer with records such as `A {ip}`, `PTR {host}.` or `alias.{host}. CNAME {host}.`."""

    def answer(query: dns.message.Message, names: Names) -> bytes:
        response = dns.message.make_response(query)
        name = dns.name.from_text(owner.format_map(names)) if owner else query.question[0].name
        for text in (text.format_map(names) for text in texts):
            first, _, rest = text.partition(" ")
            if first.endswith("."):
                own, (kind, _, data) = dns.name.from_text(first), rest.partition(" ")
            else:
                own, kind, data = name, first, rest
            response.answer.append(dns.rrset.from_text(own, ttl, "IN", kind, data))
        return response.to_wire()

    return answer


def rcode(name: str) -> Answer:
    """Answer with NXDOMAIN, SERVFAIL, REFUSED, NOTIMP, FORMERR, or NOERROR for no data."""

    def answer(query: dns.message.Message, names: Names) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.from_text(name))
        return response.to_wire()

    return answer


def no_answer(query: dns.message.Message, names: Names) -> None:
    """Never answer."""


def raw(change: Callable[[bytes], bytes], then: Answer | None = None) -> Answer:
    """Answer with changed octets of a proper answer."""
    proper = then or rcode("NOERROR")

    def answer(query: dns.message.Message, names: Names) -> bytes:
        octets = proper(query, names)
        assert isinstance(octets, bytes)
        return change(octets)

    return answer


def several(*answers: Answer) -> Answer:
    """Send one answer after the other."""

    def answer(query: dns.message.Message, names: Names) -> list[bytes]:
        return [octets for each in answers for octets in _listed(each(query, names))]

    return answer


def _listed(octets: bytes | list[bytes] | None) -> list[bytes]:
    return [octets] if isinstance(octets, bytes) else octets or []


def truncated(query: dns.message.Message, names: Names) -> bytes:
    """Answer with nothing but the TC bit."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response.to_wire()


@dataclass(slots=True)
class CaseDns:
    """What the name server says to one case. `asked` has the questions as `NAME TYPE`, `tcp` those that came by TCP.

    Without an answer of its own a question gets NXDOMAIN.
    """

    names: dict[str, str] = field(default_factory=dict)
    """What `{host}` and the like stand for in records."""

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    over_tcp: dict[tuple[str, str], Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tcp: list[str] = field(default_factory=list)
    queries: list[bytes] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """From where the questions by UDP came."""

    _held: dict[tuple[str, str], trio.Event] = field(default_factory=dict)
    _come: trio.Event = field(default_factory=trio.Event)

    def say(self, name: str, kind: str, answer: Answer, *, tcp: Answer | None = None) -> None:
        """Decide about a question; over TCP another answer may be given."""
        self.answers[name.lower().rstrip("."), kind] = answer
        if tcp is not None:
            self.over_tcp[name.lower().rstrip("."), kind] = tcp

    def hold(self, name: str, kind: str) -> trio.Event:
        """Let a question wait for its answer until the event is set."""
        return self._held.setdefault((name.lower().rstrip("."), kind), trio.Event())

    async def wait_asked(self, *questions: str) -> None:
        """Wait until these have been asked, as `NAME TYPE`."""
        while not {*questions} <= {*self.asked}:
            await self._come.wait()

    async def reply(self, octets: bytes, port: int | None) -> list[bytes]:
        """The answers to a question, which came from a port by UDP, or by TCP."""
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        key = name, dns.rdatatype.to_text(question.rdtype)
        self.queries.append(octets)
        (self.tcp if port is None else self.asked).append(" ".join(key))
        if port is not None:
            self.ports.append(port)
        self._come.set()
        self._come = trio.Event()
        if key in self._held:
            await self._held[key].wait()
        answer = self.over_tcp.get(key) if port is None else None
        return _listed((answer or self.answers.get(key) or rcode("NXDOMAIN"))(query, self.names))


class DnsServer:
    """Serves all cases of a run on one address; `find` tells whose a question is, by its name."""

    def __init__(self, find: Callable[[str], CaseDns | None], port: int = 0) -> None:
        self._find = find
        self.port = port

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, on one port of 127.0.0.1 for both UDP and TCP."""
        udp, listeners = await _open_both(self.port)
        with udp:
            self.port = udp.getsockname()[1]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, self._serve_tcp, listeners)
                task_status.started()
                while True:
                    octets, peer = await udp.recvfrom(65535)
                    nursery.start_soon(self._serve_udp, udp, octets, peer)

    async def _serve_udp(self, udp: trio.socket.SocketType, octets: bytes, peer: tuple[str, int]) -> None:
        for answer in await self._reply(octets, port=peer[1]):
            await udp.sendto(answer, peer)

    async def _serve_tcp(self, stream: trio.SocketStream) -> None:
        received = b""
        try:
            while True:
                while len(received) < 2 or len(received) < 2 + struct.unpack("!H", received[:2])[0]:
                    octets = await stream.receive_some(65535)
                    if not octets:
                        return
                    received += octets
                end = 2 + struct.unpack("!H", received[:2])[0]
                question, received = received[2:end], received[end:]
                for answer in await self._reply(question):
                    await stream.send_all(struct.pack("!H", len(answer)) + answer)
        except trio.BrokenResourceError:
            return

    async def _reply(self, octets: bytes, port: int | None = None) -> list[bytes]:
        try:
            name = dns.message.from_wire(octets).question[0].name.to_text(omit_final_dot=True).lower()
        except (dns.exception.DNSException, IndexError):
            return []
        case = self._find(name)
        return [] if case is None else await case.reply(octets, port)


async def _open_both(port: int) -> tuple[trio.socket.SocketType, list[trio.SocketListener]]:
    """Sockets for UDP and TCP on the same port; one that is free for TCP may be taken for UDP.

    Raises TargetTrouble when a certain port is not free.
    """
    while True:
        try:
            listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        except OSError as error:
            raise TargetTrouble(f"port {port} of the name server is not free: {error.strerror}") from error
        udp = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        try:
            await udp.bind(("127.0.0.1", listeners[0].socket.getsockname()[1]))
        except OSError as error:
            udp.close()
            for listener in listeners:
                await listener.aclose()
            if port:
                raise TargetTrouble(f"port {port} of the name server is not free: {error.strerror}") from error
        else:
            return udp, listeners


def reverse_name(ip: str) -> str:
    """The name under which the PTR record of an address is asked for; an IPv4-mapped one is asked as IPv6."""
    return ip_address(ip).reverse_pointer
