"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.proxies import PROTOCOLS, BenchError, Running, cpu_seconds, has_nginx, proxy


@dataclass(frozen=True)
class Sample:
    """One repetition: milliseconds of CPU per session of proxy, load generator and servers, and sessions per second."""

    cpu: float
    generator_cpu: float
    world_cpu: float
    rate: float


@dataclass(frozen=True)
class Figure:
    """One line of the result; `spread` is (max - min) / median of refproxy's repetitions."""

    name: str
    unit: str
    refproxy: float
    nginx: float | None
    spread: float

    @property
    def ratio(self) -> float | None:
        """refproxy divided by nginx."""
        return self.refproxy / self.nginx if self.nginx else None

    def as_json(self) -> dict[str, object]:
        keys = ("name", "unit", "refproxy", "nginx", "ratio", "spread")
        return {key: getattr(self, key) for key in keys}


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the proxy.")
    commands = parser.add_subparsers(dest="command", required=True)
    sessions = commands.add_parser(
        "sessions", help="login, one command, logout: CPU per session and sessions per second"
    )
    sessions.add_argument("--protocol", choices=[*PROTOCOLS, "all"], default="all")
    sessions.add_argument("-n", "--sessions", type=positive, default=2000, help="sessions in a repetition")
    sessions.add_argument("--concurrency", type=positive, default=20)
    sessions.add_argument("--repetitions", type=positive, default=5)
    sessions.add_argument("--peer", choices=["nginx", "none"], default="nginx")
    sessions.add_argument("--json", type=Path, metavar="FILE")
    sessions.add_argument("--quick", action="store_true", help="400 sessions, 3 repetitions")
    options = parser.parse_args(words)
    if options.quick:
        options.sessions, options.repetitions = 400, 3
    return options


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


@contextmanager
def world() -> Iterator[tuple[int, int]]:
    """The servers around the proxy; gives their process id and the auth server's port."""
    command = [sys.executable, "-m", "scripts.benchmarks.world"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.stdin.close()


def measure(target: Running, world_pid: int, protocol: str, sessions: int, concurrency: int) -> Sample:
    """Run the load once."""
    before, world_before = target.cpu_seconds(), cpu_seconds(world_pid)
    children_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    numbers = [str(target.ports[protocol]), str(sessions), str(concurrency)]
    command = [sys.executable, "-m", "scripts.benchmarks.generator", protocol, *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{target.name}: {done.stderr.strip()}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    generator = children.ru_utime + children.ru_stime - children_before.ru_utime - children_before.ru_stime
    per_session = 1000 / sessions
    return Sample(
        (target.cpu_seconds() - before) * per_session,
        generator * per_session,
        (cpu_seconds(world_pid) - world_before) * per_session,
        sessions / float(done.stdout),
    )


def summarize(protocol: str, samples: dict[str, list[Sample]]) -> list[Figure]:
    """Medians of the repetitions."""

    def median(name: str, field: str) -> float | None:
        return statistics.median(getattr(sample, field) for sample in samples[name]) if name in samples else None

    figures = []
    for label, unit, field in [("session-cpu", "ms", "cpu"), ("session-rate", "1/s", "rate")]:
        values = [getattr(sample, field) for sample in samples["refproxy"]]
        middle = statistics.median(values)
        spread = (max(values) - min(values)) / middle
        figures.append(Figure(f"{label}-{protocol}", unit, middle, median("nginx", field), spread))
    return figures


def run_sessions(options: argparse.Namespace) -> list[Figure]:
    names = ["refproxy"]
    if options.peer == "nginx":
        if has_nginx():
            names.append("nginx")
        else:
            print("nginx with its mail module is not installed; measuring refproxy alone", file=sys.stderr)
    protocols = PROTOCOLS if options.protocol == "all" else (options.protocol,)
    figures: list[Figure] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        world_pid, auth_port = stack.enter_context(world())
        running = [stack.enter_context(proxy(name, auth_port, directory)) for name in names]
        for protocol in protocols:
            for target in running:  # warm up
                measure(target, world_pid, protocol, min(200, options.sessions), options.concurrency)
            samples: dict[str, list[Sample]] = {name: [] for name in names}
            for _ in range(options.repetitions):
                for target in running:
                    sample = measure(target, world_pid, protocol, options.sessions, options.concurrency)
                    samples[target.name].append(sample)
            figures += summarize(protocol, samples)
            own = samples["refproxy"][-1]
            print(
                f"{protocol}: beside refproxy's {own.cpu:.2f} ms, the load generator used {own.generator_cpu:.2f} ms "
                f"(its start included) and the servers {own.world_cpu:.2f} ms per session"
            )
    return figures


def show(figures: list[Figure]) -> None:
    print(f"{'figure':<20} {'unit':>5} {'refproxy':>10} {'nginx':>10} {'ratio':>7} {'spread':>7}")
    for figure in figures:
        peer = "-" if figure.nginx is None else f"{figure.nginx:.3f}"
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        print(
            f"{figure.name:<20} {figure.unit:>5} {figure.refproxy:>10.3f} {peer:>10} {ratio:>7} {figure.spread:>6.0%}"
        )


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    try:
        figures = run_sessions(options)
    except BenchError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    show(figures)
    if options.json:
        options.json.write_text(json.dumps({"figures": [figure.as_json() for figure in figures]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
