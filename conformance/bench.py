"""What a case is handed: its own client address, user, backend, auth server and DNS, around a running target.

A case knows its own traffic by where it comes from: every case has an address of its own in 127.0.0.0/8, from which its
clients connect, so `Client-IP`, PTR questions and XCLIENT all name the case. What comes from elsewhere (IPv6, UNIX
sockets, addresses in PROXY headers) is known by the user, who is the case's own, too.
"""

from __future__ import annotations

import math
import socket
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import trio

from conformance.case import Case, Needs
from conformance.fakes.auth_server import AuthRequest, RawRequest, read_request
from conformance.fakes.dns_server import Answer, CaseDns, DnsServer, reverse_name
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.targets.base import Files, Running, Target, TargetTrouble, kept_authority
from conformance.transcript import Transcript
from conformance.verdict import Mismatch
from refproxy.observe.ladder import Side

if TYPE_CHECKING:
    import trustme  # not needed to list cases

    from conformance.certificates import Certificates

__all__ = ["Bench", "World"]

PASSWORD = b"k3y-of-the-case"
Key = TypeVar("Key", bytes, str)
CONNECT_PATIENCE = 5.0  # seconds
EARLY = 0.35  # seconds; CORE-17 and PROXY-85 say 0.3, and clocks have grains


