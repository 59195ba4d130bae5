"""SASL in the three protocols: how an exchange is begun, challenged, refused (sasl rules, section 2.1)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from conformance.attempts import Turn
from conformance.case import Block
from conformance.dialogues import IMAP as IMAP_WORDS
from conformance.dialogues import POP3 as POP3_WORDS
from conformance.dialogues import SMTP as SMTP_WORDS
from conformance.dialogues import Words

__all__ = ["FRAMES", "PASSWORD", "USERNAME", "Frame", "b64"]

USERNAME = b"VXNlcm5hbWU6"
PASSWORD = b"UGFzc3dvcmQ6"


def b64(octets: bytes) -> bytes:
    """Base64 with its padding."""
    return b64encode(octets)


@dataclass(frozen=True, slots=True)
class Frame:
    """One protocol's octets around SASL. `methods` are all that nginx knows."""

    words: Words
    command: bytes
    challenge: bytes
    reject: bytes
    methods: str

    @property
    def name(self) -> str:
        """The protocol."""
        return self.words.name

    def block(self, methods: str | None = None, more: str = "") -> Block:
        """A block with these methods, by default with all but OAuth's."""
        return Block(self.name, f"{self.name}_auth {methods or self.methods}; {more}".strip())

    @property
    def plain(self) -> Block:
        """A block with all methods that nginx knows, too."""
        return self.block()

    @property
    def oauth(self) -> Block:
        """A block with OAuth's methods and PLAIN."""
        return self.block("plain xoauth2 oauthbearer")

    def start(self, method: bytes, response: bytes | None = None) -> bytes:
        """The command that begins an exchange."""
        return self.command + method + (b"" if response is None else b" " + response) + b"\r\n"

    def challenged(self, line: bytes, text: bytes = b"") -> Turn:
        """A line and the challenge it is answered with."""
        return line, self.challenge + text + b"\r\n"

    def rejected(self, line: bytes) -> Turn:
        """A line that is refused."""
        return line, self.reject


FRAMES = {
    "imap": Frame(IMAP_WORDS, b"a AUTHENTICATE ", b"+ ", b"a BAD invalid command\r\n", "plain login cram-md5 external"),
    "pop3": Frame(POP3_WORDS, b"AUTH ", b"+ ", b"-ERR invalid command\r\n", "plain cram-md5 external"),
    "smtp": Frame(SMTP_WORDS, b"AUTH ", b"334 ", b"500 5.5.1 Invalid command\r\n", "plain login cram-md5 external"),
}
