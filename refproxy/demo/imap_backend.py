"""A tiny IMAP4rev1 server on the shared mailbox: enough of RFC 3501 to list, search and fetch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from refproxy.demo.lines import Hangup, Lines
from refproxy.demo.mailbox import MESSAGE_LIMIT, Mailbox, Message, knows

__all__ = ["serve_imap"]

LITERAL = re.compile(rb"\{(\d{1,9})(\+?)\}$")
TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|((?:\[[^\]]*\]|[^\s()\[\]])+)|[()\s]')
CAPABILITIES = b"CAPABILITY IMAP4rev1 LITERAL+"
ITEMS_OF_MACRO = {b"FAST": [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"]}


async def serve_imap(lines: Lines, mailbox: Mailbox) -> None:
    """Serve one connection until LOGOUT."""
    await lines.send(b"* OK [" + CAPABILITIES + b"] IMAP backend ready")
    session = _Imap(lines, mailbox)
    while not session.ended:
        words = await _read_command(lines)
        if len(words) < 2:
            await lines.send(b"* BAD Tag and command, please")
        else:
            await session.command(words[0], words[1].upper(), words[2:])


async def _read_command(lines: Lines) -> list[bytes]:
    """The words of a command; parentheses only group them and are left out."""
    words: list[bytes] = []
    while True:
        line = await lines.line()
        literal = LITERAL.search(line)
        text = line[: literal.start()] if literal else line
        for token in TOKEN.finditer(text):
            if token[1] is not None:
                words.append(re.sub(rb"\\(.)", rb"\1", token[1]))
            elif token[2] is not None:
                words.append(token[2])
        if literal is None:
            return words
        size = int(literal[1])
        if size > MESSAGE_LIMIT:
            raise Hangup
        if not literal[2]:
            await lines.send(b"+ OK")
        words.append(await lines.octets(size))


class _Imap:
    def __init__(self, lines: Lines, mailbox: Mailbox) -> None:
        self._lines, self._mailbox = lines, mailbox
        self._logged_in = self._selected = self._read_only = self.ended = False

    async def command(self, tag: bytes, name: bytes, words: list[bytes]) -> None:
        untagged: list[bytes] = []
        result = b"OK Done"
        match name, words:
            case b"CAPABILITY", _:
                untagged = [CAPABILITIES]
            case ((b"NOOP" | b"CHECK"), _):
                untagged = [b"%d EXISTS" % len(self._mailbox.messages)] if self._selected else []
            case b"LOGOUT", _:
                untagged, self.ended = [b"BYE See you"], True
            case b"LOGIN", [user, password] if not self._logged_in:
                self._logged_in = knows(user, password)
                result = b"OK Logged in" if self._logged_in else b"NO [AUTHENTICATIONFAILED] Login failed"
            case _ if not self._logged_in:
                result = b"BAD Log in first"
            case ((b"LIST" | b"LSUB"), [_, pattern]):
                untagged = [name + (b' () "/" INBOX' if pattern else b' (\\Noselect) "/" ""')]
            case ((b"SELECT" | b"EXAMINE" | b"STATUS"), [box, *items]):
                untagged, result = self._open(name, box, items)
            case b"CLOSE", [] if self._selected:
                self._selected = False
            case ((b"FETCH" | b"SEARCH"), _) if self._selected:
                untagged, result = self._look(name, words, by_uid=False)
            case b"UID", [command, *rest] if self._selected and command.upper() in (b"FETCH", b"SEARCH"):
                untagged, result = self._look(command.upper(), rest, by_uid=True)
            case _:
                result = b"BAD Command not known here, or not now"
        await self._lines.send(*[b"* " + line for line in untagged], tag + b" " + result)

    def _open(self, name: bytes, box: bytes, items: list[bytes]) -> tuple[list[bytes], bytes]:
        messages = self._mailbox.messages
        if box.upper() != b"INBOX":
            return [], b"NO [NONEXISTENT] No such mailbox"
        if name == b"STATUS":
            values = {
                b"MESSAGES": len(messages),
                b"RECENT": 0,
                b"UIDNEXT": self._mailbox.next_uid,
                b"UIDVALIDITY": 1,
                b"UNSEEN": sum(b"\\Seen" not in message.flags for message in messages),
            }
            known = [item.upper() for item in items if item.upper() in values]
            return [b"STATUS INBOX (%s)" % b" ".join(b"%s %d" % (item, values[item]) for item in known)], b"OK Done"
        self._selected, self._read_only = True, name == b"EXAMINE"
        lines = [
            b"FLAGS (\\Seen)",
            b"%d EXISTS" % len(messages),
            b"0 RECENT",
            b"OK [UIDVALIDITY 1] Valid",
            b"OK [UIDNEXT %d] Next" % self._mailbox.next_uid,
        ]
        return lines, b"OK [READ-ONLY] Opened" if self._read_only else b"OK [READ-WRITE] Opened"

    def _look(self, name: bytes, words: list[bytes], *, by_uid: bool) -> tuple[list[bytes], bytes]:
        numbered = list(enumerate(self._mailbox.messages, 1))
        if name == b"SEARCH":
            if [word.upper() for word in words] != [b"ALL"]:
                return [], b"BAD Only SEARCH ALL is known here"
            found = [b"%d" % (message.uid if by_uid else number) for number, message in numbered]
            return [b" ".join([b"SEARCH", *found])], b"OK Done"
        numbers, *items = words or [b""]
        last = numbered[-1][1].uid if numbered and by_uid else len(numbered)
        items = [part for item in items for part in ITEMS_OF_MACRO.get(item.upper(), [item])]
        items = [*items, b"UID"] if by_uid and b"UID" not in map(bytes.upper, items) else items
        lines = []
        try:
            wanted = list(_ranges(numbers, last))
            for number, message in numbered:
                if any(low <= (message.uid if by_uid else number) <= high for low, high in wanted):
                    shown = b" ".join([self._item(item, message) for item in items])
                    lines.append(b"%d FETCH (%s)" % (number, shown))
        except ValueError as fault:
            return [], b"BAD " + str(fault).encode("ascii", "replace")
        return lines, b"OK Done"

    def _item(self, item: bytes, message: Message) -> bytes:
        """One FETCH item with its value. Raises ValueError for what is not known here."""
        name = item.upper()
        head, body = message.parts
        match name:
            case b"UID":
                return b"UID %d" % message.uid
            case b"FLAGS":
                return b"FLAGS (%s)" % b" ".join(sorted(message.flags))
            case b"RFC822.SIZE":
                return b"RFC822.SIZE %d" % len(message.octets)
            case b"INTERNALDATE":
                stamp = message.arrived.strftime("%d-%b-%Y %H:%M:%S %z")
                return b'INTERNALDATE "%s"' % stamp.encode("ascii")
            case b"RFC822" | b"BODY[]" | b"BODY.PEEK[]":
                octets = message.octets
            case b"RFC822.HEADER" | b"BODY[HEADER]" | b"BODY.PEEK[HEADER]":
                octets = head
            case b"RFC822.TEXT" | b"BODY[TEXT]" | b"BODY.PEEK[TEXT]":
                octets = body
            case _:
                raise ValueError("FETCH item not known here")
        if not self._read_only and name not in (b"RFC822.HEADER",) and b".PEEK" not in name:
            message.flags.add(b"\\Seen")
        return b"%s {%d}\r\n%s" % (name.replace(b".PEEK", b""), len(octets), octets)


def _ranges(numbers: bytes, last: int) -> Iterator[tuple[int, int]]:
    """The ranges of a sequence set. Raises ValueError."""
    for part in numbers.split(b","):
        low, colon, high = part.partition(b":")
        ends = [last if end == b"*" else int(end[:10]) for end in ((low, high) if colon else (low,))]
        yield min(ends), max(ends)
