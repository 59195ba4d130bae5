"""Certificates of all kinds for tests, made at run time."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from refproxy.config.settings import TlsSettings, VerifyClient

__all__ = ["Pki", "make_pki"]

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Pki:
    """An authority, its certificates in files (chain and key in one), and what clients need."""

    directory: Path
    authority: trustme.CA = field(default_factory=trustme.CA)
    stranger: trustme.CA = field(default_factory=trustme.CA)
    """An authority that nobody knows."""

    verify = VerifyClient

    @property
    def ca(self) -> str:
        """The file with the certificate of the authority."""
        return str(self.directory / "ca.pem")

    def file(self, leaf: trustme.LeafCert, name: str) -> str:
        """Write a certificate, its chain and its key into one file."""
        path = self.directory / f"{name}.pem"
        leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    def tls(self, *files: str, **changes: object) -> TlsSettings:
        """Settings of a server with these certificates, by default the one for `mx.example`."""
        chosen = files or (str(self.directory / "server.pem"),)
        return TlsSettings(certificates=chosen, certificate_keys=chosen, **changes)  # type: ignore[arg-type]

    def client_context(
        self, certificate: trustme.LeafCert | None = None, *, alpn: tuple[str, ...] = ()
    ) -> ssl.SSLContext:
        """A client that trusts the authority and shows a certificate if it has one."""
        context = ssl.create_default_context(cafile=self.ca)  # and not, which takes time, the system's authorities
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python 3.11.2 sets: it hides a missing close_notify
        if certificate is not None:
            certificate.configure_cert(context)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server_context(self, leaf: trustme.LeafCert) -> ssl.SSLContext:
        """A backend with a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python 3.11.2 sets: it hides a missing close_notify
        leaf.configure_cert(context)
        return context

    def expired(self, name: str) -> trustme.LeafCert:
        """A certificate whose time is over."""
        return self.authority.issue_cert(name, not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1))

    @cached_property
    def rsa(self) -> str:
        """A file with a certificate for `mx.example` that has an RSA key; one is enough, for they take time."""
        return self.file(self.authority.issue_cert("mx.example", key_type=trustme.KeyType.RSA), "rsa")

    @cached_property
    def forged(self) -> str:
        """A file with a certificate that names the authority as its issuer, but was signed by somebody else."""
        stranger = ec.generate_private_key(ec.SECP256R1())
        return self.write("forged", builder("forged", self.certificate.subject), stranger)

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's."""
        return x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())

    @property
    def key(self) -> CertificateIssuerPrivateKeyTypes:
        """The authority's."""
        key = serialization.load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def write(
        self, name: str, certificate: x509.CertificateBuilder, signer: CertificateIssuerPrivateKeyTypes | None = None
    ) -> str:
        """Sign a certificate, by default by itself, and write it and its key into one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = certificate.public_key(key.public_key()).sign(signer or key, hashes.SHA256())
        path = self.directory / f"{name}.pem"
        no_phrase = serialization.NoEncryption()
        pkcs8 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_phrase)
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pkcs8)
        return str(path)

    def crl(self, name: str, *revoked: trustme.LeafCert, by: trustme.CA | None = None) -> str:
        """Write a list of what an authority has revoked."""
        authority = by or self.authority
        issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
        key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateRevocationListBuilder(issuer.subject, now, now + datetime.timedelta(days=30))
        for leaf in revoked:
            number = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
            entry = x509.RevokedCertificateBuilder(number, now).build()
            made = made.add_revoked_certificate(entry)
        path = self.directory / f"{name}.crl"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(path)


def builder(name: str, issuer: x509.Name | None = None) -> x509.CertificateBuilder:
    """A certificate to be signed."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
    )


def make_pki(directory: Path) -> Pki:
    """Make an authority and the server's certificate, for `mx.example`."""
    pki = Pki(directory)
    pki.authority.cert_pem.write_to_path(pki.ca)
    pki.file(pki.authority.issue_cert("mx.example"), "server")
    return pki
