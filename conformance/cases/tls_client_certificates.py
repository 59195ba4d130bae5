"""Client certificates: who gets in, what the others are told, what the auth server learns (tls rules, section 6)."""

from __future__ import annotations

import ssl
from hashlib import sha1
from typing import TYPE_CHECKING

from conformance.bench import Bench
from conformance.case import Needs, Script, case
from conformance.dialogues import PROTOCOLS, Words, admitted
from conformance.fakes.auth_server import AuthRequest
from conformance.secured import NAME, implicit, in_tls, secured, starttls

if TYPE_CHECKING:
    import trustme

__all__: list[str] = []

CERTIFICATE_ERROR = {
    "smtp": b"421 4.7.1 SSL certificate error\r\n",
    "imap": b"* BYE SSL certificate error\r\n",
    "pop3": b"-ERR SSL certificate error\r\n",
}
NO_CERTIFICATE = {
    "smtp": b"421 4.7.1 No required SSL certificate\r\n",
    "imap": b"* BYE No required SSL certificate\r\n",
    "pop3": b"-ERR No required SSL certificate\r\n",
}

KNOWN = "ssl_client_certificate {both_cas};"
WITH_CRL = f"{KNOWN} ssl_crl {{crl}};"
NO_ISSUER = (b"FAILED:unable to verify the first certificate", b"FAILED:unable to get local issuer certificate")
SELF_SIGNED = (b"FAILED:self-signed certificate", b"FAILED:self signed certificate")
ROOT_UNKNOWN = (
    b"FAILED:self-signed certificate in certificate chain",
    b"FAILED:self signed certificate in certificate chain",
)
"""What OpenSSL says when the client sent its root, too."""

SUCCESS, NONE = (b"SUCCESS",), (b"NONE",)
ERROR, MISSING = "error", "missing"

Outcome = tuple[bytes, ...] | str
"""Accepted values of Auth-SSL-Verify (none of them: no such line), or how the session ends."""

MATRIX: dict[str, tuple[str, str, Outcome, Outcome, Outcome]] = {
    # slug: certificate, directives; outcome with on, optional, optional_no_ca (with off everybody gets in)
    "none": ("", KNOWN, MISSING, NONE, NONE),
    "good": ("good", KNOWN, SUCCESS, SUCCESS, SUCCESS),
    "rsa": ("rsa", KNOWN, SUCCESS, SUCCESS, SUCCESS),
    "self-signed": ("self-signed", KNOWN, ERROR, ERROR, SELF_SIGNED),
    "unknown-authority": ("stranger", KNOWN, ERROR, ERROR, NO_ISSUER),
    "expired": ("expired", KNOWN, ERROR, ERROR, ERROR),
    "not-yet-valid": ("early", KNOWN, ERROR, ERROR, ERROR),
    "one-intermediate": ("chained", KNOWN, SUCCESS, SUCCESS, SUCCESS),
    "two-intermediates": ("deep", KNOWN, ERROR, ERROR, NO_ISSUER),
    "revoked-but-no-list": ("revoked", KNOWN, SUCCESS, SUCCESS, SUCCESS),
    "revoked": ("revoked", WITH_CRL, ERROR, ERROR, ERROR),
    "not-in-the-list": ("good", WITH_CRL, SUCCESS, SUCCESS, SUCCESS),
    "authority-without-list": ("second", WITH_CRL, ERROR, ERROR, ERROR),
}


def shown(bench: Bench, slug: str) -> trustme.LeafCert | None:
    """The client's certificate of that name, or none."""
    return bench.certificates.clients[slug] if slug else None


def _meets(certificate: str, outcome: Outcome) -> Script:
    async def script(bench: Bench) -> None:
        client = await in_tls(bench, bench.trusting(certificate=shown(bench, certificate)))
        if isinstance(outcome, str):
            replies = CERTIFICATE_ERROR if outcome is ERROR else NO_CERTIFICATE
            await client.expect(replies[bench.protocol])
            await client.expect_eof()
            bench.check("close_notify", client.close_notify, True)
            bench.no_request()
            return
        if "ssl" in bench.case.block.listen.split():
            await client.expect(PROTOCOLS[bench.protocol].greeting)
        request, _ = await admitted(bench, client)
        found = request.all("Auth-SSL-Verify")
        bench.check("Auth-SSL-Verify", found, *([value] for value in outcome) if outcome else ([],))
        with_details = bool(outcome) and outcome is not NONE
        bench.check("whether Auth-SSL-Subject is there", "Auth-SSL-Subject" in request, with_details)

    return script


