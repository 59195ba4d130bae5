"""The HTTP exchange with the auth server: one request, one answer (auth_http rules)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from refproxy.config.settings import BackendTlsMode, MailProtocol
from refproxy.errors import WireError
from refproxy.wire.sasl import Credentials
from refproxy.wire.secret import Secret
from refproxy.wire.tls_facts import TlsFacts

__all__ = [
    "HEADER_LIMIT",
    "Accepted",
    "Attempt",
    "AuthRequest",
    "Envelope",
    "Refused",
    "Verdict",
    "Wait",
    "escape",
    "find_header_end",
    "format_request",
    "format_tls_lines",
    "invalid_server",
    "parse_answer",
    "parse_backend_address",
    "printable",
]

HEADER_LIMIT = 16384
"""Octets of status line and headers (AUTH-45). Angie has room for 1024."""

_UNSAFE = re.compile(rb"[\x00-\x20%]")
_EMPTY_LINE = re.compile(rb"(?:\A|\n)\r?\n")
_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")
_IPV4 = re.compile(rb"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
_DIGITS = re.compile(rb"\d+")
_LABEL = rb"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rb"(?:" + _LABEL + rb"\.)*(?=[A-Za-z])" + _LABEL + rb"\.?")
HOST_NAME_LIMIT = 253  # octets (RFC 1035 section 2.3.4, as text)


@dataclass(frozen=True, slots=True)
class Envelope:
    """HELO name and the remembered MAIL and RCPT lines, for `smtp_auth none` (AUTH-26)."""

    helo: bytes
    mail: bytes
    rcpt: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """One set of credentials, the count of attempts so far on this connection, and SMTP's envelope without AUTH."""

    credentials: Credentials
    number: int
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """An attempt together with what is known of the client.

    `client_ip` is None for a UNIX socket; `client_host` is SMTP's name of the client, None in other protocols.
    `proxy_lines` come from the client's PROXY header (AUTH-23), `tls_lines` from its TLS session (AUTH-29 to AUTH-33).
    """

    attempt: Attempt
    protocol: MailProtocol
    client_ip: str | None
    client_host: bytes | None = None
    proxy_lines: tuple[tuple[bytes, bytes], ...] = ()
    tls_lines: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Let the client in. `user` and `password` replace the client's own unless None (AUTH-50, AUTH-51).

    `host` is the text of an IP address, or a host name if `by_name` (AUTH-100). `tls` is None unless the auth server
    decided it (AUTH-101).
    """

    host: str
    port: int
    user: bytes | None = None
    password: Secret | None = None
    explicit: bool = True  # False: the answer had no Auth-Status at all (AUTH-47)
    tls: BackendTlsMode | None = None
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Do not let the client in. `wait` in seconds, 0 for none; `error_code` is SMTP's; `challenge` is OAuth's."""

    text: bytes
    wait: int = 0
    error_code: bytes = b""
    challenge: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after `seconds` (AUTH-80), with the credentials possibly replaced."""

    seconds: int
    user: bytes | None = None
    password: Secret | None = None


Verdict = Accepted | Refused | Wait


def escape(value: bytes) -> bytes:
    """Percent-escape 0x00-0x20 and `%`; nothing else (AUTH-24)."""
    return _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), value)


def format_request(
    request: AuthRequest, host: bytes, path: bytes, configured: tuple[tuple[bytes, bytes], ...]
) -> bytes:
    """Build the whole request, header for header in the order of AUTH-14 to AUTH-34."""
    attempt, credentials = request.attempt, request.attempt.credentials
    password = credentials.password.reveal() if credentials.password else b""
    lines = [
        b"GET %s HTTP/1.0" % path,
        b"Host: " + host,
        b"Auth-Method: " + credentials.method,
        b"Auth-User: " + escape(credentials.user),
        b"Auth-Pass: " + escape(password),
    ]
    if credentials.salt is not None:
        lines.append(b"Auth-Salt: " + credentials.salt)
    lines += [
        b"Auth-Protocol: " + request.protocol.value.encode("ascii"),
        b"Auth-Login-Attempt: %d" % attempt.number,
        b"Client-IP: " + (request.client_ip or "unix:").encode("ascii"),
    ]
    if request.client_host is not None:
        lines.append(b"Client-Host: " + request.client_host)
    lines += [b"%s: %s" % line for line in request.proxy_lines]
    if (envelope := attempt.envelope) is not None:
        lines += [
            b"Auth-SMTP-Helo: " + envelope.helo,
            b"Auth-SMTP-From: " + envelope.mail,
            b"Auth-SMTP-To: " + envelope.rcpt,
        ]
    lines += [b"%s: %s" % line for line in (*request.tls_lines, *configured)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def format_tls_lines(facts: TlsFacts, *, pass_certificate: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The lines about the client's TLS session (AUTH-29 to AUTH-33)."""
    lines = [
        (b"Auth-SSL", b"on"),
        (b"Auth-SSL-Protocol", facts.version.encode("ascii")),
        (b"Auth-SSL-Cipher", facts.cipher.encode("ascii")),
    ]
    certificate = facts.certificate
    if facts.verify_code is None:
        return tuple(lines)
    if certificate is None:
        return (*lines, (b"Auth-SSL-Verify", b"NONE"))
    lines += [
        (b"Auth-SSL-Verify", b"SUCCESS" if facts.verified else b"FAILED:" + facts.verify_text.encode("ascii")),
        (b"Auth-SSL-Subject", certificate.subject),
        (b"Auth-SSL-Issuer", certificate.issuer),
        (b"Auth-SSL-Serial", certificate.serial),
        (b"Auth-SSL-Fingerprint", certificate.fingerprint),
    ]
    if pass_certificate:
        lines.append((b"Auth-SSL-Cert", escape(certificate.pem)))
    return tuple(lines)


