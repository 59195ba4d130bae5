"""Fixtures of the tests against real servers: each peer runs in its own temporary directory and on free ports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.dnsmasq import Dnsmasq, start_dnsmasq
from tests.interop.dovecot import Dovecot, start_dovecot
from tests.interop.postfix import Postfix, start_postfix
from tests.interop.proxies import Proxy, start_proxy

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
def dovecot(public_directories: Callable[[], Path], auth: AuthServer) -> Iterator[Dovecot]:
    """Dovecot; routes `/plain`, `/retry` and `/haproxy` of IMAP and POP3."""
    running = start_dovecot(public_directories(), USERS)
    for path in ("/plain", "/retry"):
        auth.routes[f"{path} imap"] = running.imap
        auth.routes[f"{path} pop3"] = running.pop3
    auth.routes["/haproxy imap"] = running.imap_haproxy
    auth.routes["/haproxy pop3"] = running.pop3_haproxy
    yield running
    running.child.stop()


@pytest.fixture(scope="session")
def postfix(public_directories: Callable[[], Path], auth: AuthServer, dovecot: Dovecot) -> Iterator[Postfix]:
    """Postfix, which delivers to Dovecot's mailboxes; routes `/xclient`, `/retry`, `/haproxy` and `/strict` of SMTP."""
    running = start_postfix(public_directories(), USERS, dovecot.homes, dovecot.auth_socket)
    for path in ("/xclient", "/retry"):
        auth.routes[f"{path} smtp"] = running.xclient
    auth.routes["/haproxy smtp"] = running.haproxy
    auth.routes["/strict smtp"] = running.strict
    yield running
    running.child.stop()


@pytest.fixture(scope="module")
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, auth: AuthServer
) -> Iterator[Proxy]:
    """The proxy with the server blocks in the test module's `SERVERS` and the directives in its `COMMON`."""
    servers: Mapping[str, str] = request.module.SERVERS
    running = start_proxy(tmp_path_factory.mktemp("proxy"), auth.port, servers, getattr(request.module, "COMMON", ""))
    yield running
    running.child.stop()
    # A crash is never expected, whatever a test has provoked.
    assert "Traceback" not in running.child.output, running.child.output
