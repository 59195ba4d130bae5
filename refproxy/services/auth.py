"""Asking the auth server: one request and one answer on a connection of its own (auth_http rules)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from refproxy.config.settings import Address, AuthHttp, MailProtocol
from refproxy.errors import AuthUnavailable, PeerError, Side, WireError
from refproxy.net.closing import close_at_once
from refproxy.net.dial import Dial
from refproxy.wire.auth_http import (
    HEADER_LIMIT,
    Accepted,
    AuthRequest,
    Refused,
    Verdict,
    Wait,
    find_header_end,
    format_request,
    invalid_server,
    parse_answer,
)
from refproxy.wire.secret import Secret

__all__ = ["Exchanged", "ask_auth_server"]

WAIT_MINIMUM = 1  # seconds between repeats after `Auth-Status: WAIT` (AUTH-81)
WAIT_REPEATS = 100

Exchanged = Callable[[bytes, bytes], None]
"""Told each request and answer, for readers; the request's secrets are masked."""


async def ask_auth_server(
    settings: AuthHttp,
    request: AuthRequest,
    dial: Dial,
    exchanged: Exchanged | None = None,
    *,
    names_allowed: bool = False,
) -> Accepted | Refused:
    """Return the verdict; `WAIT` answers are waited out and asked again (AUTH-80).

    `names_allowed`: whether the backend may be given by a host name.

    Raises AuthUnavailable, whose text is the log line, for everything that is no verdict.
    """
    user: bytes | None = None  # what WAIT answers replaced
    password: Secret | None = None
    for _ in range(WAIT_REPEATS):
        verdict = await _ask_once(settings, request, dial, exchanged)
        if isinstance(verdict, Refused):
            return verdict
        if isinstance(verdict, Accepted):
            if user is not None or password is not None:
                verdict = _completed(verdict, user, password)
            return _usable(verdict, request, settings, names_allowed=names_allowed)
        user = user if verdict.user is None else verdict.user
        password = password if verdict.password is None else verdict.password
        request = _renewed(request, verdict)
        await trio.sleep(max(verdict.seconds, WAIT_MINIMUM))
    raise AuthUnavailable(f"auth http server {settings.addresses[0]} answered WAIT {WAIT_REPEATS} times")


def _renewed(request: AuthRequest, wait: Wait) -> AuthRequest:
    """The same attempt again, with the credentials that the WAIT answer may have replaced."""
    credentials = request.attempt.credentials
    user = credentials.user if wait.user is None else wait.user
    password = credentials.password if wait.password is None else wait.password
    credentials = replace(credentials, user=user, password=password)
    return replace(request, attempt=replace(request.attempt, credentials=credentials))


def _completed(accepted: Accepted, user: bytes | None, password: Secret | None) -> Accepted:
    """An acceptance, with what earlier WAIT answers replaced unless it says something newer."""
    return replace(
        accepted,
        user=user if accepted.user is None else accepted.user,
        password=password if accepted.password is None else accepted.password,
    )


def _usable(verdict: Accepted, request: AuthRequest, settings: AuthHttp, *, names_allowed: bool) -> Accepted:
    """Return an acceptance that can be used. Raises AuthUnavailable."""
    if (fault := _fault_of(verdict, request, names_allowed=names_allowed)) is not None:
        raise AuthUnavailable(f"auth http server {settings.addresses[0]} {fault}")
    return verdict


def _fault_of(verdict: Accepted, request: AuthRequest, *, names_allowed: bool) -> str | None:
    """What an acceptance lacks beyond a route (AUTH-58); a name needs somebody to look it up (AUTH-100)."""
    password = verdict.password
    if password is None and request.protocol is not MailProtocol.SMTP and not request.attempt.credentials.reusable:
        return "did not send password"
    if b"\0" in (verdict.user or b"") or (password is not None and b"\0" in password.reveal()):
        return "sent NUL in user or password"
    if verdict.by_name and not names_allowed:
        return str(invalid_server(verdict.host.encode("ascii")))
    return None


async def _ask_once(settings: AuthHttp, request: AuthRequest, dial: Dial, exchanged: Exchanged | None) -> Verdict:
    octets = format_request(request, settings.host, settings.path, settings.headers)
    address: Address = settings.addresses[0]
    with trio.move_on_after(settings.timeout):
        address, stream = await _connect(settings, dial)
        try:
            section = await _exchange(stream, octets, address)
        finally:
            await close_at_once(stream)
        if exchanged is not None:
            exchanged(_masked(settings, request), section)
        try:
            return parse_answer(section)
        except WireError as error:
            raise AuthUnavailable(f"auth http server {address} {error}") from error
    raise AuthUnavailable(f"auth http server {address} timed out (110: Connection timed out)")


def _masked(settings: AuthHttp, request: AuthRequest) -> bytes:
    """The request as it may be shown: no password, no values of configured headers, which may be keys."""
    hidden = replace(request.attempt.credentials, password=Secret(b"***"))
    shown = replace(request, attempt=replace(request.attempt, credentials=hidden))
    headers = tuple((name, b"***") for name, _ in settings.headers)
    return format_request(shown, settings.host, settings.path, headers)


async def _connect(settings: AuthHttp, dial: Dial) -> tuple[Address, trio.abc.HalfCloseableStream]:
    """Connect to the first address that answers (AUTH-9)."""
    reason = "no address"
    for address in settings.addresses:
        try:
            return address, await dial(address, Side.AUTH)
        except PeerError as error:
            reason = error.reason
    raise AuthUnavailable(reason)


async def _exchange(stream: trio.abc.Stream, request: bytes, address: Address) -> bytes:
    """Send the request and read the header section of the answer; its body stays unread (AUTH-39)."""
    received = bytearray()
    try:
        await stream.send_all(request)
        while (end := find_header_end(received)) is None and len(received) < HEADER_LIMIT:
            octets = await stream.receive_some(HEADER_LIMIT - len(received))
            if not octets:
                raise AuthUnavailable(f"auth http server {address} prematurely closed connection")
            received += octets
    except trio.BrokenResourceError as broken:
        raise AuthUnavailable(f"auth http server {address} reset connection") from broken
    if end is None:
        raise AuthUnavailable(f"auth http server {address} sent too long header")
    return bytes(received[:end])
