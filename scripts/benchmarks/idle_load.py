"""The load of the benchmark `idle`: IMAP sessions that log in, prove that they are in the relay, and then stay silent.

Arguments after the limit: PORT TRANSPORT COUNT... It opens as many sessions as the first COUNT says, prints a report,
and for each line on standard input does so with the next; after the last, a line ends it, with a report that says that
every session is still open.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Sequence
from typing import TextIO

from scripts.benchmarks.load import (
    LOGIN,
    Dialogue,
    LoadError,
    Script,
    Stopwatch,
    Transport,
    connect,
    negotiated,
    run_program,
)
from scripts.benchmarks.reactor import Connection, Loop

BATCH = 50  # sessions that log in at once, far fewer than a proxy's backlog
HELD: Script = [LOGIN[0], (b"a OK", b"b NOOP\r\n"), (b"b OK done", b"")]  # "done" is the backend's word, not a proxy's


class Load:
    """Opens sessions, one count after another, and holds them. `orders` are the lines it waits for."""

    def __init__(self, port: int, context: ssl.SSLContext | None, counts: Sequence[int], orders: TextIO) -> None:
        self.port, self.context, self.counts, self.orders = port, context, list(counts), orders
        self.to_start = self.to_finish = 0
        self.tls = ""  # what was negotiated
        self.watch = Stopwatch()
        self.loop = Loop()

    def run(self) -> None:
        """Return when the last order was given. Raises LoadError when a session fails or ends."""
        self.loop.add(self.orders, self.ordered)
        self.open_sessions()
        self.loop.run()

    def open_sessions(self) -> None:
        self.watch = Stopwatch()
        self.to_start = self.to_finish = self.counts.pop(0)
        for _ in range(min(BATCH, self.to_start)):
            self.start_session()

    def start_session(self) -> None:
        self.to_start -= 1
        Session(self, connect(self.port, self.context))

    def session_is_in_relay(self, tls: str) -> None:
        self.tls = tls
        self.to_finish -= 1
        if self.to_start:
            self.start_session()
        elif not self.to_finish:
            self.watch.report(self.tls)

    def ordered(self) -> None:
        if not self.orders.readline():
            self.loop.stop()
        elif self.counts:
            self.open_sessions()
        else:
            self.watch.report(self.tls)
            self.loop.stop()


class Session(Connection):
    """One client; any end of it is a fault."""

    def __init__(self, load: Load, sock: socket.socket) -> None:
        super().__init__(load.loop, sock)
        self.load, self.dialogue = load, Dialogue("idle", HELD)

    def received(self, data: bytes) -> None:
        if line := self.dialogue.receive(data):
            self.send(line)
        elif self.dialogue.finished:
            self.load.session_is_in_relay(negotiated(self.socket))

    def ended(self, error: OSError | None) -> None:
        found = f"got {error or 'a close'}"
        if self.dialogue.finished:
            raise LoadError(f"idle session, held: {found}")
        raise self.dialogue.fault(found)


def main(words: list[str]) -> None:
    port, transport, *counts = words
    Load(int(port), Transport(transport).context(), [int(count) for count in counts], sys.stdin).run()


if __name__ == "__main__":
    sys.exit(run_program(main))
