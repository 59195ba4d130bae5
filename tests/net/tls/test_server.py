"""TLS towards clients: what each directive does, as a client that knows nothing of refproxy sees it."""

from __future__ import annotations

import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from refproxy.config.settings import MailProtocol, VerifyClient
from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.openssl_gaps import set_signature_algorithms
from refproxy.net.tls.server import ServerTls
from refproxy.net.tls.stream import HandshakeFailed, TlsStream
from refproxy.wire.tls_facts import TlsFacts, refuse_certificate
from tests.net.tls.pairs import Client, connected, only, server_for
from tests.pki import Pki, builder

V10, V11, V12, V13 = (
    ssl.TLSVersion.TLSv1,
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)
every_version = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
OFF, ON, OPTIONAL, NO_CA = VerifyClient.OFF, VerifyClient.ON, VerifyClient.OPTIONAL, VerifyClient.OPTIONAL_NO_CA


async def facts_of(server: ServerTls, context: ssl.SSLContext, name: str | None = "mx.example") -> TlsFacts:
    """What the server knows after a handshake."""
    async with connected(server, context, name=name) as (stream, _):
        return server.facts(stream, with_own=True)


async def failure_of(server: ServerTls, context: ssl.SSLContext) -> tuple[str, str]:
    """What server and client say of a handshake that fails."""
    left, right = socket.socketpair()
    client = trio.SSLStream(SocketStream(right), context, server_hostname="mx.example")
    said: list[str] = []

    async def shake() -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.do_handshake()
        said.append(str(caught.value.__cause__))
        right.shutdown(socket.SHUT_WR)  # the server is not to wait for a client that has given up

    with left, right:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shake)
            with pytest.raises(HandshakeFailed) as failed:
                await server.accept(SocketStream(left))
            left.close()
    return str(failed.value), said[0]


async def names_shown(server: ServerTls, context: ssl.SSLContext, name: str | None = "mx.example") -> set[str]:
    """The DNS names of the certificate that a client is shown."""
    context.check_hostname = False
    async with connected(server, context, name=name) as (_, client):
        shown = client.getpeercert()
    return {value for kind, value in shown["subjectAltName"] if kind == "DNS"}


