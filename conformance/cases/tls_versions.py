"""What a handshake agrees on: version, cipher, group, key (tls rules, sections 2 and 4)."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Mapping

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.rulebook import Level
from conformance.secured import TLS, unverified

__all__: list[str] = []

Client = Callable[[], ssl.SSLContext]
NAME = "mx.example"
CERTIFICATE = "ssl_certificate {certificate}; ssl_certificate_key {certificate};"
AES128, AES256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
V1_0, V1_1, V1_2, V1_3 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def block(directives: str, tls: str = CERTIFICATE) -> Block:
    """A TLS port with these directives."""
    return Block("imap", f"{tls} {directives}".strip(), "ssl")


def speaking(*versions: ssl.TLSVersion, ciphers: str = "", curve: str = "") -> Client:
    """A client that speaks versions from the first to the last, old ones with what they need."""

    def client() -> ssl.SSLContext:
        context = unverified()
        if versions[0] < V1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
        if ciphers:
            context.set_ciphers(ciphers)
        if curve:
            context.set_ecdh_curve(curve)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Python's opinion of old versions
            context.minimum_version, context.maximum_version = versions[0], versions[-1]
        return context

    return client


def _agrees(make_context: Client, version: str, cipher: str | None, key: str | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        tls = await client.start_tls(make_context(), NAME)
        bench.check("the version of TLS", tls.version(), version)
        if cipher is not None:
            bench.check("the cipher", tls.cipher()[0], cipher)
        if key is not None:
            known = {bench.certificates.der(leaf): slug for slug, leaf in bench.certificates.servers.items()}
            bench.check("the certificate shown", known.get(tls.getpeercert(binary_form=True) or b""), key)
        await client.expect(b"* OK IMAP4 ready\r\n")

    return script


def _disagrees(make_context: Client, *reasons: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        reason = await client.fail_tls(make_context(), NAME)
        bench.check("the alert", reason, *reasons)

    return script


OLD = f"{CERTIFICATE} ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;"
BOTH_KEYS = (
    "ssl_certificate {rsa_certificate}; ssl_certificate_key {rsa_certificate};"
    " ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.2;"
)
UNION = "ssl_protocols tlsv1.2; ssl_protocols TLSv1.3;"
LISTED = f"ssl_protocols TLSv1.2; ssl_ciphers {AES256}:{AES128};"

AGREED: dict[str, tuple[str, Client, str, str | None, str | None, str]] = {
    # slug: directives, client, version, cipher, certificate, rules
    "default-takes-1-2": ("", speaking(V1_2), "TLSv1.2", None, None, "TLS-15"),
    "default-takes-1-3": ("", speaking(V1_2, V1_3), "TLSv1.3", None, None, "TLS-15"),
    "values-are-united": (UNION, speaking(V1_3), "TLSv1.3", None, None, "TLS-15"),
    "values-are-united-and-lower-case": (UNION, speaking(V1_2), "TLSv1.2", None, None, "TLS-15"),
    "1-0-on-demand": (OLD, speaking(V1_0), "TLSv1", None, None, "TLS-15"),
    "1-1-on-demand": (OLD, speaking(V1_0, V1_1), "TLSv1.1", None, None, "TLS-15"),
    "highest-common-version": (OLD, speaking(V1_0, V1_3), "TLSv1.2", None, None, "TLS-15"),
    "cipher-of-the-list": (
        f"ssl_protocols TLSv1.2; ssl_ciphers {AES128};",
        speaking(V1_2),
        "TLSv1.2",
        AES128,
        None,
        "TLS-7",
    ),
    "cipher-list-is-not-for-1-3": (
        f"ssl_protocols TLSv1.3; ssl_ciphers {AES128};",
        speaking(V1_3),
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
        None,
        "TLS-7",
    ),
    "client-chooses-the-cipher": (
        LISTED,
        speaking(V1_2, ciphers=f"{AES128}:{AES256}"),
        "TLSv1.2",
        AES128,
        None,
        "TLS-14",
    ),
    "server-chooses-the-cipher": (
        f"{LISTED} ssl_prefer_server_ciphers on;",
        speaking(V1_2, ciphers=f"{AES128}:{AES256}"),
        "TLSv1.2",
        AES256,
        None,
        "TLS-14",
    ),
    "ciphersuites-by-command": (
        "ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
        speaking(V1_3),
        "TLSv1.3",
        "TLS_AES_128_GCM_SHA256",
        None,
        "TLS-9",
    ),
    "server-preference-by-command": (
        f"{LISTED} ssl_conf_command Options ServerPreference;",
        speaking(V1_2, ciphers=f"{AES128}:{AES256}"),
        "TLSv1.2",
        AES256,
        None,
        "TLS-9",
    ),
    "group-of-the-list": (
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve secp384r1;",
        speaking(V1_3, curve="secp384r1"),
        "TLSv1.3",
        None,
        None,
        "TLS-12",
    ),
    "rsa-for-who-wants-it": (
        BOTH_KEYS,
        speaking(V1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256"),
        "TLSv1.2",
        None,
        "rsa_certificate",
        "TLS-4",
    ),
    "ecdsa-for-who-wants-it": (
        BOTH_KEYS,
        speaking(V1_2, ciphers=AES128),
        "TLSv1.2",
        None,
        "certificate",
        "TLS-4",
    ),
    "encrypted-key": (
        "ssl_certificate {certificate}; ssl_certificate_key {encrypted_key}; ssl_password_file {passwords};",
        speaking(V1_2),
        "TLSv1.2",
        None,
        "certificate",
        "TLS-13",
    ),
    "surplus-key-is-ignored": (
        f"{CERTIFICATE} ssl_certificate_key {{other_certificate}};",
        speaking(V1_2),
        "TLSv1.2",
        None,
        "certificate",
        "TLS-5",
    ),
}
DEVIATES: Mapping[str, Mapping[str, str]] = {
    "default-takes-1-3": {"nginx": "TLSv1.3 is a default since 1.23.4"},
    "1-1-by-default": {"nginx": "TLSv1.1 was a default before 1.27.3; OpenSSL's security level ends it"},
}

for slug, (directives, client, version, cipher, key, rules) in AGREED.items():
    tls = "" if "ssl_certificate " in directives else CERTIFICATE
    case(
        f"imap/tls/agreed-{slug}",
        f"handshake with {directives or 'the defaults'}",
        rules=rules,
        level=Level.VENDOR,
        directives=" ".join(word for word in directives.replace(";", " ").split() if word.startswith("ssl_")),
        block=block(directives, tls),
        deviates=DEVIATES.get(slug),
    )(_agrees(client, version, cipher, key))

VERSION, CIPHER = "TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE"
REFUSED: dict[str, tuple[str, Client, tuple[str, ...], str]] = {
    # slug: directives, client, alert, rules
    "1-1-by-default": ("", speaking(V1_0, V1_1), (VERSION,), "TLS-15"),
    "1-2-where-1-3-alone": ("ssl_protocols TLSv1.3;", speaking(V1_2), (VERSION,), "TLS-15"),
    "1-3-where-1-2-alone": ("ssl_protocols TLSv1.2;", speaking(V1_3), (VERSION,), "TLS-15"),
    "1-2-by-command": (
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command MinProtocol TLSv1.3;",
        speaking(V1_2),
        (VERSION,),
        "TLS-9",
    ),
    "1-3-by-command": (
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command MaxProtocol TLSv1.2;",
        speaking(V1_3),
        (VERSION,),
        "TLS-9",
    ),
    "cipher-not-in-the-list": (
        f"ssl_protocols TLSv1.2; ssl_ciphers {AES128};",
        speaking(V1_2, ciphers=AES256),
        (CIPHER,),
        "TLS-7",
    ),
    "anonymous-cipher": (
        "ssl_protocols TLSv1.2;",
        speaking(V1_2, ciphers="ADH-AES256-GCM-SHA384:@SECLEVEL=0"),
        (CIPHER,),
        "TLS-7",
    ),
    "cipher-by-command": (
        f"ssl_protocols TLSv1.2; ssl_conf_command CipherString {AES256};",
        speaking(V1_2, ciphers=AES128),
        (CIPHER,),
        "TLS-9",
    ),
    "group-not-in-the-list": (
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve secp384r1;",
        speaking(V1_3, curve="prime256v1"),
        (CIPHER,),
        "TLS-12",
    ),
    "rsa-without-such-a-key": (
        "ssl_protocols TLSv1.2;",
        speaking(V1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256"),
        (CIPHER,),
        "TLS-4",
    ),
}

for slug, (directives, client, reasons, rules) in REFUSED.items():
    case(
        f"imap/tls/refused-{slug}",
        f"handshake in vain with {directives or 'the defaults'}",
        rules=f"{rules} TLS-34",
        level=Level.VENDOR,
        directives=" ".join(word for word in directives.replace(";", " ").split() if word.startswith("ssl_")),
        block=block(directives),
        deviates=DEVIATES.get(slug),
    )(_disagrees(client, *reasons))


@case(
    "imap/tls/chain-is-sent",
    "intermediate certificates in the file go to the client, who knows the root only",
    rules="TLS-4",
    level=Level.VENDOR,
    directives="ssl_certificate",
    block=Block("imap", TLS.replace("{certificate}", "{chained_certificate}"), "ssl"),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.start_tls(bench.trusting(), NAME)
    await client.expect(b"* OK IMAP4 ready\r\n")
