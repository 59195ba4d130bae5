"""TLS to backends: from the first octet or after STARTTLS, and never in clear what belongs in TLS (tls rules, 12)."""

from __future__ import annotations

import ssl

import trio

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.cases.proxy_header_out import header_of
from conformance.cases.tls_relay import MIB, carry, some_octets
from conformance.dialogues import LOGGED_IN, PROTOCOLS, Words, greeted, serve_login
from conformance.fakes.peer import Peer
from conformance.secured import implicit, secured

__all__ = ["GO_AHEAD", "MODES", "asked_for_starttls", "asked_to_connect", "encrypted", "failed", "relayed"]

MODES = {"on": "proxy_ssl on;", "starttls": "proxy_ssl starttls;"}
GO_AHEAD = {"smtp": b"220 go ahead\r\n", "imap": b"a OK go ahead\r\n", "pop3": b"+OK go ahead\r\n"}
REFUSAL = {"smtp": b"454 no TLS today\r\n", "imap": b"a NO no TLS today\r\n", "pop3": b"-ERR no TLS today\r\n"}
STARTTLS = {"smtp": b"STARTTLS\r\n", "imap": b"a STARTTLS\r\n", "pop3": b"STLS\r\n"}


async def asked_to_connect(bench: Bench, client: Peer, *lines: str) -> Peer:
    """The backend's connection after a login that the auth server took, with `lines` added to its answer."""
    await client.send(PROTOCOLS[bench.protocol].auth + bench.plain64 + b"\r\n")
    await bench.admit(*lines)
    return await bench.backend()


async def asked_for_starttls(bench: Bench, backend: Peer) -> None:
    """Be a backend that greets, and is asked for STARTTLS before anything else."""
    await backend.send(PROTOCOLS[bench.protocol].backend_greeting)
    if bench.protocol == "smtp":
        await backend.expect(b"EHLO mx.example\r\n")
        await backend.send(b"250-backend.example\r\n250 STARTTLS\r\n")
    await backend.expect(STARTTLS[bench.protocol])


async def encrypted(bench: Bench, backend: Peer, mode: str, context: ssl.SSLContext | None = None) -> None:
    """Be a backend that shakes hands as `mode` has it."""
    if mode == "starttls":
        await asked_for_starttls(bench, backend)
        await backend.send(GO_AHEAD[bench.protocol])
    await backend.start_tls(context or bench.serving())


async def relayed(bench: Bench, client: Peer, backend: Peer, mode: str) -> None:
    """Be a backend that says yes to all of a login; then a line goes each way."""
    await serve_login(bench, backend, greet=mode != "starttls")
    await client.expect(LOGGED_IN[bench.protocol])
    await client.send(b"ping\r\n")
    await backend.expect(b"ping\r\n")
    await backend.send(b"pong\r\n")
    await client.expect(b"pong\r\n")


async def failed(bench: Bench, client: Peer, backend: Peer) -> None:
    """The client gets the internal error; the backend reads nothing more."""
    await client.expect(PROTOCOLS[bench.protocol].internal_error)
    await client.expect_eof()
    await backend.expect_eof()


def _encrypts(mode: str, *lines: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client, *lines)
        await encrypted(bench, backend, mode)
        await relayed(bench, client, backend, mode)

    return script


def _stays_plain(*lines: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client, *lines)
        await relayed(bench, client, backend, "off")

    return script


