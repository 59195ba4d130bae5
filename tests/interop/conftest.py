"""Fixtures of the tests against real servers: each peer runs in its own temporary directory and on free ports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.auth_server import AuthServer, Route
from tests.interop.certificates import Certificates, make_certificates
from tests.interop.dnsmasq import Dnsmasq, start_dnsmasq
from tests.interop.dovecot import SECURED_ADDRESS, Dovecot, start_dovecot
from tests.interop.postfix import Postfix, start_postfix
from tests.interop.proxies import Proxy, start_proxy
from tests.pki import Pki

StartProxy = Callable[..., Proxy]

USERS = {
    "alice@example.test": "secret",
    # A login that XCLIENT must escape and a password that IMAP must send as a literal.
    "bob+mail=1@example.test": 'p%ss "w\\rd',
}
STRANGERS = {"mallory@example.test": "admitted"}
"""Users of the auth server whom no backend knows."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory talks to a real server or program."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def public_directories() -> Iterator[Callable[[], Path]]:
    """Makes temporary directories that servers may enter which have given up being root."""
    with ExitStack() as stack:

        def make() -> Path:
            path = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="refproxy-", ignore_cleanup_errors=True))
            )
            path.chmod(0o755)
            return path

        yield make


@pytest.fixture(scope="session")
def certificates(pki: Pki) -> Certificates:
    """The certificates of everybody."""
    return make_certificates(pki)


@pytest.fixture(scope="session")
def proxy_directories(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Callable[[], Path]:
    """Makes directories for configurations of proxies; the certificates are in `tls`."""

    def make() -> Path:
        path = tmp_path_factory.mktemp("proxy")
        (path / "tls").symlink_to(certificates.pki.directory)
        return path

    return make


@pytest.fixture(scope="session")
def auth() -> Iterator[AuthServer]:
    """The auth server. Every backend adds its routes."""
    with AuthServer({**USERS, **STRANGERS}, {}) as server:
        yield server


@pytest.fixture(scope="session")
def dnsmasq(public_directories: Callable[[], Path]) -> Iterator[Dnsmasq]:
    """The name server."""
    running = start_dnsmasq(public_directories())
    yield running
    running.child.stop()


@pytest.fixture(scope="session")
def dovecot(public_directories: Callable[[], Path], auth: AuthServer, certificates: Certificates) -> Iterator[Dovecot]:
    """Dovecot; routes `/plain`, `/retry`, `/haproxy`, `/tls`, `/tls_haproxy`, `/starttls`, `/chosen` of IMAP and POP3.

    `/chosen` leads each user to a listener of its own, and says how.
    """
    running = start_dovecot(public_directories(), USERS, certificates.file("backend"))
    alice, bob = USERS
    for protocol in ("imap", "pop3"):
        plain, tls = running.ports[protocol], running.ports[f"{protocol}_tls"]
        auth.routes |= {
            f"/plain {protocol}": Route(plain),
            f"/retry {protocol}": Route(plain),
            f"/haproxy {protocol}": Route(running.ports[f"{protocol}_haproxy"]),
            f"/tls {protocol}": Route(tls),
            f"/tls_haproxy {protocol}": Route(running.ports[f"{protocol}_tls_haproxy"]),
            f"/starttls {protocol}": Route(running.ports[f"{protocol}_secured"], SECURED_ADDRESS),
            f"/chosen {protocol} {alice}": Route(tls, ssl="on"),
            f"/chosen {protocol} {bob}": Route(plain, ssl="off"),
        }
    yield running
    running.child.stop()


@pytest.fixture(scope="session")
def postfix(
    public_directories: Callable[[], Path], auth: AuthServer, certificates: Certificates, dovecot: Dovecot
) -> Iterator[Postfix]:
    """Postfix, which delivers to Dovecot's mailboxes; SMTP routes with the names of its ports, `/retry`, `/chosen`."""
    running = start_postfix(
        public_directories(), USERS, dovecot.homes, dovecot.auth_socket, certificates.file("backend")
    )
    alice, bob = USERS
    auth.routes |= {
        **{f"/{name} smtp": Route(port) for name, port in running.ports.items()},
        "/retry smtp": Route(running.ports["xclient"]),
        f"/chosen smtp {alice}": Route(running.ports["starttls"], ssl="starttls"),
        f"/chosen smtp {bob}": Route(running.ports["xclient"], ssl="off"),
    }
    yield running
    running.child.stop()


@pytest.fixture(scope="module")
def proxy(request: pytest.FixtureRequest, proxy_directories: Callable[[], Path], auth: AuthServer) -> Iterator[Proxy]:
    """The proxy with the server blocks in the test module's `SERVERS` and the directives in its `COMMON`."""
    servers: Mapping[str, str] = request.module.SERVERS
    running = start_proxy(proxy_directories(), auth.port, servers, getattr(request.module, "COMMON", ""))
    yield running
    running.child.stop()
    # A crash is never expected, whatever a test has provoked.
    assert "Traceback" not in running.child.output, running.child.output
