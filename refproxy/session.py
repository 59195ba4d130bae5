"""ONE connection from start to end: admit, converse, relay, close."""

from __future__ import annotations

import errno
import math
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import trio

from refproxy.backend import log_in
from refproxy.config.settings import Address, Listen, LogLevel, MailProtocol, ProxyHeader, TcpAddress
from refproxy.converse import converse
from refproxy.dialogue.client import Client, ClientCore
from refproxy.dialogue.login import Route
from refproxy.dialogue.protocols import PROTOCOLS
from refproxy.dialogue.turn import Authenticate, Close, Connect, End, Relay, StartTls, Turn
from refproxy.errors import AuthUnavailable, BackendFailure, FailureKind, PeerError, Side, WireError
from refproxy.net.closing import close_at_once
from refproxy.net.dial import Dial
from refproxy.net.line_stream import LineStream
from refproxy.net.peek import peekable
from refproxy.net.proxy_in import receive_proxy_header
from refproxy.net.relay import relay
from refproxy.net.reset_watch import ResetCancels
from refproxy.net.tls.stream import RECORD_SIZE, HandshakeFailed, TlsStream
from refproxy.observe.events import (
    Noted,
    OctetsRelayed,
    SessionCrashed,
    SessionEnded,
    SessionInfo,
    SessionStarted,
    TlsStarted,
    WentWrong,
)
from refproxy.observe.stream import EventStream
from refproxy.server import Server
from refproxy.services.auth import ask_auth_server
from refproxy.services.resolver import NotResolved, Resolver
from refproxy.tells import AuthTell, BackendTell, ClientTell, where_it_broke
from refproxy.wire.auth_http import Accepted, AuthRequest, Refused, format_tls_lines, printable
from refproxy.wire.proxy_header import Endpoints, format_v1, format_v2
from refproxy.wire.proxy_header_in import Conveyed, auth_lines
from refproxy.wire.real_ip import real_client
from refproxy.wire.sasl import format_salt
from refproxy.wire.tls_facts import TlsFacts, refuse_certificate

__all__ = ["Arrival", "Peers", "Session"]

SALT_RANDOM_BELOW = 2**31  # SASL-24


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection that a client made: what carries it, its ends, and the `listen` address it came to.

    `reset_cancels`, where the connection has it, notices a reset by the client without reading.
    """

    stream: trio.abc.HalfCloseableStream
    peers: Peers
    listen: Listen
    reset_cancels: ResetCancels | None = None


@dataclass(frozen=True, slots=True)
class Peers:
    """The two ends of the client's connection; `conveyed` is what its PROXY header said.

    `client` is the TCP peer until a PROXY header that may be believed names another (CORE-67).
    """

    client: Address
    local: Address
    conveyed: Conveyed | None = None

    @property
    def client_ip(self) -> str | None:
        """The client's IP address, or None for a UNIX socket."""
        return self.client.host if isinstance(self.client, TcpAddress) else None

    @property
    def endpoints(self) -> Endpoints | None:
        """What a PROXY header tells a backend (PROXY-16, PROXY-17)."""
        if isinstance(self.client, TcpAddress) and isinstance(self.local, TcpAddress):
            return Endpoints(self.client.host, self.local.host, self.client.port, self.local.port)
        return None


