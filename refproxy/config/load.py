"""Reads a configuration: the file, the table of directives and the checks that need the whole of it give Settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from refproxy.config.addresses import system_resolve
from refproxy.config.directives import ROWS, opens
from refproxy.config.scopes import Collector, Scope
from refproxy.config.settings import (
    AuthHttp,
    BackendTlsSettings,
    Listen,
    LogSettings,
    MailProtocol,
    ServerSettings,
    Settings,
    StartTlsMode,
    TcpAddress,
    TlsSettings,
    VerifyClient,
)
from refproxy.config.tree import COMMAND_LINE, TreeReader, open_fault, place, printable
from refproxy.config.values import Resolve, Site
from refproxy.errors import ConfigError, TlsFault

__all__ = ["CheckTls", "ConfigErrors", "absolute", "load"]

Group = TypeVar("Group", ServerSettings, Settings, TlsSettings, BackendTlsSettings)

CheckTls = Callable[[TlsSettings | BackendTlsSettings], Sequence[TlsFault]]
"""Tries the TLS settings towards clients or backends: reads the certificates and asks the TLS library."""

PROTOCOL_OF_PORT = {
    **dict.fromkeys((25, 465, 587), MailProtocol.SMTP),
    **dict.fromkeys((110, 995), MailProtocol.POP3),
    **dict.fromkeys((143, 993), MailProtocol.IMAP),
}
"""What a server speaks on a well-known port (CORE-14)."""


class ConfigErrors(ConfigError):
    """All faults of a configuration. As a ConfigError it is the first of them, the one Angie would report."""

    def __init__(self, faults: Sequence[ConfigError]) -> None:
        first = faults[0]
        super().__init__(first.text, first.where, first.hint)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def load(
    file: Path,
    *,
    check_tls: CheckTls = lambda _: (),
    prefix: Path | None = None,
    globals_: str = "",
    resolve: Resolve = system_resolve,
) -> Settings:
    """Read a configuration file, with `globals_` as if they stood in front of it (CONF-46).

    `check_tls` is the TLS library's part in it (refproxy.net.tls.check). Relative names in it are relative to `prefix`,
    or without one to the directory of the file. A relative `file` is relative to the prefix, or to the working
    directory. Raises ConfigErrors with every fault there is.
    """
    path = absolute(file, prefix)
    base = Path.cwd() / prefix if prefix else path.parent
    site = Site(base, resolve)
    reader = TreeReader(base, opens)
    found = Collector(site)
    found.read(reader.parse(os.fsencode(globals_), COMMAND_LINE, "main"), found.main)
    found.read(reader.read(str(path), "main"), found.main)
    faults = [*found.faults, *(faults_of_the_whole(found, check_tls) if found.complete else ())]
    if faults:
        raise ConfigErrors(faults)
    return build(str(path), found)


def absolute(file: Path, prefix: Path | None) -> Path:
    """A configuration file's name as messages show it (CONF-13)."""
    return Path.cwd() / (prefix or "") / file


# -- checks that need the whole configuration ----------------------------------------------------------------------


def faults_of_the_whole(found: Collector, check_tls: CheckTls) -> Iterator[ConfigError]:
    """What is wrong although every statement is right, in Angie's order (CONF-38, CONF-44, CONF-45)."""
    if "events" not in found.main.entries:
        yield ConfigError('no "events" section in configuration', hint='expected "events { }" in the main context')
    for server in found.servers:
        yield from protocol_faults(server)
    for server in found.servers:
        yield from tls_faults(server, check_tls)
        yield from backend_tls_faults(server, check_tls)
    for server in found.servers:
        yield from auth_http_faults(server)
    for scope in (found.main, found.mail, *found.servers):
        yield from log_faults(scope)


def protocol_faults(server: Scope) -> Iterator[ConfigError]:
    """A server's protocol is neither given nor implied by a port (CORE-14)."""
    undecided = any(entry.failed for name in ("listen", "protocol") if (entry := server.entries.get(name)))
    if protocol_of(server) is None and not undecided and "listen" in server.entries:
        hint = 'expected "protocol imap | pop3 | smtp;" or a well-known port'
        yield ConfigError("unknown mail protocol for server", position(server), hint)


def tls_faults(server: Scope, check: CheckTls) -> Iterator[ConfigError]:
    """A server that uses TLS lacks what it needs, or has what the TLS library refuses (TLS-24 to TLS-27)."""
    if (use := tls_use(server)) is None:
        return
    mode, where = use
    certificates, keys = server.find("ssl_certificate"), server.find("ssl_certificate_key")
    complete = False
    if certificates is None:
        yield ConfigError(f'no "ssl_certificate" is defined for the "{mode}" directive', where)
    elif keys is None:
        yield ConfigError(f'no "ssl_certificate_key" is defined for the "{mode}" directive', where)
    elif len(keys.parts) < len(certificates.parts):
        last = printable(certificates.args[0])
        text = f'no "ssl_certificate_key" is defined for certificate "{last}" and the "{mode}" directive'
        yield ConfigError(text, where)
    else:
        complete = True
    verify = server.find("ssl_verify_client")
    needs_authority = verify is not None and verify.value in (VerifyClient.ON, VerifyClient.OPTIONAL)
    if needs_authority and not (server.find("ssl_client_certificate") or server.find("ssl_trusted_certificate")):
        yield ConfigError("no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client")
    settings = tls_settings(server, TlsSettings(), "tls.")
    if settings is not None:
        yield from library_faults(server, check(settings if complete else replace(settings, certificates=())))


