"""Real mail clients that connect from an address of their own, so that servers can tell them from the proxy."""

from __future__ import annotations

import imaplib
import poplib
import re
import socket
import subprocess
from types import TracebackType

from tests.interop.processes import find_program

__all__ = ["CLIENT_ADDRESS", "PROXY_ADDRESS", "Imap", "LineClient", "Pop3", "swaks"]

CLIENT_ADDRESS = "127.0.0.2"
"""Where the clients connect from."""

PROXY_ADDRESS = "127.0.0.1"
"""Where the proxy connects from."""

TIMEOUT = 20.0


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=(CLIENT_ADDRESS, 0))


class Imap(imaplib.IMAP4):
    """imaplib from CLIENT_ADDRESS."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return connect(self.port)


class Pop3(poplib.POP3):
    """poplib from CLIENT_ADDRESS."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return connect(self.port)

    def __enter__(self) -> Pop3:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class LineClient:
    """Sends octets and reads replies as they are."""

    def __init__(self, port: int) -> None:
        self._socket = connect(port)

    def __enter__(self) -> LineClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def until(self, pattern: bytes) -> bytes:
        """Everything received until the pattern is found in it, or until the end of file."""
        received = b""
        while not re.search(pattern, received):
            try:
                more = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"no {pattern!r} within {TIMEOUT} s in {received!r}") from None
            if not more:
                break
            received += more
        return received

    def ask(self, octets: bytes, pattern: bytes = rb"\n\Z") -> bytes:
        """Send octets and return the reply, which ends with the pattern."""
        self.send(octets)
        return self.until(pattern)

    def rest(self) -> bytes:
        """Everything up to the end of file."""
        return self.until(rb"(?!)")


def swaks(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run swaks from CLIENT_ADDRESS; its transcript is in `stdout`."""
    command = [find_program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(port)]
    command += ["--local-interface", CLIENT_ADDRESS, "--helo", "client.example.test", "--timeout", f"{TIMEOUT:.0f}"]
    command += ["--from", "sender@elsewhere.example", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT, check=False)
