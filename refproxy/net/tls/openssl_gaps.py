"""What OpenSSL can do, this proxy needs, and pyOpenSSL has no method for; through the bindings that both are made of.

Keep this short: a call belongs here only as long as pyOpenSSL lacks it.
"""

from __future__ import annotations

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

__all__ = ["set_groups", "set_signature_algorithms", "verify_error_text", "was_resumed"]

_binding = Binding()


def verify_error_text(code: int) -> str:
    """OpenSSL's text for the result of verifying a certificate, such as `certificate has expired`."""
    text: bytes = _binding.ffi.string(_binding.lib.X509_verify_cert_error_string(code))
    return text.decode("ascii")


def set_groups(context: SSL.Context, groups: bytes) -> None:
    """Choose the groups of the key exchange, with colons between them. Raises ValueError for what OpenSSL refuses."""
    _check(_binding.lib.SSL_CTX_set1_curves_list(context._context, groups))


def set_signature_algorithms(context: SSL.Context, algorithms: bytes) -> None:
    """Choose the signature algorithms, with colons between them. Raises ValueError for what OpenSSL refuses."""
    _check(_binding.lib.SSL_CTX_set1_sigalgs_list(context._context, algorithms))


def was_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake took up an earlier session."""
    return bool(_binding.lib.SSL_session_reused(connection._ssl))


def _check(result: int) -> None:
    if result != 1:
        _binding.lib.ERR_clear_error()
        raise ValueError("refused by OpenSSL")
