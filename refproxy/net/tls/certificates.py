"""X.509 certificates as the auth server, the PROXY header and the choice by name want them."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from refproxy.net.tls.distinguished_names import format_name, parse_subjects
from refproxy.wire.tls_facts import ClientCertificate

__all__ = ["UNREADABLE", "describe", "dns_names", "key_algorithm", "matches", "signature_algorithm"]

UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for certificates that OpenSSL may well accept."""


def describe(certificate: bytes) -> ClientCertificate:
    """A client's certificate, given as DER, in the forms of AUTH-27. Raises ValueError if it cannot be read."""
    subjects = parse_subjects(certificate)
    serial = f"{abs(subjects.serial):X}"
    sign = "-" if subjects.serial < 0 else ""
    return ClientCertificate(
        subject=format_name(subjects.subject),
        issuer=format_name(subjects.issuer),
        serial=(sign + serial.rjust(len(serial) + len(serial) % 2, "0")).encode("ascii"),
        fingerprint=hashlib.sha1(certificate).hexdigest().encode("ascii"),  # noqa: S324  # what AUTH-27 names
        pem=ssl.DER_cert_to_PEM_cert(certificate).encode("ascii"),
        common_name=subjects.common_name,
    )


# -- keys and signatures, for the PROXY header (PROXY-23) ----------------------------------------------------------


def signature_algorithm(certificate: x509.Certificate) -> str:
    """How a certificate is signed, such as `SHA256`; empty for signatures without a hash of their own."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UNREADABLE:
        return ""
    return algorithm.name.upper() if algorithm else ""


def key_algorithm(certificate: x509.Certificate) -> str:
    """The kind and size of a certificate's key, such as `RSA2048` or `EC256`; empty for what has no size."""
    try:
        key = certificate.public_key()
    except UNREADABLE:
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
    """The DNS names a certificate is for, in lower case; without any, the common name of its subject.

    Raises one of UNREADABLE.
    """
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
