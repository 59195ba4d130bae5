"""The name server: answers each question as its case says, over UDP and TCP, with dnspython's messages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset
import trio

from conformance.targets.base import TargetTrouble

__all__ = ["Answer", "CaseDns", "DnsServer", "no_answer", "raw", "rcode", "records", "truncated"]

Names = Mapping[str, str]
Answer = Callable[[dns.message.Message, Names], bytes | None]
"""From a question, and the names of the case, to the octets of the answer, or None for silence."""

TTL = 60


def records(*texts: str, owner: str | None = None) -> Answer:
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
            response.answer.append(dns.rrset.from_text(own, TTL, "IN", kind, data))
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
    return lambda query, names: change(proper(query, names) or b"")


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

    def say(self, name: str, kind: str, answer: Answer, *, tcp: Answer | None = None) -> None:
        """Decide about a question; over TCP another answer may be given."""
        self.answers[name.lower().rstrip("."), kind] = answer
        if tcp is not None:
            self.over_tcp[name.lower().rstrip("."), kind] = tcp

    def reply(self, octets: bytes, *, tcp: bool) -> bytes | None:
        """The answer to a question."""
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        key = name, dns.rdatatype.to_text(question.rdtype)
        self.queries.append(octets)
        (self.tcp if tcp else self.asked).append(" ".join(key))
        answer = self.over_tcp.get(key) if tcp else None
        return (answer or self.answers.get(key) or rcode("NXDOMAIN"))(query, self.names)


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
                    if (answer := self._reply(octets, tcp=False)) is not None:
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
                if (answer := self._reply(question, tcp=True)) is not None:
                    await stream.send_all(struct.pack("!H", len(answer)) + answer)
        except trio.BrokenResourceError:
            return

    def _reply(self, octets: bytes, *, tcp: bool) -> bytes | None:
        try:
            name = dns.message.from_wire(octets).question[0].name.to_text(omit_final_dot=True).lower()
        except (dns.exception.DNSException, IndexError):
            return None
        case = self._find(name)
        return None if case is None else case.reply(octets, tcp=tcp)


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
    """The name under which the PTR record of an address is asked for."""
    return dns.reversename.from_address(ip).to_text(omit_final_dot=True)
