"""TLVs of version 2 headers to backends: what they tell of a client in TLS, and its unique id (PROXY-23, PROXY-99)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.proxy_header_out import header_of
from conformance.cases.tls_client_certificates import shown
from conformance.dialogues import PROTOCOLS, admitted
from conformance.proxy_headers import Header, parse_v2, v2_length
from conformance.secured import NAME, VERSIONS, implicit, in_tls, secured, starttls, unverified

__all__: list[str] = []

ALPN, AUTHORITY, CRC, UNIQUE_ID, SSL = 1, 2, 3, 5, 0x20
VERSION, COMMON_NAME, CIPHER, SIGNATURE, KEY = 0x21, 0x22, 0x23, 0x24, 0x25
IN_TLS, SHOWN, KNOWN = 1, 2, 4
UNIQUE_ID_LIMIT = 128


@dataclass(frozen=True, slots=True)
class Secured:
    """What TLV 20 says."""

    flags: int
    result: int
    more: dict[int, bytes]


def secured_by(header: Header) -> Secured:
    """Read TLV 20 of a header."""
    value = header.tlv(SSL) or bytes(5)
    flags, result = struct.unpack("!BI", value[:5])
    more, at = {}, 5
    while at + 3 <= len(value):
        kind, length = struct.unpack("!BH", value[at : at + 3])
        more[kind] = value[at + 3 : at + 3 + length]
        at += 3 + length
    return Secured(flags, result, more)


def _tells(*, sni: str, alpn: bool) -> Script:
    async def script(bench: Bench) -> None:
        context = unverified()
        if alpn:
            context.set_alpn_protocols([bench.protocol])
        client = await bench.client()
        words = PROTOCOLS[bench.protocol]
        if "ssl" not in bench.case.block.listen.split():
            await client.expect(words.greeting)
            await client.send(words.starttls[0])
            await client.expect(words.starttls[1])
        tls = await client.start_tls(context, sni)
        if "ssl" in bench.case.block.listen.split():
            await client.expect(words.greeting)
        _, backend = await admitted(bench, client)
        header = await header_of(backend)
        kinds = [AUTHORITY] * bool(sni) + [ALPN] * alpn + [SSL, CRC]
        bench.check("the kinds of TLVs", [kind for kind, _ in header.tlvs], kinds)
        bench.check("the authority", header.tlv(AUTHORITY), sni.encode() or None)
        bench.check("the protocol by ALPN", header.tlv(ALPN), bench.protocol.encode() if alpn else None)
        found = secured_by(header)
        bench.check("the flags", found.flags, IN_TLS)
        bench.check("the result of the verification", found.result, 1)
        bench.check("the version", found.more.get(VERSION), (tls.version() or "").encode())
        bench.check("the cipher", found.more.get(CIPHER), tls.cipher()[0].encode())
        bench.check("the subject", found.more.get(COMMON_NAME), None)
        bench.check("the signature algorithm", found.more.get(SIGNATURE), b"ecdsa-with-SHA256", b"SHA256")
        bench.check("the key", found.more.get(KEY), b"EC256")

    return script


for words in PROTOCOLS.values():
    for slug, sni, alpn in (("sni-and-alpn", NAME, True), ("neither-sni-nor-alpn", "", False)):
        for where, block in {
            "tls": implicit(words.name, "proxy_protocol v2;"),
            "starttls": starttls(words.name, "proxy_protocol v2;"),
        }.items():
            case(
                f"{words.name}/proxy-out/{where}-{slug}",
                f"the TLVs of a client in TLS with {slug.replace('-', ' ')}",
                rules="PROXY-23",
                directives="proxy_protocol",
                block=block,
            )(_tells(sni=sni, alpn=alpn))

VERIFYING = "proxy_protocol v2; ssl_verify_client optional_no_ca; ssl_client_certificate {ca};"
SHOWING: dict[str, tuple[int, tuple[int, ...], bytes | None]] = {
    # certificate: flags, accepted results, common name
    "good": (IN_TLS | SHOWN | KNOWN, (0,), b"good.example"),
    "self-signed": (IN_TLS | SHOWN | KNOWN, (18,), b"self.example"),
    "stranger": (IN_TLS | SHOWN | KNOWN, (20, 21), None),
    "": (IN_TLS, (1,), None),
}


def _tells_of_certificate(certificate: str, flags: int, results: tuple[int, ...], common_name: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench, bench.trusting(certificate=shown(bench, certificate)))
        _, backend = await admitted(bench, client)
        found = secured_by(await header_of(backend))
        bench.check("the flags", found.flags, flags)
        bench.check("the result of the verification", found.result, *results)
        bench.check("the subject", found.more.get(COMMON_NAME), common_name)

    return script


for certificate, (flags, results, common_name) in SHOWING.items():
    case(
        f"imap/proxy-out/tls-certificate-{certificate or 'none'}",
        f"flags, verdict and common name of a client's certificate: {certificate or 'none'}",
        rules="PROXY-23",
        directives="proxy_protocol ssl_verify_client",
        block=implicit("imap", VERIFYING),
    )(_tells_of_certificate(certificate, flags, results, common_name))


@case(
    "imap/proxy-out/tls-rsa-key",
    "an RSA certificate of the target is told as such",
    rules="PROXY-23",
    directives="proxy_protocol",
    block=implicit(
        "imap",
        "proxy_protocol v2;",
        tls=f"ssl_certificate {{rsa_certificate}}; ssl_certificate_key {{rsa_certificate}}; {VERSIONS}",
    ),
)
async def _(bench: Bench) -> None:
    client = await secured(bench)
    _, backend = await admitted(bench, client)
    found = secured_by(await header_of(backend))
    bench.check("the key", found.more.get(KEY), b"RSA2048")


LONGEST = 536  # octets of a header
LONG_SNI = ".".join(["a" * 60] * 4)


@case(
    "imap/proxy-out/tls-names-too-long-for-a-header",
    "of names that do not fit the longest is left out, and none is cut",
    rules="PROXY-100",
    directives="proxy_protocol ssl_verify_client",
    block=implicit("imap", VERIFYING),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    context = unverified()
    bench.certificates.clients["long-name"].configure_cert(context)
    await client.start_tls(context, LONG_SNI)
    await client.expect(PROTOCOLS["imap"].greeting)
    _, backend = await admitted(bench, client)
    start = await backend.exactly(16)
    size = v2_length(start)
    header = parse_v2(start + await backend.exactly(size))
    bench.check("whether Postfix takes the header", 16 + size <= LONGEST, True)
    bench.check("the authority", header.tlv(AUTHORITY), LONG_SNI.encode())
    bench.check("the subject", secured_by(header).more.get(COMMON_NAME), None)


# The unique id.


def _is_unique() -> Script:
    async def script(bench: Bench) -> None:
        ids = []
        for _ in range(3):
            client = await in_tls(bench) if "ssl_certificate" in bench.case.block.directives else await bench.client()
            await client.expect(PROTOCOLS[bench.protocol].greeting)
            _, backend = await admitted(bench, client)
            header = await header_of(backend)
            kinds = [kind for kind, _ in header.tlvs]
            bench.check("the last TLVs", kinds[-2:], [UNIQUE_ID, CRC])
            ids.append(header.tlv(UNIQUE_ID) or b"")
        bench.check("whether the ids differ", len({*ids}), len(ids))
        bench.check("whether they have a proper length", all(0 < len(id) <= UNIQUE_ID_LIMIT for id in ids), True)

    return script


for words in PROTOCOLS.values():
    for slug, block in {
        "in-clear": Block(words.name, "proxy_protocol v2 tlv;"),
        "in-tls": implicit(words.name, "proxy_protocol v2 tlv;"),
        "on-unix": Block(words.name, "proxy_protocol v2 tlv;", address="unix"),
    }.items():
        case(
            f"{words.name}/proxy-out/unique-id-{slug}",
            "every connection of a client has an id of its own, the last TLV but the checksum",
            rules="PROXY-99 PROXY-20",
            directives="proxy_protocol",
            block=block,
        )(_is_unique())
