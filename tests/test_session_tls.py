"""Whole sessions in TLS: from the first octet or after STARTTLS, with certificates of clients, and towards backends."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import replace

import pytest
import trio
import trustme
from trio.testing import MockClock, wait_all_tasks_blocked

from refproxy.config.settings import (
    BackendTlsMode,
    MailProtocol,
    Mechanism,
    ProxyHeader,
    StartTlsMode,
    VerifyClient,
)
from refproxy.observe.events import WentWrong
from tests.pki import Pki
from tests.proxied import ADMITTED, INTERNAL_ERROR, Peer, World, headers, server_settings, session

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


# -- commands before and after -------------------------------------------------------------------------------------

CAPABILITIES = {
    # in clear with off, on, only
    SMTP: (
        b"EHLO c\r\n",
        b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n",
        b"250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n",
        b"250-mx.example\r\n250 STARTTLS\r\n",
    ),
    POP3: (
        b"CAPA\r\n",
        b"+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n",
        b"+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\nSTLS\r\n.\r\n",
        b"+OK Capability list follows\r\nTOP\r\nUIDL\r\nSTLS\r\n.\r\n",
    ),
    IMAP: (
        b"c CAPABILITY\r\n",
        b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\nc OK completed\r\n",
        b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN STARTTLS\r\nc OK completed\r\n",
        b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS STARTTLS LOGINDISABLED\r\nc OK completed\r\n",
    ),
}
INVALID = {
    SMTP: b"500 5.5.1 Invalid command\r\n",
    POP3: b"-ERR invalid command\r\n",
    IMAP: b"a BAD invalid command\r\n",
}
CREDENTIALS = {
    SMTP: (b"AUTH PLAIN\r\n", b"AUTH PLAIN AHUAcA==\r\n", b"AUTH LOGIN\r\n", b"AUTH EXTERNAL\r\n"),
    POP3: (
        b"USER u\r\n",
        b"APOP u 0123456789abcdef0123456789abcdef\r\n",
        b"AUTH\r\n",
        b"AUTH PLAIN\r\n",
        b"PASS p\r\n",
    ),
    IMAP: (b"a LOGIN u p\r\n", b"a AUTHENTICATE PLAIN\r\n"),
}
LOGIN = {
    SMTP: (b"AUTH PLAIN AHUAcA==\r\n",),
    POP3: (b"USER u\r\n", b"PASS p\r\n"),
    IMAP: (b"a LOGIN u p\r\n",),
}
OFF, ON, ONLY = StartTlsMode.OFF, StartTlsMode.ON, StartTlsMode.ONLY


async def begin_starttls(world: World, protocol: MailProtocol, context: ssl.SSLContext) -> None:
    """From the greeting into TLS."""
    await world.client.expect(GREETING[protocol])
    command, reply = STARTTLS[protocol]
    await world.client.send(command)
    await world.client.expect(reply)
    await world.client.start_tls(context)


@every_protocol
@pytest.mark.parametrize("mode", [OFF, ON, ONLY])
async def test_what_is_advertised_before_and_after(
    protocol: MailProtocol, mode: StartTlsMode, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-2, TLS-3, TLS-36, TLS-37."""
    command, *replies = CAPABILITIES[protocol]
    async with session(server_settings(protocol, starttls=mode, tls=pki.tls())) as world:
        if mode is OFF:
            await world.client.expect(GREETING[protocol])
            await world.client.send(STARTTLS[protocol][0])
            await world.client.expect(INVALID[protocol])
        else:
            await world.client.expect(GREETING[protocol])
            await world.client.send(command)
            await world.client.expect(replies[list(StartTlsMode).index(mode)])
            await world.client.send(STARTTLS[protocol][0])
            await world.client.expect(STARTTLS[protocol][1])
            await world.client.start_tls(pki.client_context())
            await world.client.send(STARTTLS[protocol][0])
            await world.client.expect(INVALID[protocol])
        await world.client.send(command)
        await world.client.expect(replies[0])
        await world.client.close()


