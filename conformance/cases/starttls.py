"""STARTTLS: what is advertised, taken and refused in each mode, and who may log in (tls rules, sections 1, 5, 7)."""

from __future__ import annotations

from conformance.attempts import talk
from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import (
    IMAP,
    LOGGED_IN,
    POP3,
    PROTOCOLS,
    SMTP,
    Words,
    admitted,
    greeted,
    log_in,
    probe,
    serve_login,
)
from conformance.secured import CAPABILITIES, CAPABILITIES_IN_TLS, filled, implicit, secured, starttls

__all__: list[str] = []

MODES = {
    "off": "STARTTLS is not advertised",
    "on": "STARTTLS is advertised beside what is there anyway",
    "only": "STARTTLS is advertised, and no way to log in",
}


def _advertises(protocol: str, mode: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        command, reply = CAPABILITIES[protocol][mode]
        await client.send(command)
        await client.expect(reply)

    return script


def _forgets_to_advertise(protocol: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        command, reply = CAPABILITIES_IN_TLS[protocol]
        await client.send(command)
        await client.expect(reply)

    return script


def _refuses(words: Words, *, in_tls: bool) -> Script:
    async def script(bench: Bench) -> None:
        client = await (secured(bench) if in_tls else greeted(bench))
        command, _ = words.starttls
        await client.send(command)
        await client.expect(words.invalid[1].replace(b"x BAD", b"s BAD"))
        await talk(client, probe(bench))

    return script


for words in PROTOCOLS.values():
    name = words.name
    for mode, what in MODES.items():
        case(
            f"{name}/starttls/{mode}-advertises",
            f"in clear with starttls {mode}: {what}",
            rules="TLS-37 TLS-2",
            directives="starttls",
            block=starttls(name, mode=mode),
        )(_advertises(name, mode))
    for mode in ("on", "only"):
        case(
            f"{name}/starttls/{mode}-advertises-nothing-in-tls",
            f"inside TLS with starttls {mode}, STARTTLS is gone and logins are offered",
            rules="TLS-3 TLS-37 smtp:SMTP-101 imap:IMAP-39 imap:IMAP-63",
            directives="starttls",
            block=starttls(name, mode=mode),
        )(_forgets_to_advertise(name))
    case(
        f"{name}/starttls/off-refuses",
        "with starttls off the command is invalid, and the session goes on",
        rules="TLS-36 TLS-2",
        directives="starttls",
        block=starttls(name, mode="off"),
    )(_refuses(words, in_tls=False))
    case(
        f"{name}/starttls/no-second-one",
        "a second STARTTLS, inside TLS, is invalid",
        rules="TLS-3 smtp:SMTP-101 imap:IMAP-63",
        directives="starttls",
        block=starttls(name),
    )(_refuses(words, in_tls=True))
    case(
        f"{name}/starttls/none-on-a-tls-port",
        "STARTTLS is invalid on a TLS port, whatever the setting",
        rules="TLS-3 imap:IMAP-70",
        directives="starttls",
        block=implicit(name, "starttls only;"),
    )(_refuses(words, in_tls=True))
    case(
        f"{name}/starttls/tls-port-advertises-none",
        "a TLS port offers logins and no STARTTLS, whatever the setting",
        rules="TLS-3 imap:IMAP-70",
        directives="starttls",
        block=implicit(name, "starttls only;"),
    )(_forgets_to_advertise(name))


# Logging in, in clear and in TLS.


@case(
    "smtp/starttls/only-refuses-mail-in-clear",
    "with starttls only, MAIL is refused in clear where no login is needed",
    rules="TLS-49 SMTP-122",
    directives="starttls smtp_auth",
    block=starttls("smtp", "smtp_auth none;", mode="only"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"MAIL FROM:<a@case.example>\r\n")
    await client.expect(b"530 5.7.0 Must issue a STARTTLS command first\r\n")
    await client.send(b"RCPT TO:<b@case.example>\r\n")
    await client.expect(b"530 5.7.0 Must issue a STARTTLS command first\r\n")
    bench.no_request()


ATTEMPTS: dict[str, tuple[Words, bytes, str]] = {
    # slug: protocol, what the client tries, directives
    "auth-plain": (SMTP, b"AUTH PLAIN {plain64}\r\n", ""),
    "auth-plain-in-two-steps": (SMTP, b"AUTH PLAIN\r\n", ""),
    "auth-login": (SMTP, b"AUTH LOGIN\r\n", ""),
    "auth-cram-md5": (SMTP, b"AUTH CRAM-MD5\r\n", "smtp_auth plain cram-md5 external;"),
    "auth-external": (SMTP, b"AUTH EXTERNAL dXNlcg==\r\n", "smtp_auth plain cram-md5 external;"),
    "login": (IMAP, b"x LOGIN {user} {password}\r\n", ""),
    "login-with-literal": (IMAP, b"x LOGIN {5}\r\n", ""),
    "authenticate-plain": (IMAP, b"x AUTHENTICATE PLAIN {plain64}\r\n", ""),
    "authenticate-cram-md5": (IMAP, b"x AUTHENTICATE CRAM-MD5\r\n", "imap_auth plain cram-md5;"),
    "user": (POP3, b"USER {user}\r\n", ""),
    "apop": (POP3, b"APOP {user} 0123456789abcdef0123456789abcdef\r\n", "pop3_auth plain apop;"),
    "auth-list": (POP3, b"AUTH\r\n", ""),
    "auth-plain-at-once": (POP3, b"AUTH PLAIN {plain64}\r\n", ""),
}


LITERAL_RULES = "IMAP-30 TLS-48"  # vendors ask for the literal before they refuse


def _refuses_login(words: Words, attempt: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await bench.client()
        await client.until(b"\r\n")
        await client.send(filled(bench, attempt))
        await client.expect(words.invalid[1])
        await client.send(words.noop[0])
        await client.expect(words.noop[1])
        bench.no_request()

    return script


for slug, (words, attempt, directives) in ATTEMPTS.items():
    case(
        f"{words.name}/starttls/only-refuses-{slug}",
        "with starttls only, a login in clear is an invalid command and never reaches the auth server",
        rules=LITERAL_RULES if "literal" in slug else "TLS-48",
        directives=f"starttls {words.name}_auth",
        block=starttls(words.name, directives, mode="only"),
    )(_refuses_login(words, attempt))


def _logs_in_clear(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        found = [name for name in relay.request.names if name.startswith(b"Auth-SSL")]
        bench.check("the Auth-SSL lines of a login in clear", found, [])

    return script


def _logs_in_tls(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        client = await secured(bench)
        tls = client.tls
        request, backend = await admitted(bench, client)
        bench.check("Auth-SSL", request.all("Auth-SSL"), [b"on"])
        bench.check("Auth-SSL-Protocol", request["Auth-SSL-Protocol"].decode(), tls.version())
        bench.check("Auth-SSL-Cipher", request["Auth-SSL-Cipher"].decode(), tls.cipher()[0])
        bench.check("Auth-SSL-Verify", request.all("Auth-SSL-Verify"), [])
        await serve_login(bench, backend)
        await client.expect(LOGGED_IN[bench.protocol])
        await client.send(b"ping\r\n")
        await backend.expect(b"ping\r\n")

    return script


for words in PROTOCOLS.values():
    case(
        f"{words.name}/starttls/on-allows-logins-in-clear",
        "with starttls on, a login in clear is served, and nothing is said of TLS",
        rules="TLS-50 AUTH-29",
        directives="starttls",
        block=starttls(words.name),
    )(_logs_in_clear(words))
    case(
        f"{words.name}/starttls/only-allows-logins-in-tls",
        "with starttls only, a login inside TLS is served, and the auth server learns version and cipher",
        rules="AUTH-29 AUTH-30 TLS-48 TLS-47",
        directives="starttls",
        block=starttls(words.name, mode="only"),
    )(_logs_in_tls(words))


# How the command may look.

SPELLINGS: dict[str, tuple[Words, bytes, bytes]] = {
    "lower-case": (SMTP, b"starttls\r\n", SMTP.starttls[1]),
    "with-argument": (SMTP, b"STARTTLS now please\r\n", SMTP.starttls[1]),
    "bare-lf": (SMTP, b"STARTTLS\n", SMTP.starttls[1]),
    "tag-kept": (IMAP, b"Tag.1 StartTLS\r\n", b"Tag.1 OK completed\r\n"),
    "tag-and-argument": (IMAP, b"t2 STARTTLS now\r\n", b"t2 OK completed\r\n"),
    "mixed-case": (POP3, b"sTlS\r\n", POP3.starttls[1]),
    "argument-ignored": (POP3, b"STLS now\r\n", POP3.starttls[1]),
}


def _takes_spelling(words: Words, command: bytes, reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(command)
        await client.expect(reply)
        await client.start_tls(bench.trusting(), "mx.example")
        await client.send(words.noop[0])
        await client.expect(words.noop[1])

    return script


for slug, (words, command, reply) in SPELLINGS.items():
    case(
        f"{words.name}/starttls/spelled-{slug}",
        f"{command.strip().decode()!r} begins TLS",
        rules="TLS-36",
        directives="starttls",
        block=starttls(words.name),
    )(_takes_spelling(words, command, reply))
