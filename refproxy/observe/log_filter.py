"""Which messages a log takes: by `filter=` and `rate=` of `error_log` (CORE-28)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from refproxy.config.settings import LogFilter, LogMatch

__all__ = ["RateLimit", "fits"]


def fits(wanted: LogFilter, message: str, line: str, tags: Sequence[str], properties: Mapping[str, str]) -> bool:
    """Whether a message is let through; `line` is how the log would write it."""
    match wanted.subject:
        case "tag":
            return any(_matches(wanted, tag) for tag in tags)
        case "message":
            return _matches(wanted, message)
        case "logline":
            return _matches(wanted, line)
        case name:
            return name in properties and _matches(wanted, properties[name])


def _matches(wanted: LogFilter, text: str) -> bool:
    match wanted.match:
        case LogMatch.PART:
            return wanted.pattern in text
        case LogMatch.EXACT:
            return wanted.pattern == text
        case LogMatch.REGEX:
            return re.search(wanted.pattern, text) is not None


class RateLimit:
    """Lets through so many messages in each second, and counts the others."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._second = 0
        self._taken = 0
        self._dropped = 0

    def takes(self, now: float) -> bool:
        """Whether a message at this time (seconds since the epoch) is let through."""
        if int(now) != self._second:
            self._second, self._taken = int(now), 0
        self._taken += 1
        if self._taken <= self._rate:
            return True
        self._dropped += 1
        return False

    def take_dropped(self) -> int:
        """How many were not let through since this was asked last."""
        dropped, self._dropped = self._dropped, 0
        return dropped
