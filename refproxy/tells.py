"""What a session tells its readers of the lines that cross: events, made of octets that are harmless to show."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from refproxy.dialogue.login import Send
from refproxy.errors import Side
from refproxy.observe.events import LineReceived, LineSent, SessionInfo, TlsStarted
from refproxy.observe.stream import EventStream
from refproxy.wire.auth_http import printable

__all__ = ["AuthTell", "BackendTell", "ClientTell", "where_it_broke"]


@dataclass(slots=True)
class ClientTell:
    """Turns what crosses between client and proxy into events."""

    info: SessionInfo
    events: EventStream
    wants_lines: bool

    def sent(self, octets: bytes) -> None:
        self.events.emit(LineSent(self.info, Side.CLIENT, _text(octets)))

    def heard(self, shown: str) -> None:
        self.events.emit(LineReceived(self.info, Side.CLIENT, shown))


@dataclass(slots=True)
class BackendTell:
    """Turns what crosses between proxy and backend into events."""

    info: SessionInfo
    events: EventStream
    wants_lines: bool

    def action(self, action: str) -> None:
        self.info.action = action

    def sent(self, line: Send) -> None:
        self.events.emit(LineSent(self.info, Side.BACKEND, line.shown))

    def heard(self, octets: bytes | bytearray) -> None:
        self.events.emit(LineReceived(self.info, Side.BACKEND, _text(bytes(octets))))

    def encrypted(self, version: str, cipher: str) -> None:
        self.events.emit(TlsStarted(self.info, Side.BACKEND, version, cipher))


@dataclass(slots=True)
class AuthTell:
    """Turns a request to the auth server, and its answer, into events."""

    info: SessionInfo
    events: EventStream

    def exchanged(self, request: bytes, answer: bytes) -> None:
        """Tell both; the request comes without secrets."""
        self.events.emit(LineSent(self.info, Side.AUTH, _text(request)))
        self.events.emit(LineReceived(self.info, Side.AUTH, _text(_mask_answer(answer))))


def where_it_broke(defect: BaseException) -> str:
    """Kinds and places of a defect, without its message, which may hold anything."""
    if isinstance(defect, BaseExceptionGroup):
        return "\n".join(where_it_broke(inner) for inner in defect.exceptions)
    return "".join(traceback.format_tb(defect.__traceback__)) + type(defect).__name__


def _text(octets: bytes) -> str:
    """Octets as lines of harmless text."""
    return "\n".join(printable(line.rstrip(b"\r"), limit=1024) for line in octets.rstrip(b"\r\n").split(b"\n"))


def _mask_answer(answer: bytes) -> bytes:
    """The auth server's answer without the password it may carry."""
    lines = answer.split(b"\n")
    return b"\n".join(b"Auth-Pass: ***" if line.lower().startswith(b"auth-pass") else line for line in lines)
