"""TLS as configured: from the `ssl_*` settings of a server to contexts that accept clients (tls rules, sections 2-4).

What pyOpenSSL cannot do is a fault of the configuration that asks for it, never a silent difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import trio
from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL.crypto import X509StoreFlags

from refproxy.config.settings import MailProtocol, TlsSettings, VerifyClient
from refproxy.errors import TlsFault
from refproxy.net.tls import certificates, conf_commands
from refproxy.net.tls.contexts import Step, Verdict, note_verdict, run_steps, set_ciphers, set_protocols
from refproxy.net.tls.identities import Identity, Place, blaming, load_identity, read_pem, use_identity
from refproxy.net.tls.openssl_gaps import set_groups, verify_error_text, was_resumed
from refproxy.net.tls.stream import HandshakeFailed, TlsStream
from refproxy.wire.tls_facts import ClientCertificate, TlsFacts

__all__ = ["ServerTls", "steps_of"]

SESSION_ID_CONTEXT = b"MAIL"
BUILTIN_CACHE = 20480  # sessions; OpenSSL's own limit, which pyOpenSSL cannot change (TLS-52)
UNSPECIFIED = 1  # X509_V_ERR_UNSPECIFIED


class NoCommonProtocol(Exception):
    """The client offers protocols by ALPN, but not ours (TLS-31)."""


class ServerTls:
    """Accepts the TLS connections of one server block.

    Among several certificates of one kind of key the client's SNI chooses; without a match, the last one counts
    (TLS-30). Raises TlsFault for the first of the settings that cannot be met.
    """

    def __init__(self, settings: TlsSettings, protocol: MailProtocol) -> None:
        self._settings, self._alpn = settings, protocol.value.encode("ascii")
        self._identities = tuple(_identity(settings, index) for index in range(len(settings.certificates)))
        self._context = self._make_context(self._identities)
        # All contexts are made now: at a handshake the files may be others, or no longer for this process to read.
        choices = {self._fitting(name) for identity in self._identities for name in identity.names}
        self._by_name = {fitting: self._make_context(fitting) for fitting in choices if fitting != self._identities}
        if self._by_name:
            self._context.set_tlsext_servername_callback(self._choose_by_name)

    async def accept(self, transport: trio.abc.Stream) -> TlsStream:
        """Shake hands with a client. Raises HandshakeFailed; the caller bounds the time and closes the transport."""
        stream = TlsStream(transport, self._make_connection)
        try:
            await stream.do_handshake()
        except NoCommonProtocol:
            raise _no_common_protocol() from None
        return stream

    def facts(self, stream: TlsStream, *, with_own: bool = False) -> TlsFacts:
        """What is known of a client's session after its handshake, if wanted `with_own` certificate's algorithms."""
        connection = stream.connection
        own = connection.get_certificate(as_cryptography=True) if with_own else None
        verdict: Verdict | None = connection.get_app_data()
        code = None if verdict is None else verdict.code
        shown = None
        if code is not None and (certificate := connection.get_peer_certificate()) is not None:
            try:
                shown = certificates.describe(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
            except ValueError:  # OpenSSL could read it, we cannot: nobody vouches for what it says
                shown, code = ClientCertificate(b"", b"", b"", b"", b"", None), code or UNSPECIFIED
        return TlsFacts(
            version=stream.version,
            cipher=stream.cipher,
            server_name=connection.get_servername(),
            alpn=connection.get_alpn_proto_negotiated() or None,
            verify_code=code,
            verify_text="" if code is None else verify_error_text(code),
            certificate=shown,
            signature_algorithm=certificates.signature_algorithm(own) if own else "",
            key_algorithm=certificates.key_algorithm(own) if own else "",
            resumed=was_resumed(connection),
        )

    # How connections and contexts are made.

    def _make_connection(self, sock: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, sock)
        connection.set_accept_state()
        if self._settings.verify_client is not VerifyClient.OFF:
            connection.set_app_data(Verdict())
        return connection

    def _choose_by_name(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace")
        if (context := self._by_name.get(self._fitting(name))) is not None:
            connection.set_context(context)

    def _fitting(self, name: str) -> tuple[Identity, ...]:
        """The identities for a host name. A name `*.PARENT` gives those for a name that nobody has but by `*`."""
        return tuple(identity for identity in self._identities if certificates.matches(identity.names, name))

    def _make_context(self, identities: Sequence[Identity]) -> SSL.Context:
        """A context that accepts clients as one of the identities."""
        settings, context = self._settings, SSL.Context(SSL.TLS_METHOD)
        run_steps([_set_ciphers, *STEPS, *_conf_commands(settings)], context, settings)
        for index, identity in enumerate(identities):
            use_identity(context, identity, Place("ssl_certificate", index))
        context.set_alpn_select_callback(self._select_protocol)
        return context

    def _select_protocol(self, connection: SSL.Connection, offered: list[bytes]) -> bytes:
        if self._alpn not in offered:
            raise NoCommonProtocol  # makes pyOpenSSL send the fatal alert
        return self._alpn


def steps_of(settings: TlsSettings) -> list[Step[TlsSettings]]:
    """All that makes a context, in the order of TLS-27."""
    identities = [_use_own(index) for index in range(len(settings.certificates))]
    return [_set_ciphers, *identities, *STEPS, *_conf_commands(settings)]


def _use_own(index: int) -> Step[TlsSettings]:
    def step(context: SSL.Context, settings: TlsSettings) -> None:
        use_identity(context, _identity(settings, index), Place("ssl_certificate", index))

    return step


def _identity(settings: TlsSettings, index: int) -> Identity:
    """The certificate of one number, with the key of the same number. Raises TlsFault."""
    return load_identity(
        settings.certificates[index],
        settings.certificate_keys[index],
        settings.passwords,
        Place("ssl_certificate", index),
        Place("ssl_certificate_key", index),
    )


# -- what a context is told besides --------------------------------------------------------------------------------


def _set_ciphers(context: SSL.Context, settings: TlsSettings) -> None:
    set_ciphers(context, settings.ciphers, "ssl_ciphers")


def _set_protocols(context: SSL.Context, settings: TlsSettings) -> None:
    set_protocols(context, settings.protocols, "ssl_protocols")
    if settings.prefer_server_ciphers:
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)


def _set_verification(context: SSL.Context, settings: TlsSettings) -> None:
    """Ask for the client's certificate, and only take notes of the verdict: the dialogue tells it (TLS-42)."""
    if settings.verify_client is VerifyClient.OFF:
        return
    context.set_verify(SSL.VERIFY_PEER, note_verdict)
    context.set_verify_depth(settings.verify_depth)
    if settings.client_certificate is not None:
        with blaming(
            Place("ssl_client_certificate"), f'SSL_CTX_load_verify_locations("{settings.client_certificate}")'
        ):
            context.load_verify_locations(settings.client_certificate)
            context.load_client_ca(os.fsencode(settings.client_certificate))
    if settings.trusted_certificate is not None:
        with blaming(
            Place("ssl_trusted_certificate"), f'SSL_CTX_load_verify_locations("{settings.trusted_certificate}")'
        ):
            context.load_verify_locations(settings.trusted_certificate)
    if settings.crl is not None:
        _load_crls(context, settings.crl)


