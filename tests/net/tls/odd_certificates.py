"""Certificates that no library would make, out of DER written by hand."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BIT",
    "BMP",
    "CN",
    "DC",
    "DESCRIPTION",
    "EMAIL",
    "IA5",
    "JURISDICTION",
    "NUMERIC",
    "ORG",
    "PRINTABLE",
    "SURNAME",
    "T61",
    "UID",
    "UNIQUE",
    "UNIVERSAL",
    "UNKNOWN",
    "UTF8",
    "C",
    "Certificates",
    "der",
    "name",
    "object_identifier",
]

# Kinds of strings (X.680 section 8.4).
BIT, UTF8, NUMERIC, PRINTABLE, T61, IA5, UNIVERSAL, BMP = 3, 12, 18, 19, 20, 22, 28, 30
CN, ORG, C, SURNAME, UNIQUE, DESCRIPTION = "2.5.4.3", "2.5.4.10", "2.5.4.6", "2.5.4.4", "2.5.4.45", "2.5.4.13"
EMAIL, UID, DC = "1.2.840.113549.1.9.1", "0.9.2342.19200300.100.1.1", "0.9.2342.19200300.100.1.25"
JURISDICTION, UNKNOWN = "1.3.6.1.4.1.311.60.2.1.3", "1.3.6.1.4.1.99999.1.200.70000"


def der(kind: int, *contents: bytes) -> bytes:
    """One DER element."""
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes([kind, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([kind, 0x80 | len(length)]) + length + content


def object_identifier(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = b""
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        octets += bytes(reversed(groups))
    return der(6, octets)


def attribute(oid: str, kind: int, value: bytes) -> bytes:
    return der(0x30, object_identifier(oid), der(kind, value))


def name(*parts: tuple[tuple[str, int, bytes], ...]) -> bytes:
    """A name out of relative names, each of one or more attributes."""
    return der(0x30, *(der(0x31, *(attribute(*one) for one in part)) for part in parts))


@dataclass
class Certificates:
    """Makes certificates with any names, whose signature is nonsense, and has `openssl` look at them."""

    directory: Path
    public_key: bytes

    def make(self, subject: bytes, issuer: bytes, serial: bytes = b"\x01", version: bytes = b"\x02") -> bytes:
        algorithm = der(0x30, object_identifier("1.2.840.10045.4.3.2"))
        times = der(0x30, der(23, b"250101000000Z"), der(23, b"490101000000Z"))
        signed = der(
            0x30, der(0xA0, der(2, version)), der(2, serial), algorithm, issuer, times, subject, self.public_key
        )
        return der(0x30, signed, algorithm, der(3, b"\0" + der(0x30, der(2, b"\x01"), der(2, b"\x01"))))

    def ask_openssl(self, certificate: bytes) -> dict[str, bytes]:
        """What `openssl x509` says of a certificate."""
        file = self.directory / "certificate.der"
        file.write_bytes(certificate)
        command = ["openssl", "x509", "-inform", "DER", "-in", str(file), "-noout", "-nameopt", "RFC2253"]
        found = subprocess.run(
            [*command, "-subject", "-issuer", "-serial", "-fingerprint", "-sha1"], capture_output=True, check=True
        )
        lines = [line.partition(b"=") for line in found.stdout.splitlines()]
        return {key.decode("ascii").lower(): value for key, _, value in lines}
