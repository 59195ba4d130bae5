"""The auth server: takes requests with h11, hands each to the case it belongs to, and answers what the case says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import trio

from conformance.fakes.peer import Peer

__all__ = ["AuthRequest", "RawRequest", "read_request"]

RawRequest = tuple[bytes, bytes, list[tuple[bytes, bytes]], bool]
"""The octets of a request, its target, its headers, and whether h11 took it."""

LIMIT = 4 << 20  # octets of a request, in which a password may be long


@dataclass(slots=True)
class AuthRequest:
    """One request as it came, and the connection to answer on."""

    peer: Peer
    raw: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    proper: bool = True

    def __getitem__(self, name: str) -> bytes:
        """The value of a header, or of none b''; of several the first."""
        values = self.all(name)
        return values[0] if values else b""

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[bytes]:
        """The values of all headers of this name."""
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]

    @property
    def names(self) -> list[bytes]:
        """The names in their order, spelled as they came."""
        return [line.partition(b":")[0] for line in self.raw.split(b"\r\n")[1:] if line]

    @property
    def user(self) -> bytes:
        return unquote_to_bytes(self["Auth-User"])

    @property
    def password(self) -> bytes:
        return unquote_to_bytes(self["Auth-Pass"])

    async def answer(self, *lines: str | bytes, status: str = "200 OK") -> None:
        """Send an answer with these header lines, and close."""
        head = [f"HTTP/1.0 {status}", *lines, "", ""]
        octets = b"\r\n".join(line.encode() if isinstance(line, str) else line for line in head)
        await self.send(octets)
        await self.peer.close()

    async def send(self, octets: bytes, *, pieces: int | None = None) -> None:
        """Send octets as they are, and leave the connection open."""
        await self.peer.send(octets, pieces=pieces)


async def read_request(stream: trio.SocketStream) -> RawRequest | None:
    """Read one request; None when it ends early or is not even nearly HTTP."""
    import h11  # not needed to list cases

    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    raw = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return _loosely(raw)
        if isinstance(event, h11.Request):
            return raw, event.target, list(_raw_headers(event.headers.raw_items())), True
        if event is not h11.NEED_DATA:
            return None
        try:
            octets = await stream.receive_some(LIMIT)
        except trio.BrokenResourceError:
            return None
        raw += octets
        connection.receive_data(bytes(octets))


def _raw_headers(items: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    return ((bytes(name), bytes(value)) for name, value in items)


def _loosely(raw: bytes) -> RawRequest | None:
    """Read what h11 refuses, such as a path with a space; None when it has no end."""
    head, end, _ = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if not end:
        return None
    headers = [(name, value.strip(b" ")) for name, _, value in (line.partition(b":") for line in lines)]
    return raw, first.removeprefix(b"GET ").removesuffix(b" HTTP/1.0"), headers, False
