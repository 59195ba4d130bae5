"""The benchmark `sessions`: login, one command, logout; what that costs the proxy."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.figures import Figure, figure
from scripts.benchmarks.proxies import STOP_LIMIT, BenchError, Program, Running, cpu_seconds, run_proxy

WARM_UP = 200  # sessions
CONNECTIONS_PER_SESSION = 3  # client, auth server, backend
BUSY = 0.8  # of a core: below it the proxy was waiting for the load, and the rate is not its own


@dataclass(frozen=True)
class Sample:
    """One repetition: CPU milliseconds per session of proxy, load generator and servers; sessions per second."""

    cpu: float
    generator_cpu: float
    servers_cpu: float
    rate: float

    @property
    def proxy_busy(self) -> float:
        """The share of one core that the proxy used."""
        return self.cpu * self.rate / 1000


@dataclass(frozen=True)
class World:
    """The servers around the proxies, in their own process."""

    pid: int
    auth_port: int


def run_sessions(
    programs: list[Program], protocols: list[str], sessions: int, concurrency: int, repetitions: int
) -> list[Figure]:
    """Measure refproxy, the first program, beside its peer if there is one. Raises BenchError."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        world = stack.enter_context(run_world())
        room = CONNECTIONS_PER_SESSION * concurrency + 100
        running = [
            stack.enter_context(run_proxy(program, world.auth_port, directory / str(number), room))
            for number, program in enumerate(programs)
        ]
        for protocol in protocols:
            for proxy in running:
                measure(proxy, world, protocol, min(WARM_UP, sessions), concurrency)
            samples: list[list[Sample]] = [[] for _ in running]
            for _ in range(repetitions):
                for proxy, taken in zip(running, samples, strict=True):
                    taken.append(measure(proxy, world, protocol, sessions, concurrency))
            for proxy, taken in zip(running, samples, strict=True):
                print(describe_load(protocol, proxy.name, taken), flush=True)
            figures += summarize(protocol, *samples)
    return figures


@contextmanager
def run_world() -> Iterator[World]:
    """Run the servers for the block."""
    command = [sys.executable, "-m", "scripts.benchmarks.world"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline()
            if not port:
                raise BenchError("the backends did not start")
            yield World(process.pid, int(port))
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(proxy: Running, world: World, protocol: str, sessions: int, concurrency: int) -> Sample:
    """Run the load once. Raises BenchError when a session fails, for then the figures would mean nothing."""
    limit = 60 + 0.1 * sessions
    command = [sys.executable, "-m", "scripts.benchmarks.generator"]
    command += [protocol, str(proxy.ports[protocol]), str(sessions), str(concurrency)]
    proxy_before, servers_before = proxy.cpu_seconds(), cpu_seconds(world.pid)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit, process_group=0)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{proxy.name}: {sessions} {protocol} sessions took more than {limit:.0f} s") from None
    proxy_after, servers_after = proxy.cpu_seconds(), cpu_seconds(world.pid)
    if done.returncode != 0:
        raise BenchError(f"{proxy.name}: {done.stderr.strip()}")
    wall, generator = map(float, done.stdout.split())
    per_session = 1000 / sessions
    return Sample(
        cpu=(proxy_after - proxy_before) * per_session,
        generator_cpu=generator * per_session,
        servers_cpu=(servers_after - servers_before) * per_session,
        rate=sessions / wall,
    )


def summarize(protocol: str, ours: list[Sample], theirs: list[Sample] | None = None) -> list[Figure]:
    theirs = theirs or []
    return [
        figure(f"session-cpu-{protocol}", "ms", [one.cpu for one in ours], [one.cpu for one in theirs]),
        figure(f"session-rate-{protocol}", "1/s", [one.rate for one in ours], [one.rate for one in theirs]),
    ]


def describe_load(protocol: str, name: str, samples: list[Sample]) -> str:
    """What everything cost beside the proxy, and whether the rate is the proxy's own."""
    cpu, generator, servers, busy = (
        statistics.median(values)
        for values in zip(
            *((one.cpu, one.generator_cpu, one.servers_cpu, one.proxy_busy) for one in samples), strict=True
        )
    )
    line = (
        f"{protocol} {name}: CPU ms per session {cpu:.3f}, load generator {generator:.3f}, servers {servers:.3f}; "
        f"proxy busy {busy:.0%} of a core"
    )
    return line if busy >= BUSY else line + ": its rate is limited by the load or the machine"
