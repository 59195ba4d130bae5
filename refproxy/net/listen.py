"""Listening sockets: bound once, shared by everything that serves (core rules, sections 2 and 3)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from refproxy.config.settings import Address, KeepAlive, Listen, ServerSettings, Settings, TcpAddress, UnixAddress
from refproxy.errors import ConfigError
from refproxy.net.socket_stream import send_without_delay

__all__ = ["Endpoint", "Listener", "open_listeners"]

BIND_ATTEMPTS = 5  # CORE-10
BIND_PAUSE = 0.5  # seconds
IPPROTO_MPTCP = 262  # Linux; the module socket has no name for it
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # what an operator's `listen 25` means


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A `listen` address and the server it belongs to."""

    listen: Listen
    server: ServerSettings


@dataclass(slots=True)
class Listener:
    """One bound socket and the endpoints behind it.

    With a wildcard, addresses of the same port are told apart by the local address of the connection (CORE-12).
    """

    sock: socket.socket
    address: Address
    endpoints: dict[Address, Endpoint] = field(default_factory=dict)

    def endpoint(self, local: Address) -> Endpoint:
        """The endpoint that a connection to the local address belongs to."""
        return self.endpoints.get(local) or self.endpoints[self.address]

    async def accept(self) -> tuple[socket.socket, Address]:
        """Return the next client's socket and address. Raises OSError, also for a client that gave up meanwhile.

        Always waits first: one call that did not wait would be a turn saved, but a flood of connections must not keep
        the sessions from running.
        """
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                sock, name = self.sock.accept()
            except BlockingIOError:
                continue  # another worker was quicker
            if isinstance(self.address, TcpAddress):
                send_without_delay(sock)
            return sock, self._address(name)

    def local_address(self, sock: socket.socket) -> Address:
        """The address that a client connected to. Raises OSError when the connection is gone already."""
        if isinstance(self.address, TcpAddress) and self.address.host not in WILDCARDS:
            return self.address
        return self._address(sock.getsockname())

    def _address(self, name: tuple[str, int] | str) -> Address:
        return (
            UnixAddress(str(name)) if isinstance(self.address, UnixAddress) else TcpAddress(str(name[0]), int(name[1]))
        )

    def close(self) -> None:
        """Close the socket, and remove a UNIX socket's file (CORE-9)."""
        trio.lowlevel.notify_closing(self.sock)
        self.sock.close()
        if isinstance(self.address, UnixAddress):
            Path(self.address.path).unlink(missing_ok=True)


async def open_listeners(settings: Settings, kept: Iterable[Listener] = ()) -> list[Listener]:
    """Bind every address of the configuration, taking over `kept` sockets of the same address.

    An address in use is tried again a few times. Raises ConfigError when it stays so, or cannot be bound at all; then
    nothing new stays open.
    """
    old = {listener.address: listener for listener in kept}
    opened: list[Listener] = []
    listeners: list[Listener] = []
    try:
        for address, endpoints in _group(settings).items():
            sock = old[address].sock if address in old else None
            if sock is None:
                sock = await _bind(endpoints[address].listen)
                opened.append(Listener(sock, address))
            listeners.append(Listener(sock, address, endpoints))
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return listeners


def _group(settings: Settings) -> dict[Address, dict[Address, Endpoint]]:
    """Which addresses to bind, and the endpoints behind each."""
    endpoints = {listen.address: Endpoint(listen, server) for server in settings.servers for listen in server.listens}
    groups: dict[Address, dict[Address, Endpoint]] = {}
    for address, endpoint in endpoints.items():
        wildcard = _wildcard_of(address)
        bound = wildcard if wildcard in endpoints and not endpoint.listen.bind else address
        groups.setdefault(bound, {})[address] = endpoint
    return groups


def _wildcard_of(address: Address) -> Address:
    if isinstance(address, UnixAddress):
        return address
    return TcpAddress(WILDCARDS[":" in address.host], address.port)


async def _bind(listen: Listen) -> socket.socket:
    for attempt in range(1, BIND_ATTEMPTS + 1):
        try:
            return _bind_once(listen)
        except OSError as error:
            reason = f"bind() to {listen.address} failed ({error.errno}: {os.strerror(error.errno or 0)})"
            if error.errno != errno.EADDRINUSE or attempt == BIND_ATTEMPTS:
                raise ConfigError(reason, str(listen.where)) from error
        await trio.sleep(BIND_PAUSE)
    raise AssertionError("unreachable")


def _bind_once(listen: Listen) -> socket.socket:
    target: str | tuple[str, int]
    match listen.address:
        case UnixAddress(path):
            family, target = socket.AF_UNIX, path
        case TcpAddress(host, port):
            family, target = (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port)
    sock = _make_socket(family, multipath=listen.multipath and family != socket.AF_UNIX)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(listen.ipv6only))
        if listen.rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, listen.rcvbuf)
        if listen.sndbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, listen.sndbuf)
        _set_keepalive(sock, listen.so_keepalive)
        sock.bind(target)
        sock.listen(listen.backlog)
        if isinstance(listen.address, UnixAddress):
            Path(listen.address.path).chmod(0o666)
    except BaseException:
        sock.close()
        raise
    return sock


def _make_socket(family: int, *, multipath: bool) -> socket.socket:
    """A stream socket, for several paths if that is wanted and the kernel knows how; if not, a plain one does as well.

    Clients without MPTCP notice no difference, so a kernel that lacks it is no reason not to start (CORE-6).
    """
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
    if multipath:
        with suppress(OSError):
            return socket.socket(family, kind, IPPROTO_MPTCP)
    return socket.socket(family, kind)


def _set_keepalive(sock: socket.socket, keepalive: KeepAlive | bool | None) -> None:
    if keepalive is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive is not False))
    if isinstance(keepalive, KeepAlive):
        options = {
            socket.TCP_KEEPIDLE: keepalive.idle,
            socket.TCP_KEEPINTVL: keepalive.interval,
            socket.TCP_KEEPCNT: keepalive.count,
        }
        for option, value in options.items():
            if value is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
