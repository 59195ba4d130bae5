"""A program of somebody else that embeds refproxy; type-checked with trio-typing's plugin and mypy 1.8."""

from __future__ import annotations

from pathlib import Path

import trio

from refproxy.config.load import load
from refproxy.net.listen import open_listeners
from refproxy.observe.events import Event, SessionEnded
from refproxy.observe.stream import EventStream
from refproxy.worker import Worker


class CountSessions:
    wants_lines = False

    def __init__(self) -> None:
        self.ended = 0

    def __call__(self, event: Event) -> None:
        self.ended += isinstance(event, SessionEnded)


async def main() -> None:
    settings = load(Path("mail.conf"))
    listeners = await open_listeners(settings)
    counter = CountSessions()
    worker = Worker(settings, EventStream(counter))
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, listeners)
        await trio.sleep(3600)
        await worker.drain()
    print(counter.ended)


trio.run(main)
