"""Connections to others: one address, one attempt."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable

import trio

from refproxy.config.settings import Address, TcpAddress, UnixAddress
from refproxy.errors import PeerError, Side
from refproxy.net.socket_stream import SocketStream, send_without_delay

__all__ = ["Dial", "dial"]

Dial = Callable[[Address, Side], Awaitable[trio.abc.HalfCloseableStream]]


async def dial(address: Address, side: Side) -> trio.abc.HalfCloseableStream:
    """Connect, without a deadline of its own.

    Raises PeerError with the log text `connect() to A failed (N: text)` (AUTH-98, PROXY-10).
    """
    target: str | tuple[str, int]
    match address:
        case UnixAddress(path):
            family, target = socket.AF_UNIX, path
        case TcpAddress(host, port):
            family, target = (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port)
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise PeerError(side, _failed("socket()", error.errno)) from error
    try:
        number = sock.connect_ex(target)  # the address is numeric: nothing is looked up
        if number == errno.EINPROGRESS:
            number = sock.connect_ex(target)  # asks again: a peer on this machine has answered already
        if number == errno.EALREADY:
            await trio.lowlevel.wait_writable(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except BaseException:
        sock.close()
        raise
    if number:
        sock.close()
        raise PeerError(side, _failed(f"connect() to {address}", number))
    if side is Side.BACKEND and isinstance(address, TcpAddress):
        send_without_delay(sock)  # an auth server gets one request, in one piece
    return SocketStream(sock)


def _failed(call: str, number: int | None) -> str:
    return f"{call} failed ({number or 0}: {os.strerror(number or 0)})"