# -- versions, ciphers, groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])
async def test_only_the_configured_version_is_spoken(offered: str, pki: Pki) -> None:
    """TLS-15."""
    server = server_for(pki, protocols=frozenset({offered, "SSLv3"}), ciphers="ALL:@SECLEVEL=0")
    for version, name in ((V12, "TLSv1.2"), (V13, "TLSv1.3")):
        context = only(pki.client_context(), version)
        context.set_ciphers("ECDHE+AESGCM")  # none of an older version: with one, the server would answer in that
        if name == offered:
            assert (await facts_of(server, context)).version == name
        else:
            ours, theirs = await failure_of(server, context)
            assert "unsupported protocol" in ours or "no shared cipher" in ours
            assert "alert" in theirs


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("version", "name"), [(V10, "TLSv1"), (V11, "TLSv1.1")])
async def test_old_versions_are_spoken_where_they_are_wanted(
    version: ssl.TLSVersion, name: str, pki: Pki, rsa_file: str
) -> None:
    """TLS-15: and only with a security level that allows their signatures."""
    context = only(pki.client_context(), version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    server = server_for(pki, rsa_file, protocols=frozenset({name}), ciphers="ALL:@SECLEVEL=0")
    assert (await facts_of(server, context)).version == name
    await failure_of(server_for(pki, rsa_file), context)


async def test_versions_in_the_middle_may_be_left_out(pki: Pki) -> None:
    """TLS-15."""
    server = server_for(pki, protocols=frozenset({"TLSv1.1", "TLSv1.3"}))
    await failure_of(server, only(pki.client_context(), V12))
    assert (await facts_of(server, pki.client_context())).version == "TLSv1.3"


async def test_ciphers(pki: Pki) -> None:
    """TLS-7: up to TLS 1.2 only."""
    server = server_for(pki, ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")
    assert (await facts_of(server, only(pki.client_context(), V12))).cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
    assert (await facts_of(server, only(pki.client_context(), V13))).cipher == "TLS_AES_256_GCM_SHA384"
    context = only(pki.client_context(), V12)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "no shared cipher" in (await failure_of(server, context))[0]


@pytest.mark.parametrize(
    ("prefer", "chosen"), [(False, "ECDHE-ECDSA-AES128-GCM-SHA256"), (True, "ECDHE-ECDSA-AES256-GCM-SHA384")]
)
async def test_whose_order_of_ciphers_counts(prefer: bool, chosen: str, pki: Pki) -> None:
    """TLS-14."""
    context = only(pki.client_context(), V12)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    order = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
    server = server_for(pki, ciphers=order, prefer_server_ciphers=prefer)
    assert (await facts_of(server, context)).cipher == chosen


async def test_groups(pki: Pki) -> None:
    """TLS-12."""
    context = only(pki.client_context(), V13)
    context.set_ecdh_curve("secp384r1")
    assert (await facts_of(server_for(pki, ecdh_curve="secp521r1:secp384r1"), context)).version == "TLSv1.3"
    ours, _ = await failure_of(server_for(pki, ecdh_curve="prime256v1"), context)
    assert "no suitable key share" in ours or "no shared group" in ours


@pytest.fixture(scope="module")
def dh_file(pki: Pki) -> str:
    """The 2048 bits of RFC 7919, so that none need be found."""
    path = pki.directory / "dh.pem"
    if not path.exists():
        command = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"]
        made = subprocess.run(command, capture_output=True, check=True)
        path.write_bytes(made.stdout)
    return str(path)


async def test_dh_parameters(pki: Pki, rsa_file: str, dh_file: str) -> None:
    """TLS-11: without them there is no DHE."""
    context = only(pki.client_context(), V12)
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256")
    server = server_for(pki, rsa_file, dhparam=dh_file)
    assert (await facts_of(server, context)).cipher == "DHE-RSA-AES128-GCM-SHA256"
    assert "no shared cipher" in (await failure_of(server_for(pki, rsa_file), context))[0]


# -- certificates --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rsa_file(pki: Pki) -> str:
    return pki.rsa


@every_version
async def test_a_certificate_of_each_kind_of_key(version: ssl.TLSVersion, pki: Pki, rsa_file: str) -> None:
    """TLS-4: what the client is able to use chooses."""
    server = server_for(pki, str(pki.directory / "server.pem"), rsa_file)
    for algorithms, kind in (("ECDSA+SHA256", "EC256"), ("RSA-PSS+SHA256:RSA+SHA256", "RSA2048")):
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION if version is V12 else SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_2_VERSION if version is V12 else SSL.TLS1_3_VERSION)
        set_signature_algorithms(context, algorithms.encode())

        def make(sock: object, context: SSL.Context = context) -> SSL.Connection:
            connection = SSL.Connection(context, sock)  # type: ignore[arg-type]
            connection.set_connect_state()
            return connection

        left, right = socket.socketpair()
        with left, right:
            client = TlsStream(SocketStream(right), make)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.do_handshake)
                stream = await server.accept(SocketStream(left))
            found = server.facts(stream, with_own=True)
            assert (found.key_algorithm, found.signature_algorithm) == (kind, "SHA256")


async def test_each_certificate_has_its_own_chain(pki: Pki) -> None:
    """TLS-4: intermediate authorities stand behind the leaf, in the file of each."""
    files = []
    for kind in (trustme.KeyType.ECDSA, trustme.KeyType.RSA):
        middle = pki.authority.create_child_ca()
        files.append(pki.file(middle.issue_cert("mx.example", key_type=kind), f"chain-{kind.name}"))
    server = server_for(pki, *files)
    for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
        context = only(pki.client_context(), V12)
        context.set_ciphers(cipher)
        assert (await facts_of(server, context)).cipher == cipher  # a client that verifies needs the whole chain


