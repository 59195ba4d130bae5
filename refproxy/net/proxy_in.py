"""Taking the PROXY header off the start of a client's connection (core rules, section 9.1)."""

from __future__ import annotations

import trio

from refproxy.errors import PeerError, Side
from refproxy.net.peek import Peekable
from refproxy.wire.proxy_header_in import HEADER_LIMIT, Conveyed, broken_header, parse_proxy_header

__all__ = ["receive_proxy_header"]


async def receive_proxy_header(stream: Peekable) -> Conveyed | None:
    """Receive exactly the header; return what it conveys, None for a direct connection (CORE-61, CORE-65).

    Raises WireError with the log line, which is empty where there is none, and PeerError for a reset.
    """
    received = b""
    try:
        while True:
            seen = await stream.peek(HEADER_LIMIT - len(received))
            if not seen:
                raise broken_header(received)
            header = parse_proxy_header(received + seen)
            if header is not None:
                await _take(stream, header.length - len(received))
                return header.conveyed
            # All of it belongs to the header. Left in place it would be seen again at once, and waiting for more of it
            # would be a busy loop.
            await _take(stream, len(seen))
            received += seen
    except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
        raise PeerError(Side.CLIENT, "client reset connection") from broken


async def _take(stream: Peekable, count: int) -> None:
    """Receive octets that were seen already."""
    while count > 0:
        count -= len(await stream.receive_some(count))
