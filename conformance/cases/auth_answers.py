"""Answers of the auth server, well-formed or not (auth_http rules, sections 5 and 11)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import LOGGED_IN, PROTOCOLS, asked, failure, greeted, serve_login
from conformance.fakes.peer import Peer
from conformance.rulebook import Level

__all__ = ["ERROR", "OK", "ROUTE", "SHORT", "SUCCESS", "concluded", "filled"]

ROUTE = b"{route}\r\n\r\n"
ERROR = None  # the outcome "internal error": all other outcomes are texts of failures, or SUCCESS
SUCCESS = b"\0"
OK = b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n"
LIMIT = 16384  # of status line and headers (AUTH-45)


async def concluded(bench: Bench, client: Peer, outcome: bytes | None) -> None:
    """See the answer's outcome: a login at the backend, or one line for the client and nothing for the backend."""
    if outcome == SUCCESS:
        await serve_login(bench, await bench.backend())
        await client.expect(LOGGED_IN[bench.protocol])
        return
    wanted = PROTOCOLS[bench.protocol].internal_error if outcome is None else failure(bench.protocol, outcome)
    await client.expect(wanted)
    await client.expect_eof()
    bench.no_backend()
    bench.no_request()


# Answers that stay on an open connection, so that nothing but the empty line can end them.

