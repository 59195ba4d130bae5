"""Certificates of all kinds for tests, made at run time."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from refproxy.config.settings import TlsSettings

__all__ = ["Pki", "make_pki"]

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Pki:
    """An authority, its certificates in files (chain and key in one), and what clients need."""

    directory: Path
    authority: trustme.CA = field(default_factory=trustme.CA)
    stranger: trustme.CA = field(default_factory=trustme.CA)
    """An authority that nobody knows."""

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
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server_context(self, leaf: trustme.LeafCert) -> ssl.SSLContext:
        """A backend with a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        leaf.configure_cert(context)
        return context

    def expired(self, name: str) -> trustme.LeafCert:
        """A certificate whose time is over."""
        return self.authority.issue_cert(name, not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1))


def make_pki(directory: Path) -> Pki:
    """Make an authority and the server's certificate, for `mx.example`."""
    pki = Pki(directory)
    pki.authority.cert_pem.write_to_path(pki.ca)
    pki.file(pki.authority.issue_cert("mx.example"), "server")
    return pki
