"""The PROXY header from a client (core rules, section 9.1)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refproxy.config.settings import TcpAddress
from refproxy.errors import WireError
from refproxy.wire.proxy_header import SIGNATURE_V2, Endpoints, format_v1, format_v2
from refproxy.wire.proxy_header_in import (
    HEADER_LIMIT,
    Conveyed,
    ProxyHeaderIn,
    auth_lines,
    broken_header,
    parse_proxy_header,
)

DIRECT = None
"""What a header conveys that says nothing of addresses (CORE-65)."""


def v2(rest: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    """A version 2 header with these octets behind the length."""
    return SIGNATURE_V2 + struct.pack("!BBH", command, family, len(rest) if length is None else length) + rest


V4_BLOCK = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 4444, 25)
V4 = Conveyed("192.0.2.7", "198.51.100.1", 4444, 25)
V6_BLOCK = bytes.fromhex("20010db8000000000001000000000001" + "0" * 31 + "1") + struct.pack("!HH", 0, 65535)
V6 = Conveyed("2001:db8::1:0:0:1", "::1", 0, 65535)
MAPPED_BLOCK = bytes(10) + b"\xff\xff" + bytes([1, 2, 3, 4]) + bytes(15) + b"\2" + struct.pack("!HH", 1, 2)
TLVS = b"\x03\x00\x04\xde\xad\xbe\xef" + b"\x05\xff\xff"  # a wrong checksum, and a length that leads outside
LONGEST_V1 = b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n"

COMPLETE = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4444 25\r\n", V4),
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 004444 0000025\r\n", V4),
    (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Conveyed("0.0.0.0", "255.255.255.255", 0, 65535)),
    (b"PROXY TCP6 2001:DB8::0:1 ::FFFF:1.2.3.4 1 2\r\n", Conveyed("2001:DB8::0:1", "::FFFF:1.2.3.4", 1, 2)),
    (LONGEST_V1, Conveyed("ffff:" * 7 + "ffff", "ffff:" * 7 + "ffff", 65535, 65535)),
    (b"PROXY UNKNOWN\r\n", DIRECT),
    (b"PROXY UNKNOWNX\r\n", DIRECT),
    (b"PROXY UNKNOWN ::1 127.0.0.1 x\ry \xff\0 9\r\r\n", DIRECT),
    (b"PROXY UNKNOWN" + b"x" * 92 + b"\r\n", DIRECT),
    (v2(V4_BLOCK), V4),
    (v2(V4_BLOCK + TLVS), V4),
    (v2(V6_BLOCK, family=0x21), V6),
    (v2(MAPPED_BLOCK + TLVS, family=0x21), Conveyed("::ffff:1.2.3.4", "::2", 1, 2)),
    (v2(V4_BLOCK + bytes(HEADER_LIMIT - 16 - 12)), V4),
    (v2(b"", command=0x20, family=0), DIRECT),
    (v2(b"\3\0\4\0\0\0\0", command=0x20, family=0), DIRECT),
    (v2(V4_BLOCK, command=0x20), DIRECT),  # LOCAL, whatever it says besides
    (v2(b"", command=0x20), DIRECT),  # and however little
    (v2(b"abc", command=0x22), DIRECT),  # an unknown command
    (v2(b"abc", command=0x2F), DIRECT),
    (v2(b"", family=0x00), DIRECT),  # UNSPEC
    (v2(V4_BLOCK, family=0x10), DIRECT),  # no transport
    (v2(V4_BLOCK, family=0x12), DIRECT),  # DGRAM
    (v2(b"ab", family=0x22), DIRECT),
    (v2(b"\0" * 216, family=0x31), DIRECT),  # UNIX
    (v2(b"", family=0x41), DIRECT),  # an unknown family
    (v2(b"", family=0xF1), DIRECT),
]


@pytest.mark.parametrize(("header", "conveyed"), COMPLETE)
def test_a_whole_header(header: bytes, conveyed: Conveyed | None) -> None:
    """CORE-61 to CORE-65."""
    assert parse_proxy_header(header) == ProxyHeaderIn(len(header), conveyed)


@pytest.mark.parametrize(("header", "conveyed"), COMPLETE)
def test_a_header_octet_by_octet(header: bytes, conveyed: Conveyed | None) -> None:
    """CORE-61."""
    assert [parse_proxy_header(header[:end]) for end in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(("header", "conveyed"), COMPLETE)
@pytest.mark.parametrize("behind", [b"EHLO c.example\r\n", b"\x16\x03\x01", b"\n", b"x" * 5000])
def test_what_follows_a_header_is_left_alone(header: bytes, conveyed: Conveyed | None, behind: bytes) -> None:
    """CORE-71, TLS-28."""
    assert parse_proxy_header(header + behind) == ProxyHeaderIn(len(header), conveyed)


def refusal(received: bytes) -> str:
    with pytest.raises(WireError) as caught:
        parse_proxy_header(received)
    return str(caught.value)


TCP4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 "

BROKEN_V1 = [  # what comes, up to the octet that decides; and what the log shows
    (b"E", "E"),
    (b"\x16", r"\x16"),
    (b"p", "p"),
    (b"\n", ""),
    (b"\r\r", ""),
    (b"PROXX", "PROXX"),
    (b"PROXY\r", "PROXY"),
    (b"PROXY  ", "PROXY  "),
    (b"PROXY t", "PROXY t"),
    (b"PROXY UNKNOWM", "PROXY UNKNOWM"),
    (b"PROXY UNKNOWN\n", "PROXY UNKNOWN"),
    (b"PROXY UNKNOWN x\n", "PROXY UNKNOWN x"),
    (b"PROXY UNKNOWN" + b"x" * 94, "PROXY UNKNOWN" + "x" * 94),
    (b"PROXY UNKNOWN" + b"x" * 93 + b"\r", "PROXY UNKNOWN" + "x" * 93),
    (b"PROXY UD", "PROXY UD"),
    (b"PROXY TCP5", "PROXY TCP5"),
    (b"PROXY TCP4\r", "PROXY TCP4"),
    (b"PROXY TCP44", "PROXY TCP44"),
    (b"PROXY TCP4 g", "PROXY TCP4 g"),
    (b"PROXY TCP6 fe80::1%", "PROXY TCP6 fe80::1%"),
    (b"PROXY TCP4 \xff", r"PROXY TCP4 \xff"),
    (b"PROXY TCP4 \x1b", r"PROXY TCP4 \x1b"),
    (TCP4 + b"-", "PROXY TCP4 192.0.2.7 198.51.100.1 -"),
    (TCP4 + b"4444 25\n", "PROXY TCP4 192.0.2.7 198.51.100.1 4444 25"),
    (TCP4 + b"4444 25\r\r", "PROXY TCP4 192.0.2.7 198.51.100.1 4444 25"),
    (TCP4 + b"4444 25 \r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 4444 25 "),
    (TCP4 + b"4444  25\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 4444  25"),
    (TCP4 + b"4444 25 26\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 4444 25 26"),
    (TCP4 + b"4444\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 4444"),
    (TCP4 + b"4444 \r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 4444 "),
    (TCP4 + b" 25\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1  25"),
    (TCP4 + b"65536 25\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 25"),
    (TCP4 + b"1 65536\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536"),
    (TCP4 + b"a 25\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 a 25"),
    (TCP4 + b"1.5 25\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 1.5 25"),
    (TCP4 + b"1 " + b"0" * 71, "PROXY TCP4 192.0.2.7 198.51.100.1 1 " + "0" * 71),
    (b"PROXY TCP4 \r\n", "PROXY TCP4 "),
    (b"PROXY TCP4  198.51.100.1 1 2\r\n", "PROXY TCP4  198.51.100.1 1 2"),
    (b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "PROXY TCP4  192.0.2.7 198.51.100.1 1 2"),
    (b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2 198.51.100.1 1 2"),
    (b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.256 198.51.100.1 1 2"),
    (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.07 198.51.100.1 1 2"),
    (b"PROXY TCP4 192.0.2.7 ab 1 2\r\n", "PROXY TCP4 192.0.2.7 ab 1 2"),
    (b"PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP4 ::1 ::2 1 2"),
    (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2"),
    (b"PROXY TCP6 ::1 1.2.3.4 1 2\r\n", "PROXY TCP6 ::1 1.2.3.4 1 2"),
    (b"PROXY TCP6 : :: 1 2\r\n", "PROXY TCP6 : :: 1 2"),
    (b"PROXY TCP6 1::2::3 :: 1 2\r\n", "PROXY TCP6 1::2::3 :: 1 2"),
]


@pytest.mark.parametrize(("received", "text"), BROKEN_V1)
def test_a_broken_header_is_refused_at_the_octet_that_decides(received: bytes, text: str) -> None:
    """CORE-62, CORE-64: whole, and octet by octet."""
    assert refusal(received) == f'broken header: "{text}"'
    assert [parse_proxy_header(received[:end]) for end in range(len(received))] == [None] * len(received)


@pytest.mark.parametrize(("received", "text"), BROKEN_V1)
def test_a_broken_header_stays_broken_whatever_follows(received: bytes, text: str) -> None:
    """CORE-64."""
    assert refusal(received + b"\r\nQUIT\r\n").startswith(f'broken header: "{text}')


@pytest.mark.parametrize(
    ("received", "text"),
    [
        (b"EHLO c.example\r\nMAIL FROM:<>\r\n", "EHLO c.example"),
        (b"\r\n\r\nEHLO", ""),
        (b"a001 CAPABILITY\nx", "a001 CAPABILITY"),
        (b"\x16\x03\x01\x02\x00", r"\x16\x03\x01\x02\x00"),
        (b"x" * 4096, "x" * 107 + "..."),
        (LONGEST_V1[:-2] + b"0\r\n", LONGEST_V1[:-2].decode() + "0"),
    ],
)
def test_the_log_shows_a_broken_header_up_to_its_first_line_end(received: bytes, text: str) -> None:
    """CORE-64, CORE-80."""
    assert refusal(received) == f'broken header: "{text}"'


BROKEN_V2 = [
    *[
        (SIGNATURE_V2 + bytes([version << 4 | 1]), f"unknown PROXY protocol version: {version}")
        for version in (0, 1, 3, 15)
    ],
    (v2(b"", length=HEADER_LIMIT - 15), "header is too large"),
    (v2(b"", length=65535), "header is too large"),
    (v2(b"", command=0x20, family=0, length=4081), "header is too large"),
    (v2(b"", length=11), ""),
    (v2(b"", length=0), ""),
    (v2(b"", family=0x21, length=35), ""),
    (v2(b"", family=0x21, length=12), ""),
]


@pytest.mark.parametrize(("received", "text"), BROKEN_V2)
@pytest.mark.parametrize("behind", [b"", b"x", b"x" * 5000])
def test_a_broken_version_2_is_refused_before_its_block_came(received: bytes, text: str, behind: bytes) -> None:
    """CORE-63."""
    assert refusal(received + behind) == text


@pytest.mark.parametrize(("received", "text"), BROKEN_V2)
def test_a_broken_version_2_octet_by_octet(received: bytes, text: str) -> None:
    """CORE-63."""
    assert [parse_proxy_header(received[:end]) for end in range(len(received))] == [None] * len(received)


@pytest.mark.parametrize("length", range(1, 12))
def test_an_octet_that_is_not_of_the_signature_decides(length: int) -> None:
    """CORE-63."""
    assert refusal(SIGNATURE_V2[:length] + b"x") == 'broken header: ""'


@pytest.mark.parametrize(
    ("received", "text"),
    [
        (b"", ""),
        (b"PROXY TCP4 192.0.2.7 ", "PROXY TCP4 192.0.2.7 "),
        (b"PROXY UNKNOWN\r", "PROXY UNKNOWN"),
        (b"PROXY UNKNOWN \x07", r"PROXY UNKNOWN \x07"),
        (SIGNATURE_V2, ""),
        (v2(V4_BLOCK)[:-1], ""),
    ],
)
def test_the_end_of_file_within_a_header(received: bytes, text: str) -> None:
    """CORE-61, CORE-63."""
    assert parse_proxy_header(received) is None
    assert str(broken_header(received)) == f'broken header: "{text}"'


def test_the_auth_server_is_told_what_the_header_said() -> None:
    """AUTH-23: texts of version 1 as received."""
    header = parse_proxy_header(b"PROXY TCP6 2001:DB8::0:1 0::FFFF:1.2.3.4 0044 25\r\n")
    assert header is not None
    assert auth_lines(header.conveyed) == (
        (b"Proxy-Protocol-Addr", b"2001:DB8::0:1"),
        (b"Proxy-Protocol-Port", b"44"),
        (b"Proxy-Protocol-Server-Addr", b"0::FFFF:1.2.3.4"),
        (b"Proxy-Protocol-Server-Port", b"25"),
    )


def test_the_auth_server_is_told_nothing_of_a_direct_connection() -> None:
    """AUTH-23, CORE-65."""
    assert auth_lines(None) == ()


@pytest.mark.parametrize(
    ("source", "host"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
        ("0::FFFF:1.2.3.4", "::ffff:1.2.3.4"),
        ("::102:304", "::1.2.3.4"),
    ],
)
def test_the_client_has_canonical_text(source: str, host: str) -> None:
    """CORE-67, PROXY-19."""
    assert Conveyed(source, source, 44, 25).client == TcpAddress(host, 44)


STARTS = [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE_V2, v2(V4_BLOCK)[:16], TCP4]


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=200) | st.text("0123456789af.: \r\n").map(str.encode))
@example(b"PROXY TCP4 ", b"\xb2.0.0.1 0.0.0.1 1 2\r\n")
def test_arbitrary_octets_give_an_answer_that_pieces_do_not_change(start: bytes, rest: bytes) -> None:
    """Nothing but WireError is raised; what more octets can change is told by None alone."""
    answers: list[ProxyHeaderIn | str | None] = []
    received = start + rest
    for end in range(len(received) + 1):
        try:
            answers.append(parse_proxy_header(received[:end]))
        except WireError as error:
            answers.append(str(error).partition('"')[0])
    decided = [answer for answer in answers if answer is not None]
    assert answers == [None] * (len(answers) - len(decided)) + decided
    assert len({*decided}) <= 1


PORTS = st.integers(0, 65535)
ENDPOINTS = st.sampled_from([st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)]).flatmap(
    lambda address: st.builds(Endpoints, address, address, PORTS, PORTS)
)


@settings(derandomize=True, deadline=None)
@given(ENDPOINTS)
def test_version_1_round_trip(endpoints: Endpoints) -> None:
    """What is sent to backends is read back: PROXY-15, CORE-62."""
    header = format_v1(endpoints)
    found = parse_proxy_header(header)
    assert found is not None
    assert found.length == len(header)
    assert found.conveyed is not None
    assert format_v1(Endpoints(**{name: getattr(found.conveyed, name) for name in Endpoints.__slots__})) == header


@settings(derandomize=True, deadline=None)
@given(ENDPOINTS)
def test_version_2_round_trip(endpoints: Endpoints) -> None:
    """PROXY-21, CORE-63."""
    header = format_v2(endpoints)
    found = parse_proxy_header(header)
    assert found is not None
    assert found.length == len(header)
    assert found.conveyed is not None
    assert format_v2(Endpoints(**{name: getattr(found.conveyed, name) for name in Endpoints.__slots__})) == header


def test_a_header_without_addresses_round_trip() -> None:
    """PROXY-98, CORE-65."""
    for header in (format_v1(None), format_v2(None)):
        assert parse_proxy_header(header) == ProxyHeaderIn(len(header), None)
