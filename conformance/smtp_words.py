"""What SMTP cases say and hear again and again; the octets are those of the rule book (smtp rules, section 1)."""

from __future__ import annotations

from base64 import b64encode

from conformance.bench import Bench
from conformance.dialogues import SMTP, greeted
from conformance.fakes.peer import Peer

__all__ = [
    "ARGUMENT", "AUTHED", "BACKEND_GREETING", "BACKEND_OK", "BYE", "DENIED", "EARLY", "HELO", "INTERNAL", "INVALID",
    "NEED_AUTH", "NEED_TLS", "NEXT", "OK", "PASSWORD_PROMPT", "SEQUENCE", "USERNAME_PROMPT", "accept_login",
    "auth_plain", "b64", "log_in_saying", "reach_backend", "serve", "settle", "talk", "xclient",
]  # fmt: skip

HELO = b"250 mx.example\r\n"
OK = b"250 2.0.0 OK\r\n"
BYE = b"221 2.0.0 Bye\r\n"
NEXT = b"334 \r\n"
USERNAME_PROMPT = b"334 VXNlcm5hbWU6\r\n"
PASSWORD_PROMPT = b"334 UGFzc3dvcmQ6\r\n"
AUTHED = b"235 2.0.0 OK\r\n"
INVALID = b"500 5.5.1 Invalid command\r\n"
ARGUMENT = b"501 5.5.4 Invalid argument\r\n"
SEQUENCE = b"503 5.5.1 Bad sequence of commands\r\n"
EARLY = b"503 5.5.0 Improper use of SMTP command pipelining\r\n"
NEED_AUTH = b"530 5.7.1 Authentication required\r\n"
NEED_TLS = b"530 5.7.0 Must issue a STARTTLS command first\r\n"
INTERNAL = b"451 4.3.2 Internal server error\r\n"
DENIED = b"535 5.7.0 no\r\n"
"""What a client reads after `Auth-Status: no`."""

BACKEND_GREETING = SMTP.backend_greeting
BACKEND_OK = b"250 ok\r\n"

Turn = tuple[bytes, bytes]


async def talk(client: Peer, *turns: Turn) -> None:
    """Say and hear, turn by turn. Raises Mismatch."""
    for said, heard in turns:
        await client.send(said)
        await client.expect(heard)


async def serve(backend: Peer, *turns: Turn) -> None:
    """Be a backend: hear exactly this and say that, turn by turn. Raises Mismatch."""
    for heard, said in turns:
        await backend.expect(heard)
        await backend.send(said)


async def settle(bench: Bench) -> None:
    """Talk on another connection: what the target had before, it has dealt with afterwards."""
    other = await greeted(bench)
    await talk(other, SMTP.noop)
    await other.close()


def b64(octets: bytes) -> bytes:
    """Octets as SASL sends them."""
    return b64encode(octets)


def auth_plain(bench: Bench) -> bytes:
    """The case's credentials in one line."""
    return b"AUTH PLAIN %s\r\n" % bench.plain64


def xclient(bench: Bench, login: bytes | None = None, name: bytes = b"[UNAVAILABLE]") -> bytes:
    """The XCLIENT line for a client from the case's own address; a login of b'' is left out."""
    user = bench.user if login is None else login
    return b"XCLIENT ADDR=%s %sNAME=%s\r\n" % (bench.ip.encode(), b"LOGIN=%s " % user if user else b"", name)


async def reach_backend(bench: Bench, client: Peer) -> Peer:
    """Log in with PLAIN; return the backend, which has been sent XCLIENT and has accepted it. Raises Mismatch."""
    await client.send(auth_plain(bench))
    return await accept_login(bench)


async def accept_login(bench: Bench) -> Peer:
    """Admit a client that has logged in, and be its backend until XCLIENT is accepted. Raises Mismatch."""
    request = await bench.admit()
    bench.check("Auth-User", request.user, bench.user)
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(backend, (b"EHLO mx.example\r\n", b"250 backend.example\r\n"), (xclient(bench), BACKEND_OK))
    return backend


async def log_in_saying(bench: Bench, client: Peer, *lines: bytes) -> Peer:
    """Log in with PLAIN; the backend must hear exactly these lines behind XCLIENT. Raises Mismatch."""
    backend = await reach_backend(bench, client)
    await serve(backend, *((line, BACKEND_OK) for line in lines))
    await client.expect(AUTHED)
    return backend
