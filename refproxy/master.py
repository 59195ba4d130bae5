"""The daemon: binds sockets, runs workers, obeys signals. The sockets outlive a reload (core rules, section 11)."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from refproxy.config.settings import Settings
from refproxy.errors import ConfigError
from refproxy.net.listen import Listener, open_listeners
from refproxy.observe.events import Noted, WentWrong
from refproxy.observe.log import Log, open_log
from refproxy.observe.stream import EventStream
from refproxy.worker import Worker

__all__ = ["Load", "serve"]

Load = Callable[[], Settings]
"""Reads the configuration, at the start and at each reload. Raises ConfigError."""

GARBAGE_THRESHOLD = 10_000  # objects made and not freed since the last search; Python's default is 700

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


def serve(load: Load) -> int:
    """Run the daemon in the foreground; return its exit status.

    SIGTERM and SIGINT end it at once, SIGQUIT lets sessions finish, SIGHUP reads the configuration anew, SIGUSR1 opens
    the log files anew (CORE-75 to CORE-79). Raises ConfigError when it cannot start.
    """
    return trio.run(_Master(load).run)


class _Master:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._listeners: list[Listener] = []
        self._generations: list[_Generation] = []

    async def run(self) -> int:
        settings = self._load()
        print_warnings(settings)
        # Handlers come first: a signal during the start must not kill the process half-way.
        with trio.open_signal_receiver(*SIGNALS) as signals:
            # It reads the certificates: before anybody can connect, and where no nursery wraps its ConfigError.
            generation = _Generation(settings, open_log(settings))
            self._listeners = await open_listeners(settings)
            try:
                with _pid_file(settings.pid_file):
                    async with trio.open_nursery() as nursery:
                        await self._start(generation, nursery)
                        _spare_garbage_collection()
                        nursery.start_soon(self._obey, signals, nursery)
            finally:
                for listener in self._listeners:
                    listener.close()
        return 0

    async def _start(self, generation: _Generation, nursery: trio.Nursery) -> None:
        """Start a generation: the worker of one configuration, with a log of its own."""
        await nursery.start(generation.run, self._listeners)
        self._generations.append(generation)

    async def _obey(self, signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
        quitting = False
        async for number in signals:
            match number:
                case signal.SIGHUP if not quitting:
                    await self._reload(nursery)
                case signal.SIGUSR1:
                    for generation in self._generations:
                        generation.log.reopen()
                case signal.SIGQUIT:
                    quitting = True
                    await self._quit(nursery)
                case signal.SIGTERM | signal.SIGINT:
                    nursery.cancel_scope.cancel()
                case _:
                    pass

    async def _quit(self, nursery: trio.Nursery) -> None:
        """Refuse new connections, and end when the last session has ended (CORE-76)."""
        await self._generations[-1].worker.drain()
        for listener in self._listeners:
            listener.close()
        nursery.start_soon(self._end_when_drained, nursery)

    async def _end_when_drained(self, nursery: trio.Nursery) -> None:
        for generation in self._generations:
            await generation.ended.wait()
        nursery.cancel_scope.cancel()

    async def _reload(self, nursery: trio.Nursery) -> None:
        """Serve new connections by the new configuration; a wrong one changes nothing (CORE-79)."""
        current = self._generations[-1]
        try:
            settings = self._load()
            generation = _Generation(settings, open_log(settings))
            listeners = await open_listeners(settings, self._listeners)
        except ConfigError as error:
            current.events.emit(WentWrong(None, f"reload failed: {error}"))
            return
        # Only one task may wait on a socket: the old worker leaves before the new one comes; the kernel queues.
        await current.worker.drain()
        before, self._listeners = self._listeners, listeners
        await self._start(generation, nursery)
        kept = {listener.address for listener in self._listeners}
        for listener in before:
            if listener.address not in kept:
                listener.close()
        self._generations = [generation for generation in self._generations if not generation.ended.is_set()]
        self._generations[-1].events.emit(Noted(None, "reloaded"))


class _Generation:
    """One configuration being served, until its last session has ended."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self.log, self.events = log, EventStream(log)
        self.worker = Worker(settings, self.events)
        self.ended = trio.Event()

    async def run(self, listeners: list[Listener], *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self.worker.run(listeners, task_status=task_status)
        finally:
            self.ended.set()
            self.log.close()


def _spare_garbage_collection() -> None:
    """Search for garbage less often, and never among what was made until now.

    What a session makes is freed by counting references when it ends, unless it failed. So the collector finds hardly
    anything, but at its default it runs every dozen sessions, and now and then through all modules and settings.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def print_warnings(settings: Settings) -> None:
    """Tell the operator on stderr what the configuration reader noticed."""
    for line in settings.warnings:
        print(f"refproxy: {line}", file=sys.stderr)


@contextmanager
def _pid_file(name: str | None) -> Iterator[None]:
    if name is None:
        yield
        return
    path = Path(name)
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise ConfigError(f'open() "{name}" failed ({error.errno}: {error.strerror})') from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
