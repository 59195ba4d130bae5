"""The names and the serial number in a client's certificate, out of its DER, in OpenSSL's words (AUTH-27).

cryptography refuses names that OpenSSL reads, such as those with Latin-1 in a T61String, and has RFC 4514's text for
the others, which keeps what is not ASCII. OpenSSL's own function for the text is not among its bindings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from refproxy.net.tls.openssl_gaps import short_name

__all__ = ["Attribute", "Name", "Subjects", "format_name", "parse_name", "parse_subjects"]

COMMON_NAME = "2.5.4.3"
OID, UTF8_STRING, VERSION = 0x06, 0x0C, 0xA0
ENCODINGS = {
    UTF8_STRING: "utf-8",
    **dict.fromkeys((18, 19, 20, 22, 23, 24, 26), "latin-1"),  # Numeric, Printable, T61, IA5, two times, Visible
    28: "utf-32-be",  # UniversalString
    30: "utf-16-be",  # BMPString
}
"""How OpenSSL reads the kinds of strings; a value of another kind is shown as hexadecimal DER."""

SPECIAL = frozenset(b',+"\\<>;')


@dataclass(frozen=True, slots=True)
class Attribute:
    """One part of a name: its type, the kind of its value, the value's octets, and the DER of the whole value."""

    oid: str
    kind: int
    content: bytes
    der: bytes

    @property
    def text(self) -> bytes | None:
        """The value in UTF-8, or None if it is no text."""
        encoding = ENCODINGS.get(self.kind)
        if encoding is None:
            return None
        if encoding == "utf-8":
            return self.content
        return self.content.decode(encoding, "replace").encode("utf-8", "replace")


Name = tuple[tuple[Attribute, ...], ...]
"""The relative names in the order of the certificate, most general first."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """Who a certificate is about, who says so, and under which number."""

    subject: Name
    issuer: Name
    serial: int

    @property
    def common_name(self) -> bytes | None:
        """The subject's last common name."""
        texts = [attribute.text for part in self.subject for attribute in part if attribute.oid == COMMON_NAME]
        return texts[-1] if texts else None


def parse_subjects(certificate: bytes) -> Subjects:
    """Read the DER of a certificate. Raises ValueError when it is not DER."""
    ((_, whole, _),) = _elements(certificate)
    (_, signed, _), *_ = _elements(whole)
    fields = [(content, der) for kind, content, der in _elements(signed) if kind != VERSION]
    (serial, _), _, (issuer, _), _, (subject, _), *_ = fields
    return Subjects(parse_name(subject), parse_name(issuer), int.from_bytes(serial, signed=True))


def parse_name(content: bytes) -> Name:
    """Read the content of the DER of a name. Raises ValueError."""
    return tuple(tuple(map(_parse_attribute, _contents(part))) for part in _contents(content))


def format_name(name: Name) -> bytes:
    """A name as OpenSSL's XN_FLAG_RFC2253 writes it: last part first, octets beyond ASCII in hexadecimal."""
    return b",".join(b"+".join(map(_format_attribute, reversed(part))) for part in reversed(name))


# -- attributes ----------------------------------------------------------------------------------------------------


def _parse_attribute(content: bytes) -> Attribute:
    (oid_kind, oid, _), (kind, value, der) = _elements(content)
    if oid_kind != OID:
        raise ValueError("an attribute has no type")
    return Attribute(_dotted(oid), kind, value, der)


def _dotted(oid: bytes) -> str:
    """X.690 section 8.19: base 128, and the first two numbers in one."""
    numbers, number = [], 0
    for octet in oid:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        raise ValueError("an empty object identifier")
    top = min(numbers[0] // 40, 2)
    return ".".join(map(str, (top, numbers[0] - 40 * top, *numbers[1:])))


def _format_attribute(attribute: Attribute) -> bytes:
    name, text = short_name(attribute.oid), attribute.text
    if name is None or text is None:
        text = b"#" + attribute.der.hex().upper().encode("ascii")
        return (name or attribute.oid).encode("ascii") + b"=" + text
    return name.encode("ascii") + b"=" + _escape(text)


def _escape(value: bytes) -> bytes:
    escaped = [b"\\%c" % octet if octet in SPECIAL else _in_hex(octet) for octet in value]
    if value[:1] in (b" ", b"#") and value != b"#":  # alone it is OpenSSL's last octet, not its first
        escaped[0] = b"\\" + value[:1]
    if value[-1:] == b" ":
        escaped[-1] = b"\\ "
    return b"".join(escaped)


def _in_hex(octet: int) -> bytes:
    return b"%c" % octet if 0x20 <= octet < 0x7F else b"\\%02X" % octet


# -- DER (X.690) ---------------------------------------------------------------------------------------------------


def _contents(der: bytes) -> list[bytes]:
    return [content for _, content, _ in _elements(der)]


def _elements(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements that stand one behind another: kind, content, and the whole element. Raises ValueError."""
    while der:
        header, length = 2, int.from_bytes(der[1:2])
        if length & 0x80:
            header += length & 0x7F
            length = int.from_bytes(der[2:header])
        end = header + length
        if len(der) < max(header, end):
            raise ValueError("an element is cut short")
        yield der[0], der[header:end], der[:end]
        der = der[end:]
