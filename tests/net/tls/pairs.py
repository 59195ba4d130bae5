"""TLS connections for tests: refproxy's stream as the server, and a client made of Python's ssl or of its own kind."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import memory_stream_pair

from refproxy.config.settings import BackendTlsSettings, MailProtocol
from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.backend import BackendTls
from refproxy.net.tls.server import ServerTls
from refproxy.net.tls.stream import TlsStream
from tests.pki import Pki

__all__ = ["SMTP", "Client", "Pair", "Transports", "connected", "only", "our_client", "server_for", "transports"]

SMTP = MailProtocol.SMTP
Client = trio.SSLStream[Any]
Pair = tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]
Transports = Callable[[str], Pair]


def transports(kind: str) -> Pair:
    """Both ends of a connection, for the server and for the client: of `sockets`, or in `memory`."""
    if kind == "memory":
        return memory_stream_pair()
    left, right = socket.socketpair()
    return SocketStream(left), SocketStream(right)


def server_for(pki: Pki, *files: str, protocol: MailProtocol = SMTP, **changes: object) -> ServerTls:
    """A server with the certificates in these files, by default the one for `mx.example`."""
    return ServerTls(pki.tls(*files, **changes), protocol)


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A context that speaks one version."""
    context.minimum_version = context.maximum_version = version
    return context


@asynccontextmanager
async def connected(
    server: ServerTls, context: ssl.SSLContext, *, kind: str = "sockets", name: str | None = "mx.example"
) -> AsyncIterator[tuple[TlsStream, Client]]:
    """A server and a client after their handshake."""
    ours, theirs = transports(kind)
    client = trio.SSLStream(theirs, context, server_hostname=name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        stream = await server.accept(ours)
    try:
        yield stream, client
    finally:
        await trio.aclose_forcefully(ours)
        await trio.aclose_forcefully(theirs)


async def our_client(theirs: trio.abc.Stream, settings: BackendTlsSettings | None = None) -> TlsStream:
    """A client of refproxy's own kind, which trusts anybody."""
    return await BackendTls(settings or BackendTlsSettings()).connect(theirs, "mx.example")
