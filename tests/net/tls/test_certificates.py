"""Certificates of servers by name, keys and signatures; and certificates of clients that are odd."""

from __future__ import annotations

import datetime
import ssl
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from hypothesis import given
from hypothesis import strategies as st

from refproxy.config.settings import VerifyClient
from refproxy.net.tls.certificates import dns_names, key_algorithm, matches, signature_algorithm
from refproxy.net.tls.stream import HandshakeFailed
from refproxy.wire.tls_facts import TlsFacts, refuse_certificate
from tests.net.tls.odd_certificates import CN, ORG, T61, UTF8, Certificates, der, name
from tests.net.tls.pairs import connected, server_for
from tests.pki import Pki, builder

# -- whom a certificate is for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "wanted", "fits"),
    [
        ({"mx.example"}, "mx.example", True),
        ({"mx.example"}, "MX.Example.", True),
        ({"mx.example"}, "x.mx.example", False),
        ({"*.example"}, "mx.example", True),
        ({"*.example"}, "a.mx.example", False),
        ({"*.example"}, "example", False),
        ({"*.example"}, ".example", True),
        ({"m*.example"}, "mx.example", False),
        ({"*"}, "example", False),
        ({"mx.example"}, "", False),
        (set(), "mx.example", False),
        ({"mx.example"}, "mx\ufffd.example", False),
    ],
)
def test_names_and_wildcards(names: set[str], wanted: str, fits: bool) -> None:
    """TLS-30; RFC 9525 section 6.3."""
    assert matches(frozenset(names), wanted) == fits


@given(st.text(max_size=300))
def test_any_wanted_name_gets_an_answer(wanted: str) -> None:
    assert matches(frozenset({"mx.example", "*.wild.example"}), wanted) in (True, False)


def leaf(*names: str, **options: object) -> x509.Certificate:
    made = trustme.CA().issue_cert(*names, **options)  # type: ignore[arg-type]
    return x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())


def test_the_names_of_a_certificate() -> None:
    """TLS-30: with alternative names the common name says nothing."""
    found = leaf("MX.example", "*.wild.example", "192.0.2.1", common_name="common.example")
    assert dns_names(found) == {"mx.example", "*.wild.example"}
    assert dns_names(leaf("192.0.2.1", common_name="common.example")) == set()


KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "EC256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EC384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA2048": lambda: rsa.generate_private_key(65537, 2048),
    "": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_and_signatures(kind: str) -> None:
    """PROXY-23."""
    key = KEYS[kind]()
    hashed = None if kind == "" else hashes.SHA384()
    made = builder("Common.example").public_key(key.public_key()).sign(key, hashed)
    assert key_algorithm(made) == kind
    assert signature_algorithm(made) == ("SHA384" if hashed else "")
    assert dns_names(made) == {"common.example"}


# -- odd certificates of clients -----------------------------------------------------------------------------------

ODD: dict[str, tuple[dict[str, Any], bytes]] = {
    "Latin-1 in a T61String": ({"subject": name(((CN, T61, b"M\xfcller"),))}, rb"CN=M\C3\BCller"),
    "a negative serial number": ({"serial": b"\xfb"}, b"CN=odd"),
    "a zero serial number": ({"serial": b"\0"}, b"CN=odd"),
    "a version that does not exist": ({"version": b"\x07"}, b"CN=odd"),
    "a name of many parts": (
        {"subject": name(*[((ORG, UTF8, b"x" * 50),)] * 100)},
        b",".join([b"O=" + b"x" * 50] * 100),
    ),
    "a line end": (
        {"subject": name(((CN, UTF8, b"x\r\nAuth-SSL-Verify: SUCCESS"),))},
        rb"CN=x\0D\0AAuth-SSL-Verify: SUCCESS",
    ),
}


async def show(pki: Pki, kind: str) -> TlsFacts | None:
    """What the server makes of an odd certificate; None if OpenSSL itself will not have it."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.DER, form)
    parts = {"subject": name(((CN, UTF8, b"odd"),)), "issuer": name(((CN, UTF8, b"nobody"),))} | ODD[kind][0]
    made = ssl.DER_cert_to_PEM_cert(Certificates(pki.directory, public).make(**parts))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = pki.directory / "odd.pem"
    await trio.Path(path).write_bytes(made.encode() + secret)
    context = pki.client_context()
    context.load_cert_chain(path)
    server = server_for(pki, verify_client=VerifyClient.OPTIONAL_NO_CA, client_certificate=pki.ca)
    facts = None
    try:
        async with connected(server, context) as (stream, _):
            facts = server.facts(stream, with_own=True)
    except* HandshakeFailed:
        pass
    return facts


@pytest.mark.parametrize("kind", ODD)
async def test_odd_certificates_never_crash_a_session(kind: str, pki: Pki) -> None:
    """TLS-42, TLS-46: nor do they make a library complain on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = await show(pki, kind)
    if facts is not None:
        assert facts.certificate is not None
        assert facts.certificate.subject == ODD[kind][1]
        assert refuse_certificate(facts, VerifyClient.ON) is not None


async def test_a_huge_certificate(pki: Pki) -> None:
    """TLS-34: accepted whole, or refused in the handshake."""
    names = [x509.DNSName(f"{number:05}.example") for number in range(4000)]
    huge = builder("huge").add_extension(x509.SubjectAlternativeName(names), critical=False)
    context = pki.client_context()
    context.load_cert_chain(pki.write("huge", huge))
    server = server_for(pki, verify_client=VerifyClient.OPTIONAL_NO_CA, client_certificate=pki.ca)
    async with connected(server, context) as (stream, _):
        facts = server.facts(stream)
        assert facts.certificate is not None
        assert len(facts.certificate.pem) > 60_000
        assert facts.verify_code == 18


def test_expired_certificates_still_have_names(pki: Pki) -> None:
    made = pki.expired("old.example").cert_chain_pems[0].bytes()
    found = x509.load_pem_x509_certificate(made)
    assert found.not_valid_after_utc < datetime.datetime.now(datetime.UTC)
    assert dns_names(found) == {"old.example"}
    assert der(2, b"\x01") == b"\x02\x01\x01"
