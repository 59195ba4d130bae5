"""What contexts towards clients and towards backends have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from OpenSSL import SSL

from refproxy.config.settings import BackendTlsSettings, TlsSettings
from refproxy.errors import TlsFault
from refproxy.net.tls.identities import Place, blaming

__all__ = ["Step", "Verdict", "faults_of", "note_verdict", "run_steps", "set_ciphers", "set_protocols"]

Group = TypeVar("Group", TlsSettings, BackendTlsSettings)

Step = Callable[[SSL.Context, Group], None]
"""Brings one aspect of the settings into a context. Raises TlsFault."""

VERSIONS = {
    "TLSv1": (SSL.TLS1_VERSION, SSL.OP_NO_TLSv1),
    "TLSv1.1": (SSL.TLS1_1_VERSION, SSL.OP_NO_TLSv1_1),
    "TLSv1.2": (SSL.TLS1_2_VERSION, SSL.OP_NO_TLSv1_2),
    "TLSv1.3": (SSL.TLS1_3_VERSION, SSL.OP_NO_TLSv1_3),
}
"""The versions that the library still has, oldest first (TLS-15)."""

ALWAYS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_IGNORE_UNEXPECTED_EOF
"""TLS-35; and a client that ends without close_notify is at its end of file, not broken."""


@dataclass(slots=True)
class Verdict:
    """What OpenSSL found wrong with the client's certificate; the last finding counts, as in OpenSSL itself."""

    code: int = 0


def note_verdict(connection: SSL.Connection, certificate: object, code: int, depth: int, ok: int) -> bool:
    """The callback for `set_verify`: take a note and let the handshake go on; who made the connection judges later."""
    if code:
        connection.get_app_data().code = code
    return True


def run_steps(steps: Iterable[Step[Group]], context: SSL.Context, settings: Group) -> None:
    """Bring the settings into a context. Raises TlsFault for the first that cannot be met."""
    for step in steps:
        step(context, settings)


def faults_of(steps: Iterable[Step[Group]], settings: Group) -> list[TlsFault]:
    """Everything that is wrong with the settings."""
    context, faults = SSL.Context(SSL.TLS_METHOD), []
    for step in steps:
        try:
            step(context, settings)
        except TlsFault as fault:
            faults.append(fault)
    return faults


def set_ciphers(context: SSL.Context, ciphers: str, directive: str) -> None:
    with blaming(Place(directive), f'SSL_CTX_set_cipher_list("{ciphers}")'):
        context.set_cipher_list(ciphers.encode())


def set_protocols(context: SSL.Context, protocols: frozenset[str], directive: str) -> None:
    wanted = [version for name, (version, _) in VERSIONS.items() if name in protocols]
    if not wanted:
        raise TlsFault(directive, f"none of {', '.join(sorted(protocols))} exists in the TLS library")
    with blaming(Place(directive), "SSL_CTX_set_min_proto_version()"):
        context.set_min_proto_version(wanted[0])
        context.set_max_proto_version(wanted[-1])
    context.set_options(ALWAYS)
    for name, (_, without) in VERSIONS.items():
        if name not in protocols:
            context.set_options(without)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle session owns no buffers