class Bench:
    """One case's surroundings. What a case opens is closed at its end."""

    def __init__(self, case: Case, number: int, running: Running, world: World) -> None:
        self.case, self.running, self._world = case, running, world
        self.notes: list[str] = []
        self.protocol = case.block.protocol
        self.user = f"user{number}@case.example".encode()
        self.password = PASSWORD
        self.ip = f"127.{64 + number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"
        self.host = f"c{number}.clients.example"
        self.dns = CaseDns({"host": self.host, "ip": self.ip})
        self.transcript = Transcript([PASSWORD, self.plain])
        self.ips = {self.ip.encode(), b"::ffff:" + self.ip.encode()}
        self._auth_send, self._auth = trio.open_memory_channel[AuthRequest](100)
        self._backend_send, self._backends = trio.open_memory_channel[Peer](100)
        self._open: list[Peer] = []
        self._listeners: list[trio.SocketListener] = []
        self.backend_port = 0

    @property
    def plain(self) -> bytes:
        """The decoded SASL PLAIN answer."""
        return b"\0" + self.user + b"\0" + self.password

    @property
    def plain64(self) -> bytes:
        """The SASL PLAIN answer as it goes over the wire."""
        return b64encode(self.plain)

    @property
    def awaited(self) -> str:
        """What the script was waiting for, as far as its peers know."""
        return next((peer.awaited for peer in reversed(self._open) if peer.awaited), "something to happen")

    @property
    def files(self) -> Files:
        """The certificates of this run."""
        return self._world.files

    @property
    def authority(self) -> trustme.CA:
        """Who vouches for the target's certificates."""
        return self._world.authority

    @property
    def certificates(self) -> Certificates:
        """All certificates of this run, of clients and backends, too."""
        return self._world.certificates

    def knows(self, *ips: str) -> None:
        """Traffic from these addresses is this case's, too; they must be nobody else's."""
        self.ips |= {ip.encode() for ip in ips}
        self._world.add(self)

    # The client.

    async def client(self, *, source: str | None = None) -> Peer:
        """Connect to the case's block, from the case's own address unless told otherwise."""
        with trio.fail_after(CONNECT_PATIENCE):
            stream = await self.running.places[self.case.block].connect(source or self.ip)
        client = self._peer(stream, Side.CLIENT)
        # What an RFC demands is asked of everybody in his own words; a vendor's rule is about the vendor's words.
        if self.case.level in (Level.MUST, Level.SHOULD):
            client.loosely = self.loosely
        return client

    @property
    def loosely(self) -> str | None:
        """The protocol, if the target has words of its own for it, since it claims no dialect."""
        return None if Level.VENDOR in self._world.dialects else self.protocol

    def trusting(self, *, alpn: tuple[str, ...] = (), certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        """A TLS client that trusts the authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # create_default_context loads all authorities of the system
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python 3.11.2 sets: it hides a missing close_notify
        self.authority.configure_trust(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if certificate is not None:
            certificate.configure_cert(context)
        return context

    def serving(self, name: str = "right") -> ssl.SSLContext:
        """A TLS backend with one of the certificates in `certificates.backends`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python 3.11.2 sets: it hides a missing close_notify
        self.certificates.backends[name].configure_cert(context)
        return context

    # The auth server.

    async def request(self, *, any_http: bool = False) -> AuthRequest:
        """The target's next request to the auth server; one that h11 refuses only if `any_http`. Raises Mismatch."""
        request = await self._auth.receive()
        if not request.proper and not any_http:
            raise Mismatch("a request in proper HTTP", repr(request.raw[:300]))
        return request

    def no_request(self) -> None:
        """The auth server was not asked again. Raises Mismatch."""
        try:
            request = self._auth.receive_nowait()
        except trio.WouldBlock:
            return
        raise Mismatch("no request to the auth server", f"{request.names!r}")

    async def admit(self, *lines: str | bytes, request: AuthRequest | None = None) -> AuthRequest:
        """Take the next request and send the client to the case's backend; `lines` are added to the answer."""
        request = request or await self.request()
        await request.answer("Auth-Status: OK", *self.route, *lines)
        return request

    @property
    def route(self) -> tuple[str, str]:
        """The lines that lead to the case's backend."""
        return "Auth-Server: 127.0.0.1", f"Auth-Port: {self.backend_port}"

    # The backend.

    async def backend(self) -> Peer:
        """The target's next connection to the case's backend."""
        return await self._backends.receive()

    def narrow_backend(self, octets: int) -> None:
        """Connections to the backend take about so many octets ahead of who reads them, from now on."""
        for listener in self._listeners:
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)

    def no_backend(self) -> None:
        """The backend was not contacted. Raises Mismatch."""
        try:
            self._backends.receive_nowait()
        except trio.WouldBlock:
            return
        raise Mismatch("no connection to the backend", "one")

    # What the case says and finds.

    def say_ptr(self, answer: Answer, ip: str | None = None) -> None:
        """Decide about the PTR question for the case's address; `{host}` in records is the case's host name."""
        self.dns.say(reverse_name(ip or self.ip), "PTR", answer)

    def say_forward(self, a: Answer, aaaa: Answer) -> None:
        """Decide about the questions for the addresses of the case's host name; `{ip}` is the case's address."""
        self.dns.say(self.host, "A", a)
        self.dns.say(self.host, "AAAA", aaaa)

    def check(self, what: str, found: object, *accepted: object) -> None:
        """Compare something that was received. Raises Mismatch."""
        if found not in accepted:
            self.transcript.remark(f"{what} is {found!r}", wrong=True)
            raise Mismatch(f"{what} {' or '.join(map(repr, accepted))}", repr(found))

    async def silence(self, seconds: float) -> None:
        """Let time pass: only where a deadline is to be shown that was renewed, or was not, by what comes then."""
        self.transcript.remark(f"{seconds:g} s of silence")
        await trio.sleep(seconds)

    def check_duration(self, what: str, since: float, least: float, most: float = math.inf) -> None:
        """Check how long ago something began; deadlines may come a little early (CORE-17). Raises Mismatch."""
        passed = trio.current_time() - since
        if not least - EARLY <= passed <= most:
            self.transcript.remark(f"{what} after {passed:.2f} s", wrong=True)
            raise Mismatch(f"{what} after {least:g} to {most:g} s", f"{passed:.2f} s")

    def elsewhere(self) -> tuple[str, str]:
        """An IPv4 and an IPv6 address that nobody else has, for PROXY headers; traffic from them is this case's."""
        first, second, third = self.ip.split(".")[1:]
        four, six = f"10.{first}.{second}.{third}", f"2001:db8::{first}:{second}:{third}"
        self.knows(four, six)
        return four, six

    def note(self, text: str) -> None:
        """Tell something that is no verdict."""
        self.notes.append(text)

    # Used by the run.

    async def run(self) -> None:
        """Run the script with everything around it in place. Raises Mismatch."""
        async with trio.open_nursery() as nursery:
            listeners = await self._world.backend_listeners(both=Needs.IPV6 in self.case.needs)
            self.backend_port = listeners[0].socket.getsockname()[1]
            self._listeners = listeners
            nursery.start_soon(trio.serve_listeners, self._take_backend, listeners)
            try:
                with self._world.known(self):
                    await self.case.script(self)
            finally:
                for peer in self._open:
                    await trio.aclose_forcefully(peer.socket_stream)
            nursery.cancel_scope.cancel()

    async def take_request(self, stream: trio.SocketStream, found: RawRequest) -> None:
        """Hand a request to the script."""
        raw, target, headers, proper = found
        peer = self._peer(stream, Side.AUTH)
        self.transcript.received(Side.AUTH, raw)
        await self._auth_send.send(AuthRequest(peer, raw, target, headers, proper))

    async def _take_backend(self, stream: trio.SocketStream) -> None:
        peer = self._peer(stream, Side.BACKEND)
        self.transcript.remark("the target connects to the backend")
        await self._backend_send.send(peer)
        await trio.sleep_forever()  # serve_listeners would close the connection

    def _peer(self, stream: trio.SocketStream, side: Side) -> Peer:
        peer = Peer(stream, side, self.transcript)
        self._open.append(peer)
        return peer