class Session:
    """One client's session. `run` tells its whole story; `cut` ends it early."""

    def __init__(self, arrival: Arrival, server: Server, info: SessionInfo, events: EventStream, dial: Dial) -> None:
        self.info = info
        self._server, self._settings = server, server.settings
        self._peers, self._listen = arrival.peers, arrival.listen
        self._events, self._dial = events, dial
        self._lines = LineStream(arrival.stream, self._settings.client_buffer, arrival.reset_cancels)
        self._client = Client(self._peers.client_ip)
        # A core that held a method of the session would make a circle, which only the garbage collector could free.
        make_salt = partial(_make_salt, self._settings.server_name)
        self._core: ClientCore = PROTOCOLS[self._settings.protocol].core(self._settings, self._client, make_salt)
        self._backend: trio.abc.Stream | None = None
        # Its deadline is the one clock of the session: what the client may take first, then the relay's idle time.
        self._scope = trio.CancelScope()
        self._is_cut = self._is_relaying = False
        self._speechless = arrival.listen.ssl  # until the end of the handshake: a word in clear would be no TLS record

    async def run(self) -> None:
        """Serve the client to the end. Nothing but cancellation gets past: a defect ends this session alone."""
        end = End.INTERNAL_ERROR.value
        self._events.emit(SessionStarted(self.info))
        try:
            with self._scope:
                end = await self._serve()
            if self._scope.cancelled_caught:
                end = await self._cut_short()
        except Exception as defect:  # the one barrier: neighbours go on
            self._events.emit(SessionCrashed(self.info, where_it_broke(defect)))
            await self._farewell()
        finally:
            await close_at_once(self._lines.stream)
            if self._backend is not None:
                await close_at_once(self._backend)
            self._events.emit(SessionEnded(self.info, end, trio.current_time() - self.info.started))

    def cut(self) -> None:
        """End the session now: a relay without a word, a dialogue with the internal error (PROXY-88, PROXY-89)."""
        self._is_cut = True
        self._scope.cancel()

    async def _serve(self) -> str:
        """Admit, converse, relay; return how it ended, in the log's words."""
        if (refusal := await self._admit()) is not None:
            return await self._close(refusal)
        self.info.action = "in auth state"
        allowance, tell = self._settings.timeout, ClientTell(self.info, self._events, self._events.verbose)
        outcome = await converse(self._core, self._lines, self._answer, tell, clock=self._scope, allowance=allowance)
        match outcome:
            case Relay():
                return await self._relay()
            case Close(end):
                return await self._close(end)
            case _:
                assert_never(outcome)

    # What comes before the greeting (CORE-70).

    async def _admit(self) -> End | None:
        """PROXY header, TLS, and the client's name; an end, if it comes to one."""
        if self._listen.proxy_protocol or self._listen.ssl:
            self._scope.deadline = trio.current_time() + self._settings.timeout  # for both together (CORE-17)
            end = await self._take_proxy_header() or await self._begin_in_tls()
            self._scope.deadline = math.inf
            if end is not None:
                return end
        if self._server.resolver is not None and PROTOCOLS[self._settings.protocol].looks_up_client:
            await self._look_up_name(self._server.resolver)
        return None

    async def _take_proxy_header(self) -> End | None:
        """Learn from the PROXY header, if there has to be one, who the client is (core rules, section 9)."""
        if not self._listen.proxy_protocol:
            return None
        self.info.action = "reading PROXY protocol"
        stream = self._lines.stream = peekable(self._lines.stream)
        try:
            conveyed = await receive_proxy_header(stream)
        except WireError as error:
            if text := str(error):
                self._events.emit(WentWrong(self.info, text))
            return End.BROKEN_PROXY_HEADER
        except PeerError:
            return End.CLIENT_RESET
        client = real_client(self._peers.client, conveyed, self._settings.real_ip_from)
        self._peers = Peers(client, self._peers.local, conveyed)
        self._client.ip = self._peers.client_ip
        return None

    async def _begin_in_tls(self) -> End | None:
        """Shake hands at once where the `listen` address says so (TLS-28)."""
        if not self._listen.ssl:
            return None
        self.info.action = "SSL handshaking"
        self._client.tls = await self._start_tls()
        return None if self._client.tls else End.TLS_FAILED

    async def _start_tls(self) -> TlsFacts | None:
        """Change to TLS; None when the client could not (TLS-34). The core judges its certificate (TLS-42)."""
        tls, settings = self._server.tls, self._settings
        assert tls is not None, "a server that uses TLS has certificates (TLS-25)"
        self._speechless = True
        try:
            stream = await tls.accept(self._lines.stream)
        except HandshakeFailed as failed:
            self._events.emit(Noted(self.info, str(failed)))
            return None
        self._lines.stream, self._speechless = stream, False
        facts = tls.facts(stream, with_own=settings.proxy.protocol in (ProxyHeader.V2, ProxyHeader.V2_TLV))
        self.info.tls = True
        self._events.emit(TlsStarted(self.info, Side.CLIENT, facts.version, facts.cipher))
        if (refusal := refuse_certificate(facts, settings.tls.verify_client)) is not None:
            self._events.emit(Noted(self.info, refusal.log))
        return facts

    async def _look_up_name(self, resolver: Resolver) -> None:
        """Confirm the client's host name (core rules, section 8); the greeting waits, no other session does."""
        facts = self._client.tls
        if facts is None or refuse_certificate(facts, self._settings.tls.verify_client) is None:
            self._client.name = await resolver.client_name(self._peers.client_ip, self._tell_lookup, self._tell_action)

    # What the core asks for.

    async def _answer(self, ask: StartTls | Authenticate | Connect) -> Turn:
        match ask:
            case Authenticate():
                return await self._authenticate(ask)
            case Connect():
                return await self._connect(ask)
            case StartTls():
                return await self._answer_starttls()
            case _:
                assert_never(ask)

    async def _answer_starttls(self) -> Turn:
        self._lines.discard()
        self.info.action, self.info.starttls = "in starttls state", True
        facts = await self._start_tls()
        if facts is None:
            return self._core.tls_failed()
        self.info.action = "in auth state"
        return self._core.tls_started(facts)

    async def _authenticate(self, ask: Authenticate) -> Turn:
        self.info.action, self.info.login = "in http auth state", ask.attempt.credentials.user
        settings = self._settings
        is_smtp = settings.protocol is MailProtocol.SMTP
        facts, pass_certificate = self._client.tls, settings.auth_http.pass_client_cert
        request = AuthRequest(
            ask.attempt,
            settings.protocol,
            self._peers.client_ip,
            self._client.name if is_smtp else None,
            auth_lines(self._peers.conveyed),
            format_tls_lines(facts, pass_certificate=pass_certificate) if facts else (),
        )
        exchanged = AuthTell(self.info, self._events).exchanged if self._events.verbose else None
        try:
            verdict = await ask_auth_server(
                settings.auth_http,
                request,
                self._dial,
                exchanged,
                names_allowed=self._server.resolver is not None,
            )
        except AuthUnavailable as unavailable:
            self._events.emit(WentWrong(self.info, str(unavailable)))
            return self._core.auth_unavailable()
        match verdict:
            case Accepted():
                if not verdict.explicit:
                    text = f"auth http server {settings.auth_http.addresses[0]} sent no Auth-Status, taken as OK"
                    self._events.emit(Noted(self.info, text, LogLevel.WARN))
                return self._core.accepted(verdict)
            case Refused():
                self._events.emit(Noted(self.info, f'client login failed: "{printable(verdict.text)}"'))
                self.info.action = "in auth state"
                return self._core.refused(verdict)
            case _:
                assert_never(verdict)

    async def _connect(self, ask: Connect) -> Turn:
        route, settings = ask.route, self._settings
        self.info.backend, self.info.login = str(route), route.user
        with trio.move_on_after(settings.timeout):
            try:
                self._backend, octets = await log_in(
                    route,
                    await self._addresses_of(route) if route.by_name else (route.host,),
                    self._dial,
                    self._server.backend_tls.connect,
                    BackendTell(self.info, self._events, self._events.verbose),
                    header=self._proxy_header(),
                    limit=settings.proxy.buffer,
                )
            except BackendFailure as failure:
                return self._backend_failed(failure)
            self.info.action = "proxying"
            self._events.emit(Noted(self.info, "client logged in"))
            return self._core.logged_in(octets)
        return self._backend_failed(BackendFailure(FailureKind.TIMED_OUT, "upstream timed out"))

    async def _addresses_of(self, route: Route) -> Sequence[str]:
        """The IP addresses of a route whose host is a name (AUTH-100). Raises BackendFailure."""
        resolver = self._server.resolver
        assert resolver is not None, "names are not allowed without one"
        self.info.action = "resolving upstream"
        try:
            return await resolver.addresses(route.host, self._tell_lookup)
        except NotResolved as failed:
            raise BackendFailure(FailureKind.UNKNOWN_HOST, str(failed)) from failed

    def _backend_failed(self, failure: BackendFailure) -> Turn:
        """A slow backend is told at info, as Angie does (CORE-34); all else is the operator's business."""
        if failure.kind is FailureKind.TIMED_OUT:
            self._events.emit(Noted(self.info, failure.text, errno=errno.ETIMEDOUT))
        else:
            said = f': "{printable(failure.reply.rstrip())}"' if failure.reply else ""
            self._events.emit(WentWrong(self.info, failure.text + said))
        return self._core.backend_failed(failure)

    def _proxy_header(self) -> bytes:
        match self._settings.proxy.protocol:
            case ProxyHeader.OFF:
                return b""
            case ProxyHeader.V1:
                return format_v1(self._peers.endpoints)
            case ProxyHeader.V2:
                return format_v2(self._peers.endpoints, self._client.tls)
            case ProxyHeader.V2_TLV:
                return format_v2(self._peers.endpoints, self._client.tls, self._unique_id())

    def _unique_id(self) -> bytes:
        """What tells this connection from all others, here and elsewhere (PROXY-99).

        Process and number are those of its log lines.
        """
        return f"{os.getpid()}.{self.info.number}.{secrets.token_hex(8)}".encode("ascii")

    # After the login, and the end.

    async def _relay(self) -> str:
        assert self._backend is not None
        settings, self._is_relaying = self._settings, True
        in_tls = isinstance(self._lines.stream, TlsStream) or isinstance(self._backend, TlsStream)
        least = RECORD_SIZE if in_tls else 0  # a record comes whole, whatever is read of it (PROXY-73)
        await relay(
            self._lines.stream,
            self._backend,
            self._scope,
            idle=settings.proxy.timeout,
            buffers={Side.CLIENT: max(settings.client_buffer, least), Side.BACKEND: max(settings.proxy.buffer, least)},
            pending=self._lines.take_pending(),
            observe=self._tell_relayed if self._events.verbose else None,
            octets_from=self.info.octets_from,
        )
        self._events.emit(Noted(self.info, End.PROXIED.value))
        if self.info.tls:
            self._scope.deadline = math.inf
            await close_at_once(self._backend)
            await self._lines.close_after_reply()  # close_notify (PROXY-81)
        return End.PROXIED.value

    async def _close(self, end: End) -> str:
        """Close after a dialogue, or instead of one; return how it ended, in the log's words."""
        self._scope.deadline = math.inf
        if end in _WORTH_A_NOTE:
            self._events.emit(Noted(self.info, end.value))
        if end not in _WITHOUT_A_WORD:
            await self._lines.close_after_reply()
        return end.value

    async def _cut_short(self) -> str:
        """The scope was cancelled: say why, and to whom there is something to say."""
        if self._is_cut:
            await self._farewell()
            return End.SHUTDOWN.value
        if self._scope.deadline == math.inf:  # without a deadline, only a reset cancels
            return End.CLIENT_RESET.value
        end = End.PROXIED_TIMED_OUT if self._is_relaying else End.CLIENT_TIMED_OUT
        self._events.emit(Noted(self.info, end.value, errno=errno.ETIMEDOUT))
        return end.value

    async def _farewell(self) -> None:
        """Tell a client in the dialogue that the session ends; no words into a relay (PROXY-80) or a handshake."""
        if self._core.in_relay or self._speechless:
            return
        with trio.move_on_after(1, shield=True):
            # The client, gone or broken, may be the very reason for this end.
            with suppress(PeerError):
                await self._lines.send(self._core.internal_error())
                await self._lines.close_after_reply()

    # What readers are told.

    def _tell_action(self, action: str) -> None:
        self.info.action = action

    def _tell_lookup(self, text: str) -> None:
        self._events.emit(WentWrong(self.info, text))

    def _tell_relayed(self, side: Side, octets: bytes) -> None:
        self._events.emit(OctetsRelayed(self.info, side, octets))


_WITHOUT_A_WORD = frozenset({End.CLIENT_RESET, End.TLS_FAILED, End.BROKEN_PROXY_HEADER})
_WORTH_A_NOTE = frozenset({End.TOO_MANY_ERRORS, End.TOO_MANY_COMMANDS, End.TOO_LONG, End.CLIENT_TALKED_EARLY})


def _make_salt(server_name: bytes) -> bytes:
    return format_salt(secrets.randbelow(SALT_RANDOM_BELOW), int(time.time()), server_name)
