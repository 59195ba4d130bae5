"""What is known of a client's TLS session: for the auth server, the PROXY header, and the verdict on certificates."""

from __future__ import annotations

from dataclasses import dataclass

from refproxy.config.settings import VerifyClient

__all__ = ["CertificateRefusal", "ClientCertificate", "TlsFacts", "refuse_certificate"]

VERIFIED = 0  # X509_V_OK
WITHOUT_CA = frozenset({18, 19, 20, 21, 27})
"""OpenSSL's results that only say that the issuer is not known (TLS-45)."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate that a client showed, in the forms of AUTH-27. `common_name` is its subject's last CN."""

    subject: bytes
    issuer: bytes
    serial: bytes
    fingerprint: bytes
    pem: bytes
    common_name: bytes | None


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """A TLS session after its handshake.

    `version` and `cipher` have OpenSSL's names. `server_name` is the SNI that the client sent, `alpn` the protocol that
    was agreed on.
    `verify_code` and `verify_text` are OpenSSL's result for the client's certificate; the code is None when no
    certificate was asked for (`ssl_verify_client off`). `signature_algorithm` and `key_algorithm` describe the
    server's own certificate, as in `SHA256` and `RSA2048`. `resumed` sessions have the certificate of the first one.
    """

    version: str
    cipher: str
    server_name: bytes | None = None
    alpn: bytes | None = None
    verify_code: int | None = None
    verify_text: str = ""
    certificate: ClientCertificate | None = None
    signature_algorithm: str = ""
    key_algorithm: str = ""
    resumed: bool = False

    @property
    def verified(self) -> bool:
        """Whether the client showed a certificate that passed."""
        return self.certificate is not None and self.verify_code == VERIFIED


@dataclass(frozen=True, slots=True)
class CertificateRefusal:
    """Why a client may not go on: for its own eyes, and for the log (TLS-43, TLS-46)."""

    reply: bytes
    log: str


def refuse_certificate(facts: TlsFacts, mode: VerifyClient) -> CertificateRefusal | None:
    """Judge the certificate that a client showed or did not show (TLS-44); None lets the client go on."""
    if mode is VerifyClient.OFF or facts.verified:
        return None
    if facts.certificate is None:
        if mode is not VerifyClient.ON:
            return None
        return CertificateRefusal(b"No required SSL certificate", "client sent no required SSL certificate")
    if mode is VerifyClient.OPTIONAL_NO_CA and facts.verify_code in WITHOUT_CA:
        return None
    log = f"client SSL certificate verify error: ({facts.verify_code}:{facts.verify_text})"
    return CertificateRefusal(b"SSL certificate error", log)
