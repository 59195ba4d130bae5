"""Serving one configuration: listeners' nursery inside sessions' nursery, and the drain at the end."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import count

import trio

from refproxy.config.settings import Address, LogLevel, Settings, UnixAddress
from refproxy.net.dial import Dial, dial
from refproxy.net.listen import Listener
from refproxy.net.reset_watch import ResetWatch
from refproxy.net.socket_stream import SocketStream
from refproxy.observe.events import SessionInfo, WentWrong
from refproxy.observe.stream import EventStream
from refproxy.server import make_servers
from refproxy.session import Arrival, Peers, Session

__all__ = ["Worker"]

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
EXHAUSTED_PAUSE = 0.5  # seconds without accepting, as Angie's accept_mutex_delay

_numbers = count(1)


class Worker:
    """Serves a configuration on sockets it is given; it neither binds nor closes them.

    `drain` stops accepting and lets sessions finish; cancelling `run` ends everything at once.
    """

    def __init__(self, settings: Settings, events: EventStream, dial: Dial = dial) -> None:
        """Read the certificates. Raises ConfigError."""
        self.settings = settings
        self._servers = {id(server.settings): server for server in make_servers(settings)}
        self.events, self._dial = events, dial
        self._sessions: set[Session] = set()
        self._resets = ResetWatch()
        self._accepting = trio.CancelScope()
        self._refuses = trio.Event()
        self._empty = trio.Event()

    async def run(
        self, listeners: Sequence[Listener], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept and serve until drained."""
        with closing(self._resets):
            async with trio.open_nursery() as helpers:
                helpers.start_soon(self._resets.run)
                await self._accept_and_serve(listeners, task_status)
                helpers.cancel_scope.cancel()

    async def _accept_and_serve(self, listeners: Sequence[Listener], task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as sessions:
            with self._accepting:
                async with trio.open_nursery() as acceptors:
                    for listener in listeners:
                        acceptors.start_soon(self._accept, listener, len(listeners), sessions)
                    task_status.started()
                    await trio.sleep_forever()
            self._refuses.set()
            if self._sessions and self.settings.worker_shutdown_timeout is not None:
                sessions.start_soon(self._cut_after, self.settings.worker_shutdown_timeout)

    async def drain(self) -> None:
        """Stop accepting, and return when that is done; sessions go on, up to `worker_shutdown_timeout` (CORE-76)."""
        self._accepting.cancel()
        await self._refuses.wait()

    async def _cut_after(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._empty.wait()
            return
        for session in tuple(self._sessions):
            session.cut()

    async def _accept(self, listener: Listener, listening: int, sessions: trio.Nursery) -> None:
        """Hand every connection to a session of its own; shed when out of descriptors or worker_connections."""
        while True:
            try:
                sock, client = await listener.accept()
            except OSError as error:
                if error.errno in EXHAUSTED:
                    text = f"accept() failed ({error.errno}: {os.strerror(error.errno)})"
                    self.events.emit(WentWrong(None, text, LogLevel.CRIT))
                    await trio.sleep(EXHAUSTED_PAUSE)
                else:
                    await trio.lowlevel.checkpoint()  # a client that gave up before it was accepted is no news
                continue
            if not self._has_room(listening):
                text = f"{self.settings.worker_connections} worker_connections are not enough"
                self.events.emit(WentWrong(None, text, LogLevel.ALERT))
                sock.close()
                continue
            try:
                peers = Peers(client, listener.local_address(sock))
            except OSError:
                sock.close()  # gone already
                continue
            sessions.start_soon(self._serve, sock, peers, listener)

    def _has_room(self, listening: int) -> bool:
        """Whether worker_connections allow one more; a session may hold a client's and a backend's (CORE-25)."""
        most = self.settings.worker_connections
        if 2 * len(self._sessions) + listening < most:
            return True  # as nearly always, and without asking every session at every accept
        return sum(1 if session.info.backend is None else 2 for session in self._sessions) + listening < most

    async def _serve(self, sock: socket.socket, peers: Peers, listener: Listener) -> None:
        local: Address = listener.address if isinstance(listener.address, UnixAddress) else peers.local
        endpoint = listener.endpoint(local)
        info = SessionInfo(
            next(_numbers),
            endpoint.server,
            "unix:" if isinstance(peers.client, UnixAddress) else str(peers.client),
            str(endpoint.listen.address),
            trio.current_time(),
        )
        arrival = Arrival(SocketStream(sock), peers, endpoint.listen, partial(self._resets.reset_cancels, sock))
        session = Session(arrival, self._servers[id(endpoint.server)], info, self.events, self._dial)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            if not self._sessions and self._accepting.cancel_called:
                self._empty.set()
