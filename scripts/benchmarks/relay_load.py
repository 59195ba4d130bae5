"""The load of the benchmark `relay`: one session, logged in, through which octets pass in one direction.

Arguments after the limit: PORT TRANSPORT DIRECTION OCTETS. It logs in, lets some octets pass for a start and prints a
report; then, after a line on standard input, it lets OCTETS pass and prints another.
It blocks, and does nothing else: a loop over one socket would only cost it speed.
"""

from __future__ import annotations

import socket
import sys
from enum import StrEnum

from scripts.benchmarks.bulk import send_bulk, take_bulk
from scripts.benchmarks.load import LOGIN, Dialogue, Stopwatch, Transport, connect, negotiated, run_program

WARM_UP = 4 * 1024 * 1024  # octets; the system has then given the connections the buffers that they will keep
REPLY_LIMIT = 4096


class Direction(StrEnum):
    """Where the octets go: down from the backend to the client, or up."""

    DOWN = "down"
    UP = "up"


def log_in(port: int, transport: Transport) -> socket.socket:
    """A blocking connection in the relay. Raises LoadError."""
    sock = connect(port, transport.context())
    sock.setblocking(True)
    talk(sock, Dialogue("relay", LOGIN))
    return sock


def talk(sock: socket.socket, dialogue: Dialogue) -> None:
    """Walk a dialogue to its end. Raises LoadError."""
    while not dialogue.finished:
        data = sock.recv(REPLY_LIMIT)
        if not data:
            raise dialogue.fault("got a close")
        if line := dialogue.receive(data):
            sock.sendall(line)


def transfer(sock: socket.socket, direction: Direction, count: int) -> None:
    """Let `count` octets pass; return when the last one has arrived. See the backend's commands in world.py."""
    match direction:
        case Direction.DOWN:
            sock.sendall(b"d SEND %d\r\n" % count)
            take_bulk(sock, count)
        case Direction.UP:
            sock.sendall(b"u TAKE %d\r\n" % count)
            talk(sock, Dialogue("relay", [(b"+ go", b"")]))
            send_bulk(sock, count)
            talk(sock, Dialogue("relay", [(b"u OK", b"")]))


def main(words: list[str]) -> None:
    port, transport, direction, octets = words
    watch = Stopwatch()
    with log_in(int(port), Transport(transport)) as sock:
        transfer(sock, Direction(direction), WARM_UP)
        watch.report(negotiated(sock))
        if sys.stdin.readline():
            watch = Stopwatch()
            transfer(sock, Direction(direction), int(octets))
            watch.report(negotiated(sock))


if __name__ == "__main__":
    sys.exit(run_program(main))
