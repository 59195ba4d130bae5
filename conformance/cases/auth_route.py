"""Where the auth server may send a client, and as whom (AUTH-48 to AUTH-59, AUTH-100; proxy rules, section 2)."""

from __future__ import annotations

from base64 import b64decode, b64encode

import trio

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.cases.auth_answers import ERROR, SUCCESS, concluded
from conformance.dialogues import asked, greeted
from conformance.fakes.dns_server import Answer, rcode, records
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.verdict import Mismatch

__all__: list[str] = []

VENDOR, OURS = Level.VENDOR, Level.OURS
NOTHING = rcode("NOERROR")

SERVERS: dict[str, tuple[str, bytes | None, Level]] = {
    # slug: Auth-Server, outcome, whose rule
    "ipv4-leading-zeros": ("127.000.000.001", SUCCESS, VENDOR),
    "ipv6": ("::1", SUCCESS, VENDOR),
    "ipv6-in-full": ("0:0:0:0:0:0:0:1", SUCCESS, VENDOR),
    "ipv6-mapped": ("::ffff:127.0.0.1", SUCCESS, VENDOR),
    "ipv6-in-brackets": ("[::1]", ERROR, VENDOR),
    "ipv6-with-zone": ("::1%lo", ERROR, VENDOR),
    "ipv6-malformed": ("1::2::3", ERROR, VENDOR),
    "host-name": ("localhost", ERROR, VENDOR),
    "unix-socket": ("unix:/path", ERROR, VENDOR),
    "ipv4-of-two-parts": ("127.1", ERROR, VENDOR),
    "ipv4-in-hex": ("0x7f000001", ERROR, VENDOR),
    "ipv4-as-number": ("2130706433", ERROR, VENDOR),
    "ipv4-out-of-range": ("127.0.0.256", ERROR, VENDOR),
    "ipv4-broadcast": ("255.255.255.255", ERROR, VENDOR),
    "ipv4-with-port": ("127.0.0.1:25", ERROR, VENDOR),
    "ipv4-with-space": ("127.0.0.1 x", ERROR, VENDOR),
    "ipv4-of-five-parts": ("127.0.0.1.1", ERROR, VENDOR),
    "ipv4-empty-parts": ("127...1", ERROR, OURS),
    "ipv4-four-digits": ("0127.0.0.1", ERROR, OURS),
}

PORTS: dict[str, tuple[str, bytes | None, Level]] = {
    # slug: Auth-Port, where {port} is the backend's, outcome, whose rule
    "leading-zero": ("0{port}", SUCCESS, VENDOR),
    "padded": ("  {port}  ", SUCCESS, VENDOR),
    "zero": ("0", ERROR, VENDOR),
    "too-large": ("65536", ERROR, VENDOR),
    "huge": ("18446744073709551641", ERROR, VENDOR),
    "negative": ("-1", ERROR, VENDOR),
    "with-plus": ("+{port}", ERROR, VENDOR),
    "with-letter": ("{port}x", ERROR, VENDOR),
    "with-space": ("{port} 1", ERROR, VENDOR),
    "service-name": ("smtp", ERROR, VENDOR),
    "empty": ("", ERROR, VENDOR),
}


