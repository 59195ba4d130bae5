"""PROXY protocol headers as a case makes and reads them: version 1, version 2, TLVs, CRC32C."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from conformance.verdict import Mismatch

__all__ = ["SIGNATURE", "Header", "crc32c", "parse_v2", "raw_v2", "tlv", "v1", "v2", "v2_length"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
START = 16  # octets before the addresses of version 2
CRC_TYPE = 3
CASTAGNOLI = 0x82F63B78  # reversed, as RFC 3720 uses it


def v1(source: str, destination: str, source_port: int = 4444, destination_port: int = 25, family: str = "") -> bytes:
    """A version 1 header; the family is that of the source unless given."""
    family = family or ("TCP6" if ":" in source else "TCP4")
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def v2(
    source: str,
    destination: str,
    source_port: int = 4444,
    destination_port: int = 25,
    *,
    command: int = 0x21,
    family: int | None = None,
    more: bytes = b"",
) -> bytes:
    """A version 2 header with addresses; `more` follows them."""
    addresses = ip_address(source).packed + ip_address(destination).packed
    body = addresses + struct.pack("!HH", source_port, destination_port) + more
    return raw_v2(command, family or (0x21 if ":" in source else 0x11), body)


def raw_v2(command: int, family: int, body: bytes, *, length: int | None = None) -> bytes:
    """A version 2 header of any octets; `length` is the announced one, if it is to be wrong."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def tlv(kind: int, value: bytes) -> bytes:
    """One TLV."""
    return struct.pack("!BH", kind, len(value)) + value


def crc32c(octets: bytes) -> int:
    """The checksum of RFC 3720, bit by bit."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Header:
    """What a version 2 header says. `tlvs` are in their order; the addresses of a LOCAL one are empty."""

    command: int
    family: int
    source: str
    destination: str
    source_port: int
    destination_port: int
    tlvs: tuple[tuple[int, bytes], ...]

    def tlv(self, kind: int) -> bytes | None:
        """The value of the first TLV of a kind."""
        return next((value for found, value in self.tlvs if found == kind), None)


def v2_length(start: bytes) -> int:
    """How many octets follow the first 16. Raises Mismatch."""
    if not start.startswith(SIGNATURE):
        raise Mismatch("the signature of a version 2 header", repr(start))
    return int.from_bytes(start[14:16], "big")


def parse_v2(octets: bytes) -> Header:
    """Read a whole header; a CRC32C TLV must be right. Raises Mismatch."""
    if v2_length(octets) != len(octets) - START:
        raise Mismatch(f"a header of {len(octets)} octets", f"one that announces {v2_length(octets)} behind 16")
    command, family = octets[12], octets[13]
    size = {0x11: 4, 0x21: 16}.get(family, 0)
    at = START + size * 2
    source = destination = ""
    ports = (0, 0)
    if size:
        kind = socket.AF_INET if size == 4 else socket.AF_INET6
        source = socket.inet_ntop(kind, octets[START : START + size])
        destination = socket.inet_ntop(kind, octets[START + size : at])
        ports = struct.unpack("!HH", octets[at : at + 4])
        at += 4
    found = []
    while at < len(octets):
        kind, length = struct.unpack("!BH", octets[at : at + 3])
        if at + 3 + length > len(octets):
            raise Mismatch(f"{length} octets of TLV {kind:#x}", f"{len(octets) - at - 3}")
        if kind == CRC_TYPE:
            _check(octets, at + 3)
        found.append((kind, octets[at + 3 : at + 3 + length]))
        at += 3 + length
    return Header(command, family, source, destination, *ports, tuple(found))


def _check(octets: bytes, at: int) -> None:
    wanted = crc32c(octets[:at] + bytes(4) + octets[at + 4 :])
    found = int.from_bytes(octets[at : at + 4], "big")
    if found != wanted:
        raise Mismatch(f"the checksum {wanted:08x}", f"{found:08x}")
