"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from scripts.benchmarks.figures import format_json, format_table
from scripts.benchmarks.proxies import PROTOCOLS, BenchError, Program, installed_nginx, nginx_like, refproxy
from scripts.benchmarks.sessions import Amount, run_sessions


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the proxy.")
    commands = parser.add_subparsers(dest="command", required=True)
    sessions = commands.add_parser(
        "sessions", help="login, one command, logout: CPU per session and sessions per second"
    )
    sessions.add_argument("--protocol", choices=[*PROTOCOLS, "all"], default="all")
    sessions.add_argument("-n", "--sessions", type=positive, metavar="N", help="in a repetition (default 2000)")
    sessions.add_argument("--concurrency", type=positive, default=20, metavar="N", help="at once (default 20)")
    sessions.add_argument("--repetitions", type=positive, metavar="N", help="of each proxy, in turns (default 5)")
    sessions.add_argument(
        "--peer", type=peer, default="nginx", help='"nginx", "none", or the path of a program with its command line'
    )
    sessions.add_argument("--json", type=writable, metavar="FILE", help="write the figures there, too")
    sessions.add_argument("--quick", action="store_true", help="500 sessions and 3 repetitions unless given")
    options = parser.parse_args(words)
    options.sessions = options.sessions or (500 if options.quick else 2000)
    options.repetitions = options.repetitions or (3 if options.quick else 5)
    return options


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
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


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    protocols = list(PROTOCOLS) if options.protocol == "all" else [options.protocol]
    try:
        other = find_peer(options.peer)
        programs = [refproxy()] if other is None else [refproxy(), other]
        amount = Amount(options.sessions, options.concurrency, options.repetitions)
        figures = run_sessions(programs, protocols, amount)
        peer_name = other.name if other else "nginx"
        print(format_table(figures, peer_name))
        if options.json:
            options.json.write_text(format_json(figures, peer_name))
    except (BenchError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    # Ending like a Ctrl-C lets the context managers stop what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
