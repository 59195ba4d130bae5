"""The embedded world: backends and an auth server on loopback ports that nobody else uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio

from refproxy.config.settings import MailProtocol
from refproxy.demo.auth_server import serve_auth
from refproxy.demo.imap_backend import serve_imap
from refproxy.demo.lines import Hangup, Lines
from refproxy.demo.mailbox import Mailbox
from refproxy.demo.pop3_backend import serve_pop3
from refproxy.demo.smtp_backend import serve_smtp

__all__ = ["LOOPBACK", "start_world"]

LOOPBACK = "127.0.0.1"
BACKENDS = {MailProtocol.SMTP: serve_smtp, MailProtocol.IMAP: serve_imap, MailProtocol.POP3: serve_pop3}

Serve = Callable[[Lines], Awaitable[None]]


async def start_world(servers: trio.Nursery) -> int:
    """Start all servers in a nursery; return the port of the auth server, which knows the way to the others."""
    mailbox = Mailbox()
    ports = {protocol: await _start(servers, partial(serve, mailbox=mailbox)) for protocol, serve in BACKENDS.items()}
    return await _start(servers, partial(serve_auth, ports=ports))


async def _start(servers: trio.Nursery, serve: Serve) -> int:
    listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
    port: int = listeners[0].socket.getsockname()[1]
    servers.start_soon(trio.serve_listeners, partial(_serve_one, serve), listeners)
    return port


async def _serve_one(serve: Serve, stream: trio.SocketStream) -> None:
    """Serve one connection; a client that goes away early is no news."""
    with suppress(Hangup, trio.BrokenResourceError):
        await serve(Lines(stream))
