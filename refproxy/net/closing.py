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
    if isinstance(stream, SocketStream):
        stream.close()
    elif isinstance(stream, TlsStream):
        await close_at_once(stream.transport)
    else:
        await trio.aclose_forcefully(stream)
