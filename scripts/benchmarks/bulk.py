"""Moving many octets through one blocking socket, with as little Python between them as can be."""

from __future__ import annotations

import socket

BLOCK = 256 * 1024  # octets offered to one call; far more than any proxy's buffer


def send_bulk(sock: socket.socket, count: int) -> None:
    """Send `count` octets. Blocks for as long as the peer does not take them."""
    block = memoryview(bytes(BLOCK))
    whole, rest = divmod(count, BLOCK)
    for _ in range(whole):
        sock.sendall(block)
    sock.sendall(block[:rest])


def take_bulk(sock: socket.socket, count: int) -> None:
    """Receive exactly `count` octets. Raises ConnectionError when the peer ends before."""
    block = memoryview(bytearray(BLOCK))
    due = count
    while due:
        taken = sock.recv_into(block[: min(due, BLOCK)])
        if not taken:
            raise ConnectionError(f"the connection ended with {due} of {count} octets to come")
        due -= taken
