"""The frame around every SASL mechanism, in all three protocols: names, arguments, answers, cancels (sasl rules, 2)."""

from __future__ import annotations

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import PROTOCOLS
from conformance.frames import FRAMES, PASSWORD, USERNAME, Frame, b64

__all__: list[str] = []

PLAIN = b64(b"\0user\0pass")
CERTIFICATE = "ssl_certificate {certificate}; ssl_certificate_key {certificate};"


def first_turn(frame: Frame, method: bytes) -> Turn:
    """The command without an initial response, and its challenge; not for CRAM-MD5."""
    return frame.challenged(frame.start(method), USERNAME if method in (b"LOGIN", b"EXTERNAL") else b"")


# Names, and how many words may follow.

for frame in FRAMES.values():
    refused: dict[str, tuple[str, str, bytes]] = {
        # slug: what, rules, the command
        "unknown-method": ("refused", "SASL-7", frame.start(b"XYZZY")),
        "prefix-of-a-method": ("a name must match as a whole", "SASL-7", frame.start(b"PLAI", PLAIN)),
        "method-and-more-letters": ("a name must match as a whole", "SASL-7", frame.start(b"PLAINS", PLAIN)),
        "method-of-another-protocol": ("APOP is no SASL method", "SASL-7", frame.start(b"APOP")),
        "plain-with-two-responses": ("refused", "SASL-8", frame.start(b"PLAIN", PLAIN + b" " + PLAIN)),
        "login-with-two-responses": ("refused", "SASL-8", frame.start(b"LOGIN", b"dXNlcg== cGFzcw==")),
        "cram-md5-with-a-response": ("refused", "SASL-8", frame.start(b"CRAM-MD5", b64(b"user " + b"0" * 32))),
        "external-with-two-responses": ("refused", "SASL-8", frame.start(b"EXTERNAL", b"dXNlcg== dXNlcg==")),
    }
    for slug, (what, rules, octets) in refused.items():
        case(f"{frame.name}/sasl/{slug}", what, rules=rules, block=frame.plain, directives=f"{frame.name}_auth")(
            dialogue(frame.rejected(octets), frame.rejected(octets))
        )
    case(
        f"{frame.name}/sasl/method-in-mixed-case",
        "names know no case",
        rules="SASL-7",
        block=frame.plain,
    )(login(then=frame.start(b"pLaIn", PLAIN), wanted=Attempt()))

    # What is not configured.

    for method in (b"CRAM-MD5", b"EXTERNAL", b"XOAUTH2", b"OAUTHBEARER"):
        for response in (None, b64(b"user")):
            if response is not None and method == b"CRAM-MD5":
                continue
            case(
                f"{frame.name}/sasl/{method.decode().lower()}-is-not-configured"
                + ("" if response is None else "-nor-its-response-looked-at"),
                "refused, since it is not configured",
                rules="SASL-3 SASL-5 CONF-47",
                block=frame.words.block,
                directives=f"{frame.name}_auth",
                deviates={"nginx": "1.22 asks whether EXTERNAL is configured only where no response comes with it"}
                if method == b"EXTERNAL" and response is not None
                else None,
            )(dialogue(frame.rejected(frame.start(method, response)), frame.rejected(frame.start(method.lower()))))
    unlisted = frame.block("cram-md5")
    case(
        f"{frame.name}/sasl/plain-works-where-it-is-not-configured",
        "PLAIN is always on",
        rules="SASL-2 CONF-47",
        block=unlisted,
        directives=f"{frame.name}_auth",
    )(login(then=frame.start(b"PLAIN", PLAIN), wanted=Attempt()))
    case(
        f"{frame.name}/sasl/login-works-where-it-is-not-configured",
        "LOGIN is always on",
        rules="SASL-2 CONF-47",
        block=unlisted,
        directives=f"{frame.name}_auth",
    )(
        login(
            first_turn(frame, b"LOGIN"),
            frame.challenged(b"dXNlcg==\r\n", PASSWORD),
            then=b"cGFzcw==\r\n",
            wanted=Attempt(),
        )
    )
    only = Block(frame.name, f"{CERTIFICATE} starttls only; {frame.name}_auth plain cram-md5 external;")
    for method in (b"PLAIN", b"LOGIN", b"CRAM-MD5", b"EXTERNAL", b"XYZZY"):
        case(
            f"{frame.name}/sasl/{method.decode().lower()}-in-clear-under-starttls-only",
            "every mechanism is refused before any other check",
            rules="SASL-4",
            block=only,
            directives="starttls",
        )(dialogue(frame.rejected(frame.start(method)), frame.rejected(frame.start(method, PLAIN))))


# What SMTP lists; for the other protocols see imap_capability and pop3_lists.

