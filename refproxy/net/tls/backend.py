"""TLS towards backends: the `proxy_ssl*` settings as a context, and the check of whom the proxy talks to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import trio
from OpenSSL import SSL
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from refproxy.config.settings import BackendTlsSettings
from refproxy.net.tls.contexts import Step, Verdict, note_verdict, run_steps, set_ciphers, set_protocols
from refproxy.net.tls.identities import Place, blaming, load_identity, use_identity
from refproxy.net.tls.openssl_gaps import verify_error_text
from refproxy.net.tls.stream import HandshakeFailed, TlsStream

__all__ = ["STEPS", "BackendTls"]


class BackendTls:
    """Connects to the backends of one server block. Raises TlsFault for settings that cannot be met."""

    def __init__(self, settings: BackendTlsSettings) -> None:
        self._settings = settings
        self._context = SSL.Context(SSL.TLS_METHOD)
        run_steps(STEPS, self._context, settings)

    async def connect(self, transport: trio.abc.Stream, host: str) -> TlsStream:
        """Shake hands with a backend whose `Auth-Server` is `host`, and check its certificate if that is wanted.

        Raises HandshakeFailed; the caller bounds the time and closes the transport.
        """
        name = (self._settings.name or host).removesuffix(".")  # as certificates and SNI have it (RFC 6066 section 3)
        by_name = not _is_ip(name)

        def make(sock: Any) -> SSL.Connection:
            connection = SSL.Connection(self._context, sock)
            connection.set_connect_state()
            connection.set_app_data(Verdict())
            if self._settings.server_name and by_name:
                connection.set_tlsext_host_name(name.encode("ascii", "replace"))
            return connection

        stream = TlsStream(transport, make)
        await stream.do_handshake()
        if self._settings.verify:
            self._verify(stream.connection, name, by_name=by_name)
        return stream

    def _verify(self, connection: SSL.Connection, name: str, *, by_name: bool) -> None:
        """Nothing was sent yet, so a backend that fails here has learnt nothing."""
        code = connection.get_app_data().code
        if code:
            raise HandshakeFailed(f"upstream SSL certificate verify error: ({code}:{verify_error_text(code)})")
        try:
            if by_name:
                verify_hostname(connection, name)
            else:
                verify_ip_address(connection, name)
        except Exception as error:  # also for no certificate at all, and for one that three libraries read differently
            raise HandshakeFailed(f'upstream SSL certificate does not match "{name}"') from error


def _is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _set_ciphers(context: SSL.Context, settings: BackendTlsSettings) -> None:
    set_ciphers(context, settings.ciphers, "proxy_ssl_ciphers")


def _set_protocols(context: SSL.Context, settings: BackendTlsSettings) -> None:
    set_protocols(context, settings.protocols, "proxy_ssl_protocols")


def _set_certificate(context: SSL.Context, settings: BackendTlsSettings) -> None:
    if settings.certificate is None or settings.certificate_key is None:
        return
    blame, blame_key = Place("proxy_ssl_certificate"), Place("proxy_ssl_certificate_key")
    identity = load_identity(settings.certificate, settings.certificate_key, (), blame, blame_key)
    use_identity(context, identity, blame)


def _set_verification(context: SSL.Context, settings: BackendTlsSettings) -> None:
    context.set_verify(SSL.VERIFY_PEER if settings.verify else SSL.VERIFY_NONE, note_verdict)
    if settings.trusted_certificate is not None:
        name = settings.trusted_certificate
        with blaming(Place("proxy_ssl_trusted_certificate"), f'SSL_CTX_load_verify_locations("{name}")'):
            context.load_verify_locations(name)


STEPS: tuple[Step[BackendTlsSettings], ...] = (_set_ciphers, _set_protocols, _set_certificate, _set_verification)