ANSWERS: dict[str, tuple[str, bytes, bytes | None, str]] = {
    # slug: what, the octets ({route}: Auth-Server and Auth-Port), the outcome, rules
    "no-status-line": ("no status line at all", b"Auth-Status: OK\r\n" + ROUTE, SUCCESS, "AUTH-40 SMTP-89"),
    "status-500": ("status 500", b"HTTP/1.1 500 Oops\r\nAuth-Status: OK\r\n" + ROUTE, SUCCESS, "AUTH-40"),
    "status-401": ("status 401", b"HTTP/1.0 401 No\r\nAuth-Status: OK\r\n" + ROUTE, SUCCESS, "AUTH-40 SMTP-89"),
    "status-garbage": ("a status line that only begins well", b"HTTP/\x00\xff garbage\r\nAuth-Status: OK\r\n" + ROUTE,
                       SUCCESS, "AUTH-40"),
    "status-lower-case": ("http in lower case", b"http/1.0 200 OK\r\nAuth-Status: OK\r\n" + ROUTE, ERROR, "AUTH-40"),
    "status-icy": ("another protocol's status line", b"ICY 200 OK\r\nAuth-Status: OK\r\n" + ROUTE, ERROR, "AUTH-40"),
    "status-stray-cr": ("a CR inside the status line", b"HTTP/1.0 200\rOK\r\nAuth-Status: OK\r\n" + ROUTE, ERROR,
                        "AUTH-40"),
    "status-only": ("a status line and nothing else", b"HTTP/1.0 200 OK\r\n\r\n", ERROR, "AUTH-57"),
    "line-feeds-only": ("lines that end in LF", b"HTTP/1.0 200 OK\nAuth-Status: OK\n{lf}\n\n", SUCCESS, "AUTH-41"),
    "line-ends-mixed": ("LF and CRLF mixed", b"HTTP/1.0 200 OK\nAuth-Status: OK\r\n{route}\n\r\n", SUCCESS, "AUTH-41"),
    "name-underscore": ("an underscore in a name", OK + b"X_Y: 1\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-space-before-colon": ("a space before the colon", OK + b"X-Y : 1\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-folded-line": ("a folded line", OK + b"X-Y: 1\r\n 2\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-leading-hyphen": ("a name that begins with a hyphen", OK + b"-X: 1\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-empty": ("a line that begins with a colon", OK + b": 1\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-control": ("a control in a name", OK + b"X\x01: 1\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-high-octet": ("an octet above ASCII in a name", OK + b"X\xe9: 1\r\n" + ROUTE, ERROR, "AUTH-42"),
    "name-begins-with-digit": ("a name that begins with a digit", OK + b"1-a: 1\r\n" + ROUTE, SUCCESS, "AUTH-42"),
    "name-without-colon": ("a name without a colon", OK + b"Fine\r\n" + ROUTE, SUCCESS, "AUTH-42"),
    "names-in-any-case": ("names in any case, no space behind the colon",
                          b"HTTP/1.0 200 OK\r\nauth-STATUS:OK\r\n{route-shouted}\r\n\r\n", SUCCESS,
                          "AUTH-44 AUTH-43 SMTP-89"),
    "value-padded": ("spaces around a value", b"HTTP/1.0 200 OK\r\nAuth-Status:   OK  \r\n" + ROUTE, SUCCESS,
                     "AUTH-43"),
    "value-tab": ("a tab before a value", b"HTTP/1.0 200 OK\r\nAuth-Status:\tOK\r\n" + ROUTE, b"\tOK", "AUTH-43"),
    "value-stray-cr": ("a CR inside a value", OK + b"X-Y: a\rb\r\n" + ROUTE, ERROR, "AUTH-43"),
    "value-nul": ("a NUL in the value of an unknown header", OK + b"X-Y: a\0b\r\n" + ROUTE, SUCCESS, "AUTH-43"),
    "value-high-octets": ("octets above ASCII in a value", OK + b"X-Y: \x80\xff\r\n" + ROUTE, SUCCESS, "AUTH-43"),
    "status-value-lower-case": ("Auth-Status: ok", b"HTTP/1.0 200 OK\r\nAuth-Status: ok\r\n" + ROUTE, b"ok",
                                "AUTH-44 AUTH-47 SASL-72"),
    "status-value-with-more": ("Auth-Status: OK x", b"HTTP/1.0 200 OK\r\nAuth-Status: OK x\r\n" + ROUTE, b"OK x",
                               "AUTH-44 AUTH-47"),
    "status-value-wait-lower-case": ("Auth-Status: wait", b"HTTP/1.0 200 OK\r\nAuth-Status: wait\r\n\r\n", b"wait",
                                     "AUTH-44 AUTH-47"),
    "status-missing": ("no Auth-Status", b"HTTP/1.0 200 OK\r\n" + ROUTE, SUCCESS, "AUTH-44 AUTH-47 SASL-70"),
    "status-error-before-ok": ("an error text, then OK",
                               b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\nAuth-Status: OK\r\n" + ROUTE, b"no",
                               "AUTH-62 AUTH-47"),
    "status-error-after-ok": ("OK, then an error text", OK + b"Auth-Status: no\r\n" + ROUTE, b"no",
                              "AUTH-62 AUTH-47"),
    "status-last-error-wins": ("two error texts",
                               b"HTTP/1.0 200 OK\r\nAuth-Status: a\r\nAuth-Status: b\r\n" + ROUTE, b"b",
                               "AUTH-62 AUTH-47 SMTP-89"),
    "error-beats-wait": ("WAIT and an error text", b"HTTP/1.0 200 OK\r\nAuth-Status: no\r\nAuth-Status: WAIT\r\n\r\n",
                         b"no", "AUTH-82"),
    "server-missing": ("no Auth-Server", OK + b"{port}\r\n\r\n", ERROR, "AUTH-57 SMTP-83"),
    "server-empty": ("an empty Auth-Server", OK + b"Auth-Server: \r\n{port}\r\n\r\n", ERROR, "AUTH-57 SMTP-83"),
    "port-missing": ("no Auth-Port", OK + b"Auth-Server: 127.0.0.1\r\n\r\n", ERROR, "AUTH-57 SMTP-83"),
    "route-last-one-wins": ("two Auth-Server and two Auth-Port",
                            OK + b"Auth-Server: 192.0.2.1\r\nAuth-Port: 1\r\n" + ROUTE, SUCCESS, "AUTH-48 AUTH-49"),
    "nothing-but-the-empty-line": ("only an empty line", b"\r\n", ERROR, "AUTH-57"),
}  # fmt: skip


def filled(bench: Bench, octets: bytes) -> bytes:
    """Put the route into an answer."""
    server, port = (line.encode() for line in bench.route)
    forms = {b"{route}": server + b"\r\n" + port, b"{lf}": server + b"\n" + port, b"{port}": port}
    forms[b"{route-shouted}"] = b"\r\n".join(line.upper().replace(b": ", b":") for line in (server, port))
    for mark, text in forms.items():
        octets = octets.replace(mark, text)
    return octets


def _answer(octets: bytes, outcome: bytes | None, pieces: int | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        await request.send(filled(bench, octets), pieces=pieces)
        await request.peer.expect_eof()
        await concluded(bench, client, outcome)

    return script


for slug, (what, octets, outcome, rules) in ANSWERS.items():
    case(f"smtp/auth-answer/{slug}", f"the answer has {what}", rules=rules, block=Block("smtp"))(
        _answer(octets, outcome, None)
    )

for protocol in PROTOCOLS:
    case(
        f"{protocol}/auth-answer/one-octet-at-a-time",
        "an answer in pieces of one octet is an answer like any other, and the connection is closed behind it",
        rules="AUTH-41 AUTH-39",
        block=Block(protocol),
    )(_answer(OK + b"" + ROUTE, SUCCESS, 1))
    case(
        f"{protocol}/auth-answer/invalid-header-is-an-internal-error",
        "the internal error of the protocol, and a close",
        rules="AUTH-60 AUTH-42 smtp:SMTP-87",
        block=Block(protocol),
    )(_answer(OK + b"X Y: 1\r\n" + ROUTE, ERROR, None))
    case(
        f"{protocol}/auth-answer/empty-status-is-a-failure",
        "an empty Auth-Status is a failure with an empty text",
        rules="AUTH-55 AUTH-47 AUTH-61 SASL-72",
        block=Block(protocol),
        level=Level.OURS if protocol == "smtp" else Level.VENDOR,
    )(_answer(b"HTTP/1.0 200 OK\r\nAuth-Status:\r\n" + ROUTE, b"", None))
    case(
        f"{protocol}/auth-answer/nul-in-user",
        "a NUL in Auth-User is an internal error",
        rules="AUTH-99",
        block=Block(protocol),
    )(_answer(OK + b"Auth-User: a\0b\r\n" + ROUTE, ERROR, None))
    case(
        f"{protocol}/auth-answer/nul-in-password",
        "a NUL in Auth-Pass is an internal error",
        rules="AUTH-99",
        block=Block(protocol),
    )(_answer(OK + b"Auth-Pass: a\0b\r\n" + ROUTE, ERROR, None))


# How large.

SIZES: dict[str, tuple[int, bytes | None, str, Level]] = {
    # slug: octets of status line and headers, outcome, rules, level
    "of-1024-octets": (1024, SUCCESS, "AUTH-45", Level.VENDOR),
    "of-16-kib": (LIMIT, SUCCESS, "AUTH-45", Level.OURS),
    "of-one-octet-more": (LIMIT + 1, ERROR, "AUTH-45 SMTP-87", Level.OURS),
    "of-64-kib": (4 * LIMIT, ERROR, "AUTH-45", Level.VENDOR),
}  # fmt: skip

SHORT = Block("smtp", "auth_http_timeout 1s;")


def _size(size: int, outcome: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        request = await asked(bench, client)
        head, end = filled(bench, OK + b"{route}\r\nX-Fill: "), b"\r\n\r\n"
        await request.send(head + b"x" * (size - len(head) - len(end)) + end)
        await concluded(bench, client, outcome)

    return script


for slug, (size, outcome, rules, level) in SIZES.items():
    case(
        f"smtp/auth-answer/headers-{slug}",
        f"{size} octets of headers",
        rules=rules,
        level=level,
        block=SHORT if level is Level.VENDOR and outcome is ERROR else Block("smtp"),
    )(_size(size, outcome))


@case(
    "smtp/auth-answer/body-is-not-read",
    "what follows the empty line does not matter, however much it is and although it never ends",
    rules="AUTH-39",
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    await request.send(filled(bench, OK + b"Content-Length: 1000000000\r\n" + ROUTE))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(request.peer.pour, [b"Auth-Status: no\r\n" * 4096] * 1000)
        await concluded(bench, client, SUCCESS)
        nursery.cancel_scope.cancel()


@case(
    "smtp/auth-answer/header-lines-in-the-body",
    "lines behind the empty line are no headers",
    rules="AUTH-41 AUTH-39",
    block=Block("smtp"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    request = await asked(bench, client)
    await request.send(filled(bench, OK + b"{route}\r\n\r\nAuth-Status: no\r\nAuth-Port: 1\r\n\r\n"))
    await concluded(bench, client, SUCCESS)
