"""Faults in the relay."""

from __future__ import annotations

from refproxy import session
from refproxy.dialogue.login import LoginWalk
from refproxy.net import relay
from refproxy.session import Session
from tests.mutants.catalog import fault
from tests.mutants.edits import edited

BULK = "*/relay/64-kib-* imap/relay/1-mib-*"
TWO_TASKS = edited(("await _copy_in_one_task(client, backend, up, down, books)", "pass"))

fault(
    "relay-octet-lost",
    "where the receiver does not keep up, an octet is lost",
    "imap/relay/slow-* imap/relay/1-mib-*",
    (relay, "_copy_now", edited(("octets[sent:]", "octets[sent + 1 :]"))),
)
fault(
    "relay-octets-swapped",
    "two octets at the end of a full buffer are each other",
    BULK,
    (
        relay,
        "_copy_now",
        edited(
            (
                "sent = sink.send_now(octets)",
                "sent = sink.send_now(octets[:-2] + octets[:-3:-1] if len(octets) == way.room else octets)",
            )
        ),
    ),
)
fault(
    "relay-line-ends-mended",
    "a bare LF becomes CRLF",
    BULK,
    (
        relay,
        "_copy_now",
        edited(
            (
                "sent = sink.send_now(octets)",
                "sent = len(octets) + sink.send_now(octets.replace(b'\\n', b'\\r\\n')) * 0",
            )
        ),
    ),
)
fault(
    "relay-pending-lost",
    "what the client sent behind its login is lost",
    "*/relay/pipelined-* */relay/sent-during-*",
    (Session, "_relay", edited(("pending=self._lines.take_pending()", "pending=b''"))),
)
fault(
    "relay-trailing-lost",
    "what the backend sent behind its last reply is lost",
    "*/relay/*behind-the-last-reply* */hand-over/more-behind-it",
    (
        LoginWalk,
        "_advance",
        edited(
            ("kept = self._received if", "self._received = self._received[:length]\n        kept = self._received if")
        ),
    ),
)
fault(
    "relay-half-close-passed-on",
    "an end of file ends one direction only",
    "*/relay-end/*-half-closes*",
    (session, "relay", TWO_TASKS),
    (
        relay,
        "_pump",
        edited(
            ("    scope.cancel()", "    if books.result.end is not None:\n        scope.cancel()"),
            ("books.ended(way, end)", "await way.sink.send_eof()"),
        ),
    ),
)
fault(
    "relay-goes-on-for-the-client",
    "the end of the backend does not end the client's connection",
    "*/relay-end/backend-*",
    (session, "relay", TWO_TASKS),
    (
        relay,
        "_pump",
        edited(
            (
                "    scope.cancel()",
                "    if way.side is Side.BACKEND:\n        await trio.sleep_forever()\n    scope.cancel()",
            )
        ),
    ),
)
fault(
    "relay-timeout-not-renewed-by-the-backend",
    "octets of the backend do not renew proxy_timeout",
    "*/relay-end/proxy-timeout-renewed-*",
    (relay._Books, "received", edited(("self._renew()", "way.side is Side.BACKEND or self._renew()"))),
    (relay._Books, "delivered", edited(("self._renew()", "way.side is Side.BACKEND or self._renew()"))),
)
fault(
    "relay-timeout-not-renewed-by-the-client",
    "octets of the client do not renew proxy_timeout",
    "*/relay-end/proxy-timeout-renewed-*",
    (relay._Books, "received", edited(("self._renew()", "way.side is Side.CLIENT or self._renew()"))),
    (relay._Books, "delivered", edited(("self._renew()", "way.side is Side.CLIENT or self._renew()"))),
)
fault(
    "relay-timeout-of-the-dialogue",
    "an idle relay ends at `timeout`",
    "*/relay-end/*timeout* */backend-fault/timeout-does-not-reach-*",
    (Session, "_relay", edited(("idle=settings.proxy.timeout", "idle=settings.timeout"))),
)
fault(
    "relay-ends-where-the-receiver-is-slow",
    "octets that a receiver does not take at once are the end",
    "imap/relay/slow-* imap/relay/1-mib-*",
    (session, "relay", edited(("if result.end is None:", "if result.end is None and not (up.ahead or down.ahead):"))),
)
