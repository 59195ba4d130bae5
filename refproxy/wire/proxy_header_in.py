"""The PROXY protocol header that a client's connection begins with (core rules, section 9.1).

A header is read from a buffer that grows. It is refused as soon as no further octet could mend it, so that a client
which does not send one is not left waiting.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from refproxy.config.settings import TcpAddress
from refproxy.errors import WireError
from refproxy.wire.auth_http import printable
from refproxy.wire.proxy_header import PROXY, SIGNATURE_V2, TCP_OVER_IPV4, TCP_OVER_IPV6, V2_START, address_text

__all__ = ["HEADER_LIMIT", "Conveyed", "ProxyHeaderIn", "auth_lines", "broken_header", "parse_proxy_header"]

HEADER_LIMIT = 4096
"""Octets of a version 2 header (CORE-61); an incomplete header of either version is always shorter."""

V1_LIMIT = 107  # octets with the CRLF (CORE-62)
VERSION = 2
LARGEST_PORT = 65535

_V1 = re.compile(rb"PROXY (?:TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d+) (\d+)|UNKNOWN[^\n]*)\r\n")
_V1_WORDS = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN")
_V1_SO_FAR = re.compile(rb"PROXY TCP[46] [0-9A-Fa-f.: ]*\r?|PROXY UNKNOWN[^\n]*")

_ADDRESSES = {TCP_OVER_IPV4: struct.Struct("!4s4sHH"), TCP_OVER_IPV6: struct.Struct("!16s16sHH")}


@dataclass(frozen=True, slots=True)
class Conveyed:
    """The ends of the connection that a header tells of.

    The texts are those of the header in version 1, canonical in version 2 (AUTH-23); either way IP addresses.
    """

    source: str
    destination: str
    source_port: int
    destination_port: int

    @property
    def client(self) -> TcpAddress:
        """The source, its address in canonical text (CORE-67)."""
        address = IPv6Address(self.source) if ":" in self.source else IPv4Address(self.source)
        return TcpAddress(address_text(address), self.source_port)


@dataclass(frozen=True, slots=True)
class ProxyHeaderIn:
    """A complete header: how many octets it took, and what it conveys; None is a direct connection (CORE-65)."""

    length: int
    conveyed: Conveyed | None


def parse_proxy_header(received: bytes) -> ProxyHeaderIn | None:
    """Read the header at the start of what was received; None when it is incomplete. What follows it is ignored.

    Raises WireError with the log line, which is empty where there is none (CORE-62 to CORE-64); the peer is to blame.
    """
    if _agree(received, SIGNATURE_V2):
        return _parse_v2(received)
    return _parse_v1(received)


def broken_header(received: bytes) -> WireError:
    """Make the error for a header that is malformed, or ended by the end of file (CORE-61, CORE-64)."""
    text = re.split(rb"[\r\n]", received, maxsplit=1)[0]
    return WireError(f'broken header: "{printable(text, V1_LIMIT)}"')


def auth_lines(conveyed: Conveyed | None) -> tuple[tuple[bytes, bytes], ...]:
    """Make the lines of an auth request that tell what a header conveyed: all four or none (AUTH-23)."""
    if conveyed is None:
        return ()
    return (
        (b"Proxy-Protocol-Addr", conveyed.source.encode("ascii")),
        (b"Proxy-Protocol-Port", b"%d" % conveyed.source_port),
        (b"Proxy-Protocol-Server-Addr", conveyed.destination.encode("ascii")),
        (b"Proxy-Protocol-Server-Port", b"%d" % conveyed.destination_port),
    )


def _agree(received: bytes, start: bytes) -> bool:
    """Whether the octets begin with `start`, or are the beginning of it."""
    return start.startswith(received[: len(start)])


def _parse_v1(received: bytes) -> ProxyHeaderIn | None:
    end = received.find(b"\n", 0, V1_LIMIT) + 1
    if not end:
        if len(received) >= V1_LIMIT or not _may_become_v1(received):
            raise broken_header(received)
        return None
    match = _V1.fullmatch(received[:end])
    if match is None:
        raise broken_header(received)
    family, source, destination, *ports = match.groups()
    if family is None:
        return ProxyHeaderIn(end, None)
    source_port, destination_port = map(int, ports)
    kind = IPv4Address if family == b"4" else IPv6Address
    conveyed = Conveyed(source.decode("ascii"), destination.decode("ascii"), source_port, destination_port)
    try:
        kind(conveyed.source)
        kind(conveyed.destination)
    except AddressValueError as error:
        raise broken_header(received) from error
    if max(source_port, destination_port) > LARGEST_PORT:
        raise broken_header(received)
    return ProxyHeaderIn(end, conveyed)


def _may_become_v1(received: bytes) -> bool:
    """Whether a line without its end can still be a header."""
    if any(word.startswith(received) for word in _V1_WORDS):
        return True
    return _V1_SO_FAR.fullmatch(received) is not None


def _parse_v2(received: bytes) -> ProxyHeaderIn | None:
    if len(received) > len(SIGNATURE_V2):
        version = received[len(SIGNATURE_V2)] >> 4
        if version != VERSION:
            raise WireError(f"unknown PROXY protocol version: {version}")
    if len(received) < V2_START:
        return None
    command, family, announced = struct.unpack_from("!BBH", received, len(SIGNATURE_V2))
    length = V2_START + announced
    if length > HEADER_LIMIT:
        raise WireError("header is too large")
    layout = _ADDRESSES.get(family) if command == PROXY else None
    if layout is not None and announced < layout.size:
        raise WireError("")
    if len(received) < length:
        return None
    if layout is None:
        return ProxyHeaderIn(length, None)
    source, destination, *ports = layout.unpack_from(received, V2_START)
    kind = IPv4Address if family == TCP_OVER_IPV4 else IPv6Address
    return ProxyHeaderIn(length, Conveyed(address_text(kind(source)), address_text(kind(destination)), *ports))
