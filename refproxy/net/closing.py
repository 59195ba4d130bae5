"""Closing without a farewell."""

from __future__ import annotations

import trio

from refproxy.net.socket_stream import SocketStream
from refproxy.net.tls.stream import TlsStream

__all__ = ["close_at_once"]


async def close_at_once(stream: trio.abc.AsyncResource) -> None:
    """Close without a word, not even close_notify (TLS-54), even when cancelled.

    A socket needs no turn of the scheduler for that.
    """
    transport = stream.transport if isinstance(stream, TlsStream) else stream
    if isinstance(transport, SocketStream):
        transport.close()
    else:
        await trio.aclose_forcefully(transport)
