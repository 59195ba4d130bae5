"""The PROXY header to a backend (proxy rules, section 3)."""

from __future__ import annotations

import struct

import pytest

from refproxy.wire.proxy_header import SIGNATURE_V2, Endpoints, crc32c, format_v1, format_v2


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
