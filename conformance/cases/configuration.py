"""What a proxy must have read in its configuration: defaults, inheritance, spellings, sockets (config, core rules)."""

from __future__ import annotations

import signal
import socket
import stat

import trio

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.cases.smtp_ehlo import INHERITED
from conformance.dialogues import LOGGED_IN, admitted, greeted, log_in
from conformance.rulebook import Level
from conformance.verdict import Mismatch

__all__: list[str] = []


@case(
    "smtp/server-name/empty-is-the-host-name",
    "an empty server_name does not fall back to the one of the mail block, but to the name of the machine",
    rules="SMTP-5 CONF-34",
    block=Block("smtp", 'server_name "";'),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    name = socket.gethostname().encode()
    bench.check(
        "the greeting", await client.line(), *(b"220 %s ESMTP ready\r\n" % form for form in (name, name.lower()))
    )


@case(
    "imap/proxy/off-changes-nothing",
    "the directive `proxy` is there for the sake of old files: logins are proxied with `proxy off`, too",
    rules="CONF-52",
    block=Block("imap", "proxy off;"),
)
async def _(bench: Bench) -> None:
    await log_in(bench)


for protocol in ("imap", "pop3"):

    @case(
        f"{protocol}/dns/client-is-not-looked-up",
        "only SMTP asks for the client's name, and only SMTP tells the auth server of it",
        rules="CORE-38",
        block=Block(protocol, "resolver {dns};"),
    )
    async def _(bench: Bench) -> None:
        relay = await log_in(bench)
        bench.check("the questions", bench.dns.asked + bench.dns.tcp, [])
        bench.check("whether Client-Host is there", "Client-Host" in relay.request, False)


# From the mail block to the server, and spellings.


def _says_xclient(wanted: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        _, backend = await admitted(bench, client)
        await backend.send(b"220 backend.example ESMTP\r\n")
        await backend.expect(b"%s mx.example\r\n" % (b"EHLO" if wanted else b"HELO"))
        await backend.send(b"250 backend.example\r\n")
        if wanted:
            bench.check("the command", (await backend.until(b"\r\n"))[:8], b"XCLIENT ")
        else:
            await client.expect(LOGGED_IN["smtp"])

    return script


for slug, what, rules, directives, mail, wanted in (
    ("inherited", "what the mail block says holds for a server that says nothing", "CONF-32", "", INHERITED, False),
    (
        "replaced",
        "what the server says holds, whatever the mail block says",
        "PROXY-92",
        "xclient on;",
        INHERITED,
        True,
    ),
    ("in-capitals", "`on` and `off` may be written in any case", "PROXY-93", "xclient OFF;", "", False),
):
    case(f"smtp/flag/{slug}", what, rules=rules, block=Block("smtp", directives), mail=mail)(_says_xclient(wanted))


def _is_over_after_one_second() -> Script:
    async def script(bench: Bench) -> None:
        began = trio.current_time()
        relay = await log_in(bench)
        await relay.client.expect_eof()
        bench.check_duration("the end of the relay", began, 1)

    return script


for slug, spelled in {"milliseconds": "1000ms", "parts": "'0m 1s'", "parts-that-add-up": "0s1000ms"}.items():
    case(
        f"imap/time/in-{slug}",
        f"a relay ends after a second that is written {spelled}",
        rules="PROXY-95 PROXY-82",
        block=Block("imap", f"proxy_timeout {spelled};"),
    )(_is_over_after_one_second())


# Sockets, and how many.


@case(
    "imap/listener/unix-socket-file",
    "anybody may connect to a UNIX listener, whose file is gone when the proxy has ended",
    rules="CORE-9",
    block=Block("imap", address="unix"),
    needs={Needs.SIGNALS},
    alone=True,
)
async def _(bench: Bench) -> None:
    path = trio.Path(bench.running.places[bench.case.block].path or "")
    bench.check("the mode of the socket", oct(stat.S_IMODE((await path.stat()).st_mode)), "0o666")
    await log_in(bench)
    bench.running.send_signal(signal.SIGTERM)
    await bench.running.ended()
    bench.check("whether the socket is still there", await path.exists(), False)


CLIENTS = 200
RELOADING = 0.02  # seconds between two clients: the old worker takes some before the new one is there


@case(
    "pop3/limit/worker-connections",
    "a client beyond worker_connections is accepted and closed without an octet; those before it are served",
    rules="CORE-25",
    directives="worker_connections",
    block=Block("pop3"),
    needs={Needs.SIGNALS},
    level=Level.VENDOR,
    alone=True,
)
async def _(bench: Bench) -> None:
    first = await greeted(bench)
    bench.running.reload("worker_connections 16384;", "worker_connections 32;")
    for _ in range(CLIENTS):
        client = await bench.client()
        if not await client.anything():
            break
        await trio.sleep(RELOADING)
    else:
        raise Mismatch("a connection that is closed without a word", f"{CLIENTS} that are greeted")
    await first.send(b"NOOP\r\n")
    await first.expect(b"+OK\r\n")
