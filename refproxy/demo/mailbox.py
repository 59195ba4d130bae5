"""The one user of the embedded world, and the mailbox that its backends share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

__all__ = ["PASSWORD", "USER", "Mailbox", "Message", "knows"]

USER = "ann@demo.example"
PASSWORD = "rusty-anchor-42"  # noqa: S105  # of a world that lives on loopback for as long as the demo runs
MESSAGES_KEPT = 1000
MESSAGE_LIMIT = 1024 * 1024  # octets


@dataclass(slots=True)
class Message:
    """A message with CRLF line ends. `uid` is never used again."""

    uid: int
    octets: bytes = field(repr=False)
    flags: set[bytes] = field(default_factory=set)
    arrived: datetime = field(default_factory=partial(datetime.now, UTC))

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """Header section with its empty line, and body."""
        head, empty_line, body = self.octets.partition(b"\r\n\r\n")
        return head + empty_line, body


@dataclass(slots=True)
class Mailbox:
    """Messages in the order of their arrival."""

    messages: list[Message] = field(default_factory=list)
    next_uid: int = 1

    def deliver(self, octets: bytes) -> None:
        """Put a message into the mailbox; the oldest goes when there are too many."""
        self.messages.append(Message(self.next_uid, octets))
        self.next_uid += 1
        del self.messages[:-MESSAGES_KEPT]


def knows(user: bytes, password: bytes) -> bool:
    """Whether these are the user and the password."""
    return (user, password) == (USER.encode(), PASSWORD.encode())