def _load_crls(context: SSL.Context, name: str) -> None:
    """Revoked certificates, of the client and of every authority above it (TLS-10)."""
    failed = f'cannot load CRL "{name}": '
    store = context.get_cert_store()
    assert store is not None
    blocks = PEM_CRL.findall(read_pem(name, Place("ssl_crl"), f"{failed}BIO_new_file()"))
    reason = "no start line"
    try:
        for block in blocks:
            store.add_crl(x509.load_pem_x509_crl(block))
    except (*certificates.UNREADABLE, crypto.Error) as error:
        blocks, reason = [], str(error)
    if not blocks:
        raise TlsFault("ssl_crl", f"{failed}PEM_read_bio_X509_CRL() failed (SSL: error:PEM routines::{reason})")
    store.set_flags(X509StoreFlags.CRL_CHECK | X509StoreFlags.CRL_CHECK_ALL)


PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def _set_dhparam(context: SSL.Context, settings: TlsSettings) -> None:
    if settings.dhparam is not None:
        read_pem(settings.dhparam, Place("ssl_dhparam"), f'BIO_new_file("{settings.dhparam}")')
        with blaming(Place("ssl_dhparam"), f'PEM_read_bio_DHparams("{settings.dhparam}")'):
            context.load_tmp_dh(settings.dhparam)


