"""What crossed between the target and the peers around it, in its order, and how that is drawn."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote_from_bytes

import trio

from refproxy.observe.ladder import Board, Side, printable

__all__ = ["Entry", "Transcript"]

WIDTH = 118
SHOWN = 2000  # octets of one entry
ENOUGH = 6000  # octets from one side, behind which more in bulk are only counted
BULK = 1000
MASK = b"***"
LEAST_FORM = 4  # octets; a shorter piece of a secret tells little, and would hide innocent text


@dataclass(frozen=True, slots=True)
class Entry:
    """Octets that a peer sent to the target or received from it, or a remark."""

    at: float
    side: Side | None
    to_target: bool = False
    octets: bytes = b""
    remark: str = ""
    wrong: bool = False


@dataclass(slots=True)
class Transcript:
    """One case's entries. `secrets` never appear in a drawing, nor what they are in base64."""

    secrets: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def sent(self, side: Side, octets: bytes) -> None:
        """A peer sent octets to the target."""
        self._add(Entry(trio.current_time(), side, to_target=True, octets=octets))

    def received(self, side: Side, octets: bytes) -> None:
        """A peer received octets from the target."""
        self._add(Entry(trio.current_time(), side, octets=octets))

    def remark(self, text: str, *, wrong: bool = False) -> None:
        """Something happened that is no octets."""
        self._add(Entry(trio.current_time(), None, remark=text, wrong=wrong))

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)

    def draw(self, title: str) -> str:
        """The ladder: client, the target in the place of the proxy, auth server, backend."""
        board = Board(WIDTH)
        lines = [title[:WIDTH], board.names(), board.rungs()]
        drawn: Counter[tuple[Side, bool]] = Counter()
        for entry in self.entries:
            if entry.side is None:
                lines.append(board.note(("!! " if entry.wrong else "") + self.masked_text(entry.remark)))
                continue
            shown = self.masked(entry.octets[:SHOWN])
            if len(shown) > BULK:
                drawn[entry.side, entry.to_target] += len(shown)
                if drawn[entry.side, entry.to_target] > ENOUGH:
                    shown = b"(%d octets)" % len(entry.octets)
            for line in shown.removesuffix(b"\n").split(b"\n"):
                text = printable(line.removesuffix(b"\r"), SHOWN)
                draw = board.heard if entry.to_target else board.sent
                lines.append(draw(entry.side, text))
        return "".join(f"{line.rstrip()}\n" for line in lines)

    def masked_text(self, text: str) -> str:
        """Text without any secret of the case."""
        return self.masked(text.encode("utf-8", "backslashreplace")).decode()

    def masked(self, octets: bytes) -> bytes:
        """Octets without any secret of the case."""
        forms = {form for secret in self.secrets for form in _forms(secret)}
        for form in sorted(forms, key=len, reverse=True):
            octets = octets.replace(form, MASK)
        return octets


@lru_cache(maxsize=256)
def _forms(secret: bytes) -> list[bytes]:
    """A secret as it may stand on the wire: as it is, in base64 with anything around it, in a URL."""
    found = [secret, b64encode(secret), quote_from_bytes(secret, safe="").encode()]
    for before in range(3):
        # Of the octets before it and after it only the first and the last character depend, which are left out.
        start, end = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        found.append(b64encode(bytes(before) + secret)[start:end])
    return [form for form in found if len(form) >= LEAST_FORM or form == secret != b""]
