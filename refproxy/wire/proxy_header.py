"""The PROXY protocol header that goes to a backend (proxy rules, section 3)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["Endpoints", "address_text", "crc32c", "format_v1", "format_v2"]

SIGNATURE_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21  # version 2 in the high half, the command in the low half
TCP_OVER_IPV4, TCP_OVER_IPV6 = 0x11, 0x21
TLV_CRC32C = 0x03


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Source and destination of the client's connection: texts of IP addresses, and ports."""

    source: str
    destination: str
    source_port: int
    destination_port: int


def format_v1(endpoints: Endpoints | None) -> bytes:
    """Build a version 1 header; None (a client without IP addresses) gives `PROXY UNKNOWN` (PROXY-15 to PROXY-19)."""
    if endpoints is None:
        return b"PROXY UNKNOWN\r\n"
    source, destination = _one_family(endpoints)
    family = "TCP4" if source.version == 4 else "TCP6"
    ports = f"{endpoints.source_port} {endpoints.destination_port}"
    return f"PROXY {family} {address_text(source)} {address_text(destination)} {ports}\r\n".encode("ascii")


def format_v2(endpoints: Endpoints | None) -> bytes:
    """Build a version 2 header with a CRC32C TLV; None gives LOCAL without addresses (PROXY-21 to PROXY-23)."""
    if endpoints is None:
        command, family, addresses = LOCAL, 0, b""
    else:
        source, destination = _unmapped(*_one_family(endpoints))
        command = PROXY
        family = TCP_OVER_IPV4 if source.version == 4 else TCP_OVER_IPV6
        ports = struct.pack("!HH", endpoints.source_port, endpoints.destination_port)
        addresses = source.packed + destination.packed + ports
    checksum_place = struct.pack("!BHI", TLV_CRC32C, 4, 0)
    length = len(addresses) + len(checksum_place)
    header = SIGNATURE_V2 + struct.pack("!BBH", command, family, length) + addresses + checksum_place
    return header[:-4] + struct.pack("!I", crc32c(header))


def _one_family(endpoints: Endpoints) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
    """Both addresses; when their families differ, the IPv4 one becomes `::ffff:a.b.c.d` (PROXY-22)."""
    source, destination = ip_address(endpoints.source), ip_address(endpoints.destination)
    if source.version != destination.version:
        return _mapped(source), _mapped(destination)
    return source, destination


def _unmapped(
    source: IPv4Address | IPv6Address, destination: IPv4Address | IPv6Address
) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
    """Two mapped addresses as the IPv4 addresses they are (PROXY-22); all others unchanged."""
    mapped = [address.ipv4_mapped for address in (source, destination) if isinstance(address, IPv6Address)]
    match mapped:
        case [IPv4Address() as real_source, IPv4Address() as real_destination]:
            return real_source, real_destination
        case _:
            return source, destination


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address


def address_text(address: IPv4Address | IPv6Address) -> str:
    """Give the C library's text, which writes mapped addresses with a dotted tail (PROXY-19, PROXY-36)."""
    return socket.inet_ntop(socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed)


def _crc32c_table() -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli, reflected
        return value

    return tuple(entry(octet) for octet in range(256))


_CRC32C = _crc32c_table()


def crc32c(octets: bytes) -> int:
    """The Castagnoli checksum (RFC 3720 appendix B.4)."""
    value = 0xFFFFFFFF
    for octet in octets:
        value = (value >> 8) ^ _CRC32C[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
