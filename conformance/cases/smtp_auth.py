"""AUTH in SMTP: its forms, as the auth server is asked about them, and what is refused (smtp rules, section 7)."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.smtp_words import (
    ARGUMENT,
    DENIED,
    INVALID,
    NEXT,
    PASSWORD_PROMPT,
    USERNAME_PROMPT,
    b64,
    log_in_saying,
    settle,
    talk,
)
from conformance.verdict import Mismatch

__all__: list[str] = []

PLAIN = Block("smtp")
ALL = Block("smtp", "smtp_auth plain login cram-md5 external;")
CRAM_ONLY = Block("smtp", "smtp_auth cram-md5;")


@dataclass(frozen=True, slots=True)
class Form:
    """Lines that log in: all but the last are answered with the challenge beside them."""

    title: str
    rules: str
    turns: tuple[tuple[bytes, bytes], ...]
    last: bytes
    user: bytes = b"user"
    password: bytes = b"pass"
    method: bytes = b"plain"
    block: Block = PLAIN


TOKEN = b64(b"\0user\0pass")
USER, PASS = b64(b"user"), b64(b"pass")
GIVE_USER = (b"AUTH LOGIN\r\n", USERNAME_PROMPT)

FORMS = {
    "plain-initial": Form("AUTH PLAIN with its answer", "SMTP-56 SMTP-57", (), b"AUTH PLAIN " + TOKEN),
    "plain-challenge": Form("AUTH PLAIN, then its answer", "SMTP-55 SMTP-57", ((b"AUTH PLAIN\r\n", NEXT),), TOKEN),
    "plain-in-lower-case": Form("the mechanism in lower case", "SMTP-54 SMTP-18", (), b"auth plain " + TOKEN),
    "plain-always-on": Form("PLAIN although only CRAM-MD5 is enabled", "SMTP-57", (), b"AUTH PLAIN " + TOKEN,
                            block=CRAM_ONLY),
    "login-always-on": Form("LOGIN although only CRAM-MD5 is enabled", "SMTP-58",
                            (GIVE_USER, (USER + b"\r\n", PASSWORD_PROMPT)), PASS, block=CRAM_ONLY),
    "login-initial": Form("AUTH LOGIN with the user", "SMTP-56 SMTP-58",
                          ((b"AUTH LOGIN " + USER + b"\r\n", PASSWORD_PROMPT),), PASS),
    "login-challenge": Form("AUTH LOGIN, then user and password", "SMTP-55 SMTP-58",
                            (GIVE_USER, (USER + b"\r\n", PASSWORD_PROMPT)), PASS),
    "login-empty-user": Form("LOGIN with an empty user", "SMTP-67", (GIVE_USER, (b"\r\n", PASSWORD_PROMPT)), PASS,
                             user=b""),
    "login-empty-password": Form("LOGIN with an empty password", "SMTP-67",
                                 (GIVE_USER, (USER + b"\r\n", PASSWORD_PROMPT)), b"", password=b""),
    "login-any-octets": Form("LOGIN with CR, LF and 8-bit octets", "SMTP-67 SMTP-74",
                             (GIVE_USER, (b64(b"u\r\n\xff") + b"\r\n", PASSWORD_PROMPT)), b64(b"\x01\n\x80"),
                             user=b"u\r\n\xff", password=b"\x01\n\x80"),
    "plain-authorization-identity": Form("PLAIN with an authorization identity, which is ignored", "SMTP-66", (),
                                         b"AUTH PLAIN " + b64(b"boss\0user\0pass")),
    "plain-empty-user": Form("PLAIN with an empty user", "SMTP-66", (), b"AUTH PLAIN " + b64(b"\0\0pass"), user=b""),
    "plain-empty-password": Form("PLAIN with an empty password", "SMTP-66", (), b"AUTH PLAIN " + b64(b"\0user\0"),
                                 password=b""),
    "plain-any-octets": Form("PLAIN with spaces, CR, LF and 8-bit octets", "SMTP-74 SMTP-66", (),
                             b"AUTH PLAIN " + b64(b"\0a b\r\nc\0\xff \r\n"), user=b"a b\r\nc", password=b"\xff \r\n"),
    "base64-without-padding": Form("base64 without its padding", "SMTP-63", (),
                                   b"AUTH PLAIN " + b64(b"\0user\0passw").rstrip(b"="), password=b"passw"),
    "base64-ends-at-equals-sign": Form("junk behind the equals sign", "SMTP-63", (),
                                       b"AUTH PLAIN " + b64(b"\0user\0passw") + b"junk!", password=b"passw"),
    "base64-of-nothing": Form("a lone equals sign", "SMTP-63",
        (GIVE_USER, (b"=\r\n", PASSWORD_PROMPT)), PASS, user=b""),
    "answer-up-to-a-space": Form("only the first word of an answer counts", "SMTP-24", ((b"AUTH PLAIN\r\n", NEXT),),
                                 TOKEN + b" junk"),
    "answer-with-bare-lf": Form("an answer that ends with LF", "SMTP-17 SMTP-24",
                                ((b"AUTH LOGIN\n", USERNAME_PROMPT), (USER + b"\n", PASSWORD_PROMPT)), PASS),
    "many-spaces": Form("several spaces around the words", "SMTP-16", (), b"AUTH   PLAIN   " + TOKEN + b"  "),
    "external-initial": Form("AUTH EXTERNAL with the user", "SMTP-60 SMTP-70", (), b"AUTH EXTERNAL " + USER,
                             password=b"", method=b"external", block=ALL),
    "external-challenge": Form("AUTH EXTERNAL, then the user", "SMTP-60 SMTP-70",
                               ((b"AUTH EXTERNAL\r\n", USERNAME_PROMPT),), USER, password=b"", method=b"external",
                               block=ALL),
    "external-empty": Form("AUTH EXTERNAL with an empty user", "SMTP-70",
                           ((b"AUTH EXTERNAL\r\n", USERNAME_PROMPT),), b"", user=b"", password=b"",
                           method=b"external", block=ALL),
}  # fmt: skip


def _form(form: Form) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *form.turns)
        await client.send(form.last + b"\r\n")
        request = await bench.request()
        bench.check("Auth-Method", request["Auth-Method"], form.method)
        bench.check("the user", request.user, form.user)
        bench.check("the password", request.password, form.password)
        await request.answer("Auth-Status: no")
        await client.expect(DENIED)

    return script


for slug, form in FORMS.items():
    case(
        f"smtp/auth/{slug}",
        f"{form.title}: what the auth server is asked",
        rules=form.rules,
        directives="smtp_auth",
        block=form.block,
    )(_form(form))

REFUSED: dict[str, tuple[str, str, tuple[tuple[bytes, bytes], ...], Block]] = {
    "without-mechanism": ("AUTH alone", "SMTP-53", ((b"AUTH\r\n", ARGUMENT),), PLAIN),
    "unknown-mechanism": ("an unknown mechanism", "SMTP-54", ((b"AUTH XYZZY\r\n", INVALID),), PLAIN),
    "beginning-of-a-mechanism": ("the beginning of a mechanism's name", "SMTP-54",
        ((b"AUTH PLAI\r\n", INVALID),), PLAIN),
    "plain-with-two-answers": ("PLAIN with two words", "SMTP-54", ((b"AUTH PLAIN a b\r\n", INVALID),), PLAIN),
    "login-with-two-answers": ("LOGIN with two words", "SMTP-54",
                               ((b"AUTH LOGIN %s %s\r\n" % (USER, PASS), INVALID),), PLAIN),
    "external-with-two-answers": ("EXTERNAL with two words", "SMTP-54", ((b"AUTH EXTERNAL a b\r\n", INVALID),), ALL),
    "cram-md5-with-answer": ("CRAM-MD5 with a word", "SMTP-54 SMTP-59", ((b"AUTH CRAM-MD5 YQ==\r\n", INVALID),), ALL),
    "cram-md5-disabled": ("CRAM-MD5 where it is not enabled", "SMTP-54", ((b"AUTH CRAM-MD5\r\n", INVALID),), PLAIN),
    "external-disabled": ("EXTERNAL where it is not enabled", "SMTP-54",
                          ((b"AUTH EXTERNAL %s\r\n" % USER, INVALID),), PLAIN),
    "external-disabled-without-answer": ("EXTERNAL alone where it is not enabled", "SMTP-54",
                                         ((b"AUTH EXTERNAL\r\n", INVALID),), PLAIN),
    "xoauth2-disabled": ("XOAUTH2 where it is not enabled", "SMTP-54", ((b"AUTH XOAUTH2 YQ==\r\n", INVALID),), PLAIN),
    "oauthbearer-disabled": ("OAUTHBEARER where it is not enabled", "SMTP-54",
                             ((b"AUTH OAUTHBEARER YQ==\r\n", INVALID),), PLAIN),
    "none-as-a-mechanism": ("NONE, which is no mechanism", "SMTP-54", ((b"AUTH NONE\r\n", INVALID),), PLAIN),
    "apop-as-a-mechanism": ("APOP, which is of POP3", "SMTP-54", ((b"AUTH APOP\r\n", INVALID),), PLAIN),
    "star": ("a star instead of an answer", "SMTP-65", ((b"AUTH PLAIN\r\n", NEXT), (b"*\r\n", INVALID)), PLAIN),
    "star-for-the-password": ("a star instead of the password", "SMTP-65",
                              (GIVE_USER, (USER + b"\r\n", PASSWORD_PROMPT), (b"*\r\n", INVALID)), PLAIN),
    "quit-as-an-answer": ("QUIT in an exchange, which is taken as data", "SMTP-65",
                          ((b"AUTH PLAIN\r\n", NEXT), (b"QUIT\r\n", INVALID)), PLAIN),
    "auth-as-an-answer": ("AUTH in an exchange, which is taken as data", "SMTP-65",
                          ((b"AUTH PLAIN\r\n", NEXT), (b"AUTH PLAIN %s\r\n" % TOKEN, INVALID)), PLAIN),
    "leading-space-in-an-answer": ("a space before the answer makes it empty", "SMTP-24",
                                   ((b"AUTH PLAIN\r\n", NEXT), (b" %s\r\n" % TOKEN, INVALID)), PLAIN),
    "empty-answer": ("an empty answer for PLAIN", "SMTP-64 SMTP-66",
        ((b"AUTH PLAIN\r\n", NEXT), (b"\r\n", INVALID)), PLAIN),
    "no-nul": ("PLAIN without NUL", "SMTP-66 SMTP-64", ((b"AUTH PLAIN %s\r\n" % USER, INVALID),), PLAIN),
    "one-nul": ("PLAIN with one NUL", "SMTP-66 SMTP-64",
        ((b"AUTH PLAIN %s\r\n" % b64(b"user\0pass"), INVALID),), PLAIN),
    "third-nul": ("PLAIN with a NUL in the password", "SMTP-66 SMTP-74",
                  ((b"AUTH PLAIN %s\r\n" % b64(b"\0user\0pa\0ss"), INVALID),), PLAIN),
    "nul-in-login-user": ("LOGIN with a NUL in the user", "SMTP-67 SMTP-74",
                          (GIVE_USER, (b64(b"us\0er") + b"\r\n", PASSWORD_PROMPT), (PASS + b"\r\n", INVALID)), PLAIN),
    "base64-alphabet": ("octets that are no base64", "SMTP-63 SMTP-64",
        ((b"AUTH PLAIN AHVz!XIAcGFzcw\r\n", INVALID),), PLAIN),
    "base64-of-urls": ("base64 of URLs", "SMTP-63", ((b"AUTH PLAIN AHVzZXIAcGFz_-\r\n", INVALID),), PLAIN),
    "base64-length": ("base64 of a length that cannot be", "SMTP-63 SMTP-64",
        ((b"AUTH PLAIN AHVzZXIAcGFzc\r\n", INVALID),), PLAIN),
    "login-initial-undecodable": ("an undecodable user with AUTH LOGIN: no prompt for the password", "SMTP-67 SMTP-64",
                                  ((b"AUTH LOGIN !!!!\r\n", INVALID),), PLAIN),
    "login-user-undecodable": ("an undecodable user: no prompt for the password", "SMTP-64",
                               (GIVE_USER, (b"!!!!\r\n", INVALID)), PLAIN),
}  # fmt: skip


EXTERNAL_IN_NGINX = {"nginx": "1.22 takes EXTERNAL with an answer even where it is not enabled"}


def _refused(turns: tuple[tuple[bytes, bytes], ...]) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *turns, SMTP.noop)
        await settle(bench)
        bench.no_request()
        await log_in_saying(bench, client)  # with Auth-Login-Attempt 1, since nothing was attempted

    return script


for slug, (what, rules, turns, block) in REFUSED.items():
    case(
        f"smtp/auth/refused-{slug}",
        f"{what}: refused without a question to the auth server, and the session goes on",
        rules=rules,
        directives="smtp_auth",
        block=block,
        deviates=EXTERNAL_IN_NGINX if slug == "external-disabled" else None,
    )(_refused(turns))


# CRAM-MD5.

CHALLENGE = re.compile(rb"<\d+\.\d+@mx\.example>")


async def challenge(client: Peer) -> bytes:
    """Begin CRAM-MD5; return the challenge. Raises Mismatch for one of another form."""
    await client.send(b"AUTH CRAM-MD5\r\n")
    line = await client.line()
    if not line.startswith(b"334 ") or not CHALLENGE.fullmatch(b64decode(line[4:])):
        raise Mismatch("334 and <N.T@mx.example> in base64", repr(line))
    return b64decode(line[4:])


def digest(text: bytes, password: bytes) -> bytes:
    """The keyed digest of RFC 2195."""
    return hmac.new(password, text, hashlib.md5).hexdigest().encode()


@case(
    "smtp/auth/cram-md5",
    "the auth server is asked about user, digest and challenge of CRAM-MD5",
    rules="SMTP-59 SMTP-68 SMTP-69",
    directives="smtp_auth",
    block=ALL,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    text = await challenge(client)
    answer = digest(text, bench.password)
    await client.send(b64(bench.user + b" " + answer) + b"\r\n")
    request = await bench.request()
    bench.check("Auth-Method", request["Auth-Method"], b"cram-md5")
    bench.check("the user", request.user, bench.user)
    bench.check("the digest", request.password, answer)
    bench.check("Auth-Salt", request["Auth-Salt"], text)


@case(
    "smtp/auth/cram-md5-user-with-space",
    "the last space of the answer separates, so a user may have one",
    rules="SMTP-69",
    directives="smtp_auth",
    block=ALL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    text = await challenge(client)
    await client.send(b64(b"some user " + digest(text, b"x")) + b"\r\n")
    request = await bench.request()
    bench.check("the user", request.user, b"some user")


@case(
    "smtp/auth/cram-md5-challenge-is-fresh",
    "a second exchange has another challenge",
    rules="SMTP-68",
    directives="smtp_auth",
    block=ALL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    first = await challenge(client)
    await talk(client, (b"*\r\n", INVALID))
    second = await challenge(client)
    bench.check("another challenge", first == second, False)


@case(
    "smtp/auth/cram-md5-challenge-differs-between-sessions",
    "two sessions have different challenges",
    rules="SMTP-68",
    directives="smtp_auth",
    block=ALL,
)
async def _(bench: Bench) -> None:
    first, second = await greeted(bench), await greeted(bench)
    bench.check("another challenge", await challenge(first) == await challenge(second), False)


for slug, answer in {
    "short-digest": b"user " + b"0" * 31,
    "long-digest": b"user " + b"0" * 33,
    "no-space": b"user" + b"0" * 32,
    "empty": b"",
}.items():

    def _bad_cram(answer: bytes = answer) -> Script:
        async def script(bench: Bench) -> None:
            client = await greeted(bench)
            await challenge(client)
            await talk(client, (b64(answer) + b"\r\n", INVALID), SMTP.noop)
            bench.no_request()

        return script

    case(
        f"smtp/auth/refused-cram-md5-{slug}",
        f"an answer with {slug.replace('-', ' ')} is refused without a question to the auth server",
        rules="SMTP-64 SMTP-69",
        directives="smtp_auth",
        block=ALL,
    )(_bad_cram())


@case(
    "smtp/auth/external-forgets-an-earlier-password",
    "EXTERNAL after a refused PLAIN has no password",
    rules="SMTP-70",
    directives="smtp_auth",
    block=ALL,
    deviates={"nginx": "sends the password of the earlier attempt (SMTP-70)"},
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH PLAIN %s\r\n" % bench.plain64)
    await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(DENIED)
    await client.send(b"AUTH EXTERNAL %s\r\n" % b64(bench.user))
    request = await bench.request()
    bench.check("the password", request.password, b"")
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")
