"""Drives a client-facing core as converse does, and collects what it says."""

from __future__ import annotations

from itertools import count
from typing import Any

from refproxy.config.settings import MailProtocol
from refproxy.dialogue.client import Client, ClientCore
from refproxy.dialogue.protocols import PROTOCOLS
from refproxy.dialogue.turn import Authenticate, Close, Connect, Line, Octets, Pause, Turn
from refproxy.wire.auth_http import Accepted, Attempt, Refused, Verdict, parse_answer
from refproxy.wire.tls_facts import TlsFacts
from tests.proxied import server_settings

SMTP, POP3, IMAP = MailProtocol.SMTP, MailProtocol.POP3, MailProtocol.IMAP
IN_TLS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")
ROUTE = b"Auth-Server: 127.0.0.1\r\nAuth-Port: 2525\r\n"


class Talk:
    """One dialogue. `say` feeds octets and returns the reply to them."""

    def __init__(self, protocol: MailProtocol, **changes: Any) -> None:
        numbers = count(1)
        self.client = Client("192.0.2.7")
        settings = server_settings(protocol, **changes)
        self.core: ClientCore = PROTOCOLS[protocol].core(
            settings, self.client, lambda: b"<%d.1700000000@mx.example>" % next(numbers)
        )
        self.turn: Turn = self.core.start()
        self.greeting = self.turn.reply
        self._buffer = b""

    def say(self, octets: bytes) -> bytes:
        """Feed octets as the needs ask for them; what is left when an ask or end comes stays for later."""
        self._buffer += octets
        replies = b""
        while (more := self._step()) is not None:
            replies += more
        return replies

    def _step(self) -> bytes | None:
        match self.turn.then:
            case Line(limit):
                end = self._buffer.find(b"\n", 0, limit) + 1
                if not end and len(self._buffer) < limit:
                    return None
                self.turn = self.core.receive(self._take(end)) if end else self.core.overlong(self._buffer[:limit])
            case Octets(size, limit) if len(self._buffer) >= min(size, limit):
                fits = size <= limit
                self.turn = self.core.receive(self._take(size)) if fits else self.core.overlong(self._buffer[:limit])
            case _:
                return None
        return self.turn.reply

    def _take(self, count: int) -> bytes:
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    @property
    def closed(self) -> bool:
        return isinstance(self.turn.then, Close)

    @property
    def attempt(self) -> Attempt | None:
        """What the auth server is being asked, if it is."""
        return self.turn.then.attempt if isinstance(self.turn.then, Authenticate) else None

    @property
    def credentials(self) -> tuple[bytes, bytes, bytes | None] | None:
        """Method, user and password of the attempt."""
        if self.attempt is None:
            return None
        found = self.attempt.credentials
        return found.method, found.user, found.password.reveal() if found.password else None

    def verdict(self, headers: bytes) -> bytes:
        """Let the auth server answer; return what the client gets at once or after the pause."""
        verdict: Verdict = parse_answer(headers + b"\r\n")
        if isinstance(verdict, Refused):
            self.turn = self.core.refused(verdict)
            if isinstance(self.turn.then, Pause):
                self.turn = self.core.resumed(early=False)
        else:
            assert isinstance(verdict, Accepted)
            self.turn = self.core.accepted(verdict)
        return self.turn.reply

    def backend_lines(self, headers: bytes = ROUTE) -> list[bytes | None]:
        """Let the auth server accept; return the lines the backend will get."""
        self.verdict(b"Auth-Status: OK\r\n" + headers)
        assert isinstance(self.turn.then, Connect)
        _greeting, *others = self.turn.then.route.login.exchanges
        return [exchange.send.line if exchange.send else None for exchange in others]

    def start_tls(self, facts: TlsFacts = IN_TLS) -> bytes:
        """Let the handshake that the core asked for succeed; return what the client reads first in TLS."""
        self._buffer = b""
        self.turn = self.core.tls_started(facts)
        return self.turn.reply
