"""The PROXY header to a backend (proxy rules, section 3)."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.wire.proxy_header import SIGNATURE_V2, V2_LIMIT, Endpoints, crc32c, format_v1, format_v2
from refproxy.wire.proxy_header_in import Conveyed, ProxyHeaderIn, parse_proxy_header
from refproxy.wire.tls_facts import ClientCertificate, TlsFacts


@pytest.mark.parametrize(
    ("endpoints", "header"),
    [
        (Endpoints("127.0.0.1", "127.0.0.1", 51790, 21032), b"PROXY TCP4 127.0.0.1 127.0.0.1 51790 21032\r\n"),
        (Endpoints("::1", "::1", 39860, 21032), b"PROXY TCP6 ::1 ::1 39860 21032\r\n"),
        (
            Endpoints("::ffff:127.0.0.1", "::ffff:127.0.0.1", 45882, 21029),
            b"PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 45882 21029\r\n",
        ),
        (Endpoints("2001:db8::1", "127.0.0.1", 123, 25), b"PROXY TCP6 2001:db8::1 ::ffff:127.0.0.1 123 25\r\n"),
        (
            Endpoints("2001:DB8:0:0:1:0:0:1", "1:0:2:3:4:5:6:7", 1, 65535),
            b"PROXY TCP6 2001:db8::1:0:0:1 1:0:2:3:4:5:6:7 1 65535\r\n",
        ),
        (None, b"PROXY UNKNOWN\r\n"),
    ],
)
def test_version_1(endpoints: Endpoints | None, header: bytes) -> None:
    """PROXY-15 to PROXY-19, PROXY-98."""
    assert format_v1(endpoints) == header


@pytest.mark.parametrize(
    ("endpoints", "start", "addresses"),
    [
        (Endpoints("192.0.2.7", "198.51.100.1", 4444, 25), b"\x21\x11\0\x13", bytes([192, 0, 2, 7, 198, 51, 100, 1])),
        (Endpoints("::1", "::2", 4444, 25), b"\x21\x21\0\x2b", bytes(15) + b"\1" + bytes(15) + b"\2"),
        (Endpoints("::ffff:1.2.3.4", "::ffff:5.6.7.8", 4444, 25), b"\x21\x11\0\x13", bytes([1, 2, 3, 4, 5, 6, 7, 8])),
        (None, b"\x20\0\0\7", b""),
    ],
)
def test_version_2(endpoints: Endpoints | None, start: bytes, addresses: bytes) -> None:
    """PROXY-21 to PROXY-23: the checksum is over the header with its own place zero."""
    header = format_v2(endpoints)
    ports = struct.pack("!HH", 4444, 25) if endpoints else b""
    assert header[:-4] == SIGNATURE_V2 + start + addresses + ports + b"\3\0\4"
    assert header[-4:] == struct.pack("!I", crc32c(header[:-4] + bytes(4)))
    assert int.from_bytes(header[14:16]) == len(header) - 16


def test_the_checksum_is_castagnoli() -> None:
    """The check value of CRC-32C."""
    assert crc32c(b"123456789") == 0xE3069283


# -- the TLVs of version 2 -----------------------------------------------------------------------------------------

ENDS = Endpoints("192.0.2.7", "198.51.100.1", 4444, 25)
ADDRESSES = bytes.fromhex("c0000207 c6336401 115c 0019")
CERTIFICATE = ClientCertificate(b"CN=ada", b"CN=ca", b"01", b"ff", b"PEM", b"ada")
PLAIN_TLS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")
RICH_TLS = TlsFacts(
    "TLSv1.2",
    "ECDHE-RSA-AES128-GCM-SHA256",
    server_name=b"mx.example",
    alpn=b"smtp",
    verify_code=0,
    verify_text="ok",
    certificate=CERTIFICATE,
    signature_algorithm="SHA256",
    key_algorithm="RSA2048",
)


def tlvs(octets: bytes) -> list[tuple[int, bytes]]:
    """Types and values, by the description in the PROXY protocol, section 2.2; they must fill the octets exactly."""
    found = []
    while octets:
        assert len(octets) >= 3, "a TLV has a type and a length"
        kind, length = octets[0], octets[1] * 256 + octets[2]
        assert len(octets) >= 3 + length, "a value ends within the header"
        found.append((kind, octets[3 : 3 + length]))
        octets = octets[3 + length :]
    return found


def tlvs_of(header: bytes) -> dict[int, bytes]:
    """The TLVs of a header over IPv4, after a check of everything that no TLV changes."""
    assert header[:14] == SIGNATURE_V2 + b"\x21\x11"
    assert int.from_bytes(header[14:16]) == len(header) - 16
    assert header[16:28] == ADDRESSES
    assert header[-7:-4] == b"\3\0\4"
    assert int.from_bytes(header[-4:]) == crc32c(header[:-4] + bytes(4))
    found = tlvs(header[28:-7])
    assert [kind for kind, _ in found] == [kind for kind in (0x02, 0x01, 0x20, 0x05) if kind in dict(found)]
    return dict(found)


def test_the_octets_of_a_tls_session() -> None:
    """PROXY-23, in its order."""
    sub_tlvs = b"\x21\0\x07TLSv1.2\x22\0\x03ada\x23\0\x1bECDHE-RSA-AES128-GCM-SHA256\x24\0\x06SHA256\x25\0\x07RSA2048"
    block = (
        ADDRESSES
        + b"\x02\0\x0amx.example"
        + b"\x01\0\x04smtp"
        + (b"\x20\0" + bytes([5 + len(sub_tlvs)]) + b"\x07\0\0\0\0" + sub_tlvs)
    )
    header = format_v2(ENDS, RICH_TLS)
    assert header[:-4] == SIGNATURE_V2 + b"\x21\x11" + bytes([0, len(block) + 7]) + block + b"\3\0\4"
    assert int.from_bytes(header[-4:]) == crc32c(header[:-4] + bytes(4))


def test_a_tls_session_of_which_little_is_known() -> None:
    """PROXY-23: neither SNI nor ALPN nor certificate."""
    assert tlvs_of(format_v2(ENDS, PLAIN_TLS)) == {
        0x20: b"\x01\0\0\0\x01\x21\0\x07TLSv1.3\x23\0\x16TLS_AES_256_GCM_SHA384"
    }


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({}, b"\x07\0\0\0\0"),
        ({"resumed": True}, b"\x05\0\0\0\0"),
        ({"verify_code": 18}, b"\x07\0\0\0\x12"),
        ({"verify_code": 18, "resumed": True}, b"\x05\0\0\0\x12"),
        ({"verify_code": None}, b"\x07\0\0\0\x01"),
        ({"certificate": None}, b"\x01\0\0\0\x01"),
        ({"certificate": None, "verify_code": None, "resumed": True}, b"\x01\0\0\0\x01"),
    ],
)
def test_flags_and_verify_result(changes: dict[str, object], start: bytes) -> None:
    """PROXY-23: nobody is called verified who was not."""
    # The changes are of the fields' types; a dict of several types cannot say so.
    tls = replace(RICH_TLS, **changes)  # type: ignore[arg-type]
    assert tlvs_of(format_v2(ENDS, tls))[0x20][:5] == start


def test_a_certificate_without_a_common_name() -> None:
    """PROXY-23, PROXY-100."""
    tls = replace(RICH_TLS, certificate=replace(CERTIFICATE, common_name=None))
    assert [kind for kind, _ in tlvs(tlvs_of(format_v2(ENDS, tls))[0x20][5:])] == [0x21, 0x23, 0x24, 0x25]


@pytest.mark.parametrize("tls", [None, PLAIN_TLS, RICH_TLS])
def test_the_unique_id_stands_before_the_checksum(tls: TlsFacts | None) -> None:
    """PROXY-99."""
    found = tlvs_of(format_v2(ENDS, tls, b"id-7"))
    assert found[0x05] == b"id-7"
    assert {kind: value for kind, value in found.items() if kind != 0x05} == tlvs_of(format_v2(ENDS, tls))


def test_local_headers_have_the_tlvs_too() -> None:
    """PROXY-22, PROXY-99."""
    header = format_v2(None, PLAIN_TLS, b"id-7")
    assert header[:14] == SIGNATURE_V2 + b"\x20\0"
    assert int.from_bytes(header[14:16]) == len(header) - 16
    assert [kind for kind, _ in tlvs(header[16:])] == [0x20, 0x05, 0x03]


ROOM = 536 - 16 - 12 - 7 - 8
"""What the values of a header over IPv4 may take, with the start of each."""


@pytest.mark.parametrize(
    ("length", "left_out"),
    [(ROOM - 3 - 10 - 25, set()), (ROOM - 3 - 10 - 25 + 1, {"long"}), (10_000, {"long"}), (100_000, {"long"})],
)
@pytest.mark.parametrize("kind", [0x02, 0x01, 0x22])
def test_a_name_that_is_too_long_is_left_out_as_a_whole(kind: int, length: int, left_out: set[str]) -> None:
    """PROXY-100: a name that was cut would be another name; all others stay."""
    long = b"x" * length
    tls = replace(PLAIN_TLS, certificate=replace(CERTIFICATE, common_name=None))
    match kind:
        case 0x02:
            tls = replace(tls, server_name=long)
        case 0x01:
            tls = replace(tls, alpn=long)
        case _:
            tls = replace(tls, certificate=replace(CERTIFICATE, common_name=long))
    header = format_v2(ENDS, tls)
    found = tlvs_of(header)
    found |= dict(tlvs(found[0x20][5:]))
    assert found.get(kind) == (None if left_out else long)
    assert (found[0x21], found[0x23]) == (b"TLSv1.3", b"TLS_AES_256_GCM_SHA384")
    assert found[0x20][0] == 0x07  # that there was a certificate is said all the same
    assert left_out or len(header) == V2_LIMIT


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        ((300, 200, 64), {0x01, 0x22}),
        ((200, 255, 64), {0x02, 0x22}),
        ((64, 10, 2000), {0x02, 0x01}),
        ((2000, 3000, 4000), set()),
        ((250, 250, 64), {0x01, 0x22}),
        ((0, 0, 0), set()),
    ],
)
def test_the_longest_names_give_way(names: tuple[int, int, int], kinds: set[int]) -> None:
    """PROXY-100."""
    server_name, alpn, common_name = (b"x" * length for length in names)
    certificate = replace(CERTIFICATE, common_name=common_name)
    found = tlvs_of(format_v2(ENDS, replace(RICH_TLS, server_name=server_name, alpn=alpn, certificate=certificate)))
    assert (set(found) | set(dict(tlvs(found[0x20][5:])))) - {0x20, 0x21, 0x23, 0x24, 0x25} == kinds


def test_what_cannot_be_left_out_always_fits() -> None:
    """PROXY-100: the largest addresses and the longest id."""
    long = "x" * 300
    tls = TlsFacts(long, long, long.encode(), long.encode(), 0, "ok", replace(CERTIFICATE, common_name=b"x" * 300))
    tls = replace(tls, signature_algorithm=long, key_algorithm="x" * 334)
    header = format_v2(Endpoints("::1", "::2", 1, 2), tls, b"i" * 128)
    assert [kind for kind, _ in tlvs(header[16 + 36 :])] == [0x20, 0x05, 0x03]
    assert len(header) <= V2_LIMIT


def test_an_id_that_is_too_long_is_our_own_defect() -> None:
    """PROXY-99."""
    with pytest.raises(AssertionError):
        format_v2(ENDS, None, b"i" * 129)


NAMES = st.none() | st.binary(max_size=300)
TEXTS = st.text(max_size=300)
CERTIFICATES = st.none() | st.builds(replace, st.just(CERTIFICATE), common_name=NAMES)
SESSIONS = st.builds(
    TlsFacts,
    TEXTS,
    TEXTS,
    server_name=NAMES,
    alpn=NAMES,
    verify_code=st.none() | st.integers(0, 100),
    certificate=CERTIFICATES,
    signature_algorithm=TEXTS,
    key_algorithm=TEXTS,
    resumed=st.booleans(),
)


@settings(derandomize=True, deadline=None)
@given(SESSIONS, st.none() | st.binary(max_size=128))
def test_whatever_names_there_are_the_header_is_well_formed(tls: TlsFacts, unique_id: bytes | None) -> None:
    """PROXY-23, PROXY-99, PROXY-100; and our own reader takes the addresses and skips the rest, CORE-63."""
    header = format_v2(ENDS, tls, unique_id)
    found = tlvs_of(header)
    assert found.get(0x05) == unique_id
    assert (found[0x20][1:5] == bytes(4)) is tls.verified
    for kind, value in tlvs(found[0x20][5:]):
        assert 0x21 <= kind <= 0x25
        assert value
    assert len(header) <= V2_LIMIT
    conveyed = Conveyed("192.0.2.7", "198.51.100.1", 4444, 25)
    assert parse_proxy_header(header + b"EHLO") == ProxyHeaderIn(len(header), conveyed)
    assert parse_proxy_header(header[:-1]) is None
