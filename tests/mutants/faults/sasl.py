"""Faults in SASL: mechanisms, their challenges, base64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refproxy import session
from refproxy.config.settings import Mechanism
from refproxy.dialogue import client, pop3
from refproxy.dialogue.client import ClientCore
from refproxy.dialogue.mechanisms import SaslExchange
from refproxy.dialogue.pop3 import Pop3Client
from refproxy.wire import sasl
from tests.mutants.catalog import Change, fault
from tests.mutants.edits import constantly, edited, ruled, value


def finishing(name: bytes, change: Callable[[Any], Any]) -> Change:
    """Another way from the answers of a mechanism to credentials."""

    def with_another(table: dict[bytes, Any]) -> dict[bytes, Any]:
        return {**table, name: replace(table[name], finish=change(table[name].finish))}

    return client, "MECHANISMS", with_another


def described(name: bytes, **changes: Any) -> Change:
    """Another description of a mechanism."""
    return client, "MECHANISMS", lambda table: {**table, name: replace(table[name], **changes)}


fault(
    "plain-fields-swapped",
    "user and password of PLAIN are each other",
    "smtp/plain/*",
    finishing(b"PLAIN", edited(('b"plain", user, Secret(password)', 'b"plain", password, Secret(user)'))),
)
fault(
    "plain-authorization-identity-wins",
    "the authorization identity of PLAIN is the user",
    "*/plain/*",
    finishing(b"PLAIN", edited(('b"plain", user', 'b"plain", _authzid or user'))),
)
fault(
    "plain-without-a-password",
    "PLAIN needs no second NUL",
    "*/plain/*",
    finishing(b"PLAIN", edited(("not first or not second", "not first"))),
)
fault(
    "plain-challenged-with-text",
    "the challenge of PLAIN is not empty",
    "*/plain/*",
    described(b"PLAIN", prompts=(b"PLAIN",)),
)
fault(
    "login-prompts-swapped",
    "LOGIN asks for the password first",
    "*/login-method/*",
    described(b"LOGIN", prompts=(sasl.PASSWORD_PROMPT, sasl.USERNAME_PROMPT)),
)
fault(
    "login-answers-swapped",
    "LOGIN takes the password for the user",
    "*/login-method/*",
    finishing(b"LOGIN", lambda proper: lambda user, password: proper(password, user)),
)
fault(
    "login-no-initial-response",
    "LOGIN takes no user with the command",
    "*/login-method/*",
    described(b"LOGIN", initial=False),
)
fault(
    "login-user-kept-after-cancel",
    "a cancelled LOGIN goes on where it stopped",
    "*/login-method/* */sasl/login-cancelled*",
    (SaslExchange, "answer", edited(("sasl.decode_base64(text)", 'sasl.decode_base64(text) if text != b"*" else b""'))),
)
fault(
    "cram-salt-of-the-server",
    "every exchange has the same salt",
    "*/cram-md5/* smtp/auth/cram-md5*",
    (session, "_make_salt", constantly(b"<1804289383.1700000000@mx.example>")),
)
fault(
    "cram-salt-empty",
    "the salt is empty",
    "*/cram-md5/*",
    (session, "_make_salt", constantly(b"<@mx.example>")),
)
fault(
    "cram-salt-in-clear",
    "the challenge of CRAM-MD5 is not base64",
    "*/cram-md5/*",
    (
        SaslExchange,
        "challenge",
        edited(
            (
                "sasl.encode_base64(self.salt if prompt is None else prompt)",
                "self.salt if prompt is None else sasl.encode_base64(prompt)",
            )
        ),
    ),
)
fault(
    "cram-first-space",
    "the user of CRAM-MD5 ends at the first space",
    "*/cram-md5/*",
    finishing(b"CRAM-MD5", edited(("message.rpartition", "message.partition"))),
)
fault(
    "cram-any-digest",
    "a digest may have any length",
    "*/cram-md5/*",
    finishing(b"CRAM-MD5", edited((" or len(digest) != CRAM_MD5_DIGEST_LENGTH", ""))),
)
fault(
    "cram-with-a-response",
    "CRAM-MD5 takes an answer with the command",
    "*/sasl/cram-md5-*",
    described(b"CRAM-MD5", initial=True),
)
fault(
    "apop-salt-not-the-greetings",
    "the auth server gets another salt than the client",
    "pop3/apop/* pop3/auth-request/whole-apop",
    ruled(pop3, Pop3Client._apop, edited(("salt=self._apop_salt", "salt=self._make_salt()"))),
)
fault(
    "base64-needs-padding",
    "padding is not optional",
    "*/sasl/plain-without-padding smtp/auth/base64-*",
    (sasl, "decode_base64", edited(("if missing == 3:", "if missing == 3 or len(text) % 4:"))),
)
fault(
    "base64-of-urls",
    "base64 may have the alphabet of URLs",
    "*/sasl/plain-answered-* smtp/auth/refused-base64-*",
    (
        sasl,
        "decode_base64",
        lambda proper: lambda text: proper(text.replace(b"-", b"+").replace(b"_", b"/")),
    ),
)
fault(
    "base64-any-length",
    "a superfluous character is ignored",
    "*/sasl/plain-answered-* smtp/auth/refused-base64-*",
    (
        sasl,
        "decode_base64",
        edited(
            ("missing == 3", "False"),
            ("a2b_base64(significant + b", "a2b_base64(significant[: len(significant) - (missing == 3)] + b"),
            ("* missing", "* (missing % 3)"),
        ),
    ),
)
fault(
    "mechanisms-always-usable",
    "CRAM-MD5 works where it is not configured",
    "*/sasl/*-is-not-configured",
    (client, "ALWAYS_USABLE", lambda usable: usable | {Mechanism.CRAM_MD5}),
)
fault(
    "mechanisms-only-as-configured",
    "LOGIN does not work where it is not configured",
    "*/sasl/*-where-it-is-not-configured",
    (client, "ALWAYS_USABLE", value(frozenset({Mechanism.PLAIN}))),
)
fault(
    "mechanisms-in-another-order",
    "mechanisms are advertised backwards",
    "*/capability/methods-* smtp/ehlo/mechanisms-*",
    (ClientCore, "advertised", edited(("_names_of(self.configured)", "_names_of(self.configured)[::-1]"))),
)
fault(
    "xoauth2-cut-end",
    "XOAUTH2 may end with one 0x01",
    "*/xoauth2/*",
    finishing(
        b"XOAUTH2", edited(('endswith(b"\\x01\\x01")', 'endswith(b"\\x01")'), ("token[:-2]", 'token.rstrip(b"\\x01")'))
    ),
)
fault(
    "xoauth2-bearer-in-one-case",
    "`Bearer` must be spelled so",
    "*/xoauth2/*",
    (sasl, "_after", edited((".lower() == prefix", ' == prefix.replace(b"bearer", b"Bearer")'))),
)
fault(
    "oauthbearer-user-escaped",
    "the user of OAUTHBEARER keeps its escapes",
    "*/oauthbearer/*",
    (sasl, "_unescape_saslname", lambda _: lambda name: name),
)
fault(
    "oauth-any-acknowledgement",
    "any answer to an error challenge will do",
    "*/oauthbearer/challenge-answered-*",
    (
        ClientCore,
        "_oauth_acknowledgement",
        edited(("expected = words == (OAUTH_METHODS[credentials.method],)", "expected = True")),
    ),
)
fault(
    "oauth-no-challenge",
    "a refusal is told without its error challenge",
    "*/oauthbearer/*",
    (ClientCore, "_tell_refusal", edited(("refused.challenge is not None", "False"))),
)
fault(
    "answer-to-a-challenge-after-a-space",
    "spaces before an answer are skipped",
    "*/sasl/leading-space-*",
    (client, "split_answer", lambda proper: lambda line, most: proper(line.lstrip(b" "), most)),
)
