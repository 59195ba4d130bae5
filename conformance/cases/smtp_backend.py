"""What an SMTP backend hears, line by line, and which replies it may give (proxy rules, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import greeted
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.smtp_words import (
    AUTHED,
    BACKEND_GREETING,
    BACKEND_OK,
    HELO,
    INTERNAL,
    OK,
    auth_plain,
    serve,
    settle,
    talk,
    xclient,
)

__all__ = ["WITH_AUTH"]

CAPABILITIES = b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n"


@dataclass(frozen=True, slots=True)
class Said:
    """What a client said before it logged in; `hello` is what the backend hears of it, `esmtp`: EHLO was said."""

    words: str
    turns: tuple[tuple[bytes, bytes], ...]
    hello: bytes
    esmtp: bool


EHLO_A, HELO_B = (b"EHLO a.example\r\n", CAPABILITIES), (b"HELO b.example\r\n", HELO)
SAID = {
    "nothing": Said("nothing", (), b"", esmtp=False),
    "helo": Said("HELO", (HELO_B,), b"HELO b.example\r\n", esmtp=False),
    "ehlo": Said("EHLO", (EHLO_A,), b"EHLO a.example\r\n", esmtp=True),
    "ehlo-then-helo": Said("EHLO, then HELO", (EHLO_A, HELO_B), b"EHLO b.example\r\n", esmtp=True),
    "helo-then-ehlo": Said("HELO, then EHLO", (HELO_B, EHLO_A), b"EHLO a.example\r\n", esmtp=True),
}


def block(*, xclient_on: bool, auth_on: bool) -> Block:
    """One of the four combinations; `none` mode is possible in all."""
    words = {True: "on", False: "off"}
    return Block("smtp", f"xclient {words[xclient_on]}; proxy_smtp_auth {words[auth_on]}; smtp_auth plain login none;")


def expected(bench: Bench, said: Said, *, xclient_on: bool, auth_on: bool, none: bool) -> list[bytes]:
    """All lines up to the hand-over, by PROXY-28, but for MAIL and RCPT."""
    verb = b"EHLO" if xclient_on or said.esmtp else b"HELO"
    lines = [verb + b" mx.example\r\n"]
    if xclient_on:
        lines.append(xclient(bench, b"" if auth_on or none else bench.user))
        if said.hello:
            lines.append(said.hello)
    if auth_on and not none:
        lines.append(auth_plain(bench))
    return lines


def _sequence(said: Said, *, xclient_on: bool, auth_on: bool, none: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, *said.turns)
        lines = expected(bench, said, xclient_on=xclient_on, auth_on=auth_on, none=none)
        mail, rcpt = b"MAIL FROM:<a@client.example>\r\n", b"RCPT TO:<%s>\r\n" % bench.user
        if none:
            await talk(client, (mail, OK))
            await client.send(rcpt)
        else:
            await client.send(auth_plain(bench))
        await bench.admit()
        backend = await bench.backend()
        await backend.send(BACKEND_GREETING)
        replies = {auth_plain(bench): b"235 welcome\r\n"}
        await serve(backend, *((line, replies.get(line, BACKEND_OK)) for line in lines))
        if none:
            await serve(backend, (mail, BACKEND_OK), (rcpt, b"250 2.1.5 recipient fine\r\n"))
        await client.expect(b"250 2.1.5 recipient fine\r\n" if none else AUTHED)
        await client.send(b"first in the relay\r\n")
        await backend.expect(b"first in the relay\r\n")

    return script


for (slug, said), xclient_on, auth_on, none in product(SAID.items(), (True, False), (True, False), (False, True)):
    name = f"xclient-{'on' if xclient_on else 'off'}-smtp-auth-{'on' if auth_on else 'off'}"
    mode = "none" if none else "auth"
    case(
        f"smtp/backend/{name}-{mode}-after-{slug}",
        f"the lines to the backend in {mode} mode, the client said {said.words}: {name.replace('-', ' ')}",
        rules="PROXY-29 PROXY-28 PROXY-37"
        + (" PROXY-32 SMTP-45" if "then" in slug else "")
        + ("" if xclient_on else " PROXY-30")
        + ((" PROXY-44" if none else " SASL-93") if auth_on else ""),
        directives="xclient proxy_smtp_auth smtp_auth",
        block=block(xclient_on=xclient_on, auth_on=auth_on),
    )(_sequence(said, xclient_on=xclient_on, auth_on=auth_on, none=none))


PLAIN = Block("smtp")
WITH_AUTH = block(xclient_on=True, auth_on=True)


async def begin(bench: Bench, *, greeting: bytes = BACKEND_GREETING) -> tuple[Peer, Peer]:
    """A client that was admitted without a hello, and its backend, which has greeted."""
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await bench.admit()
    backend = await bench.backend()
    await backend.send(greeting)
    return client, backend


# Replies that go on, in every step.


@dataclass(frozen=True, slots=True)
class Replies:
    """What the backend says in the four steps of XCLIENT and AUTH."""

    title: str
    greeting: bytes = BACKEND_GREETING
    ehlo: bytes = BACKEND_OK
    xclient: bytes = BACKEND_OK
    auth: bytes = b"235 ok\r\n"
    rules: str = "PROXY-28"


ACCEPTED = {
    "xclient-not-advertised": Replies("XCLIENT and AUTH are sent although EHLO does not offer them",
                                      ehlo=b"250-backend.example\r\n250 SIZE 1000\r\n", rules="PROXY-31"),
    "multiline-greeting": Replies("a greeting of two lines", greeting=b"220-backend\r\n220 ready\r\n",
                                  rules="PROXY-25 PROXY-28"),
    "multiline-ehlo": Replies("an EHLO reply of many lines", ehlo=b"250-backend\r\n250-SIZE\r\n250 AUTH LOGIN\r\n",
                              rules="PROXY-31 PROXY-25"),
    "xclient-greets-again": Replies("XCLIENT is answered with 220", xclient=b"220 backend.example again\r\n",
                                    rules="PROXY-40 PROXY-28"),
    "xclient-greets-in-two-lines": Replies("XCLIENT is answered with 220 in two lines",
                                           xclient=b"220-backend.example\r\n220 again\r\n", rules="PROXY-40"),
    "multiline-auth": Replies("AUTH is answered with 235 in two lines", auth=b"235-yes\r\n235 welcome\r\n",
                              rules="PROXY-28 PROXY-49"),
    "bare-codes": Replies("replies that are a code and a space", b"220 \r\n", b"250 \r\n", b"250 \r\n", b"235 \r\n",
                          rules="PROXY-24 PROXY-28"),
    "codes-without-space": Replies("replies that are nothing but a code with its line end", b"220\r\n", b"250\r\n",
                                   b"250\r\n", b"235\r\n", rules="PROXY-24 PROXY-28"),
}  # fmt: skip


def _accepted(replies: Replies) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await begin(bench, greeting=replies.greeting)
        await serve(
            backend,
            (b"EHLO mx.example\r\n", replies.ehlo),
            (xclient(bench, b""), replies.xclient),
            (auth_plain(bench), replies.auth),
        )
        await client.expect(AUTHED)

    return script


for slug, replies in ACCEPTED.items():
    case(
        f"smtp/backend/goes-on-{slug}",
        replies.title,
        rules=replies.rules,
        directives="xclient proxy_smtp_auth",
        block=WITH_AUTH,
        level=Level.VENDOR,
    )(_accepted(replies))


# Codes that a step does not accept: nothing more is sent, the client has the internal error.

STEPS = ("greeting", "ehlo", "xclient", "auth")
REFUSED = {
    "greeting": ("250", "421", "554"),
    "ehlo": ("220", "421", "500", "354"),
    "xclient": ("235", "421", "501", "550"),
    "auth": ("250", "334", "454", "535"),
}


def _refused(step: str, reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        told = {"greeting": BACKEND_GREETING, "auth": b"235 ok\r\n", step: reply}
        lines = {"ehlo": b"EHLO mx.example\r\n", "xclient": xclient(bench, b""), "auth": auth_plain(bench)}
        client, backend = await begin(bench, greeting=told["greeting"])
        for name in STEPS[1 : STEPS.index(step) + 1]:
            await serve(backend, (lines[name], told.get(name, BACKEND_OK)))
        await client.expect(INTERNAL)
        await client.expect_eof()
        await backend.expect_eof()

    return script


for step, codes in REFUSED.items():
    for code in codes:
        case(
            f"smtp/backend/{step}-answered-{code}-ends-the-login",
            f"{code} in step {step}: internal error for the client, no further line for the backend",
            rules="PROXY-28 PROXY-71 PROXY-4" + (" PROXY-46" if step == "auth" else ""),
            directives="proxy_smtp_auth xclient",
            block=WITH_AUTH,
        )(_refused(step, code.encode() + b" x\r\n"))


# Half-duplex.


@case(
    "smtp/backend/next-line-waits-for-the-whole-reply",
    "no line is sent before the last line of a reply is there",
    rules="PROXY-1 PROXY-24",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client, backend = await begin(bench, greeting=b"220-backend\r\n")
    await settle(bench)
    await backend.expect_nothing()
    await backend.send(b"220 ready\r\n")
    await serve(backend, (b"EHLO mx.example\r\n", b"250-one\r\n250-"))
    await settle(bench)
    await backend.expect_nothing()
    await backend.send(b"two\r\n250 three\r\n")
    await serve(backend, (xclient(bench), BACKEND_OK))
    await client.expect(AUTHED)


@case(
    "smtp/backend/replies-may-come-octet-by-octet",
    "every reply may arrive in single octets",
    rules="PROXY-25",
    block=PLAIN,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await bench.admit()
    backend = await bench.backend()
    await backend.send(b"220-a\r\n220 b\r\n", pieces=1)
    await backend.expect(b"EHLO mx.example\r\n")
    await backend.send(b"250-a\r\n250 b\r\n", pieces=1)
    await backend.expect(xclient(bench))
    await backend.send(b"250 ok\r\n", pieces=1)
    await client.expect(AUTHED)


# Hand-over.


@case(
    "smtp/backend/octets-behind-the-last-reply-reach-the-client",
    "what the backend sends with its last reply comes to the client behind 235",
    rules="PROXY-50",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client, backend = await begin(bench)
    await serve(
        backend,
        (b"EHLO mx.example\r\n", BACKEND_OK),
        (xclient(bench), b"250 ok\r\n421 4.3.2 going down\r\n"),
    )
    await client.expect(AUTHED)
    await backend.send(b"later\r\n")
    await client.expect(b"421 4.3.2 going down\r\nlater\r\n")


@case(
    "smtp/backend/client-reads-235-never-the-backends-text",
    "the client reads the proxy's 235, not the backend's",
    rules="PROXY-49 SMTP-1",
    directives="proxy_smtp_auth",
    block=WITH_AUTH,
)
async def _(bench: Bench) -> None:
    client, backend = await begin(bench)
    await serve(
        backend,
        (b"EHLO mx.example\r\n", BACKEND_OK),
        (xclient(bench, b""), BACKEND_OK),
        (auth_plain(bench), b"235 2.7.0 backend's own words\r\n"),
    )
    await client.expect(AUTHED)
    await backend.send(b"next\r\n")
    await client.expect(b"next\r\n")
