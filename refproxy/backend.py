"""Connect to the backend and log in there, on behalf of the client (proxy rules, sections 2 to 8)."""

from __future__ import annotations

from typing import Protocol

import trio

from refproxy.config.settings import TcpAddress
from refproxy.dialogue.login import LoginWalk, Route
from refproxy.errors import BackendFailure, FailureKind, PeerError, Side
from refproxy.net.dial import Dial
from refproxy.net.socket_stream import close_at_once

__all__ = ["BackendTell", "log_in"]


class BackendTell(Protocol):
    """Told what the proxy is doing, in the log's words, and what crosses between proxy and backend."""

    def action(self, action: str, /) -> None: ...
    def sent(self, shown: str, /) -> None: ...
    def heard(self, octets: bytes, /) -> None: ...


async def log_in(
    route: Route, dial: Dial, tell: BackendTell, *, header: bytes, limit: int
) -> tuple[trio.abc.HalfCloseableStream, bytes]:
    """Return the connection, ready for the relay, and the octets that the client gets first.

    `header` is the PROXY header or empty; `limit` bounds a reply (octets). The caller bounds the time (PROXY-9).
    Raises BackendFailure; the connection is closed then, and when cancelled.
    """
    walk = LoginWalk(route.login, limit)
    tell.action("connecting to upstream")
    try:
        stream = await dial(TcpAddress(route.host, route.port), Side.BACKEND)
    except PeerError as error:
        raise BackendFailure(FailureKind.UNREACHABLE, error.reason) from error
    try:
        if header:
            tell.action("sending PROXY protocol header to upstream")
            await stream.send_all(header)
            tell.sent(_show_header(header))
        return stream, await _walk(walk, stream, tell)
    except BaseException as failure:
        await close_at_once(stream)
        if isinstance(failure, trio.BrokenResourceError):
            raise walk.closed() from failure
        raise


async def _walk(walk: LoginWalk, stream: trio.abc.Stream, tell: BackendTell) -> bytes:
    tell.action(walk.action)
    while walk.final is None:
        octets = await stream.receive_some(walk.room)
        if not octets:
            raise walk.closed()
        tell.heard(bytes(octets))
        if (send := walk.receive(octets)) is not None:
            tell.action(walk.action)
            await stream.send_all(send.line)
            tell.sent(send.shown)
    return walk.final


def _show_header(header: bytes) -> str:
    """The PROXY header as it may be looked at."""
    return header.decode("ascii").rstrip("\r\n") if header.startswith(b"PROXY") else f"PROXY v2 header {header.hex()}"
