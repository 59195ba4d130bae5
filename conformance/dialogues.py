"""What cases of all three protocols do again and again: greet, log in, get into the relay."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block
from conformance.fakes.auth_server import AuthRequest
from conformance.fakes.peer import Peer

__all__ = [
    "IMAP",
    "POP3",
    "PROTOCOLS",
    "SMTP",
    "Relay",
    "Words",
    "admitted",
    "asked",
    "failure",
    "greeted",
    "log_in",
    "serve_login",
]


@dataclass(frozen=True, slots=True)
class Words:
    """One protocol's octets, as the rule book has them."""

    name: str
    greeting: bytes
    noop: tuple[bytes, bytes]
    quit: tuple[bytes, bytes]
    invalid: tuple[bytes, bytes]
    starttls: tuple[bytes, bytes]
    auth: bytes
    internal_error: bytes
    backend_greeting: bytes

    @property
    def block(self) -> Block:
        """The block without any directive of its own."""
        return Block(self.name)


SMTP = Words(
    "smtp",
    greeting=b"220 mx.example ESMTP ready\r\n",
    noop=(b"NOOP\r\n", b"250 2.0.0 OK\r\n"),
    quit=(b"QUIT\r\n", b"221 2.0.0 Bye\r\n"),
    invalid=(b"XYZZ\r\n", b"500 5.5.1 Invalid command\r\n"),
    starttls=(b"STARTTLS\r\n", b"220 2.0.0 Start TLS\r\n"),
    auth=b"AUTH PLAIN ",
    internal_error=b"451 4.3.2 Internal server error\r\n",
    backend_greeting=b"220 backend.example ESMTP\r\n",
)
IMAP = Words(
    "imap",
    greeting=b"* OK IMAP4 ready\r\n",
    noop=(b"n NOOP\r\n", b"n OK completed\r\n"),
    quit=(b"q LOGOUT\r\n", b"* BYE\r\nq OK completed\r\n"),
    invalid=(b"x XYZZY\r\n", b"x BAD invalid command\r\n"),
    starttls=(b"s STARTTLS\r\n", b"s OK completed\r\n"),
    auth=b"a AUTHENTICATE PLAIN ",
    internal_error=b"* BAD internal server error\r\n",
    backend_greeting=b"* OK backend ready\r\n",
)
POP3 = Words(
    "pop3",
    greeting=b"+OK POP3 ready\r\n",
    noop=(b"NOOP\r\n", b"+OK\r\n"),
    quit=(b"QUIT\r\n", b"+OK\r\n"),
    invalid=(b"XYZZ\r\n", b"-ERR invalid command\r\n"),
    starttls=(b"STLS\r\n", b"+OK\r\n"),
    auth=b"AUTH PLAIN ",
    internal_error=b"-ERR internal server error\r\n",
    backend_greeting=b"+OK backend ready\r\n",
)
PROTOCOLS = {words.name: words for words in (SMTP, IMAP, POP3)}


@dataclass(frozen=True, slots=True)
class Relay:
    """A session after its login: the two ends, and what the auth server was asked."""

    client: Peer
    backend: Peer
    request: AuthRequest


async def greeted(bench: Bench, *, source: str | None = None) -> Peer:
    """A client that has read the greeting."""
    client = await bench.client(source=source)
    await client.expect(PROTOCOLS[bench.protocol].greeting)
    return client


async def admitted(bench: Bench, client: Peer) -> tuple[AuthRequest, Peer]:
    """Log in with PLAIN and be admitted; return the request, and the backend's connection before its greeting."""
    await client.send(PROTOCOLS[bench.protocol].auth + bench.plain64 + b"\r\n")
    request = await bench.admit()
    return request, await bench.backend()


async def asked(bench: Bench, client: Peer, *, user: bytes | None = None, password: bytes | None = None) -> AuthRequest:
    """Send credentials by PLAIN; return what the auth server is asked, unanswered."""
    fields = b"\0%s\0%s" % (
        bench.user if user is None else user,
        bench.password if password is None else password,
    )
    await client.send(PROTOCOLS[bench.protocol].auth + b64encode(fields) + b"\r\n")
    return await bench.request()


def failure(protocol: str, text: bytes, code: bytes = b"535 5.7.0") -> bytes:
    """What the client reads after `Auth-Status: TEXT`; the tag is that of `asked`."""
    return {"smtp": code + b" ", "imap": b"a NO ", "pop3": b"-ERR "}[protocol] + text + b"\r\n"


async def serve_login(bench: Bench, backend: Peer) -> None:
    """Be a backend that says yes to everything of a login; the default directives are assumed."""
    await backend.send(PROTOCOLS[bench.protocol].backend_greeting)
    match bench.protocol:
        case "smtp":
            await backend.until(b"\r\n")
            await backend.send(b"250 backend.example\r\n")
            await backend.until(b"\r\n")
            await backend.send(b"250 ok\r\n")
        case "imap":
            tag = (await backend.until(b"\r\n")).split()[0]
            await backend.send(b"+ go ahead\r\n")
            await backend.until(b"\r\n")
            await backend.send(b"+ go ahead\r\n")
            await backend.until(b"\r\n")
            await backend.send(tag + b" OK logged in\r\n")
        case "pop3":
            await backend.until(b"\r\n")
            await backend.send(b"+OK\r\n")
            await backend.until(b"\r\n")
            await backend.send(b"+OK logged in\r\n")


LOGGED_IN = {"smtp": b"235 2.0.0 OK\r\n", "imap": b"a OK logged in\r\n", "pop3": b"+OK logged in\r\n"}
"""What the client reads at the end of `log_in`."""


async def log_in(bench: Bench, client: Peer | None = None) -> Relay:
    """A session that has got into the relay, with nothing unread anywhere (a client without EHLO in SMTP)."""
    client = client or await greeted(bench)
    request, backend = await admitted(bench, client)
    await serve_login(bench, backend)
    await client.expect(LOGGED_IN[bench.protocol])
    return Relay(client, backend, request)
