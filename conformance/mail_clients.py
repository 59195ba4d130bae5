"""Real mail clients of the standard library, bound to a case's own address."""

from __future__ import annotations

import imaplib
import poplib
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from conformance.bench import Bench
from conformance.verdict import Mismatch

__all__ = ["Imap", "Pop3", "in_thread"]

TIMEOUT = 8.0  # seconds, less than the patience of a case

Found = TypeVar("Found")


class Imap(imaplib.IMAP4):
    """imaplib from a source address."""

    def __init__(self, source: str, port: int) -> None:
        self.source = source
        super().__init__("127.0.0.1", port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT, source_address=(self.source, 0))


class Pop3(poplib.POP3):
    """poplib from a source address."""

    def __init__(self, source: str, port: int) -> None:
        self.source = source
        super().__init__("127.0.0.1", port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT, source_address=(self.source, 0))


async def in_thread(bench: Bench, use: Callable[[str, int], Found]) -> Found:
    """Call `use(source address, port)` in a thread, where a client of the standard library may block.

    What the client complains of is a Mismatch.
    """
    port = bench.running.places[bench.case.block].port
    try:
        return await trio.to_thread.run_sync(partial(use, bench.ip, port), abandon_on_cancel=True)
    except (imaplib.IMAP4.error, poplib.error_proto, OSError) as error:
        raise Mismatch("a client that is content", repr(error)) from error
