"""Exchanges at the edges: literals and quotes in answers, what counts in limits, salts that outlive STLS."""

from __future__ import annotations

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.sasl_digests import DIGEST, greeted_with_salt
from conformance.cases.sasl_oauth import DUMMY, GOOD
from conformance.frames import FRAMES, PASSWORD, USERNAME, Frame, b64

__all__: list[str] = []

IMAP = FRAMES["imap"]
PLAIN = b64(b"\0user\0pass")
START = IMAP.challenged(IMAP.start(b"PLAIN"))
BAD = b"a BAD invalid command\r\n"


# IMAP: an answer is words, not arguments.

case(
    "imap/sasl/answer-with-a-literal-as-second-word",
    "an announcement is refused, and nothing invites its octets",
    rules="IMAP-54 IMAP-52",
    block=IMAP.plain,
    limit=8,
)(dialogue(START, (PLAIN + b" {5}\r\n", BAD)))
case(
    "imap/sasl/answer-with-an-unwaited-literal-as-second-word",
    "an announcement is refused, and it is the end, since its octets are under way",
    rules="IMAP-54 IMAP-25",
    block=IMAP.plain,
)(dialogue(START, (PLAIN + b" {8+}\r\nb NOOP\r\n\r\n", BAD), closed=True))
case(
    "imap/sasl/answer-with-quotes-in-its-second-word",
    "quotes mean nothing, so a space inside them divides words",
    rules="IMAP-54 SASL-13",
    block=IMAP.block(more="max_errors 1;"),
)(dialogue(START, (PLAIN + b' "b c d"\r\n', BAD), closed=True))
case(
    "imap/sasl/tag-lasts-over-the-whole-exchange",
    "both prompts have none, the refusal has that of AUTHENTICATE",
    rules="IMAP-51 IMAP-50",
    block=IMAP.plain,
)(
    login(
        (b"X.7 AUTHENTICATE LOGIN\r\n", b"+ " + USERNAME + b"\r\n"),
        (b"dXNlcg==\r\n", b"+ " + PASSWORD + b"\r\n"),
        then=b"cGFzcw==\r\n",
        wanted=Attempt(),
        tag=b"X.7",
    )
)
case(
    "imap/sasl/refused-answer-has-the-tag",
    "the reject has the tag of AUTHENTICATE, and the next line its own",
    rules="IMAP-52 IMAP-51",
    block=IMAP.plain,
)(
    dialogue(
        (b"X.7 AUTHENTICATE PLAIN\r\n", b"+ \r\n"),
        (b"*\r\n", b"X.7 BAD invalid command\r\n"),
        (b"*\r\n", b"* BAD invalid command\r\n"),
    )
)


# What counts while a refused OAuth attempt waits for its dummy answer.


async def challenge(bench: Bench, frame: Frame, *lines: str) -> Turn:
    """Answer the request with a challenge; return the dummy answer and the refusal that follows it."""
    request = await bench.request()
    await request.answer("Auth-Status: no", "Auth-Error-SASL: e30=", *lines)
    return DUMMY["xoauth2"], {"imap": b"a NO no\r\n", "pop3": b"-ERR no\r\n", "smtp": b"535 5.7.0 no\r\n"}[frame.name]


def _dummy_counts(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"XOAUTH2", GOOD["xoauth2"]))
        dummy, refusal = await challenge(bench, frame, "Auth-Wait: 1")
        await client.expect(frame.challenge + b"e30=\r\n")
        await talk(client, (dummy, refusal))
        await talk(client, frame.rejected(frame.start(b"PLAIN", b"!!!!")))
        await client.expect_eof()
        bench.no_request()

    return script


def _unparsable_is_an_error(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"XOAUTH2", GOOD["xoauth2"]))
        await challenge(bench, frame, "Auth-Wait: 1")
        await client.expect(frame.challenge + b"e30=\r\n")
        await talk(client, frame.rejected(b"\r \r\n"))
        await client.expect_eof()

    return script


def _wrong_is_no_error(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"XOAUTH2", GOOD["xoauth2"]))
        await challenge(bench, frame, "Auth-Wait: 1")
        await client.expect(frame.challenge + b"e30=\r\n")
        await talk(client, frame.rejected(b"*\r\n"))
        await alive(bench, client)

    return script


for frame in FRAMES.values():
    case(
        f"{frame.name}/xoauth2/dummy-answer-counts-in-max-commands",
        "with max_commands 2 the line after it is the last",
        rules="SASL-84 SASL-19",
        block=frame.block("plain xoauth2", "max_commands 2;"),
        directives="max_commands",
    )(_dummy_counts(frame))
    case(
        f"{frame.name}/xoauth2/wrong-dummy-answer-is-no-error",
        "with max_errors 1 the session goes on",
        rules="SASL-84 SASL-18",
        block=frame.block("plain xoauth2", "max_errors 1;"),
        directives="max_errors",
    )(_wrong_is_no_error(frame))
    case(
        f"{frame.name}/xoauth2/unparsable-dummy-answer-is-an-error",
        "with max_errors 1 it is the end although Auth-Wait would keep the session",
        rules="SASL-81 SASL-18",
        block=frame.block("plain xoauth2", "max_errors 1;"),
        directives="max_errors",
    )(_unparsable_is_an_error(frame))


# APOP and STLS.


@case(
    "pop3/apop/salt-outlives-stls",
    "the greeting's salt is shown in clear, and is that of an attempt inside TLS",
    rules="POP3-4 SASL-25",
    block=Block(
        "pop3",
        "ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.2 TLSv1.3;"
        " starttls only; pop3_auth plain apop;",
    ),
    directives="starttls pop3_auth",
)
async def _(bench: Bench) -> None:
    client, salt = await greeted_with_salt(bench)
    await talk(client, (b"APOP mrose " + DIGEST + b"\r\n", b"-ERR invalid command\r\n"), (b"STLS\r\n", b"+OK\r\n"))
    await client.start_tls(bench.trusting(), "mx.example")
    await client.send(b"APOP mrose " + DIGEST + b"\r\n")
    request = await check_attempt(bench, client, Attempt(b"mrose", DIGEST, b"apop"))
    bench.check("Auth-Salt", request["Auth-Salt"], salt)
