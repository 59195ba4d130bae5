"""The auth_http server of the embedded world: one user, and a backend for each protocol."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from refproxy.config.settings import MailProtocol
from refproxy.demo.lines import Lines
from refproxy.demo.mailbox import PASSWORD, knows
from refproxy.demo.mailbox import USER as THE_USER

__all__ = ["serve_auth"]

HEADERS_LIMIT = 100
RETRY_AFTER = b"1"  # seconds


async def serve_auth(lines: Lines, ports: Mapping[MailProtocol, int]) -> None:
    """Answer one request and close."""
    await lines.line()
    headers: dict[bytes, bytes] = {}
    while (line := await lines.line()) and len(headers) < HEADERS_LIMIT:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    await lines.send(b"HTTP/1.0 200 OK", *_decide(headers, ports), b"")


def _decide(headers: Mapping[bytes, bytes], ports: Mapping[MailProtocol, int]) -> list[bytes]:
    method = headers.get(b"auth-method", b"")
    user, password = (unquote_to_bytes(headers.get(name, b"")) for name in (b"auth-user", b"auth-pass"))
    port = {protocol.value.encode(): port for protocol, port in ports.items()}.get(headers.get(b"auth-protocol", b""))
    if port is None or not _is_right(method, user, password, headers.get(b"auth-salt", b"")):
        return [b"Auth-Status: Invalid login or password", b"Auth-Wait: " + RETRY_AFTER]
    answer = [b"Auth-Status: OK", b"Auth-Server: 127.0.0.1", b"Auth-Port: %d" % port]
    if method != b"plain":  # a digest lets nobody into a backend
        answer.append(b"Auth-Pass: " + PASSWORD.encode())
    return answer


def _is_right(method: bytes, user: bytes, password: bytes, salt: bytes) -> bool:
    match method:
        case b"plain":
            return knows(user, password)
        case b"apop":
            digest = hashlib.md5(salt + PASSWORD.encode(), usedforsecurity=False).hexdigest()
        case b"cram-md5":
            digest = hmac.new(PASSWORD.encode(), salt, "md5").hexdigest()
        case _:
            return False
    return user == THE_USER.encode() and hmac.compare_digest(digest.encode(), password)
