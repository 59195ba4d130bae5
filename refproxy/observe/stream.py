"""The event stream: `emit` is synchronous, never blocks, and never raises into a session."""

from __future__ import annotations

import sys
import traceback
from typing import Protocol

from refproxy.observe.events import Event

__all__ = ["EventStream", "Reader"]


class Reader(Protocol):
    """Something that wants to know. `wants_lines`: also every line of every dialogue and the octets of relays."""

    wants_lines: bool

    def __call__(self, event: Event, /) -> None: ...


class EventStream:
    """Hands each event to every reader. `verbose` tells emitters whether anybody reads lines at all."""

    def __init__(self, *readers: Reader) -> None:
        self._readers = readers
        self.verbose = any(reader.wants_lines for reader in readers)

    def emit(self, event: Event) -> None:
        """Tell all readers. A reader that fails is a defect, told on stderr; the session does not notice."""
        for reader in self._readers:
            try:
                reader(event)
            except Exception:
                traceback.print_exc(file=sys.stderr)
