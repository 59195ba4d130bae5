"""imaplib and poplib against the target: what clients in the world do with what it says."""

from __future__ import annotations

import hmac
import imaplib
import poplib
import ssl
from collections.abc import Callable

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.fakes.peer import Peer
from conformance.frames import FRAMES
from conformance.mail_clients import Imap, Pop3, in_thread

__all__: list[str] = []

SECRET = b's"e \\%cret'
CERTIFICATE = "ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.2 TLSv1.3;"


async def serve_imap(backend: Peer, user: bytes, password: bytes) -> None:
    """Be an IMAP server for one login, a CAPABILITY, a SELECT, and the LOGOUT."""
    await backend.send(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
    line = await backend.line()
    tag = line.split()[0]
    await backend.send(b"+ go\r\n")
    await backend.expect(user + b" {%d}\r\n" % len(password))
    await backend.send(b"+ go\r\n")
    await backend.expect(password + b"\r\n")
    await backend.send(tag + b" OK [CAPABILITY IMAP4rev1 IDLE] in\r\n")
    while True:
        tag, command, *_ = (await backend.line()).split()
        match command.upper():
            case b"SELECT":
                await backend.send(b"* 3 EXISTS\r\n* FLAGS ()\r\n" + tag + b" OK [READ-WRITE] selected\r\n")
            case b"APPEND":
                await backend.send(b"+ go\r\n")
                await backend.expect(MESSAGE + b"\r\n")
                await backend.send(tag + b" OK appended\r\n")
            case b"LOGOUT":
                await backend.send(b"* BYE bye\r\n" + tag + b" OK out\r\n")
                await backend.close()
                return
            case _:
                await backend.send(tag + b" OK done\r\n")


MESSAGE = b"Subject: a\r\n\r\n" + b"x" * 20000 + b"\r\n.\r\n"


async def serve_pop3(backend: Peer, user: bytes, password: bytes) -> None:
    """Be a POP3 server for one login, and what comes up to QUIT."""
    await backend.send(b"+OK <1@backend.example>\r\n")
    await backend.expect(b"USER " + user + b"\r\n")
    await backend.send(b"+OK\r\n")
    await backend.expect(b"PASS " + password + b"\r\n")
    await backend.send(b"+OK in\r\n")
    while True:
        match (await backend.line()).split()[0].upper():
            case b"STAT":
                await backend.send(b"+OK 1 21617\r\n")
            case b"RETR":
                await backend.send(b"+OK here\r\nSubject: a\r\n\r\n" + (b"x" * 70 + b"\r\n") * 300 + b"..\r\n.\r\n")
            case b"QUIT":
                await backend.send(b"+OK bye\r\n")
                await backend.close()
                return
            case _:
                await backend.send(b"+OK\r\n")


# What a client does, in a thread.


def imap_session(log_in: Callable[[Imap], object]) -> Callable[[str, int], list[object]]:
    """Log in in one way, then select, append, log out."""

    def use(source: str, port: int) -> list[object]:
        client = Imap(source, port)
        log_in(client)
        selected = client.select("INBOX")
        appended = client.append("INBOX", "", "", MESSAGE)
        return [selected, appended[0], client.logout()[0]]

    return use


def pop3_session(log_in: Callable[[Pop3], object]) -> Callable[[str, int], list[object]]:
    """Log in in one way, then list, fetch, quit."""

    def use(source: str, port: int) -> list[object]:
        client = Pop3(source, port)
        log_in(client)
        return [client.stat(), client.retr(1)[1], client.quit()]

    return use


IMAP_FOUND: list[object] = [("OK", [b"3"]), "OK", "BYE"]
POP3_FOUND: list[object] = [(1, 21617), [b"Subject: a", b"", *[b"x" * 70] * 300, b"."], b"+OK bye"]

TEXT = SECRET.decode()
USER = b"us er"


def plain_answer(_challenge: bytes) -> bytes:
    """The octets of PLAIN; imaplib encodes them."""
    return b"\0" + USER + b"\0" + SECRET


IMAP_WAYS: dict[str, tuple[str, Callable[[Imap], object], bytes]] = {
    # slug: what, how, the method for the auth server
    "login": ("LOGIN with quoted strings", lambda client: client.login('"us er"', TEXT), b"plain"),
    "authenticate-plain": ("AUTHENTICATE PLAIN", lambda client: client.authenticate("PLAIN", plain_answer), b"plain"),
    "authenticate-cram-md5": ("AUTHENTICATE CRAM-MD5",
                              lambda client: client.login_cram_md5("us", TEXT), b"cram-md5"),
}  # fmt: skip
POP3_WAYS: dict[str, tuple[str, Callable[[Pop3], object], bytes]] = {
    "user-and-pass": ("USER and PASS", lambda client: (client.user("us er"), client.pass_(TEXT)), b"plain"),
    "apop": ("APOP with the salt of the greeting", lambda client: client.apop("us", TEXT), b"apop"),
}


def _session(use: Callable[[str, int], list[object]], method: bytes, wanted: list[object]) -> Script:
    async def script(bench: Bench) -> None:
        found: list[object] = []

        async def client() -> None:
            found.extend(await in_thread(bench, use))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            request = await bench.request()
            bench.check("Auth-Method", request["Auth-Method"], method)
            if method == b"plain":
                user = USER
                bench.check("user", request.user, user)
                bench.check("password", request.password, SECRET)
            else:
                user = b"us"
                bench.check("user", request.user, user)
            if method == b"cram-md5":
                digest = hmac.new(SECRET, request["Auth-Salt"], "md5").hexdigest().encode()
                bench.check("digest", request["Auth-Pass"], digest)
            await bench.admit(b"Auth-Pass: " + SECRET, request=request)
            backend = await bench.backend()
            await (serve_imap if bench.protocol == "imap" else serve_pop3)(backend, user, SECRET)
        for was, should in zip(found, wanted, strict=True):
            bench.check("what the client found", was, should)

    return script


for slug, (what, imap_way, method) in IMAP_WAYS.items():
    case(
        f"imap/client/imaplib-{slug}",
        f"imaplib logs in with {what}, selects, appends and logs out",
        rules="PROXY-72 PROXY-62 SASL-91",
        block=FRAMES["imap"].plain,
    )(_session(imap_session(imap_way), method, IMAP_FOUND))
for slug, (what, pop3_way, method) in POP3_WAYS.items():
    case(
        f"pop3/client/poplib-{slug}",
        f"poplib logs in with {what}, fetches and quits",
        rules="PROXY-72 PROXY-56 SASL-92" if method == b"plain" else "PROXY-72 POP3-36 POP3-2",
        block=FRAMES["pop3"].block("plain apop") if method == b"apop" else Block("pop3"),
    )(_session(pop3_session(pop3_way), method, POP3_FOUND))


# Refusals, and the end, as the clients understand them.


def imap_refused(source: str, port: int) -> list[object]:
    """Be refused, and tell what the exception says."""
    client = Imap(source, port)
    found: list[object] = [client.capability(), client.noop()]
    try:
        client.login("us", "pass")
    except imaplib.IMAP4.error as error:
        found.append(error.args[0])
    found.append(client.noop())
    found.append(client.logout()[0])
    return found


def pop3_refused(source: str, port: int) -> list[object]:
    """Be refused, and tell what the exception says."""
    client = Pop3(source, port)
    found: list[object] = [client.capa(), client.user("us")]
    try:
        client.pass_("pass")
    except poplib.error_proto as error:
        found.append(error.args[0])
    found.append(client.noop())
    found.append(client.quit())
    return found


def _refused(use: Callable[[str, int], list[object]], wanted: list[object]) -> Script:
    async def script(bench: Bench) -> None:
        found: list[object] = []

        async def client() -> None:
            found.extend(await in_thread(bench, use))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            request = await bench.request()
            await request.answer("Auth-Status: [AUTH] not today", "Auth-Wait: 1")
        for was, should in zip(found, wanted, strict=True):
            bench.check("what the client found", was, should)

    return script


case(
    "imap/client/imaplib-is-refused",
    "imaplib reads the capabilities, is refused, and goes on",
    rules="IMAP-85 IMAP-37 IMAP-34",
    block=Block("imap"),
)(
    _refused(
        imap_refused,
        [
            ("OK", [b"IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN"]),
            ("OK", [b"completed"]),
            b"[AUTH] not today",
            ("OK", [b"completed"]),
            "BYE",
        ],
    )
)
case(
    "pop3/client/poplib-is-refused",
    "poplib reads the capabilities, is refused, and goes on",
    rules="POP3-50 POP3-27 POP3-33",
    block=Block("pop3"),
)(
    _refused(
        pop3_refused,
        [
            {"TOP": [], "USER": [], "UIDL": [], "SASL": ["PLAIN", "LOGIN"]},
            b"+OK",
            b"-ERR [AUTH] not today",
            b"+OK",
            b"+OK",
        ],
    )
)


# STARTTLS.


def _starttls(log_in: Callable[[str, int, ssl.SSLContext], object]) -> Script:
    async def script(bench: Bench) -> None:
        context = bench.trusting()

        async def client() -> None:
            def use(source: str, port: int) -> object:
                return log_in(source, port, context)

            await in_thread(bench, use)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            request = await bench.admit()
            bench.check("Auth-SSL", request["Auth-SSL"], b"on")
            bench.check("user", request.user, b"us")
            bench.check("password", request.password, SECRET)
            backend = await bench.backend()
            await (serve_imap if bench.protocol == "imap" else serve_pop3)(backend, b"us", SECRET)

    return script


def imap_in_tls(source: str, port: int, context: ssl.SSLContext) -> None:
    """imaplib asks for TLS, logs in and out; it would complain of capabilities without STARTTLS."""
    client = Imap(source, port)
    client.starttls(ssl_context=context)
    client.login("us", TEXT)
    client.logout()


def pop3_in_tls(source: str, port: int, context: ssl.SSLContext) -> None:
    """poplib asks for TLS, logs in and out; it would complain of capabilities without STLS."""
    client = Pop3(source, port)
    client.stls(context)
    client.user("us")
    client.pass_(TEXT)
    client.quit()


for kind, log_in_tls in {"imap": imap_in_tls, "pop3": pop3_in_tls}.items():
    case(
        f"{kind}/client/{kind.removesuffix('3')}lib-starts-tls",
        "the client finds STARTTLS among the capabilities, and logs in inside TLS",
        rules="IMAP-60 IMAP-65 IMAP-36" if kind == "imap" else "POP3-60 POP3-25",
        block=Block(kind, f"{CERTIFICATE} starttls only;"),
        directives="starttls",
    )(_starttls(log_in_tls))
