"""IMAP CAPABILITY: which words, in which order (imap rules, section 7)."""

from __future__ import annotations

from conformance.attempts import dialogue
from conformance.case import Block, case

__all__: list[str] = []

CERTIFICATE = "ssl_certificate {certificate}; ssl_certificate_key {certificate};"
WORDS = b"IMAP4 IMAP4rev1 UIDPLUS"

LISTS: dict[str, tuple[str, str, str, bytes]] = {
    # slug: what, rules, directives, the words of the reply
    "methods-in-fixed-order": ("whatever the configured order", "SASL-1 IMAP-36 CONF-48 SASL-9",
                               "imap_auth external cram-md5 login plain;",
                               WORDS + b" AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 AUTH=EXTERNAL"),
    "methods-of-oauth-come-last": ("whatever the configured order", "SASL-1 IMAP-36 CONF-48",
                                   "imap_auth oauthbearer xoauth2 external cram-md5 login plain;",
                                   WORDS + b" AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5 AUTH=EXTERNAL AUTH=XOAUTH2"
                                   b" AUTH=OAUTHBEARER"),
    "one-method": ("plain is not listed where it is not configured", "SASL-2 IMAP-36", "imap_auth cram-md5;",
                   WORDS + b" AUTH=CRAM-MD5"),
    "own-words": ("in their order, and case", "IMAP-36", "imap_capabilities IMAP4rev1 idle X-Moon;",
                  b"IMAP4rev1 idle X-Moon AUTH=PLAIN"),
    "own-words-of-two-directives": ("appended", "IMAP-36 CONF-29 CONF-31",
                                    "imap_capabilities IMAP4rev1; imap_capabilities B A;",
                                    b"IMAP4rev1 B A AUTH=PLAIN"),
    "own-words-with-a-space": ("as it is", "IMAP-37", 'imap_capabilities IMAP4rev1 "A B";',
                               b"IMAP4rev1 A B AUTH=PLAIN"),
    "own-words-that-repeat": ("not checked", "IMAP-38 CONF-29", "imap_capabilities IMAP4rev1 AUTH=PLAIN X X;",
                              b"IMAP4rev1 AUTH=PLAIN X X AUTH=PLAIN"),
    "starttls-on": ("STARTTLS comes last", "IMAP-36 IMAP-37", f"{CERTIFICATE} starttls on;",
                    WORDS + b" AUTH=PLAIN STARTTLS"),
    "starttls-only": ("no method in clear", "IMAP-36 IMAP-37", f"{CERTIFICATE} starttls only;",
                      WORDS + b" STARTTLS LOGINDISABLED"),
}  # fmt: skip
for slug, (what, rules, directives, words) in LISTS.items():
    case(
        f"imap/capability/{slug}",
        what,
        rules=rules,
        block=Block("imap", directives),
        directives="imap_auth" if "imap_auth" in directives else "imap_capabilities starttls",
    )(dialogue((b"a CAPABILITY\r\n", b"* CAPABILITY " + words + b"\r\na OK completed\r\n")))


ONLY = Block("imap", f"{CERTIFICATE} starttls only;")
BAD = b"a BAD invalid command\r\n"

for slug, (line, rules) in {
    "login": (b"a LOGIN user pass\r\n", "IMAP-33 SASL-4"),
    "login-with-an-unwaited-literal": (b"a LOGIN {4+}\r\n", "IMAP-30"),
    "authenticate": (b"a AUTHENTICATE PLAIN\r\n", "IMAP-33 SASL-4"),
    "authenticate-with-a-response": (b"a AUTHENTICATE PLAIN AHVzZXIAcGFzcw==\r\n", "IMAP-33 SASL-4"),
    "authenticate-with-an-unknown-method": (b"a AUTHENTICATE NOTHING\r\n", "IMAP-33 SASL-4"),
}.items():
    closed = b"+}" in line
    case(
        f"imap/starttls-only/{slug}-in-clear",
        "refused before any other check" + (", and the end, since the octets may be under way" if closed else ""),
        rules=rules,
        block=ONLY,
        directives="starttls",
        limit=8,
    )(dialogue((line, BAD), closed=closed))

case(
    "imap/starttls-only/no-continuation-invites-a-password",
    "an announcement is refused at the command word, and no continuation asks for the user",
    rules="IMAP-30",
    block=ONLY,
    directives="starttls",
)(dialogue((b"a LOGIN {4}\r\n", BAD), (b"user {4}\r\n", b"user BAD invalid command\r\n")))
