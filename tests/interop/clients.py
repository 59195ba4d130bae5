"""Real mail clients that connect from an address of their own, so that servers can tell them from the proxy."""

from __future__ import annotations

import imaplib
import poplib
import re
import smtplib
import socket
import ssl
import subprocess
from types import TracebackType

from tests.interop.certificates import MX
from tests.interop.processes import find_program

__all__ = [
    "CLIENT_ADDRESS",
    "PROXY_ADDRESS",
    "Imap",
    "LineClient",
    "Pop3",
    "Smtp",
    "s_client",
    "swaks",
]

CLIENT_ADDRESS = "127.0.0.2"
"""Where the clients connect from."""

PROXY_ADDRESS = "127.0.0.1"
"""Where the proxy connects from."""

TIMEOUT = 20.0


def connect(port: int, implicit_tls: ssl.SSLContext | None = None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT, source_address=(CLIENT_ADDRESS, 0))
    return implicit_tls.wrap_socket(connection, server_hostname=MX) if implicit_tls else connection


class Imap(imaplib.IMAP4):
    """imaplib from CLIENT_ADDRESS to what it believes to be MX, in TLS from the first octet if it has a context."""

    def __init__(self, port: int, implicit_tls: ssl.SSLContext | None = None) -> None:
        self._implicit_tls = implicit_tls
        super().__init__(MX, port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return connect(self.port, self._implicit_tls)


class Pop3(poplib.POP3):
    """poplib from CLIENT_ADDRESS to what it believes to be MX, in TLS from the first octet if it has a context."""

    def __init__(self, port: int, implicit_tls: ssl.SSLContext | None = None) -> None:
        self._implicit_tls = implicit_tls
        super().__init__(MX, port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return connect(self.port, self._implicit_tls)

    def __enter__(self) -> Pop3:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Smtp(smtplib.SMTP):
    """smtplib from CLIENT_ADDRESS to what it believes to be MX, in TLS from the first octet if it has a context."""

    def __init__(self, port: int, implicit_tls: ssl.SSLContext | None = None) -> None:
        self._implicit_tls = implicit_tls
        super().__init__(MX, port, local_hostname="client.example.test")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return connect(port, self._implicit_tls)


class LineClient:
    """Sends octets and reads replies as they are.

    `cut_off` says whether TLS ended without close_notify.
    """

    def __init__(self, port: int, implicit_tls: ssl.SSLContext | None = None) -> None:
        self._socket = connect(port)
        self.cut_off = False
        if implicit_tls is not None:
            self.start_tls(implicit_tls)

    def __enter__(self) -> LineClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands."""
        self._socket = context.wrap_socket(self._socket, server_hostname=MX, suppress_ragged_eofs=False)

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
            except ssl.SSLEOFError:
                self.cut_off = True
                break
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


def s_client(port: int, *arguments: str, commands: str = "") -> subprocess.CompletedProcess[str]:
    """Run `openssl s_client`, which sends the commands in TLS and reads to the end; it tells about TLS in `stdout`."""
    command = [find_program("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", "-crlf"]
    command += ["-bind", f"{CLIENT_ADDRESS}:0", *arguments]
    return subprocess.run(command, input=commands, capture_output=True, text=True, timeout=3 * TIMEOUT, check=False)
