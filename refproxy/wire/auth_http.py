"""The HTTP exchange with the auth server: one request, one answer (auth_http rules)."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
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
    "is_host_name",
    "parse_answer",
    "parse_backend_address",
    "printable",
]

HEADER_LIMIT = 16384
"""Octets of status line and headers (AUTH-45). Angie has room for 1024."""

_ESCAPED = [b"%%%02X" % octet if octet <= 0x20 or octet == 0x25 else bytes([octet]) for octet in range(256)]
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
    return b"".join([_ESCAPED[octet] for octet in value])


def format_request(
    request: AuthRequest, host: bytes, path: bytes, configured: tuple[tuple[bytes, bytes], ...]
) -> bytes:
    """Build the whole request, header for header in the order of AUTH-14 to AUTH-34."""
    attempt, credentials = request.attempt, request.attempt.credentials
    password = credentials.password.reveal() if credentials.password else b""
    lines = [
        (b"Host", host),
        (b"Auth-Method", credentials.method),
        (b"Auth-User", escape(credentials.user)),
        (b"Auth-Pass", escape(password)),
    ]
    if credentials.salt is not None:
        lines.append((b"Auth-Salt", credentials.salt))
    lines += [
        (b"Auth-Protocol", request.protocol.value.encode("ascii")),
        (b"Auth-Login-Attempt", b"%d" % attempt.number),
        (b"Client-IP", (request.client_ip or "unix:").encode("ascii")),
    ]
    if request.client_host is not None:
        lines.append((b"Client-Host", request.client_host))
    lines += request.proxy_lines
    if (envelope := attempt.envelope) is not None:
        lines += [
            (b"Auth-SMTP-Helo", envelope.helo),
            (b"Auth-SMTP-From", envelope.mail),
            (b"Auth-SMTP-To", envelope.rcpt),
        ]
    lines += request.tls_lines
    lines += configured
    return b"GET %s HTTP/1.0\r\n" % path + b"".join([b"%s: %s\r\n" % line for line in lines]) + b"\r\n"


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
    start = 0
    while (end := octets.find(b"\n", start)) >= 0:
        if octets[start:end] in (b"", b"\r"):
            return end + 1
        start = end + 1
    return None


@dataclass(slots=True)
class _Headers:
    """The recognised headers as they are met; of a repeated one the last counts, but an error text stays."""

    status_seen: bool = False
    error: bytes | None = None
    wait_status: bool = False
    values: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, name: bytes, value: bytes) -> None:
        if name != b"auth-status":
            self.values[name] = value
            return
        self.status_seen = True
        if value == b"WAIT":
            self.wait_status = True
        elif value != b"OK":
            self.error = value


def parse_answer(section: bytes) -> Verdict:
    """Read the header section of an answer and decide (AUTH-40 to AUTH-57).

    Raises WireError with the log text of AUTH-91 or AUTH-92 for malformed octets, of AUTH-93, AUTH-95 or AUTH-96 for a
    route that is missing or unusable.
    """
    headers = _Headers()
    if section.startswith(b"HTTP/"):
        status_line, _, section = section.partition(b"\n")
        if b"\r" in status_line[:-1]:
            raise WireError("sent invalid response")
    for line in section.split(b"\n"):
        headers.add(*_parse_header(line.removesuffix(b"\r")))
    return _decide(headers)


def _parse_header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    if line and (_NAME.fullmatch(name) is None or b"\r" in value):
        raise WireError("sent invalid header in response")
    return name.lower(), value.strip(b" ")


def _decide(headers: _Headers) -> Verdict:
    values = headers.values
    wait_text = values.get(b"auth-wait", b"")
    wait = int(wait_text) if _DIGITS.fullmatch(wait_text) and len(wait_text) < 10 else 0
    if headers.error is not None:
        return Refused(headers.error, wait, values.get(b"auth-error-code", b""), values.get(b"auth-error-sasl"))
    user = values.get(b"auth-user")
    password = Secret(values[b"auth-pass"]) if b"auth-pass" in values else None
    if headers.wait_status:
        return Wait(wait, user, password)
    server, port = values.get(b"auth-server", b""), values.get(b"auth-port", b"")
    if not server or not port:
        raise WireError("did not send server or port")
    host, number = parse_backend_address(server, port)
    tls = parse_backend_tls(values.get(b"auth-server-ssl"))
    return Accepted(host, number, user, password, headers.status_seen, tls, by_name=is_host_name(server))


def parse_backend_address(server: bytes, port: bytes) -> tuple[str, int]:
    """Check `Auth-Server` and `Auth-Port` (AUTH-59, AUTH-100).

    An IPv4 dotted quad, a bare IPv6 literal or a host name, and 1 to 65535. Raises WireError with the log text of
    AUTH-95 or AUTH-96.
    """
    address = server.decode("ascii") if is_host_name(server) else _maybe_ip(server)
    if address is None:
        raise invalid_server(server)
    if _DIGITS.fullmatch(port) is None or len(port) > 9 or not 1 <= int(port) <= 65535:
        raise WireError(f'sent invalid server port:"{printable(port)}"')
    return address, int(port)


def _maybe_ip(server: bytes) -> str | None:
    if _IPV4.fullmatch(server):
        octets = [int(part) for part in server.split(b".")]
        return ".".join(map(str, octets)) if max(octets) <= 255 and min(octets) < 255 else None
    if b":" in server and b"%" not in server:
        with suppress(AddressValueError, UnicodeDecodeError):
            return str(IPv6Address(server.decode("ascii")))
    return None


def is_host_name(server: bytes) -> bool:
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
