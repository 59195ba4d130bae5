"""What is known of a client's TLS session, for the auth server (AUTH-29 to AUTH-33) and the PROXY header (PROXY-23)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClientCertificate", "TlsFacts"]

VERIFIED = 0  # X509_V_OK


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
    server's own certificate, as in `SHA256` and `RSA2048`.
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

    @property
    def verified(self) -> bool:
        """Whether the client showed a certificate that passed."""
        return self.certificate is not None and self.verify_code == VERIFIED