async def test_certificates_and_keys_in_the_configuration(pki: Pki) -> None:
    """TLS-4, TLS-5: `data:`."""
    pem = (pki.directory / "server.pem").read_text()
    assert await names_shown(server_for(pki, f"data:{pem}"), pki.client_context()) == {"mx.example"}


def test_what_a_file_holds_besides_certificates_is_not_kept(pki: Pki) -> None:
    """TLS-4: the key of the same file never goes into the temporary file that OpenSSL reads."""
    server = server_for(pki)
    assert b"PRIVATE" not in server._identities[0].chain


def write_encrypted(pki: Pki, name: str, phrase: bytes, form: serialization.PrivateFormat) -> str:
    leaf = pki.authority.issue_cert("mx.example")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    secret = serialization.BestAvailableEncryption(phrase)
    path = pki.directory / f"{name}.pem"
    certificates = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    path.write_bytes(certificates + key.private_bytes(serialization.Encoding.PEM, form, secret))
    return str(path)


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("passwords", [(b"right",), (b"wrong", b"right"), (b"", b"wrong", b"right", b"late")])
async def test_encrypted_keys(passwords: tuple[bytes, ...], form: serialization.PrivateFormat, pki: Pki) -> None:
    """TLS-13: the pass phrases are tried in their order, and keys in the clear need none."""
    file = write_encrypted(pki, "encrypted", b"right", form)
    assert await names_shown(server_for(pki, file, passwords=passwords), pki.client_context()) == {"mx.example"}
    assert await names_shown(server_for(pki, passwords=passwords), pki.client_context()) == {"mx.example"}


# -- the choice by name --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_name(pki: Pki) -> ServerTls:
    leaves = {
        "first": ("a.example", "both.example"),
        "second": ("*.wild.example", "exact.wild.example"),
        "third": ("both.example", "last.example"),
    }
    return server_for(pki, *(pki.file(pki.authority.issue_cert(*names), name) for name, names in leaves.items()))


@every_version
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("any.wild.example", "*.wild.example"),
        ("exact.wild.example", "*.wild.example"),
        ("two.labels.wild.example", "last.example"),
        ("wild.example", "last.example"),
        ("both.example", "last.example"),
        ("nobody.example", "last.example"),
        (None, "last.example"),
    ],
)
async def test_the_name_chooses(
    asked: str | None, shown: str, version: ssl.TLSVersion, pki: Pki, by_name: ServerTls
) -> None:
    """TLS-30: without a match the last certificate counts."""
    assert shown in await names_shown(by_name, only(pki.client_context(), version), asked)


async def test_the_name_is_known_afterwards(pki: Pki, by_name: ServerTls) -> None:
    context = pki.client_context()
    context.check_hostname = False
    assert (await facts_of(by_name, context, "a.example")).server_name == b"a.example"
    assert (await facts_of(by_name, context, None)).server_name is None


async def test_names_and_kinds_of_keys_together(pki: Pki, rsa_file: str) -> None:
    """TLS-30: the name chooses among those of one kind, the client's abilities between the kinds."""
    other = pki.file(pki.authority.issue_cert("other.example", key_type=trustme.KeyType.ECDSA), "other")
    server = server_for(pki, rsa_file, str(pki.directory / "server.pem"), other)
    for cipher, kind in (("ECDHE-ECDSA-AES128-GCM-SHA256", "EC256"), ("ECDHE-RSA-AES128-GCM-SHA256", "RSA2048")):
        context = only(pki.client_context(), V12)
        context.set_ciphers(cipher)
        assert (await facts_of(server, context, "mx.example")).key_algorithm == kind
    assert await names_shown(server, pki.client_context(), "other.example") == {"other.example"}
    assert await names_shown(server, pki.client_context(), None) == {"other.example"}


