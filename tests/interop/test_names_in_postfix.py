"""The client's host name, from a real name server through the proxy's XCLIENT into the log of a real Postfix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.auth_server import AuthServer
from tests.interop.clients import CLIENT_ADDRESS, swaks
from tests.interop.conftest import USERS
from tests.interop.dnsmasq import Dnsmasq
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy, start_proxy

ALICE = "alice@example.test"
LOGIN = ("--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", USERS[ALICE])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, auth: AuthServer, dnsmasq: Dnsmasq) -> Iterator[Proxy]:
    """A proxy that asks dnsmasq."""
    servers = {"smtp": "/xclient protocol smtp;"}
    running = start_proxy(tmp_path_factory.mktemp("proxy"), auth.port, servers, f"resolver {dnsmasq.address};")
    yield running
    running.child.stop()
    assert "Traceback" not in running.child.output, running.child.output


def test_the_confirmed_name_is_in_postfixs_log(proxy: Proxy, postfix: Postfix, auth: AuthServer) -> None:
    """CORE-47, PROXY-39, AUTH-22."""
    sent = swaks(proxy.ports["smtp"], *LOGIN, "--to", ALICE)
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout).startswith(f"client.example.test[{CLIENT_ADDRESS}]")
    assert auth.requests[-1].headers["Client-Host"] == "client.example.test"


def test_an_untrue_name_is_not(proxy: Proxy, postfix: Postfix, auth: AuthServer) -> None:
    """CORE-47: the name's address is another."""
    sent = swaks(proxy.ports["smtp"], *LOGIN, "--to", ALICE, "--local-interface", "127.0.0.3")
    assert sent.returncode == 0, sent.stdout
    assert postfix.wait_for_client(sent.stdout).startswith("unknown[127.0.0.3]")
    assert auth.requests[-1].headers["Client-Host"] == "[UNAVAILABLE]"
