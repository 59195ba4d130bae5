"""A tiny SMTP server that takes mail for the shared mailbox (RFC 5321), and believes its proxy (XCLIENT)."""

from __future__ import annotations

import re

from refproxy.demo.lines import Hangup, Lines
from refproxy.demo.mailbox import MESSAGE_LIMIT, Mailbox, knows
from refproxy.errors import WireError
from refproxy.wire.sasl import decode_base64, parse_plain
from refproxy.wire.xclient import decode_xtext

__all__ = ["serve_smtp"]

GREETING = b"220 backend.demo.example ESMTP"
PATH = re.compile(rb"(?:FROM|TO):\s*<[^<>]*>.*", re.IGNORECASE)


async def serve_smtp(lines: Lines, mailbox: Mailbox) -> None:
    """Serve one connection until QUIT."""
    session = _Smtp(lines, mailbox)
    await lines.send(GREETING)
    while (line := await lines.line()).strip().upper() != b"QUIT":
        verb, _, argument = line.partition(b" ")
        await session.command(verb.upper(), argument.strip())
    await lines.send(b"221 2.0.0 Bye")


class _Smtp:
    def __init__(self, lines: Lines, mailbox: Mailbox) -> None:
        self._lines, self._mailbox = lines, mailbox
        self._user = b""
        self._sender = False
        self._recipients = 0

    async def command(self, verb: bytes, argument: bytes) -> None:
        match verb:
            case b"EHLO" | b"HELO":
                self._reset()
                more = [b"PIPELINING", b"8BITMIME", b"AUTH PLAIN", b"XCLIENT NAME ADDR LOGIN"]
                extensions = more if verb == b"EHLO" else []
                *first, last = [b"backend.demo.example", *extensions]
                await self._lines.send(*[b"250-" + line for line in first], b"250 " + last)
            case b"XCLIENT":
                await self._xclient(argument)
            case b"AUTH":
                await self._auth(argument)
            case b"MAIL" if PATH.fullmatch(argument):
                await self._mail()
            case b"RCPT" if PATH.fullmatch(argument):
                self._recipients += self._sender
                await self._lines.send(b"250 2.1.5 Ok" if self._sender else b"503 5.5.1 MAIL first")
            case b"DATA" if self._recipients:
                await self._data()
            case b"RSET":
                self._reset()
                await self._lines.send(b"250 2.0.0 Ok")
            case b"NOOP":
                await self._lines.send(b"250 2.0.0 Ok")
            case b"VRFY":
                await self._lines.send(b"252 2.5.0 Try to deliver")
            case b"MAIL" | b"RCPT":
                await self._lines.send(b"501 5.5.4 Syntax: " + verb + b" FROM|TO:<address>")
            case b"DATA":
                await self._lines.send(b"503 5.5.1 RCPT first")
            case _:
                await self._lines.send(b"502 5.5.2 Command not known here")

    def _reset(self) -> None:
        self._sender, self._recipients = False, 0

    async def _xclient(self, argument: bytes) -> None:
        attributes = {name.upper(): value for name, _, value in (word.partition(b"=") for word in argument.split())}
        try:
            self._user = decode_xtext(attributes.get(b"LOGIN", b""))
        except ValueError:
            await self._lines.send(b"501 5.5.4 Bad XCLIENT attribute")
            return
        self._reset()
        await self._lines.send(GREETING)

    async def _auth(self, argument: bytes) -> None:
        mechanism, _, response = argument.partition(b" ")
        if mechanism.upper() != b"PLAIN":
            await self._lines.send(b"504 5.5.4 Mechanism not known here")
            return
        if not response:
            await self._lines.send(b"334 ")
            response = await self._lines.line()
        try:
            credentials = parse_plain(decode_base64(response))
        except WireError:
            await self._lines.send(b"501 5.5.2 Cannot decode response")
            return
        if credentials.password is None or not knows(credentials.user, credentials.password.reveal()):
            await self._lines.send(b"535 5.7.8 Authentication failed")
            return
        self._user = credentials.user
        await self._lines.send(b"235 2.7.0 Authentication successful")

    async def _mail(self) -> None:
        if not self._user:
            await self._lines.send(b"530 5.7.0 Authentication required")
            return
        self._sender, self._recipients = True, 0
        await self._lines.send(b"250 2.1.0 Ok")

    async def _data(self) -> None:
        await self._lines.send(b"354 End data with a dot")
        kept, size = [], 0
        while (line := await self._lines.line()) != b".":
            size += len(line)
            if size > MESSAGE_LIMIT:
                raise Hangup
            kept.append(line.removeprefix(b".") + b"\r\n")
        self._mailbox.deliver(b"".join(kept))
        self._reset()
        await self._lines.send(b"250 2.0.0 Ok: delivered")
