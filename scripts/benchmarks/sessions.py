"""The benchmark `sessions`: login, one command, logout; what that costs the proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.benchmarks.figures import Figure
from scripts.benchmarks.load import Transport
from scripts.benchmarks.proxies import Program
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

WARM_UP = 200  # sessions
CONNECTIONS_PER_SESSION = 3  # client, auth server, backend


@dataclass(frozen=True)
class Plan:
    """What is run: the transport, sessions in a repetition, how many of them at once, repetitions of each proxy."""

    transport: Transport
    sessions: int
    concurrency: int
    repetitions: int


def run(programs: Sequence[Program], protocols: Sequence[str], plan: Plan) -> list[Figure]:
    """Measure sessions of each protocol. Raises BenchError."""
    connections = CONNECTIONS_PER_SESSION * plan.concurrency + 100
    with run_stage(programs, plan.transport, connections) as stage:
        return [figure for protocol in protocols for figure in run_protocol(stage, protocol, plan)]


def run_protocol(stage: Stage, protocol: str, plan: Plan) -> list[Figure]:
    """Warm up, take turns, and show what the load itself cost."""

    def measure(program: Program, sessions: int = plan.sessions) -> Cost:
        proxy = stage.proxies[program]
        words = (protocol, proxy.ports[protocol], plan.transport, sessions, plan.concurrency)
        with run_load("sessions_load", proxy, *words, limit=60 + sessions // 10) as load:
            return measure_cost(proxy, stage.world, load.report)

    for program in stage.proxies:
        measure(program, min(WARM_UP, plan.sessions))
    samples = take_turns(stage.proxies, plan.repetitions, measure)
    label = protocol if plan.transport is Transport.PLAIN else f"{protocol}-{plan.transport}"
    for program, costs in samples.items():
        print(describe_costs(label, program.name, costs, "ms per session", 1000 / plan.sessions), flush=True)
    if plan.transport is Transport.TLS:
        print(describe_tls(label, samples), flush=True)
    return summarize(label, plan.sessions, samples)


def summarize(label: str, sessions: int, samples: Mapping[Program, Sequence[Cost]]) -> list[Figure]:
    return [
        compare(f"session-cpu-{label}", "ms", samples, lambda cost: cost.proxy * 1000 / sessions),
        compare(f"session-rate-{label}", "1/s", samples, lambda cost: sessions / cost.wall),
    ]
