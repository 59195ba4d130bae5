"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from scripts.benchmarks import idle, relay, sessions
from scripts.benchmarks.figures import Figure, format_json, format_table
from scripts.benchmarks.load import Transport
from scripts.benchmarks.proxies import PROTOCOLS, BenchError, Program, installed_nginx, nginx_like, refproxy

Part = Callable[[Sequence[Program]], list[Figure]]
"""One configuration's measurements; a part that fails takes no other with it."""

DEFAULTS = {  # quick and full
    "sessions": {"sessions": (500, 2000), "repetitions": (3, 5)},
    "idle": {"sessions": (500, 2000), "seconds": (2, 5), "repetitions": (2, 3)},  # memory hardly varies
    "relay": {"mib": (64, 256), "repetitions": (3, 5)},
}

EVERYTHING = (["sessions"], ["sessions", "--tls"], ["relay"], ["idle"])


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the proxy.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--repetitions", type=positive, metavar="N", help="of each proxy, in turns")
    common.add_argument(
        "--peer", type=peer, default="nginx", help='"nginx", "none", or the path of a program with its command line'
    )
    common.add_argument("--peer-only", action="store_true", help="leave refproxy out, to look at the benchmark itself")
    common.add_argument("--json", type=writable, metavar="FILE", help="write the figures there, too")
    common.add_argument("--quick", action="store_true", help="a few seconds' worth, where nothing else is given")
    commands = parser.add_subparsers(dest="command", required=True)
    login = commands.add_parser(
        "sessions", parents=[common], help="login, one command, logout: CPU per session and sessions per second"
    )
    login.add_argument("--tls", action="store_true", help="the client connects with TLS (listen ... ssl)")
    login.add_argument("--protocol", choices=[*PROTOCOLS, "all"], default="all")
    login.add_argument("-n", "--sessions", type=positive, metavar="N", help="in a repetition (default 2000)")
    login.add_argument("--concurrency", type=positive, default=20, metavar="N", help="at once (default 20)")
    bulk = commands.add_parser(
        "relay", parents=[common], help="many octets through a session: MB per second and CPU per GiB, down and up"
    )
    bulk.add_argument("--variant", choices=[*(variant.label for variant in relay.Variant), "all"], default="all")
    bulk.add_argument("--mib", type=positive, metavar="N", help="in a repetition (default 256)")
    silent = commands.add_parser(
        "idle", parents=[common], help="sessions in the relay, silent: memory of each, and CPU for nothing"
    )
    silent.add_argument("--variant", choices=[*Transport, "all"], default="all")
    silent.add_argument("-n", "--sessions", type=positive, metavar="N", help="held at once (default 2000)")
    silent.add_argument("--seconds", type=natural, metavar="N", help="of silence (default 5)")
    commands.add_parser("all", parents=[common], help="everything")
    options = parser.parse_args(words)
    if options.peer_only and options.peer == "none":
        parser.error("--peer-only needs a peer")
    for name, (quick, full) in DEFAULTS.get(options.command, {}).items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    return options


def parts(options: argparse.Namespace) -> list[Part]:
    """What the command line asks to measure."""
    match options.command:
        case "sessions":
            protocols = list(PROTOCOLS) if options.protocol == "all" else [options.protocol]
            transport = Transport.TLS if options.tls else Transport.PLAIN
            plan = sessions.Plan(transport, options.sessions, options.concurrency, options.repetitions)
            return [partial(sessions.run, protocols=protocols, plan=plan)]
        case "relay":
            variants = [variant for variant in relay.Variant if options.variant in (variant.label, "all")]
            bulk = relay.Plan(options.mib * relay.MIB, options.repetitions)
            return [partial(relay.run, variant=variant, plan=bulk) for variant in variants]
        case "idle":
            transports = [transport for transport in Transport if options.variant in (transport, "all")]
            plans = [
                idle.Plan(transport, options.sessions, options.seconds, options.repetitions) for transport in transports
            ]
            return [partial(idle.run, plan=plan) for plan in plans]
        case "all":
            given = ["--quick"] if options.quick else []
            given += ["--repetitions", str(options.repetitions)] if options.repetitions else []
            return [part for words in EVERYTHING for part in parts(arguments([*words, *given]))]
        case unknown:
            raise AssertionError(unknown)


def positive(text: str) -> int:
    if natural(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def natural(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def peer(text: str) -> str:
    if text in ("nginx", "none"):
        return text
    if "/" not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is neither "nginx" nor "none" nor a path')
    if not (Path(text).is_file() and os.access(text, os.X_OK)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a program")
    return text


def writable(text: str) -> Path:
    """Checked before the run, so that no result is lost after it."""
    path = Path(text)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written")
    return path


def find_peer(choice: str) -> Program | None:
    """The program to compare with; None when there is none to be had. Raises BenchError for a path that is no proxy."""
    if choice == "none":
        return None
    if choice != "nginx":
        return nginx_like(Path(choice).name, choice)
    try:
        return installed_nginx()
    except BenchError as missing:
        print(f"scripts/bench: {missing}; measuring refproxy alone", file=sys.stderr)
        return None


def main(words: Sequence[str] | None = None) -> int:
    options = arguments(words)
    try:
        other = find_peer(options.peer)
        if options.peer_only and other is None:
            raise BenchError("--peer-only needs a peer")
        programs = [program for program in (None if options.peer_only else refproxy(), other) if program]
        figures, complete = measure(parts(options), programs)
        peer_name = other.name if other else "nginx"
        if figures:
            print(format_table(figures, peer_name))
        if options.json:
            options.json.write_text(format_json(figures, peer_name))
    except (BenchError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0 if complete else 1


def measure(wanted: Sequence[Part], programs: Sequence[Program]) -> tuple[list[Figure], bool]:
    """Run every part; return the figures, and whether no part failed."""
    figures: list[Figure] = []
    complete = True
    for part in wanted:
        try:
            figures += part(programs)
        except BenchError as error:
            print(f"scripts/bench: {error}", file=sys.stderr, flush=True)
            complete = False
    return figures, complete


if __name__ == "__main__":
    # Ending like a Ctrl-C lets the context managers stop what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
