"""The envelope in `smtp_auth none` mode: MAIL and RCPT as they are remembered, their order (smtp rules, section 8)."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.fakes.auth_server import AuthRequest
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.smtp_words import (
    ARGUMENT,
    BACKEND_GREETING,
    BACKEND_OK,
    HELO,
    INVALID,
    OK,
    SEQUENCE,
    serve,
    talk,
    xclient,
)

__all__ = ["MAIL", "MAIL_TURN", "NONE", "RCPT", "RCPT_TOO_EARLY", "check_request", "deliver", "envelope"]

NONE = Block("smtp", "smtp_auth none;")
MAIL = b"MAIL FROM:<a@client.example>"
RCPT = b"RCPT TO:<b@case.example>"
MAIL_TURN, RCPT_TOO_EARLY = (MAIL + b"\r\n", OK), (RCPT + b"\r\n", SEQUENCE)


async def envelope(client: Peer, mail: bytes = MAIL, rcpt: bytes = RCPT) -> None:
    """Give sender and recipient; the recipient is what the auth server is asked about. Raises Mismatch."""
    await talk(client, (mail + b"\r\n", OK))
    await client.send(rcpt + b"\r\n")


def check_request(bench: Bench, request: AuthRequest, helo: bytes, mail: bytes, rcpt: bytes) -> None:
    """The auth server was asked about exactly this. Raises Mismatch."""
    bench.check("Auth-Method", request["Auth-Method"], b"none")
    bench.check("Auth-User", request.all("Auth-User"), [b""])
    bench.check("Auth-Pass", request.all("Auth-Pass"), [b""])
    bench.check("Auth-SMTP-Helo", request.all("Auth-SMTP-Helo"), [helo])
    bench.check("Auth-SMTP-From", request.all("Auth-SMTP-From"), [mail])
    bench.check("Auth-SMTP-To", request.all("Auth-SMTP-To"), [rcpt])
    bench.check("the last headers", request.names[-3:], [b"Auth-SMTP-Helo", b"Auth-SMTP-From", b"Auth-SMTP-To"])


async def deliver(
    bench: Bench, client: Peer, *hello: bytes, mail: bytes = MAIL, rcpt: bytes = RCPT, reply: bytes = BACKEND_OK
) -> Peer:
    """Be the backend of an admitted client up to the reply to RCPT, which the client must read. Raises Mismatch."""
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(
        backend,
        (b"EHLO mx.example\r\n", BACKEND_OK),
        (xclient(bench, b""), BACKEND_OK),
        *((line, BACKEND_OK) for line in hello),
        (mail + b"\r\n", BACKEND_OK),
        (rcpt + b"\r\n", reply),
    )
    await client.expect(reply)
    return backend


# What is remembered of the lines.

LINES = {
    # slug: what, MAIL, as remembered, RCPT, as remembered
    "plain": (b"MAIL FROM:<a@b.example>\r\n", None, b"RCPT TO:<c@d.example>\r\n", None),
    "case-and-inner-spaces": (b"mail  from:<A@b>  SIZE=1\r\n", None, b"RcPt   To:<C@d>  NOTIFY=NEVER\r\n", None),
    "trailing-spaces": (b"MAIL FROM:<a@b>   \r\n", b"MAIL FROM:<a@b>", b"RCPT TO:<c@d> \r\n", b"RCPT TO:<c@d>"),
    "bare-line-feeds": (b"MAIL FROM:<a@b>\n", None, b"RCPT TO:<c@d>\n", None),
    "space-behind-the-colon": (b"MAIL FROM: <a@b>\r\n", None, b"RCPT TO: <c@d>\r\n", None),
    "null-sender": (b"MAIL FROM:<>\r\n", None, b"RCPT TO:<postmaster>\r\n", None),
    "parameters": (
        b"MAIL FROM:<a@b> SIZE=10 BODY=8BITMIME AUTH=<>\r\n",
        None,
        b"RCPT TO:<c@d> ORCPT=rfc822;c@d\r\n",
        None,
    ),
    "no-syntax-at-all": (b"MAIL foo\r\n", None, b"RCPT bar baz\r\n", None),
    "eight-bit-octets": (b"MAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\n", None, b"RCPT TO:<\xff\x80@d>\r\n", None),
    "percent-and-quotes": (b'MAIL FROM:<"a%20b"@c>\r\n', None, b"RCPT TO:<%41%0d%0a@d>\r\n", None),
    "eleven-arguments": (b"MAIL" + b" x" * 11 + b"\r\n", None, b"RCPT" + b" y" * 11 + b"\r\n", None),
}


def _remembered(mail: bytes, kept_mail: bytes, rcpt: bytes, kept_rcpt: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, (mail, OK))
        await client.send(rcpt)
        check_request(bench, await bench.admit(), b"", kept_mail, kept_rcpt)
        await deliver(bench, client, mail=kept_mail, rcpt=kept_rcpt)

    return script


for slug, (mail, kept_mail, rcpt, kept_rcpt) in LINES.items():
    case(
        f"smtp/none/lines-reach-the-backend-unchanged-{slug}",
        f"MAIL and RCPT with {slug.replace('-', ' ')}, as auth server and backend see them",
        rules="SMTP-77 PROXY-47 SMTP-78",
        directives="smtp_auth",
        block=NONE,
    )(_remembered(mail, kept_mail or mail.rstrip(b"\r\n"), rcpt, kept_rcpt or rcpt.rstrip(b"\r\n")))


# Order and arguments.


@dataclass(frozen=True, slots=True)
class Order:
    """Commands, after which the envelope of `deliver` must work if `then` says so."""

    title: str
    turns: tuple[tuple[bytes, bytes], ...]
    rules: str


OTHER = (b"MAIL FROM:<other@b>\r\n", OK)
ORDERS = {
    "second-mail": Order(
        "a second MAIL is refused, the first stays", (MAIL_TURN, (b"MAIL FROM:<x@y>\r\n", SEQUENCE)), "SMTP-36"
    ),
    "mail-without-argument": Order(
        "MAIL alone is refused and not remembered", ((b"MAIL\r\n", ARGUMENT), MAIL_TURN), "SMTP-36 SMTP-44"
    ),
    "mail-with-spaces-only": Order(
        "MAIL with nothing but spaces", ((b"MAIL   \r\n", ARGUMENT), MAIL_TURN), "SMTP-36 SMTP-16"
    ),
    "rcpt-without-argument": Order(
        "RCPT alone is refused, MAIL stays", (MAIL_TURN, (b"RCPT\r\n", ARGUMENT)), "SMTP-37 SMTP-44"
    ),
    "rcpt-before-mail": Order("RCPT before MAIL is refused", (RCPT_TOO_EARLY, MAIL_TURN), "SMTP-37"),
    "rcpt-without-argument-before-mail": Order(
        "the order of RCPT is looked at first", ((b"RCPT\r\n", SEQUENCE), MAIL_TURN), "SMTP-37"
    ),
    "rset": Order("RSET forgets MAIL", (OTHER, (b"RSET\r\n", OK), RCPT_TOO_EARLY, MAIL_TURN), "SMTP-38"),
    "ehlo": Order(
        "EHLO forgets MAIL", (OTHER, (b"EHLO c\r\n", HELO), RCPT_TOO_EARLY, (b"HELO c\r\n", HELO), MAIL_TURN), "SMTP-34"
    ),
    "helo": Order("HELO forgets MAIL", (OTHER, (b"HELO c\r\n", HELO), RCPT_TOO_EARLY, MAIL_TURN), "SMTP-33"),
    "refused-helo": Order("a refused HELO forgets nothing", (MAIL_TURN, (b"HELO\r\n", ARGUMENT)), "SMTP-44"),
    "noop": Order("NOOP forgets nothing", (MAIL_TURN, SMTP.noop), "SMTP-39"),
    "invalid": Order("an invalid line forgets nothing", (MAIL_TURN, SMTP.invalid), "SMTP-22"),
    "refused-auth": Order("a refused AUTH forgets nothing", (MAIL_TURN, (b"AUTH XYZ\r\n", INVALID)), "SMTP-54"),
    "data": Order("DATA is unknown before a recipient", (MAIL_TURN, (b"DATA\r\n", INVALID)), "SMTP-43"),
}


def _order(order: Order) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *order.turns)
        bench.no_request()
        await client.send(RCPT + b"\r\n")
        request = await bench.admit()
        bench.check("Auth-SMTP-From", request["Auth-SMTP-From"], MAIL)
        bench.check("Auth-SMTP-To", request["Auth-SMTP-To"], RCPT)
        ehlo = b"EHLO" if any(line.startswith(b"EHLO") for line, _ in order.turns) else b"HELO"
        said = any(line in (b"HELO c\r\n", b"EHLO c\r\n") for line, _ in order.turns)
        await deliver(bench, client, *((ehlo + b" c\r\n",) if said else ()))

    return script


for slug, order in ORDERS.items():
    case(
        f"smtp/none/order-{slug}",
        order.title,
        rules=order.rules,
        directives="smtp_auth",
        block=NONE,
        level=Level.VENDOR,
    )(_order(order))

CONTROLS = {"nul": b"\0", "tab": b"\t", "escape": b"\x1b", "delete": b"\x7f"}


def _control(octet: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(
            client, (b"MAIL FROM:<a%s@b>\r\n" % octet, ARGUMENT), MAIL_TURN, (b"RCPT TO:<c%s@d>\r\n" % octet, ARGUMENT)
        )
        await client.send(RCPT + b"\r\n")
        check_request(bench, await bench.request(), b"", MAIL, RCPT)

    return script


for slug, octet in CONTROLS.items():
    case(
        f"smtp/none/control-octet-{slug}",
        f"{slug} in MAIL or RCPT is refused, and neither is remembered",
        rules="SMTP-123 SMTP-36 SMTP-37",
        directives="smtp_auth",
        block=NONE,
    )(_control(octet))
