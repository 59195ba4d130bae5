"""The benchmark `idle`: what a session costs that is in the relay and silent: memory, and CPU for nothing.

Memory is the growth of the resident set (RSS, children included) from the first few sessions to all of them. A fresh
process is measured each time: one that had closed many sessions would open new ones in memory that it kept. Not PSS,
which shrinks when another process maps the same library, as the load generator does. Memory of the kernel, such as the
buffers of sockets, is in neither.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.benchmarks.figures import Figure
from scripts.benchmarks.idle_load import BATCH
from scripts.benchmarks.load import Report, Transport
from scripts.benchmarks.proxies import Program
from scripts.benchmarks.stage import (
    Cost,
    compare,
    describe_costs,
    describe_tls,
    measure_cost,
    run_load,
    run_stage,
    take_turns,
)

KIB = 1024
FIRST = 20  # sessions; after them everything is loaded and allocated that a process needs once
CONNECTIONS_PER_SESSION = 2  # client and backend


@dataclass(frozen=True)
class Plan:
    """What is run: the transport, sessions, seconds of silence, and repetitions of each proxy."""

    transport: Transport
    sessions: int
    seconds: int
    repetitions: int


@dataclass(frozen=True)
class Sample:
    """One repetition: octets of memory per session, the share of a core used in silence, and what opening cost."""

    memory: float
    idle: float
    opening: Cost


def run(programs: Sequence[Program], plan: Plan) -> list[Figure]:
    """Measure idle sessions over one transport. Raises BenchError."""
    samples = take_turns(programs, plan.repetitions, lambda program: measure(program, plan))
    label = "idle" if plan.transport is Transport.PLAIN else f"idle-{plan.transport}"
    opening = {program: [one.opening for one in taken] for program, taken in samples.items()}
    for program, taken in samples.items():
        growth = statistics.median(one.memory for one in taken) * plan.sessions / KIB
        print(f"{label} {program.name}: {plan.sessions} sessions held for {plan.seconds} s, RSS grown {growth:.0f} KiB")
        unit = "ms per session opened"
        print(describe_costs(label, program.name, opening[program], unit, 1000 / plan.sessions), flush=True)
    if plan.transport is Transport.TLS:
        print(describe_tls(label, opening), flush=True)
    return summarize(plan.transport, samples)


def measure(program: Program, plan: Plan) -> Sample:
    """Hold sessions on a fresh process. Raises BenchError."""
    connections = CONNECTIONS_PER_SESSION * (FIRST + plan.sessions) + BATCH + 100
    with run_stage([program], plan.transport, connections) as stage:
        proxy = stage.proxies[program]
        words = (proxy.ports["imap"], plan.transport, FIRST, plan.sessions)
        limit = 60 + plan.sessions // 10 + plan.seconds
        with run_load("idle_load", proxy, *words, limit=limit) as load:
            load.report()

            def open_sessions() -> Report:
                load.go_on()
                return load.report()

            memory = proxy.resident_octets()
            opening = measure_cost(proxy, stage.world, open_sessions)
            cpu, began = proxy.cpu_seconds(), time.perf_counter()
            time.sleep(plan.seconds)
            idle = (proxy.cpu_seconds() - cpu) / (time.perf_counter() - began)
            memory = proxy.resident_octets() - memory
            load.go_on()
            load.report()  # every session is still there, or else it raises
    return Sample(memory / plan.sessions, idle, opening)


def summarize(transport: Transport, samples: Mapping[Program, Sequence[Sample]]) -> list[Figure]:
    suffix = "" if transport is Transport.PLAIN else f"-{transport}"
    return [
        compare(f"idle-kib{suffix}", "KiB", samples, lambda one: one.memory / KIB),
        compare(f"idle-cpu{suffix}", "%", samples, lambda one: one.idle * 100),
    ]