@every_protocol
async def test_only_forbids_logging_in_in_clear(protocol: MailProtocol, pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-48: and the session goes on."""
    settings = server_settings(protocol, starttls=ONLY, tls=pki.tls(), max_errors=1)
    async with session(settings) as world:
        await world.client.expect(GREETING[protocol])
        for command in CREDENTIALS[protocol]:
            await world.client.send(command)
            await world.client.expect(INVALID[protocol])
        for command, reply in (NOOP[protocol], QUIT[protocol]):
            await world.client.send(command)
            await world.client.expect(reply)


async def test_only_covers_smtp_without_auth(pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-49, SMTP-122."""
    settings = server_settings(SMTP, starttls=ONLY, tls=pki.tls(), smtp__auth=frozenset({Mechanism.NONE}))
    async with session(settings) as world:
        await world.client.expect(GREETING[SMTP])
        for command in (b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<a@b>\r\n"):
            await world.client.send(command)
            await world.client.expect(b"530 5.7.0 Must issue a STARTTLS command first\r\n")
        await world.client.close()


@every_protocol
async def test_an_unknown_state_is_left_behind(protocol: MailProtocol, pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-40: the dialogue starts anew, without a greeting."""
    async with session(server_settings(protocol, starttls=ON, tls=pki.tls())) as world:
        if protocol is POP3:
            await world.client.expect(GREETING[protocol])
            await world.client.send(b"USER u\r\nSTLS\r\n")
            await world.client.expect(b"+OK\r\n-ERR invalid command\r\n")
            await world.client.send(STARTTLS[protocol][0])
            await world.client.expect(STARTTLS[protocol][1])
            await world.client.start_tls(pki.client_context())
            await world.client.send(b"PASS p\r\n")
            await world.client.expect(INVALID[protocol])
        else:
            await begin_starttls(world, protocol, pki.client_context())
        await world.client.send(NOOP[protocol][0])
        await world.client.expect(NOOP[protocol][1])
        await world.client.close()


INJECTIONS = {
    SMTP: (b"RSET\r\n", b"EHLO evil\r\nMAIL FROM:<evil@x>\r\n", b"incompl"),
    POP3: (b"NOOP\r\n", b"USER evil\r\nPASS evil\r\n", b"incompl"),
    IMAP: (b"x NOOP\r\n", b"x LOGIN {4+}\r\nevil {4+}\r\nevil\r\n", b"x LOGIN {4}\r\nev"),
}


@every_protocol
@pytest.mark.parametrize("number", range(3))
async def test_commands_injected_behind_starttls_are_dropped(
    protocol: MailProtocol, number: int, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-38: those in front of it are answered first."""
    async with session(server_settings(protocol, starttls=ON, tls=pki.tls())) as world:
        await world.client.expect(GREETING[protocol])
        (noop, done), (command, reply) = NOOP[protocol], STARTTLS[protocol]
        await world.client.send(noop + command + INJECTIONS[protocol][number])
        await world.client.expect(done + reply)
        await world.client.start_tls(pki.client_context())
        await world.client.send(noop)
        await world.client.expect(done)
        await world.client.close()


@every_protocol
async def test_clear_text_after_the_reply_is_fed_to_tls(
    protocol: MailProtocol, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-34, TLS-39."""
    async with session(server_settings(protocol, starttls=ON, tls=pki.tls())) as world:
        await world.client.expect(GREETING[protocol])
        command, reply = STARTTLS[protocol]
        await world.client.send(command)
        await world.client.expect(reply)
        await world.client.send(NOOP[protocol][0] * 3)
        octets = b""
        while more := await world.client.stream.receive_some():
            octets += more
        assert octets[:1] in (b"", b"\x15")  # an alert at most
    assert world.recorder.texts[0].startswith("SSL_do_handshake() failed (SSL: error:")
    assert world.session.info.action == "in starttls state"


# -- deadlines -----------------------------------------------------------------------------------------------------


async def read_to_the_end(world: World) -> bytes:
    octets = b""
    while more := await world.client.stream.receive_some():
        octets += more
    return octets


@every_protocol
async def test_a_handshake_that_stalls_ends_in_silence(
    protocol: MailProtocol, pki: Pki, autojump_clock: MockClock
) -> None:
    """CORE-17, TLS-29."""
    settings = server_settings(protocol, implicit_tls=True, tls=pki.tls(), timeout=30.0)
    async with session(settings) as world:
        await trio.sleep(20)
        await world.client.send(b"\x16\x03\x01")
        assert await read_to_the_end(world) == b""
        assert trio.current_time() == 30
    assert world.recorder.texts == ["client timed out"]
    assert world.session.info.action == "SSL handshaking"


@every_protocol
@pytest.mark.parametrize("begun", [False, True], ids=["nothing sent", "handshake begun"])
async def test_the_deadline_runs_on_through_starttls(
    protocol: MailProtocol, begun: bool, pki: Pki, autojump_clock: MockClock
) -> None:
    """CORE-17, TLS-41: from the greeting, whatever happens."""
    settings = server_settings(protocol, starttls=ON, tls=pki.tls(), timeout=30.0)
    async with session(settings) as world:
        await world.client.expect(GREETING[protocol])
        await trio.sleep(10)
        await world.client.send(STARTTLS[protocol][0])
        await world.client.expect(STARTTLS[protocol][1])
        if begun:
            await trio.sleep(10)
            await world.client.send(b"\x16\x03\x01")
        assert await read_to_the_end(world) == b""
        assert trio.current_time() == 30
    assert world.recorder.texts == ["client timed out"]
    assert world.session.info.action == "in starttls state"


@every_protocol
async def test_a_handshake_does_not_renew_the_deadline(
    protocol: MailProtocol, pki: Pki, autojump_clock: MockClock
) -> None:
    """CORE-17, CORE-20, TLS-41, TLS-54: and after a timeout there is no close_notify."""
    settings = server_settings(protocol, starttls=ON, tls=pki.tls(), timeout=30.0)
    async with session(settings) as world:
        await world.client.expect(GREETING[protocol])
        await trio.sleep(20)
        await world.client.send(STARTTLS[protocol][0])
        await world.client.expect(STARTTLS[protocol][1])
        tls = await world.client.start_tls(pki.client_context())
        with pytest.raises(trio.BrokenResourceError):  # an end without close_notify
            await tls.receive_some()
        assert trio.current_time() == 30


async def test_implicit_tls_gives_the_dialogue_its_whole_time(pki: Pki, autojump_clock: MockClock) -> None:
    """CORE-17: the deadline starts afresh at the greeting."""
    settings = server_settings(POP3, implicit_tls=True, tls=pki.tls(), timeout=30.0)
    async with session(settings) as world:
        await trio.sleep(20)
        tls = await world.client.start_tls(pki.client_context())
        await world.client.expect(GREETING[POP3])
        with pytest.raises(trio.BrokenResourceError):
            await tls.receive_some()
        assert trio.current_time() == 50


@pytest.mark.parametrize("implicit", [True, False])
async def test_a_session_cut_in_a_handshake_says_nothing_in_clear(
    implicit: bool, pki: Pki, autojump_clock: MockClock
) -> None:
    """PROXY-89: a word in clear would stand where a TLS record belongs."""
    settings = server_settings(SMTP, implicit_tls=implicit, starttls=ON, tls=pki.tls())
    async with session(settings) as world:
        if not implicit:
            await world.client.expect(GREETING[SMTP])
            await world.client.send(STARTTLS[SMTP][0])
            await world.client.expect(STARTTLS[SMTP][1])
        await world.client.send(b"\x16\x03\x01")
        await wait_all_tasks_blocked()
        world.session.cut()
        assert await read_to_the_end(world) == b""


@every_protocol
async def test_a_session_cut_in_tls_hears_of_it_in_tls(
    protocol: MailProtocol, pki: Pki, autojump_clock: MockClock
) -> None:
    """PROXY-89, TLS-53."""
    async with session(server_settings(protocol, starttls=ON, tls=pki.tls())) as world:
        await begin_starttls(world, protocol, pki.client_context())
        await wait_all_tasks_blocked()
        world.session.cut()
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()


# -- clients' certificates -----------------------------------------------------------------------------------------

REFUSALS = {
    SMTP: b"421 4.7.1 %s\r\n",
    POP3: b"-ERR %s\r\n",
    IMAP: b"* BYE %s\r\n",
}


@every_protocol
@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "starttls"])
@pytest.mark.parametrize("shown", ["nothing", "stranger", "expired"])
async def test_a_refused_certificate_is_told_within_tls(
    protocol: MailProtocol, implicit: bool, shown: str, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-42, TLS-43, TLS-46, TLS-53."""
    leaf = {
        "nothing": None,
        "stranger": pki.stranger.issue_cert("stranger.example"),
        "expired": pki.expired("expired.example"),
    }[shown]
    tls = pki.tls(verify_client=VerifyClient.ON, client_certificate=pki.ca)
    settings = server_settings(protocol, implicit_tls=implicit, starttls=OFF if implicit else ON, tls=tls)
    async with session(settings) as world:
        if implicit:
            await world.client.start_tls(pki.client_context(leaf))
        else:
            await begin_starttls(world, protocol, pki.client_context(leaf))
        reply = b"No required SSL certificate" if leaf is None else b"SSL certificate error"
        await world.client.expect(REFUSALS[protocol] % reply)
        await world.client.expect_eof()
        assert trio.current_time() == 0
        await world.client.close()
    assert world.recorder.texts == [
        {
            "nothing": "client sent no required SSL certificate",
            "stranger": "client SSL certificate verify error: (21:unable to verify the first certificate)",
            "expired": "client SSL certificate verify error: (10:certificate has expired)",
        }[shown]
    ]


TLS_HEADERS = [
    "Auth-SSL",
    "Auth-SSL-Protocol",
    "Auth-SSL-Cipher",
    "Auth-SSL-Verify",
    "Auth-SSL-Subject",
    "Auth-SSL-Issuer",
    "Auth-SSL-Serial",
    "Auth-SSL-Fingerprint",
    "Auth-SSL-Cert",
]


async def ask(world: World, protocol: MailProtocol) -> dict[str, bytes]:
    """Log in, have it refused, and return the header lines that the auth server saw."""
    for line in LOGIN[protocol]:
        await world.client.send(line)
        if line.startswith(b"USER"):
            await world.client.expect(b"+OK\r\n")
    request = await world.answer_auth(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n")
    await world.client.until(b"no\r\n")
    await world.client.close()
    return headers(request)


@pytest.mark.slow
@every_protocol
@pytest.mark.parametrize("mode", [VerifyClient.ON, VerifyClient.OPTIONAL, VerifyClient.OPTIONAL_NO_CA])
async def test_what_the_auth_server_hears_of_a_good_certificate(
    protocol: MailProtocol, mode: VerifyClient, pki: Pki, autojump_clock: MockClock
) -> None:
    """AUTH-29 to AUTH-33, TLS-44, TLS-47."""
    leaf = pki.authority.issue_cert("client.example", common_name="client")
    settings = server_settings(
        protocol,
        implicit_tls=True,
        tls=pki.tls(verify_client=mode, client_certificate=pki.ca),
        auth_http=replace(server_settings(protocol).auth_http, pass_client_cert=True),
    )
    async with session(settings) as world:
        await world.client.start_tls(pki.client_context(leaf))
        await world.client.expect(GREETING[protocol])
        found = await ask(world, protocol)
    assert [name for name in found if name.startswith("Auth-SSL")] == TLS_HEADERS
    assert found["Auth-SSL"] == b"on"
    assert found["Auth-SSL-Protocol"] == b"TLSv1.3"
    assert found["Auth-SSL-Verify"] == b"SUCCESS"
    pem = found["Auth-SSL-Cert"]
    assert pem.startswith(b"-----BEGIN%20CERTIFICATE-----%0AMII")
    assert pem.endswith(b"%0A-----END%20CERTIFICATE-----%0A")
    original = leaf.cert_chain_pems[0].bytes()
    assert pem.replace(b"%20", b" ").replace(b"%0A", b"\n") == original
    openssl = ["openssl", "x509", "-noout", "-nameopt", "RFC2253", "-subject", "-issuer", "-serial"]
    output = await trio.to_thread.run_sync(lambda: subprocess.run(openssl, input=original, capture_output=True))
    said = [line.partition(b"=")[2] for line in output.stdout.splitlines()]
    assert [found[f"Auth-SSL-{name}"] for name in ("Subject", "Issuer", "Serial")] == said


@pytest.mark.parametrize(
    ("mode", "shown", "expected"),
    [
        (VerifyClient.OFF, True, TLS_HEADERS[:3]),
        (VerifyClient.OPTIONAL, False, TLS_HEADERS[:4]),
        (VerifyClient.OPTIONAL_NO_CA, False, TLS_HEADERS[:4]),
        (VerifyClient.OPTIONAL_NO_CA, True, TLS_HEADERS[:8]),
    ],
)
async def test_what_the_auth_server_hears_of_others(
    mode: VerifyClient, shown: bool, expected: list[str], pki: Pki, autojump_clock: MockClock
) -> None:
    """AUTH-29 to AUTH-33, TLS-44."""
    tls = pki.tls(verify_client=mode, client_certificate=pki.ca)
    leaf = pki.stranger.issue_cert("stranger.example") if shown else None
    async with session(server_settings(IMAP, starttls=ON, tls=tls)) as world:
        await begin_starttls(world, IMAP, pki.client_context(leaf))
        found = await ask(world, IMAP)
    assert [name for name in found if name.startswith("Auth-SSL")] == expected
    verify = b"FAILED:unable to verify the first certificate" if shown else b"NONE"
    assert found.get("Auth-SSL-Verify") == (None if mode is VerifyClient.OFF else verify)


async def test_in_clear_nothing_is_said_of_tls(pki: Pki, autojump_clock: MockClock) -> None:
    """AUTH-29."""
    async with session(server_settings(IMAP, starttls=ON, tls=pki.tls())) as world:
        await world.client.expect(GREETING[IMAP])
        assert not [name for name in await ask(world, IMAP) if "SSL" in name]


# -- the relay, and the end ----------------------------------------------------------------------------------------


async def log_in_to(world: World, backend: Peer) -> None:
    """The IMAP login at a backend."""
    await backend.send(b"* OK ready\r\n")
    await backend.expect(b"a LOGIN {1}\r\n")
    await backend.send(b"+ \r\n")
    await backend.expect(b"u {1}\r\n")
    await backend.send(b"+ \r\n")
    await backend.expect(b"p\r\n")
    await backend.send(b"a OK done\r\n")
    await world.client.expect(b"a OK done\r\n")


async def begin_relay(world: World) -> Peer:
    """An IMAP client in TLS logs in; returns the backend."""
    await world.client.send(LOGIN[IMAP][0])
    await world.answer_auth()
    backend = await world.backend()
    await log_in_to(world, backend)
    return backend


async def test_the_relay_keeps_every_octet(pki: Pki, autojump_clock: MockClock) -> None:
    """PROXY-74, PROXY-78, PROXY-81: whatever the size of the pieces, both ways at once."""
    sizes = (1, 2, 4095, 4096, 4097, 16383, 16384, 16385, 50_000)
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes * 3)]
    whole = b"".join(pieces)
    async with session(server_settings(IMAP, starttls=ON, tls=pki.tls())) as world:
        await begin_starttls(world, IMAP, pki.client_context())
        backend = await begin_relay(world)

        async def send(peer: Peer) -> None:
            for piece in pieces:
                await peer.send(piece)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, world.client)
            nursery.start_soon(send, backend)
            nursery.start_soon(world.client.expect, whole)
            await backend.expect(whole)
        await backend.close()
        await world.client.expect_eof()
        assert trio.current_time() == 0
        await world.client.close()
    assert world.recorder.end == "proxied session done"


async def test_a_client_that_says_nothing_at_the_end_is_waited_for(pki: Pki, autojump_clock: MockClock) -> None:
    """PROXY-81, TLS-53: three seconds for its close_notify; the backend is not kept waiting."""
    async with session(server_settings(IMAP, starttls=ON, tls=pki.tls())) as world:
        await begin_starttls(world, IMAP, pki.client_context())
        backend = await begin_relay(world)
        assert isinstance(backend.stream, trio.StapledStream)
        await backend.stream.send_eof()
        await backend.expect_eof()
        assert trio.current_time() == 0
        await world.client.expect_eof()
        await world.ended.wait()
        assert trio.current_time() == 3


async def test_a_relay_that_times_out_ends_without_close_notify(pki: Pki, autojump_clock: MockClock) -> None:
    """CORE-20, PROXY-81, TLS-54."""
    settings = server_settings(IMAP, starttls=ON, tls=pki.tls(), proxy__timeout=100.0)
    async with session(settings) as world:
        await begin_starttls(world, IMAP, pki.client_context())
        await begin_relay(world)
        with pytest.raises(trio.BrokenResourceError):
            await world.client.stream.receive_some()
        assert trio.current_time() == 100


async def test_a_relay_cut_at_shutdown_ends_without_close_notify(pki: Pki, autojump_clock: MockClock) -> None:
    """CORE-20, PROXY-88."""
    async with session(server_settings(IMAP, starttls=ON, tls=pki.tls())) as world:
        await begin_starttls(world, IMAP, pki.client_context())
        await begin_relay(world)
        world.session.cut()
        with pytest.raises(trio.BrokenResourceError):
            await world.client.stream.receive_some()


async def test_a_client_may_leave_during_the_auth_request(pki: Pki, autojump_clock: MockClock) -> None:
    """AUTH-37, CORE-83: in TLS too a half-close does not count, and what it sends is kept."""
    async with session(server_settings(IMAP, starttls=ON, tls=pki.tls())) as world:
        await begin_starttls(world, IMAP, pki.client_context())
        await world.client.send(LOGIN[IMAP][0])
        auth = await world.auth()
        await auth.until(b"\r\n\r\n")
        await world.client.send(b"b NOOP\r\n")
        await trio.sleep(1)
        await auth.send(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\nAuth-Wait: 1\r\n\r\n")
        await world.client.expect(b"a NO no\r\nb OK completed\r\n")
        await world.client.close()


async def test_log_lines_tell_of_starttls(pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-46: section 10 of the rules."""
    async with session(server_settings(IMAP, starttls=ON, tls=pki.tls())) as world:
        await world.client.expect(GREETING[IMAP])
        assert not world.session.info.starttls
        await world.client.send(STARTTLS[IMAP][0])
        await world.client.expect(STARTTLS[IMAP][1])
        await world.client.start_tls(pki.client_context())
        assert world.session.info.starttls
        await world.client.close()


# -- TLS to backends -----------------------------------------------------------------------------------------------

BACKEND_GREETING = {SMTP: b"220 ready\r\n", POP3: b"+OK ready\r\n", IMAP: b"* OK ready\r\n"}
BACKEND_STARTTLS = {
    SMTP: (b"STARTTLS\r\n", b"220 go\r\n"),
    POP3: (b"STLS\r\n", b"+OK go\r\n"),
    IMAP: (b"a STARTTLS\r\n", b"* OK by the way\r\na OK go\r\n"),
}
FIRST_LINE = {SMTP: b"EHLO mx.example\r\n", POP3: b"USER u\r\n", IMAP: b"a LOGIN {1}\r\n"}


async def reach_backend(world: World, protocol: MailProtocol, extra: bytes = b"") -> Peer:
    """Log in in clear, up to the connection to the backend."""
    await world.client.expect(GREETING[protocol])
    if protocol is SMTP:
        await world.client.send(b"EHLO c\r\n")
        await world.client.until(b"LOGIN\r\n")
    for line in LOGIN[protocol]:
        await world.client.send(line)
        if line.startswith(b"USER"):
            await world.client.expect(b"+OK\r\n")
    await world.answer_auth(ADMITTED.removesuffix(b"\r\n") + extra + b"\r\n")
    return await world.backend()


async def begin_backend_starttls(peer: Peer, protocol: MailProtocol, behind: bytes = b"") -> None:
    """The backend's part of the dialogue before the handshake."""
    await peer.send(BACKEND_GREETING[protocol])
    if protocol is SMTP:
        await peer.expect(b"EHLO mx.example\r\n")
        await peer.send(b"250-backend\r\n250 STARTTLS\r\n")
    command, reply = BACKEND_STARTTLS[protocol]
    await peer.expect(command)
    await peer.send(reply + behind)


@every_protocol
@pytest.mark.parametrize("decided_by", ["proxy_ssl", "auth server"])
@pytest.mark.parametrize("mode", [BackendTlsMode.ON, BackendTlsMode.STARTTLS])
async def test_logins_at_backends_in_tls(
    protocol: MailProtocol, mode: BackendTlsMode, decided_by: str, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-60, TLS-64, AUTH-101: with the PROXY header in clear, in front of everything."""
    context = pki.server_context(pki.authority.issue_cert("backend.example"))
    changes, extra = {"backend_tls__mode": mode}, b""
    if decided_by == "auth server":
        changes, extra = {"backend_tls__mode": BackendTlsMode.OFF}, b"Auth-Server-SSL: %s\r\n" % mode.value.encode()
    settings = server_settings(protocol, proxy__protocol=ProxyHeader.V1, **changes)
    async with session(settings) as world:
        backend = await reach_backend(world, protocol, extra)
        await backend.expect(b"PROXY TCP4 192.0.2.7 198.51.100.1 40123 25\r\n")
        if mode is BackendTlsMode.ON:
            await backend.accept_tls(context)
            await backend.send(BACKEND_GREETING[protocol])
        else:
            await begin_backend_starttls(backend, protocol)
            await backend.accept_tls(context)
        await backend.expect(FIRST_LINE[protocol])
        await world.client.close()
        await backend.close()


@every_protocol
async def test_the_auth_server_can_ask_for_clear_text(
    protocol: MailProtocol, pki: Pki, autojump_clock: MockClock
) -> None:
    """AUTH-101."""
    async with session(server_settings(protocol, backend_tls__mode=BackendTlsMode.ON)) as world:
        backend = await reach_backend(world, protocol, b"Auth-Server-SSL: off\r\n")
        await backend.send(BACKEND_GREETING[protocol])
        if protocol is SMTP:
            await backend.expect(b"EHLO mx.example\r\n")
        await backend.close()
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()


async def test_an_unknown_word_of_the_auth_server_never_ends_in_clear_text(autojump_clock: MockClock) -> None:
    """AUTH-101."""
    async with session(server_settings(IMAP)) as world:
        await world.client.expect(GREETING[IMAP])
        await world.client.send(LOGIN[IMAP][0])
        await world.answer_auth(ADMITTED.removesuffix(b"\r\n") + b"Auth-Server-SSL: On\r\n\r\n")
        await world.client.expect(INTERNAL_ERROR[IMAP])
        await world.client.expect_eof()
    assert world.recorder.texts[0].endswith('sent invalid server ssl:"On"')


def certificate_for(pki: Pki, who: str) -> trustme.LeafCert:
    return {
        "right name": lambda: pki.authority.issue_cert("backend.example"),
        "right address": lambda: pki.authority.issue_cert("127.0.0.1"),
        "wrong name": lambda: pki.authority.issue_cert("other.example"),
        "unknown authority": lambda: pki.stranger.issue_cert("backend.example"),
        "expired": lambda: pki.expired("backend.example"),
    }[who]()


@pytest.mark.parametrize(
    ("who", "name", "text"),
    [
        ("right name", "backend.example", None),
        ("right name", "BACKEND.example.", None),
        ("right address", None, None),
        ("right name", None, 'upstream SSL certificate does not match "127.0.0.1"'),
        ("right address", "backend.example", 'upstream SSL certificate does not match "backend.example"'),
        ("right address", "::1", 'upstream SSL certificate does not match "::1"'),
        ("wrong name", "backend.example", 'upstream SSL certificate does not match "backend.example"'),
        (
            "unknown authority",
            "backend.example",
            "upstream SSL certificate verify error: (21:unable to verify the first certificate)",
        ),
        ("expired", "backend.example", "upstream SSL certificate verify error: (10:certificate has expired)"),
    ],
)
async def test_whose_certificate_a_backend_must_have(
    who: str, name: str | None, text: str | None, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-61, TLS-62, TLS-65: a backend that fails learns nothing."""
    context = pki.server_context(certificate_for(pki, who))
    changes = {"mode": BackendTlsMode.ON, "verify": True, "trusted_certificate": pki.ca, "name": name}
    settings = server_settings(IMAP, **{f"backend_tls__{key}": value for key, value in changes.items()})
    async with session(settings) as world:
        backend = await reach_backend(world, IMAP)
        await backend.accept_tls(context)
        if text is None:
            await backend.send(BACKEND_GREETING[IMAP])
            await backend.expect(FIRST_LINE[IMAP])
            await backend.close()
        else:
            with pytest.raises(trio.BrokenResourceError):  # without close_notify, and without a line
                await backend.stream.receive_some()
        await world.client.expect(INTERNAL_ERROR[IMAP])
        await world.client.expect_eof()
    errors = [event.text for event in world.recorder.events if isinstance(event, WentWrong)]
    assert errors == [text or "upstream prematurely closed connection"]
    assert text is None or world.session.info.action == "SSL handshaking to upstream"


@pytest.mark.parametrize(
    ("send", "name", "expected"),
    [
        (True, "Backend.example.", "Backend.example"),
        (False, "backend.example", None),
        (True, None, None),
        (True, "::1", None),
    ],
)
async def test_the_name_that_backends_are_asked_for(
    send: bool, name: str | None, expected: str | None, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-61: an IP address is never sent."""
    context = pki.server_context(pki.authority.issue_cert("backend.example"))
    asked: list[str | None] = []
    context.sni_callback = lambda _, sni, __: asked.append(sni)
    settings = server_settings(
        IMAP, backend_tls__mode=BackendTlsMode.ON, backend_tls__server_name=send, backend_tls__name=name
    )
    async with session(settings) as world:
        backend = await reach_backend(world, IMAP)
        await backend.accept_tls(context)
        await backend.close()
        await world.client.expect(INTERNAL_ERROR[IMAP])
    assert asked == [expected]


async def test_the_certificate_that_backends_are_shown(pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-61."""
    context = pki.server_context(pki.authority.issue_cert("backend.example"))
    context.verify_mode = ssl.CERT_REQUIRED
    pki.authority.configure_trust(context)
    own = pki.file(pki.authority.issue_cert("proxy.example"), "proxy")
    settings = server_settings(
        IMAP, backend_tls__mode=BackendTlsMode.ON, backend_tls__certificate=own, backend_tls__certificate_key=own
    )
    async with session(settings) as world:
        backend = await reach_backend(world, IMAP)
        await backend.accept_tls(context)
        assert isinstance(backend.stream, trio.SSLStream)
        assert backend.stream.getpeercert()["subjectAltName"] == (("DNS", "proxy.example"),)
        await backend.close()
        await world.client.expect(INTERNAL_ERROR[IMAP])


@every_protocol
@pytest.mark.parametrize("how", ["garbage", "end of file"])
async def test_a_backend_that_fails_in_the_handshake(
    protocol: MailProtocol, how: str, autojump_clock: MockClock
) -> None:
    """TLS-60, TLS-65: there is no way back to clear text."""
    async with session(server_settings(protocol, backend_tls__mode=BackendTlsMode.STARTTLS)) as world:
        backend = await reach_backend(world, protocol)
        await begin_backend_starttls(backend, protocol)
        assert (await backend.take(1))[:1] == b"\x16"
        if how == "garbage":
            await backend.send(b"+OK but in clear\r\n")
        else:
            await backend.close()
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
    (text,) = [event.text for event in world.recorder.events if isinstance(event, WentWrong)]
    assert text.startswith("SSL_do_handshake() failed (SSL:" if how == "garbage" else "peer closed connection in SSL")


@every_protocol
async def test_a_backend_that_stalls_in_the_handshake(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """TLS-65: the deadline is that of PROXY-9."""
    settings = server_settings(protocol, backend_tls__mode=BackendTlsMode.ON, timeout=30.0)
    async with session(settings) as world:
        backend = await reach_backend(world, protocol)
        assert (await backend.take(1))[:1] == b"\x16"
        await world.client.expect(INTERNAL_ERROR[protocol])
        assert trio.current_time() == 30
        await world.client.expect_eof()
    assert "upstream timed out" in world.recorder.texts


@every_protocol
async def test_octets_behind_a_backends_answer_to_starttls(
    protocol: MailProtocol, pki: Pki, autojump_clock: MockClock
) -> None:
    """TLS-64: they would be taken for answers given in TLS."""
    async with session(server_settings(protocol, backend_tls__mode=BackendTlsMode.STARTTLS)) as world:
        backend = await reach_backend(world, protocol)
        await begin_backend_starttls(backend, protocol, BACKEND_GREETING[protocol])
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
        await backend.expect_eof()
    assert "upstream sent data behind its answer to STARTTLS" in world.recorder.texts


REFUSED_STARTTLS = {SMTP: b"454 no\r\n", POP3: b"-ERR no\r\n", IMAP: b"a NO no\r\n"}


@every_protocol
@pytest.mark.parametrize("passed_on", [False, True])
async def test_a_backend_that_refuses_starttls(
    protocol: MailProtocol, passed_on: bool, autojump_clock: MockClock
) -> None:
    """TLS-60, TLS-64, PROXY-66."""
    settings = server_settings(protocol, backend_tls__mode=BackendTlsMode.STARTTLS, proxy__pass_error_message=passed_on)
    async with session(settings) as world:
        backend = await reach_backend(world, protocol)
        await backend.send(BACKEND_GREETING[protocol])
        if protocol is SMTP:
            await backend.expect(b"EHLO mx.example\r\n")
            await backend.send(b"250 backend\r\n")
        await backend.expect(BACKEND_STARTTLS[protocol][0])
        await backend.send(REFUSED_STARTTLS[protocol])
        await world.client.expect(REFUSED_STARTTLS[protocol] if passed_on else INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
        await backend.expect_eof()


async def test_a_relay_in_tls_on_both_sides(pki: Pki, autojump_clock: MockClock) -> None:
    """TLS-66, PROXY-81: the backend's connection ends without close_notify, the client's with it."""
    context = pki.server_context(pki.authority.issue_cert("backend.example"))
    settings = server_settings(IMAP, implicit_tls=True, tls=pki.tls(), backend_tls__mode=BackendTlsMode.ON)
    async with session(settings) as world:
        await world.client.start_tls(pki.client_context())
        backend = await reach_backend(world, IMAP)
        await backend.accept_tls(context)
        await log_in_to(world, backend)
        octets = bytes(range(256)) * 1000

        async def send_back() -> None:
            await backend.expect(octets)
            await backend.send(octets)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_back)
            nursery.start_soon(world.client.send, octets)
            await world.client.expect(octets)
        await world.client.close()
        with pytest.raises(trio.BrokenResourceError):
            await backend.stream.receive_some()
