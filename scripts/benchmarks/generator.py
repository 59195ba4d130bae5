"""The load, in a process of its own: N sessions, each a login, one command and a logout.

Run as a program with PROTOCOL PORT SESSIONS CONCURRENCY; prints wall time and its own CPU time, in seconds.
"""

from __future__ import annotations

import errno
import socket
import sys
import time

from scripts.benchmarks.reactor import LOOPBACK, Connection, Loop

# For each protocol: how the last line of the awaited reply begins, and the line to send then.
SCRIPTS = {
    "imap": [
        (b"* OK", b"a LOGIN user secret\r\n"),
        (b"a OK", b"b NOOP\r\n"),
        (b"b OK", b"c LOGOUT\r\n"),
        (b"c OK", b""),
    ],
    "smtp": [
        (b"220 ", b"EHLO client\r\n"),
        (b"250 ", b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"),
        (b"235 ", b"NOOP\r\n"),
        (b"250 ", b"QUIT\r\n"),
        (b"221 ", b""),
    ],
    "pop3": [
        (b"+OK", b"USER user\r\n"),
        (b"+OK", b"PASS secret\r\n"),
        (b"+OK", b"STAT\r\n"),
        (b"+OK", b"QUIT\r\n"),
        (b"+OK", b""),
    ],
}


class LoadError(Exception):
    """A session did not go as its script says, so nothing was measured."""


class Load:
    """Walks one script N times, at most `concurrency` at once."""

    def __init__(self, protocol: str, port: int, sessions: int, concurrency: int) -> None:
        self.protocol, self.port, self.script = protocol, port, SCRIPTS[protocol]
        self.concurrency, self.to_start, self.to_finish = concurrency, sessions, sessions
        self.loop = Loop()

    def run(self) -> None:
        """Return when the last session has ended. Raises LoadError."""
        for _ in range(min(self.concurrency, self.to_start)):
            self.start_session()
        self.loop.run()

    def start_session(self) -> None:
        self.to_start -= 1
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        status = sock.connect_ex((LOOPBACK, self.port))
        if status not in (0, errno.EINPROGRESS):
            raise LoadError(f"cannot connect: {errno.errorcode[status]}")
        Session(self, sock)

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
        self.load, self.step, self.reply = load, 0, b""

    def received(self, data: bytes) -> None:
        self.reply += data
        if not self.reply.endswith(b"\r\n"):
            return
        last = self.reply[:-2].rpartition(b"\r\n")[2]
        wanted, line = self.load.script[self.step]
        if last.startswith(wanted):
            self.step, self.reply = self.step + 1, b""
            if line:
                self.send(line)
        elif not last.startswith(b"* ") and last[3:4] != b"-":  # neither untagged nor continued
            raise self.fault(f"got {last!r}")

    def ended(self, error: OSError | None) -> None:
        if self.step < len(self.load.script):
            raise self.fault(f"got {error or 'a close'} after {self.reply!r}")
        self.load.session_finished()

    def fault(self, found: str) -> LoadError:
        wanted, _ = self.load.script[self.step]
        return LoadError(f"{self.load.protocol} session, step {self.step + 1}: {found}, wanted {wanted!r}")


def main(protocol: str, port: int, sessions: int, concurrency: int) -> int:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        Load(protocol, port, sessions, concurrency).run()
    except (LoadError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(time.perf_counter() - wall, time.process_time() - cpu)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:5])))
