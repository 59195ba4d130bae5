"""Pipelining in SMTP: in the dialogue, behind a login, around a verdict (smtp rules, section 11)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, case
from conformance.dialogues import greeted
from conformance.rulebook import Level
from conformance.smtp_words import (
    AUTHED,
    BYE,
    DENIED,
    INVALID,
    NEED_AUTH,
    OK,
    PASSWORD_PROMPT,
    SEQUENCE,
    USERNAME_PROMPT,
    accept_login,
    auth_plain,
    b64,
    settle,
)

__all__: list[str] = []

PLAIN = Block("smtp")


@case(
    "smtp/pipelining/refused-mail-does-not-spoil-what-follows",
    "MAIL, RCPT and NOOP at once, without a login, are answered one by one",
    rules="SMTP-103",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\n")
    await client.expect(NEED_AUTH + SEQUENCE + OK)


@case(
    "smtp/pipelining/behind-plain",
    "lines behind AUTH PLAIN reach the backend after its login, not before",
    rules="SMTP-92 PROXY-51",
    block=PLAIN,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench) + b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
    backend = await accept_login(bench)
    await client.expect(AUTHED)
    await backend.expect(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")


@case(
    "smtp/pipelining/answers-to-challenges",
    "the answers of AUTH LOGIN may come with it, and what follows goes to the backend",
    rules="SMTP-104",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH LOGIN\r\n%s\r\n%s\r\nNOOP\r\n" % (b64(bench.user), b64(bench.password)))
    await client.expect(USERNAME_PROMPT + PASSWORD_PROMPT)
    backend = await accept_login(bench)
    await client.expect(AUTHED)
    await backend.expect(b"NOOP\r\n")


@case(
    "smtp/pipelining/part-of-a-line",
    "a line that came only in part goes to the backend in part, and the rest behind it",
    rules="SMTP-106",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench) + b"NO")
    backend = await accept_login(bench)
    await client.expect(AUTHED)
    await backend.expect(b"NO")
    await client.send(b"OP\r\n")
    await backend.expect(b"OP\r\n")


@case(
    "smtp/pipelining/nothing-is-read-while-the-auth-server-thinks",
    "commands behind AUTH are not answered before the verdict",
    rules="SMTP-91",
    block=PLAIN,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench) + b"NOOP\r\n")
    request = await bench.request()
    await client.send(b"VRFY x\r\n")
    await settle(bench)
    await client.expect_nothing()
    await request.answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(DENIED + OK + INVALID)


@case(
    "smtp/pipelining/dropped-behind-a-final-refusal",
    "commands behind an AUTH that is refused for good are dropped with the connection",
    rules="SMTP-91 SMTP-84",
    block=PLAIN,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench) + auth_plain(bench) + b"NOOP\r\n")
    await (await bench.request()).answer("Auth-Status: no")
    bench.check("all that is read", await client.rest(), DENIED, b"")
    await settle(bench)
    bench.no_request()


@case(
    "smtp/pipelining/octet-by-octet",
    "many commands in single octets are answered like those in one packet",
    rules="SMTP-23 SMTP-2",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"NOOP\r\nRSET\nVRFY x\r\nEHLO\r\nQUIT\r\n", pieces=1)
    await client.expect(OK + OK + INVALID + b"501 5.5.4 Invalid argument\r\n" + BYE)
    await client.expect_eof()
