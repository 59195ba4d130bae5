"""The three example sessions: one message sent by SMTP, and read back by IMAP and by POP3."""

from __future__ import annotations

import hashlib
import secrets
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import trio

from refproxy.config.settings import MailProtocol
from refproxy.demo.lines import Hangup, Lines
from refproxy.demo.mailbox import PASSWORD, USER
from refproxy.demo.world import LOOPBACK

__all__ = ["Unexpected", "make_message", "read_by_imap", "read_by_pop3", "send_by_smtp", "visit"]

PATIENCE = 10.0  # seconds for one session


class Unexpected(Exception):
    """A session did not go as it should; the text says where."""


def make_message() -> bytes:
    """A message unlike any other, with what a careless relay would spoil: a leading dot, and 8-bit octets."""
    mark = secrets.token_hex(8)
    lines = (
        f"From: <{USER}>",
        f"To: <{USER}>",
        f"Date: {formatdate()}",
        f"Message-ID: <{mark}@demo.example>",
        f"Subject: refproxy demo {mark}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "Grüße through the proxy!",
        ".a line that begins with a dot",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


async def visit(protocol: MailProtocol, port: int, message: bytes, context: ssl.SSLContext) -> None:
    """Take one of the three sessions. Raises Unexpected."""
    try:
        with trio.fail_after(PATIENCE):
            async with await trio.open_tcp_stream(LOOPBACK, port) as stream:
                await VISITS[protocol](Lines(stream), message, context)
    except (OSError, Hangup, trio.BrokenResourceError) as error:
        raise Unexpected("the connection was closed") from error
    except trio.TooSlowError as error:
        raise Unexpected(f"not done after {PATIENCE:g} s") from error


async def send_by_smtp(lines: Lines, message: bytes, context: ssl.SSLContext) -> None:
    """Change to TLS, log in with AUTH PLAIN and send the message."""
    await _smtp_reply(lines, b"220")
    await lines.send(b"EHLO client.demo.example")
    await _smtp_reply(lines, b"250")
    await lines.send(b"STARTTLS")
    await _smtp_reply(lines, b"220")
    lines = Lines(trio.SSLStream(lines.stream, context, server_hostname=LOOPBACK))
    await lines.send(b"EHLO client.demo.example")
    await _smtp_reply(lines, b"250")
    await lines.send(b"AUTH PLAIN " + b64encode(f"\0{USER}\0{PASSWORD}".encode()))
    await _smtp_reply(lines, b"235")
    for command, code in ((f"MAIL FROM:<{USER}>", b"250"), (f"RCPT TO:<{USER}>", b"250"), ("DATA", b"354")):
        await lines.send(command.encode())
        await _smtp_reply(lines, code)
    await lines.send_block(message)
    await _smtp_reply(lines, b"250")
    await lines.send(b"QUIT")
    await _smtp_reply(lines, b"221")


async def read_by_imap(lines: Lines, message: bytes, context: ssl.SSLContext) -> None:
    """Log in with LOGIN, fetch the newest message, compare."""
    _check((await lines.line()).startswith(b"* OK"), "an IMAP greeting")
    await _imap(lines, b"a1 LOGIN %s %s" % (USER.encode(), PASSWORD.encode()))
    exists = [line.split()[1] for line in await _imap(lines, b"a2 SELECT INBOX") if line.endswith(b" EXISTS")]
    _check(bool(exists), "the number of messages")
    await lines.send(b"a3 FETCH %s BODY.PEEK[]" % exists[-1])
    _, brace, size = (await lines.line()).rpartition(b"{")
    _check(bool(brace) and size.removesuffix(b"}").isdigit(), "a literal")
    _check(await lines.octets(int(size.removesuffix(b"}"))) == message, "the message that was sent")
    _check(await lines.line() == b")", "the end of the FETCH answer")
    _check((await lines.line()).startswith(b"a3 OK"), "OK")
    await _imap(lines, b"a4 LOGOUT")


async def read_by_pop3(lines: Lines, message: bytes, context: ssl.SSLContext) -> None:
    """Log in with APOP, which sends no password, fetch the newest message, compare."""
    greeting = await _pop3(lines)
    salt = greeting[greeting.index(b"<") :] if b"<" in greeting else b""
    digest = hashlib.md5(salt + PASSWORD.encode(), usedforsecurity=False).hexdigest()
    await _pop3(lines, f"APOP {USER} {digest}".encode())
    number = (await _pop3(lines, b"STAT")).split()[1]
    await _pop3(lines, b"RETR " + number)
    _check(await lines.block() == message, "the message that was sent")
    await _pop3(lines, b"QUIT")


VISITS: dict[MailProtocol, Callable[[Lines, bytes, ssl.SSLContext], Awaitable[None]]] = {
    MailProtocol.SMTP: send_by_smtp,
    MailProtocol.IMAP: read_by_imap,
    MailProtocol.POP3: read_by_pop3,
}


async def _smtp_reply(lines: Lines, code: bytes) -> None:
    while (line := await lines.line())[3:4] == b"-":
        pass
    _check(line.startswith(code), code.decode())


async def _imap(lines: Lines, command: bytes) -> list[bytes]:
    """Send a command; return the untagged lines before its OK."""
    await lines.send(command)
    tag, untagged = command.split()[0], []
    while not (line := await lines.line()).startswith(tag):
        untagged.append(line)
    _check(line.startswith(tag + b" OK"), "OK")
    return untagged


async def _pop3(lines: Lines, command: bytes = b"") -> bytes:
    """Send a command, if any; return the first line of the answer."""
    if command:
        await lines.send(command)
    line = await lines.line()
    _check(line.startswith(b"+OK"), "+OK")
    return line


def _check(good: bool, wanted: str) -> None:
    if not good:
        raise Unexpected(f"expected {wanted}")
