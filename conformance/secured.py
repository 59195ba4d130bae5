"""What cases about TLS do again and again: blocks with certificates, sessions that have got into TLS."""

from __future__ import annotations

import ssl

import trio

from conformance.bench import Bench
from conformance.case import Block
from conformance.dialogues import PROTOCOLS, greeted
from conformance.fakes.peer import Peer
from conformance.verdict import Mismatch

__all__ = [
    "CAPABILITIES",
    "CAPABILITIES_IN_TLS",
    "NAME",
    "TLS",
    "VERSIONS",
    "expect_deadline",
    "expect_no_reply",
    "filled",
    "implicit",
    "in_tls",
    "secured",
    "starttls",
    "unverified",
]

NAME = "mx.example"
VERSIONS = "ssl_protocols TLSv1.2 TLSv1.3;"  # nginx before 1.23.4 has no TLSv1.3 by default
TLS = f"ssl_certificate {{certificate}}; ssl_certificate_key {{certificate}}; {VERSIONS}"

EARLY = 0.3  # seconds that a deadline may be early (CORE-17)
LATE = 4.0

CAPABILITIES = {
    "smtp": {
        "off": (b"EHLO c.example\r\n", b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n"),
        "on": (b"EHLO c.example\r\n", b"250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n"),
        "only": (b"EHLO c.example\r\n", b"250-mx.example\r\n250 STARTTLS\r\n"),
    },
    "imap": {
        mode: (b"c CAPABILITY\r\n", b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS" + words + b"\r\nc OK completed\r\n")
        for mode, words in {
            "off": b" AUTH=PLAIN",
            "on": b" AUTH=PLAIN STARTTLS",
            "only": b" STARTTLS LOGINDISABLED",
        }.items()
    },
    "pop3": {
        mode: (b"CAPA\r\n", b"+OK Capability list follows\r\n" + lines + b".\r\n")
        for mode, lines in {
            "off": b"TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n",
            "on": b"TOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\nSTLS\r\n",
            "only": b"TOP\r\nUIDL\r\nSTLS\r\n",
        }.items()
    },
}
"""How capabilities are asked for, and the answer in clear, by protocol and mode of `starttls` (TLS-37)."""

CAPABILITIES_IN_TLS = {protocol: modes["off"] for protocol, modes in CAPABILITIES.items()}
"""The same inside TLS."""


def implicit(protocol: str, directives: str = "", *, tls: str = TLS, listen: str = "", address: str = "ipv4") -> Block:
    """A block in TLS from the first octet."""
    return Block(protocol, f"{tls} {directives}".strip(), f"{listen} ssl".strip(), address)


def starttls(protocol: str, directives: str = "", *, mode: str = "on") -> Block:
    """A block with STARTTLS."""
    return Block(protocol, f"{TLS} starttls {mode}; {directives}".strip())


def unverified() -> ssl.SSLContext:
    """A TLS client that takes any certificate; it can be told a name for SNI, or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which Python 3.11.2 sets: it hides a missing close_notify
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def in_tls(bench: Bench, context: ssl.SSLContext | None = None) -> Peer:
    """A client that has shaken hands and read nothing yet: at once, or with STARTTLS if that is the block's way."""
    if "ssl" in bench.case.block.listen.split():
        client = await bench.client()
    else:
        client = await greeted(bench)
        command, reply = PROTOCOLS[bench.protocol].starttls
        await client.send(command)
        await client.expect(reply, loosely=bench.loosely)
    await client.start_tls(context or bench.trusting(), NAME)
    return client


async def secured(bench: Bench, context: ssl.SSLContext | None = None) -> Peer:
    """A client in TLS that has read the greeting, if there is one to read."""
    client = await in_tls(bench, context)
    if "ssl" in bench.case.block.listen.split():
        await client.expect(PROTOCOLS[bench.protocol].greeting, loosely=bench.loosely)
    return client


def filled(bench: Bench, octets: bytes) -> bytes:
    """Octets of the client with the case's own `{user}`, `{password}` and `{plain64}` in them."""
    for mark, value in {b"{user}": bench.user, b"{password}": bench.password, b"{plain64}": bench.plain64}.items():
        octets = octets.replace(mark, value)
    return octets


async def expect_no_reply(client: Peer) -> None:
    """The end of file comes, and before it at most a TLS alert. Raises Mismatch."""
    rest = await client.rest()
    if rest and not rest.startswith(b"\x15\x03"):
        raise Mismatch("nothing, or a TLS alert", repr(rest[:100]))


async def expect_deadline(client: Peer, before: float, seconds: float, *, late: float = LATE) -> None:
    """The end of file comes without a word, in `seconds` and at most `late` more. Raises Mismatch.

    `before` is a time before which the target cannot have begun to count.
    """
    await client.expect_eof()
    passed = trio.current_time() - before
    if not seconds - EARLY <= passed <= seconds + late:
        raise Mismatch(f"the end after {seconds:g} s", f"after {passed:.2f} s")
