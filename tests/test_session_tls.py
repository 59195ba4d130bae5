"""Whole sessions in TLS: from the first octet or after STARTTLS, with certificates of clients, and towards backends."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from refproxy.config.settings import (
    MailProtocol,
    StartTlsMode,
)
from tests.pki import Pki
from tests.proxied import server_settings, session

SMTP, POP3, IMAP = MailProtocol.SMTP, MailProtocol.POP3, MailProtocol.IMAP
GREETING = {
    SMTP: b"220 mx.example ESMTP ready\r\n",
    POP3: b"+OK POP3 ready\r\n",
    IMAP: b"* OK IMAP4 ready\r\n",
}
STARTTLS = {
    SMTP: (b"STARTTLS\r\n", b"220 2.0.0 Start TLS\r\n"),
    POP3: (b"STLS\r\n", b"+OK\r\n"),
    IMAP: (b"a STARTTLS\r\n", b"a OK completed\r\n"),
}
NOOP = {
    SMTP: (b"NOOP\r\n", b"250 2.0.0 OK\r\n"),
    POP3: (b"NOOP\r\n", b"+OK\r\n"),
    IMAP: (b"n NOOP\r\n", b"n OK completed\r\n"),
}
QUIT = {
    SMTP: (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"),
    POP3: (b"QUIT\r\n", b"+OK\r\n"),
    IMAP: (b"q LOGOUT\r\n", b"* BYE\r\nq OK completed\r\n"),
}

every_protocol = pytest.mark.parametrize("protocol", [SMTP, POP3, IMAP])


@every_protocol
async def test_tls_from_the_first_octet(protocol: MailProtocol, pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-1, TLS-28, TLS-31, TLS-53."""
    settings = server_settings(protocol, implicit_tls=True, tls=pki.tls())
    async with session(settings) as world:
        tls = await world.client.start_tls(pki.client_context(alpn=(protocol.value,)))
        assert tls.selected_alpn_protocol() == protocol.value
        await world.client.expect(GREETING[protocol])
        command, reply = QUIT[protocol]
        await world.client.send(command)
        await world.client.expect(reply)
        await world.client.expect_eof()


@every_protocol
async def test_starttls(protocol: MailProtocol, pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-36, TLS-38, TLS-40: what a client sends in clear behind the command is never carried out."""
    async with session(server_settings(protocol, starttls=StartTlsMode.ONLY, tls=pki.tls())) as world:
        await world.client.expect(GREETING[protocol])
        command, reply = STARTTLS[protocol]
        await world.client.send(command + QUIT[protocol][0])
        await world.client.expect(reply)
        await world.client.start_tls(pki.client_context())
        command, reply = NOOP[protocol]
        await world.client.send(command)
        await world.client.expect(reply)
        await world.client.close()
