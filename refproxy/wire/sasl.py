"""SASL as octets: base64, the mechanisms' messages, the challenge of CRAM-MD5 and APOP."""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from dataclasses import dataclass

from refproxy.errors import WireError
from refproxy.wire.secret import Secret

__all__ = [
    "PASSWORD_PROMPT",
    "USERNAME_PROMPT",
    "Credentials",
    "decode_base64",
    "encode_base64",
    "format_plain",
    "format_salt",
    "parse_cram_md5",
    "parse_external",
    "parse_login",
    "parse_oauthbearer",
    "parse_plain",
    "parse_xoauth2",
]

USERNAME_PROMPT = b"Username:"
PASSWORD_PROMPT = b"Password:"
CRAM_MD5_DIGEST_LENGTH = 32  # hexadecimal digits of an MD5 digest

_SIGNIFICANT = re.compile(rb"[A-Za-z0-9+/]*")
_OAUTH_ESCAPES = {b"2C": b",", b"3D": b"="}  # RFC 5801 section 4


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client presented in one attempt.

    `password` is None when the mechanism carries nothing that a backend could be given (EXTERNAL).
    `reusable` says whether it is a clear password or token: a digest is good for the auth server only (PROXY-8).
    `salt` is the challenge that a digest answers, with its angle brackets.
    """

    method: bytes
    user: bytes
    password: Secret | None
    reusable: bool = True
    salt: bytes | None = None


def decode_base64(text: bytes) -> bytes:
    """Decode up to the first `=` or the end; padding is optional, what follows `=` is ignored.

    Raises WireError for an octet outside the standard alphabet and for a length of 1 modulo 4; the peer is to blame.
    Source: SASL-12.
    """
    significant = text.partition(b"=")[0]
    if _SIGNIFICANT.fullmatch(significant) is None:
        raise WireError("not base64")
    missing = -len(significant) % 4
    if missing == 3:
        raise WireError("base64 of an impossible length")
    return binascii.a2b_base64(significant + b"=" * missing)


def encode_base64(octets: bytes) -> bytes:
    """Encode with padding and without line ends (RFC 4648 section 4)."""
    return b64encode(octets)


def format_salt(random: int, unix_time: int, server_name: bytes) -> bytes:
    """Build the challenge `<RANDOM.UNIXTIME@NAME>` (SASL-24)."""
    return b"<%d.%d@%s>" % (random, unix_time, server_name)


def parse_plain(message: bytes) -> Credentials:
    """Split a decoded PLAIN message; the authorization identity is ignored (SASL-29).

    Raises WireError when a NUL separator is missing. Source: RFC 4616 section 2; SASL-30.
    """
    _authzid, first, rest = message.partition(b"\0")
    user, second, password = rest.partition(b"\0")
    if not first or not second:
        raise WireError("PLAIN message without two NUL separators")
    return Credentials(b"plain", user, Secret(password))


def format_plain(user: bytes, password: bytes) -> bytes:
    """Build the PLAIN message with an empty authorization identity (RFC 4616 section 2)."""
    return b"\0" + user + b"\0" + password


def parse_login(user: bytes, password: bytes) -> Credentials:
    """Take the two answers of LOGIN; to the auth server they are like PLAIN (SASL-34)."""
    return Credentials(b"plain", user, Secret(password))


def parse_cram_md5(message: bytes, salt: bytes) -> Credentials:
    """Split `user SP digest` at the last space.

    Raises WireError unless the digest has 32 octets. Source: RFC 2195 section 2; SASL-35, SASL-36.
    """
    user, space, digest = message.rpartition(b" ")
    if not space or len(digest) != CRAM_MD5_DIGEST_LENGTH:
        raise WireError("CRAM-MD5 answer without a digest of 32 octets")
    return Credentials(b"cram-md5", user, Secret(digest), reusable=False, salt=salt)


def parse_external(message: bytes) -> Credentials:
    """Take the whole message as the identity; there is no password (SASL-41, SASL-42)."""
    return Credentials(b"external", message, None, reusable=False)


def parse_xoauth2(message: bytes) -> Credentials:
    r"""Split `user=U\x01auth=Bearer T\x01\x01`; both prefixes in any case, U and T may be empty.

    Raises WireError for any other form. Source: SASL-44, SASL-45.
    """
    user_field, separator, rest = message.partition(b"\x01")
    user, token = _after(b"user=", user_field), _after(b"auth=bearer ", rest)
    if not separator or user is None or token is None or not token.endswith(b"\x01\x01"):
        raise WireError("malformed XOAUTH2 message")
    return Credentials(b"xoauth2", user, Secret(token[:-2]))


def parse_oauthbearer(message: bytes) -> Credentials:
    r"""Take user and token from `GS2,a=U,\x01…\x01auth=Bearer T\x01…`.

    An authorization identity is required, because routing needs a user. Raises WireError for any other form.
    Source: RFC 7628 section 3.1; SASL-47 to SASL-49.
    """
    header, separator, _ = message.partition(b"\x01")
    # Fields count only when a comma closes them, hence the last piece is dropped; the first is the GS2 flag.
    named = (_after(b"a=", part) for part in header.split(b",")[1:-1])
    user = next((value for value in named if value), None)
    if not separator or user is None:
        raise WireError("OAUTHBEARER message without an authorization identity")
    fields = message.split(b"\x01")[1:-1]  # behind the GS2 header; a token counts only when 0x01 closes it
    tokens = (_after(b"auth=bearer ", part) for part in fields)
    token = next((value for value in tokens if value), None)
    if token is None:
        raise WireError("OAUTHBEARER message without a bearer token")
    return Credentials(b"oauthbearer", _unescape_saslname(user), Secret(token))


def _after(prefix: bytes, text: bytes) -> bytes | None:
    """Return what follows `prefix` (given in lower case) in `text`, or None."""
    return text[len(prefix) :] if text[: len(prefix)].lower() == prefix else None


def _unescape_saslname(name: bytes) -> bytes:
    first, *escaped = name.split(b"=")
    try:
        return first + b"".join(_OAUTH_ESCAPES[part[:2].upper()] + part[2:] for part in escaped)
    except KeyError:
        raise WireError("'=' in an OAUTHBEARER identity that is neither =2C nor =3D") from None