LISTED: dict[str, tuple[str, str, bytes]] = {
    "methods-in-fixed-order": ("whatever the configured order", "external cram-md5 login plain",
                               b"PLAIN LOGIN CRAM-MD5 EXTERNAL"),
    "methods-of-oauth-come-last": ("whatever the configured order", "oauthbearer xoauth2 external cram-md5 login plain",
                                   b"PLAIN LOGIN CRAM-MD5 EXTERNAL XOAUTH2 OAUTHBEARER"),
    "plain-does-not-bring-login": ("listed is what is configured", "plain", b"PLAIN"),
    "none-is-not-listed": ("it is no method", "none cram-md5", b"CRAM-MD5"),
}  # fmt: skip
for slug, (what, methods, listed) in LISTED.items():
    case(
        f"smtp/sasl/{slug}",
        what,
        rules="SASL-1 SASL-2 SMTP-48",
        block=FRAMES["smtp"].block(methods),
        directives="smtp_auth",
    )(dialogue((b"EHLO c.example\r\n", b"250-mx.example\r\n250 AUTH " + listed + b"\r\n")))


# Exchanges that end without an attempt; the session goes on, and a login is still possible.


def _abandoned(frame: Frame, *turns: Turn) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await talk(client, *turns)
        await alive(bench, client)
        await client.send(frame.start(b"PLAIN", PLAIN))
        request = await check_attempt(bench, client, Attempt())
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"1")

    return script


def _abandoned_cram(frame: Frame, answer: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"CRAM-MD5"))
        await client.line()
        await talk(client, frame.rejected(answer))
        await alive(bench, client)

    return script


# One reason at a time: each answer is refused by another part of a proxy.
ANSWERS: dict[str, tuple[str, str, bytes]] = {
    # slug: what, rules, the answer
    "cancel": ("`*` cancels", "SASL-16 SASL-15 pop3:POP3-46", b"*\r\n"),
    "cancel-before-a-bare-line-feed": ("`*` cancels", "SASL-13 SASL-16", b"*\n"),
    "cancel-and-more": ("only the first word is read", "SASL-13 SASL-16", b"* " + PLAIN + b"\r\n"),
    "bad-base64": ("an octet that is in no alphabet", "SASL-12 SASL-16 pop3:POP3-46", b"AHVz!XIAcGFzcw==\r\n"),
    "alphabet-for-urls": ("`-` and `_` are not taken", "SASL-12", b"AHVzZXIAcGFz-_==\r\n"),
    "five-significant-characters": ("cannot be base64", "SASL-12", b"AHVzZ\r\n"),
    "quoted-answer": ("quotes mean nothing here", "SASL-12 SASL-13 imap:IMAP-54", b'"' + PLAIN + b'"\r\n'),
    "quit": ("a command is an answer here, and no base64 by chance", "SASL-14 SASL-12", b"QUIT.\r\n"),
    "percent-encoded-answer": ("no base64", "SASL-12", b"AHVzZXIAcGFzcw%3D%3D\r\n"),
    "nul": ("no base64", "SASL-12", b"AHVz\0XIAcGFzcw==\r\n"),
}
for frame in FRAMES.values():
    for slug, (what, rules, answer) in ANSWERS.items():
        case(
            f"{frame.name}/sasl/plain-answered-with-{slug}",
            what,
            rules=rules,
            block=frame.plain,
        )(_abandoned(frame, first_turn(frame, b"PLAIN"), frame.rejected(answer)))
    for method in (b"LOGIN", b"EXTERNAL"):
        case(
            f"{frame.name}/sasl/{method.decode().lower()}-cancelled",
            "`*` at the username prompt cancels",
            rules="SASL-16 SASL-15",
            block=frame.plain,
            deviates={"nginx": "the reject has no tag, as in 1.31.5 (IMAP-53)"}
            if (frame.name, method) == ("imap", b"LOGIN")
            else None,
        )(_abandoned(frame, first_turn(frame, method), frame.rejected(b"*\r\n")))
    case(
        f"{frame.name}/sasl/login-cancelled-at-the-password",
        "`*` at the password prompt cancels, and the user name is forgotten",
        rules="SASL-16 SASL-33",
        block=frame.plain,
    )(
        _abandoned(
            frame,
            first_turn(frame, b"LOGIN"),
            frame.challenged(b"dXNlcg==\r\n", PASSWORD),
            frame.rejected(b"*\r\n"),
        )
    )
    case(
        f"{frame.name}/sasl/cram-md5-cancelled",
        "`*` cancels",
        rules="SASL-16 SASL-15",
        block=frame.plain,
    )(_abandoned_cram(frame, b"*\r\n"))
    for method in (b"XOAUTH2", b"OAUTHBEARER"):
        case(
            f"{frame.name}/sasl/{method.decode().lower()}-cancelled",
            "`*` cancels",
            rules="SASL-16 SASL-15",
            block=frame.oauth,
        )(_abandoned(frame, first_turn(frame, method), frame.rejected(b"*\r\n")))


