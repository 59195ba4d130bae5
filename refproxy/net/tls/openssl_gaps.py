"""What OpenSSL can do, this proxy needs, and pyOpenSSL has no method for; through the bindings that both are made of.

Keep this short: a call belongs here only as long as pyOpenSSL lacks it.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL
from OpenSSL._util import exception_from_error_queue

__all__ = ["clear_errors", "set_groups", "set_signature_algorithms", "short_name", "verify_error_text", "was_resumed"]

_binding = Binding()


def clear_errors() -> None:
    """Forget the errors that earlier calls left in this thread's queue.

    A signature that does not fit leaves one even though the handshake goes on (TLS-42). Before OpenSSL 4 it is taken
    for a failure of the next operation, on whatever connection.
    """
    _binding.lib.ERR_clear_error()


@lru_cache(maxsize=256)
def short_name(oid: str) -> str | None:
    """OpenSSL's short name for the type of an attribute, such as `CN` for `2.5.4.3`; None if it knows none."""
    number = _binding.lib.OBJ_txt2nid(oid.encode("ascii"))
    if number == 0:
        return None
    name: bytes = _binding.ffi.string(_binding.lib.OBJ_nid2sn(number))
    return name.decode("ascii")


def verify_error_text(code: int) -> str:
    """OpenSSL's text for the result of verifying a certificate, such as `certificate has expired`."""
    text: bytes = _binding.ffi.string(_binding.lib.X509_verify_cert_error_string(code))
    return text.decode("ascii")


def set_groups(context: SSL.Context, groups: bytes) -> None:
    """Choose the groups of the key exchange, with colons between them. Raises SSL.Error."""
    _check(_binding.lib.SSL_CTX_set1_curves_list(context._context, groups))


def set_signature_algorithms(context: SSL.Context, algorithms: bytes) -> None:
    """Choose the signature algorithms, with colons between them. Raises SSL.Error."""
    _check(_binding.lib.SSL_CTX_set1_sigalgs_list(context._context, algorithms))


def was_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake took up an earlier session."""
    return bool(_binding.lib.SSL_session_reused(connection._ssl))


def _check(result: int) -> None:
    if result != 1:
        exception_from_error_queue(SSL.Error)
