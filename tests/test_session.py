"""Whole sessions between scripted peers: login, hand-over, failures, timers (core and proxy rules)."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import MockClock

from refproxy.config.settings import MailProtocol, Mechanism, ProxyHeader, UnixAddress
from refproxy.session import Peers
from tests.proxied import ADMITTED, INTERNAL_ERROR, Peer, World, headers, server_settings, session

SMTP, POP3, IMAP = MailProtocol.SMTP, MailProtocol.POP3, MailProtocol.IMAP

GREETING = {
    SMTP: b"220 mx.example ESMTP ready\r\n",
    POP3: b"+OK POP3 ready\r\n",
    IMAP: b"* OK IMAP4 ready\r\n",
}
LOGIN = {
    SMTP: b"AUTH PLAIN AHUAc2VjcmV0\r\n",
    POP3: b"AUTH PLAIN AHUAc2VjcmV0\r\n",
    IMAP: b"a AUTHENTICATE PLAIN AHUAc2VjcmV0\r\n",
}
REFUSAL = {SMTP: b"535 5.7.0 no\r\n", POP3: b"-ERR no\r\n", IMAP: b"a NO no\r\n"}
NOOP = {SMTP: b"NOOP\r\n", POP3: b"NOOP\r\n", IMAP: b"n NOOP\r\n"}
NOOP_REPLY = {SMTP: b"250 2.0.0 OK\r\n", POP3: b"+OK\r\n", IMAP: b"n OK completed\r\n"}
BACKEND_GREETING = {SMTP: b"220 be\r\n", POP3: b"+OK be\r\n", IMAP: b"* OK be\r\n"}
every_protocol = pytest.mark.parametrize("protocol", [SMTP, POP3, IMAP])


async def smtp_backend_login(backend: Peer) -> None:
    await backend.send(b"220 be ESMTP\r\n")
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250-be\r\n250 XCLIENT NAME ADDR LOGIN\r\n")
    await backend.expect(b"XCLIENT ADDR=192.0.2.7 LOGIN=u NAME=[UNAVAILABLE]\r\n")
    await backend.send(b"220 be ESMTP\r\n")


async def pop3_backend_login(backend: Peer) -> None:
    await backend.send(b"+OK be\r\n")
    await backend.expect(b"USER u\r\n")
    await backend.send(b"+OK\r\n")
    await backend.expect(b"PASS secret\r\n")
    await backend.send(b"+OK 3 messages\r\n")


async def imap_backend_login(backend: Peer) -> None:
    await backend.send(b"* OK be\r\n")
    await backend.expect(b"a LOGIN {1}\r\n")
    await backend.send(b"+ go\r\n")
    await backend.expect(b"u {6}\r\n")
    await backend.send(b"+\r\n")
    await backend.expect(b"secret\r\n")
    await backend.send(b"* CAPABILITY IMAP4rev1\r\n* 1 EXISTS\r\na OK done\r\n")


LET_IN = {SMTP: smtp_backend_login, POP3: pop3_backend_login, IMAP: imap_backend_login}
WELCOME = {
    SMTP: b"235 2.0.0 OK\r\n",
    POP3: b"+OK 3 messages\r\n",
    IMAP: b"* CAPABILITY IMAP4rev1\r\n* 1 EXISTS\r\na OK done\r\n",
}


async def log_in(world: World, protocol: MailProtocol) -> Peer:
    """Take a client of any protocol through its login; return the backend."""
    await world.client.expect(GREETING[protocol])
    await world.client.send(LOGIN[protocol])
    await world.answer_auth()
    backend = await world.backend()
    await LET_IN[protocol](backend)
    await world.client.expect(WELCOME[protocol])
    return backend


@every_protocol
async def test_a_login_is_relayed_until_the_backend_closes(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """PROXY-49, PROXY-57, PROXY-65, PROXY-72, PROXY-76."""
    async with session(server_settings(protocol)) as world:
        backend = await log_in(world, protocol)
        await world.client.send(b"hello\0\r\n")
        await backend.expect(b"hello\0\r\n")
        await backend.send(b"bye")
        await backend.close()
        await world.client.expect(b"bye")
        await world.client.expect_eof()
    assert world.recorder.end == "proxied session done"
    assert world.recorder.texts == ["client logged in", "proxied session done"]


@every_protocol
async def test_pipelined_octets_are_the_first_of_the_relay(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """SMTP-92, IMAP-97, PROXY-51."""
    async with session(server_settings(protocol)) as world:
        await world.client.send(LOGIN[protocol] + b"first words")
        await world.client.expect(GREETING[protocol])
        await world.answer_auth()
        backend = await world.backend()
        await LET_IN[protocol](backend)
        await backend.expect(b"first words")
        await world.client.close()


@every_protocol
async def test_a_silent_client_is_dropped_at_the_deadline(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """CORE-17, SMTP-107, IMAP-78, POP3-71."""
    async with session(server_settings(protocol, timeout=60.0)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.expect_eof()
        assert trio.current_time() == 60.0
    assert world.recorder.texts == ["client timed out"]


@every_protocol
async def test_commands_do_not_move_the_deadline(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """SMTP-115: a total, not an idle time."""
    async with session(server_settings(protocol, timeout=10.0)) as world:
        await world.client.expect(GREETING[protocol])
        for _ in range(4):
            await world.client.send(NOOP[protocol])
            await world.client.expect(NOOP_REPLY[protocol])
            await trio.sleep(2)
        await world.client.expect_eof()
        assert trio.current_time() == 10.0


@every_protocol
async def test_a_refusal_with_wait_is_delayed_and_gives_a_fresh_deadline(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """AUTH-65, AUTH-66, AUTH-68, SMTP-85, IMAP-79."""
    async with session(server_settings(protocol, timeout=10.0)) as world:
        await world.client.expect(GREETING[protocol])
        await trio.sleep(9)
        await world.client.send(LOGIN[protocol] + NOOP[protocol])
        await world.answer_auth(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\nAuth-Wait: 30\r\n\r\n")
        await world.client.expect(REFUSAL[protocol] + NOOP_REPLY[protocol])
        assert trio.current_time() == 39.0
        await trio.sleep(9)
        await world.client.send(LOGIN[protocol])
        request = await world.answer_auth(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n")
        assert headers(request)["Auth-Login-Attempt"] == b"2"
        await world.client.expect(REFUSAL[protocol])
        await world.client.expect_eof()
    assert world.recorder.end == "client login failed"


@every_protocol
async def test_wait_asks_again_after_the_pause(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """AUTH-80, AUTH-81, SASL-75: the same request; a pause of at least one second."""
    async with session(server_settings(protocol)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        first = await world.answer_auth(b"HTTP/1.0 200 OK\r\nAuth-Status: WAIT\r\nAuth-Wait: 5\r\n\r\n")
        second = await world.answer_auth(b"HTTP/1.0 200 OK\r\nAuth-Status: WAIT\r\n\r\n")
        assert trio.current_time() == 5.0
        third = await world.answer_auth(b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n")
        assert trio.current_time() == 6.0
        assert first == second == third
        await world.client.expect(REFUSAL[protocol])


@every_protocol
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "auth http server 127.0.0.1:9000 prematurely closed connection"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "auth http server 127.0.0.1:9000 did not send server or port"),
        (b"ICY 200 OK\r\n\r\n", "auth http server 127.0.0.1:9000 sent invalid header in response"),
        (b"HTTP/1.0 200\rOK\r\n\r\n", "auth http server 127.0.0.1:9000 sent invalid response"),
        (
            ADMITTED.replace(b"127.0.0.1", b"localhost"),
            'auth http server 127.0.0.1:9000 sent invalid server address:"localhost"',
        ),
        (ADMITTED.replace(b"2525", b"65536"), 'auth http server 127.0.0.1:9000 sent invalid server port:"65536"'),
        (b"X: " + b"x" * 20000, "auth http server 127.0.0.1:9000 sent too long header"),
    ],
    ids=["closed", "no-route", "not-http", "stray-cr", "host-name", "port", "too-long"],
)
async def test_nonsense_from_the_auth_server_is_an_internal_error(
    protocol: MailProtocol, answer: bytes, text: str, autojump_clock: MockClock
) -> None:
    """AUTH-60, AUTH-91 to AUTH-96, auth_http rules section 11."""
    async with session(server_settings(protocol)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth(answer)
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
    assert world.recorder.texts == [text]


@every_protocol
async def test_a_silent_auth_server_is_given_up_at_its_timeout(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """AUTH-35, AUTH-36, AUTH-90."""
    async with session(server_settings(protocol, timeout=1.0, auth_http__timeout=7.0)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.client.expect(INTERNAL_ERROR[protocol])
        assert trio.current_time() == 7.0
    assert world.recorder.texts == ["auth http server 127.0.0.1:9000 timed out (110: Connection timed out)"]


@every_protocol
async def test_a_backend_that_refuses_the_connection(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """PROXY-10, PROXY-69."""
    settings = server_settings(protocol, proxy__pass_error_message=True)
    async with session(settings, refuse=lambda address: str(address).endswith(":2525")) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth()
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
    assert world.recorder.texts == ["connect() to 127.0.0.1:2525 failed (111: Connection refused)"]


@every_protocol
@pytest.mark.parametrize("stalls", [b"", b"2", b"+OK", b"* OK not yet"])
async def test_a_stalling_backend_is_given_up_at_timeout(
    protocol: MailProtocol, stalls: bytes, autojump_clock: MockClock
) -> None:
    """PROXY-9, IMAP-95, CORE-17."""
    async with session(server_settings(protocol, timeout=20.0)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth()
        backend = await world.backend()
        if stalls:
            await backend.send(stalls)
        await world.client.expect(INTERNAL_ERROR[protocol])
        assert trio.current_time() == 20.0
    assert world.recorder.texts == ["upstream timed out"]


@every_protocol
async def test_ten_megabytes_without_a_line_end_are_too_long(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """PROXY-24, PROXY-26: at most proxy_buffer octets are held."""
    async with session(server_settings(protocol)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth()
        backend = await world.backend()
        await backend.send(b"2" * 10_000_000)
        await world.client.expect(INTERNAL_ERROR[protocol])
    assert world.recorder.texts == ["upstream sent too long response"]


@every_protocol
@pytest.mark.parametrize("passes", [True, False])
async def test_an_error_message_is_passed_or_hidden(
    protocol: MailProtocol, passes: bool, autojump_clock: MockClock
) -> None:
    """PROXY-66 to PROXY-71: the greeting counts too."""
    said = {SMTP: b"421-go\r\n421 away\r\n", POP3: b"-ERR go away\r\n", IMAP: b"* BYE go away\r\n"}[protocol]
    async with session(server_settings(protocol, proxy__pass_error_message=passes)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth()
        backend = await world.backend()
        await backend.send(said)
        await world.client.expect(said if passes else INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
        await backend.expect_eof()


@every_protocol
async def test_a_positive_but_unexpected_reply_is_never_passed(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """PROXY-67: a client could take it for success."""
    said = {SMTP: b"250 hello\r\n", POP3: b"+ok\r\n", IMAP: b"* PREAUTH hi\r\n"}[protocol]
    async with session(server_settings(protocol, proxy__pass_error_message=True)) as world:
        await world.client.expect(GREETING[protocol])
        await world.client.send(LOGIN[protocol])
        await world.answer_auth()
        backend = await world.backend()
        await backend.send(said)
        await world.client.expect(INTERNAL_ERROR[protocol])


async def test_the_proxy_timeout_is_renewed_by_either_side(autojump_clock: MockClock) -> None:
    """PROXY-82, PROXY-83 (ours: the backend's traffic counts too)."""
    async with session(server_settings(IMAP, proxy__timeout=10.0)) as world:
        backend = await log_in(world, IMAP)
        for _ in range(3):
            await trio.sleep(9)
            await backend.send(b"* 1 EXISTS\r\n")
            await world.client.expect(b"* 1 EXISTS\r\n")
        for _ in range(3):
            await trio.sleep(9)
            await world.client.send(b"x")
            await backend.expect(b"x")
        await world.client.expect_eof()
        assert trio.current_time() == 64.0
    assert world.recorder.end == "proxied session timed out"


async def test_none_mode_hands_the_rcpt_reply_through(autojump_clock: MockClock) -> None:
    """SMTP-76 to SMTP-80, PROXY-47, PROXY-48."""
    settings = server_settings(SMTP, smtp__auth=frozenset({Mechanism.NONE}))
    async with session(settings) as world:
        await world.client.send(b"EHLO c.example\r\nMAIL FROM:<a@x>  SIZE=1 \r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\n")
        await world.client.expect(GREETING[SMTP] + b"250 mx.example\r\n250 2.0.0 OK\r\n")
        request = headers(await world.answer_auth())
        assert request["Auth-Method"] == b"none"
        assert request["Auth-SMTP-Helo"] == b"c.example"
        assert request["Auth-SMTP-From"] == b"MAIL FROM:<a@x>  SIZE=1"
        assert request["Auth-SMTP-To"] == b"RCPT TO:<b@y>"
        backend = await world.backend()
        for reply, line in [
            (b"220 be\r\n", b"EHLO mx.example\r\n"),
            (b"250 be\r\n", b"XCLIENT ADDR=192.0.2.7 NAME=[UNAVAILABLE]\r\n"),
            (b"220 be\r\n", b"EHLO c.example\r\n"),
            (b"250 be\r\n", b"MAIL FROM:<a@x>  SIZE=1\r\n"),
            (b"250 ok\r\n", b"RCPT TO:<b@y>\r\n"),
            (b"550 5.1.1 unknown\r\n", b"RCPT TO:<c@y>\r\n"),
        ]:
            await backend.send(reply)
            await backend.expect(line)
        await world.client.expect(b"550 5.1.1 unknown\r\n")
        await world.client.close()


@pytest.mark.parametrize("header", [ProxyHeader.V1, ProxyHeader.V2])
async def test_the_proxy_header_comes_first_and_alone(header: ProxyHeader, autojump_clock: MockClock) -> None:
    """PROXY-12, PROXY-15 to PROXY-17, PROXY-21."""
    async with session(server_settings(POP3, proxy__protocol=header)) as world:
        await world.client.expect(GREETING[POP3])
        await world.client.send(LOGIN[POP3])
        await world.answer_auth()
        backend = await world.backend()
        if header is ProxyHeader.V1:
            await backend.expect(b"PROXY TCP4 192.0.2.7 198.51.100.1 40123 25\r\n")
        else:
            await backend.expect(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13" + bytes([192, 0, 2, 7, 198, 51, 100, 1]))
            await backend.expect(b"\x9c\xbb\0\x19\x03\0\x04")
            await backend.take(4)  # the checksum, see tests of the header
        await backend.send(b"+OK\r\n")
        await backend.expect(b"USER u\r\n")
        await world.client.close()
        await backend.close()


async def test_a_client_on_a_unix_socket_has_no_address(autojump_clock: MockClock) -> None:
    """PROXY-35, PROXY-39, AUTH-21 and the version 1 header of nginx."""
    unix = Peers(UnixAddress(""), UnixAddress("/run/mail.sock"))
    async with session(server_settings(SMTP, proxy__protocol=ProxyHeader.V1), peers=unix) as world:
        await world.client.expect(GREETING[SMTP])
        await world.client.send(LOGIN[SMTP])
        assert headers(await world.answer_auth())["Client-IP"] == b"unix:"
        backend = await world.backend()
        await backend.expect(b"PROXY UNKNOWN\r\n")
        await backend.send(b"220 be\r\n")
        await backend.expect(b"EHLO mx.example\r\n")
        await backend.send(b"250 be\r\n")
        await backend.expect(b"XCLIENT ADDR=[UNAVAILABLE] LOGIN=u NAME=[UNAVAILABLE]\r\n")
        await world.client.close()
        await backend.close()


async def test_a_client_that_talks_before_the_greeting_is_refused(autojump_clock: MockClock) -> None:
    """SMTP-12, SMTP-13."""
    async with session(server_settings(SMTP, smtp__greeting_delay=5.0)) as world:
        await trio.sleep(1)
        await world.client.send(b"E")
        await world.client.expect(b"503 5.5.0 Improper use of SMTP command pipelining\r\n")
        await world.client.expect_eof()


async def test_a_patient_client_is_greeted_after_the_delay(autojump_clock: MockClock) -> None:
    """SMTP-12, SMTP-15."""
    async with session(server_settings(SMTP, smtp__greeting_delay=5.0, timeout=60.0)) as world:
        await world.client.expect(GREETING[SMTP])
        assert trio.current_time() == 5.0
        await world.client.expect_eof()
        assert trio.current_time() == 65.0


async def test_a_client_that_leaves_before_the_greeting_gets_nothing(autojump_clock: MockClock) -> None:
    """SMTP-14."""
    async with session(server_settings(SMTP, smtp__greeting_delay=5.0)) as world:
        await world.client.stream.send_stream.aclose()
        await world.client.expect_eof()
        assert trio.current_time() == 0.0


@every_protocol
async def test_every_complete_line_before_the_end_of_file_is_answered(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """SMTP-119, SMTP-120, IMAP-12."""
    async with session(server_settings(protocol)) as world:
        await world.client.send(NOOP[protocol] * 3 + b"half a li")
        await world.client.stream.send_stream.aclose()
        await world.client.expect(GREETING[protocol] + NOOP_REPLY[protocol] * 3)
        await world.client.expect_eof()
        assert trio.current_time() == 0.0


@every_protocol
async def test_a_client_that_half_closes_still_gets_its_login(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """SMTP-121: the login is carried through, then the relay ends."""
    async with session(server_settings(protocol)) as world:
        await world.client.send(LOGIN[protocol])
        await world.client.stream.send_stream.aclose()
        await world.client.expect(GREETING[protocol])
        await world.answer_auth()
        backend = await world.backend()
        await backend.send(BACKEND_GREETING[protocol])
        await backend.until(b"\r\n")
        await backend.close()
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()


@every_protocol
async def test_a_cut_dialogue_hears_the_internal_error(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """PROXY-89 (ours)."""
    async with session(server_settings(protocol)) as world:
        await world.client.expect(GREETING[protocol])
        world.session.cut()
        await world.client.expect(INTERNAL_ERROR[protocol])
        await world.client.expect_eof()
    assert world.recorder.end == "shutdown timeout"


async def test_a_cut_relay_hears_nothing(autojump_clock: MockClock) -> None:
    """PROXY-88, PROXY-80."""
    async with session(server_settings(IMAP)) as world:
        backend = await log_in(world, IMAP)
        world.session.cut()
        await world.client.expect_eof()
        await backend.expect_eof()


@every_protocol
async def test_no_event_holds_the_password(protocol: MailProtocol, autojump_clock: MockClock) -> None:
    """AUTH-17 and the backend's login carry it; no reader ever sees it."""
    async with session(server_settings(protocol)) as world:
        backend = await log_in(world, protocol)
        await backend.close()
        await world.client.expect_eof()
    shown = repr(world.recorder.events)
    assert "secret" not in shown
    assert "AHUAc2VjcmV0" not in shown


@every_protocol
async def test_a_session_leaves_nothing_to_the_garbage_collector(
    protocol: MailProtocol, autojump_clock: MockClock
) -> None:
    """The daemon makes the collector run seldom, so sockets and secrets must not wait for it."""
    gc.disable()
    try:
        async with session(server_settings(protocol)) as world:
            backend = await log_in(world, protocol)
            await backend.close()
            await world.client.expect_eof()
        ended = weakref.ref(world.session)
        del world
        assert ended() is None
    finally:
        gc.enable()
