"""The load of the benchmark `sessions`: N sessions, each a login, one command and a logout.

Arguments after the limit: PROTOCOL PORT TRANSPORT SESSIONS CONCURRENCY.
"""

from __future__ import annotations

import socket
import ssl
import sys

from scripts.benchmarks.load import SCRIPTS, Dialogue, Stopwatch, Transport, connect, negotiated, run_program
from scripts.benchmarks.reactor import Connection, Loop


class Load:
    """Walks one script N times, at most `concurrency` at once."""

    tls = ""  # what was negotiated

    def __init__(
        self, protocol: str, port: int, sessions: int, concurrency: int, context: ssl.SSLContext | None = None
    ) -> None:
        self.protocol, self.port, self.context = protocol, port, context
        self.concurrency, self.to_start, self.to_finish = concurrency, sessions, sessions
        self.loop = Loop()

    def run(self) -> None:
        """Return when the last session has ended. Raises LoadError."""
        for _ in range(min(self.concurrency, self.to_start)):
            self.start_session()
        self.loop.run()

    def start_session(self) -> None:
        self.to_start -= 1
        Session(self, connect(self.port, self.context))

    def session_finished(self) -> None:
        self.to_finish -= 1
        if self.to_start:
            self.start_session()
        elif not self.to_finish:
            self.loop.stop()


class Session(Connection):
    """One client, from the greeting to the server's close."""

    def __init__(self, load: Load, sock: socket.socket) -> None:
        super().__init__(load.loop, sock)
        self.load, self.dialogue = load, Dialogue(load.protocol, SCRIPTS[load.protocol])

    def received(self, data: bytes) -> None:
        self.load.tls = self.load.tls or negotiated(self.socket)
        if line := self.dialogue.receive(data):
            self.send(line)

    def ended(self, error: OSError | None) -> None:
        if not self.dialogue.finished:
            raise self.dialogue.fault(f"got {error or 'a close'} after {self.dialogue.reply!r}")
        self.load.session_finished()


def main(words: list[str]) -> None:
    protocol, port, transport, sessions, concurrency = words
    context = Transport(transport).context()
    watch = Stopwatch()
    load = Load(protocol, int(port), int(sessions), int(concurrency), context)
    load.run()
    watch.report(load.tls)


if __name__ == "__main__":
    sys.exit(run_program(main))