async def test_the_common_name_serves_where_there_is_no_other(pki: Pki) -> None:
    """TLS-30."""
    named = pki.write("named", builder("Common.example"))
    server = server_for(pki, named, str(pki.directory / "server.pem"))
    context = pki.client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with connected(server, context, name="common.example") as (_, client):
        shown = client.getpeercert(binary_form=True)
        assert shown is not None
        assert b"Common.example" in shown


async def test_a_name_that_is_no_text_is_no_name(pki: Pki, by_name: ServerTls) -> None:
    """TLS-30: SNI may hold any octets."""
    context = SSL.Context(SSL.TLS_METHOD)

    def make(sock: object) -> SSL.Connection:
        connection = SSL.Connection(context, sock)  # type: ignore[arg-type]
        connection.set_connect_state()
        connection.set_tlsext_host_name(b"\xff\xfe\x80.example")
        return connection

    left, right = socket.socketpair()
    with left, right:
        client = TlsStream(SocketStream(right), make)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            stream = await by_name.accept(SocketStream(left))
        assert by_name.facts(stream).server_name == b"\xff\xfe\x80.example"


async def test_names_need_no_files_any_more(pki: Pki, tmp_path: Path) -> None:
    """TLS-30: a worker that may no longer read them, or finds others there, chooses all the same."""
    files = []
    for name in ("a.example", "b.example"):
        path = tmp_path / f"{name}.pem"
        pki.authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
        files.append(path)
    authority = tmp_path / "ca.pem"
    authority.write_bytes(pki.authority.cert_pem.bytes())
    server = server_for(pki, *map(str, files), verify_client=OPTIONAL, client_certificate=str(authority))
    for path in (*files, authority):
        path.unlink()
    assert await names_shown(server, pki.client_context(), "a.example") == {"a.example"}


# -- ALPN ----------------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("protocol", list(MailProtocol))
async def test_alpn_selects_the_protocol_of_the_server(
    protocol: MailProtocol, version: ssl.TLSVersion, pki: Pki
) -> None:
    """TLS-31: wherever it stands in the list."""
    server = server_for(pki, protocol=protocol)
    context = only(pki.client_context(alpn=("h2", protocol.value)), version)
    async with connected(server, context) as (stream, client):
        assert client.selected_alpn_protocol() == protocol.value
        assert server.facts(stream).alpn == protocol.value.encode()
    async with connected(server, only(pki.client_context(), version)) as (stream, client):
        assert client.selected_alpn_protocol() is None
        assert server.facts(stream).alpn is None


@every_version
@pytest.mark.parametrize("offered", ["SMTP", "imap", "smt", "smtps"])
@pytest.mark.parametrize("several", [False, True], ids=["one certificate", "choice by name"])
async def test_a_client_that_offers_other_protocols_gets_the_alert_for_it(
    offered: str, several: bool, version: ssl.TLSVersion, pki: Pki, by_name: ServerTls
) -> None:
    """TLS-31, TLS-34; RFC 7301 section 3.2."""
    context = only(pki.client_context(alpn=(offered,)), version)
    ours, theirs = await failure_of(by_name if several else server_for(pki), context)
    assert ours == "SSL_do_handshake() failed (SSL: error:0A0000EB:SSL routines::no application protocol)"
    assert "no application protocol" in theirs


# -- clients' certificates -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown_by(pki: Pki) -> dict[str, str]:
    """Files with certificates of clients, by what is the matter with them."""
    leaf = pki.authority.issue_cert("client.example", common_name="client")
    revoked = pki.authority.issue_cert("revoked.example")
    middle = pki.authority.create_child_ca()
    return {
        "valid": pki.file(leaf, "client"),
        "unknown": pki.file(pki.stranger.issue_cert("stranger.example"), "stranger"),
        "self-signed": pki.write("self-signed", builder("self")),
        "expired": pki.file(pki.expired("old.example"), "expired"),
        "revoked": pki.file(revoked, "revoked"),
        "through": pki.file(middle.issue_cert("deep.example"), "deep"),
        "deeper": pki.file(middle.create_child_ca().issue_cert("deeper.example"), "deeper"),
        "forged": pki.forged,
        "crl": pki.crl("revoked", revoked),
        "strange crl": pki.crl("strange", by=pki.stranger),
    }


