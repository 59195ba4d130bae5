"""Results: what is measured, how repetitions become figures, how figures are shown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the result; spreads are (max - min) / median of the repetitions. None: it was not measured."""

    name: str
    unit: str
    refproxy: float | None
    spread: float | None
    peer: float | None = None
    peer_spread: float | None = None

    @property
    def ratio(self) -> float | None:
        """refproxy divided by the peer."""
        return None if self.refproxy is None or not self.peer else self.refproxy / self.peer

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
    """Medians and spreads of the repetitions; either is empty when it was not measured."""
    return Figure(name, unit, *middle(ours), *middle(theirs))


def middle(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Median and spread. A process that used nothing has a median of 0; its spread is in parts of the maximum."""
    if not values:
        return None, None
    median = statistics.median(values)
    return median, (max(values) - min(values)) / (median or max(values) or 1.0)


def format_json(figures: list[Figure], peer_name: str) -> str:
    return json.dumps({"figures": [figure.as_json(peer_name) for figure in figures]}, indent=2) + "\n"


def format_table(figures: list[Figure], peer_name: str) -> str:
    lines = [f"{'figure':<22} {'unit':>5} {'refproxy':>10} {'spread':>7} {peer_name:>10} {'spread':>7} {'ratio':>7}"]
    for each in figures:
        own = f"{shown(each.refproxy, '.3f'):>10} {shown(each.spread, '.0%'):>7}"
        peer = f"{shown(each.peer, '.3f'):>10} {shown(each.peer_spread, '.0%'):>7}"
        lines.append(f"{each.name:<22} {each.unit:>5} {own} {peer} {shown(each.ratio, '.2f'):>7}")
    return "\n".join(lines)


def shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
