"""DNS messages: questions to octets, octets to what an answer says (core rules, section 8).

Names and questions are dnspython's. Answers are read here, because they come from whoever likes to send some: only the
answer section is looked at, and the work per message is bounded, where following every compression pointer of a
malicious message would keep the process busy for many seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.message
from dns.exception import DNSException, FormError
from dns.name import Name
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType
from dns.wire import Parser

from refproxy.errors import WireError
from refproxy.wire.auth_http import printable

__all__ = [
    "FORMAT_ERROR",
    "HOST_NOT_FOUND",
    "NAME_LIMIT",
    "TIMED_OUT",
    "Answer",
    "Question",
    "explain",
    "format_query",
    "parse_answer",
    "parse_name",
    "reverse_question",
    "show_name",
]

FORMAT_ERROR = 1
HOST_NOT_FOUND = 3
TIMED_OUT = 110  # no RCODE: the number Linux has for it, as in Angie's log

EXPLANATIONS = {
    FORMAT_ERROR: "Format error",
    2: "Server failure",
    HOST_NOT_FOUND: "Host not found",
    4: "Unimplemented",
    5: "Operation refused",
    TIMED_OUT: "Operation timed out",
}

CHECKED_FLAGS = 0xF840  # QR, the opcode and Z; nobody cares about AA, RA, AD and CD (CORE-50)
RESPONSE = 0x8000
TRUNCATED = 0x0200
RCODE = 0x000F

NAME_LIMIT = 255  # octets of a name (RFC 1035 section 2.3.4)
NAME_STEPS = 254  # labels of the longest name, each behind a compression pointer
LABEL_LIMIT = 63
ALIAS_LIMIT = 51  # CNAME records read from one answer: one more than may be followed (CORE-48)
POINTER = 0xC0
ADDRESS_SIZES = {RdataType.A: 4, RdataType.AAAA: 16}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a name, in class IN; upper and lower case letters are the same (RFC 4343)."""

    name: Name
    kind: RdataType


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says to its question. With an `rcode` there is nothing else.

    `addresses` are in canonical text and `pointer` is the target of the first PTR record, labels joined by dots.
    `ttl` are the seconds that these may be kept. `empty` means that there were no records at all.
    """

    rcode: int = 0
    truncated: bool = False
    empty: bool = False
    pointer: bytes | None = None
    addresses: tuple[str, ...] = ()
    aliases: Mapping[Name, Name] = field(default_factory=dict)  # owner to target of CNAME records
    ttl: int = 0


def explain(code: int) -> str:
    """An RCODE, or TIMED_OUT, as the log shows it: `3: Host not found`."""
    return f"{code}: {EXPLANATIONS.get(code, 'Unknown error')}"


def parse_name(text: bytes) -> Name:
    """Cut a name at its dots. Raises WireError for what no query can carry: empty or overlong labels or names."""
    try:
        return Name([*text.removesuffix(b".").split(b"."), b""])
    except DNSException as error:
        raise WireError(f"{printable(text)!r} is no name for DNS") from error


def show_name(name: Name) -> str:
    """A name as one harmless line of text."""
    return printable(b".".join(name.labels[:-1]), NAME_LIMIT)


def reverse_question(address: IPv4Address | IPv6Address) -> Question:
    """The question for the name of an address; an IPv4-mapped IPv6 address stays an IPv6 address (CORE-44)."""
    return Question(parse_name(address.reverse_pointer.encode("ascii")), RdataType.PTR)


def format_query(question: Question, ident: int) -> bytes:
    """A query with one question and recursion desired, without EDNS (CORE-49)."""
    return dns.message.make_query(question.name, question.kind, RdataClass.IN, use_edns=False, id=ident).to_wire()


def parse_answer(octets: bytes, question: Question, ident: int, transport: str = "UDP") -> Answer:
    """Read a response to a question.

    Raises WireError, whose text is the log line, for a message that does not answer this query and must be ignored:
    the response may be still to come (CORE-50). A response with unreadable records is a format error, unless it is
    the truncated one of a UDP server.
    """
    parser = Parser(octets)
    try:
        answered, flags, questions, records, _, _ = parser.get_struct("!HHHHHH")
    except FormError as error:
        raise WireError("short DNS response") from error
    truncated = bool(flags & TRUNCATED)
    if flags & CHECKED_FLAGS != RESPONSE or (truncated and transport == "TCP"):
        raise WireError(f"invalid {transport} DNS response {answered} fl:{flags:04X}")
    rcode = flags & RCODE
    # A server that could not read the question cannot repeat it.
    if questions or rcode in (0, HOST_NOT_FOUND):
        _check_question(parser, questions, question)
    if answered != ident:
        name = show_name(question.name)
        raise WireError(f"wrong ident {answered} in DNS response for {name}, expect {ident}")
    if rcode:
        return Answer(rcode)
    reader = _Reader(question.kind)
    try:
        while reader.count < records and reader.pointer is None:  # the first PTR record wins (CORE-45)
            reader.read(parser)
    except DNSException:
        if not truncated:
            return Answer(FORMAT_ERROR)
    return Answer(0, truncated, not records, reader.pointer, tuple(reader.addresses), reader.aliases, reader.ttl or 0)


def _check_question(parser: Parser, questions: int, question: Question) -> None:
    if questions != 1:
        raise WireError("invalid number of questions in DNS response")
    try:
        name = _read_name(parser)
        kind, class_ = parser.get_struct("!HH")
    except DNSException as error:
        raise WireError("short DNS response") from error
    if (name, kind, class_) != (question.name, question.kind, RdataClass.IN):
        raise WireError(f"unexpected DNS response for {show_name(name)}")


class _Reader:
    """Collects what the records of an answer section say. Names are read only where they matter."""

    def __init__(self, wanted: RdataType) -> None:
        self._wanted = wanted
        self._aliases_read = 0
        self.count = 0
        self.pointer: bytes | None = None
        self.addresses: dict[str, None] = {}  # in the order of the answer
        self.aliases: dict[Name, Name] = {}
        self.ttl: int | None = None

    def read(self, parser: Parser) -> None:
        """Read the next record. Raises DNSException when it is malformed."""
        owner = Parser(parser.wire, parser.current)
        _skip_name(parser)
        kind, class_, ttl, length = parser.get_struct("!HHIH")
        ttl = ttl if ttl < 2**31 else 0  # RFC 2181 section 8
        is_alias = kind == RdataType.CNAME and self._aliases_read < ALIAS_LIMIT
        self.count += 1
        with parser.restrict_to(length):
            if class_ != RdataClass.IN or not (is_alias or kind == self._wanted):
                parser.get_bytes(length)
            elif self._wanted == RdataType.PTR and not is_alias:
                self.pointer = b".".join(_read_name(parser).labels[:-1])
                self.ttl = ttl  # without that of an alias before it
            elif is_alias:
                self._aliases_read += 1
                self.aliases.setdefault(_read_name(owner), _read_name(parser))
                self._keep_no_longer_than(ttl)
            else:
                if length != ADDRESS_SIZES[self._wanted]:
                    raise FormError
                self.addresses[str(ip_address(parser.get_bytes(length)))] = None
                self._keep_no_longer_than(ttl)

    def _keep_no_longer_than(self, ttl: int) -> None:
        self.ttl = ttl if self.ttl is None else min(self.ttl, ttl)


def _skip_name(parser: Parser) -> None:
    while count := parser.get_uint8():
        if count >= POINTER:
            parser.get_uint8()
            return
        if count > LABEL_LIMIT:
            raise FormError
        parser.get_bytes(count)


def _read_name(parser: Parser) -> Name:
    """Read a name, following compression pointers backwards only and not for ever. Raises DNSException."""
    labels: list[bytes] = []
    lowest = parser.current
    with parser.restore_furthest():
        for _ in range(NAME_STEPS + 1):
            count = parser.get_uint8()
            if not count:
                return Name([*labels, b""])
            if count >= POINTER:
                target = (count - POINTER) * 256 + parser.get_uint8()
                if target >= lowest:
                    raise FormError
                lowest = target
                parser.seek(target)
            elif count <= LABEL_LIMIT:
                labels.append(parser.get_bytes(count))
            else:
                raise FormError
    raise FormError
