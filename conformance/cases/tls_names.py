"""Names in a handshake: ALPN and SNI (TLS-30, TLS-31)."""

from __future__ import annotations

from conformance.attempts import talk
from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.dialogues import PROTOCOLS, greeted, probe
from conformance.secured import implicit, in_tls, starttls, unverified

__all__: list[str] = []

NAME = "mx.example"


def _selects(protocol: str, offered: tuple[str, ...], selected: str | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await in_tls(bench, bench.trusting(alpn=offered))
        bench.check("the protocol selected by ALPN", client.tls.selected_alpn_protocol(), selected)
        if "ssl" in bench.case.block.listen.split():
            await client.expect(PROTOCOLS[protocol].greeting)
        await talk(client, probe(bench))

    return script


def _refuses_alpn(protocol: str, offered: tuple[str, ...]) -> Script:
    async def script(bench: Bench) -> None:
        words = PROTOCOLS[protocol]
        if "ssl" in bench.case.block.listen.split():
            client = await bench.client()
        else:
            client = await greeted(bench)
            await client.send(words.starttls[0])
            await client.expect(words.starttls[1])
        reason = await client.fail_tls(bench.trusting(alpn=offered), NAME)
        bench.check("the alert", reason, "TLSV1_ALERT_NO_APPLICATION_PROTOCOL")

    return script


OTHER = {"smtp": "imap", "imap": "pop3", "pop3": "smtp"}

for protocol in PROTOCOLS:
    fitting: dict[str, tuple[tuple[str, ...], str | None]] = {
        "none-offered": ((), None),
        "alone": ((protocol,), protocol),
        "last-of-many": (("h2", "http/1.1", OTHER[protocol], protocol), protocol),
    }
    refused: dict[str, tuple[str, ...]] = {
        "other-mail-protocol": (OTHER[protocol],),
        "http": ("h2", "http/1.1"),
        "capitals": (protocol.upper(),),
        "longer-name": (protocol + "s",),
        "shorter-name": (protocol[:-1],),
    }
    for where, block in {"tls": implicit(protocol), "starttls": starttls(protocol)}.items():
        for slug, (offered, selected) in fitting.items():
            case(
                f"{protocol}/{where}/alpn-{slug}",
                f"ALPN offers {', '.join(offered) or 'nothing'}: {selected or 'nothing'} is selected",
                rules="TLS-31 smtp:SMTP-11 imap:IMAP-4 pop3:POP3-5",
                needs=[Needs.ALPN] if offered else [],
                block=block,
            )(_selects(protocol, offered, selected))
        for slug, offered in refused.items() if where == "tls" else [*refused.items()][:1]:
            case(
                f"{protocol}/{where}/alpn-refused-{slug}",
                f"ALPN offers {', '.join(offered)}: the handshake ends with no_application_protocol",
                rules="TLS-31 smtp:SMTP-11 imap:IMAP-4 pop3:POP3-5 TLS-34",
                needs=[Needs.ALPN],
                block=block,
            )(_refuses_alpn(protocol, offered))

THREE = (
    "ssl_certificate {other_certificate}; ssl_certificate_key {other_certificate};"
    " ssl_certificate {wild_certificate}; ssl_certificate_key {wild_certificate};"
    " ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.2 TLSv1.3;"
)
SNI = {
    # slug: the name of the client, the certificate it gets
    "first-certificate": ("other.example", "other_certificate"),
    "last-certificate": ("mx.example", "certificate"),
    "in-capitals": ("OTHER.Example", "other_certificate"),
    "wildcard": ("a.wild.example", "wild_certificate"),
    "wildcard-not-for-two-labels": ("a.b.wild.example", "certificate"),
    "wildcard-not-for-its-parent": ("wild.example", "certificate"),
    "unknown": ("nobody.example", "certificate"),
    "none": ("", "certificate"),
}


def _chooses(name: str, wanted: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        tls = await client.start_tls(unverified(), name)
        known = {bench.certificates.der(leaf): slug for slug, leaf in bench.certificates.servers.items()}
        bench.check("the certificate shown", known.get(tls.getpeercert(binary_form=True) or b""), wanted)

    return script


for slug, (name, wanted) in SNI.items():
    case(
        f"smtp/tls/sni-{slug}",
        f"of three certificates of one key type, SNI {name or 'missing'} gets `{wanted}`",
        rules="TLS-30 TLS-4",
        directives="ssl_certificate ssl_certificate_key",
        block=Block("smtp", THREE, "ssl"),
    )(_chooses(name, wanted))


def _ignores_server_name() -> Script:
    async def script(bench: Bench) -> None:
        for name in ("other.example", "mx.example", ""):
            client = await bench.client()
            tls = await client.start_tls(unverified(), name)
            known = {bench.certificates.der(leaf): slug for slug, leaf in bench.certificates.servers.items()}
            bench.check("the certificate shown", known.get(tls.getpeercert(binary_form=True) or b""), "certificate")
            await client.expect(b"220 other.example ESMTP ready\r\n")

    return script


case(
    "smtp/tls/server-name-has-no-part-in-tls",
    "with one certificate every SNI name gets it, whatever server_name says",
    rules="CORE-16 TLS-30 CORE-11",
    directives="server_name",
    block=implicit("smtp", "server_name other.example;"),
)(_ignores_server_name())
