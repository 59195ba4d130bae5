"""UDP sockets for questions to one peer."""

from __future__ import annotations

import errno
import os
import socket
from typing import NoReturn

import trio

from refproxy.config.settings import TcpAddress
from refproxy.errors import PeerError, Side

__all__ = ["Datagram", "open_datagram"]


class Datagram:
    """A UDP socket that is connected: the kernel chose its port, and drops what others than the peer send to it.

    Every failure is a PeerError with the log text `CALL failed (N: text)`; the socket stays usable. That is how the
    answer "nobody listens here" (ICMP) is heard of, from the next call after it.
    """

    def __init__(self, sock: socket.socket, side: Side) -> None:
        self._sock, self._side = sock, side

    async def send(self, octets: bytes) -> None:
        """Send one datagram. Raises PeerError."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                self._sock.send(octets)
                return
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)
            except OSError as error:
                self._fail("send()", error)

    async def receive(self, limit: int) -> bytes:
        """Return the next datagram, cut at `limit` octets. Raises PeerError."""
        await trio.lowlevel.checkpoint()  # a flood of datagrams must not keep the sessions from running
        while True:
            try:
                return self._sock.recv(limit)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
            except OSError as error:
                self._fail("recv()", error)

    def close(self) -> None:
        """Close at once."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def _fail(self, call: str, error: OSError) -> NoReturn:
        if error.errno == errno.EBADF:
            raise trio.ClosedResourceError("this socket was closed") from None
        raise PeerError(self._side, _failed(call, error)) from error


def open_datagram(address: TcpAddress, side: Side) -> Datagram:
    """Open a socket to an address, from a port the kernel chooses. Raises PeerError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise PeerError(side, _failed("socket()", error)) from error
    try:
        sock.connect((address.host, address.port))  # sends nothing, so it does not wait
    except OSError as error:
        sock.close()
        raise PeerError(side, _failed(f"connect() to {address}", error)) from error
    return Datagram(sock, side)


def _failed(call: str, error: OSError) -> str:
    return f"{call} failed ({error.errno}: {os.strerror(error.errno or 0)})"
