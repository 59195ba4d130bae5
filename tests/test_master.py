"""The daemon as a process: start, signals, reload, errors at start (core rules, section 11)."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refproxy.config.settings import MailProtocol, Settings
from refproxy.errors import ConfigError
from refproxy.master import serve
from tests.pki import Pki
from tests.ports import free_port
from tests.proxied import server_settings

pytestmark = pytest.mark.slow


class Daemon:
    """`refproxy run` as a child process, with its standard error to read."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.port = free_port()
        self.config = directory / "mail.conf"
        self.write("imap", extra)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "refproxy", "run", "-c", str(self.config)], stderr=subprocess.PIPE, text=True
        )

    def write(self, protocol: str, extra: str = "") -> None:
        self.config.write_text(
            f"events {{}} error_log stderr info; {extra}\n"
            f"mail {{ auth_http 127.0.0.1:1; server {{ listen 127.0.0.1:{self.port}; protocol {protocol}; }} }}\n"
        )

    def wait_for(self, text: str) -> str:
        """Read standard error up to the line that holds the text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if text in line:
                return str(line)
        raise AssertionError(f"the daemon ended without saying {text!r}")

    def connect(self) -> socket.socket:
        """Connect, waiting until the daemon listens or ends."""
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=10)
            except ConnectionRefusedError:
                assert self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    running = Daemon(tmp_path, f"pid {tmp_path}/pid;")
    yield running
    running.end()


def test_sigterm_ends_it_at_once_and_closes_sessions(daemon: Daemon, tmp_path: Path) -> None:
    """CORE-75, and the pid file of CONF-39."""
    with daemon.connect() as client:
        assert client.recv(100) == b"* OK IMAP4 ready\r\n"
        assert (tmp_path / "pid").read_text() == f"{daemon.process.pid}\n"
        daemon.process.send_signal(signal.SIGTERM)
        assert client.recv(100) == b""
    assert daemon.process.wait(10) == 0
    assert not (tmp_path / "pid").exists()


def test_sigquit_lets_sessions_finish(daemon: Daemon) -> None:
    """CORE-76: no new connections, old sessions go on, the process ends with the last."""
    with daemon.connect() as client:
        assert client.recv(100) == b"* OK IMAP4 ready\r\n"
        daemon.process.send_signal(signal.SIGQUIT)
        while True:
            try:
                socket.create_connection(("127.0.0.1", daemon.port), timeout=10).close()
            except ConnectionResetError:
                continue  # it was queued when the listening socket closed
            except ConnectionRefusedError:
                break
        client.sendall(b"a NOOP\r\n")
        assert client.recv(100) == b"a OK completed\r\n"
        client.sendall(b"b LOGOUT\r\n")
        assert client.recv(100) == b"* BYE\r\nb OK completed\r\n"
    assert daemon.process.wait(10) == 0


def test_sighup_serves_new_connections_by_the_new_configuration(daemon: Daemon) -> None:
    """CORE-79: the old session goes on; a wrong file changes nothing."""
    with daemon.connect() as old:
        assert old.recv(100) == b"* OK IMAP4 ready\r\n"
        daemon.write("pop3")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("reloaded")
        with daemon.connect() as new:
            assert new.recv(100) == b"+OK POP3 ready\r\n"
        daemon.write("ftp")
        daemon.process.send_signal(signal.SIGHUP)
        assert 'unknown protocol "ftp"' in daemon.wait_for("reload failed")
        with daemon.connect() as new:
            assert new.recv(100) == b"+OK POP3 ready\r\n"
        old.sendall(b"a NOOP\r\n")
        assert old.recv(100) == b"a OK completed\r\n"


def test_an_address_in_use_is_told_and_ends_the_start(tmp_path: Path) -> None:
    """CORE-10."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "mail.conf"
        config.write_text(
            f"events {{}} mail {{ auth_http [::1]:1; server {{ listen 127.0.0.1:{port}; protocol imap; }} }}"
        )
        command = [sys.executable, "-m", "refproxy", "run", "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"[emerg] bind() to 127.0.0.1:{port} failed (98: Address already in use)" in done.stderr


def test_thousands_of_hostile_octets_do_not_disturb_a_neighbour(daemon: Daemon) -> None:
    """A line without end is refused at the buffer's size, while another session goes on (IMAP-7)."""
    with daemon.connect() as neighbour, daemon.connect() as hostile:
        assert hostile.recv(100) == b"* OK IMAP4 ready\r\n"
        hostile.sendall(b"a" * 100_000)
        assert hostile.recv(100) == b"* BAD invalid command\r\n"
        assert hostile.recv(100) == b""
        assert neighbour.recv(100) == b"* OK IMAP4 ready\r\n"
        neighbour.sendall(b"a NOOP\r\n")
        assert neighbour.recv(100) == b"a OK completed\r\n"


def test_a_certificate_that_goes_during_the_start_is_a_fault_of_the_configuration(pki: Pki) -> None:
    """TLS-4: it was there when the configuration was read, and is not when it is to be used."""
    server = server_settings(MailProtocol.IMAP, implicit_tls=True, tls=pki.tls("/nowhere/mx.pem"))
    with pytest.raises(ConfigError, match="cannot load certificate"):
        serve(lambda: Settings("mail.conf", (server,)))
