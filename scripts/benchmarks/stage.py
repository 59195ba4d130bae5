"""What the benchmarks share: the proxies between their world and their load, taking turns, and what a load costs them.

The servers and the load run in processes of their own; their CPU time is measured beside the proxy's, because a figure
says something about a proxy only when it is the proxy that was busy.
"""

from __future__ import annotations

import json
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scripts.benchmarks.certificate import KEY, make_certificate
from scripts.benchmarks.figures import Figure, figure
from scripts.benchmarks.load import Report, Transport
from scripts.benchmarks.proxies import STOP_LIMIT, BenchError, Program, Running, Setting, cpu_seconds, run_proxy

BUSY = 0.8  # of a core: below it the proxy was waiting for the load, and a rate is not its own
SPARE_FILES = 100  # beside the connections: logs, listeners, what the interpreter has open

S = TypeVar("S")


@dataclass(frozen=True)
class World:
    """The servers around the proxies, in their own process."""

    pid: int
    auth_port: int


@dataclass(frozen=True)
class Stage:
    """Everything that runs but the load."""

    world: World
    proxies: dict[Program, Running]


@contextmanager
def run_stage(
    programs: Sequence[Program], transport: Transport, connections: int, proxy_buffer: str | None = None
) -> Iterator[Stage]:
    """Run the world and every program, with the same configuration, for the block. Raises BenchError."""
    allow_open_files(connections + SPARE_FILES)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        certificate = make_certificate(directory) if transport is Transport.TLS else None
        setting = Setting(connections, certificate, proxy_buffer)
        world = stack.enter_context(run_world())
        running = {
            program: stack.enter_context(run_proxy(program, setting, world.auth_port, directory / str(number)))
            for number, program in enumerate(programs)
        }
        yield Stage(world, running)


def allow_open_files(count: int) -> None:
    """Let us and what we start have so many open files. Raises BenchError when the system does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise BenchError(f"{count} open files are needed, and only {hard} allowed (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@contextmanager
def run_world() -> Iterator[World]:
    """Run the servers for the block."""
    with run_helper("world") as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise BenchError("the backends did not start")
        yield World(process.pid, int(port))


@contextmanager
def run_helper(module: str, *words: object, errors: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run one of our modules as a program for the block; the end of its standard input asks it to end."""
    command = [sys.executable, "-m", f"scripts.benchmarks.{module}", *map(str, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, process_group=0) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()


class Load:
    """A load generator at work on one proxy."""

    def __init__(self, process: subprocess.Popen[str], proxy: Running, limit: int) -> None:
        self._process, self._proxy, self._limit = process, proxy, limit

    def report(self) -> Report:
        """Wait for the next report. Raises BenchError when a session failed, for then figures would mean nothing."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if line := self._process.stdout.readline():
            return Report(**json.loads(line))
        name, complaint = self._proxy.name, self._process.stderr.read().strip()
        if self._process.wait() == -signal.SIGALRM:
            raise BenchError(f"{name}: the load took more than {self._limit} s")
        raise BenchError(f"{name}: {complaint or 'the load ended early'}")

    def go_on(self) -> None:
        """Let it do the next thing."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, and the next report says why


@contextmanager
def run_load(module: str, proxy: Running, *words: object, limit: int) -> Iterator[Load]:
    """Run a load generator for the block; it ends by itself after `limit` seconds."""
    with run_helper(module, limit, *words, errors=subprocess.PIPE) as process:
        yield Load(process, proxy, limit)


@dataclass(frozen=True)
class Cost:
    """What one load cost: CPU seconds of proxy, load generator and servers; the seconds that passed; the TLS used."""

    proxy: float
    generator: float
    servers: float
    wall: float
    tls: str = ""

    @property
    def proxy_busy(self) -> float:
        """The share of one core that the proxy used."""
        return self.proxy / self.wall


def measure_cost(proxy: Running, world: World, run: Callable[[], Report]) -> Cost:
    """Read the CPU clocks before and after `run`. Raises BenchError."""
    proxy_before, servers_before = proxy.cpu_seconds(), cpu_seconds(world.pid)
    report = run()
    return Cost(
        proxy=proxy.cpu_seconds() - proxy_before,
        generator=report.cpu,
        servers=cpu_seconds(world.pid) - servers_before,
        wall=report.wall,
        tls=report.tls,
    )


def take_turns(
    programs: Iterable[Program], repetitions: int, measure: Callable[[Program], S]
) -> dict[Program, list[S]]:
    """Measure each program once, then each again: what else the machine does then meets them alike."""
    samples: dict[Program, list[S]] = {program: [] for program in programs}
    for _ in range(repetitions):
        for program in samples:
            samples[program].append(measure(program))
    return samples


def compare(name: str, unit: str, samples: Mapping[Program, Sequence[S]], value: Callable[[S], float]) -> Figure:
    """The figure that `value` finds in each sample."""
    ours = [value(one) for program, taken in samples.items() if not program.is_peer for one in taken]
    theirs = [value(one) for program, taken in samples.items() if program.is_peer for one in taken]
    return figure(name, unit, ours, theirs)


def describe_costs(label: str, name: str, costs: Sequence[Cost], unit: str, scale: float) -> str:
    """What everything cost beside the proxy, and whether a rate is the proxy's own; seconds x `scale` are `unit`."""
    cpu, generator, servers = (
        statistics.median(values) * scale
        for values in zip(*((cost.proxy, cost.generator, cost.servers) for cost in costs), strict=True)
    )
    busy = statistics.median(cost.proxy_busy for cost in costs)
    line = (
        f"{label} {name}: CPU {unit} {cpu:.3f}, load generator {generator:.3f}, servers {servers:.3f}; "
        f"proxy busy {busy:.0%} of a core"
    )
    return line if busy >= BUSY else line + ": its rate is limited by the load, the machine or acknowledgements"


def describe_tls(label: str, samples: Mapping[Program, Sequence[Cost]]) -> str:
    """Which TLS the programs negotiated, and whether it was the same."""
    found = {program.name: sorted({cost.tls for cost in costs}) for program, costs in samples.items()}
    each = "; ".join(f"{name} {', '.join(tls)}" for name, tls in found.items())
    line = f"{label} full handshakes, certificate {KEY}: {each}"
    same = len({tuple(tls) for tls in found.values()}) == 1
    return line if same else line + ": NOT THE SAME, so ratios compare versions and ciphers, too"