for slug, (certificate, directives, *outcomes) in MATRIX.items():
    for mode, outcome in zip(("off", "on", "optional", "optional_no_ca"), ((), *outcomes), strict=True):
        case(
            f"imap/client-certificate/{mode.replace('_', '-')}-{slug}",
            f"ssl_verify_client {mode}, certificate: {slug.replace('-', ' ')}",
            rules="TLS-44 TLS-42 AUTH-31" + (" TLS-10" if "ssl_crl" in directives else ""),
            directives="ssl_verify_client ssl_client_certificate ssl_crl",
            block=implicit("imap", f"ssl_verify_client {mode}; {directives}"),
        )(_meets(certificate, outcome))

FURTHER: dict[str, tuple[str, str, Outcome, str]] = {
    # slug: certificate, directives, outcome, rules
    "depth-allows-two": ("deep", f"ssl_verify_client on; ssl_verify_depth 2; {KNOWN}", SUCCESS, "TLS-22"),
    "depth-allows-none": ("chained", f"ssl_verify_client on; ssl_verify_depth 0; {KNOWN}", ERROR, "TLS-22"),
    "trusted-list-alone": ("good", "ssl_verify_client on; ssl_trusted_certificate {ca};", SUCCESS, "TLS-20"),
    "both-lists": (
        "second",
        "ssl_verify_client on; ssl_client_certificate {ca}; ssl_trusted_certificate {both_cas};",
        SUCCESS,
        "TLS-20",
    ),
    "not-in-any-list": ("second", "ssl_verify_client on; ssl_client_certificate {ca};", ERROR, "TLS-8"),
    "no-authority-at-all": ("good", "ssl_verify_client optional_no_ca;", ROOT_UNKNOWN, "TLS-26 TLS-45"),
    "mode-in-capitals": ("good", f"ssl_verify_client ON; {KNOWN}", SUCCESS, "TLS-21"),
}
for slug, (certificate, directives, outcome, rules) in FURTHER.items():
    case(
        f"imap/client-certificate/{slug}",
        f"certificate {certificate!r} with {directives}",
        rules=rules,
        directives=" ".join(word for word in directives.replace(";", " ").split() if word.startswith("ssl_")),
        block=implicit("imap", directives),
        needs=[Needs.TRUSTED_CA_ALONE] if slug == "trusted-list-alone" else [],
    )(_meets(certificate, outcome))


# The replies, in every protocol, instead of the greeting or right behind STARTTLS.

ON = f"ssl_verify_client on; {KNOWN}"

for words in PROTOCOLS.values():
    for where, block in {
        "on-a-tls-port": implicit(words.name, ON),
        "behind-starttls": starttls(words.name, ON),
    }.items():
        for slug, certificate, outcome in (("bad", "stranger", ERROR), ("missing", "", MISSING)):
            case(
                f"{words.name}/client-certificate/{slug}-{where}",
                f"the reply to a {slug} certificate {where.replace('-', ' ')}, without waiting for a command",
                rules="TLS-43 TLS-42 TLS-53 smtp:SMTP-9 imap:IMAP-72 pop3:POP3-62",
                directives="ssl_verify_client ssl_client_certificate",
                block=block,
            )(_meets(certificate, outcome))


