"""Fixtures for the tests of TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from refproxy.net.socket_stream import SocketStream
from tests.net.tls import pairs
from tests.net.tls.pairs import Transports


@pytest.fixture
def transports() -> Iterator[Transports]:
    """Makes connections, and closes their sockets at the end."""
    made: list[trio.abc.HalfCloseableStream] = []

    def make(kind: str) -> pairs.Pair:
        pair = pairs.transports(kind)
        made.extend(pair)
        return pair

    yield make
    for stream in made:
        if isinstance(stream, SocketStream):
            stream.socket.close()
