"""SMTP commands: what each is answered, and what it changes, as a later login shows (smtp rules, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.attempts import alive
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.smtp_words import (
    ARGUMENT,
    BYE,
    HELO,
    INVALID,
    NEED_AUTH,
    OK,
    SEQUENCE,
    auth_plain,
    log_in_saying,
    settle,
    talk,
)

__all__: list[str] = []

PLAIN = Block("smtp")
EHLO_REPLY = b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What a client says and hears; after it a login must work, in which the backend hears `hello` behind XCLIENT."""

    title: str
    rules: str
    turns: tuple[tuple[bytes, bytes], ...]
    hello: tuple[bytes, ...] = ()
    block: Block = PLAIN


KNOWN = (b"EHLO known.example\r\n", EHLO_REPLY)
KEPT = (b"EHLO known.example\r\n",)

DIALOGUES = {
    "helo": Dialogue("HELO is answered with the server's name", "SMTP-33", ((b"HELO c.example\r\n", HELO),),
                     (b"HELO c.example\r\n",)),
    "ehlo": Dialogue("EHLO is answered with name and mechanisms", "SMTP-34 SMTP-47",
                     ((b"EHLO c.example\r\n", EHLO_REPLY),), (b"EHLO c.example\r\n",)),
    "helo-without-argument": Dialogue("HELO without a name changes nothing", "SMTP-44 SMTP-33",
                                      (KNOWN, (b"HELO\r\n", ARGUMENT)), KEPT),
    "helo-with-two-arguments": Dialogue("HELO with two names changes nothing", "SMTP-44 SMTP-33",
                                        (KNOWN, (b"HELO a b\r\n", ARGUMENT)), KEPT),
    "ehlo-without-argument": Dialogue("EHLO without a name changes nothing", "SMTP-44 SMTP-34",
                                      (KNOWN, (b"EHLO\r\n", ARGUMENT)), KEPT),
    "ehlo-with-two-arguments": Dialogue("EHLO with two names changes nothing", "SMTP-44 SMTP-34",
                                        (KNOWN, (b"EHLO a b\r\n", ARGUMENT)), KEPT),
    "refused-ehlo-leaves-no-mark": Dialogue("an EHLO that was refused is not remembered as ESMTP", "SMTP-44 SMTP-34",
                                            ((b"EHLO\r\n", ARGUMENT), (b"HELO c.example\r\n", HELO)),
                                            (b"HELO c.example\r\n",)),
    "last-hello-counts": Dialogue("of several names the last counts", "SMTP-34 PROXY-28",
                                  ((b"EHLO a.example\r\n", EHLO_REPLY), (b"EHLO b.example\r\n", EHLO_REPLY)),
                                  (b"EHLO b.example\r\n",)),
    "any-text-is-a-name": Dialogue("the name is not checked for syntax", "SMTP-46 SMTP-33",
                                   ((b"HELO <[not!a]name;>=\r\n", HELO),), (b"HELO <[not!a]name;>=\r\n",)),
    "eight-bit-name": Dialogue("8-bit octets in a name are passed on", "SMTP-123 SMTP-34",
                               ((b"EHLO m\xc3\xbcller\xff\r\n", EHLO_REPLY),), (b"EHLO m\xc3\xbcller\xff\r\n",)),
    "address-literal": Dialogue("an address literal is a name", "SMTP-34 PROXY-41",
                                ((b"EHLO [IPv6:2001:db8::1]\r\n", EHLO_REPLY),), (b"EHLO [IPv6:2001:db8::1]\r\n",)),
    "mail-needs-authentication": Dialogue("MAIL is refused before a login", "SMTP-36 SMTP-44",
                                          (KNOWN, (b"MAIL FROM:<a@b>\r\n", NEED_AUTH)), KEPT),
    "mail-without-argument-needs-authentication": Dialogue("MAIL is refused before its arguments are looked at",
                                                           "SMTP-36", ((b"MAIL\r\n", NEED_AUTH),)),
    "mail-before-hello-needs-authentication": Dialogue("MAIL before HELO is refused for the login, not for the order",
                                                       "SMTP-36", ((b"MAIL FROM:<a@b>\r\n", NEED_AUTH),)),
    "mail-refused-again": Dialogue("a refused MAIL is not remembered", "SMTP-44 SMTP-36",
                                   ((b"MAIL FROM:<a@b>\r\n", NEED_AUTH), (b"MAIL FROM:<a@b>\r\n", NEED_AUTH))),
    "rcpt-out-of-sequence": Dialogue("RCPT without MAIL", "SMTP-37 SMTP-44", (KNOWN, (b"RCPT TO:<a@b>\r\n", SEQUENCE)),
                                     KEPT),
    "rcpt-after-refused-mail": Dialogue("RCPT behind a refused MAIL", "SMTP-37",
                                        ((b"MAIL FROM:<a@b>\r\n", NEED_AUTH), (b"RCPT TO:<a@b>\r\n", SEQUENCE))),
    "rcpt-without-argument": Dialogue("the order of RCPT is looked at before its arguments", "SMTP-37",
                                      ((b"RCPT\r\n", SEQUENCE),)),
    "rset": Dialogue("RSET keeps the name", "SMTP-38", (KNOWN, (b"RSET\r\n", OK)), KEPT),
    "rset-with-arguments": Dialogue("RSET takes any arguments", "SMTP-38", ((b"RSET a b c\r\n", OK),)),
    "noop": Dialogue("NOOP changes nothing", "SMTP-39", (KNOWN, (b"NOOP\r\n", OK)), KEPT),
    "noop-with-arguments": Dialogue("NOOP takes any arguments", "SMTP-39", ((b"NOOP a b c\r\n", OK),)),
    "starttls-off": Dialogue("STARTTLS is refused where it is off", "SMTP-97 SMTP-41",
                             (KNOWN, (b"STARTTLS\r\n", INVALID)), KEPT),
    "starttls-off-with-argument": Dialogue("STARTTLS with an argument is refused where it is off", "SMTP-97 SMTP-41",
                                           ((b"STARTTLS now\r\n", INVALID),)),
    "vrfy": Dialogue("VRFY is refused", "SMTP-42", (KNOWN, (b"VRFY postmaster\r\n", INVALID)), KEPT),
    "expn": Dialogue("EXPN is refused", "SMTP-42", (KNOWN, (b"EXPN list\r\n", INVALID)), KEPT),
    "help": Dialogue("HELP is refused", "SMTP-42", (KNOWN, (b"HELP\r\n", INVALID)), KEPT),
    "no-hello-needed": Dialogue("RSET, NOOP and AUTH work before any HELO", "PROXY-29 SMTP-38 SMTP-39",
                                ((b"RSET\r\n", OK), (b"NOOP\r\n", OK))),
}  # fmt: skip

