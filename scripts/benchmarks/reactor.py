"""A loop over sockets for the load generator and the servers: small enough not to be what is measured.

Every message here is far smaller than a socket's buffer, so sending never waits and only reading is polled.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

READ_SIZE = 65536
LOOPBACK = "127.0.0.1"
BACKLOG = 4096


class Loop:
    """Calls a socket's reader whenever it has something to read, until `stop`."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._stopped = False

    def add(self, descriptor: int, reader: Callable[[], None]) -> None:
        self._readers[descriptor] = reader
        self._poll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        """To be called before closing, which also ends the polling."""
        del self._readers[descriptor]

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._poll.poll():
                reader = self._readers.get(descriptor)
                if reader is not None:  # else closed by a reader before it in this round
                    reader()


class Connection:
    """One TCP connection in a loop. Subclasses say what happens when octets or the end arrive."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop, self._socket = loop, sock
        loop.add(sock.fileno(), self._read)

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def close(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def received(self, data: bytes) -> None:
        raise NotImplementedError

    def ended(self, error: OSError | None) -> None:
        """The peer closed, or the connection broke; it is closed already."""

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE, socket.MSG_DONTWAIT)
            if data:
                self.received(data)
                return
        except BlockingIOError:  # the event was for an earlier socket of the same number
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

    loop.add(listener.fileno(), accept)
    return int(listener.getsockname()[1])