def _refuses_starttls(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        await asked_for_starttls(bench, backend)
        await backend.send(REFUSAL[words.name])
        await failed(bench, client, backend)

    return script


def _injects(words: Words) -> Script:
    behind = {"smtp": b"250 injected\r\n", "imap": b"+ injected\r\n", "pop3": b"+OK injected\r\n"}

    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        await asked_for_starttls(bench, backend)
        await backend.send(GO_AHEAD[words.name] + behind[words.name])
        await client.expect(words.internal_error)
        await client.expect_eof()
        rest = await backend.rest()
        bench.check("whether credentials went out in clear", bench.user in rest or bench.plain64 in rest, False)

    return script


def _meets_a_plain_backend(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        await backend.send(words.backend_greeting)
        await client.expect(words.internal_error)
        rest = await backend.rest()
        bench.check("whether the backend read a handshake", rest[:1], b"\x16")
        bench.check("whether credentials went out in clear", bench.user in rest, False)

    return script


def _meets_a_silent_backend(mode: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        started = trio.current_time()
        if mode == "starttls":
            await asked_for_starttls(bench, backend)
            await backend.send(GO_AHEAD[bench.protocol])
        await client.expect(PROTOCOLS[bench.protocol].internal_error)
        bench.check("whether a second was waited", trio.current_time() - started >= 0.7, True)

    return script


def _ends_without_close_notify(mode: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        await encrypted(bench, backend, mode)
        await relayed(bench, client, backend, mode)
        await client.close()
        await backend.expect_eof()
        bench.check("close_notify", backend.close_notify, False)

    return script


def _carries(mode: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        backend = await asked_to_connect(bench, client)
        await encrypted(bench, backend, mode)
        await relayed(bench, client, backend, mode)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry, bench, client, backend, some_octets(bench, MIB, "up"), "backend")
            nursery.start_soon(carry, bench, backend, client, some_octets(bench, MIB, "down"), "client")

    return script


def _is_preceded(mode: str, version: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        if version == "on":
            ends = (bench.ip, client.remote[0], client.local[1], client.remote[1])
            await backend.expect(b"PROXY TCP4 %s\r\n" % " ".join(map(str, ends)).encode())
        else:
            bench.check("the source", (await header_of(backend)).source, bench.ip)
        await encrypted(bench, backend, mode)
        await relayed(bench, client, backend, mode)

    return script


for words in PROTOCOLS.values():
    name = words.name
    for mode, directive in MODES.items():
        case(
            f"{name}/backend-tls/{mode}",
            f"with proxy_ssl {mode} the whole login and the relay are inside TLS",
            rules="TLS-60 TLS-64" if mode == "starttls" else "TLS-60",
            directives="proxy_ssl",
            block=Block(name, directive),
        )(_encrypts(mode))
        case(
            f"{name}/backend-tls/{mode}-by-auth-server",
            f"Auth-Server-SSL: {mode} decides for one login",
            rules="AUTH-101 TLS-60",
            block=words.block,
            needs=[Needs.BACKEND_TLS],
        )(_encrypts(mode, f"Auth-Server-SSL: {mode}"))
        case(
            f"{name}/backend-tls/{mode}-not-by-auth-server",
            f"Auth-Server-SSL: off prevails over proxy_ssl {mode}",
            rules="AUTH-101 TLS-60",
            directives="proxy_ssl",
            block=Block(name, directive),
        )(_stays_plain("Auth-Server-SSL: off"))
        case(
            f"{name}/backend-tls/{mode}-ends-without-close-notify",
            "at the end of the relay the backend's connection is closed without close_notify",
            rules="TLS-66 PROXY-81",
            directives="proxy_ssl",
            block=Block(name, directive),
        )(_ends_without_close_notify(mode))
        case(
            f"{name}/backend-tls/{mode}-handshake-has-the-deadline",
            "a backend that does not shake hands fails the login at timeout",
            rules="TLS-65 PROXY-9",
            directives="proxy_ssl timeout",
            block=Block(name, f"{directive} timeout 1s;"),
        )(_meets_a_silent_backend(mode))
        case(
            f"{name}/backend-tls/{mode}-one-mebibyte-each-way",
            "1 MiB goes each way at once with TLS on both sides, unchanged",
            rules="TLS-60 PROXY-72",
            directives="proxy_ssl",
            block=implicit(name, directive),
            limit=60,
        )(_carries(mode))
        for version in ("on", "v2"):
            case(
                f"{name}/backend-tls/{mode}-behind-proxy-{'v1' if version == 'on' else version}",
                "the PROXY header goes in front of everything, in clear",
                rules="TLS-60 PROXY-12",
                directives="proxy_ssl proxy_protocol",
                block=Block(name, f"{directive} proxy_protocol {version};"),
            )(_is_preceded(mode, version))
    case(
        f"{name}/backend-tls/off-prevails-over-nothing",
        "Auth-Server-SSL: off is what there is anyway",
        rules="AUTH-101",
        block=words.block,
        needs=[Needs.BACKEND_TLS],
    )(_stays_plain("Auth-Server-SSL: off"))
    case(
        f"{name}/backend-tls/starttls-refused",
        "a backend that refuses STARTTLS gets no credentials, and the client the internal error",
        rules="TLS-64 TLS-60",
        directives="proxy_ssl",
        block=Block(name, MODES["starttls"]),
    )(_refuses_starttls(words))
    case(
        f"{name}/backend-tls/starttls-injected",
        "octets in clear behind the reply to STARTTLS end the login; they are no answers given in TLS",
        rules="TLS-64",
        directives="proxy_ssl",
        block=Block(name, MODES["starttls"]),
    )(_injects(words))
    case(
        f"{name}/backend-tls/on-meets-plain-backend",
        "a backend that greets in clear gets no credentials",
        rules="TLS-60 TLS-65",
        directives="proxy_ssl",
        block=Block(name, MODES["on"]),
    )(_meets_a_plain_backend(words))
