"""ONE connection from start to end: admit, converse, relay, close."""

from __future__ import annotations

import errno
import math
import secrets
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import assert_never

import trio

from refproxy.backend import log_in
from refproxy.config.settings import Address, LogLevel, MailProtocol, ProxyHeader, TcpAddress
from refproxy.converse import converse
from refproxy.dialogue.client import Client, ClientCore
from refproxy.dialogue.protocols import PROTOCOLS
from refproxy.dialogue.turn import Authenticate, Close, Connect, End, Relay, StartTls, Turn
from refproxy.errors import AuthUnavailable, BackendFailure, FailureKind, PeerError, Side
from refproxy.net.dial import Dial
from refproxy.net.line_stream import LineStream
from refproxy.net.relay import relay
from refproxy.net.reset_watch import ResetCancels
from refproxy.net.socket_stream import close_at_once
from refproxy.observe.events import (
    LineReceived,
    LineSent,
    Noted,
    OctetsRelayed,
    SessionCrashed,
    SessionEnded,
    SessionInfo,
    SessionStarted,
    WentWrong,
)
from refproxy.observe.stream import EventStream
from refproxy.services.auth import ask_auth_server
from refproxy.wire.auth_http import Accepted, AuthRequest, Refused, printable
from refproxy.wire.proxy_header import Endpoints, format_v1, format_v2
from refproxy.wire.sasl import format_salt

__all__ = ["Peers", "Session"]

SALT_RANDOM_BELOW = 2**31  # SASL-24


@dataclass(frozen=True, slots=True)
class Peers:
    """The two ends of the client's connection."""

    client: Address
    local: Address

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

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        peers: Peers,
        info: SessionInfo,
        events: EventStream,
        dial: Dial,
        reset_cancels: ResetCancels | None = None,
    ) -> None:
        self.info = info
        self._settings, self._peers, self._events, self._dial = info.settings, peers, events, dial
        self._lines = LineStream(stream, self._settings.client_buffer, reset_cancels)
        self._client = Client(peers.client_ip)
        # A core that held a method of the session would make a circle, which only the garbage collector could free.
        make_salt = partial(_make_salt, self._settings.server_name)
        self._core: ClientCore = PROTOCOLS[self._settings.protocol].core(self._settings, self._client, make_salt)
        self._backend: trio.abc.HalfCloseableStream | None = None
        # Its deadline is the one clock of the session: what the client may take first, then the relay's idle time.
        self._scope = trio.CancelScope()
        self._is_cut = self._is_relaying = False

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
            self._events.emit(SessionCrashed(self.info, _where_it_broke(defect)))
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
        """Converse, then relay; return how it ended, in the log's words."""
        settings = self._settings
        self.info.action = "in auth state"
        outcome = await converse(
            self._core, self._lines, self._answer, _ClientTell(self), clock=self._scope, allowance=settings.timeout
        )
        match outcome:
            case Relay():
                return await self._relay()
            case Close(end):
                self._scope.deadline = math.inf
                if end in _WORTH_A_NOTE:
                    self._events.emit(Noted(self.info, end.value))
                if end is not End.CLIENT_RESET:
                    await self._lines.close_after_reply()
                return end.value
            case _:
                assert_never(outcome)

    # What the core asks for.

    async def _answer(self, ask: StartTls | Authenticate | Connect) -> Turn:
        match ask:
            case Authenticate():
                return await self._authenticate(ask)
            case Connect():
                return await self._connect(ask)
            case StartTls():
                raise PeerError(Side.CLIENT, "TLS is not effective yet")
            case _:
                assert_never(ask)

    async def _authenticate(self, ask: Authenticate) -> Turn:
        self.info.action, self.info.login = "in http auth state", ask.attempt.credentials.user
        settings = self._settings
        is_smtp = settings.protocol is MailProtocol.SMTP
        request = AuthRequest(
            ask.attempt, settings.protocol, self._peers.client_ip, self._client.name if is_smtp else None
        )
        exchanged = self._tell_auth if self._events.verbose else None
        try:
            verdict = await ask_auth_server(settings.auth_http, request, self._dial, exchanged)
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
                    route, self._dial, _BackendTell(self), header=self._proxy_header(), limit=settings.proxy.buffer
                )
            except BackendFailure as failure:
                return self._backend_failed(failure)
            self.info.action = "proxying"
            self._events.emit(Noted(self.info, "client logged in"))
            return self._core.logged_in(octets)
        return self._backend_failed(BackendFailure(FailureKind.TIMED_OUT, "upstream timed out"))

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
                return format_v2(self._peers.endpoints)

    # After the login, and the end.

    async def _relay(self) -> str:
        assert self._backend is not None
        settings, self._is_relaying = self._settings, True
        await relay(
            self._lines.stream,
            self._backend,
            self._scope,
            idle=settings.proxy.timeout,
            buffers={Side.CLIENT: settings.client_buffer, Side.BACKEND: settings.proxy.buffer},
            pending=self._lines.take_pending(),
            observe=self._tell_relayed if self._events.verbose else None,
            octets_from=self.info.octets_from,
        )
        self._events.emit(Noted(self.info, End.PROXIED.value))
        return End.PROXIED.value

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
        """Tell a client in the dialogue that the session ends; never put words into a relay (PROXY-80)."""
        if self._core.in_relay:
            return
        with trio.move_on_after(1, shield=True):
            # The client, gone or broken, may be the very reason for this end.
            with suppress(PeerError):
                await self._lines.send(self._core.internal_error())

    # What readers are told.

    def _tell_auth(self, request: bytes, answer: bytes) -> None:
        self._events.emit(LineSent(self.info, Side.AUTH, _text(request)))
        self._events.emit(LineReceived(self.info, Side.AUTH, _text(_mask_answer(answer))))

    def _tell_relayed(self, side: Side, octets: bytes) -> None:
        self._events.emit(OctetsRelayed(self.info, side, octets))