def _refuses_early_login(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await in_tls(bench, bench.trusting(certificate=shown(bench, "expired")))
        await client.send(words.auth + bench.plain64 + b"\r\n")
        await client.expect(CERTIFICATE_ERROR[bench.protocol])
        await client.expect_eof()
        bench.no_request()

    return script


for words in PROTOCOLS.values():
    case(
        f"{words.name}/client-certificate/login-is-not-heard",
        "a login sent at once by a client with a bad certificate never reaches the auth server",
        rules="TLS-42 TLS-44",
        directives="ssl_verify_client",
        block=implicit(words.name, ON),
    )(_refuses_early_login(words))


# What the auth server learns.

PASSED = f"ssl_verify_client optional_no_ca; {KNOWN} auth_http_pass_client_cert on;"
LINES = [
    b"Host",
    b"Auth-Method",
    b"Auth-User",
    b"Auth-Pass",
    b"Auth-Protocol",
    b"Auth-Login-Attempt",
    b"Client-IP",
    b"Auth-SSL",
    b"Auth-SSL-Protocol",
    b"Auth-SSL-Cipher",
    b"Auth-SSL-Verify",
    b"Auth-SSL-Subject",
    b"Auth-SSL-Issuer",
    b"Auth-SSL-Serial",
    b"Auth-SSL-Fingerprint",
    b"Auth-SSL-Cert",
    b"X-Behind",
]


def escaped_pem(leaf: trustme.LeafCert) -> bytes:
    """A certificate as it stands in Auth-SSL-Cert."""
    pem = leaf.cert_chain_pems[0].bytes().replace(b"\r\n", b"\n")
    return pem.replace(b"%", b"%25").replace(b" ", b"%20").replace(b"\n", b"%0A")


def _learns(bench: Bench, request: AuthRequest, leaf: trustme.LeafCert) -> None:
    """Compare the lines with what `cryptography` says of the certificate. Raises Mismatch."""
    certificate = bench.certificates.parsed(leaf)
    serial = f"{certificate.serial_number:X}"
    bench.check("Auth-SSL-Issuer", request["Auth-SSL-Issuer"].decode(), certificate.issuer.rfc4514_string())
    bench.check("Auth-SSL-Serial", request["Auth-SSL-Serial"].decode(), "0" * (len(serial) % 2) + serial)
    fingerprint = sha1(bench.certificates.der(leaf), usedforsecurity=False).hexdigest()
    bench.check("Auth-SSL-Fingerprint", request["Auth-SSL-Fingerprint"].decode(), fingerprint)
    bench.check("Auth-SSL-Cert", request["Auth-SSL-Cert"], escaped_pem(leaf))


def _tells(certificate: str) -> Script:
    async def script(bench: Bench) -> None:
        leaf = bench.certificates.clients[certificate]
        client = await secured(bench, bench.trusting(certificate=leaf))
        request, _ = await admitted(bench, client)
        host = [b"Client-Host"] if bench.protocol == "smtp" else []
        bench.check("the lines", request.names, [*LINES[:7], *host, *LINES[7:]])
        bench.check("Auth-SSL-Protocol", request["Auth-SSL-Protocol"].decode(), client.tls.version())
        bench.check("Auth-SSL-Cipher", request["Auth-SSL-Cipher"].decode(), client.tls.cipher()[0])
        subject = bench.certificates.parsed(leaf).subject.rfc4514_string().encode()
        wanted = bench.certificates.ornate_subject if certificate == "ornate" else subject
        bench.check("Auth-SSL-Subject", request["Auth-SSL-Subject"], wanted)
        _learns(bench, request, leaf)

    return script


for words in PROTOCOLS.values():
    for where, block in {
        "on-a-tls-port": implicit(words.name, f"{PASSED} auth_http_header X-Behind yes;"),
        "behind-starttls": starttls(words.name, f"{PASSED} auth_http_header X-Behind yes;"),
    }.items():
        case(
            f"{words.name}/client-certificate/told-{where}",
            f"the auth server learns everything of a good certificate {where.replace('-', ' ')}, in its order",
            rules="AUTH-32 AUTH-33 AUTH-27 AUTH-24 AUTH-30 TLS-47",
            directives="ssl_verify_client auth_http_pass_client_cert auth_http_header",
            block=block,
        )(_tells("good"))

for slug, certificate in {
    "rsa": "rsa",
    "with-intermediate": "chained",
    "self-signed": "self-signed",
    "of-a-stranger": "stranger",
    "with-special-characters": "ornate",
}.items():
    case(
        f"imap/client-certificate/told-{slug}",
        f"the auth server learns everything of a certificate {slug.replace('-', ' ')}",
        rules="AUTH-32 AUTH-33 AUTH-27 AUTH-24 TLS-45",
        directives="ssl_verify_client auth_http_pass_client_cert",
        block=implicit("imap", f"{PASSED} auth_http_header X-Behind yes;"),
    )(_tells(certificate))


def _does_not_tell(certificate: str, names: list[bytes]) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench, bench.trusting(certificate=shown(bench, certificate)))
        request, _ = await admitted(bench, client)
        bench.check("the lines about TLS", [name for name in request.names if name.startswith(b"Auth-SSL")], names)

    return script


for slug, (certificate, directives, names) in {
    "certificate-only-on-demand": ("good", ON, LINES[7:15]),
    "only-the-verdict-without-certificate": ("", PASSED, LINES[7:11]),
    "nothing-where-none-was-asked-for": ("good", "auth_http_pass_client_cert on;", LINES[7:10]),
}.items():
    case(
        f"pop3/client-certificate/told-{slug}",
        "the auth server gets no line that does not belong there",
        rules="AUTH-33 AUTH-32 AUTH-31 AUTH-4",
        directives="ssl_verify_client auth_http_pass_client_cert",
        block=implicit("pop3", directives),
    )(_does_not_tell(certificate, names))


@case(
    "imap/client-certificate/bad-session-is-not-resumed",
    "the TLS session of a client with a bad certificate is good for nothing",
    rules="TLS-46",
    block=implicit("imap", f"ssl_session_tickets off; ssl_session_cache builtin; ssl_verify_client optional; {KNOWN}"),
)
async def _(bench: Bench) -> None:
    context = bench.trusting(certificate=bench.certificates.clients["stranger"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = await in_tls(bench, context)
    await first.expect(CERTIFICATE_ERROR["imap"])
    session = first.tls.session
    await first.close()
    again = await bench.client()
    await again.start_tls(context, NAME, session=session)
    bench.check("whether the session was resumed", again.tls.session_reused, False)
    await again.expect(CERTIFICATE_ERROR["imap"])
