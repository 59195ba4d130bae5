"""Whole sessions behind a load balancer: the PROXY header from the client, and whom it makes the client."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
import trio
from trio.testing import MockClock

from refproxy.config.settings import MailProtocol, ProxyHeader
from tests.pki import Pki
from tests.proxied import headers, server_settings, session
from tests.test_session import GREETING, LOGIN

SMTP, POP3, IMAP = MailProtocol.SMTP, MailProtocol.POP3, MailProtocol.IMAP
V1 = b"PROXY TCP4 203.0.113.9 198.51.100.9 4444 25\r\n"
BALANCERS = (ip_network("192.0.2.0/24"),)

every_protocol = pytest.mark.parametrize("protocol", [SMTP, POP3, IMAP])


@every_protocol
async def test_a_believed_header_names_the_client(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """CORE-67, CORE-68, CORE-71, AUTH-21, AUTH-23, PROXY-16."""
    settings = server_settings(
        protocol, proxied=True, real_ip_from=BALANCERS, proxy__protocol=ProxyHeader.V1, proxy__xclient=True
    )
    async with session(settings) as world:
        await world.client.send(V1 + LOGIN[protocol])
        await world.client.expect(GREETING[protocol])
        request = headers(await world.answer_auth())
        assert request["Client-IP"] == b"203.0.113.9"
        assert request["Proxy-Protocol-Addr"] == b"203.0.113.9"
        assert request["Proxy-Protocol-Port"] == b"4444"
        assert request["Proxy-Protocol-Server-Addr"] == b"198.51.100.9"
        assert request["Proxy-Protocol-Server-Port"] == b"25"
        backend = await world.backend()
        await backend.expect(b"PROXY TCP4 203.0.113.9 198.51.100.1 4444 25\r\n")
        if protocol is SMTP:
            await backend.send(b"220 x\r\n")
            await backend.expect(b"EHLO mx.example\r\n")
            await backend.send(b"250 x\r\n")
            await backend.expect(b"XCLIENT ADDR=203.0.113.9 LOGIN=u NAME=[UNAVAILABLE]\r\n")
        await backend.close()
        await world.client.until(b"\n")


@every_protocol
async def test_a_header_of_an_untrusted_peer_is_only_passed_on(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """CORE-68, AUTH-23."""
    async with session(server_settings(protocol, proxied=True)) as world:
        await world.client.send(V1)
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        request = headers(await world.answer_auth())
        assert request["Client-IP"] == b"192.0.2.7"
        assert request["Proxy-Protocol-Addr"] == b"203.0.113.9"
        await (await world.backend()).close()
        await world.client.until(b"\n")


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"EHLO client\r\n", 'broken header: "EHLO client"'),
        (b"PROXY TCP4 ::1 ::2 1 2\r\n", 'broken header: "PROXY TCP4 ::1 ::2 1 2"'),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", "unknown PROXY protocol version: 3"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01x", None),
    ],
)
async def test_a_broken_header_ends_the_session_without_a_byte(
    sent: bytes, line: str | None, autojump_clock: MockClock
) -> None:
    """CORE-60, CORE-62 to CORE-64."""
    async with session(server_settings(SMTP, proxied=True)) as world:
        await world.client.send(sent)
        await world.client.expect_eof()
    assert world.recorder.texts == ([line] if line else [])
    assert world.recorder.end == "broken PROXY header"


async def test_a_client_that_sends_no_header_is_dropped_at_the_deadline(autojump_clock: MockClock) -> None:
    """CORE-17, CORE-61."""
    async with session(server_settings(SMTP, proxied=True, timeout=7.0)) as world:
        await world.client.send(V1[:20])
        await world.client.expect_eof()
        assert trio.current_time() == 7.0
    assert world.recorder.texts == ["client timed out"]
    assert world.session.info.action == "reading PROXY protocol"


async def test_a_header_goes_in_front_of_tls(pki: Pki, autojump_clock: MockClock) -> None:
    """CORE-60, TLS-28."""
    settings = server_settings(IMAP, proxied=True, implicit_tls=True, tls=pki.tls(), real_ip_from=BALANCERS)
    async with session(settings) as world:
        await world.client.send(V1)
        await world.client.start_tls(pki.client_context())
        await world.client.expect(GREETING[IMAP])
        await world.client.send(LOGIN[IMAP])
        request = headers(await world.answer_auth())
        assert request["Client-IP"] == b"203.0.113.9"
        assert request["Auth-SSL"] == b"on"
        await (await world.backend()).close()
        await world.client.until(b"\n")
