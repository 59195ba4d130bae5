"""Certificates are read anew on SIGHUP; who is connected stays so, and a broken file changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.certificates import MX, SECOND, Certificates
from tests.interop.clients import Imap, LineClient, s_client
from tests.interop.conftest import USERS
from tests.interop.dovecot import Dovecot
from tests.interop.proxies import Proxy, not_with_nginx, start_refproxy

pytestmark = not_with_nginx("nginx runs without the process that would reload")

SERVERS = {
    "imaps": "/plain listen ssl; protocol imap;",
    "imap": "/plain protocol imap; starttls only;",
    "to_backend": "/tls protocol imap; proxy_ssl on; proxy_ssl_verify on;",
}
COMMON = """
ssl_certificate current.pem;
ssl_certificate_key current.pem;
proxy_ssl_trusted_certificate trusted.pem;
"""

ALICE = "alice@example.test"


@dataclass(frozen=True, slots=True)
class Reloadable:
    """A proxy whose certificates can be exchanged."""

    proxy: Proxy
    directory: Path
    certificates: Certificates

    def exchange(self, file: str, name: str) -> None:
        shutil.copyfile(self.certificates.file(name), self.directory / f"{file}.pem")

    def reload(self, expected: str) -> list[str]:
        """Reload and wait for what the log says of it; return its errors but those of sessions, which have a number."""
        child = self.proxy.child
        since = child.mark()
        os.kill(child.process.pid, signal.SIGHUP)
        child.wait_for(expected, since)
        return [line for line in child.output_since(since).splitlines() if re.search(r"\[error\] \d+#0: [^*]", line)]

    def check_certificate(self, name: str) -> None:
        """Let openssl see whom the certificate is for."""
        trust = ("-verify_return_error", "-verify_hostname", name, "-CAfile", self.certificates.pki.ca)
        for how in (("imaps",), ("imap", "-starttls", "imap")):
            told = s_client(self.proxy.ports[how[0]], *how[1:], *trust, commands="a LOGOUT\n")
            assert f"Verified peername: {name}" in told.stdout, told.stderr


@pytest.fixture
def reloadable(
    proxy_directories: Callable[[], Path], auth: AuthServer, certificates: Certificates
) -> Iterator[Reloadable]:
    directory = proxy_directories()
    for file, name in (("current", "mx"), ("trusted", "unknown_ca")):
        shutil.copyfile(certificates.file(name), directory / f"{file}.pem")
    running = Reloadable(start_refproxy(directory, auth.port, SERVERS, COMMON), directory, certificates)
    yield running
    running.proxy.child.stop()


def test_new_connections_see_the_new_certificate_and_old_ones_go_on(
    reloadable: Reloadable, dovecot: Dovecot, certificates: Certificates
) -> None:
    """CORE-79."""
    ports, context = reloadable.proxy.ports, certificates.context()
    reloadable.check_certificate(MX)
    with Imap(ports["imaps"], context) as relayed, LineClient(ports["imaps"], context) as talking:
        relayed.login(ALICE, USERS[ALICE])
        talking.until(rb"\n")
        with LineClient(ports["imap"]) as in_clear:
            in_clear.until(rb"\n")
            reloadable.exchange("current", "second")
            assert reloadable.reload("reloaded") == []
            reloadable.check_certificate(SECOND)
            # Who came before the reload is served as before it, with the old certificate too.
            assert relayed.select("INBOX")[0] == "OK"
            assert talking.ask(b"a NOOP\r\n") == b"a OK completed\r\n"
            assert in_clear.ask(b"a STARTTLS\r\n") == b"a OK completed\r\n"
            in_clear.start_tls(context)
            assert in_clear.ask(b"b NOOP\r\n") == b"b OK completed\r\n"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None])
def test_a_broken_certificate_changes_nothing(reloadable: Reloadable, content: bytes | None) -> None:
    """CORE-79, TLS-4: the old certificate stays in use, and the operator reads one error."""
    current = reloadable.directory / "current.pem"
    if content is None:
        current.unlink()
    else:
        current.write_bytes(content)
    (error,) = reloadable.reload("reload failed")
    assert f'cannot load certificate "{current}"' in error
    reloadable.check_certificate(MX)


def test_a_certificate_without_its_key_changes_nothing(reloadable: Reloadable, certificates: Certificates) -> None:
    """TLS-5: as when a reload comes between the renewal of one file and of the other."""
    current = reloadable.directory / "current.pem"
    new, old = (Path(certificates.file(name)).read_text() for name in ("second", "mx"))
    begin = "-----BEGIN CERTIFICATE-----"
    current.write_text(old.partition(begin)[0] + begin + new.partition(begin)[2])
    (error,) = reloadable.reload("reload failed")
    assert "key values mismatch" in error
    reloadable.check_certificate(MX)
    reloadable.exchange("current", "second")
    assert reloadable.reload("reloaded") == []
    reloadable.check_certificate(SECOND)


def test_authorities_of_backends_are_read_anew(reloadable: Reloadable, dovecot: Dovecot) -> None:
    """CORE-79, TLS-62."""
    login = f"a LOGIN {ALICE} {USERS[ALICE]}\r\n".encode()
    with LineClient(reloadable.proxy.ports["to_backend"]) as client:
        client.until(rb"\n")
        assert client.ask(login) == b"* BAD internal server error\r\n"
    reloadable.exchange("trusted", "ca")
    assert reloadable.reload("reloaded") == []
    with LineClient(reloadable.proxy.ports["to_backend"]) as client:
        client.until(rb"\n")
        assert client.ask(login).startswith(b"a OK ")