def _routed(server: str, port: str, outcome: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        number = port.replace("{port}", str(bench.backend_port))
        await request.answer("Auth-Status: OK", f"Auth-Server: {server}", f"Auth-Port: {number}")
        await concluded(bench, client, outcome)

    return script


for slug, (server, outcome, level) in SERVERS.items():
    wanted = {Needs.IPV6} if outcome == SUCCESS and "ipv6" in slug else set[str]()
    more = " PROXY-6" if slug == "unix-socket" else ""
    case(f"smtp/auth-route/server-{slug}", f"Auth-Server: {server}", level=level,
         rules=f"AUTH-59 PROXY-5 AUTH-48 SMTP-83{more}",
         block=Block("smtp"), needs=wanted)(_routed(server, "{port}", outcome))  # fmt: skip


@case(
    "smtp/auth-route/server-ipv4-zeros-are-not-octal",
    "a number with a zero in front is decimal",
    rules="AUTH-59 PROXY-5",
    level=VENDOR,
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.10")
    async with listener:
        port = listener.socket.getsockname()[1]
        request = await asked(bench, client)
        await request.answer("Auth-Status: OK", "Auth-Server: 127.0.0.010", f"Auth-Port: {port}")
        async with await listener.accept():
            pass
    await concluded(bench, client, ERROR)


for slug, (port, outcome, level) in PORTS.items():
    case(f"smtp/auth-route/port-{slug}", f"Auth-Port: {port}", rules="AUTH-59 PROXY-5 AUTH-49 SMTP-83", level=level,
         block=Block("smtp"))(_routed("127.0.0.1", port, outcome))  # fmt: skip


# Host names.

NAMES: dict[str, tuple[str, str, Answer, Answer, bytes | None]] = {
    # slug: what, the name, the answers to A and AAAA, the outcome
    "resolves": ("its A record is taken", "backend.{host}", records("A 127.0.0.1"), NOTHING, SUCCESS),
    "cname": ("a CNAME is followed", "backend.{host}",
              records("backend.{host}. CNAME real.{host}.", "real.{host}. A 127.0.0.1"), NOTHING, SUCCESS),
    "only-ipv6": ("without an A record AAAA is taken", "backend.{host}", NOTHING, records("AAAA ::1"), SUCCESS),
    "unknown": ("no such name", "backend.{host}", rcode("NXDOMAIN"), rcode("NXDOMAIN"), ERROR),
    "resolver-fails": ("the name server fails", "backend.{host}", rcode("SERVFAIL"), rcode("SERVFAIL"), ERROR),
    "number": ("a number is no name", "127.1", records("A 127.0.0.1"), NOTHING, ERROR),
    "bad-label": ("a label with a bad octet is none", "back end.{host}", records("A 127.0.0.1"), NOTHING, ERROR),
}  # fmt: skip
RESOLVING = Block("imap", "resolver {dns}; resolver_timeout 1s;")


def _named(name: str, a: Answer, aaaa: Answer, outcome: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        server = name.replace("{host}", bench.host)
        bench.dns.say(server, "A", a)
        bench.dns.say(server, "AAAA", aaaa)
        await request.answer("Auth-Status: OK", f"Auth-Server: {server}", bench.route[1])
        await concluded(bench, client, outcome)

    return script


for slug, (what, name, a, aaaa, outcome) in NAMES.items():
    case(f"imap/auth-route/name-{slug}", f"a host name as Auth-Server: {what}", rules="AUTH-100", block=RESOLVING,
         directives="resolver", needs={Needs.IPV6} if slug == "only-ipv6" else ())(
        _named(name, a, aaaa, outcome))  # fmt: skip


@case(
    "imap/auth-route/name-with-a-dead-first-address",
    "a host name as Auth-Server: its second address is tried where the first refuses",
    rules="AUTH-100",
    block=RESOLVING,
    directives="resolver",
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    name = f"backend.{bench.host}"
    bench.dns.say(name, "A", records("A 127.0.0.77"))  # the backend's listener is on 127.0.0.1 alone
    bench.dns.say(name, "AAAA", records("AAAA ::ffff:127.0.0.1"))
    await request.answer("Auth-Status: OK", f"Auth-Server: {name}", bench.route[1])
    await concluded(bench, client, SUCCESS)


# As whom.

WHOM: dict[str, tuple[str, tuple[bytes, ...], bytes | None, bytes | None, str]] = {
    # slug: what, the answer's lines, the user and the password for the backend (None: the client's), rules
    "as-the-client": ("nothing is replaced", (), None, None, "PROXY-7"),
    "user": ("the user is replaced", (b"Auth-User: other",), b"other", None, "PROXY-7 AUTH-50"),
    "password": ("the password is replaced", (b"Auth-Pass: other",), None, b"other", "PROXY-7 AUTH-51"),
    "both": ("both are replaced", (b"Auth-User: o", b"Auth-Pass: p"), b"o", b"p", "PROXY-7 AUTH-50 AUTH-51"),
    "last-one-wins": ("of several the last one counts", (b"Auth-User: a", b"Auth-User: b"), b"b", None,
                      "PROXY-7 AUTH-50"),
    "raw": ("nothing is decoded, inner spaces stay, outer ones go",
            (b"Auth-User:  a%20b  c\xe9 ", b"Auth-Pass:  p%41 \xff+ "), b"a%20b  c\xe9", b"p%41 \xff+",
            "PROXY-7 AUTH-50 AUTH-51"),
    "empty-password": ("an empty password is one", (b"Auth-Pass:",), None, b"", "PROXY-7 AUTH-51"),
}  # fmt: skip


def _size(octets: bytes) -> int:
    """The size of a literal, if its announcement is where Angie has it. Raises Mismatch."""
    if not octets.isdigit():
        raise Mismatch("a literal's size", repr(octets))
    return int(octets)


async def _login_at(bench: Bench, backend: Peer) -> tuple[bytes, bytes]:
    """Be a backend until it knows user and password."""
    match bench.protocol:
        case "smtp":
            await backend.send(b"220 backend.example ESMTP\r\n")
            await backend.expect(b"EHLO mx.example\r\n")
            await backend.send(b"250 backend.example\r\n")
            await backend.until(b"\r\n")
            await backend.send(b"220 ok\r\n")
            line = await backend.until(b"\r\n")
            _, user, password = b64decode(line.removeprefix(b"AUTH PLAIN ")).split(b"\0")
        case "imap":
            await backend.send(b"* OK ready\r\n")
            user_size = (await backend.until(b"}\r\n")).removeprefix(b"a LOGIN {").removesuffix(b"}\r\n")
            await backend.send(b"+ go\r\n")
            user = await backend.exactly(_size(user_size))
            password_size = (await backend.until(b"}\r\n")).removeprefix(b" {").removesuffix(b"}\r\n")
            await backend.send(b"+ go\r\n")
            password = await backend.exactly(_size(password_size))
            await backend.expect(b"\r\n")
        case _:
            await backend.send(b"+OK ready\r\n")
            user = (await backend.until(b"\r\n")).removeprefix(b"USER ").removesuffix(b"\r\n")
            await backend.send(b"+OK\r\n")
            password = (await backend.until(b"\r\n")).removeprefix(b"PASS ").removesuffix(b"\r\n")
    return user, password


def _whom(lines: tuple[bytes, ...], user: bytes | None, password: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await bench.admit(*lines, request=await asked(bench, client))
        found = await _login_at(bench, await bench.backend())
        bench.check("the user for the backend", found[0], bench.user if user is None else user)
        bench.check("the password for the backend", found[1], bench.password if password is None else password)

    return script


AUTHENTICATING = {"smtp": "proxy_smtp_auth on;", "imap": "", "pop3": ""}
for protocol, directives in AUTHENTICATING.items():
    for slug, (what, lines, user, password, rules) in WHOM.items():
        case(f"{protocol}/auth-route/login-{slug}", f"towards the backend {what}", rules=rules,
             block=Block(protocol, directives))(_whom(lines, user, password))  # fmt: skip


def _external(lines: tuple[bytes, ...], password: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        verb = b"a AUTHENTICATE" if bench.protocol == "imap" else b"AUTH"
        await client.send(verb + b" EXTERNAL " + b64encode(bench.user) + b"\r\n")
        await bench.admit(*lines)
        if password is None:
            await concluded(bench, client, ERROR)
            return
        bench.check("the login", await _login_at(bench, await bench.backend()), (bench.user, password))

    return script


PASSWORDS: dict[str, tuple[str, tuple[bytes, ...], bytes | None]] = {
    "without-password": ("without Auth-Pass there is no password: internal error before any connection", (), None),
    "with-password": ("Auth-Pass supplies the password", (b"Auth-Pass: p",), b"p"),
    "with-empty-password": ("an empty Auth-Pass supplies an empty password", (b"Auth-Pass: ",), b""),
}
for protocol in ("imap", "pop3"):
    for slug, (what, lines, password) in PASSWORDS.items():
        case(f"{protocol}/auth-route/external-{slug}", f"EXTERNAL: {what}", rules="AUTH-58 PROXY-8",
             block=Block(protocol, f"{protocol}_auth plain external;"))(_external(lines, password))  # fmt: skip
