"""Names in certificates, in OpenSSL's words: compared with the `openssl` program itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refproxy.net.tls.certificates import describe
from refproxy.net.tls.distinguished_names import format_name, parse_name, parse_subjects
from tests.net.tls.odd_certificates import (
    BIT,
    BMP,
    CN,
    DC,
    DESCRIPTION,
    EMAIL,
    IA5,
    JURISDICTION,
    NUMERIC,
    ORG,
    PRINTABLE,
    SURNAME,
    T61,
    UID,
    UNIQUE,
    UNIVERSAL,
    UNKNOWN,
    UTF8,
    C,
    Certificates,
    name,
)


@pytest.fixture(scope="module")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return Certificates(
        tmp_path_factory.mktemp("names"), public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


CASES = [
    ((CN, UTF8, b"cli.example.org"),),
    ((C, PRINTABLE, b"DE"),),
    ((ORG, UTF8, b"Test, Inc"),),
    ((ORG, UTF8, "Ü".encode()),),
    ((ORG, UTF8, "漢字 €".encode()),),
    ((ORG, UTF8, b'a,b+c"d\\e<f>g;h=i/j#k'),),
    ((ORG, UTF8, b"#leading"),),
    ((ORG, UTF8, b" leading"),),
    ((ORG, UTF8, b"trailing "),),
    ((ORG, UTF8, b"  both  "),),
    ((ORG, UTF8, b" "),),
    ((ORG, UTF8, b"#"),),
    ((ORG, UTF8, b""),),
    ((ORG, UTF8, b"line\r\nbreak\0\x7f\x1b"),),
    ((ORG, T61, b"Latin-1: \xfc\xe9"),),
    ((ORG, BMP, "Grüße, 漢".encode("utf-16-be")),),
    ((ORG, UNIVERSAL, "Grüße 😀".encode("utf-32-be")),),
    ((CN, NUMERIC, b"12 34"),),
    ((CN, PRINTABLE, b"not_printable@\xe4"),),
    ((EMAIL, IA5, b"x@y.z"),),
    ((UID, UTF8, b"jdoe"),),
    ((DC, IA5, b"example"),),
    ((SURNAME, UTF8, b"Doe"),),
    ((DESCRIPTION, UTF8, b"beyond the usual"),),
    ((JURISDICTION, PRINTABLE, b"DE"),),
    ((UNIQUE, BIT, b"\0\xa5\x5a"),),
    ((UNKNOWN, UTF8, b"of an unknown type"),),
    ((UNKNOWN, UTF8, b"x" * 300),),
    ((CN, UTF8, b"two"), (UID, UTF8, b"in one")),
    ((CN, UTF8, b"b"), (CN, UTF8, b"a"), (ORG, UTF8, b"c")),
]


@pytest.mark.parametrize("part", CASES, ids=lambda part: repr(part[0][2][:12]))
def test_names_are_as_openssl_writes_them(
    part: tuple[tuple[str, int, bytes], ...], make_certificate: Certificates
) -> None:
    """AUTH-27, AUTH-32."""
    subject = name(((C, PRINTABLE, b"DE"),), part, ((EMAIL, IA5, b"last@x"),))
    certificate = make_certificate.make(subject, name(part))
    found, shown = make_certificate.ask_openssl(certificate), describe(certificate)
    assert shown.subject == found["subject"]
    assert shown.issuer == found["issuer"]
    assert all(0x20 <= octet < 0x7F for octet in shown.subject + shown.issuer)  # nothing can end a header line


def test_an_empty_name(make_certificate: Certificates) -> None:
    certificate = make_certificate.make(name(), name())
    assert describe(certificate).subject == b""
    assert make_certificate.ask_openssl(certificate)["subject"] == b""


def test_the_examples_of_the_rule_book() -> None:
    """AUTH-27."""
    parts = [((C, PRINTABLE, b"DE"),), ((ORG, UTF8, "Ü".encode()),), ((CN, UTF8, b"cli.example.org"),)]
    subject = name(*parts, ((EMAIL, IA5, b"x@y.z"),))
    assert format_name(parse_name(subject[2:])) == rb"emailAddress=x@y.z,CN=cli.example.org,O=\C3\9C,C=DE"
    issuer = name(((C, PRINTABLE, b"DE"),), ((ORG, UTF8, b"Test, Inc"),), ((CN, UTF8, b"Test CA"),))
    assert format_name(parse_name(issuer[2:])) == rb"CN=Test CA,O=Test\, Inc,C=DE"


@pytest.mark.parametrize(
    ("serial", "shown"),
    [
        (b"\x01", b"01"),
        (b"\x0a\x1b\x2c\x3d\x4e\x5f", b"0A1B2C3D4E5F"),
        (b"\x00\xff", b"FF"),
        (b"\x00", b"00"),
        (b"\xff", b"-01"),
        (b"\x7f" * 20, b"7F" * 20),
    ],
)
def test_serial_numbers(serial: bytes, shown: bytes, make_certificate: Certificates) -> None:
    """AUTH-27: also those that no authority should use."""
    certificate = make_certificate.make(name(), name(), serial)
    assert describe(certificate).serial == shown
    assert make_certificate.ask_openssl(certificate)["serial"] == shown


def test_fingerprints(make_certificate: Certificates) -> None:
    """AUTH-27."""
    certificate = make_certificate.make(name(), name())
    (found,) = (value for key, value in make_certificate.ask_openssl(certificate).items() if "fingerprint" in key)
    assert describe(certificate).fingerprint == found.replace(b":", b"").lower()


def test_the_last_common_name_counts() -> None:
    """PROXY-99: what a version 2 header says of the client."""
    certificate = Certificates(Path(), b"").make(
        name(((CN, UTF8, b"first"),), ((ORG, UTF8, b"x"),), ((CN, BMP, "längste".encode("utf-16-be")),)), name()
    )
    assert describe(certificate).common_name == "längste".encode()
    assert parse_subjects(Certificates(Path(), b"").make(name(), name())).common_name is None


texts = st.text(st.characters(codec="utf-8"), max_size=30)
kinds = st.sampled_from([(UTF8, "utf-8"), (UNIVERSAL, "utf-32-be")])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(text=texts, kind=kinds, oid=st.sampled_from([CN, ORG, UNKNOWN, EMAIL]))
def test_any_text_is_as_openssl_writes_it(
    text: str, kind: tuple[int, str], oid: str, make_certificate: Certificates
) -> None:
    """AUTH-27."""
    certificate = make_certificate.make(name(((oid, kind[0], text.encode(kind[1])),)), name())
    assert describe(certificate).subject == make_certificate.ask_openssl(certificate)["subject"]


@given(data=st.data())
def test_damaged_certificates_are_unreadable_or_described(data: st.DataObject) -> None:
    """TLS-46: a certificate can do no worse than be refused."""
    damaged = bytearray(Certificates(Path(), b"key").make(name(CASES[0]), name(CASES[-1])))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        shown = describe(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    except ValueError:
        return
    assert all(0x20 <= octet < 0x7F for octet in shown.subject + shown.issuer + shown.serial)


@given(octets=st.binary(max_size=60))
@example(octets=b"")
@example(octets=b"\x30")
@example(octets=b"\x30\x80\0\0")
@example(octets=b"\x30\x8f" + b"\xff" * 15)
def test_no_octets_crash_the_reader(octets: bytes) -> None:
    for parse in (parse_subjects, parse_name):
        try:
            parse(octets)
        except ValueError:
            continue


def test_names_of_ordinary_certificates_are_those_that_cryptography_reads() -> None:
    names = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a"), x509.NameAttribute(x509.NameOID.TITLE, "b")])
    (whole,) = [names.public_bytes()]
    assert format_name(parse_name(whole[2:])) == b"title=b,CN=a"
