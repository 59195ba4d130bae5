"""The server blocks of a configuration, each with what its sessions need besides settings."""

from __future__ import annotations

from dataclasses import dataclass

from refproxy.config.settings import ResolverSettings, ServerSettings, Settings, StartTlsMode
from refproxy.net.tls.backend import BackendTls
from refproxy.net.tls.server import ServerTls
from refproxy.services.resolver import Resolver

__all__ = ["Server", "make_server", "make_servers"]


@dataclass(frozen=True, slots=True)
class Server:
    """One server block at work. `tls` is None where no client may speak TLS."""

    settings: ServerSettings
    tls: ServerTls | None
    backend_tls: BackendTls
    resolver: Resolver | None


def make_server(settings: ServerSettings, resolver: Resolver | None = None) -> Server:
    """Read the certificates of a server block. Raises TlsFault."""
    uses_tls = settings.starttls is not StartTlsMode.OFF or any(listen.ssl for listen in settings.listens)
    tls = ServerTls(settings.tls, settings.protocol) if uses_tls else None
    return Server(settings, tls, BackendTls(settings.backend_tls), resolver)


def make_servers(settings: Settings) -> list[Server]:
    """All server blocks, in their order; those with the same `resolver` share its cache. Raises TlsFault."""
    resolvers: dict[ResolverSettings, Resolver] = {}
    servers = []
    for server in settings.servers:
        wanted, resolver = server.resolver, None
        if wanted is not None:
            resolver = resolvers.setdefault(wanted, Resolver(wanted))
        servers.append(make_server(server, resolver))
    return servers