SUCCESS, CERTIFICATE, MISSING = None, b"SSL certificate error", b"No required SSL certificate"


async def verdict(server: ServerTls, mode: VerifyClient, context: ssl.SSLContext) -> tuple[TlsFacts, bytes | None]:
    facts = await facts_of(server, context)
    refusal = refuse_certificate(facts, mode)
    return facts, refusal.reply if refusal else None


MATRIX = {
    # what the client shows: with which CRL, the code, and the replies for on, optional, optional_no_ca
    "none": ("", 0, (MISSING, SUCCESS, SUCCESS)),
    "valid": ("", 0, (SUCCESS, SUCCESS, SUCCESS)),
    "valid and a CRL": ("crl", 0, (SUCCESS, SUCCESS, SUCCESS)),
    "unknown": ("", 21, (CERTIFICATE, CERTIFICATE, SUCCESS)),
    "self-signed": ("", 18, (CERTIFICATE, CERTIFICATE, SUCCESS)),
    "expired": ("", 10, (CERTIFICATE, CERTIFICATE, CERTIFICATE)),
    "forged": ("", 7, (CERTIFICATE, CERTIFICATE, CERTIFICATE)),
    "revoked": ("crl", 23, (CERTIFICATE, CERTIFICATE, CERTIFICATE)),
    "valid but no CRL for it": ("strange crl", 3, (CERTIFICATE, CERTIFICATE, CERTIFICATE)),
}


@pytest.mark.parametrize("row", MATRIX)
@every_version
async def test_the_matrix_of_verdicts(row: str, version: ssl.TLSVersion, pki: Pki, shown_by: dict[str, str]) -> None:
    """TLS-10, TLS-42, TLS-44, TLS-45, TLS-46: the handshake itself always succeeds."""
    crl, code, replies = MATRIX[row]
    for mode, reply in zip((ON, OPTIONAL, NO_CA), replies, strict=True):
        server = server_for(pki, verify_client=mode, client_certificate=pki.ca, crl=shown_by.get(crl))
        context = only(pki.client_context(), version)
        if row != "none":
            context.load_cert_chain(shown_by[row.split(" ")[0]])
        facts, found = await verdict(server, mode, context)
        assert found == reply
        assert facts.verify_code == code
        assert (facts.certificate is None) == (row == "none")
        assert facts.verified == (row in ("valid", "valid and a CRL"))


@every_version
async def test_without_verification_nobody_is_asked_for_a_certificate(
    version: ssl.TLSVersion, pki: Pki, shown_by: dict[str, str]
) -> None:
    """TLS-42, TLS-44: and the files are not even opened (TLS-8)."""
    server = server_for(pki, client_certificate="/nowhere", trusted_certificate="/nowhere", crl="/nowhere")
    for file in ("self-signed", "expired"):
        context = only(pki.client_context(), version)
        context.load_cert_chain(shown_by[file])
        facts, reply = await verdict(server, OFF, context)
        assert (facts.certificate, facts.verify_code, reply) == (None, None, None)


async def test_a_certificate_is_described(pki: Pki, shown_by: dict[str, str]) -> None:
    """AUTH-27."""
    server = server_for(pki, verify_client=ON, client_certificate=pki.ca)
    context = pki.client_context()
    context.load_cert_chain(shown_by["valid"])
    facts = await facts_of(server, context)
    assert facts.certificate is not None
    assert facts.certificate.common_name == b"client"
    assert facts.certificate.pem in await trio.Path(shown_by["valid"]).read_bytes()
    assert facts.certificate.subject.startswith(b"CN=client,")


