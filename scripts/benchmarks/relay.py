"""The benchmark `relay`: many octets through a session that is logged in; how fast, and what they cost the proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from scripts.benchmarks.figures import Figure
from scripts.benchmarks.load import Report, Transport
from scripts.benchmarks.proxies import Program
from scripts.benchmarks.relay_load import Direction
from scripts.benchmarks.stage import (
    Cost,
    Stage,
    compare,
    describe_costs,
    describe_tls,
    measure_cost,
    run_load,
    run_stage,
    take_turns,
)

MIB, GIB = 2**20, 2**30
CONNECTIONS = 100  # one session, and room
SLOWEST = 1 * MIB  # octets per second; a load slower than that is ended

Samples = Mapping[Program, Sequence[Cost]]
"""The repetitions of one direction."""


class Variant(Enum):
    """A configuration, and the directions that it makes a difference to."""

    DEFAULT = ("default", Transport.PLAIN, None, (Direction.DOWN, Direction.UP))
    LARGE = ("64k", Transport.PLAIN, "64k", (Direction.DOWN,))  # proxy_buffer holds what comes from the backend
    TLS = ("tls", Transport.TLS, None, (Direction.DOWN, Direction.UP))

    def __init__(
        self, label: str, transport: Transport, proxy_buffer: str | None, directions: tuple[Direction, ...]
    ) -> None:
        self.label, self.transport, self.proxy_buffer, self.directions = label, transport, proxy_buffer, directions


@dataclass(frozen=True)
class Plan:
    """What is run: octets in a repetition, repetitions of each proxy."""

    octets: int
    repetitions: int


def run(programs: Sequence[Program], variant: Variant, plan: Plan) -> list[Figure]:
    """Measure one configuration. Raises BenchError."""
    with run_stage(programs, variant.transport, CONNECTIONS, variant.proxy_buffer) as stage:
        samples = {direction: run_direction(stage, variant, direction, plan) for direction in variant.directions}
    return summarize(variant, plan.octets, samples)


def run_direction(stage: Stage, variant: Variant, direction: Direction, plan: Plan) -> dict[Program, list[Cost]]:
    """Take turns, and show what the load itself cost."""

    def measure(program: Program) -> Cost:
        proxy = stage.proxies[program]
        words = (proxy.ports["imap"], variant.transport, direction, plan.octets)
        with run_load("relay_load", proxy, *words, limit=60 + plan.octets // SLOWEST) as load:
            load.report()

            def pass_octets() -> Report:
                load.go_on()
                return load.report()

            return measure_cost(proxy, stage.world, pass_octets)

    samples = take_turns(stage.proxies, plan.repetitions, measure)
    label = f"{direction}-{variant.label}"
    for program, costs in samples.items():
        print(describe_costs(label, program.name, costs, "s per GiB", GIB / plan.octets), flush=True)
    if variant.transport is Transport.TLS:
        print(describe_tls(label, samples), flush=True)
    return samples


def summarize(variant: Variant, octets: int, samples: Mapping[Direction, Samples]) -> list[Figure]:
    """The speed in each direction, and what both together cost, where both were measured."""
    figures = [
        compare(f"relay-{direction}-{variant.label}", "MB/s", taken, lambda cost: octets / cost.wall / 1e6)
        for direction, taken in samples.items()
    ]
    if len(samples) == 2:
        down, up = samples[Direction.DOWN], samples[Direction.UP]
        both = {
            program: [(a.proxy + b.proxy) / 2 for a, b in zip(down[program], up[program], strict=True)]
            for program in down
        }
        name = f"cpu-per-gib-{variant.label}"
        figures.append(compare(name, "s/GiB", both, lambda cpu: cpu * GIB / octets))
    return figures
