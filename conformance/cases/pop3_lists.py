"""POP3 CAPA and AUTH without arguments: which lines, in which order (pop3 rules, 5 and 6)."""

from __future__ import annotations

from conformance.attempts import Turn, dialogue
from conformance.case import Block, case
from conformance.rulebook import Level

__all__: list[str] = []

CERTIFICATE = "ssl_certificate {certificate}; ssl_certificate_key {certificate};"
ERR = b"-ERR invalid command\r\n"
NAMED = (b"USER user\r\n", b"+OK\r\n")


def capa(*lines: bytes) -> Turn:
    """CAPA and its lines."""
    return b"CAPA\r\n", b"\r\n".join((b"+OK Capability list follows", *lines, b".", b""))


def methods(*lines: bytes) -> Turn:
    """AUTH and its lines."""
    return b"AUTH\r\n", b"\r\n".join((b"+OK methods supported:", *lines, b".", b""))


WORDS = b"TOP", b"USER", b"UIDL"
ALL = b"PLAIN", b"LOGIN", b"CRAM-MD5", b"EXTERNAL"
OAUTH = b"XOAUTH2", b"OAUTHBEARER"

LISTS: dict[str, tuple[str, str, str, tuple[Turn, ...]]] = {
    # slug: what, rules, directives, turns
    "methods-in-fixed-order": ("whatever the configured order; plain brings LOGIN",
                               "SASL-1 POP3-26 POP3-40 CONF-48 CONF-37",
                               "pop3_auth external cram-md5 plain;",
                               (capa(*WORDS, b"SASL " + b" ".join(ALL)), methods(*ALL))),
    "methods-of-oauth-come-last": ("whatever the configured order", "SASL-1 POP3-26 CONF-48",
                                   "pop3_auth oauthbearer xoauth2 external cram-md5 plain;",
                                   (capa(*WORDS, b"SASL " + b" ".join(ALL + OAUTH)), methods(*ALL, *OAUTH))),
    "one-method": ("LOGIN is not listed without plain", "SASL-2 POP3-26", "pop3_auth cram-md5;",
                   (capa(*WORDS, b"SASL CRAM-MD5"), methods(b"CRAM-MD5"))),
    "apop-is-not-listed": ("neither in CAPA nor in AUTH", "POP3-26 POP3-40 CONF-37", "pop3_auth plain apop;",
                           (capa(*WORDS, b"SASL PLAIN LOGIN"), methods(b"PLAIN", b"LOGIN"))),
    "apop-alone-has-no-method": ("AUTH lists none", "POP3-40", "pop3_auth apop;", (methods(),)),
    "own-words": ("in their order, and case", "POP3-26", 'pop3_capabilities user "EXPIRE 3 USER" Top;',
                  (capa(b"user", b"EXPIRE 3 USER", b"Top", b"SASL PLAIN LOGIN"),)),
    "own-words-of-two-directives": ("appended", "POP3-26 CONF-29 CONF-31", "pop3_capabilities B; pop3_capabilities A;",
                                    (capa(b"B", b"A", b"SASL PLAIN LOGIN"),)),
    "starttls-on": ("STLS comes last", "POP3-25 POP3-26", f"{CERTIFICATE} starttls on;",
                    (capa(*WORDS, b"SASL PLAIN LOGIN", b"STLS"),)),
    "starttls-on-after-user": ("no STLS, since it is refused then", "POP3-29", f"{CERTIFICATE} starttls on;",
                               (NAMED, capa(*WORDS, b"SASL PLAIN LOGIN"), (b"STLS\r\n", ERR))),
    "starttls-only": ("no method and no USER", "POP3-25", f"{CERTIFICATE} starttls only;",
                      (capa(b"TOP", b"UIDL", b"STLS"), (b"AUTH\r\n", ERR))),
    "starttls-only-with-own-words": ("no USER in any case, but what looks like it", "POP3-25 POP3-26",
                                     f"{CERTIFICATE} starttls only; pop3_capabilities uSeR USERS TOP;",
                                     (capa(b"USERS", b"TOP", b"STLS"),)),
}  # fmt: skip
for slug, (what, rules, directives, turns) in LISTS.items():
    case(
        f"pop3/capability/{slug}",
        what,
        rules=rules,
        block=Block("pop3", directives),
        directives="pop3_auth" if "pop3_auth" in directives else "pop3_capabilities starttls",
        level=Level.VENDOR,
    )(dialogue(*turns))
case(
    "pop3/capability/no-empty-sasl-line",
    "a SASL line without a method is left out",
    rules="POP3-28",
    block=Block("pop3", "pop3_auth apop;"),
    directives="pop3_auth",
)(dialogue(capa(*WORDS)))


# Under starttls only, in clear.

for slug, line in {
    "user": b"USER user\r\n",
    "user-without-a-name": b"USER\r\n",
    "apop": b"APOP user 0123\r\n",
    "auth": b"AUTH\r\n",
    "auth-plain": b"AUTH PLAIN\r\n",
    "auth-plain-with-a-response": b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n",
    "pass": b"PASS pass\r\n",
}.items():
    case(
        f"pop3/starttls-only/{slug}-in-clear",
        "refused",
        rules="POP3-20 SASL-4",
        block=Block("pop3", f"{CERTIFICATE} starttls only; pop3_auth plain apop;"),
        directives="starttls",
        level=Level.VENDOR,
    )(dialogue((line, ERR), (b"PASS pass\r\n", ERR)))
