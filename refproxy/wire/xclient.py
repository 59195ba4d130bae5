"""Postfix's XCLIENT command (https://www.postfix.org/XCLIENT_README.html)."""

from __future__ import annotations

import re

__all__ = ["TEMPUNAVAIL", "UNAVAILABLE", "decode_xtext", "encode_xtext", "format_xclient"]

UNAVAILABLE = b"[UNAVAILABLE]"
TEMPUNAVAIL = b"[TEMPUNAVAIL]"

_HEX = re.compile(rb"[0-9A-Fa-f]{2}")
_UNSAFE = re.compile(rb"[^\x21-\x7E]|[+=]")


def encode_xtext(value: bytes) -> bytes:
    """Escape as xtext: 0x00-0x20, `+`, `=` and 0x7F-0xFF become `+XX` (RFC 3461 section 4; PROXY-38)."""
    return _UNSAFE.sub(lambda found: b"+%02X" % ord(found[0]), value)


def decode_xtext(text: bytes) -> bytes:
    """Undo `encode_xtext`. Raises ValueError for a `+` without two hexadecimal digits."""
    first, *escaped = text.split(b"+")
    if not all(_HEX.match(part) for part in escaped):
        raise ValueError("'+' without two hexadecimal digits")
    return first + b"".join(bytes.fromhex(part[:2].decode("ascii")) + part[2:] for part in escaped)


def format_xclient(client_ip: str | None, login: bytes, name: bytes) -> bytes:
    """Build the line `XCLIENT ADDR=… [LOGIN=…] NAME=…` with its line end (PROXY-33 to PROXY-39).

    `client_ip` None stands for a client without an IP address (UNIX socket). An empty login is left out.
    """
    if client_ip is None:
        address = UNAVAILABLE
    elif ":" in client_ip:
        address = b"IPV6:" + client_ip.encode("ascii")
    else:
        address = client_ip.encode("ascii")
    attributes = [b"ADDR=" + address]
    if login:
        attributes.append(b"LOGIN=" + encode_xtext(login))
    attributes.append(b"NAME=" + name)
    return b"XCLIENT " + b" ".join(attributes) + b"\r\n"
