"""Connections to others: one address, one attempt."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import trio

from refproxy.config.settings import Address, TcpAddress, UnixAddress
from refproxy.errors import PeerError, Side

__all__ = ["Dial", "dial"]

Dial = Callable[[Address, Side], Awaitable[trio.abc.HalfCloseableStream]]


async def dial(address: Address, side: Side) -> trio.abc.HalfCloseableStream:
    """Connect, without a deadline of its own.

    Raises PeerError with the log text `connect() to A failed (N: text)` (AUTH-98, PROXY-10).
    """
    match address:
        case UnixAddress(path):
            family, target = trio.socket.AF_UNIX, path
        case TcpAddress(host, port):
            family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
            target = (host, port)  # type: ignore[assignment]  # the kernel's two kinds of address
    try:
        sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    except OSError as error:
        raise PeerError(side, _failed("socket()", error)) from error
    try:
        await sock.connect(target)
    except OSError as error:
        sock.close()
        raise PeerError(side, _failed(f"connect() to {address}", error)) from error
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _failed(call: str, error: OSError) -> str:
    number = error.errno or 0
    return f"{call} failed ({number}: {os.strerror(number)})"