def backend_tls_faults(server: Scope, check: CheckTls) -> Iterator[ConfigError]:
    """TLS to backends is incomplete, or has what the TLS library refuses (TLS-63)."""
    settings = tls_settings(server, BackendTlsSettings(), "backend_tls.")
    if settings is None or settings == BackendTlsSettings():
        return
    if settings.certificate is not None and settings.certificate_key is None:
        text = f'no "proxy_ssl_certificate_key" is defined for certificate "{settings.certificate}"'
        yield ConfigError(text, position(server))
        settings = replace(settings, certificate=None)
    if settings.verify and settings.trusted_certificate is None:
        yield ConfigError("no proxy_ssl_trusted_certificate for proxy_ssl_verify", position(server))
    yield from library_faults(server, check(settings))


def library_faults(server: Scope, faults: Sequence[TlsFault]) -> Iterator[ConfigError]:
    """The TLS library's faults, with the positions of the statements to blame."""
    for fault in faults:
        entry = server.find(fault.directive)
        yield ConfigError(fault.text, place(entry.wheres[fault.index]) if entry else position(server))


def tls_settings(server: Scope, defaults: Group, group: str) -> Group | None:
    """The settings of a group as far as they are for a server, unless one of their statements is faulty."""
    entries = {row.field: server.find(row.name) for row in ROWS if row.field and row.field.startswith(group)}
    if any(entry.failed for entry in entries.values() if entry):
        return None
    return with_values(defaults, {field.removeprefix(group): entry.value for field, entry in entries.items() if entry})


def tls_use(server: Scope) -> tuple[str, str] | None:
    """How a server uses TLS, as the directive's name and position in messages; None if it does not (TLS-25)."""
    if encrypted := [listen for listen in listens_of(server) if listen.ssl]:
        return "listen ... ssl", place(encrypted[-1].where)
    entry = server.find("starttls")
    if entry is not None and entry.value in (StartTlsMode.ON, StartTlsMode.ONLY):
        return "starttls", place(entry.where)
    return None


def auth_http_faults(server: Scope) -> Iterator[ConfigError]:
    """A server has no auth server (AUTH-1)."""
    if server.find("auth_http") is None:
        hint = 'expected "auth_http URL;" in server or mail'
        yield ConfigError('no "auth_http" is defined for server', position(server), hint)


def log_faults(scope: Scope) -> Iterator[ConfigError]:
    """A log file cannot exist because its directory does not (CORE-27)."""
    entry = scope.entries.get("error_log")
    logs = entry.value if entry is not None and isinstance(entry.value, tuple) else ()
    for log in logs:
        if isinstance(log, LogSettings) and log.destination.startswith("/"):
            try:
                os.stat(os.path.dirname(log.destination))
            except (OSError, ValueError) as error:
                missing = error if isinstance(error, OSError) else FileNotFoundError(2, os.strerror(2))
                yield open_fault(log.destination, missing, None)


def position(server: Scope) -> str:
    assert server.where is not None  # a server scope knows its opening brace
    return place(server.where)


def listens_of(server: Scope) -> list[Listen]:
    entry = server.entries.get("listen")
    parts = entry.parts if entry else []
    return [listen for part in parts if isinstance(part, tuple) for listen in part if isinstance(listen, Listen)]


def protocol_of(server: Scope) -> MailProtocol | None:
    """The `protocol` of a server, or what the first well-known port says; of a range the first port (CORE-14)."""
    entry = server.entries.get("protocol")
    if entry is not None and isinstance(entry.value, MailProtocol):
        return entry.value
    listen = server.entries.get("listen")
    for part in listen.parts if listen else []:
        match part:
            case (Listen(address=TcpAddress(port=port)), *_) if port in PROTOCOL_OF_PORT:
                return PROTOCOL_OF_PORT[port]
    return None


# -- settings from scopes ------------------------------------------------------------------------------------------


def build(file: str, found: Collector) -> Settings:
    """Make the settings of a configuration without faults."""
    notes = found.site.notes
    if not found.servers:
        notes.lines.append('[warn] no "server" is defined in "mail"')
    if notes.later:
        later = ", ".join(f'"{label}" in {place(where)}' for label, where in notes.later.items())
        notes.lines.append(f"[warn] not effective yet: {later}")
    settings = Settings(file, tuple(map(build_server, found.servers)), warnings=tuple(notes.lines))
    return with_values(settings, values_of(found.main) | values_of(found.events))


def build_server(scope: Scope) -> ServerSettings:
    values = values_of(scope)
    protocol, auth_http = protocol_of(scope), values["auth_http"]
    assert scope.where is not None
    assert protocol is not None
    assert isinstance(auth_http, AuthHttp)
    values |= {"protocol": protocol, "server_name": values.get("server_name") or host_name()}
    return with_values(ServerSettings(scope.where, protocol, (), b"", auth_http), values)


def host_name() -> bytes:
    """The default of `server_name` (CORE-15)."""
    return socket.gethostname().lower().encode()


def values_of(scope: Scope) -> dict[str, object]:
    """The value of every directive that is set for a scope, by the field it belongs to."""
    entries = ((row.field, scope.find(row.name)) for row in ROWS if row.field and scope.context in row.contexts)
    return {field: entry.value for field, entry in entries if field and entry}


def with_values(settings: Group, values: Mapping[str, object]) -> Group:
    """Put values into their fields; a field `group.name` is left alone when the group itself is off."""
    # Any: which type a field takes is known to the parser of its row, and held by a test.
    plain: dict[str, Any] = {field: value for field, value in values.items() if "." not in field}
    groups: dict[str, dict[str, object]] = {}
    for field, value in values.items():
        group, dot, name = field.partition(".")
        if dot:
            groups.setdefault(group, {})[name] = value
    settings = replace(settings, **plain)
    present = {group: getattr(settings, group) for group in groups}
    filled: dict[str, Any] = {
        group: replace(base, **groups[group]) for group, base in present.items() if base is not None
    }
    return replace(settings, **filled)
