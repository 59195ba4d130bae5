"""The comparison of nginx with refproxy: conversations of clients, and what everybody sees of them."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.auth_server import AuthServer, Route
from tests.interop.certificates import Certificates
from tests.interop.clients import LineClient
from tests.interop.line_backend import LineBackend
from tests.interop.proxies import Proxy, start_nginx, start_refproxy

__all__ = [
    "Conversation",
    "Handshake",
    "Sent",
    "World",
    "b64",
    "closing",
    "imap",
    "open_world",
    "plain",
    "pop3",
    "raw",
    "smtp",
]


def b64(text: str | bytes) -> bytes:
    return base64.b64encode(text.encode() if isinstance(text, str) else text)


def plain(user: str, password: str) -> bytes:
    return b64(f"\0{user}\0{password}")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the client sends, and how its reply ends; without an end the reply is everything up to the end of file."""

    octets: bytes
    end: bytes | None


def smtp(*lines: bytes) -> list[Sent]:
    return [Sent(b"", rb"\n")] + [Sent(line + b"\r\n", rb"(?m)^\d{3} .*\n\Z") for line in lines]


def pop3(*lines: bytes) -> list[Sent]:
    several = (b"CAPA", b"AUTH")
    ends = (rb"\n\.\r\n\Z" if line.upper() in several else rb"\n\Z" for line in lines)
    return [Sent(b"", rb"\n")] + [Sent(line + b"\r\n", end) for line, end in zip(lines, ends, strict=True)]


def imap(*lines: bytes) -> list[Sent]:
    end = rb"(?m)^(\+|\* BAD|[^* ]+ (OK|NO|BAD)).*\n\Z"
    return [Sent(b"", rb"\n")] + [Sent(line + b"\r\n", end) for line in lines]


def closing(conversation: list[Sent]) -> list[Sent]:
    """The last reply is followed by the end of the connection."""
    return [*conversation[:-1], Sent(conversation[-1].octets, None)]


def raw(*octets: bytes) -> list[Sent]:
    """Pipelined octets, and everything that comes back."""
    return [Sent(b"".join(octets), None)]


@dataclass(frozen=True, slots=True)
class Handshake:
    """The client shakes hands, and shows a certificate if it is told which."""

    shown: str | None = None
    alpn: tuple[str, ...] = ()
    version: ssl.TLSVersion | None = None


Conversation = Sequence[Sent | Handshake]


@dataclass(frozen=True, slots=True)
class World:
    """Both proxies with the peers that they share."""

    nginx: Proxy
    refproxy: Proxy
    auth: AuthServer
    backends: Sequence[LineBackend]
    certificates: Certificates

    def compare(self, server: str, conversation: Conversation) -> None:
        """Hold the conversation with both proxies; everybody must see the same."""
        expected = self.run(self.nginx, server, conversation)
        assert self.run(self.refproxy, server, conversation) == expected

    def run(self, proxy: Proxy, server: str, conversation: Conversation) -> dict[str, list[bytes]]:
        """What every peer of the proxy saw during one session; random numbers are masked."""
        before = len(self.auth.requests)
        with LineClient(proxy.ports[server]) as client:
            replies = [self.take(step, client) for step in conversation]
        return {
            "client": [masked(reply) for reply in replies] + [b"cut off"] * client.cut_off,
            "auth server": [masked(request.octets) for request in self.auth.requests[before:]],
            "backend": [line for backend in self.backends for line in backend.taken()],
        }

    def take(self, step: Sent | Handshake, client: LineClient) -> bytes:
        """Take a step and return the reply, or how the handshake ended."""
        if isinstance(step, Sent):
            return client.ask(step.octets, step.end or rb"(?!)")
        try:
            client.start_tls(self.certificates.context(step.shown, alpn=step.alpn, version=step.version))
        except ssl.SSLError as error:
            return str(error).encode()
        return b"in TLS"


def masked(octets: bytes) -> bytes:
    return re.sub(rb"<\d+\.\d+@", b"<RANDOM.TIME@", octets)


@contextmanager
def open_world(
    directories: Callable[[], Path],
    certificates: Certificates,
    users: Mapping[str, str],
    servers: Mapping[str, str],
    common: str = "",
) -> Iterator[World]:
    """Start both proxies with the same server blocks, and all that they need."""
    with ExitStack() as stack:
        routes: dict[str, Route] = {}
        backends = []
        for protocol in ("smtp", "pop3", "imap"):
            backend = stack.enter_context(LineBackend(protocol))
            backends.append(backend)
            routes |= {f"{path} {protocol}": Route(backend.port) for path in ("/plain", "/retry")}
        auth = stack.enter_context(AuthServer(users, routes))
        nginx = start_nginx(directories(), auth.port, servers, common)
        stack.callback(nginx.child.stop)
        refproxy = start_refproxy(directories(), auth.port, servers, common)
        stack.callback(refproxy.child.stop)
        yield World(nginx, refproxy, auth, backends, certificates)
