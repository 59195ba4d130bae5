"""TLS towards backends, beside what whole sessions show (tests/test_session_tls.py)."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio

from refproxy.config.settings import BackendTlsSettings
from refproxy.net.tls.backend import BackendTls
from refproxy.net.tls.stream import HandshakeFailed
from tests.net.tls.pairs import Transports, only
from tests.pki import Pki

every_version = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


async def connect(
    transports: Transports, context: ssl.SSLContext, settings: BackendTlsSettings, host: str = "mx.example"
) -> tuple[str, str]:
    """Version and cipher of a connection to a backend. Raises HandshakeFailed."""
    ours, theirs = transports("sockets")
    backend: trio.SSLStream[Any] = trio.SSLStream(theirs, context, server_side=True)

    async def shake() -> None:
        try:
            await backend.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(theirs)  # Trio's stream keeps the alert to itself

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake)
        try:
            stream = await BackendTls(settings).connect(ours, host)
        except HandshakeFailed as failed:
            await trio.aclose_forcefully(ours)
            failure = failed
        else:
            return stream.connection.get_protocol_version_name(), stream.connection.get_cipher_name() or ""
    raise failure


@every_version
async def test_versions_and_ciphers(version: ssl.TLSVersion, pki: Pki, transports: Transports) -> None:
    """TLS-61."""
    context = only(pki.server_context(pki.authority.issue_cert("mx.example")), version)
    name = "TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3"
    cipher = "ECDHE-ECDSA-CHACHA20-POLY1305"
    wanted = BackendTlsSettings(protocols=frozenset({name}), ciphers=cipher)
    found = await connect(transports, context, wanted)
    assert found[0] == name
    assert (found[1] == cipher) == (name == "TLSv1.2")
    other = frozenset({"TLSv1.2", "TLSv1.3"} - {name})
    with pytest.raises(HandshakeFailed, match="peer closed connection"):
        await connect(transports, context, BackendTlsSettings(protocols=other))


async def test_a_backend_without_any_certificate_is_nobody(pki: Pki, transports: Transports) -> None:
    """TLS-62: the verification of a chain that is not there finds no fault in it."""
    context = only(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
    settings = BackendTlsSettings(ciphers="AECDH-AES128-SHA:@SECLEVEL=0", protocols=frozenset({"TLSv1.2"}))
    assert (await connect(transports, context, settings))[1] == "AECDH-AES128-SHA"
    strict = BackendTlsSettings(
        ciphers=settings.ciphers, protocols=settings.protocols, verify=True, trusted_certificate=pki.ca
    )
    with pytest.raises(HandshakeFailed, match="upstream SSL certificate does not match"):
        await connect(transports, context, strict)


@pytest.mark.parametrize(
    ("host", "names", "fits"),
    [
        ("mx.example", ["mx.example"], True),
        ("mx.example.", ["MX.example"], True),
        ("a_b.mx.example", ["*.mx.example"], True),
        ("a.b.mx.example", ["*.mx.example"], False),
        ("192.0.2.1", ["192.0.2.1"], True),
        ("192.0.2.1", ["192.0.2.2", "mx.example"], False),
        ("2001:db8::1", ["2001:0db8:0::1"], True),
        ("\u00fcmlaut.example", ["mx.example"], False),
        ("..", ["mx.example"], False),
        ("x" * 300 + ".example", ["mx.example"], False),
    ],
)
async def test_whom_a_backends_certificate_must_be_for(
    host: str, names: list[str], fits: bool, pki: Pki, transports: Transports
) -> None:
    """TLS-62: whatever the name is, the end is a connection or HandshakeFailed."""
    context = pki.server_context(pki.authority.issue_cert(*names))
    settings = BackendTlsSettings(verify=True, trusted_certificate=pki.ca, server_name=True)
    if fits:
        await connect(transports, context, settings, host)
    else:
        with pytest.raises(HandshakeFailed, match="does not match"):
            await connect(transports, context, settings, host)
