"""Sessions as ladders of text: client | proxy | auth server | backend, every line that crossed, in its order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from refproxy.config.settings import MailProtocol
from refproxy.errors import Side
from refproxy.observe.events import (
    Event,
    LineReceived,
    LineSent,
    Noted,
    OctetsRelayed,
    SessionCrashed,
    SessionEnded,
    SessionStarted,
    TlsStarted,
    WentWrong,
)
from refproxy.wire.auth_http import printable

__all__ = ["WIDTH", "Board", "Ladder", "Side", "printable", "render"]

WIDTH = 118  # characters; leaves room for a terminal's edge at 120
LEAST_WIDTH = 60
SESSIONS_KEPT = 64
EVENTS_KEPT = 4000  # of one session
OCTETS_KEPT = 65536  # of one session's relay
HELD = 8192  # octets of a relayed line whose end has not come yet
MASK = "***"

_WITH_SECRET = {
    MailProtocol.IMAP: re.compile(rb"\S+ +(?:LOGIN|AUTHENTICATE +\S+)(?= |\r|\n|$)", re.IGNORECASE),
    MailProtocol.POP3: re.compile(rb"(?:AUTH +\S+|PASS|APOP +\S+)(?= |\r|\n|$)", re.IGNORECASE),
    MailProtocol.SMTP: re.compile(rb"AUTH +\S+(?= |\r|\n|$)", re.IGNORECASE),
}
"""The part of a relayed command that may be shown when its rest is a secret."""
_WITHOUT_ANSWERS = re.compile(rb"(?:PASS|APOP)\b", re.IGNORECASE)  # no further lines of the client belong to these
_GO_ON = re.compile(rb"334|\+(?: |\r|\n|$)|\* ")


class Ladder:
    """A reader that keeps what happened in the newest sessions, within bounds, and draws it."""

    wants_lines = True

    def __init__(self) -> None:
        self._sessions: dict[int, _Kept] = {}

    def __call__(self, event: Event) -> None:
        """Keep the event with its session."""
        if event.session is None:
            return
        number = event.session.number
        if number not in self._sessions:
            self._sessions[number] = _Kept()
            if len(self._sessions) > SESSIONS_KEPT:
                del self._sessions[next(iter(self._sessions))]
        self._sessions[number].keep(event)

    def text(self, number: int | None = None, *, width: int = WIDTH) -> str:
        """The ladder of one session, or of all that are kept, one after the other."""
        chosen = [kept for key, kept in self._sessions.items() if number in (None, key)]
        return "\n".join([kept.text(width) for kept in chosen])


@dataclass(slots=True)
class _Kept:
    """The events of one session; of what is too much only the number."""

    events: list[Event] = field(default_factory=list)
    octets: int = 0
    left_out: int = 0

    def keep(self, event: Event) -> None:
        size = len(event.octets) if isinstance(event, OctetsRelayed) else 0
        full = len(self.events) >= EVENTS_KEPT or self.octets + size > OCTETS_KEPT
        if full and not isinstance(event, SessionEnded):
            self.left_out += 1
            return
        self.octets += size
        self.events.append(event)

    def text(self, width: int) -> str:
        left_out = f"({self.left_out} more events were not kept)\n" if self.left_out else ""
        return render(self.events, width) + left_out


def render(events: Iterable[Event], width: int = WIDTH) -> str:
    """Draw the events of one session; no line is longer than `width`, each ends with a line feed.

    A single stroke is a line of the dialogue, which ends at the proxy or begins there; a double stroke was relayed.
    """
    board = Board(max(width, LEAST_WIDTH))
    relay = _Relay()
    lines: list[str] = []
    for event in events:
        if event.session is not None and not lines:
            info = event.session
            title = f"session {info.number}: {info.settings.protocol.value}, client {info.client} at {info.listen}"
            lines += [_fit(title, board.width), board.names(), board.rungs()]
        lines += _draw(event, board, relay)
    lines += [board.relayed(side, shown) for side, shown in relay.rest()]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _draw(event: Event, board: Board, relay: _Relay) -> list[str]:
    match event:
        case SessionStarted():
            return []
        case LineReceived(_, side, shown):
            return [board.heard(side, line) for line in shown.split("\n")]
        case LineSent(_, side, shown):
            return [board.sent(side, line) for line in shown.split("\n")]
        case TlsStarted(_, side, version, cipher):
            return [board.note(f"TLS with the {side.value} from here on: {version}, {cipher}")]
        case OctetsRelayed(session, side, octets):
            relay.protocol = session.settings.protocol
            return [board.relayed(side, line) for line in relay.lines(side, octets)]
        case Noted() | WentWrong():
            return [board.note(event.text)]
        case SessionCrashed(_, traceback):
            return [board.note(line) for line in ["crashed:", *traceback.strip("\n").split("\n")]]
        case SessionEnded(session, end, seconds):
            rest = [board.relayed(side, shown) for side, shown in relay.rest()]
            counts = session.octets_from
            moved = f"relayed {counts[Side.CLIENT]} octets from client, {counts[Side.BACKEND]} from backend"
            return [*rest, board.note(f"ended: {end}; {moved}; {seconds:.3f} s")]
        case _:
            assert_never(event)


class Board:
    """Four posts and what is drawn between them."""

    def __init__(self, width: int) -> None:
        gaps = width - 4
        first, second = gaps * 43 // 100, gaps * 37 // 100
        self.width = width
        self._proxy = first + 1
        self._posts = {Side.CLIENT: 0, Side.AUTH: first + second + 2, Side.BACKEND: width - 1}

    def names(self) -> str:
        line = [" "] * self.width
        _write(line, 0, "client")
        _write(line, self._proxy - 2, "proxy")
        _write(line, self._posts[Side.AUTH] - 5, "auth server")
        _write(line, self.width - 7, "backend")
        return "".join(line)

    def rungs(self) -> str:
        return "".join(self._empty())

    def heard(self, side: Side, text: str) -> str:
        """An arrow from a peer to the proxy."""
        return self._arrow(self._posts[side], self._proxy, text, "-")

    def sent(self, side: Side, text: str) -> str:
        """An arrow from the proxy to a peer."""
        return self._arrow(self._proxy, self._posts[side], text, "-")

    def relayed(self, side: Side, text: str) -> str:
        """An arrow past the proxy."""
        client, backend = self._posts[Side.CLIENT], self._posts[Side.BACKEND]
        return self._arrow(*((client, backend) if side is Side.CLIENT else (backend, client)), text, "=")

    def note(self, text: str) -> str:
        """A remark at the proxy's post, or further to the left when it is long."""
        line = self._empty()
        shown = f"* {_fit(text, self.width - 6)} "
        _write(line, min(self._proxy, self.width - 1 - len(shown)), shown)
        return "".join(line)

    def _arrow(self, start: int, end: int, text: str, stroke: str) -> str:
        left, right = min(start, end) + 1, max(start, end)
        room = right - left
        shown = _fit(text, room - 6)
        body = f"{stroke * 2} {shown} " if shown else ""
        line = self._empty()
        if start < end:
            _write(line, left, body.ljust(room - 1, stroke) + ">")
        else:
            _write(line, left, "<" + body.ljust(room - 1, stroke))
        return "".join(line)

    def _empty(self) -> list[str]:
        line = [" "] * self.width
        for post in (self._proxy, *self._posts.values()):
            line[post] = "|"
        return line


