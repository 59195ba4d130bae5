"""The steps of the login at a backend, for the cases that let one of them go wrong (proxy rules, sections 4 to 8)."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block
from conformance.dialogues import greeted
from conformance.fakes.peer import Peer

__all__ = ["LOGINS", "PASSED_ON", "UNTAGGED", "Step", "login_block", "login_until"]


@dataclass(frozen=True, slots=True)
class Step:
    """What the proxy sends (`{user}` and the like stand for the case's own), and the reply that lets it go on."""

    name: str
    sent: bytes
    reply: bytes


AUTH_MODE = (
    Step("greeting", b"", b"220 backend.example ESMTP\r\n"),
    Step("hello", b"EHLO mx.example\r\n", b"250 backend.example\r\n"),
    Step("xclient", b"XCLIENT ADDR={ip} NAME=[UNAVAILABLE]\r\n", b"220 backend.example\r\n"),
    Step("client-hello", b"EHLO me.example\r\n", b"250 backend.example\r\n"),
    Step("auth", b"AUTH PLAIN {plain64}\r\n", b"235 2.7.0 ok\r\n"),
)
NONE_MODE = (
    *AUTH_MODE[:4],
    Step("mail", b"MAIL FROM:<a@b>\r\n", b"250 2.1.0 ok\r\n"),
    Step("rcpt", b"RCPT TO:<{user}>\r\n", b"250 2.1.5 ok\r\n"),
)
LOGINS: dict[str, tuple[Step, ...]] = {
    "smtp": AUTH_MODE,
    "smtp-none": NONE_MODE,
    "imap": (
        Step("greeting", b"", b"* OK backend ready\r\n"),
        Step("login", b"a LOGIN {{user-size}}\r\n", b"+ go ahead\r\n"),
        Step("user", b"{user} {{password-size}}\r\n", b"+ go ahead\r\n"),
        Step("password", b"{password}\r\n", b"a OK logged in\r\n"),
    ),
    "pop3": (
        Step("greeting", b"", b"+OK backend ready\r\n"),
        Step("user", b"USER {user}\r\n", b"+OK\r\n"),
        Step("password", b"PASS {password}\r\n", b"+OK logged in\r\n"),
    ),
}
"""All steps by protocol; in `smtp-none` the session came from RCPT without AUTH."""

SETTINGS = {"smtp": "proxy_smtp_auth on; ", "smtp-none": "smtp_auth none; ", "imap": "", "pop3": ""}
UNTAGGED = {"nginx": "1.22 takes no untagged line before the reply to LOGIN; later versions take one"}
PASSED_ON = "proxy_pass_error_message on; "


def login_block(kind: str, more: str = "") -> Block:
    """The block in which a login has these steps."""
    return Block(kind.removesuffix("-none"), (SETTINGS[kind] + more).strip())


async def login_until(bench: Bench, kind: str, name: str) -> tuple[Peer, Peer]:
    """Let a client log in, up to the step that is to be answered next; return client and backend."""
    client = await greeted(bench)
    if bench.protocol == "smtp":
        await client.send(b"EHLO me.example\r\n")
        while not (await client.line()).startswith(b"250 "):
            pass
    if kind == "smtp-none":
        await client.send(b"MAIL FROM:<a@b>\r\n")
        await client.expect(b"250 2.0.0 OK\r\n")
        await client.send(b"RCPT TO:<%s>\r\n" % bench.user)
    else:
        verb = b"a AUTHENTICATE PLAIN " if kind == "imap" else b"AUTH PLAIN "
        await client.send(verb + bench.plain64 + b"\r\n")
    await bench.admit()
    backend = await bench.backend()
    for step in LOGINS[kind]:
        if step.sent:
            await backend.expect(_filled(bench, step.sent))
        if step.name == name:
            break
        await backend.send(step.reply)
    return client, backend


def _filled(bench: Bench, line: bytes) -> bytes:
    values = {
        b"{ip}": bench.ip.encode(),
        b"{plain64}": bench.plain64,
        b"{user}": bench.user,
        b"{password}": bench.password,
        b"{user-size}": b"%d" % len(bench.user),
        b"{password-size}": b"%d" % len(bench.password),
    }
    for mark, value in values.items():
        line = line.replace(mark, value)
    return line
