"""The benchmark `sessions`: login, one command, logout; what that costs the proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.benchmarks.figures import Figure
from scripts.benchmarks.proxies import Program, Setting
from scripts.benchmarks.stage import Cost, Stage, compare, describe_costs, measure_cost, run_load, run_stage, take_turns

WARM_UP = 200  # sessions
CONNECTIONS_PER_SESSION = 3  # client, auth server, backend


@dataclass(frozen=True)
class Amount:
    """How much is run: sessions in a repetition, how many of them at once, repetitions of each proxy."""

    sessions: int
    concurrency: int
    repetitions: int


def run_sessions(programs: Sequence[Program], protocols: Sequence[str], amount: Amount) -> list[Figure]:
    """Measure sessions of each protocol. Raises BenchError."""
    setting = Setting(connections=CONNECTIONS_PER_SESSION * amount.concurrency + 100)
    with run_stage(programs, setting) as stage:
        return [figure for protocol in protocols for figure in run_protocol(stage, protocol, amount)]


def run_protocol(stage: Stage, protocol: str, amount: Amount) -> list[Figure]:
    def measure(program: Program, sessions: int = amount.sessions) -> Cost:
        proxy = stage.proxies[program]
        words = (protocol, proxy.ports[protocol], sessions, amount.concurrency)
        with run_load("sessions_load", proxy, *words, limit=60 + sessions // 10) as load:
            return measure_cost(proxy, stage.world, load.report)

    for program in stage.proxies:
        measure(program, min(WARM_UP, amount.sessions))
    samples = take_turns(stage.proxies, amount.repetitions, measure)
    for program, costs in samples.items():
        scale = 1000 / amount.sessions
        print(describe_costs(protocol, program.name, costs, "ms per session", scale), flush=True)
    return summarize(protocol, amount.sessions, samples)


def summarize(label: str, sessions: int, samples: Mapping[Program, Sequence[Cost]]) -> list[Figure]:
    return [
        compare(f"session-cpu-{label}", "ms", samples, lambda cost: cost.proxy * 1000 / sessions),
        compare(f"session-rate-{label}", "1/s", samples, lambda cost: sessions / cost.wall),
    ]
