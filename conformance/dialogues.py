"""What cases of all three protocols do again and again: greet, log in, get into the relay."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block
from conformance.fakes.auth_server import AuthRequest
from conformance.fakes.peer import Peer
from conformance.verdict import Mismatch

__all__ = [
    "IMAP",
    "LOGGED_IN",
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
    "probe",
    "serve_any_login",
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


async def greeted(bench: Bench, *, source: str | None = None, first: bytes = b"") -> Peer:
    """A client that has read the greeting; `first` is what it sends before, such as a PROXY header."""
    client = await bench.client(source=source)
    if first:
        await client.send(first)
    await client.expect(PROTOCOLS[bench.protocol].greeting, loosely=bench.loosely)
    return client


def probe(bench: Bench) -> tuple[bytes, bytes]:
    """A command that every server takes before a login, and its reply: shows that a session goes on."""
    if bench.loosely == "pop3":  # RFC 1939 has NOOP only behind the login
        return b"CAPA\r\n", b"+OK\r\n.\r\n"
    return PROTOCOLS[bench.protocol].noop


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


async def serve_login(bench: Bench, backend: Peer, *, greet: bool = True) -> None:
    """Be a backend that says yes to everything of a login; the default directives are assumed.

    A target that does not claim to log in as Angie does is served whatever way it takes.
    """
    if greet:
        await backend.send(PROTOCOLS[bench.protocol].backend_greeting)
    if bench.loosely:
        await serve_any_login(bench, backend)
        return
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


async def serve_any_login(bench: Bench, backend: Peer) -> bytes:
    """Be a backend, behind its greeting, that takes any login there is; return it as SASL PLAIN has it."""
    match bench.protocol:
        case "smtp":
            return await _serve_any_smtp_login(backend)
        case "imap":
            return await _serve_any_imap_login(backend)
        case _:
            return await _serve_any_pop3_login(backend)


async def _serve_any_smtp_login(backend: Peer) -> bytes:
    while True:
        verb, _, argument = (await backend.line()).strip().partition(b" ")
        match verb.upper(), argument.upper().split():
            case b"EHLO", _:
                await backend.send(b"250-backend.example\r\n250 AUTH PLAIN\r\n")
            case b"AUTH", [b"PLAIN", *initial]:
                token = argument.split()[1] if initial else await _asked_for(backend, b"334 \r\n")
                await backend.send(b"235 2.7.0 logged in\r\n")
                return b64decode(token)
            case _:
                await backend.send(b"250 2.0.0 ok\r\n")


async def _serve_any_imap_login(backend: Peer) -> bytes:
    while True:
        tag, verb, *_ = words = await _imap_words(backend)
        match verb.upper():
            case b"CAPABILITY":
                await backend.send(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
            case b"AUTHENTICATE":
                token = words[3] if len(words) > 3 else await _asked_for(backend, b"+ \r\n")
                await backend.send(tag + b" OK logged in\r\n")
                return b64decode(token)
            case b"LOGIN":
                await backend.send(tag + b" OK logged in\r\n")
                return b"\0" + b"\0".join(words[2:])
            case _:
                await backend.send(tag + b" OK done\r\n")


async def _imap_words(backend: Peer) -> list[bytes]:
    """A command: its atoms, and what is in its quoted strings and literals. Raises Mismatch."""
    words = []
    line = await backend.line()
    while found := IMAP_WORD.match(line):
        quoted, size, atom = found.groups()
        line = line[found.end() :]
        if size is not None:
            if not found[0].endswith(b"+}\r\n"):
                await backend.send(b"+ go ahead\r\n")
            words.append(await backend.exactly(int(size)))
            line = await backend.line()
        else:
            words.append(atom if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted))
    if len(words) < 2 or line.strip():
        raise Mismatch("an IMAP command", repr(line))
    return words


async def _serve_any_pop3_login(backend: Peer) -> bytes:
    user = b""
    while True:
        verb, _, argument = (await backend.line()).removesuffix(b"\r\n").partition(b" ")
        match verb.upper(), argument.split():
            case b"CAPA", _:
                await backend.send(b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n")
            case b"AUTH", [_, *initial]:
                token = initial[0] if initial else await _asked_for(backend, b"+ \r\n")
                await backend.send(b"+OK logged in\r\n")
                return b64decode(token)
            case b"PASS", _:
                await backend.send(b"+OK logged in\r\n")
                return b"\0" + user + b"\0" + argument
            case b"USER", _:
                user = argument
                await backend.send(b"+OK\r\n")
            case _:
                await backend.send(b"+OK\r\n")


async def _asked_for(backend: Peer, prompt: bytes) -> bytes:
    await backend.send(prompt)
    return (await backend.line()).strip()


IMAP_WORD = re.compile(rb' *(?:"((?:[^"\\\\\r\n]|\\\\.)*)"|\{(\d+)\+?\}\r\n|([^ "{\r\n]+))')

LOGGED_IN = {"smtp": b"235 2.0.0 OK\r\n", "imap": b"a OK logged in\r\n", "pop3": b"+OK logged in\r\n"}
"""What the client reads at the end of `log_in`."""


async def log_in(bench: Bench, client: Peer | None = None) -> Relay:
    """A session that has got into the relay, with nothing unread anywhere (a client without EHLO in SMTP)."""
    client = client or await greeted(bench)
    request, backend = await admitted(bench, client)
    await serve_login(bench, backend)
    await client.expect(LOGGED_IN[bench.protocol], loosely=bench.loosely)
    return Relay(client, backend, request)