_WORTH_A_NOTE = frozenset({End.TOO_MANY_ERRORS, End.TOO_MANY_COMMANDS, End.TOO_LONG, End.CLIENT_TALKED_EARLY})


@dataclass(frozen=True, slots=True)
class _ClientTell:
    """Turns what crosses between client and proxy into events."""

    session: Session

    def sent(self, octets: bytes) -> None:
        events = self.session._events
        if events.verbose:
            events.emit(LineSent(self.session.info, Side.CLIENT, _text(octets)))

    def heard(self, shown: str) -> None:
        events = self.session._events
        if events.verbose:
            events.emit(LineReceived(self.session.info, Side.CLIENT, shown))


@dataclass(frozen=True, slots=True)
class _BackendTell:
    """Turns what crosses between proxy and backend into events."""

    session: Session

    def action(self, action: str) -> None:
        self.session.info.action = action

    def sent(self, shown: str) -> None:
        events = self.session._events
        if events.verbose:
            events.emit(LineSent(self.session.info, Side.BACKEND, shown))

    def heard(self, octets: bytes) -> None:
        events = self.session._events
        if events.verbose:
            events.emit(LineReceived(self.session.info, Side.BACKEND, _text(octets)))


def _make_salt(server_name: bytes) -> bytes:
    return format_salt(secrets.randbelow(SALT_RANDOM_BELOW), int(time.time()), server_name)


def _text(octets: bytes) -> str:
    """Octets as lines of harmless text."""
    return "\n".join(printable(line.rstrip(b"\r"), limit=1024) for line in octets.rstrip(b"\r\n").split(b"\n"))


def _mask_answer(answer: bytes) -> bytes:
    """The auth server's answer without the password it may carry."""
    lines = answer.split(b"\n")
    return b"\n".join(b"Auth-Pass: ***" if line.lower().startswith(b"auth-pass") else line for line in lines)


def _where_it_broke(defect: BaseException) -> str:
    """Kinds and places of a defect, without its message, which may hold anything."""
    if isinstance(defect, BaseExceptionGroup):
        return "\n".join(_where_it_broke(inner) for inner in defect.exceptions)
    return "".join(traceback.format_tb(defect.__traceback__)) + type(defect).__name__
