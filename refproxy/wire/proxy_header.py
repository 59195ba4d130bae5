"""The PROXY protocol header that goes to a backend (proxy rules, section 3)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from refproxy.wire.tls_facts import TlsFacts

__all__ = ["UNIQUE_ID_LIMIT", "V2_LIMIT", "Endpoints", "address_text", "crc32c", "format_v1", "format_v2"]

SIGNATURE_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21  # version 2 in the high half, the command in the low half
TCP_OVER_IPV4, TCP_OVER_IPV6 = 0x11, 0x21
V2_START = 16  # octets before the addresses
TLV_START = 3  # octets before a value
TLV_ALPN, TLV_AUTHORITY, TLV_CRC32C, TLV_UNIQUE_ID, TLV_SSL = 0x01, 0x02, 0x03, 0x05, 0x20
SSL_VERSION, SSL_COMMON_NAME, SSL_CIPHER, SSL_SIGNATURE, SSL_KEY = 0x21, 0x22, 0x23, 0x24, 0x25
SSL_IN_USE, SSL_CERTIFICATE_NOW, SSL_CERTIFICATE_IN_SESSION = 0x01, 0x02, 0x04
NOT_VERIFIED = 1

V2_LIMIT = 536
"""Octets of a whole header (PROXY-100): Postfix takes no more, and the names in it are chosen by clients."""

UNIQUE_ID_LIMIT = 128  # PROXY protocol, section 2.2.5


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


def format_v2(endpoints: Endpoints | None, tls: TlsFacts | None = None, unique_id: bytes | None = None) -> bytes:
    """Build a version 2 header; None for endpoints gives LOCAL without addresses (PROXY-21 to PROXY-23).

    `tls` is what is known of the client's TLS session, if it has one. `unique_id` has at most UNIQUE_ID_LIMIT octets.
    """
    if endpoints is None:
        command, family, addresses = LOCAL, 0, b""
    else:
        source, destination = _unmapped(*_one_family(endpoints))
        command = PROXY
        family = TCP_OVER_IPV4 if source.version == 4 else TCP_OVER_IPV6
        ports = struct.pack("!HH", endpoints.source_port, endpoints.destination_port)
        addresses = source.packed + destination.packed + ports
    last = _tlv(TLV_CRC32C, bytes(4))
    if unique_id is not None:
        assert len(unique_id) <= UNIQUE_ID_LIMIT
        last = _tlv(TLV_UNIQUE_ID, unique_id) + last
    room = V2_LIMIT - V2_START - len(addresses) - len(last)
    block = addresses + (b"" if tls is None else _tls_tlvs(tls, room)) + last
    header = SIGNATURE_V2 + struct.pack("!BBH", command, family, len(block)) + block
    return header[:-4] + struct.pack("!I", crc32c(header))


def _tls_tlvs(tls: TlsFacts, room: int) -> bytes:
    """What a header tells of the client's TLS session, in at most `room` octets (PROXY-23, PROXY-100)."""
    flags, verify_result, common_name = SSL_IN_USE, NOT_VERIFIED, None
    if tls.certificate is not None:
        flags |= SSL_CERTIFICATE_IN_SESSION | (0 if tls.resumed else SSL_CERTIFICATE_NOW)
        verify_result = 0 if tls.verified else tls.verify_code or NOT_VERIFIED
        common_name = tls.certificate.common_name
    known = {
        TLV_AUTHORITY: tls.server_name,
        TLV_ALPN: tls.alpn,
        SSL_VERSION: tls.version.encode(),
        SSL_COMMON_NAME: common_name,
        SSL_CIPHER: tls.cipher.encode(),
        SSL_SIGNATURE: tls.signature_algorithm.encode(),
        SSL_KEY: tls.key_algorithm.encode(),
    }
    state = struct.pack("!BI", flags, verify_result)
    values = _fitting({kind: value for kind, value in known.items() if value}, room - TLV_START - len(state))
    about_names = b"".join([_tlv(kind, value) for kind, value in values.items() if kind < TLV_SSL])
    about_tls = b"".join([_tlv(kind, value) for kind, value in values.items() if kind > TLV_SSL])
    return about_names + _tlv(TLV_SSL, state + about_tls)


def _fitting(values: dict[int, bytes], room: int) -> dict[int, bytes]:
    """The values without the longest ones, until their TLVs fit. None is cut: a part of a name is another name."""
    values = dict(values)
    while sum(TLV_START + len(value) for value in values.values()) > room:
        del values[max(values, key=lambda kind: len(values[kind]))]
    return values


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


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