class _Relay:
    """Cuts relayed octets into lines, and hides what looks like a secret of the client.

    The proxy does not understand what it relays, so this is a guess, on the safe side: commands that carry a secret
    lose their arguments, and in a SASL exchange or a LOGIN with literals all lines of the client are hidden.
    """

    def __init__(self) -> None:
        self.protocol = MailProtocol.SMTP
        self._held = {Side.CLIENT: b"", Side.BACKEND: b""}
        self._conversing = False

    def lines(self, side: Side, octets: bytes) -> Iterator[str]:
        """The lines that these octets complete."""
        *whole, rest = (self._held[side] + octets).split(b"\n")
        self._held[side] = rest[:HELD]
        for line in whole:
            yield self._show(side, line.removesuffix(b"\r"))

    def rest(self) -> Iterator[tuple[Side, str]]:
        """What waited for a line end in vain."""
        for side, octets in self._held.items():
            if octets:
                self._held[side] = b""
                yield side, self._show(side, octets) + " (no line end)"

    def _show(self, side: Side, line: bytes) -> str:
        if side is Side.BACKEND:
            self._conversing = self._conversing and _GO_ON.match(line) is not None
            return printable(line, HELD)
        if self._conversing:
            return MASK
        secret = _WITH_SECRET[self.protocol].match(line)
        if secret is None:
            return printable(line, HELD)
        self._conversing = _WITHOUT_ANSWERS.match(line) is None
        return printable(secret[0], HELD) + (f" {MASK}" if line[secret.end() :].strip() else "")


def _fit(text: str, room: int) -> str:
    """The text as one harmless line of at most `room` characters."""
    if not (text.isascii() and text.isprintable()):
        text = printable(text.encode("utf-8", "backslashreplace"), 4 * len(text))
    return text if len(text) <= room else text[: room - 1] + "…"


def _write(line: list[str], start: int, text: str) -> None:
    line[start : start + len(text)] = text