class World:
    """What the cases of a run share: auth server, name server, certificates; and whose traffic is whose.

    Without ports any will do. `stray` is told of requests that belong to no case.
    """

    def __init__(
        self, directory: Path, *, auth_port: int = 0, dns_port: int = 0, stray: Callable[[str], None] | None = None
    ) -> None:
        from conformance.certificates import Certificates

        self.authority = kept_authority(directory)
        self.certificates = Certificates.make(self.authority)
        self.files = Files.make(directory, self.certificates.files())
        self.by_ip: dict[bytes, Bench] = {}
        self.by_user: dict[bytes, Bench] = {}
        self.by_name: dict[str, Bench] = {}
        self.dns = DnsServer(self._case_of_name, dns_port)
        self.auth_port = self.auth6_port = auth_port
        self._stray = stray or (lambda text: None)
        self.dialects = frozenset({Level.VENDOR, Level.OURS})
        self._backend_ports: deque[int] = deque(maxlen=8192)

    @classmethod
    def of(cls, target: Target, directory: Path, stray: Callable[[str], None] | None = None) -> World:
        """What the cases of a target share, where the target expects it. Raises TargetTrouble."""
        try:
            world = cls(
                target.kept_files or directory, auth_port=target.auth_port, dns_port=target.dns_port, stray=stray
            )
        except (OSError, ValueError) as error:
            raise TargetTrouble(f"files for {target.name} cannot be made: {error}") from error
        world.dialects = target.dialects
        return world

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Raises TargetTrouble when a port is not free."""
        try:
            listeners = await trio.open_tcp_listeners(self.auth_port, host="127.0.0.1", backlog=1024)
        except OSError as error:
            raise TargetTrouble(f"port {self.auth_port} of the auth server is not free: {error.strerror}") from error
        self.auth_port = listeners[0].socket.getsockname()[1]
        with suppress(OSError):  # a machine without IPv6: no case that needs it will run
            listeners += await trio.open_tcp_listeners(self.auth6_port, host="::1", backlog=1024)
            self.auth6_port = listeners[-1].socket.getsockname()[1]
        listeners.append(await _unix_listener(self.files.names["auth_unix"]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._take_request, listeners)
            await nursery.start(self.dns.serve)
            task_status.started()

    async def backend_listeners(self, *, both: bool) -> list[trio.SocketListener]:
        """Listen on a port that no case had lately: the target may still be about to connect for one that has ended."""
        while True:
            listeners = await _backend_listeners(both=both)
            port = listeners[0].socket.getsockname()[1]
            if port not in self._backend_ports:
                self._backend_ports.append(port)
                return listeners
            for listener in listeners:
                await listener.aclose()

    @contextmanager
    def known(self, bench: Bench) -> Iterator[None]:
        """While in the block, traffic that names the case is handed to it."""
        self.add(bench)
        try:
            yield
        finally:
            _forget(self.by_ip, bench)
            _forget(self.by_user, bench)
            _forget(self.by_name, bench)

    def add(self, bench: Bench) -> None:
        """Note the names of a case."""
        self.by_ip |= dict.fromkeys(bench.ips, bench)
        self.by_user[bench.user] = bench
        self.by_name |= {reverse_name(ip.decode()): bench for ip in bench.ips}
        self.by_name[bench.host] = bench

    async def _take_request(self, stream: trio.SocketStream) -> None:
        found = await read_request(stream)
        if found is None:
            return
        headers = dict(reversed(found[2]))
        bench = self.by_ip.get(headers.get(b"Client-IP", b"")) or self._case_of_user(headers)
        if bench is None:
            self._stray(f"auth request from {headers.get(b'Client-IP', b'')!r}")
            return
        await bench.take_request(stream, found)
        await trio.sleep_forever()  # serve_listeners would close the connection

    def _case_of_user(self, headers: dict[bytes, bytes]) -> Bench | None:
        for name in (b"Auth-User", b"Auth-SMTP-To", b"Auth-SMTP-From"):
            for user, bench in self.by_user.items():
                if user in headers.get(name, b""):
                    return bench
        return None

    def _case_of_name(self, name: str) -> CaseDns | None:
        labels = name.split(".")
        ends = (".".join(labels[start:]) for start in range(len(labels)))
        bench = next((self.by_name[end] for end in ends if end in self.by_name), None)
        return bench.dns if bench else None


async def _backend_listeners(*, both: bool) -> list[trio.SocketListener]:
    """Listen on a free port of 127.0.0.1, on wish on the same of ::1."""
    while True:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        if not both:
            return listeners
        try:
            return listeners + await trio.open_tcp_listeners(listeners[0].socket.getsockname()[1], host="::1")
        except OSError:  # taken by another
            await listeners[0].aclose()


async def _unix_listener(path: str) -> trio.SocketListener:
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await trio.Path(path).unlink(missing_ok=True)  # of an earlier run, where the files are kept
    await sock.bind(path)
    sock.listen(1024)
    return trio.SocketListener(sock)


def _forget(table: dict[Key, Bench], bench: Bench) -> None:
    for key in [key for key, owner in table.items() if owner is bench]:
        del table[key]
