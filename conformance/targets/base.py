"""What a run needs of a target: blocks in, places to connect to out, and an end."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from conformance.case import Block, Case
from conformance.rulebook import Level

if TYPE_CHECKING:
    import trustme  # not needed to list cases

__all__ = ["Files", "Fixture", "Place", "Running", "Target", "TargetTrouble", "kept_authority"]


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


def kept_authority(directory: Path) -> trustme.CA:
    """The authority of a directory, made where there is none: a proxy that was configured once goes on trusting it."""
    import trustme

    certificate, key = directory / "ca.pem", directory / "ca-key.pem"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    key.touch(mode=0o600)
    authority.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(certificate))
    return authority


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

    def said(self) -> str:
        """What it said last, for messages."""
        return "its output is not known"

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
    """A proxy. `claims` are the needs it can meet, `dialects` the rules that bind it besides MUST and SHOULD.

    One that is configured once and for all says on which ports it looks for auth server and name server, and where the
    files it uses are kept.
    """

    name: str
    version: str = ""
    claims: frozenset[str] = frozenset()
    dialects: frozenset[Level] = frozenset()
    auth_port: int = 0
    dns_port: int = 0
    kept_files: Path | None = None
    several: bool = False
    """Whether it can be started again while it runs, in another directory."""
    patience: float = 1.0
    """A factor for how long it may take to start."""

    def refusal(self, case: Case) -> str | None:
        """Why a case cannot be run with this target."""
        missing = sorted(case.needs - self.claims)
        return f"{self.name} does not claim {', '.join(missing)}" if missing else None

    @abstractmethod
    def run(self, fixture: Fixture) -> AbstractAsyncContextManager[Running]:
        """Run the target for the block. Raises TargetTrouble."""
