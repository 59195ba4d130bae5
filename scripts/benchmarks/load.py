"""What the load generators share: the dialogues they hold, how they connect, and how they report.

A generator is a program of its own, started with its time limit as the first argument. It prints one report, a JSON
line, for each thing it did, and where it has more to do it waits for a line on standard input first.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from scripts.benchmarks.reactor import LOOPBACK

Script = Sequence[tuple[bytes, bytes]]
"""How the last line of each awaited reply begins, and the line to send then."""

SCRIPTS: dict[str, Script] = {
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

LOGIN: Script = [*SCRIPTS["imap"][:1], (b"a OK", b"")]  # after it, the session is in the relay


class LoadError(Exception):
    """A session did not go as its script says, so nothing was measured."""


class Dialogue:
    """One walk through a script."""

    def __init__(self, name: str, script: Script) -> None:
        self.name, self.script, self.step, self.reply = name, script, 0, b""

    @property
    def finished(self) -> bool:
        return self.step == len(self.script)

    def receive(self, data: bytes) -> bytes:
        """Take what arrived; return what to send now, if anything. Raises LoadError for a reply not in the script."""
        self.reply += data
        if not self.reply.endswith(b"\r\n"):
            return b""
        last = self.reply[:-2].rpartition(b"\r\n")[2]
        if self.finished:
            raise LoadError(f"{self.name} session: got {last!r} after its last reply")
        wanted, line = self.script[self.step]
        if last.startswith(wanted):
            self.step, self.reply = self.step + 1, b""
            return line
        if not last.startswith(b"* ") and last[3:4] != b"-":  # neither untagged nor continued
            raise self.fault(f"got {last!r}")
        return b""

    def fault(self, found: str) -> LoadError:
        wanted, _ = self.script[self.step]
        return LoadError(f"{self.name} session, step {self.step + 1}: {found}, wanted {wanted!r}")


class Transport(StrEnum):
    """What the sessions run over."""

    PLAIN = "plain"
    TLS = "tls"

    def context(self) -> ssl.SSLContext | None:
        """For TLS: without verification, as the proxies are measured and the client does no more than it must."""
        if self is Transport.PLAIN:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    """A connection, with TLS if there is a context.

    Over the loopback, to a proxy that listens, a connection is made without waiting. A TLS handshake is only begun, and
    the socket never blocks then; whoever reads goes on with the handshake. It offers no session of an earlier
    connection, so the handshake is a full one.
    """
    sock = socket.create_connection((LOOPBACK, port))
    if context is None:
        return sock
    sock.setblocking(False)
    # What follows the handshake would else wait for the acknowledgement of its last message, which may be delayed.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    tls = context.wrap_socket(sock, do_handshake_on_connect=False)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    except OSError:
        tls.close()
        raise
    return tls


def negotiated(sock: socket.socket) -> str:
    """The TLS version and cipher of a connection whose handshake is done; "" without TLS."""
    if not isinstance(sock, ssl.SSLSocket):
        return ""
    name, version, _ = sock.cipher() or ("no cipher", "no TLS", 0)
    return f"{sock.version() or version} {name}"


@dataclass(frozen=True)
class Report:
    """What a generator says of what it just did.

    `wall` and `cpu` are the seconds that passed and its own CPU seconds; `tls` is what was negotiated, "" without TLS.
    """

    wall: float
    cpu: float
    tls: str


class Stopwatch:
    """Started when made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def report(self, tls: str) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(json.dumps(asdict(Report(wall, cpu, tls))), flush=True)


def run_program(main: Callable[[list[str]], None]) -> int:
    """Run a generator with its arguments after the limit; its exit status, with a fault on standard error as a line.

    The alarm ends the process, whatever it waits for: a generator outlives neither its limit nor a killed parent long.
    """
    signal.alarm(int(sys.argv[1]))
    try:
        main(sys.argv[2:])
    except (LoadError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
