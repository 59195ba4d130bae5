"""Mail without authentication, `smtp_auth none`: verdicts, and the backend's replies (smtp rules, section 8)."""

from __future__ import annotations

from base64 import b64decode

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.cases.smtp_envelope import (
    MAIL,
    MAIL_TURN,
    NONE,
    RCPT,
    RCPT_TOO_EARLY,
    check_request,
    deliver,
    envelope,
)
from conformance.dialogues import greeted
from conformance.rulebook import Level
from conformance.smtp_words import (
    AUTHED,
    BACKEND_GREETING,
    BACKEND_OK,
    HELO,
    INTERNAL,
    OK,
    SEQUENCE,
    auth_plain,
    b64,
    log_in_saying,
    serve,
    talk,
    xclient,
)

__all__: list[str] = []


@case(
    "smtp/none/asks-about-the-envelope",
    "the auth server is asked about hello, sender and recipient, with empty credentials",
    rules="SMTP-78 SMTP-76 SASL-51",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, (b"EHLO c.example\r\n", b"250 mx.example\r\n"))
    await envelope(client)
    request = await bench.admit()
    check_request(bench, request, b"c.example", MAIL, RCPT)
    await deliver(bench, client, b"EHLO c.example\r\n")


@case(
    "smtp/none/asks-without-hello",
    "without HELO its header is there, and empty",
    rules="SMTP-78",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await envelope(client)
    check_request(bench, await bench.request(), b"", MAIL, RCPT)


@case(
    "smtp/none/headers-of-the-envelope-belong-to-none-mode",
    "a login with AUTH has no headers of an envelope",
    rules="SMTP-78 SMTP-75",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, (b"EHLO c.example\r\n", b"250 mx.example\r\n"))
    await client.send(auth_plain(bench))
    request = await bench.request()
    for name in ("Auth-SMTP-Helo", "Auth-SMTP-From", "Auth-SMTP-To"):
        bench.check(name, request.all(name), [])


# The backend's replies.

REPLIES = {
    "250": b"250 2.1.5 Ok\r\n",
    "251": b"251 will forward\r\n",
    "354": b"354 what now\r\n",
    "421": b"421 4.3.2 going down\r\n",
    "450": b"450 4.2.1 try again\r\n",
    "550": b"550 5.1.1 nobody here\r\n",
    "250-multiline": b"250-2.1.5 fine\r\n250-2.1.5 really\r\n250 2.1.5 yes\r\n",
    "550-multiline": b"550-5.1.1 nobody\r\n550 5.1.1 here\r\n",
}


def _rcpt_reply(reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await envelope(client)
        await bench.admit()
        backend = await deliver(bench, client, reply=reply)
        await client.send(b"RCPT TO:<next@d>\r\n")
        await backend.expect(b"RCPT TO:<next@d>\r\n")
        await backend.send(b"250 relayed\r\n")
        await client.expect(b"250 relayed\r\n")

    return script


for slug, reply in REPLIES.items():
    case(
        f"smtp/none/rcpt-reply-is-passed-{slug}",
        f"the backend's reply to RCPT comes to the client as it is, then the relay starts: {slug.replace('-', ' ')}",
        rules="PROXY-48 SMTP-76 SMTP-1",
        directives="smtp_auth",
        block=NONE,
        level=Level.VENDOR,
    )(_rcpt_reply(reply))


@case(
    "smtp/none/rcpt-reply-without-code-is-not-passed",
    "a reply to RCPT that is none is an internal error",
    rules="PROXY-48 PROXY-24",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await envelope(client)
    await bench.admit()
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(
        backend,
        (b"EHLO mx.example\r\n", BACKEND_OK),
        (xclient(bench, b""), BACKEND_OK),
        (MAIL + b"\r\n", BACKEND_OK),
        (RCPT + b"\r\n", b"junk\r\n"),
    )
    await client.expect(INTERNAL)
    await client.expect_eof()


def _mail_reply(reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await envelope(client)
        await bench.admit()
        backend = await bench.backend()
        await backend.send(BACKEND_GREETING)
        await serve(
            backend,
            (b"EHLO mx.example\r\n", BACKEND_OK),
            (xclient(bench, b""), BACKEND_OK),
            (MAIL + b"\r\n", reply),
        )
        await client.expect(INTERNAL)
        await client.expect_eof()
        await backend.expect_eof()

    return script


for code in ("251", "421", "450", "550"):
    case(
        f"smtp/none/mail-answered-{code}-ends-the-login",
        f"{code} for the replayed MAIL: internal error for the client, no RCPT for the backend",
        rules="PROXY-47 PROXY-28 PROXY-71",
        directives="smtp_auth",
        block=NONE,
    )(_mail_reply(code.encode() + b" x\r\n"))


# Pipelining, further recipients.


@case(
    "smtp/none/pipelined-envelope",
    "MAIL, RCPT, RCPT and DATA at once: one recipient is replayed, the rest is relayed behind it",
    rules="SMTP-105 SMTP-80 SMTP-92",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(MAIL + b"\r\n" + RCPT + b"\r\nRCPT TO:<second@d>\r\nDATA\r\n")
    await client.expect(OK)
    check_request(bench, await bench.admit(), b"", MAIL, RCPT)
    backend = await deliver(bench, client)
    await backend.expect(b"RCPT TO:<second@d>\r\nDATA\r\n")
    bench.no_request()


@case(
    "smtp/none/further-recipients-are-relayed",
    "only the first recipient is shown to the auth server",
    rules="SMTP-80",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await envelope(client)
    await bench.admit()
    backend = await deliver(bench, client)
    for line in (b"RCPT TO:<second@d>\r\n", b"RSET\r\n", MAIL + b"\r\n", b"RCPT TO:<third@d>\r\n"):
        await client.send(line)
        await backend.expect(line)
    bench.no_request()


# Refusals.


def _refused(answer: tuple[str, ...], line: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await envelope(client)
        await (await bench.request()).answer(*answer)
        await client.expect(line)
        await client.expect_eof()
        bench.no_backend()

    return script


for slug, answer, line in (
    ("default-code", ("Auth-Status: not you",), b"535 5.7.0 not you\r\n"),
    ("own-code", ("Auth-Status: no such user", "Auth-Error-Code: 550 5.1.1"), b"550 5.1.1 no such user\r\n"),
    ("temporary-code", ("Auth-Status: later", "Auth-Error-Code: 451 4.7.1"), b"451 4.7.1 later\r\n"),
):
    case(
        f"smtp/none/refused-{slug}",
        f"a refused recipient: {slug.replace('-', ' ')}, then close",
        rules="SMTP-88 SMTP-84",
        directives="smtp_auth",
        block=NONE,
    )(_refused(answer, line))


@case(
    "smtp/none/refused-with-wait-keeps-the-sender",
    "after a refusal with a wait MAIL is still there, and the next RCPT is asked about",
    rules="SMTP-79 SMTP-90 SMTP-85",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await envelope(client)
    request = await bench.request()
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"1")
    await request.answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(b"535 5.7.0 no\r\n")
    await talk(client, (MAIL + b"\r\n", SEQUENCE))
    await client.send(b"RCPT TO:<second@d>\r\n")
    request = await bench.admit()
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")
    check_request(bench, request, b"", MAIL, b"RCPT TO:<second@d>")
    await deliver(bench, client, rcpt=b"RCPT TO:<second@d>")


@case(
    "smtp/none/refused-then-rset",
    "RSET after a refusal with a wait forgets the sender",
    rules="SMTP-79 SMTP-38",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await envelope(client, mail=b"MAIL FROM:<first@b>")
    await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(b"535 5.7.0 no\r\n")
    await talk(client, (b"RSET\r\n", OK), RCPT_TOO_EARLY)
    await envelope(client)
    await bench.admit()
    await deliver(bench, client)


# AUTH beside it.


@case(
    "smtp/none/auth-stays-possible",
    "AUTH works with `smtp_auth none` alone, though it is not offered",
    rules="SMTP-75",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, (b"EHLO c\r\n", HELO))
    await log_in_saying(bench, client, b"EHLO c\r\n")


@case(
    "smtp/none/auth-after-mail-drops-mail",
    "AUTH behind MAIL logs in, without the sender",
    rules="SMTP-81",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, MAIL_TURN)
    await client.send(auth_plain(bench))
    request = await bench.admit()
    bench.check("Auth-Method", request["Auth-Method"], b"plain")
    bench.check("Auth-SMTP-From", request.all("Auth-SMTP-From"), [])
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(backend, (b"EHLO mx.example\r\n", BACKEND_OK), (xclient(bench), BACKEND_OK))
    await client.expect(AUTHED)
    await client.send(b"first in the relay\r\n")
    await backend.expect(b"first in the relay\r\n")


@case(
    "smtp/none/mail-forgets-earlier-credentials",
    "credentials that were refused are not shown with a later envelope",
    rules="SMTP-36 SMTP-78",
    directives="smtp_auth",
    block=NONE,
    level=Level.VENDOR,
    deviates={"nginx": "1.22 shows them to the auth server; forgotten since the 1.29 series"},
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(b"535 5.7.0 no\r\n")
    await envelope(client)
    request = await bench.admit()
    check_request(bench, request, b"", MAIL, RCPT)
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")
    await deliver(bench, client)


@case(
    "smtp/none/refused-auth-server-login-is-not-kept",
    "Auth-User of a refusal does not appear as LOGIN of the next, admitted envelope",
    rules="AUTH-50 AUTH-51",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await envelope(client)
    request = await bench.request()
    await request.answer("Auth-Status: no", "Auth-Wait: 1", "Auth-User: leftover", "Auth-Pass: leftover")
    await client.expect(b"535 5.7.0 no\r\n")
    await client.send(RCPT + b"\r\n")
    check_request(bench, await bench.admit(), b"", MAIL, RCPT)
    await deliver(bench, client)


@case(
    "smtp/none/rset-keeps-the-hello",
    "RSET forgets the envelope, not who the client said it is",
    rules="SMTP-38",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, (b"HELO cli.example\r\n", HELO), MAIL_TURN, (b"RSET\r\n", OK))
    await envelope(client)
    check_request(bench, await bench.admit(), b"cli.example", MAIL, RCPT)


@case(
    "smtp/none/mail-in-an-exchange-is-an-answer",
    "MAIL as the answer to a challenge is a password in base64, not a sender",
    rules="SMTP-65 SMTP-24",
    directives="smtp_auth",
    block=NONE,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, (b"AUTH LOGIN %s\r\n" % b64(b"user"), b"334 UGFzc3dvcmQ6\r\n"))
    await client.send(b"MAIL FROM:<a@b>\r\n")
    request = await bench.request()
    bench.check("Auth-Method", request["Auth-Method"], b"plain")
    bench.check("the password", request.password, b64decode(b"MAIL"))
    await request.answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(b"535 5.7.0 no\r\n")
    await talk(client, RCPT_TOO_EARLY)
