"""Results: what is measured, how repetitions become figures, how figures are shown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the result; spreads are (max - min) / median of the repetitions."""

    name: str
    unit: str
    refproxy: float
    spread: float
    peer: float | None = None
    peer_spread: float | None = None

    @property
    def ratio(self) -> float | None:
        """refproxy divided by the peer."""
        return self.refproxy / self.peer if self.peer else None

    def as_json(self, peer_name: str) -> dict[str, object]:
        return {
            "name": self.name,
            "unit": self.unit,
            "refproxy": self.refproxy,
            peer_name: self.peer,
            "ratio": self.ratio,
            "spread": self.spread,
        }


def figure(name: str, unit: str, ours: Sequence[float], theirs: Sequence[float] = ()) -> Figure:
    """Medians and spreads of the repetitions; `theirs` is empty without a peer."""
    if not theirs:
        return Figure(name, unit, statistics.median(ours), spread(ours))
    return Figure(name, unit, statistics.median(ours), spread(ours), statistics.median(theirs), spread(theirs))


def spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def format_json(figures: list[Figure], peer_name: str) -> str:
    return json.dumps({"figures": [figure.as_json(peer_name) for figure in figures]}, indent=2) + "\n"


def format_table(figures: list[Figure], peer_name: str) -> str:
    lines = [f"{'figure':<20} {'unit':>5} {'refproxy':>10} {'spread':>7} {peer_name:>10} {'spread':>7} {'ratio':>7}"]
    for each in figures:
        peer = "-" if each.peer is None else f"{each.peer:.3f}"
        peer_spread = "-" if each.peer_spread is None else f"{each.peer_spread:.0%}"
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}"
        own = f"{each.refproxy:>10.3f} {each.spread:>7.0%}"
        lines.append(f"{each.name:<20} {each.unit:>5} {own} {peer:>10} {peer_spread:>7} {ratio:>7}")
    return "\n".join(lines)
