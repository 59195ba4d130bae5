"""A tiny POP3 server on the shared mailbox (RFC 1939)."""

from __future__ import annotations

from refproxy.demo.lines import Lines
from refproxy.demo.mailbox import Mailbox, Message, knows

__all__ = ["serve_pop3"]


async def serve_pop3(lines: Lines, mailbox: Mailbox) -> None:
    """Serve one connection until QUIT."""
    await lines.send(b"+OK POP3 backend ready")
    user = b""
    session: _Pop3 | None = None
    while (line := await lines.line()).strip().upper() != b"QUIT":
        verb, _, argument = line.partition(b" ")
        match verb.upper():
            case b"CAPA":
                await lines.send(b"+OK", b"TOP", b"UIDL", b"USER", b".")
            case b"NOOP":
                await lines.send(b"+OK")
            case b"USER" if session is None:
                user = argument
                await lines.send(b"+OK")
            case b"PASS" if session is None:
                if knows(user, argument):
                    session = _Pop3(lines, mailbox)
                    await lines.send(b"+OK Logged in")
                else:
                    await lines.send(b"-ERR [AUTH] Login failed")
            case other if session is not None:
                await session.command(other, argument.split())
            case _:
                await lines.send(b"-ERR Log in first")
    if session is not None:
        session.update()
    await lines.send(b"+OK Bye")


class _Pop3:
    """The transaction state: the messages there were at the login, by number."""

    def __init__(self, lines: Lines, mailbox: Mailbox) -> None:
        self._lines, self._mailbox = lines, mailbox
        self._messages = dict(enumerate(mailbox.messages, 1))
        self._deleted: set[int] = set()

    def update(self) -> None:
        gone = {self._messages[number].uid for number in self._deleted}
        self._mailbox.messages[:] = [message for message in self._mailbox.messages if message.uid not in gone]

    async def command(self, verb: bytes, words: list[bytes]) -> None:
        there = {number: message for number, message in self._messages.items() if number not in self._deleted}
        numbers = [int(word) if word.isdigit() and len(word) < 10 else -1 for word in words]
        match verb, numbers:
            case b"STAT", []:
                await self._lines.send(b"+OK %d %d" % (len(there), sum(len(one.octets) for one in there.values())))
            case ((b"LIST" | b"UIDL"), []):
                listing = [_listed(verb, number, message) for number, message in there.items()]
                await self._lines.send(b"+OK", *listing, b".")
            case ((b"LIST" | b"UIDL"), [number]) if number in there:
                await self._lines.send(b"+OK " + _listed(verb, number, there[number]))
            case b"RETR", [number] if number in there:
                await self._lines.send(b"+OK")
                await self._lines.send_block(there[number].octets)
            case b"TOP", [number, count] if number in there and count >= 0:
                head, body = there[number].parts
                await self._lines.send(b"+OK")
                await self._lines.send_block(head + b"".join(body.splitlines(keepends=True)[:count]))
            case b"DELE", [number] if number in there:
                self._deleted.add(number)
                await self._lines.send(b"+OK")
            case b"RSET", []:
                self._deleted.clear()
                await self._lines.send(b"+OK")
            case ((b"LIST" | b"UIDL" | b"RETR" | b"DELE" | b"TOP"), _):
                await self._lines.send(b"-ERR No such message")
            case _:
                await self._lines.send(b"-ERR Command not known here")


def _listed(verb: bytes, number: int, message: Message) -> bytes:
    return b"%d %d" % (number, len(message.octets) if verb == b"LIST" else message.uid)
