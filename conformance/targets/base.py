"""What a run needs of a target: blocks in, places to connect to out, and an end."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from conformance.case import Block
from conformance.rulebook import Level

__all__ = ["Files", "Fixture", "Place", "Running", "Target", "TargetTrouble"]


class TargetTrouble(Exception):
    """The target does not start, or died; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block of the target listens: a TCP address or the path of a UNIX socket."""

    host: str
    port: int
    path: str | None = None

    async def connect(self, source: str | None) -> trio.SocketStream:
        """Connect, for TCP over IPv4 from a source address. Raises OSError."""
        if self.path is not None:
            return await trio.open_unix_socket(self.path)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            if source is not None and family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect
                await sock.bind((source, 0))
            await sock.connect((self.host, self.port))
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)


@dataclass(frozen=True, slots=True)
class Files:
    """The names of files that the directives of a block may speak of, as `{certificate}` or `{auth_unix}`."""

    directory: Path
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, contents: Iterable[tuple[str, bytes]]) -> Files:
        """Write files with these contents (see certificates.Certificates.files)."""
        names = {}
        for name, content in contents:
            path = directory / f"{name}.pem"
            path.write_bytes(content)
            names[name] = str(path)
        names["auth_unix"] = str(directory / "auth.sock")
        return cls(directory, names)

    def fill(self, directives: str, **more: object) -> str:
        """Put the names of files, and what else is known, into directives."""
        for name, value in {**self.names, **more}.items():
            directives = directives.replace("{" + name + "}", str(value))
        return directives


@dataclass(frozen=True, slots=True)
class Fixture:
    """What the target is to be started with: the blocks, and where auth server and name server are."""

    blocks: Sequence[Block]
    auth_port: int
    dns_port: int
    files: Files
    directory: Path
    main: str = ""
    mail: str = ""
    auth6_port: int = 0
    signals: bool = False  # it will get signals


class Running(ABC):
    """A target at work."""

    places: Mapping[Block, Place]

    @abstractmethod
    def trouble(self) -> str | None:
        """What is wrong with it, if it is no longer well."""

    @abstractmethod
    def send_signal(self, number: int) -> None:
        """Send the target's main process a signal."""

    @abstractmethod
    def reload(self, old: str, new: str) -> None:
        """Replace text in its configuration, and have it reloaded."""

    @abstractmethod
    async def logged(self, text: str) -> None:
        """Wait until it has logged this."""

    @abstractmethod
    async def ended(self) -> None:
        """Wait until the target's main process has ended."""


class Target(ABC):
    """A proxy. `claims` are the needs it can meet, `dialects` the rules that bind it besides MUST and SHOULD."""

    name: str
    version: str = ""
    claims: frozenset[str] = frozenset()
    dialects: frozenset[Level] = frozenset()

    @abstractmethod
    def run(self, fixture: Fixture) -> AbstractAsyncContextManager[Running]:
        """Run the target for the block. Raises TargetTrouble."""