@pytest.mark.parametrize(("depth", "deep", "deeper"), [(0, 22, 22), (1, 0, 22), (2, 0, 0)])
async def test_the_depth(depth: int, deep: int, deeper: int, pki: Pki, shown_by: dict[str, str]) -> None:
    """TLS-22: the number of intermediate authorities."""
    server = server_for(pki, verify_client=OPTIONAL, client_certificate=pki.ca, verify_depth=depth)
    for file, code in (("valid", 0), ("through", deep), ("deeper", deeper)):
        context = pki.client_context()
        context.load_cert_chain(shown_by[file])
        found = (await facts_of(server, context)).verify_code
        assert bool(found) == bool(code), file


def authorities_sent(server: ServerTls, pki: Pki) -> list[bytes]:
    """The names of authorities in the request for a certificate."""
    context = SSL.Context(SSL.TLS_METHOD)
    client, ours = SSL.Connection(context), server._make_connection(None)
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, ours), (ours, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
    return [name.der() for name in client.get_client_ca_list()]


def test_which_names_of_authorities_clients_are_sent(pki: Pki) -> None:
    """TLS-8, TLS-20."""
    stranger = pki.directory / "stranger-ca.pem"
    pki.stranger.cert_pem.write_to_path(str(stranger))
    own = pki.certificate.subject.public_bytes()
    server = server_for(pki, verify_client=ON, client_certificate=pki.ca, trusted_certificate=str(stranger))
    assert authorities_sent(server, pki) == [own]
    assert authorities_sent(server_for(pki, verify_client=ON, trusted_certificate=pki.ca), pki) == []


async def test_authorities_of_both_directives_are_trusted(pki: Pki, shown_by: dict[str, str]) -> None:
    """TLS-8, TLS-20."""
    stranger = pki.directory / "stranger-ca.pem"
    pki.stranger.cert_pem.write_to_path(str(stranger))
    server = server_for(pki, verify_client=ON, client_certificate=pki.ca, trusted_certificate=str(stranger))
    for file in ("valid", "unknown"):
        context = pki.client_context()
        context.load_cert_chain(shown_by[file])
        assert (await facts_of(server, context)).verified


# -- resumption ----------------------------------------------------------------------------------------------------


async def is_resumed(server: ServerTls, context: ssl.SSLContext) -> bool:
    """Whether a second connection takes up the session of the first; both sides must agree."""

    async def visit(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
        left, right = socket.socketpair()
        with left, right:
            client: Client = trio.SSLStream(SocketStream(right), context, server_hostname="mx.example")
            if session is not None:
                client._ssl_object.session = session
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.do_handshake)
                stream = await server.accept(SocketStream(left))
            await stream.send_all(b"x")  # with the tickets of TLS 1.3
            await client.receive_some()
            resumed = server.facts(stream).resumed
            assert resumed == client._ssl_object.session_reused
            await client.send_all(b"x")
            await stream.send_eof()
            return resumed, client._ssl_object.session

    resumed, session = await visit(None)
    assert not resumed
    return (await visit(session))[0]


@every_version
@pytest.mark.parametrize(
    ("changes", "resumed"),
    [
        ({}, True),
        ({"session_tickets": False}, False),
        ({"session_tickets": False, "session_cache": ("off",)}, False),
        ({"session_tickets": False, "session_cache": ("builtin",)}, True),
        ({"session_tickets": False, "session_cache": ("builtin:20480",)}, True),
        ({"session_tickets": False, "session_cache": ("shared:SSL:1m",)}, True),
        ({"session_tickets": False, "session_cache": ("builtin", "shared:SSL:1m")}, True),
        ({"session_cache": ("off",)}, True),
        ({"session_cache": ("builtin",)}, True),
    ],
    ids=str,
)
async def test_which_settings_resume_sessions(
    changes: dict[str, Any], resumed: bool, version: ssl.TLSVersion, pki: Pki
) -> None:
    """TLS-18, TLS-51, TLS-52."""
    assert await is_resumed(server_for(pki, **changes), only(pki.client_context(), version)) == resumed


@every_version
@pytest.mark.parametrize("mode", [ON, OPTIONAL, NO_CA])
@pytest.mark.parametrize("changes", [{}, {"session_cache": ("builtin",)}, {"session_tickets": False}], ids=str)
async def test_sessions_of_verified_clients_are_never_resumed(
    changes: dict[str, Any], mode: VerifyClient, version: ssl.TLSVersion, pki: Pki
) -> None:
    """TLS-46, TLS-55."""
    server = server_for(pki, verify_client=mode, client_certificate=pki.ca, **changes)
    context = only(pki.client_context(pki.authority.issue_cert("client.example")), version)
    assert not await is_resumed(server, context)


async def test_the_choice_by_name_resumes_too(pki: Pki) -> None:
    """TLS-30, TLS-51."""
    other = pki.file(pki.authority.issue_cert("x.example"), "x")
    server = server_for(pki, other, str(pki.directory / "server.pem"))
    for version in (V12, V13):
        assert await is_resumed(server, only(pki.client_context(), version))


@every_version
async def test_clients_are_told_how_long_sessions_last(version: ssl.TLSVersion, pki: Pki) -> None:
    """TLS-19."""
    server = server_for(pki, session_timeout=77)
    async with connected(server, only(pki.client_context(), version)) as (stream, client):
        await stream.send_all(b"x")
        await client.receive_some()
        session = client._ssl_object.session
        assert session is not None
        assert session.ticket_lifetime_hint == 77


# -- configuration commands ----------------------------------------------------------------------------------------


async def test_conf_commands_come_last(pki: Pki) -> None:
    """TLS-9."""
    commands = (("MinProtocol", "TLSv1.3"), ("Ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"))
    server = server_for(pki, conf_commands=commands)
    assert (await facts_of(server, pki.client_context())).cipher == "TLS_CHACHA20_POLY1305_SHA256"
    await failure_of(server, only(pki.client_context(), V12))
    commands = (("MaxProtocol", "TLSv1.2"), ("CipherString", "ECDHE-ECDSA-CHACHA20-POLY1305"))
    assert (await facts_of(server_for(pki, conf_commands=commands), pki.client_context())).cipher == commands[1][1]


async def test_conf_commands_for_groups_and_signatures(pki: Pki) -> None:
    """TLS-9."""
    context = only(pki.client_context(), V13)
    context.set_ecdh_curve("secp384r1")
    for name in ("Groups", "curves"):
        await failure_of(server_for(pki, conf_commands=((name, "prime256v1"),)), context)
        assert (await facts_of(server_for(pki, conf_commands=((name, "secp384r1"),)), context)).version == "TLSv1.3"
    await failure_of(server_for(pki, conf_commands=(("SignatureAlgorithms", "RSA-PSS+SHA256"),)), pki.client_context())


async def test_conf_command_options(pki: Pki) -> None:
    """TLS-9."""
    server = server_for(pki, conf_commands=(("Options", "-SessionTicket,+ServerPreference , EncryptThenMac"),))
    assert not await is_resumed(server, only(pki.client_context(), V12))
    context = only(pki.client_context(), V12)
    context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384")
    order = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
    commands = (("Options", "ServerPreference"),)
    assert (await facts_of(server_for(pki, ciphers=order, conf_commands=commands), context)).cipher == (
        "ECDHE-ECDSA-AES256-GCM-SHA384"
    )
    commands = (("Options", "ServerPreference,PrioritizeChaCha"),)
    assert (await facts_of(server_for(pki, ciphers=order, conf_commands=commands), context)).cipher == (
        "ECDHE-ECDSA-CHACHA20-POLY1305"
    )