UNKNOWN = {
    "data": b"DATA",
    "bdat": b"BDAT 10 LAST",
    "etrn": b"ETRN example",
    "lhlo": b"LHLO c.example",
    "xclient": b"XCLIENT ADDR=192.0.2.1 LOGIN=boss",
    "xforward": b"XFORWARD ADDR=192.0.2.1",
    "send": b"SEND FROM:<a@b>",
    "burl": b"BURL imap://x LAST",
    "http": b"GET / HTTP/1.0",
    "beginning-of-a-verb": b"NOO",
    "more-than-a-verb": b"NOOPS",
    "starttls-with-more": b"STARTTLSX",
}


def _dialogue(dialogue: Dialogue) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *dialogue.turns)
        await log_in_saying(bench, client, *dialogue.hello)

    return script


for slug, dialogue in DIALOGUES.items():
    case(
        f"smtp/command/{slug}",
        dialogue.title,
        rules=dialogue.rules,
        block=dialogue.block,
    )(_dialogue(dialogue))

TWO_ERRORS = Block("smtp", "max_errors 2;")


def _unknown(line: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, (line + b"\r\n", INVALID), SMTP.noop)
        await log_in_saying(bench, client)  # from the case's own address, whatever XCLIENT said
        client = await greeted(bench)
        await talk(client, (line + b"\r\n", INVALID), (line + b"\r\n", INVALID))
        await client.expect_eof()

    return script


for slug, line in UNKNOWN.items():
    case(
        f"smtp/command/unknown-{slug}",
        f"{line.decode()!r} is no command, and an error for max_errors",
        rules="SMTP-43 SMTP-21 SMTP-29",
        directives="max_errors",
        block=TWO_ERRORS,
    )(_unknown(line))


@case(
    "smtp/command/replies-keep-the-order-of-commands",
    "pipelined commands are answered one by one in their order",
    rules="SMTP-2 SMTP-103",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"EHLO a\r\nHELO b\r\nVRFY c\r\nRCPT d\r\nNOOP\r\nHELO\r\n")
    await client.expect(EHLO_REPLY + HELO + INVALID + SEQUENCE + OK + ARGUMENT)
    if client.loosely is None:
        await log_in_saying(bench, client, b"EHLO b\r\n")
    else:
        await alive(bench, client)


def _quit(line: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, (line, BYE))
        await client.expect_eof()

    return script


for slug, line in {"plain": b"QUIT\r\n", "with-arguments": b"QUIT now please\r\n", "lower-case": b"quit\r\n"}.items():
    case(
        f"smtp/command/quit-{slug}",
        f"{line.strip().decode()!r} is answered, then the connection is closed",
        rules="SMTP-40",
        block=PLAIN,
    )(_quit(line))


@case(
    "smtp/command/nothing-behind-quit-is-done",
    "a login behind QUIT is dropped",
    rules="SMTP-40",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"QUIT\r\nNOOP\r\n" + auth_plain(bench))
    await client.expect(BYE)
    await client.expect_eof()
    await settle(bench)
    bench.no_request()


CONTROLS = {"nul": b"\0", "tab": b"\t", "escape": b"\x1b", "delete": b"\x7f", "bell": b"\x07"}


def _control(octet: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, KNOWN, (b"HELO a%sb\r\n" % octet, ARGUMENT), (b"EHLO a%sb\r\n" % octet, ARGUMENT))
        await log_in_saying(bench, client, *KEPT)

    return script


for slug, octet in CONTROLS.items():
    case(
        f"smtp/command/control-octet-in-hello-{slug}",
        f"{slug} in the name of HELO or EHLO is refused",
        rules="SMTP-123 SMTP-33 SMTP-34",
        block=PLAIN,
    )(_control(octet))


@case(
    "smtp/command/server-name-of-the-block",
    "greeting, HELO, EHLO and the hello to the backend have the block's server_name",
    rules="CORE-16 CORE-15 SMTP-47",
    directives="server_name",
    block=Block("smtp", "server_name other.example;"),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.expect(b"220 other.example ESMTP ready\r\n")
    await talk(
        client,
        (b"HELO a\r\n", b"250 other.example\r\n"),
        (b"EHLO a\r\n", b"250-other.example\r\n250 AUTH PLAIN LOGIN\r\n"),
    )
    await client.send(auth_plain(bench))
    await bench.admit()
    backend = await bench.backend()
    await backend.send(b"220 backend.example ESMTP\r\n")
    await backend.expect(b"EHLO other.example\r\n")
