"""Certificates and keys from the files that a configuration names, and their faults in OpenSSL's and Angie's words."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from OpenSSL import SSL

from refproxy.errors import TlsFault
from refproxy.net.tls import certificates
from refproxy.net.tls.stream import openssl_reason

__all__ = ["Identity", "Place", "blaming", "load_identity", "read_pem", "use_identity"]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True, slots=True)
class Place:
    """What to blame: a directive, and which of its statements in a block."""

    directive: str
    index: int = -1


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its chain and key, and the DNS names it is for."""

    source: str
    chain: bytes
    names: frozenset[str]
    key: PrivateKey


def load_identity(certificate: str, key: str, passwords: Sequence[bytes], blame: Place, blame_key: Place) -> Identity:
    """Read a certificate and its key, from files or `data:` (TLS-4, TLS-5). Raises TlsFault."""
    failed = f'cannot load certificate "{_shown(certificate)}": '
    pem = read_pem(certificate, blame, failed + "BIO_new_file()")
    try:
        chain = x509.load_pem_x509_certificates(pem)
        names, public = certificates.dns_names(chain[0]), chain[0].public_key()
    except certificates.UNREADABLE as error:
        reason = f"PEM_read_bio_X509_AUX() failed (SSL: error:PEM routines::{_reason(error, pem)})"
        raise TlsFault(blame.directive, failed + reason, blame.index) from error
    private = _load_key(key, passwords, blame_key)
    if private.public_key() != public:
        reason = "(SSL: error:x509 certificate routines::key values mismatch)"
        text = f'SSL_CTX_use_PrivateKey("{_shown(key)}") failed {reason}'
        raise TlsFault(blame_key.directive, text, blame_key.index)
    # Without what else is in the file, for that may be the key.
    return Identity(
        certificate, b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain), names, private
    )


def _load_key(source: str, passwords: Sequence[bytes], blame: Place) -> PrivateKey:
    """Read a private key, trying the pass phrases in their order if it is encrypted (TLS-13)."""
    failed = f'cannot load certificate key "{_shown(source)}": '
    if source.startswith("engine:"):
        raise TlsFault(blame.directive, failed + "the TLS library has no engines", blame.index)
    pem = read_pem(source, blame, failed + "BIO_new_file()")
    reason = ""
    for password in (None, *passwords):
        try:
            key = serialization.load_pem_private_key(pem, password)
        except TypeError:  # encrypted, and this was the try without a pass phrase
            reason = "the key is encrypted, and no ssl_password_file has a pass phrase that fits"
        except certificates.UNREADABLE as error:
            reason = reason or _reason(error, pem)
        else:
            if isinstance(key, PrivateKey):
                return key
            reason = "keys of this kind are not for TLS"
    text = f"{failed}PEM_read_bio_PrivateKey() failed (SSL: error:PEM routines::{reason})"
    raise TlsFault(blame.directive, text, blame.index)


def use_identity(context: SSL.Context, identity: Identity, blame: Place) -> None:
    """Put a certificate, its chain and its key into a context; each kind of key has one place there."""
    with blaming(blame, f'SSL_CTX_use_certificate("{_shown(identity.source)}")'):
        with _as_file(identity.chain) as name:  # the only way to give each certificate a chain of its own
            context.use_certificate_chain_file(name)
        context.use_privatekey(identity.key)
        context.check_privatekey()  # both are in the same place


def read_pem(source: str, blame: Place, call: str) -> bytes:
    """The octets of a file or of a `data:` value. Raises TlsFault, which says that `call` failed."""
    if source.startswith("data:"):
        return os.fsencode(source.removeprefix("data:"))
    try:
        with open(source, "rb") as file:
            return file.read()
    except OSError as error:
        number = error.errno or 0
        reason = f"(SSL: error:8000{number:04X}:system library::{os.strerror(number)})"
        raise TlsFault(blame.directive, f"{call} failed {reason}", blame.index) from error


@contextmanager
def blaming(blame: Place, call: str) -> Iterator[None]:
    """Translate what OpenSSL refuses."""
    try:
        yield
    except SSL.Error as error:
        raise TlsFault(blame.directive, f"{call} failed ({openssl_reason(error)})", blame.index) from error


@contextmanager
def _as_file(octets: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(octets)
        file.flush()
        yield file.name


def _reason(error: Exception, pem: bytes) -> str:
    """OpenSSL's words for a file that is not PEM at all, else those of cryptography."""
    return str(error) if b"-----BEGIN " in pem else "no start line"


def _shown(source: str) -> str:
    """A file's name; of data given in the configuration nothing, for it may be a key."""
    return "data:***" if source.startswith("data:") else source
