"""Ports for servers that tests start and that must be told their port."""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = ["free_port"]

_given: set[int] = set()
"""Ports that somebody was given, who may not listen yet."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, and another one at each call.

    It is taken from below the range that the kernel gives to outgoing connections, so none of them can take it before
    the server that it is meant for.
    """
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(10000, max(lowest_ephemeral, 20000))  # noqa: S311 (no secret)
        if port in _given:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        _given.add(port)
        return port
    raise AssertionError("no free port")
