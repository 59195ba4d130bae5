"""SASL as octets (sasl rules)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.errors import WireError
from refproxy.wire import sasl

ALICE = b"alice@example.org"


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b"AHVzZXIAcGFz", b"\0user\0pas"),
        (b"AHVzZXIAcGFzcw", b"\0user\0pass"),
        (b"AHVzZXIAcGFzcw==", b"\0user\0pass"),
        (b"AHVzZXIAcGFzcw==junk!", b"\0user\0pass"),
        (b"=", b""),
        (b"", b""),
        (b"*", None),
        (b"!!!!", None),
        (b'"AA=="', None),
        (b"abcde", None),
        (b"A-_A", None),
    ],
)
def test_base64(text: bytes, octets: bytes | None) -> None:
    """SASL-12, SMTP-63."""
    if octets is None:
        with pytest.raises(WireError):
            sasl.decode_base64(text)
    else:
        assert sasl.decode_base64(text) == octets


@settings(derandomize=True, deadline=None)
@given(st.binary())
def test_base64_round_trip(octets: bytes) -> None:
    assert sasl.decode_base64(sasl.encode_base64(octets)) == octets


@settings(derandomize=True, deadline=None)
@given(st.binary().filter(lambda octets: b"\0" not in octets), st.binary())
def test_plain_round_trip(user: bytes, password: bytes) -> None:
    credentials = sasl.parse_plain(sasl.format_plain(user, password))
    assert (credentials.user, credentials.password and credentials.password.reveal()) == (user, password)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"user=alice@example.org\x01auth=Bearer ya29.tok\x01\x01", (ALICE, b"ya29.tok")),
        (b"USER=u\x01AUTH=bearer t\x01\x01", (b"u", b"t")),
        (b"user=\x01auth=Bearer t\x01\x01", (b"", b"t")),
        (b"user=u\x01auth=Bearer \x01\x01", (b"u", b"")),
        (b"user=u\x01auth=Bearer t\x01k=v\x01\x01", (b"u", b"t\x01k=v")),
        (b"user=u\x01auth=Bearer t\x01", None),
        (b"user=u\x01host=h\x01auth=Bearer t\x01\x01", None),
        (b"user=u", None),
        (b"u\x01auth=Bearer t\x01\x01", None),
        (b"user=u\x01auth=Basic t\x01\x01", None),
        (b"", None),
    ],
)
def test_xoauth2(message: bytes, fields: tuple[bytes, bytes] | None) -> None:
    """SASL-45."""
    if fields is None:
        with pytest.raises(WireError):
            sasl.parse_xoauth2(message)
    else:
        found = sasl.parse_xoauth2(message)
        assert found.password is not None
        assert (found.user, found.password.reveal()) == fields


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"n,a=u@x,\x01host=h\x01port=143\x01auth=Bearer t\x01\x01", (b"u@x", b"t")),
        (b"y,a=u,\x01auth=Bearer t\x01\x01", (b"u", b"t")),
        (b"p=tls-unique,a=u,\x01auth=Bearer t\x01\x01", (b"u", b"t")),
        (b",a=u,\x01auth=Bearer t\x01\x01", (b"u", b"t")),
        (b"n,x=1,a=u,\x01auth=Bearer t\x01\x01", (b"u", b"t")),
        (b"n,a=,a=bob,\x01auth=Bearer t\x01\x01", (b"bob", b"t")),
        (b"n,a=u,junk\x01auth=Bearer t\x01\x01", (b"u", b"t")),
        (b"n,a=u=2Cs=3dx,\x01auth=Bearer t\x01\x01", (b"u,s=x", b"t")),
        (b"n,A=u,\x01AUTH=bearer t\x01", (b"u", b"t")),
        (b"n,a=u,\x01auth=Basic x\x01auth=Bearer t\x01\x01", (b"u", b"t")),
        (b"auth=Bearer x,a=u,\x01auth=Bearer t\x01\x01", (b"u", b"t")),  # a GS2 flag is no field
        (b"n,a=u,\x01auth=Bearer t", None),
        (b"n,a=u\x01auth=Bearer t\x01\x01", None),
        (b"a=u,\x01auth=Bearer t\x01\x01", None),
        (b"n,,\x01auth=Bearer t\x01\x01", None),
        (b"n,a=,\x01auth=Bearer t\x01\x01", None),
        (b"n,a=u=41x,\x01auth=Bearer t\x01\x01", None),
        (b"n,a=u,\x01auth=Bearer \x01\x01", None),
        (b"", None),
    ],
)
def test_oauthbearer(message: bytes, fields: tuple[bytes, bytes] | None) -> None:
    """SASL-47 to SASL-49, SMTP-73."""
    if fields is None:
        with pytest.raises(WireError):
            sasl.parse_oauthbearer(message)
    else:
        found = sasl.parse_oauthbearer(message)
        assert found.password is not None
        assert (found.user, found.password.reveal()) == fields


def test_the_vectors_of_the_rule_book() -> None:
    """SASL section 10."""
    message = sasl.decode_base64(b"AGFsaWNlQGV4YW1wbGUub3JnAHMzY3IzdA==")
    assert sasl.parse_plain(message).user == ALICE
    line = b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
    salt = b"<1896.697170952@postoffice.reston.mci.net>"
    cram = sasl.parse_cram_md5(sasl.decode_base64(line), salt)
    assert cram.password is not None
    assert (cram.user, cram.password.reveal()) == (b"tim", b"b913a602c7eda7a495b4e6e7334d3890")
    assert (cram.salt, cram.reusable) == (salt, False)
    escaped = b"bixhPWE9MkNiPTNEYywBYXV0aD1CZWFyZXIgeWEyOS50b2sBAQ=="
    assert sasl.parse_oauthbearer(sasl.decode_base64(escaped)).user == b"a,b=c"
    assert sasl.format_salt(123456789, 1700000000, b"mx.example.test") == b"<123456789.1700000000@mx.example.test>"


@pytest.mark.parametrize("message", [b"user", b"user " + b"0" * 31, b"user " + b"0" * 33, b""])
def test_cram_md5_needs_a_digest_of_32_octets(message: bytes) -> None:
    """SASL-36."""
    with pytest.raises(WireError):
        sasl.parse_cram_md5(message, b"<1.1@x>")


def test_a_password_has_no_text() -> None:
    shown = repr(sasl.parse_login(b"u", b"hunter2")) + str(sasl.parse_login(b"u", b"hunter2").password)
    assert "hunter2" not in shown
