"""What is wrong with TLS in a configuration: each fault in its words, at its place, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from refproxy.config.load import ConfigErrors, load
from refproxy.net.tls.check import check_tls
from tests.pki import Pki

Faults = Callable[[str], list[str]]
START = "events { }\nmail { auth_http 127.0.0.1:9; server { listen 143; starttls on;\n"
"""Two lines; what follows is on line 3."""


@pytest.fixture
def faults(tmp_path: Path, pki: Pki) -> Faults:
    """The faults of a server's directives, with positions in a file `F` and files in a directory `D`."""
    for name in ("server", "ca"):
        (tmp_path / f"{name}.pem").write_bytes((pki.directory / f"{name}.pem").read_bytes())
    (tmp_path / "other.pem").write_bytes(pki.authority.issue_cert("x").private_key_and_cert_chain_pem.bytes())
    (tmp_path / "rsa.pem").write_bytes(Path(pki.rsa).read_bytes())
    (tmp_path / "empty").touch()
    (tmp_path / "garbage").write_bytes(b"no PEM at all \xff\n")
    cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (tmp_path / "damaged").write_bytes(cut + cut.replace(b"CERTIFICATE", b"PRIVATE KEY"))
    key = serialization.load_pem_private_key(pki.authority.issue_cert("x").private_key_pem.bytes(), None)
    secret = serialization.BestAvailableEncryption(b"open sesame")
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "secret.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    (tmp_path / "phrases").write_bytes(b"wrong phrase\nanother wrong one\n")

    def find(text: str) -> list[str]:
        path = tmp_path / "F"
        path.write_text(START + text + "\n} }\n")
        try:
            load(path, check_tls=check_tls)
        except ConfigErrors as errors:
            texts = [fault.text + (f" in {fault.where}" if fault.where else "") for fault in errors.faults]
            return [text.replace(f"{tmp_path}/F", "F").replace(str(tmp_path), "D") for text in texts]
        return []

    return find


NO_CIPHER = 'SSL_CTX_set_cipher_list("bogus") failed (SSL: error:SSL routines::no cipher match) in F:4'
GOOD = "ssl_certificate server.pem; ssl_certificate_key server.pem;"


