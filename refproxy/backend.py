"""Connect to the backend and log in there, on behalf of the client (proxy rules, sections 2 to 8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from refproxy.config.settings import BackendTlsMode, TcpAddress
from refproxy.dialogue.login import Encrypt, LoginWalk, Route, Send
from refproxy.errors import BackendFailure, FailureKind, PeerError, Side
from refproxy.net.closing import close_at_once
from refproxy.net.dial import Dial
from refproxy.net.tls.stream import HandshakeFailed, TlsStream

__all__ = ["BackendTell", "StartBackendTls", "log_in"]

StartBackendTls = Callable[[trio.abc.Stream, str], Awaitable[TlsStream]]
"""Shakes hands with a backend of the given name. Raises HandshakeFailed."""


class BackendTell(Protocol):
    """Told what the proxy is doing, in the log's words; if it wants lines, also what the two sides say."""

    @property
    def wants_lines(self) -> bool: ...
    def action(self, action: str, /) -> None: ...
    def sent(self, line: Send, /) -> None: ...
    def heard(self, octets: bytes | bytearray, /) -> None: ...
    def encrypted(self, version: str, cipher: str, /) -> None: ...


async def log_in(
    route: Route,
    hosts: Sequence[str],
    dial: Dial,
    start_tls: StartBackendTls,
    tell: BackendTell,
    *,
    header: bytes,
    limit: int,
) -> tuple[trio.abc.Stream, bytes]:
    """Return the connection, ready for the relay, and the octets that the client gets first.

    `hosts` are the IP addresses of the route's host, which are tried in their order (AUTH-100). `header` is the PROXY
    header or empty; it goes in front of TLS (TLS-60). `limit` bounds a reply (octets). The caller bounds the time
    (PROXY-9). Raises BackendFailure; the connection is closed then, and when cancelled.
    """
    walk = LoginWalk(route.login, limit)
    tell.action("connecting to upstream")
    stream = await _connect(hosts, route.port, dial)
    attempt = _Attempt(walk, stream, route.host, start_tls, tell)
    try:
        if header:
            tell.action("sending PROXY protocol header to upstream")
            await stream.send_all(header)
            if tell.wants_lines:
                tell.sent(Send(header, _show_header(header)))
        if route.tls is BackendTlsMode.ON:
            await attempt.encrypt()
        octets = await attempt.walk()
    except BaseException as failure:
        await close_at_once(attempt.stream)
        if isinstance(failure, trio.BrokenResourceError):
            raise walk.closed() from failure
        raise
    return attempt.stream, octets


async def _connect(hosts: Sequence[str], port: int, dial: Dial) -> trio.abc.Stream:
    reason = "no address"
    for host in hosts:
        try:
            return await dial(TcpAddress(host, port), Side.BACKEND)
        except PeerError as error:
            reason = error.reason
    raise BackendFailure(FailureKind.UNREACHABLE, reason)


class _Attempt:
    """One login on one connection; `stream` is what carries it, in clear or in TLS."""

    def __init__(
        self, walk: LoginWalk, stream: trio.abc.Stream, host: str, start_tls: StartBackendTls, tell: BackendTell
    ) -> None:
        self.stream = stream
        self._walk, self._host, self._start_tls, self._tell = walk, host, start_tls, tell

    async def walk(self) -> bytes:
        """Exchange lines until the login is through; return what the client gets."""
        walk, tell = self._walk, self._tell
        tell.action(walk.action)
        while walk.final is None:
            octets = await self.stream.receive_some(walk.room)
            if not octets:
                raise walk.closed()
            if tell.wants_lines:
                tell.heard(octets)
            step = walk.receive(octets)
            if isinstance(step, Encrypt):
                await self.encrypt()
                step = walk.encrypted()
            if step is not None:
                tell.action(walk.action)
                await self.stream.send_all(step.line)
                if tell.wants_lines:
                    tell.sent(step)
        return walk.final

    async def encrypt(self) -> None:
        """Shake hands on the connection as it is."""
        self._tell.action("SSL handshaking to upstream")
        try:
            self.stream = tls = await self._start_tls(self.stream, self._host)
        except HandshakeFailed as failed:
            raise BackendFailure(FailureKind.TLS_FAILED, str(failed)) from failed
        self._tell.encrypted(tls.version, tls.cipher)


def _show_header(header: bytes) -> str:
    """The PROXY header as it may be looked at."""
    return header.decode("ascii").rstrip("\r\n") if header.startswith(b"PROXY") else f"PROXY v2 header {header.hex()}"
