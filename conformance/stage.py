"""The peers around a mail proxy as the fixtures of `conformance.pytest_plugin` hand them out."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

import trio

from conformance.bench import World
from conformance.case import Block
from conformance.fakes.auth_server import AuthRequest, read_request
from conformance.fakes.dns_server import Answer, CaseDns, DnsServer, rcode, records
from conformance.fakes.peer import Peer
from conformance.targets.base import Fixture, Place, Target
from conformance.transcript import Transcript
from refproxy.observe.ladder import Side

__all__ = ["AuthHttp", "Backend", "Dns", "MailProxy", "Proxy", "run_proxy"]

HOST = "127.0.0.1"
KINDS = ("A", "AAAA", "PTR")
GREETINGS = {"smtp": b"220 backend.example ESMTP\r\n", "imap": b"* OK backend ready\r\n", "pop3": b"+OK ready\r\n"}


class Server:
    """Something that listens on a free port; connections wait until the test takes them."""

    def __init__(self, side: Side, transcript: Transcript) -> None:
        self.host, self.port = HOST, 0
        self._side, self._transcript = side, transcript
        self._send, self._receive = trio.open_memory_channel[Peer](100)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._take, listeners)
            task_status.started()

    async def connection(self) -> Peer:
        """The next connection, which the test plays from its first octet."""
        return await self._receive.receive()

    async def _take(self, stream: trio.SocketStream) -> None:
        self._transcript.remark(f"a connection to the {self._side.value}")
        await self._send.send(Peer(stream, self._side, self._transcript))
        await trio.sleep_forever()  # serve_listeners would close the connection


class Backend(Server):
    """A mail backend."""

    def __init__(self, protocol: str, transcript: Transcript) -> None:
        super().__init__(Side.BACKEND, transcript)
        self.protocol = protocol

    async def logged_in(self) -> Peer:
        """The next connection after a login, as a proxy that behaves like Angie with default directives does it."""
        peer = await self.connection()
        await peer.send(GREETINGS[self.protocol])
        match self.protocol:
            case "smtp":
                answers = [b"250 backend.example\r\n", b"250 ok\r\n"]
            case "imap":
                tag = (await peer.line()).split()[0]
                await peer.send(b"+ go ahead\r\n")
                answers = [b"+ go ahead\r\n", tag + b" OK logged in\r\n"]
            case _:
                answers = [b"+OK\r\n", b"+OK logged in\r\n"]
        for answer in answers:
            await peer.line()
            await peer.send(answer)
        return peer


class AuthHttp(Server):
    """The auth server."""

    def __init__(self, transcript: Transcript) -> None:
        super().__init__(Side.AUTH, transcript)

    @property
    def url(self) -> str:
        """Where it is, as the directive auth_http wants it."""
        return f"http://{self.host}:{self.port}/auth"

    async def request(self) -> AuthRequest:
        """The next request; its password is hidden in the ladder from then on."""
        peer = await self.connection()
        found = await read_request(peer.socket_stream)
        if found is None:
            raise AssertionError("what came to the auth server was no HTTP request")
        self._transcript.received(Side.AUTH, found[0])
        request = AuthRequest(peer, *found)
        user, password = request.user, request.password
        if password:
            self._transcript.secrets += [password, b"\0" + user + b"\0" + password]
        return request

    async def admit(self, backend: Backend | int, *lines: str) -> AuthRequest:
        """Answer the next request: this way in, to a backend of the fixtures or to a port of 127.0.0.1."""
        request = await self.request()
        port = backend if isinstance(backend, int) else backend.port
        await request.answer("Auth-Status: OK", f"Auth-Server: {HOST}", f"Auth-Port: {port}", *lines)
        return request

    async def deny(self, status: str, *lines: str) -> AuthRequest:
        """Answer the next request: not this one, for this reason."""
        request = await self.request()
        await request.answer(f"Auth-Status: {status}", *lines)
        return request


class Dns:
    """The name server, on one port for UDP and TCP. What it was not told about does not exist."""

    def __init__(self) -> None:
        self._names = CaseDns()
        self._server = DnsServer(lambda name: self._names)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def asked(self) -> list[str]:
        """The questions so far, as `NAME TYPE`."""
        return self._names.asked + self._names.tcp

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        await self._server.serve(task_status=task_status)

    def say(self, name: str, kind: str, *answer: str) -> None:
        """Give a name records, such as `say("mx.example", "A", "A 192.0.2.1")`."""
        self.behave(name, kind, records(*answer))

    def behave(self, name: str, kind: str, answer: Answer) -> None:
        """Answer a question as one of the functions in `conformance.fakes.dns_server` does."""
        self._names.say(name, kind, answer)
        for other in KINDS:
            # A name that exists for one question exists for all.
            if (name.lower().rstrip("."), other) not in self._names.answers:
                self._names.say(name, other, rcode("NOERROR"))


class Proxy:
    """A proxy that runs. `host` and `port` are where it listens."""

    def __init__(self, place: Place, world: World, transcript: Transcript) -> None:
        self.host, self.port = place.host, place.port
        self._place, self._world, self._transcript = place, world, transcript
        self._clients: list[Peer] = []

    async def client(self, source: str = HOST) -> Peer:
        """Connect to it, from any address in 127.0.0.0/8."""
        peer = Peer(await self._place.connect(source), Side.CLIENT, self._transcript)
        self._clients.append(peer)
        return peer

    def leave(self) -> None:
        """Break all connections of clients; what a test forgets to close is no fault of it."""
        for peer in self._clients:
            peer.socket_stream.socket.close()

    def trusting(self) -> ssl.SSLContext:
        """What a client needs for `start_tls` with a proxy that has `ssl_certificate {certificate}`."""
        context = ssl.create_default_context()
        self._world.authority.configure_trust(context)
        return context


class MailProxy(Protocol):
    """Starts the proxy with one `server` block; it ends with the test.

    `directives` are in Angie's language; in them `{dns}` is the fixture's name server, `{certificate}` the name of a
    file. `auth_port` is that of another auth server than the fixture's. Raises TargetTrouble.
    """

    def __call__(
        self, protocol: str, directives: str = "", *, listen: str = "", auth_port: int | None = None
    ) -> Awaitable[Proxy]: ...


async def run_proxy(
    target: Target,
    block: Block,
    ports: tuple[int, int],
    directory: Path,
    transcript: Transcript,
    *,
    task_status: trio.TaskStatus[Proxy] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a proxy until cancelled; `ports` are those of auth server and name server. Raises TargetTrouble."""
    world = World(directory)
    async with target.run(Fixture([block], *ports, world.files, directory)) as running:
        proxy = Proxy(running.places[block], world, transcript)
        task_status.started(proxy)
        try:
            await trio.sleep_forever()
        finally:
            proxy.leave()
