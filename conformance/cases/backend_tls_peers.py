"""Backends in TLS: whom the proxy believes, and as whom it comes (TLS-61, TLS-62, AUTH-101)."""

from __future__ import annotations

import ssl
from contextlib import suppress

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.cases.backend_tls import (
    GO_AHEAD,
    MODES,
    asked_for_starttls,
    asked_to_connect,
    encrypted,
    failed,
    relayed,
)
from conformance.dialogues import PROTOCOLS, greeted
from conformance.verdict import Mismatch

__all__: list[str] = []

VERIFYING = "proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};"
BELIEVED: dict[str, tuple[str, str, bool]] = {
    # slug: the backend's certificate, directives, whether the login goes on
    "right": ("right", VERIFYING, True),
    "stranger": ("stranger", VERIFYING, False),
    "expired": ("expired", VERIFYING, False),
    "other-name": ("other-name", VERIFYING, False),
    "name-instead-of-address": ("named-only", VERIFYING, False),
    "name-as-configured": ("named-only", f"{VERIFYING} proxy_ssl_name backend.example;", True),
    "other-name-than-configured": ("right", f"{VERIFYING} proxy_ssl_name elsewhere.example;", False),
    "stranger-unverified": ("stranger", "", True),
    "other-name-unverified": ("other-name", "", True),
    "authority-unknown": ("right", "proxy_ssl_verify on; proxy_ssl_trusted_certificate {second_ca};", False),
}


def _verifies(mode: str, certificate: str, good: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        if good:
            await encrypted(bench, backend, mode, bench.serving(certificate))
            await relayed(bench, client, backend, mode)
            return
        if mode == "starttls":
            await asked_for_starttls(bench, backend)
            await backend.send(GO_AHEAD[bench.protocol])
        with suppress(Mismatch):  # the proxy may end the handshake itself, or the connection behind it
            await backend.start_tls(bench.serving(certificate))
            await backend.send(PROTOCOLS[bench.protocol].backend_greeting)
        await failed(bench, client, backend)

    return script


for slug, (certificate, directives, good) in BELIEVED.items():
    for mode, directive in MODES.items():
        case(
            f"imap/backend-tls/{mode}-verifies-{slug}",
            f"certificate {certificate!r} of a backend: the login {'goes on' if good else 'fails before any line'}",
            rules="TLS-62 TLS-61 TLS-65",
            directives="proxy_ssl proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_name",
            block=Block("imap", f"{directive} {directives}".strip()),
        )(_verifies(mode, certificate, good))

SNI: dict[str, tuple[str, str | None]] = {
    "not-by-default": ("proxy_ssl_name backend.example;", None),
    "never-an-address": ("proxy_ssl_server_name on;", None),
    "as-configured": ("proxy_ssl_server_name on; proxy_ssl_name backend.example;", "backend.example"),
}


def _sends_sni(wanted: str | None) -> Script:
    async def script(bench: Bench) -> None:
        names: list[str | None] = []
        context = bench.serving()
        context.sni_callback = lambda _, name, __: names.append(name)
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        await encrypted(bench, backend, "on", context)
        bench.check("the SNI name", names, [wanted])
        await relayed(bench, client, backend, "on")

    return script


for slug, (directives, wanted) in SNI.items():
    case(
        f"pop3/backend-tls/sni-{slug}",
        f"SNI to the backend with {directives}",
        rules="TLS-61",
        directives="proxy_ssl proxy_ssl_server_name proxy_ssl_name",
        block=Block("pop3", f"{MODES['on']} {directives}"),
    )(_sends_sni(wanted))


def _agrees(version: str, cipher: str | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        backend = await asked_to_connect(bench, client)
        await encrypted(bench, backend, "on")
        bench.check("the version of TLS", backend.tls.version(), version)
        if cipher is not None:
            bench.check("the cipher", backend.tls.cipher()[0], cipher)
        await relayed(bench, client, backend, "on")

    return script


AES128 = "ECDHE-ECDSA-AES128-GCM-SHA256"
for slug, directives, version, cipher in (
    ("by-default", "", "TLSv1.3", None),
    ("1-2-alone", "proxy_ssl_protocols TLSv1.2;", "TLSv1.2", None),
    ("united", "proxy_ssl_protocols TLSv1.2; proxy_ssl_protocols TLSv1.3;", "TLSv1.3", None),
    ("cipher-of-the-list", f"proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers {AES128};", "TLSv1.2", AES128),
):
    case(
        f"pop3/backend-tls/agreed-{slug}",
        f"handshake with a backend: {directives or 'the defaults'}",
        rules="TLS-61",
        directives="proxy_ssl proxy_ssl_protocols proxy_ssl_ciphers",
        block=Block("pop3", f"{MODES['on']} {directives}".strip()),
    )(_agrees(version, cipher))


@case(
    "pop3/backend-tls/shows-its-certificate",
    "a backend that asks for a certificate gets the one of proxy_ssl_certificate",
    rules="TLS-61",
    directives="proxy_ssl_certificate proxy_ssl_certificate_key",
    block=Block(
        "pop3",
        "proxy_ssl on; proxy_ssl_certificate {backend_client}; proxy_ssl_certificate_key {backend_client};",
    ),
)
async def _(bench: Bench) -> None:
    context = bench.serving()
    bench.authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    client = await greeted(bench)
    backend = await asked_to_connect(bench, client)
    await encrypted(bench, backend, "on", context)
    await relayed(bench, client, backend, "on")
    certificate = backend.tls.getpeercert()
    bench.check("whose certificate it is", ("DNS", "proxy.example") in certificate["subjectAltName"], True)


BAD_VALUES = {"in-capitals": "ON", "a-flag": "yes", "a-word": "tls", "empty": "", "a-list": "on,starttls"}


def _rejects(value: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        words = PROTOCOLS[bench.protocol]
        await client.send(words.auth + bench.plain64 + b"\r\n")
        request = await bench.request()
        await request.answer("Auth-Status: OK", *bench.route, f"Auth-Server-SSL: {value}")
        await client.expect(words.internal_error)
        await client.expect_eof()
        bench.no_backend()

    return script


for slug, value in BAD_VALUES.items():
    case(
        f"smtp/backend-tls/bad-value-{slug}",
        f"Auth-Server-SSL: {value!r} fails the login before any connection",
        rules="AUTH-101",
        block=Block("smtp"),
        needs=[Needs.BACKEND_TLS],
    )(_rejects(value))
