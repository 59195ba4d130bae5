"""Every certificate of a run: the target's, those of clients, good and bad, and those of backends."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

__all__ = ["Certificates", "certificate_of", "der_of"]

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)

LONG_NAME = "\N{OCTOPUS}" * 64
"""The common name of the client certificate `long-name`: 64 characters, 256 octets of UTF-8."""

ORNATE_SUBJECT = rb"emailAddress=x@y.example,CN=cli.example\, inc,O=\C3\9Cbung \"GmbH\",C=DE"
"""The subject of the client certificate `ornate`, in the form of RFC 2253."""

PASS_PHRASE = b"open it"
ORNATE_SERIAL = 0x0A1B2C3D4E5F  # its first digit is a zero


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates by what they are good for. Nobody knows the authority `stranger`; `second` is known, without CRL."""

    authority: trustme.CA
    second: trustme.CA
    clients: Mapping[str, trustme.LeafCert]
    servers: Mapping[str, trustme.LeafCert]
    backends: Mapping[str, trustme.LeafCert]

    ornate_subject = ORNATE_SUBJECT

    @staticmethod
    def parsed(leaf: trustme.LeafCert) -> x509.Certificate:
        """A certificate as cryptography reads it."""
        return certificate_of(leaf)

    @staticmethod
    def der(leaf: trustme.LeafCert) -> bytes:
        """A certificate's octets."""
        return der_of(leaf)

    @classmethod
    def make(cls, authority: trustme.CA) -> Certificates:
        """Make them all."""
        second, stranger, child = trustme.CA(), trustme.CA(), authority.create_child_ca()
        grandchild = child.create_child_ca()
        over = LONG_AGO + DAY
        tomorrow = datetime.datetime.now(datetime.UTC) + DAY
        clients = {
            "good": authority.issue_cert("good.example", common_name="good.example"),
            "rsa": authority.issue_cert("rsa.example", common_name="rsa.example", key_type=trustme.KeyType.RSA),
            "expired": authority.issue_cert("expired.example", not_before=LONG_AGO, not_after=over),
            "early": authority.issue_cert("early.example", not_before=tomorrow),
            "revoked": authority.issue_cert("revoked.example"),
            "stranger": stranger.issue_cert("stranger.example"),
            "second": second.issue_cert("second.example"),
            "self-signed": _self_signed(),
            "chained": child.issue_cert("chained.example"),
            "deep": grandchild.issue_cert("deep.example"),
            "ornate": _ornate(authority),
            "long-name": _long_name(authority),
        }
        rsa = trustme.KeyType.RSA
        servers = {
            "certificate": authority.issue_cert("mx.example", "127.0.0.1", "::1"),
            "other_certificate": authority.issue_cert("other.example"),
            "rsa_certificate": authority.issue_cert("mx.example", key_type=rsa),
            "chained_certificate": child.issue_cert("mx.example"),
            "wild_certificate": authority.issue_cert("*.wild.example"),
            "backend_client": authority.issue_cert("proxy.example", common_name="proxy.example"),
        }
        backends = {
            "right": authority.issue_cert("127.0.0.1", "backend.example"),
            "other-name": authority.issue_cert("elsewhere.example"),
            "stranger": stranger.issue_cert("127.0.0.1", "backend.example"),
            "expired": authority.issue_cert("127.0.0.1", "backend.example", not_before=LONG_AGO, not_after=over),
            "named-only": authority.issue_cert("backend.example"),
        }
        return cls(authority, second, clients, servers, backends)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """What the directives of a block may name: authorities, certificates with their keys, a revocation list."""
        yield "ca", self.authority.cert_pem.bytes()
        yield "both_cas", self.authority.cert_pem.bytes() + self.second.cert_pem.bytes()
        yield "second_ca", self.second.cert_pem.bytes()
        yield "crl", _revocations(self.authority, self.clients["revoked"])
        yield "encrypted_key", _encrypted(self.servers["certificate"])
        yield "passwords", b"not this one\n" + PASS_PHRASE + b"\n"
        for name, leaf in self.servers.items():
            yield name, leaf.private_key_and_cert_chain_pem.bytes()


def certificate_of(leaf: trustme.LeafCert) -> x509.Certificate:
    """The certificate itself, as `cryptography` reads it."""
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())


def der_of(leaf: trustme.LeafCert) -> bytes:
    """The octets of the certificate."""
    return certificate_of(leaf).public_bytes(Encoding.DER)


def _self_signed() -> trustme.LeafCert:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "self.example")])
    return _issue(name, name, None, x509.random_serial_number())


def _ornate(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate whose subject holds what has to be escaped."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Übung "GmbH"'),
            x509.NameAttribute(NameOID.COMMON_NAME, "cli.example, inc"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "x@y.example"),
        ]
    )
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    return _issue(name, issuer.subject, authority.private_key_pem.bytes(), ORNATE_SERIAL)


def _long_name(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate whose common name takes more octets than one of ASCII may have."""
    with warnings.catch_warnings(action="ignore"):  # the standard bounds characters, the library counts octets
        common_name = x509.NameAttribute(NameOID.COMMON_NAME, LONG_NAME, _validate=False)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = authority.private_key_pem.bytes()
    return _issue(x509.Name([common_name]), issuer.subject, signer, x509.random_serial_number())


def _issue(name: x509.Name, issuer: x509.Name, signer: bytes | None, serial: int) -> trustme.LeafCert:
    """Issue a certificate, signed by the key in `signer`, or by its own."""
    key = generate_private_key(SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(issuer, name, key.public_key(), serial, now - DAY, now + 30 * DAY)
    made = builder.sign(load_pem_private_key(signer, None) if signer else key, SHA256())  # type: ignore[arg-type]
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return trustme.LeafCert(secret, made.public_bytes(Encoding.PEM), [])


def _encrypted(leaf: trustme.LeafCert) -> bytes:
    """The key of a certificate, to be opened with PASS_PHRASE."""
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASS_PHRASE))


def _revocations(authority: trustme.CA, *leaves: trustme.LeafCert) -> bytes:
    """A list of revoked certificates."""
    now = datetime.datetime.now(datetime.UTC)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    builder = x509.CertificateRevocationListBuilder(issuer.subject, now - DAY, now + 30 * DAY)
    for leaf in leaves:
        revoked = x509.RevokedCertificateBuilder(certificate_of(leaf).serial_number, now - DAY).build()
        builder = builder.add_revoked_certificate(revoked)
    key = load_pem_private_key(authority.private_key_pem.bytes(), None)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]
