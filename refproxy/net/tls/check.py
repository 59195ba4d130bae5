"""The TLS library's part in checking a configuration."""

from __future__ import annotations

from refproxy.config.settings import BackendTlsSettings, TlsSettings
from refproxy.errors import TlsFault
from refproxy.net.tls import backend, server
from refproxy.net.tls.contexts import faults_of

__all__ = ["check_tls"]


def check_tls(settings: TlsSettings | BackendTlsSettings) -> list[TlsFault]:
    """Everything that is wrong with TLS settings: files, lists of ciphers, wishes beyond the TLS library."""
    if isinstance(settings, TlsSettings):
        return faults_of(server.steps_of(settings), settings)
    return faults_of(backend.STEPS, settings)
