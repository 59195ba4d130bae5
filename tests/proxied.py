"""A session of refproxy between scripted peers, on memory streams: no sockets, no clock but Trio's."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import trio
from trio.testing import memory_stream_pair

from refproxy.config.settings import (
    Address,
    AuthHttp,
    ImapSettings,
    Listen,
    MailProtocol,
    Pop3Settings,
    ProxySettings,
    ServerSettings,
    SmtpSettings,
    TcpAddress,
    Where,
)
from refproxy.errors import PeerError, Side
from refproxy.observe.events import Event, Noted, SessionCrashed, SessionEnded, SessionInfo, WentWrong
from refproxy.observe.stream import EventStream
from refproxy.server import make_server
from refproxy.services.resolver import Resolver
from refproxy.session import Arrival, Peers, Session

Stream = trio.StapledStream[Any, Any]

CLIENT = TcpAddress("192.0.2.7", 40123)
LISTENER = TcpAddress("198.51.100.1", 25)
AUTH_SERVER = TcpAddress("127.0.0.1", 9000)
BACKEND = TcpAddress("127.0.0.1", 2525)
ADMITTED = b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 2525\r\n\r\n"

INTERNAL_ERROR = {
    MailProtocol.SMTP: b"451 4.3.2 Internal server error\r\n",
    MailProtocol.POP3: b"-ERR internal server error\r\n",
    MailProtocol.IMAP: b"* BAD internal server error\r\n",
}


def server_settings(protocol: MailProtocol, **changes: Any) -> ServerSettings:
    """Settings of a server block: changes may name fields of ServerSettings or of a nested group (`smtp__auth=…`).

    `implicit_tls` stands for `listen … ssl`, `proxied` for `listen … proxy_protocol`.
    """
    settings = ServerSettings(
        Where("mail.conf", 1),
        protocol,
        (Listen(LISTENER, Where("mail.conf", 2)),),
        b"mx.example",
        AuthHttp((AUTH_SERVER,), b"127.0.0.1", b"/auth"),
        imap=ImapSettings(client_buffer=4096),
        pop3=Pop3Settings(),
        smtp=SmtpSettings(client_buffer=4096),
        proxy=ProxySettings(buffer=4096),
    )
    in_tls, proxied = changes.pop("implicit_tls", False), changes.pop("proxied", False)
    settings = replace(settings, listens=(replace(settings.listens[0], ssl=in_tls, proxy_protocol=proxied),))
    for name, value in changes.items():
        group, _, inner = name.partition("__")
        new = replace(getattr(settings, group), **{inner: value}) if inner else value
        settings = replace(settings, **{group: new})
    return settings


class Peer:
    """One scripted end of a connection, in clear or in TLS."""

    def __init__(self, stream: Stream) -> None:
        self.stream: Stream | trio.SSLStream[Any] = stream
        self._received = b""

    async def expect(self, octets: bytes) -> None:
        """The next octets are exactly these."""
        while len(self._received) < len(octets) and (more := await self.stream.receive_some()):
            self._received += more
        assert self._received[: len(octets)] == octets
        self._received = self._received[len(octets) :]

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and including the mark."""
        while mark not in self._received:
            more = await self.stream.receive_some()
            assert more, f"end of file after {self._received!r}"
            self._received += more
        end = self._received.index(mark) + len(mark)
        taken, self._received = self._received[:end], self._received[end:]
        return taken

    async def take(self, count: int) -> bytes:
        """The next `count` octets."""
        while len(self._received) < count:
            more = await self.stream.receive_some()
            assert more, "end of file"
            self._received += more
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    async def send(self, octets: bytes) -> None:
        await self.stream.send_all(octets)

    async def expect_eof(self) -> None:
        """Nothing more comes."""
        assert self._received == b""
        assert await self.stream.receive_some() == b""

    async def start_tls(self, context: ssl.SSLContext, name: str = "mx.example") -> trio.SSLStream[Any]:
        """Become the client of a TLS connection, and return it; nothing may be unread."""
        assert self._received == b""
        self.stream = tls = trio.SSLStream(self.stream, context, server_hostname=name)
        await tls.do_handshake()
        return tls

    async def accept_tls(self, context: ssl.SSLContext) -> None:
        """Become the server of a TLS connection; nothing may be unread."""
        assert self._received == b""
        self.stream = trio.SSLStream(self.stream, context, server_side=True)
        await self.stream.do_handshake()

    async def close(self) -> None:
        await self.stream.aclose()


@dataclass
class Recorder:
    """Keeps every event."""

    wants_lines: bool = True
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def texts(self) -> list[str]:
        """The notes and errors, in order."""
        return [event.text for event in self.events if isinstance(event, Noted | WentWrong)]

    @property
    def end(self) -> str:
        """How the session ended."""
        (ended,) = [event.end for event in self.events if isinstance(event, SessionEnded)]
        return ended


@dataclass
class World:
    """The peers around one session. `auth` and `backend` wait for the proxy to connect."""

    client: Peer
    recorder: Recorder
    session: Session
    _connections: Mapping[Side, tuple[trio.MemorySendChannel[Peer], trio.MemoryReceiveChannel[Peer]]]
    ended: trio.Event

    async def auth(self) -> Peer:
        """The proxy's next connection to the auth server."""
        return await self._connections[Side.AUTH][1].receive()

    async def backend(self) -> Peer:
        """The proxy's next connection to a backend."""
        return await self._connections[Side.BACKEND][1].receive()

    async def answer_auth(self, answer: bytes = ADMITTED) -> bytes:
        """Take one auth request, answer it, return the request."""
        peer = await self.auth()
        request = await peer.until(b"\r\n\r\n")
        await peer.send(answer)
        await peer.close()
        return request


def headers(request: bytes) -> dict[str, bytes]:
    """The header lines of an auth request."""
    lines = (line.partition(b": ") for line in request.split(b"\r\n")[1:-2])
    return {name.decode("ascii"): value for name, _, value in lines}


@asynccontextmanager
async def session(
    settings: ServerSettings,
    *,
    peers: Peers | None = None,
    refuse: Callable[[Address], bool] = lambda _: False,
    resolver: Resolver | None = None,
) -> AsyncIterator[World]:
    """A running session; leaving the block waits for its end."""
    client_side, proxy_side = memory_stream_pair()
    connections = {side: trio.open_memory_channel[Peer](10) for side in (Side.AUTH, Side.BACKEND)}

    async def dial(address: Address, side: Side) -> Stream:
        await trio.lowlevel.checkpoint()
        if refuse(address):
            raise PeerError(side, f"connect() to {address} failed (111: Connection refused)")
        ours, theirs = memory_stream_pair()
        await connections[side][0].send(Peer(theirs))
        return ours

    recorder = Recorder()
    info = SessionInfo(1, settings, str(CLIENT), str(LISTENER), trio.current_time())
    arrival = Arrival(proxy_side, peers or Peers(CLIENT, LISTENER), settings.listens[0])
    running = Session(arrival, make_server(settings, resolver), info, EventStream(recorder), dial)
    ended = trio.Event()

    async def run() -> None:
        await running.run()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield World(Peer(client_side), recorder, running, connections, ended)
    assert not [event for event in recorder.events if isinstance(event, SessionCrashed)]