def test_a_good_configuration_has_no_faults(faults: Faults) -> None:
    assert faults(GOOD) == []
    assert faults(f"{GOOD}\nssl_verify_client on; ssl_client_certificate ca.pem; ssl_trusted_certificate ca.pem;") == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "ssl_certificate nowhere;\nssl_certificate_key server.pem;",
            'cannot load certificate "D/nowhere": BIO_new_file() failed '
            "(SSL: error:80000002:system library::No such file or directory) in F:3",
        ),
        (
            "ssl_certificate empty;\nssl_certificate_key server.pem;",
            'cannot load certificate "D/empty": PEM_read_bio_X509_AUX() failed '
            "(SSL: error:PEM routines::no start line) in F:3",
        ),
        (
            "ssl_certificate garbage;\nssl_certificate_key server.pem;",
            'cannot load certificate "D/garbage": PEM_read_bio_X509_AUX() failed '
            "(SSL: error:PEM routines::no start line) in F:3",
        ),
        (
            "ssl_certificate server.pem;\nssl_certificate_key nowhere;",
            'cannot load certificate key "D/nowhere": BIO_new_file() failed '
            "(SSL: error:80000002:system library::No such file or directory) in F:4",
        ),
        (
            "ssl_certificate server.pem;\nssl_certificate_key garbage;",
            'cannot load certificate key "D/garbage": PEM_read_bio_PrivateKey() failed '
            "(SSL: error:PEM routines::no start line) in F:4",
        ),
        (
            "ssl_certificate server.pem;\nssl_certificate_key other.pem;",
            'SSL_CTX_use_PrivateKey("D/other.pem") failed '
            "(SSL: error:x509 certificate routines::key values mismatch) in F:4",
        ),
        (
            "ssl_certificate server.pem;\nssl_certificate_key rsa.pem;",
            'SSL_CTX_use_PrivateKey("D/rsa.pem") failed '
            "(SSL: error:x509 certificate routines::key values mismatch) in F:4",
        ),
        (
            "ssl_certificate server.pem;\nssl_certificate_key engine:pkcs11:id;",
            'cannot load certificate key "engine:pkcs11:id": the TLS library has no engines in F:4',
        ),
        (
            "ssl_certificate server.pem;\nssl_certificate_key secret.pem;",
            'cannot load certificate key "D/secret.pem": PEM_read_bio_PrivateKey() failed (SSL: error:PEM routines::'
            "the key is encrypted, and no ssl_password_file has a pass phrase that fits) in F:4",
        ),
        (f"{GOOD}\nssl_ciphers bogus;", NO_CIPHER),
        (f"{GOOD}\nssl_protocols SSLv2 SSLv3;", "none of SSLv2, SSLv3 exists in the TLS library in F:4"),
        (
            f"{GOOD}\nssl_dhparam nowhere;",
            'BIO_new_file("D/nowhere") failed (SSL: error:80000002:system library::No such file or directory) in F:4',
        ),
        (
            f"{GOOD}\nssl_session_cache builtin:100;",
            'session cache "builtin:100": the TLS library has one size only, 20480 sessions in F:4',
        ),
        (
            f"{GOOD}\nssl_session_ticket_key garbage;",
            "session ticket keys cannot be given to the TLS library; each process makes its own in F:4",
        ),
        (f"{GOOD}\nssl_certificate_compression on;", "the TLS library does not compress certificates in F:4"),
        (
            f"{GOOD}\nssl_conf_command MinProtocol TLSv1.2;\nssl_conf_command Bogus x;",
            'SSL_CONF_cmd("Bogus", "x") failed: the TLS library takes no such command here; it takes CipherString, '
            "Ciphersuites, Groups, MaxProtocol, MinProtocol, Options, SignatureAlgorithms in F:5",
        ),
        (
            f"{GOOD}\nssl_conf_command MinProtocol SSLv3;\nssl_conf_command MinProtocol TLSv1.2;",
            'SSL_CONF_cmd("MinProtocol", "SSLv3") failed: expected None, TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3 in F:4',
        ),
        (
            f"{GOOD}\nssl_verify_client on; ssl_client_certificate ca.pem;\nssl_crl garbage;",
            'cannot load CRL "D/garbage": PEM_read_bio_X509_CRL() failed '
            "(SSL: error:PEM routines::no start line) in F:5",
        ),
        (
            f"{GOOD}\nssl_verify_client on; ssl_client_certificate ca.pem;\nssl_crl nowhere;",
            'cannot load CRL "D/nowhere": BIO_new_file() failed '
            "(SSL: error:80000002:system library::No such file or directory) in F:5",
        ),
        (
            "proxy_ssl_certificate server.pem;",
            'no "proxy_ssl_certificate_key" is defined for certificate "D/server.pem" in F:2',
        ),
        ("proxy_ssl_verify on;", "no proxy_ssl_trusted_certificate for proxy_ssl_verify in F:2"),
        ("proxy_ssl on;\nproxy_ssl_ciphers bogus;", NO_CIPHER),
        ("proxy_ssl on;\nproxy_ssl_protocols SSLv3;", "none of SSLv3 exists in the TLS library in F:4"),
        (
            "proxy_ssl_certificate server.pem;\nproxy_ssl_certificate_key other.pem;",
            'SSL_CTX_use_PrivateKey("D/other.pem") failed '
            "(SSL: error:x509 certificate routines::key values mismatch) in F:4",
        ),
    ],
)
def test_each_fault_in_its_words(text: str, fault: str, faults: Faults) -> None:
    """TLS-4 to TLS-17, TLS-27, TLS-63."""
    found = faults(text if text.startswith("ssl_certificate ") else f"{text} {GOOD}")
    assert found == [fault]


@pytest.mark.parametrize(
    ("directive", "call"),
    [
        ("ssl_dhparam", "PEM_read_bio_DHparams"),
        ("ssl_client_certificate", "SSL_CTX_load_verify_locations"),
        ("ssl_trusted_certificate", "SSL_CTX_load_verify_locations"),
        ("ssl_ecdh_curve", "SSL_CTX_set1_curves_list"),
        ("proxy_ssl_trusted_certificate", "SSL_CTX_load_verify_locations"),
    ],
)
@pytest.mark.parametrize("file", ["empty", "garbage", "damaged"])
def test_files_of_which_openssl_makes_nothing(directive: str, call: str, file: str, faults: Faults) -> None:
    """TLS-8, TLS-11, TLS-12, TLS-20, TLS-63."""
    (fault,) = faults(f"{GOOD} ssl_verify_client optional_no_ca;\n{directive} {file};")
    shown = file if directive == "ssl_ecdh_curve" else f"D/{file}"
    assert fault.startswith(f'{call}("{shown}") failed (SSL: ')
    assert fault.endswith(" in F:4")