def find_header_end(octets: bytes | bytearray) -> int | None:
    """Return the length of the header section up to and including its empty line, or None when it has not come yet."""
    empty_line = _EMPTY_LINE.search(octets)
    return empty_line.end() if empty_line else None


def parse_answer(section: bytes) -> Verdict:
    """Read the header section of an answer and decide (AUTH-40 to AUTH-57).

    Of a repeated header the last counts, but see `_decide` for `Auth-Status`. Raises WireError with the log text of
    AUTH-91 or AUTH-92 for malformed octets, of AUTH-93, AUTH-95 or AUTH-96 for a route that is missing or unusable.
    """
    if section.startswith(b"HTTP/"):
        status_line, _, section = section.partition(b"\n")
        if b"\r" in status_line[:-1]:
            raise WireError("sent invalid response")
    values: dict[bytes, bytes] = {}
    statuses: list[bytes] = []
    for line in section.split(b"\n"):
        if line in (b"", b"\r"):
            continue
        name, _, value = line.removesuffix(b"\r").partition(b":")
        if _NAME.fullmatch(name) is None or b"\r" in value:
            raise WireError("sent invalid header in response")
        name, value = name.lower(), value.strip(b" ")
        if name == b"auth-status":
            statuses.append(value)
        else:
            values[name] = value
    return _decide(values, statuses)


def _decide(values: Mapping[bytes, bytes], statuses: Sequence[bytes]) -> Verdict:
    """Judge by all headers. No later `Auth-Status` takes back an error or a WAIT."""
    wait_text = values.get(b"auth-wait", b"")
    wait = int(wait_text) if _DIGITS.fullmatch(wait_text) and len(wait_text) < 10 else 0
    if errors := [status for status in statuses if status not in (b"OK", b"WAIT")]:
        return Refused(errors[-1], wait, values.get(b"auth-error-code", b""), values.get(b"auth-error-sasl"))
    user = values.get(b"auth-user")
    password = Secret(values[b"auth-pass"]) if b"auth-pass" in values else None
    if b"WAIT" in statuses:
        return Wait(wait, user, password)
    server, port = values.get(b"auth-server", b""), values.get(b"auth-port", b"")
    if not server or not port:
        raise WireError("did not send server or port")
    host, number, by_name = parse_backend_address(server, port)
    tls = parse_backend_tls(values.get(b"auth-server-ssl"))
    return Accepted(host, number, user, password, bool(statuses), tls, by_name)


@lru_cache  # the answers of an auth server name the same few backends again and again
def parse_backend_address(server: bytes, port: bytes) -> tuple[str, int, bool]:
    """Check `Auth-Server` and `Auth-Port` (AUTH-59, AUTH-100); return host, port, and whether the host is a name.

    An IPv4 dotted quad, a bare IPv6 literal or a host name, and 1 to 65535. Raises WireError with the log text of
    AUTH-95 or AUTH-96.
    """
    by_name = _is_host_name(server)
    address = server.decode("ascii") if by_name else _maybe_ip(server)
    if address is None:
        raise invalid_server(server)
    if _DIGITS.fullmatch(port) is None or len(port) > 9 or not 1 <= int(port) <= 65535:
        raise WireError(f'sent invalid server port:"{printable(port)}"')
    return address, int(port), by_name


def _maybe_ip(server: bytes) -> str | None:
    if _IPV4.fullmatch(server):
        octets = [int(part) for part in server.split(b".")]
        return ".".join(map(str, octets)) if max(octets) <= 255 and min(octets) < 255 else None
    if b":" in server and b"%" not in server:
        with suppress(AddressValueError, UnicodeDecodeError):
            return str(IPv6Address(server.decode("ascii")))
    return None


def _is_host_name(server: bytes) -> bool:
    """Whether `Auth-Server` is a host name; its last label begins with a letter, as in no form of an IPv4 address."""
    return len(server) <= HOST_NAME_LIMIT and _HOST_NAME.fullmatch(server) is not None


def invalid_server(server: bytes) -> WireError:
    """The fault of an `Auth-Server` that cannot be used (AUTH-95)."""
    return WireError(f'sent invalid server address:"{printable(server)}"')


def parse_backend_tls(value: bytes | None) -> BackendTlsMode | None:
    """Read `Auth-Server-SSL: on|off|starttls` (AUTH-101); None when there is none.

    Raises WireError for anything else: a misunderstanding must not end in clear text.
    """
    if value is None:
        return None
    for mode in BackendTlsMode:
        if value == mode.value.encode("ascii"):
            return mode
    raise WireError(f'sent invalid server ssl:"{printable(value)}"')


def printable(octets: bytes, limit: int = 80) -> str:
    r"""Octets as one harmless line of text: control and 8-bit octets as `\xNN`, cut at `limit`."""
    if len(octets) <= limit and octets.isascii() and (text := octets.decode("ascii")).isprintable():
        return text
    text = "".join(chr(octet) if 0x20 <= octet < 0x7F else f"\\x{octet:02x}" for octet in octets[:limit])
    return text + ("..." if len(octets) > limit else "")
