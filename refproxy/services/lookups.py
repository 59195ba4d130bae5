"""Results of lookups: asked for once, whoever asks at the same time, and kept for as long as they hold (CORE-52)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

__all__ = ["Failure", "Found", "Lookups"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A result and how many seconds it may be kept; None is not at all."""

    value: T
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result: a code of DNS messages, and the line for the log. Never kept."""

    code: int
    text: str


@dataclass(slots=True)
class _Flight(Generic[T]):
    """A lookup that is going on, for all who want its outcome; None means that whoever led it gave up."""

    landed: trio.Event = field(default_factory=trio.Event)
    outcome: Found[T] | Failure | None = None


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    found: Found[T]
    until: int  # a whole second, which is the last one


class Lookups(Generic[T]):
    """Remembers at most `limit` results; the one that was not used for longest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[bytes, _Kept[T]] = {}  # least recently used first
        self._flights: dict[bytes, _Flight[T]] = {}

    async def get(self, key: bytes, fetch: Callable[[], Awaitable[Found[T] | Failure]]) -> Found[T] | Failure:
        """Return what is known about a key, or what a lookup of it finds.

        Callers who come while a lookup is going on wait for it, each for as long as its own deadline allows. When the
        caller that leads it gives up, one of those who wait starts it anew: nothing runs that nobody waits for.
        """
        while True:
            if (kept := self._recall(key)) is not None:
                return kept
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(key, fetch)
            await flight.landed.wait()
            if flight.outcome is not None:
                return flight.outcome

    async def _lead(self, key: bytes, fetch: Callable[[], Awaitable[Found[T] | Failure]]) -> Found[T] | Failure:
        flight = self._flights[key] = _Flight[T]()
        try:
            flight.outcome = await fetch()
        finally:
            del self._flights[key]
            flight.landed.set()
        if isinstance(flight.outcome, Found):
            self._keep(key, flight.outcome)
        return flight.outcome

    def _recall(self, key: bytes) -> Found[T] | None:
        kept = self._kept.pop(key, None)
        if kept is None or kept.until < _second():
            return None
        self._kept[key] = kept  # now the most recently used
        return kept.found

    def _keep(self, key: bytes, found: Found[T]) -> None:
        if found.seconds is None:
            return
        self._kept[key] = _Kept(found, _second() + found.seconds)
        while len(self._kept) > self._limit:
            del self._kept[next(iter(self._kept))]


def _second() -> int:
    """Whole seconds, as Angie counts: what expires in a second is good until the end of it (CORE-52)."""
    return int(trio.current_time())