# Answers that are taken although they look odd.

for frame in FRAMES.values():
    TAKEN: dict[str, tuple[str, str, bytes]] = {
        "without-padding": ("padding is optional", "SASL-12", PLAIN.rstrip(b"=") + b"\r\n"),
        "with-junk-behind-the-padding": ("nothing behind `=` is read", "SASL-12", PLAIN.rstrip(b"=") + b"=!*junk\r\n"),
        "with-unused-bits": ("not checked", "SASL-12", b"AHVzZXIAcGFzcx==\r\n"),
        "with-a-second-word": ("ignored", "SASL-13 imap:IMAP-54", PLAIN + b" !!!!\r\n"),
        "with-a-third-word": ("ignored", "SASL-13 imap:IMAP-54", PLAIN + b" *  *\r\n"),
        "with-spaces-behind-it": ("ignored", "SASL-13", PLAIN + b"   \r\n"),
        "before-a-bare-line-feed": ("ends the line, too", "SASL-13", PLAIN + b"\n"),
    }
    for slug, (what, rules, answer) in TAKEN.items():
        case(f"{frame.name}/sasl/plain-{slug}", what, rules=rules, block=frame.plain)(
            login(first_turn(frame, b"PLAIN"), then=answer, wanted=Attempt())
        )
    case(
        f"{frame.name}/sasl/answers-without-waiting-for-challenges",
        "all challenges are sent, in their order, and the attempt is made",
        rules="SASL-17",
        block=frame.plain,
    )(
        login(
            (
                frame.start(b"LOGIN") + b"dXNlcg==\r\ncGFzcw==\r\n",
                frame.challenge + USERNAME + b"\r\n" + frame.challenge + PASSWORD + b"\r\n",
            ),
            then=b"",
            wanted=Attempt(),
        )
    )
    case(
        f"{frame.name}/sasl/exchange-octet-by-octet",
        "pieces do not matter",
        rules="SASL-17 SASL-13",
        block=frame.plain,
    )(login(first_turn(frame, b"PLAIN"), then=PLAIN + b"\r\n", wanted=Attempt(), pieces=1))
    case(
        f"{frame.name}/sasl/leading-space-makes-an-empty-word",
        "an answer that begins with a space is an empty one",
        rules="SASL-13",
        block=frame.plain,
    )(login(first_turn(frame, b"EXTERNAL"), then=b" dXNlcg==\r\n", wanted=Attempt(b"", b"", b"external")))
    case(
        f"{frame.name}/sasl/command-inside-an-exchange-is-an-answer",
        "no command is recognized, whatever it looks like",
        rules="SASL-14",
        block=frame.plain,
    )(
        login(
            first_turn(frame, b"LOGIN"),
            frame.challenged(b"a1 LOGOUT\r\n", PASSWORD),
            then=b"QUIT\r\n",
            wanted=Attempt(b"k", b"AB%13"),
        )
    )

    # Answers that cannot be split into words.

    strict = frame.block(more="max_errors 1;")
    words_allowed = 11 if frame.name == "smtp" else 3
    UNPARSABLE = {
        "too-many-words": PLAIN + b" x" * words_allowed + b"\r\n",
        "stray-carriage-return": PLAIN + b"\rx\r\n",
    }
    for slug, answer in UNPARSABLE.items():
        case(
            f"{frame.name}/sasl/answer-with-{slug}",
            "unparsable: refused, and counted in max_errors",
            rules="SASL-13 SASL-18",
            block=strict,
            directives="max_errors",
        )(dialogue(first_turn(frame, b"PLAIN"), frame.rejected(answer), closed=True))
    case(
        f"{frame.name}/sasl/answer-with-as-many-words-as-allowed",
        "all but the first are ignored",
        rules="SASL-13",
        block=strict,
        directives="max_errors",
    )(login(first_turn(frame, b"PLAIN"), then=PLAIN + b" x" * (words_allowed - 1) + b"\r\n", wanted=Attempt()))


# Attempts are counted over all mechanisms.


def _counted(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        lines = [
            frame.start(b"PLAIN", PLAIN),
            frame.start(b"EXTERNAL", b"dXNlcg=="),
            frame.start(b"PLAIN", b64(b"\0other\0word")),
        ]
        for number, line in enumerate(lines, 1):
            await client.send(line)
            request = await bench.request()
            bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"%d" % number)
            await request.answer("Auth-Status: again", "Auth-Wait: 1")
            await client.until(b" again\r\n")
            await talk(client, frame.rejected(frame.start(b"PLAIN", b"!!!!")))
        await talk(client, PROTOCOLS[frame.name].noop)

    return script


for frame in FRAMES.values():
    case(
        f"{frame.name}/sasl/attempts-are-counted",
        "over all mechanisms; what is refused before the auth server is asked does not count",
        rules="SASL-20",
        block=frame.plain,
    )(_counted(frame))
