"""The verdict on clients' certificates, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from refproxy.config.settings import VerifyClient
from refproxy.wire.auth_http import format_tls_lines
from refproxy.wire.tls_facts import CertificateRefusal, ClientCertificate, TlsFacts, refuse_certificate

CERTIFICATE = ClientCertificate(b"CN=c", b"CN=i", b"01", b"ab", b"-----BEGIN\nx%+/=\n", b"c")
FACTS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", verify_code=0, verify_text="ok")
OFF, ON, OPTIONAL, NO_CA = VerifyClient.OFF, VerifyClient.ON, VerifyClient.OPTIONAL, VerifyClient.OPTIONAL_NO_CA


@pytest.mark.parametrize("code", range(100))
def test_only_an_unknown_issuer_is_tolerated_and_only_where_it_is_wanted(code: int) -> None:
    """TLS-44, TLS-45."""
    facts = replace(FACTS, certificate=CERTIFICATE, verify_code=code, verify_text="text")
    refused = CertificateRefusal(b"SSL certificate error", f"client SSL certificate verify error: ({code}:text)")
    strict = None if code == 0 else refused
    assert [refuse_certificate(facts, mode) for mode in (OFF, ON, OPTIONAL)] == [None, strict, strict]
    assert refuse_certificate(facts, NO_CA) == (None if code in {0, 18, 19, 20, 21, 27} else refused)


def test_no_certificate() -> None:
    """TLS-44, TLS-46."""
    missing = CertificateRefusal(b"No required SSL certificate", "client sent no required SSL certificate")
    assert [refuse_certificate(FACTS, mode) for mode in (OFF, ON, OPTIONAL, NO_CA)] == [None, missing, None, None]
    assert not FACTS.verified


@pytest.mark.parametrize("passed", [False, True])
def test_lines_for_the_auth_server(passed: bool) -> None:
    """AUTH-29 to AUTH-33."""
    always = ((b"Auth-SSL", b"on"), (b"Auth-SSL-Protocol", b"TLSv1.3"), (b"Auth-SSL-Cipher", FACTS.cipher.encode()))
    assert format_tls_lines(replace(FACTS, verify_code=None), pass_certificate=passed) == always
    assert format_tls_lines(FACTS, pass_certificate=passed) == (*always, (b"Auth-SSL-Verify", b"NONE"))
    failed = replace(FACTS, certificate=CERTIFICATE, verify_code=18, verify_text="self-signed certificate")
    for facts, verdict in (
        (replace(FACTS, certificate=CERTIFICATE), b"SUCCESS"),
        (failed, b"FAILED:self-signed certificate"),
    ):
        expected = [
            *always,
            (b"Auth-SSL-Verify", verdict),
            (b"Auth-SSL-Subject", b"CN=c"),
            (b"Auth-SSL-Issuer", b"CN=i"),
            (b"Auth-SSL-Serial", b"01"),
            (b"Auth-SSL-Fingerprint", b"ab"),
        ]
        if passed:
            expected.append((b"Auth-SSL-Cert", b"-----BEGIN%0Ax%25+/=%0A"))
        assert format_tls_lines(facts, pass_certificate=passed) == tuple(expected)