@pytest.mark.parametrize("directive", ["ssl_certificate", "ssl_certificate_key"])
def test_damaged_pem(directive: str, faults: Faults) -> None:
    """TLS-4, TLS-5."""
    (fault,) = faults(GOOD.replace(f"{directive} server.pem", f"\n{directive} damaged"))
    assert "load certificate" in fault
    assert "error:PEM routines::" in fault


def test_statements_of_lists_are_blamed_one_by_one(faults: Faults) -> None:
    """TLS-27: each certificate and key has a line of its own."""
    pairs = ["server.pem", "nowhere", "garbage"]
    text = "\n".join(f"ssl_certificate {name};\nssl_certificate_key server.pem;" for name in pairs)
    assert [fault.rpartition(" in ")[2] for fault in faults(text)] == ["F:5", "F:7"]
    text = "\n".join(f"ssl_certificate server.pem;\nssl_certificate_key {name};" for name in pairs)
    assert [fault.rpartition(" in ")[2] for fault in faults(text)] == ["F:6", "F:8"]


def test_all_faults_are_told_in_their_order(faults: Faults) -> None:
    """TLS-27."""
    directives = [
        ("ssl_conf_command Bogus x;", "SSL_CONF_cmd"),
        ("ssl_session_ticket_key nowhere;", "session ticket keys"),
        ("ssl_session_cache builtin:1;", "session cache"),
        ("ssl_ecdh_curve bogus;", "SSL_CTX_set1_curves_list"),
        ("ssl_dhparam nowhere;", "BIO_new_file"),
        ("ssl_verify_client on; ssl_client_certificate garbage;", "SSL_CTX_load_verify_locations"),
        ("ssl_certificate nowhere; ssl_certificate_key server.pem;", "cannot load certificate"),
        ("ssl_ciphers bogus;", "SSL_CTX_set_cipher_list"),
    ]
    found = faults("\n".join(text for text, _ in directives))
    assert len(found) == len(directives)
    for fault, (number, (_, words)) in zip(reversed(found), enumerate(directives, 3), strict=True):
        assert fault.startswith(words)
        assert fault.endswith(f" in F:{number}")


def test_missing_certificates_do_not_hide_the_other_faults(faults: Faults) -> None:
    """TLS-25, TLS-27."""
    found = faults("ssl_ciphers bogus;")
    assert [fault.split(" ")[0] for fault in found] == ["no", 'SSL_CTX_set_cipher_list("bogus")']


def test_files_are_left_alone_where_no_client_is_verified(faults: Faults) -> None:
    """TLS-8, TLS-10."""
    assert faults(f"{GOOD} ssl_client_certificate nowhere; ssl_trusted_certificate nowhere; ssl_crl nowhere;") == []


def test_servers_without_tls_are_not_checked(faults: Faults) -> None:
    """TLS-24, TLS-Q9."""
    text = "} server { listen 110; protocol pop3; ssl_certificate nowhere; ssl_ciphers bogus; ssl_dhparam nowhere;"
    assert faults(f"{GOOD}\n{text}") == []


def test_no_message_shows_a_key_or_a_pass_phrase(faults: Faults, pki: Pki) -> None:
    """TLS-5, TLS-13: neither of `data:` nor of files."""
    pem = pki.authority.issue_cert("x").private_key_pem.bytes().decode()
    broken = pem.replace("KEY-----\n", "KEY-----\n!", 1)
    texts = [
        f"ssl_certificate server.pem; ssl_certificate_key 'data:{pem}';",
        f"ssl_certificate server.pem; ssl_certificate_key 'data:{broken}';",
        f"ssl_certificate 'data:{broken}'; ssl_certificate_key server.pem;",
        "ssl_certificate server.pem; ssl_certificate_key secret.pem; ssl_password_file phrases;",
    ]
    for text in texts:
        (fault,) = faults(text)
        assert pem.splitlines()[1] not in fault
        assert "phrase\n" not in fault
        assert "wrong" not in fault
        assert "BEGIN" not in fault
    assert 'SSL_CTX_use_PrivateKey("data:***")' in faults(texts[0])[0]


def test_a_key_of_a_kind_that_is_not_for_tls(faults: Faults, tmp_path: Path) -> None:
    """TLS-5: the libraries between OpenSSL and us do not know every curve."""
    x25519 = "MC4CAQAwBQYDK2VuBCIEIEhIAkaMGHEjxGO0Kx1nvTpVYd9C6EaTmtpEYJfiA+x4"
    (tmp_path / "x25519").write_text(f"-----BEGIN PRIVATE KEY-----\n{x25519}\n-----END PRIVATE KEY-----\n")
    (fault,) = faults("ssl_certificate server.pem; ssl_certificate_key x25519;")
    assert "keys of this kind are not for TLS" in fault
