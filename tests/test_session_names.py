"""Whole sessions with a resolver: the client's host name, and backends that are given by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from refproxy.config.settings import MailProtocol, ResolverSettings, ServerSettings, TcpAddress, VerifyClient
from refproxy.services.resolver import Resolver
from tests.dns_server import MemoryDns
from tests.pki import Pki
from tests.proxied import ADMITTED, INTERNAL_ERROR, headers, server_settings, session
from tests.test_session import GREETING, LOGIN

SMTP, POP3, IMAP = MailProtocol.SMTP, MailProtocol.POP3, MailProtocol.IMAP
RESOLVER = ResolverSettings((TcpAddress("192.0.2.53", 53),), timeout=5.0)
BY_NAME = ADMITTED.replace(b"Auth-Server: 127.0.0.1", b"Auth-Server: backend.example")

every_protocol = pytest.mark.parametrize("protocol", [SMTP, POP3, IMAP])


@pytest.fixture
def dns(nursery: trio.Nursery) -> MemoryDns:
    return MemoryDns(nursery)


@pytest.fixture
def resolver(dns: MemoryDns) -> Resolver:
    return Resolver(RESOLVER, dns.open_udp, dns.dial)


def settings(protocol: MailProtocol, **changes: Any) -> ServerSettings:
    return server_settings(protocol, resolver=RESOLVER, **changes)


async def test_the_confirmed_name_reaches_auth_server_and_backend(
    dns: MemoryDns, resolver: Resolver, autojump_clock: MockClock
) -> None:
    """CORE-39, CORE-47, AUTH-22, PROXY-39."""
    dns.zone.host("client.example", "192.0.2.7")
    async with session(settings(SMTP), resolver=resolver) as world:
        await world.client.expect(GREETING[SMTP])
        await world.client.send(LOGIN[SMTP])
        assert headers(await world.answer_auth())["Client-Host"] == b"client.example"
        backend = await world.backend()
        await backend.send(b"220 x\r\n")
        await backend.expect(b"EHLO mx.example\r\n")
        await backend.send(b"250 x\r\n")
        await backend.expect(b"XCLIENT ADDR=192.0.2.7 LOGIN=u NAME=client.example\r\n")
        await backend.close()
        await world.client.expect(INTERNAL_ERROR[SMTP])


async def test_the_greeting_waits_for_a_silent_name_server(
    dns: MemoryDns, resolver: Resolver, autojump_clock: MockClock
) -> None:
    """CORE-17, CORE-37, CORE-39, CORE-40: no deadline of the session runs meanwhile, and nothing sent is lost."""
    dns.zone.on("7.2.0.192.in-addr.arpa", "PTR")
    async with session(settings(SMTP, timeout=2.0), resolver=resolver) as world:
        await world.client.send(LOGIN[SMTP])
        await world.client.expect(GREETING[SMTP])
        assert trio.current_time() == 5.0
        assert headers(await world.answer_auth())["Client-Host"] == b"[TEMPUNAVAIL]"
        await (await world.backend()).close()
        await world.client.expect(INTERNAL_ERROR[SMTP])
    assert world.recorder.texts[0] == "192.0.2.7 could not be resolved (110: Operation timed out)"


@pytest.mark.parametrize("protocol", [POP3, IMAP])
async def test_only_smtp_looks_clients_up(
    protocol: MailProtocol, dns: MemoryDns, resolver: Resolver, autojump_clock: MockClock
) -> None:
    """CORE-38, AUTH-22."""
    async with session(settings(protocol), resolver=resolver) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        assert "Client-Host" not in headers(await world.answer_auth())
        await (await world.backend()).close()
        await world.client.expect(INTERNAL_ERROR[protocol])
    assert dns.zone.asked == []


async def test_a_client_without_its_certificate_is_not_looked_up(
    pki: Pki, dns: MemoryDns, resolver: Resolver, autojump_clock: MockClock
) -> None:
    """TLS-42: the refusal comes before the host lookup."""
    tls = pki.tls(verify_client=VerifyClient.ON, client_certificate=pki.ca)
    async with session(settings(SMTP, implicit_tls=True, tls=tls), resolver=resolver) as world:
        await world.client.start_tls(pki.client_context())
        await world.client.expect(b"421 4.7.1 No required SSL certificate\r\n")
        await world.client.expect_eof()
    assert dns.zone.asked == []


@every_protocol
async def test_a_backend_may_be_given_by_name(
    protocol: MailProtocol, dns: MemoryDns, resolver: Resolver, autojump_clock: MockClock
) -> None:
    """AUTH-100: its addresses are tried in order."""
    dns.zone.host("backend.example", "198.51.100.1", "198.51.100.2", "2001:db8::2")
    tried: list[str] = []

    def refuse(address: object) -> bool:
        tried.append(str(address))
        return str(address).startswith("198.51.100.")

    async with session(settings(protocol), resolver=resolver, refuse=refuse) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth(BY_NAME)
        await (await world.backend()).close()
        await world.client.expect(INTERNAL_ERROR[protocol])
    assert tried[1:] == ["198.51.100.1:2525", "198.51.100.2:2525", "[2001:db8::2]:2525"]
    assert world.session.info.backend == "backend.example:2525"


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        (lambda zone: None, '"backend.example" could not be resolved (3: Host not found)'),
        (
            lambda zone: zone.on("backend.example", "A"),
            '"backend.example" could not be resolved (110: Operation timed out)',
        ),
    ],
    ids=["unknown", "silent"],
)
async def test_a_backend_whose_name_is_not_found_fails_the_login(
    prepare: Callable[[Any], None], line: str, dns: MemoryDns, resolver: Resolver, autojump_clock: MockClock
) -> None:
    """AUTH-100."""
    prepare(dns.zone)
    async with session(settings(IMAP), resolver=resolver) as world:
        await world.client.expect(GREETING[IMAP])
        await world.client.send(LOGIN[IMAP])
        await world.answer_auth(BY_NAME)
        await world.client.expect(INTERNAL_ERROR[IMAP])
        await world.client.expect_eof()
    assert line in world.recorder.texts


async def test_without_a_resolver_a_name_is_no_address(autojump_clock: MockClock) -> None:
    """AUTH-95, AUTH-100."""
    async with session(server_settings(IMAP)) as world:
        await world.client.expect(GREETING[IMAP])
        await world.client.send(LOGIN[IMAP])
        await world.answer_auth(BY_NAME)
        await world.client.expect(INTERNAL_ERROR[IMAP])
        await world.client.expect_eof()
    assert world.recorder.texts == ['auth http server 127.0.0.1:9000 sent invalid server address:"backend.example"']
