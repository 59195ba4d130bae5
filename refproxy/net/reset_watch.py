"""Noticing that a client is gone while its session waits for somebody else.

During a login the session waits for the auth server or the backend, and a client that resets its connection must end
that (CORE-83). A task of its own, reading from the client meanwhile, would be the most expensive part of a login. But
the kernel reports the errors of every socket in an epoll set, even when no event was asked for. So a worker has one
set for all its clients, and one task that sleeps until one of them breaks. Nothing is read: a half-close stays
unnoticed, as it must, and what the client sends waits in the kernel.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import trio

__all__ = ["ResetCancels", "ResetWatch"]

ONLY_ERRORS = select.EPOLLONESHOT  # asks for nothing; EPOLLERR and EPOLLHUP come unasked, and with this only once

ResetCancels = Callable[[trio.CancelScope], AbstractContextManager[None]]
"""While in the `with` block, a reset by the peer of a certain connection cancels the scope."""


class ResetWatch:
    """The sockets of a worker whose peers must not vanish unnoticed.

    Nothing is noticed unless `run` runs. The last `with` block must have ended before `close`.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._scopes: dict[int, trio.CancelScope] = {}

    async def run(self) -> None:
        """Cancel the scope of each socket that breaks, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for descriptor, _ in self._epoll.poll(0):
                self._scopes[descriptor].cancel()

    def close(self) -> None:
        """Watch no more."""
        self._epoll.close()

    @contextmanager
    def reset_cancels(self, sock: socket.socket, scope: trio.CancelScope) -> Iterator[None]:
        """Watch a socket for the length of the `with` block; it must stay open for so long."""
        descriptor = sock.fileno()
        self._scopes[descriptor] = scope
        self._epoll.register(descriptor, ONLY_ERRORS)
        try:
            yield
        finally:
            self._epoll.unregister(descriptor)
            del self._scopes[descriptor]
