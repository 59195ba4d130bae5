"""A loop over sockets for the load generator and the servers: small enough not to be what is measured.

Every message here is far smaller than a socket's buffer, so sending never waits and only reading is polled.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

READ_SIZE = 65536  # more than a TLS record, so nothing that was received is left where epoll cannot see it
LOOPBACK = "127.0.0.1"
BACKLOG = 4096


class Source(Protocol):
    """What can be polled: a socket, or standard input."""

    def fileno(self) -> int: ...

    def close(self) -> object: ...


class Loop:
    """Calls a source's reader whenever it has something to read, until `stop`. It closes what it polls."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._sources: dict[int, tuple[Source, Callable[[], None]]] = {}
        self._stopped = False

    def add(self, source: Source, reader: Callable[[], None]) -> None:
        self._sources[source.fileno()] = source, reader
        self._poll.register(source.fileno(), select.EPOLLIN)

    def close(self, source: Source) -> None:
        """Close and forget; the system then polls it no longer."""
        del self._sources[source.fileno()]
        source.close()

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Return after `stop`, or raise what a reader raised, with everything closed."""
        try:
            while not self._stopped:
                for descriptor, _ in self._poll.poll():
                    if descriptor in self._sources:  # else closed by a reader before it in this round
                        self._sources[descriptor][1]()
        finally:
            self._poll.close()
            for source, _ in self._sources.values():
                source.close()


class Connection:
    """One TCP or TLS connection in a loop. Subclasses say what happens when octets or the end arrive.

    A TLS socket must not block; reading it goes on with its handshake.
    """

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop, self.socket = loop, sock
        loop.add(sock, self._read)

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    def close(self) -> None:
        self._loop.close(self.socket)

    def received(self, data: bytes) -> None:
        raise NotImplementedError

    def ended(self, error: OSError | None) -> None:
        """The peer closed, or the connection broke; it is closed already."""

    def _receive(self) -> bytes:
        if not isinstance(self.socket, ssl.SSLSocket):
            return self.socket.recv(READ_SIZE, socket.MSG_DONTWAIT)
        # A proxy under Nagle's algorithm sends its second small record (a ticket, a close) only when the first is
        # acknowledged. Delayed acknowledgements would make the rate one of a 40 ms timer, so what was read is
        # acknowledged at once. The option does not last: sending turns it off.
        try:
            return self.socket.recv(READ_SIZE)
        finally:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, True)

    def _read(self) -> None:
        try:
            data = self._receive()
            if data:
                self.received(data)
                return
        except BlockingIOError:  # the event was for an earlier socket of the same number
            return
        except ssl.SSLWantReadError:  # the handshake, a session ticket, or a part of a record
            return
        except OSError as error:
            self.close()
            self.ended(error)
            return
        self.close()
        self.ended(None)


def open_listener(loop: Loop, accepted: Callable[[Loop, socket.socket], Connection]) -> int:
    """Accept on a free loopback port for as long as the loop runs; return the port."""
    listener = socket.create_server((LOOPBACK, 0), backlog=BACKLOG)
    listener.setblocking(False)

    def accept() -> None:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        accepted(loop, sock)

    loop.add(listener, accept)
    return int(listener.getsockname()[1])
