"""A proxy that somebody else has configured and started, as a descriptor says; and what to configure for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NoReturn

import trio

from conformance.case import Block, Case, Needs
from conformance.targets.angie import server_block
from conformance.targets.base import Files, Fixture, Place, Running, Target, TargetTrouble
from conformance.targets.descriptor import Descriptor, normal

__all__ = ["External", "instructions"]

CONNECT_PATIENCE = 2.0  # seconds


class External(Target):
    """The proxy of a descriptor."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.name, self.version = descriptor.name, descriptor.version
        self.claims, self.dialects = descriptor.claims, descriptor.dialects
        self.auth_port, self.dns_port = descriptor.auth_port, descriptor.dns_port
        self.kept_files = descriptor.directory
        self._profiles = {normal(block): (name, place) for name, (block, place) in descriptor.profiles.items()}

    def refusal(self, case: Case) -> str | None:
        """Why a case cannot be run: what it needs is not claimed, or no profile stands for its block."""
        missing = sorted(case.needs - self.claims - {Needs.CONFIGURABLE})
        if missing:
            return f"{self.name} does not claim {', '.join(missing)}"
        if around := f"{case.main} {case.mail}".strip():
            return f"{self.name} has no profile with directives around the server block: {around}"
        if normal(case.block) not in self._profiles:
            return f"{self.name} has no profile for {_shown(case.block)}"
        return None

    def run(self, fixture: Fixture) -> AbstractAsyncContextManager[Running]:
        """See that every profile accepts connections."""
        return self._run(fixture)

    @asynccontextmanager
    async def _run(self, fixture: Fixture) -> AsyncIterator[Running]:
        places = {}
        for block in fixture.blocks:
            name, place = self._profiles[normal(block)]
            await self._see(name, place)
            places[block] = place
        yield _Elsewhere(places)

    async def _see(self, profile: str, place: Place) -> None:
        where = _where(place)
        try:
            with trio.fail_after(CONNECT_PATIENCE):
                stream = await place.connect(None)
        except (OSError, trio.TooSlowError) as error:
            late = f"no connection within {CONNECT_PATIENCE:g} s"
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else late
            raise TargetTrouble(
                f"{self.name} does not accept connections at {where} (profile {profile}): {why}; is it running?"
            ) from error
        await trio.aclose_forcefully(stream)


class _Elsewhere(Running):
    """A process that is not ours: nothing is known of it, and no case that sends it signals is run."""

    def __init__(self, places: Mapping[Block, Place]) -> None:
        self.places = places

    def trouble(self) -> str | None:
        return None

    def send_signal(self, number: int) -> NoReturn:
        raise AssertionError("needs that were not claimed")

    def reload(self, old: str, new: str) -> NoReturn:
        raise AssertionError("needs that were not claimed")

    async def logged(self, text: str) -> NoReturn:
        raise AssertionError("needs that were not claimed")

    async def ended(self) -> None:
        await trio.sleep_forever()


def instructions(descriptor: Descriptor, files: Files) -> str:
    """What to configure, for the proxy as a whole and for each profile."""
    blocks = [block for block, _ in descriptor.profiles.values()]
    auth_port, dns_port = descriptor.auth_port, descriptor.dns_port
    fixture = Fixture(blocks, auth_port, dns_port, files, descriptor.directory, auth6_port=auth_port)
    lines = [
        f"{descriptor.name}: for all profiles",
        "  its own name            mx.example",
        f"  auth server             http://127.0.0.1:{descriptor.auth_port}/auth",
        f"  name server             127.0.0.1:{descriptor.dns_port} (only where the directives have a resolver)",
        f"  certificates            in {files.directory}",
    ]
    for name, (block, place) in descriptor.profiles.items():
        lines += [
            "",
            f"profile {name}: {block.protocol} at {_where(place)}, which should do as Angie does with",
            f"  {server_block(fixture, block, place)}",
        ]
    return "\n".join(lines)


def _where(place: Place) -> str:
    return place.path or f"{place.host}:{place.port}"


def _shown(block: Block) -> str:
    parameters = f", listening with {block.listen!r}" if block.listen else ""
    directives = f"the directives {block.directives!r}" if block.directives else "no directives"
    return f"{block.protocol} over {block.address}{parameters} with {directives}"
