"""What `serve` does: auth server and name server for a proxy that somebody configures by hand, until interrupted."""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio

from conformance.bench import World
from conformance.targets.base import TargetTrouble
from conformance.targets.descriptor import Descriptor
from conformance.targets.external import External, instructions

__all__ = ["serve"]

Say = Callable[[str], None]


async def serve(descriptor: Descriptor, say: Say) -> None:
    """Tell what to configure, serve until SIGINT or SIGTERM, and tell what comes. Raises TargetTrouble."""
    target = External(descriptor)
    world = World.of(target, descriptor.directory, say)
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(world.serve)
                say(instructions(descriptor, world.files))
                say("\nServing; interrupt it before `run --target external`, which needs the same ports.")
                async for _ in signals:
                    nursery.cancel_scope.cancel()
    except* TargetTrouble as troubles:
        trouble = troubles.exceptions[0]
    else:
        return
    raise trouble
