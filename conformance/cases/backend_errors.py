"""Replies that a login does not expect, in every step, and what the client reads then (proxy rules, section 8)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.cases.backend_login import LOGINS, PASSED_ON, login_block, login_until
from conformance.dialogues import PROTOCOLS
from conformance.rulebook import Level

__all__: list[str] = []


def _failing(kind: str, step: str, reply: bytes, read: bytes | None) -> Script:
    """The client reads `read`, or the internal error; both ends are closed; no further line reaches the backend."""

    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, kind, step)
        await backend.send(reply)
        await client.expect(PROTOCOLS[bench.protocol].internal_error if read is None else read)
        await client.expect_eof()
        await backend.expect_eof()
        bench.no_backend()

    return script


# A negative reply in every step, with proxy_pass_error_message off and on.

NEGATIVE: dict[str, tuple[bytes, bytes]] = {
    # kind: one line, several lines; IMAP's depend on the step
    "smtp": (b"550 5.7.1 no\r\n", b"450-4.7.1 not\r\n450-4.7.1 yet\r\n450 4.7.1 now\r\n"),
    "smtp-none": (b"421 4.3.2 no\r\n", b"554-5.7.1 not\r\n554 5.7.1 you\r\n"),
    "imap": (b"a NO [AUTHENTICATIONFAILED] no\r\n", b"* OK [ALERT] hm\r\na BAD no\r\n"),
    "pop3": (b"-ERR [AUTH] no\r\n", b"-ERR [SYS/TEMP] not yet, \xe9\r\n"),
}

for kind, steps in LOGINS.items():
    protocol = kind.removesuffix("-none")
    for step in steps:
        if step.name == "rcpt" or (kind == "smtp-none" and step.name != "mail"):
            continue  # RCPT's reply is for the client whatever it is, and the others are those of the AUTH mode
        single, several = NEGATIVE[kind]
        if kind == "imap" and step.name == "greeting":
            single, several = b"* BYE busy\r\n", b"* BYE busy\r\n* BYE gone\r\n"
        case(
            f"{protocol}/backend-error/{step.name}-refused",
            "by default the client reads the internal error, and nothing of the backend's",
            rules="PROXY-71 PROXY-68 PROXY-4 PROXY-66 imap:IMAP-96 imap:PROXY-70 pop3:POP3-57",
            block=login_block(kind),
        )(_failing(kind, step.name, single, None))
        for slug, reply in (("passed-on", single), ("passed-on-in-full", several)):
            case(
                f"{protocol}/backend-error/{step.name}-refused-and-{slug}",
                "with proxy_pass_error_message the client reads the backend's own octets, then both ends are closed",
                rules="PROXY-68 PROXY-4 PROXY-67 imap:IMAP-96 pop3:POP3-57",
                directives="proxy_pass_error_message",
                block=login_block(kind, PASSED_ON),
            )(_failing(kind, step.name, reply, reply))


# Replies that are neither what is expected nor negative.

STRANGE: dict[str, dict[str, tuple[str, bytes]]] = {
    # kind: slug: the step, the reply
    "smtp": {
        "another-positive-code": ("hello", b"220 what\r\n"),
        "code-200": ("greeting", b"200 hi\r\n"),
        "code-230-after-auth": ("auth", b"230 go\r\n"),
        "challenge-after-auth": ("auth", b"334 \r\n"),
        "code-354": ("client-hello", b"354 go\r\n"),
        "no-code": ("greeting", b"garbage\r\n"),
        "positive-with-text-of-a-refusal": ("xclient", b"251 550 no\r\n"),
        "codes-differ-negative-last": ("hello", b"250-a\r\n550 b\r\n"),
        "codes-differ-positive-last": ("hello", b"550-a\r\n250 b\r\n"),
    },
    "imap": {
        "preauth": ("greeting", b"* PREAUTH hi\r\n"),
        "no-greeting": ("greeting", b"OK hi\r\n"),
        "lower-case": ("greeting", b"* ok hi\r\n"),
        "ok-instead-of-continuation": ("login", b"a OK fine\r\n"),
        "another-tag": ("password", b"b OK fine\r\n"),
        "tag-in-another-case": ("password", b"A OK fine\r\n"),
        "garbage": ("user", b"\xff\xfe\x00garbage\r\n"),
    },
    "pop3": {
        "lower-case": ("greeting", b"+ok hi\r\n"),
        "continuation": ("user", b"+ more\r\n"),
        "garbage": ("password", b"\xff\xfe\x00garbage\r\n"),
        "other-case-of-an-error": ("user", b"-err no\r\n"),
    },
}
GREETINGS = {"preauth", "no-greeting", "lower-case"}
for kind, replies in STRANGE.items():
    for slug, (step_name, reply) in replies.items():
        case(
            f"{kind}/backend-error/{slug}",
            "an unexpected reply that is no refusal is an internal error",
            rules="PROXY-71 PROXY-66 PROXY-24" + (" imap:IMAP-91 pop3:PROXY-55" if slug in GREETINGS else ""),
            block=login_block(kind),
            level=Level.OURS if slug.startswith("codes-differ") else Level.VENDOR,
        )(_failing(kind, step_name, reply, None))
        case(
            f"{kind}/backend-error/{slug}-is-not-passed-on",
            "an unexpected reply that is no refusal is an internal error even with proxy_pass_error_message",
            rules="PROXY-67 PROXY-69 imap:IMAP-96 pop3:POP3-57",
            directives="proxy_pass_error_message",
            block=login_block(kind, PASSED_ON),
            level=Level.OURS,
        )(_failing(kind, step_name, reply, None))


def _refused_and_gone(kind: str, step: str, reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, kind, step)
        await backend.send_last(reply)
        await client.expect(reply)
        await client.expect_eof()

    return script


for kind, (reply, _) in NEGATIVE.items():
    if kind != "smtp-none":
        last = LOGINS[kind][-1].name
        case(
            f"{kind}/backend-error/refused-and-closed-is-passed-on",
            "a complete refusal in one packet with the end of file is still a refusal",
            rules="PROXY-27 PROXY-68",
            directives="proxy_pass_error_message",
            block=login_block(kind, PASSED_ON),
        )(_refused_and_gone(kind, last, reply))


# RCPT without AUTH: its reply is the client's, and the relay begins in any case.

RCPT: dict[str, bytes] = {
    "accepted": b"250 2.1.5 fine\r\n",
    "refused": b"550 5.1.1 unknown\r\n",
    "refused-in-several-lines": b"452-4.2.2 over\r\n452 4.2.2 quota\r\n",
    "service-closing": b"421 4.3.2 bye\r\n",
    "another-code": b"251 will forward\r\n",
}


def _rcpt(reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, "smtp-none", "rcpt")
        await backend.send(reply)
        await client.expect(reply)
        await client.send(b"RCPT TO:<other@b>\r\n")
        await backend.expect(b"RCPT TO:<other@b>\r\n")
        await backend.send(b"250 ok\r\n")
        await client.expect(b"250 ok\r\n")

    return script


for slug, reply in RCPT.items():
    for more, setting in (("", ""), ("-with-error-message-on", PASSED_ON)):
        case(
            f"smtp/backend-error/rcpt-{slug}{more}",
            "the reply to RCPT goes to the client whatever it says, and the relay begins",
            rules="PROXY-68 PROXY-48",
            block=login_block("smtp-none", setting),
            directives="smtp_auth proxy_pass_error_message",
        )(_rcpt(reply))
case(
    "smtp/backend-error/rcpt-reply-is-garbage",
    "a reply to RCPT that does not begin with three digits is an internal error",
    rules="PROXY-48",
    block=login_block("smtp-none"),
)(_failing("smtp-none", "rcpt", b"junk\r\n", None))
