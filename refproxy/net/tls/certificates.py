"""X.509 certificates as the auth server, the PROXY header and the choice by name want them."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from refproxy.wire.tls_facts import ClientCertificate

__all__ = ["describe", "dns_names", "format_name", "key_algorithm", "matches", "signature_algorithm"]

SHORT_NAMES = {
    NameOID.COMMON_NAME: "CN",
    NameOID.SURNAME: "SN",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.STREET_ADDRESS: "street",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.TITLE: "title",
    NameOID.BUSINESS_CATEGORY: "businessCategory",
    NameOID.POSTAL_ADDRESS: "postalAddress",
    NameOID.POSTAL_CODE: "postalCode",
    NameOID.GIVEN_NAME: "GN",
    NameOID.INITIALS: "initials",
    NameOID.GENERATION_QUALIFIER: "generationQualifier",
    NameOID.X500_UNIQUE_IDENTIFIER: "x500UniqueIdentifier",
    NameOID.DN_QUALIFIER: "dnQualifier",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.USER_ID: "UID",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.JURISDICTION_COUNTRY_NAME: "jurisdictionC",
    NameOID.JURISDICTION_LOCALITY_NAME: "jurisdictionL",
    NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME: "jurisdictionST",
    NameOID.UNSTRUCTURED_NAME: "unstructuredName",
}
"""OpenSSL's short names. An attribute of another type is written with its number, and its value in hexadecimal."""

SPECIAL = frozenset(b',+"\\<>;')


def describe(certificate: x509.Certificate) -> ClientCertificate:
    """A client's certificate in the forms of AUTH-27. Raises ValueError for one whose content cannot be read."""
    serial = f"{certificate.serial_number:X}"
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return ClientCertificate(
        subject=format_name(certificate.subject),
        issuer=format_name(certificate.issuer),
        serial=serial.rjust(len(serial) + len(serial) % 2, "0").encode("ascii"),
        fingerprint=certificate.fingerprint(hashes.SHA1()).hex().encode("ascii"),  # noqa: S303  # what AUTH-27 names
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        common_name=_octets(common_names[-1].value) if common_names else None,
    )


# -- names ---------------------------------------------------------------------------------------------------------


def format_name(name: x509.Name) -> bytes:
    """A distinguished name as OpenSSL's XN_FLAG_RFC2253 writes it: last part first, octets beyond ASCII as hexadecimal.

    cryptography's own text is RFC 4514's, which keeps what is not ASCII and has other short names.
    """
    parts = (b"+".join(map(_format_attribute, reversed(list(rdn)))) for rdn in reversed(name.rdns))
    return b",".join(parts)


def _format_attribute(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    short = SHORT_NAMES.get(attribute.oid)
    if short is None:
        return f"{attribute.oid.dotted_string}=#{_value_der(attribute).hex().upper()}".encode("ascii")
    return short.encode("ascii") + b"=" + _escape(_octets(attribute.value))


def _octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _escape(value: bytes) -> bytes:
    escaped = [b"\\%c" % octet if octet in SPECIAL else _in_hex(octet) for octet in value]
    if value[:1] in (b" ", b"#"):
        escaped[0] = b"\\" + value[:1]
    if value[-1:] == b" ":
        escaped[-1] = b"\\ "
    return b"".join(escaped)


def _in_hex(octet: int) -> bytes:
    return b"%c" % octet if 0x20 <= octet < 0x7F else b"\\%02X" % octet


def _value_der(attribute: x509.NameAttribute[str | bytes]) -> bytes:
    """The DER of an attribute's value: what is left of SEQUENCE { SET { SEQUENCE { type, value } } }."""
    der = x509.Name([attribute]).public_bytes()
    for _ in range(3):
        der, _ = _first_element(der)
    _, value = _first_element(der)
    return value


def _first_element(der: bytes) -> tuple[bytes, bytes]:
    """The content of the first DER element, and what stands behind the element."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    return der[start : start + length], der[start + length :]


# -- keys and signatures, for the PROXY header (PROXY-23) ----------------------------------------------------------


def signature_algorithm(certificate: x509.Certificate) -> str:
    """How a certificate is signed, such as `SHA256`; empty for signatures without a hash of their own."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except ValueError:  # cryptography does not know it
        return ""
    return algorithm.name.upper() if algorithm else ""


def key_algorithm(certificate: x509.Certificate) -> str:
    """The kind and size of a certificate's key, such as `RSA2048` or `EC256`; empty for what has no size."""
    try:
        key = certificate.public_key()
    except ValueError:
        return ""
    match key:
        case rsa.RSAPublicKey():
            return f"RSA{key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC{key.key_size}"
        case dsa.DSAPublicKey():
            return f"DSA{key.key_size}"
        case _:
            return ""


# -- the host names of a server's certificate (TLS-30) -------------------------------------------------------------


def dns_names(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names a certificate is for, in lower case; without any, the common name of its subject."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names: Iterable[str] = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return frozenset(name.lower() for name in names)


def matches(names: frozenset[str], wanted: str) -> bool:
    """Whether a host name is among a certificate's names; `*` is one whole first label (RFC 9525 section 6.3)."""
    wanted = wanted.lower().removesuffix(".")
    _, dot, parent = wanted.partition(".")
    return wanted in names or (bool(dot) and f"*.{parent}" in names)
