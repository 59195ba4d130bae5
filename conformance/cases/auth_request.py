"""The request to the auth server, octet by octet (auth_http rules, sections 2 and 3)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.dialogues import asked, greeted
from conformance.fakes.auth_server import AuthRequest
from conformance.rulebook import Level

__all__: list[str] = []


def whole(bench: Bench, *middle: bytes, method: bytes = b"plain", attempt: int = 1, path: bytes = b"/auth") -> bytes:
    """The request, where `middle` are the lines of user, password and salt."""
    host = (b"Client-Host: [UNAVAILABLE]",) if bench.protocol == "smtp" else ()
    lines = (
        b"GET %s HTTP/1.0" % path,
        b"Host: 127.0.0.1",
        b"Auth-Method: " + method,
        *middle,
        b"Auth-Protocol: " + bench.protocol.encode(),
        b"Auth-Login-Attempt: %d" % attempt,
        b"Client-IP: " + bench.ip.encode(),
        *host,
        b"",
        b"",
    )
    return b"\r\n".join(lines)


# One whole request for each way to log in.

Ask = Callable[[Bench], Awaitable[tuple[AuthRequest, bytes]]]


async def _plain(bench: Bench) -> tuple[AuthRequest, bytes]:
    request = await asked(bench, await greeted(bench))
    return request, whole(bench, b"Auth-User: " + bench.user, b"Auth-Pass: " + bench.password)


async def _clear(bench: Bench) -> tuple[AuthRequest, bytes]:
    client = await greeted(bench)
    if bench.protocol == "imap":
        await client.send(b"a LOGIN %s %s\r\n" % (bench.user, bench.password))
    else:
        await client.send(b"USER %s\r\n" % bench.user)
        await client.expect(b"+OK\r\n")
        await client.send(b"PASS %s\r\n" % bench.password)
    return await bench.request(), whole(bench, b"Auth-User: " + bench.user, b"Auth-Pass: " + bench.password)


async def _apop(bench: Bench) -> tuple[AuthRequest, bytes]:
    client = await bench.client()
    salt = (await client.line()).removeprefix(b"+OK POP3 ready ").removesuffix(b"\r\n")
    digest = hashlib.md5(salt + bench.password, usedforsecurity=False).hexdigest().encode()
    await client.send(b"APOP %s %s\r\n" % (bench.user, digest))
    lines = b"Auth-User: " + bench.user, b"Auth-Pass: " + digest, b"Auth-Salt: " + salt
    return await bench.request(), whole(bench, *lines, method=b"apop")


CHALLENGED = {"smtp": (b"AUTH CRAM-MD5", b"334 "), "imap": (b"a AUTHENTICATE CRAM-MD5", b"+ "),
              "pop3": (b"AUTH CRAM-MD5", b"+ ")}  # fmt: skip


async def _cram(bench: Bench) -> tuple[AuthRequest, bytes]:
    client = await bench.client()
    await client.line()  # nginx shows the salt in the greeting of POP3 (CORE-72)
    command, mark = CHALLENGED[bench.protocol]
    await client.send(command + b"\r\n")
    salt = b64decode((await client.line()).removeprefix(mark))
    digest = hmac.new(bench.password, salt, "md5").hexdigest().encode()
    await client.send(b64encode(bench.user + b" " + digest) + b"\r\n")
    lines = b"Auth-User: " + bench.user, b"Auth-Pass: " + digest, b"Auth-Salt: " + salt
    return await bench.request(), whole(bench, *lines, method=b"cram-md5")


async def _external(bench: Bench) -> tuple[AuthRequest, bytes]:
    client = await greeted(bench)
    verb = b"a AUTHENTICATE" if bench.protocol == "imap" else b"AUTH"
    await client.send(verb + b" EXTERNAL " + b64encode(bench.user) + b"\r\n")
    return await bench.request(), whole(bench, b"Auth-User: " + bench.user, b"Auth-Pass: ", method=b"external")


async def _xoauth2(bench: Bench) -> tuple[AuthRequest, bytes]:
    client = await greeted(bench)
    verb = b"a AUTHENTICATE" if bench.protocol == "imap" else b"AUTH"
    token = b64encode(b"user=%s\1auth=Bearer %s\1\1" % (bench.user, bench.password))
    await client.send(verb + b" XOAUTH2 " + token + b"\r\n")
    lines = b"Auth-User: " + bench.user, b"Auth-Pass: " + bench.password
    return await bench.request(), whole(bench, *lines, method=b"xoauth2")


async def _oauthbearer(bench: Bench) -> tuple[AuthRequest, bytes]:
    client = await greeted(bench)
    verb = b"a AUTHENTICATE" if bench.protocol == "imap" else b"AUTH"
    token = b64encode(b"n,a=x=2Cy=3D%s,\1auth=Bearer %s\1\1" % (bench.user, bench.password))
    await client.send(verb + b" OAUTHBEARER " + token + b"\r\n")
    lines = b"Auth-User: x,y=" + bench.user, b"Auth-Pass: " + bench.password
    return await bench.request(), whole(bench, *lines, method=b"oauthbearer")


WAYS: dict[str, tuple[Ask, dict[str, str], str]] = {
    # slug: how, the protocols and their directives, rules
    "plain": (_plain, {"smtp": "", "imap": "", "pop3": ""}, "AUTH-13 AUTH-12 AUTH-25 AUTH-11"),
    "clear-text-command": (_clear, {"imap": "", "pop3": ""}, "AUTH-13 AUTH-25"),
    "apop": (_apop, {"pop3": "pop3_auth plain apop;"}, "AUTH-18 AUTH-25"),
    "cram-md5": (_cram, {name: f"{name}_auth plain cram-md5;" for name in CHALLENGED}, "AUTH-18 AUTH-25 SASL-62"),
    "external": (_external, {name: f"{name}_auth plain external;" for name in CHALLENGED}, "AUTH-17 AUTH-25 SASL-42"),
    "xoauth2": (_xoauth2, {name: f"{name}_auth plain xoauth2 oauthbearer;" for name in CHALLENGED}, "AUTH-17 AUTH-25"),
    "oauthbearer": (_oauthbearer, {name: f"{name}_auth plain xoauth2 oauthbearer;" for name in CHALLENGED},
                    "AUTH-16 AUTH-25"),
}  # fmt: skip


def _whole(ask: Ask) -> Script:
    async def script(bench: Bench) -> None:
        request, wanted = await ask(bench)
        bench.check("the request", request.raw, wanted)

    return script


for slug, (ask, protocols, rules) in WAYS.items():
    for protocol, directives in protocols.items():
        case(
            f"{protocol}/auth-request/whole-{slug}",
            "the whole request, octet by octet: its lines, their order, spelling and ends",
            rules=f"{rules} AUTH-15 AUTH-16 AUTH-19 AUTH-20 AUTH-21",
            directives="auth_http " + directives.partition(" ")[0],
            block=Block(protocol, directives),
        )(_whole(ask))


@case(
    "smtp/auth-request/whole-none",
    "without AUTH the envelope goes to the auth server as the client wrote it, and nothing else is added",
    rules="AUTH-28 AUTH-26 AUTH-25",
    directives="smtp_auth auth_http",
    block=Block("smtp", "smtp_auth none;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"EHLO me.example\r\n")
    await client.expect(b"250 mx.example\r\n")
    await client.send(b"mail FROM:<a%%b+\xff@x>  SIZE=1   \r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await client.send(b"RCPT to:<%s>  NOTIFY=NEVER  \r\n" % bench.user)
    request = await bench.request()
    start = whole(bench, b"Auth-User: ", b"Auth-Pass: ", method=b"none").removesuffix(b"\r\n")
    lines = (
        b"Auth-SMTP-Helo: me.example\r\n"
        b"Auth-SMTP-From: mail FROM:<a%%%%b+\xff@x>  SIZE=1\r\n"
        b"Auth-SMTP-To: RCPT to:<%s>  NOTIFY=NEVER\r\n\r\n" % bench.user
    )
    bench.check("the request", request.raw, start + lines)


@case(
    "smtp/auth-request/whole-none-without-helo",
    "a client that never said HELO is asked about with an empty name",
    rules="AUTH-26 AUTH-13",
    directives="smtp_auth",
    block=Block("smtp", "smtp_auth none;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"MAIL FROM:<>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await client.send(b"RCPT TO:<%s>\r\n" % bench.user)
    request = await bench.request()
    bench.check("Auth-SMTP-Helo", b"\r\nAuth-SMTP-Helo: \r\n" in request.raw, True)
    bench.check("Auth-SMTP-From", request["Auth-SMTP-From"], b"MAIL FROM:<>")


EVERYTHING = Block(
    "smtp",
    "ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_verify_client optional; "
    "ssl_client_certificate {ca}; set_real_ip_from 127.0.0.0/8; smtp_auth none; auth_http_header X-Key k;",
    listen="proxy_protocol ssl",
)


@case(
    "smtp/auth-request/whole-with-everything",
    "all groups of lines in one request, in their order: envelope, PROXY header, TLS, configured lines last",
    rules="AUTH-34 AUTH-13 AUTH-23 AUTH-28 AUTH-29 AUTH-30 AUTH-31 AUTH-21",
    directives="auth_http auth_http_header set_real_ip_from ssl_verify_client smtp_auth",
    block=EVERYTHING,
)
async def _(bench: Bench) -> None:
    source = "10" + bench.ip.removeprefix("127")
    bench.knows(source)
    client = await bench.client()
    await client.send(b"PROXY TCP4 %s 198.51.100.9 4444 25\r\n" % source.encode())
    tls = await client.start_tls(bench.trusting(), "mx.example")
    await client.expect(b"220 mx.example ESMTP ready\r\n")
    await client.send(b"HELO me.example\r\n")
    await client.expect(b"250 mx.example\r\n")
    await client.send(b"MAIL FROM:<a@b>\r\n")
    await client.expect(b"250 2.0.0 OK\r\n")
    await client.send(b"RCPT TO:<c@d>\r\n")
    request = await bench.request()
    cipher = tls.cipher()
    bench.check(
        "the request",
        request.raw,
        b"GET /auth HTTP/1.0\r\nHost: 127.0.0.1\r\nAuth-Method: none\r\nAuth-User: \r\nAuth-Pass: \r\n"
        b"Auth-Protocol: smtp\r\nAuth-Login-Attempt: 1\r\nClient-IP: %s\r\nClient-Host: [UNAVAILABLE]\r\n"
        b"Proxy-Protocol-Addr: %s\r\nProxy-Protocol-Port: 4444\r\n"
        b"Proxy-Protocol-Server-Addr: 198.51.100.9\r\nProxy-Protocol-Server-Port: 25\r\n"
        b"Auth-SMTP-Helo: me.example\r\nAuth-SMTP-From: MAIL FROM:<a@b>\r\nAuth-SMTP-To: RCPT TO:<c@d>\r\n"
        b"Auth-SSL: on\r\nAuth-SSL-Protocol: %s\r\nAuth-SSL-Cipher: %s\r\nAuth-SSL-Verify: NONE\r\n"
        b"X-Key: k\r\n\r\n"
        % (source.encode(), source.encode(), (tls.version() or "").encode(), (cipher[0] if cipher else "").encode()),
    )


# Escaping, for every class of octet in user and password.

SPECIAL = b"!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
CLASSES: dict[str, tuple[str, bytes, bytes, str]] = {
    # slug: what, the octets, as the auth server gets them, rules
    "controls": ("controls but CR, LF and NUL", bytes(o for o in range(1, 32) if o not in b"\r\n"),
                 b"".join(b"%%%02X" % o for o in range(1, 32) if o not in b"\r\n"), "AUTH-24"),
    "line-ends": ("CR and LF", b"a\r\nb\nc\r", b"a%0D%0Ab%0Ac%0D", "AUTH-24"),
    "spaces": ("leading, inner and trailing spaces", b" a  b ", b"%20a%20%20b%20", "AUTH-24"),
    "percent": ("what looks like an escape already", b"%41%%2", b"%2541%25%252", "AUTH-24"),
    "specials": ("all other specials of ASCII", SPECIAL, SPECIAL, "AUTH-24"),
    "delete": ("DEL", b"a\x7fb", b"a\x7fb", "AUTH-24 SASL-60"),
    "high": ("all octets with the eighth bit", bytes(range(128, 256)), bytes(range(128, 256)), "AUTH-24 SASL-60"),
}  # fmt: skip


def _escaped(field: str, octets: bytes, wanted: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        user = octets if field == "user" else bench.user
        password = octets if field == "password" else bench.password
        request = await asked(bench, client, user=user, password=password)
        name = {"user": b"Auth-User", "password": b"Auth-Pass"}[field]
        line = b"\r\n%s: %s\r\n" % (name, wanted)
        if line not in request.raw:
            bench.check(f"the request with {line!r}", request.raw)

    return script


for slug, (what, octets, wanted, rules) in CLASSES.items():
    for field in ("user", "password"):
        case(f"smtp/auth-request/{field}-with-{slug}", f"{what} in the {field}", rules=rules, block=Block("smtp"))(
            _escaped(field, octets, wanted)
        )


@case(
    "imap/auth-request/literals-are-escaped",
    "user and password from literals are escaped like those from SASL",
    rules="AUTH-24 SASL-60",
    block=Block("imap"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"a LOGIN {9}\r\n")
    await client.expect(b"+ OK\r\n")
    await client.send(b'u\r\n %"\\\xe9+ {6}\r\n')
    await client.expect(b"+ OK\r\n")
    await client.send(b"\x01p\x7f \t\xff\r\n")
    request = await bench.request()
    bench.check("Auth-User", request["Auth-User"], b'u%0D%0A%20%25"\\\xe9+')
    bench.check("Auth-Pass", request["Auth-Pass"], b"%01p\x7f%20%09\xff")


@case(
    "pop3/auth-request/commands-are-escaped",
    "user and password from commands are escaped like those from SASL",
    rules="AUTH-24 SASL-60",
    block=Block("pop3"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"USER u%\xe9+\x7f\r\n")
    await client.expect(b"+OK\r\n")
    await client.send(b"PASS p %  q\r\n")
    request = await bench.request()
    bench.check("Auth-User", request["Auth-User"], b"u%25\xe9+\x7f")
    bench.check("Auth-Pass", request["Auth-Pass"], b"p%20%25%20%20q")


# Where the request goes, and its first two lines.

PATHS: dict[str, tuple[str, bytes, bytes, str]] = {
    # slug: the argument of auth_http, first line, Host, rules
    "scheme-is-cut-off": ("http://{auth}/x?y", b"GET /x?y HTTP/1.0", b"127.0.0.1", "AUTH-6 AUTH-5 AUTH-14"),
    "path-defaults-to-slash": ("{auth}", b"GET / HTTP/1.0", b"127.0.0.1", "AUTH-6"),
    "query-without-slash": ("{auth}?y", b"GET ?y HTTP/1.0", b"127.0.0.1", "AUTH-6"),
    "path-is-copied": ('"{auth}/a b#c/\xe9"', "GET /a b#c/\xe9 HTTP/1.0".encode(), b"127.0.0.1", "AUTH-6 AUTH-7"),
    "ipv6-host-in-brackets": ("{auth6}/x", b"GET /x HTTP/1.0", b"[::1]", "AUTH-6"),
    "unix-without-uri": ("unix:{auth_unix}", b"GET / HTTP/1.0", b"localhost", "AUTH-6"),
    "unix-with-empty-uri": ("unix:{auth_unix}:", b"GET / HTTP/1.0", b"localhost", "AUTH-6"),
    "unix-with-uri": ("http://unix:{auth_unix}:/x?y", b"GET /x?y HTTP/1.0", b"localhost", "AUTH-6 AUTH-5"),
    "unix-with-bare-uri": ("UNIX:{auth_unix}:a", b"GET a HTTP/1.0", b"localhost", "AUTH-6 AUTH-8"),
}  # fmt: skip


def _path(first: bytes, host: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(b"AUTH PLAIN " + bench.plain64 + b"\r\n")
        request = await bench.request(any_http=True)
        bench.check("the beginning", request.raw.split(b"\r\n")[:2], [first, b"Host: " + host])
        await bench.admit(request=request)
        await bench.backend()

    return script


for slug, (argument, first, host, rules) in PATHS.items():
    needs = {Needs.IPV6} if "auth6" in argument else {Needs.UNIX} if "unix" in argument else set[str]()
    case(
        f"smtp/auth-request/{slug}",
        f"auth_http {argument}: first line and Host",
        rules=rules,
        directives="auth_http",
        block=Block("smtp", f"auth_http {argument};"),
        needs=needs,
    )(_path(first, host))


# Configured lines.

LISTS: dict[str, tuple[str, str, tuple[bytes, ...], str]] = {
    # slug: in the mail block, in the server block, the last lines, rules
    "in-order": ("", "auth_http_header B 1; auth_http_header A 2; auth_http_header B 1;", (b"B: 1", b"A: 2", b"B: 1"),
                 "AUTH-3 AUTH-34 CONF-31"),
    "case-is-kept": ("", "auth_http_header x-KEY 'a  b ';", (b"x-KEY: a  b ",), "AUTH-3"),
    "empty-value": ("", 'auth_http_header X-Empty "";', (b"X-Empty: ",), "AUTH-3 AUTH-13"),
    "standard-names": ("", "auth_http_header Auth-User admin; auth_http_header Auth-Wait 1;",
                       (b"Auth-User: admin", b"Auth-Wait: 1"), "AUTH-3"),
    "not-escaped": ("", "auth_http_header X-Raw '%41 \xe9+\\$x';", ("X-Raw: %41 \xe9+\\$x".encode(),),
                    "AUTH-3 AUTH-24"),
    "inherited": ("auth_http_header X-Mail m; auth_http_header X-More n;", "",
                  (b"X-Mail: m", b"X-More: n"), "AUTH-3 CONF-32 CORE-3"),
    "replaced": ("auth_http_header X-Mail m; auth_http_header X-More n;", "auth_http_header X-Own o;", (b"X-Own: o",),
                 "AUTH-3 CONF-33"),
}  # fmt: skip


def _list(wanted: tuple[bytes, ...]) -> Script:
    async def script(bench: Bench) -> None:
        request = await asked(bench, await greeted(bench))
        lines = request.raw.split(b"\r\n")
        at = lines.index(b"Client-Host: [UNAVAILABLE]")
        bench.check("what follows the standard lines", tuple(lines[at + 1 :]), (*wanted, b"", b""))

    return script


for slug, (mail, server, lines, rules) in LISTS.items():
    case(
        f"smtp/auth-request/header-{slug}",
        f"auth_http_header: {slug.replace('-', ' ')}",
        rules=rules,
        level=Level.VENDOR,
        directives="auth_http_header",
        block=Block("smtp", server),
        mail=mail,
    )(_list(lines))


@case(
    "smtp/auth-request/auth-http-is-inherited-as-a-whole",
    "a server with an auth_http of its own takes nothing of the one of the mail block, not even the path",
    rules="AUTH-1 AUTH-6 CONF-35",
    level=Level.VENDOR,
    directives="auth_http",
    block=Block("smtp", "auth_http {auth};"),
)
async def _(bench: Bench) -> None:
    request = await asked(bench, await greeted(bench))
    bench.check("the path", request.target, b"/")