def _set_groups(context: SSL.Context, settings: TlsSettings) -> None:
    if settings.ecdh_curve != "auto":
        with blaming(Place("ssl_ecdh_curve"), f'SSL_CTX_set1_curves_list("{settings.ecdh_curve}")'):
            set_groups(context, settings.ecdh_curve.encode())


def _set_sessions(context: SSL.Context, settings: TlsSettings) -> None:
    """Resumption (tls rules, section 8).

    Never where clients are verified: a resumed session would bring back the certificate, but neither the verdict on
    it nor the CRL of today (TLS-55).
    """
    context.set_session_id(SESSION_ID_CONTEXT)
    context.set_timeout(settings.session_timeout)
    mode = SSL.SESS_CACHE_SERVER
    for word in settings.session_cache:
        match word.split(":"):
            case ["off"]:
                mode = SSL.SESS_CACHE_OFF
            case ["none"]:
                mode = SSL.SESS_CACHE_SERVER | SSL.SESS_CACHE_NO_INTERNAL
            case ["builtin", size] if int(size) != BUILTIN_CACHE:
                text = f'session cache "{word}": the TLS library has one size only, {BUILTIN_CACHE} sessions'
                raise TlsFault("ssl_session_cache", text)
            case _:
                mode = SSL.SESS_CACHE_SERVER
    if settings.verify_client is not VerifyClient.OFF:
        mode = SSL.SESS_CACHE_OFF
    context.set_session_cache_mode(mode)
    if not settings.session_tickets or settings.verify_client is not VerifyClient.OFF:
        context.set_options(SSL.OP_NO_TICKET)


def _refuse_what_cannot_be(context: SSL.Context, settings: TlsSettings) -> None:
    if settings.session_ticket_keys:
        text = "session ticket keys cannot be given to the TLS library; each process makes its own"
        raise TlsFault("ssl_session_ticket_key", text)
    if settings.certificate_compression:
        raise TlsFault("ssl_certificate_compression", "the TLS library does not compress certificates")


def _conf_commands(settings: TlsSettings) -> list[Step[TlsSettings]]:
    """The configuration commands, which come last and in their order (TLS-9)."""

    def step(index: int, name: str, value: str) -> Step[TlsSettings]:
        def run(context: SSL.Context, settings: TlsSettings) -> None:
            call = f'SSL_CONF_cmd("{name}", "{value}")'
            try:
                with blaming(Place("ssl_conf_command", index), call):
                    conf_commands.apply(context, name, value)
            except ValueError as error:
                raise TlsFault("ssl_conf_command", f"{call} failed: {error}", index) from error

        return run

    return [step(index, name, value) for index, (name, value) in enumerate(settings.conf_commands)]


STEPS: tuple[Step[TlsSettings], ...] = (
    _set_protocols,
    _set_verification,
    _set_dhparam,
    _set_groups,
    _set_sessions,
    _refuse_what_cannot_be,
)
"""After ciphers and certificates, in the order of TLS-27."""


def _no_common_protocol() -> HandshakeFailed:
    return HandshakeFailed("SSL_do_handshake() failed (SSL: error:0A0000EB:SSL routines::no application protocol)")
