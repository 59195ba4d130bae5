"""Resumption of TLS sessions, as clients find it (tls rules, section 8)."""

from __future__ import annotations

import ssl

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import PROTOCOLS, admitted
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.secured import TLS, implicit, in_tls, starttls

__all__: list[str] = []

NAME = "mx.example"
VERSIONS = {"1-2": ssl.TLSVersion.TLSv1_2, "1-3": ssl.TLSVersion.TLSv1_3}

SETTINGS: dict[str, tuple[str, bool, str]] = {
    # slug: directives, whether sessions are resumed, what for
    "by-default": ("", True, "a ticket is enough"),
    "without-tickets": ("ssl_session_tickets off;", False, "nothing keeps the session"),
    "without-tickets-and-cache": (
        "ssl_session_tickets off; ssl_session_cache off;",
        False,
        "nothing keeps the session",
    ),
    "from-builtin-cache": ("ssl_session_tickets off; ssl_session_cache builtin;", True, "the proxy keeps the session"),
    "from-shared-cache": (
        "ssl_session_tickets off; ssl_session_cache shared:conformance:1m;",
        True,
        "the proxy keeps the session",
    ),
    "by-ticket-without-cache": ("ssl_session_cache off;", True, "tickets need no cache"),
}


async def _visit(bench: Bench, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Peer:
    """A client that has read something inside TLS, for in TLS 1.3 tickets come after the handshake."""
    words = PROTOCOLS[bench.protocol]
    if session is None:
        client = await in_tls(bench, context)
    else:
        client = await bench.client()
        await client.start_tls(context, NAME, session=session)
    if "ssl" in bench.case.block.listen.split():
        await client.expect(words.greeting)
    await client.send(words.noop[0])
    await client.expect(words.noop[1])
    return client


def speaking(bench: Bench, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client of one version of TLS."""
    context = bench.trusting()
    context.minimum_version = context.maximum_version = version
    return context


def _resumes(version: ssl.TLSVersion, wanted: bool) -> Script:
    async def script(bench: Bench) -> None:
        context = speaking(bench, version)
        first = await _visit(bench, context)
        bench.check("whether the first session is new", first.tls.session_reused, False)
        session = first.tls.session
        await first.close()
        if session is None or not (session.id or session.has_ticket):
            bench.check("whether there is a session to resume", wanted, False)
            return
        again = await _visit(bench, context, session)
        bench.check("whether the session was resumed", again.tls.session_reused, wanted)

    return script


for slug, (directives, wanted, what) in SETTINGS.items():
    for label, version in VERSIONS.items():
        case(
            f"imap/tls/resumption-{slug}-in-{label}",
            f"TLS {label.replace('-', '.')} sessions are {'resumed' if wanted else 'not resumed'}: {what}",
            rules="TLS-51 TLS-16 TLS-18 TLS-52",
            directives="ssl_session_cache ssl_session_tickets",
            block=implicit("imap", directives),
        )(_resumes(version, wanted))


def _forgets_certificates(version: ssl.TLSVersion) -> Script:
    async def script(bench: Bench) -> None:
        context = speaking(bench, version)
        bench.certificates.clients["good"].configure_cert(context)
        first = await _visit(bench, context)
        session = first.tls.session
        await first.close()
        if session is None or not (session.id or session.has_ticket):
            return
        again = await _visit(bench, context, session)
        bench.check("whether the session was resumed", again.tls.session_reused, False)

    return script


def _keeps_certificates(version: ssl.TLSVersion) -> Script:
    async def script(bench: Bench) -> None:
        context = speaking(bench, version)
        bench.certificates.clients["good"].configure_cert(context)
        first = await _visit(bench, context)
        session = first.tls.session
        await first.close()
        client = await _visit(bench, context, session)
        request, _ = await admitted(bench, client)
        bench.check("Auth-SSL-Verify", request["Auth-SSL-Verify"], b"SUCCESS")
        bench.check("whether Auth-SSL-Subject is there", b"CN=good.example" in request["Auth-SSL-Subject"], True)

    return script


for label, version in VERSIONS.items():
    block = implicit("pop3", "ssl_verify_client optional; ssl_client_certificate {ca};")
    case(
        f"pop3/tls/resumption-never-with-certificates-in-{label}",
        f"TLS {label.replace('-', '.')} sessions are not resumed where client certificates are asked for",
        rules="TLS-55",
        directives="ssl_verify_client",
        block=block,
    )(_forgets_certificates(version))
    case(
        f"pop3/tls/resumption-does-not-lose-the-certificate-in-{label}",
        "a client that offers a session is known by its certificate, resumed or not",
        rules="AUTH-31 AUTH-32",
        directives="ssl_verify_client",
        block=block,
    )(_keeps_certificates(version))


async def _resumes_over_starttls(bench: Bench) -> None:
    context = speaking(bench, ssl.TLSVersion.TLSv1_2)
    first = await _visit(bench, context)
    client = await bench.client()
    words = PROTOCOLS[bench.protocol]
    await client.expect(words.greeting)
    await client.send(words.starttls[0])
    await client.expect(words.starttls[1])
    tls = await client.start_tls(context, NAME, session=first.tls.session)
    bench.check("whether the session was resumed", tls.session_reused, True)
    request, _ = await admitted(bench, client)
    bench.check("Auth-SSL-Cipher", request["Auth-SSL-Cipher"].decode(), tls.cipher()[0])


for words in PROTOCOLS.values():
    case(
        f"{words.name}/starttls/resumption",
        "a session is resumed after STARTTLS, too, and the auth server learns of TLS as ever",
        rules="TLS-51 AUTH-30",
        block=starttls(words.name),
    )(_resumes_over_starttls)


def _promises(seconds: int, version: ssl.TLSVersion) -> Script:
    async def script(bench: Bench) -> None:
        client = await _visit(bench, speaking(bench, version))
        session = client.tls.session
        assert session is not None
        bench.check("the lifetime of the ticket in seconds", session.ticket_lifetime_hint, seconds)

    return script


for slug, directives, seconds in (("by-default", "", 300), ("as-configured", "ssl_session_timeout 2m;", 120)):
    for label, version in VERSIONS.items():
        case(
            f"imap/tls/session-timeout-{slug}-in-{label}",
            f"tickets of TLS {label.replace('-', '.')} are good for {seconds} s",
            rules="TLS-19",
            level=Level.VENDOR,
            directives="ssl_session_timeout",
            block=Block("imap", f"{TLS} {directives}".strip(), "ssl"),
        )(_promises(seconds, version))
