"""The certificates of the tests with real peers, in files that every configuration finds under `tls/`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from tests.pki import Pki

__all__ = ["BACKEND", "MX", "SECOND", "Certificates", "make_certificates"]

MX = "mx.example.test"
"""Whom the proxy's certificate, `mx.pem`, is for."""

SECOND = "second.example.test"
"""Whom the proxy's other certificate, `second.pem`, is for."""

BACKEND = "backend.example.test"
"""Whom the certificate of all backends, `backend.pem`, is for."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority and what it issued: `mx`, `second`, `backend`, `client`, `expired`; and what a stranger issued.

    A file holds a certificate and its key. `ca.pem` and `unknown_ca.pem` are the authorities.
    """

    pki: Pki

    def file(self, name: str) -> str:
        """The path of a certificate and key."""
        return str(self.pki.directory / f"{name}.pem")

    def context(
        self,
        shown: str | None = None,
        *,
        alpn: tuple[str, ...] = (),
        version: ssl.TLSVersion | None = None,
    ) -> ssl.SSLContext:
        """A client that trusts the authority only, shows a certificate if told which, and speaks one version of TLS."""
        context = ssl.create_default_context(cafile=self.pki.ca)
        if shown is not None:
            context.load_cert_chain(self.file(shown))
        if alpn:
            context.set_alpn_protocols(alpn)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


def make_certificates(pki: Pki) -> Certificates:
    """Issue everything and write the files."""
    pki.stranger.cert_pem.write_to_path(str(pki.directory / "unknown_ca.pem"))
    authority = pki.authority
    for name, leaf in {
        # Some clients know the proxy by its address only.
        "mx": authority.issue_cert(MX, "127.0.0.1"),
        "second": authority.issue_cert(SECOND, "127.0.0.1"),
        "backend": authority.issue_cert(BACKEND, "127.0.0.1"),
        # A subject that RFC 2253 must escape.
        "client": authority.issue_cert(
            "alice@example.test", common_name="Alice", organization_name="Käse, Brot + Söhne"
        ),
        "expired": pki.expired("alice@example.test"),
        "unknown": pki.stranger.issue_cert("mallory@example.test", common_name="Mallory"),
    }.items():
        pki.file(leaf, name)
    return Certificates(pki)
