"""Settings and directives as text and JSON, for people and programs. Secrets are never shown.

The text of `dump` is a configuration file itself: reading it gives the same settings, but for the secrets.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from refproxy.config.directives import ROWS, Context, Repeat, Row
from refproxy.config.settings import (
    AuthHttp,
    KeepAlive,
    Listen,
    LogFilter,
    LogLevel,
    LogSettings,
    Mechanism,
    ProxyHeader,
    ResolverSettings,
    ServerSettings,
    Settings,
    TcpAddress,
    UnixAddress,
    Where,
)
from refproxy.config.tree import printable, quote

__all__ = ["directives_json", "directives_text", "dump_json", "dump_text"]

MASK = "***"
FIELDS = frozenset(row.field for row in ROWS if row.field)
PROTOCOL_MODULES = frozenset({"imap", "pop3", "smtp"})


# -- which rows belong to what, and their values -------------------------------------------------------------------


def main_rows(context: Context) -> list[Row]:
    """The rows of the main context or of `events` that have a value."""
    return [row for row in ROWS if row.field and context in row.contexts]


def server_rows(server: ServerSettings) -> list[Row]:
    """The rows that have a value in a server; those of the other protocols do not matter to it."""
    foreign = PROTOCOL_MODULES - {server.protocol.value}
    return [row for row in ROWS if row.field and Context.SERVER in row.contexts and row.module not in foreign]


def value_of(settings: Settings | ServerSettings, row: Row) -> object:
    """The value in a row's field, secrets masked; None also when the group it belongs to is off."""
    value: object = settings
    for name in path(row):
        value = getattr(value, name, None)
    return masked(value) if row.secret else value


def path(row: Row) -> list[str]:
    """The names of the fields that lead to a row's value."""
    assert row.field is not None  # only rows with a field are shown
    return row.field.split(".")


def masked(values: object) -> object:
    """Hide what is secret in a list: values of headers, keys given as data, pass phrases; names of files stay."""
    assert isinstance(values, tuple)  # every secret directive has a list
    return tuple(map(masked_item, values))


def masked_item(item: object) -> object:
    match item:
        case (name, _):
            return (name, MASK)
        case bytes():
            return MASK
        case str() if item.startswith("data:"):
            return f"data:{MASK}"
    return item


# -- dump as text --------------------------------------------------------------------------------------------------


def dump_text(settings: Settings) -> str:
    """The effective settings in the configuration language."""
    lines = [f"# {settings.file}"]
    for row in main_rows(Context.MAIN):
        lines += statements(settings, row)
    lines += ["events {"]
    for row in main_rows(Context.EVENTS):
        lines += ["    " + line for line in statements(settings, row)]
    lines += ["}", "mail {"]
    for server in settings.servers:
        lines += [f"    server {{  # {server.where}"]
        for row in server_rows(server):
            lines += ["        " + line for line in statements(server, row)]
        lines += ["    }"]
    return "\n".join([*lines, "}", ""])


def statements(settings: Settings | ServerSettings, row: Row) -> Iterator[str]:
    """The statements that give a row its value; none when nothing needs to be said, or the row's group is off."""
    group, *members = path(row)
    if members and getattr(settings, group) is None:
        return
    for part in parts(row, value_of(settings, row)):
        text = " ".join(os.fsdecode(quote(word)) for word in words(part))
        yield f"{row.name} {text};"


def parts(row: Row, value: object) -> Iterator[object]:
    """What stands in one statement each: lists of words stay together, other lists do not."""
    if value is None:
        if row.absent is not None:
            yield row.absent
    elif not isinstance(value, tuple) or row.repeat is not Repeat.ADDED:
        if value not in ((), frozenset()):
            yield value
    elif value and all(isinstance(item, bytes) for item in value):
        yield value
    else:
        yield from value


def words(value: object) -> list[bytes]:
    """A value as the words of a statement."""
    match value:
        case bytes():
            return [value]
        case frozenset():
            return [word for item in ordered(value) for word in words(item)]
        case tuple():
            return [word for item in value for word in words(item)]
        case AuthHttp():
            return [auth_http_url(value)]
        case ResolverSettings():
            return resolver_words(value)
        case Listen():
            return listen_words(value)
        case ProxyHeader():
            return value.value.encode().split()
        case LogSettings():
            return log_words(value)
    return [os.fsencode(word(value))]


def word(value: object) -> str:
    """A value that is a single word."""
    match value:
        case bool():
            return "on" if value else "off"
        case float():
            milliseconds = round(value * 1000)
            return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
        case Enum():
            return str(value.value)
    return str(value)


def ordered(value: frozenset[object]) -> list[object]:
    """A set in its usual order: mechanisms as they are advertised, else alphabetical."""
    mechanisms = [mechanism for mechanism in Mechanism if mechanism in value]
    return [*mechanisms, *sorted(value.difference(mechanisms), key=str)]


def auth_http_url(auth: AuthHttp) -> bytes:
    address = auth.addresses[0]
    if isinstance(address, UnixAddress):
        return os.fsencode(str(address)) + b":" + auth.path
    return auth.host + b":" + str(address.port).encode() + auth.path


def resolver_words(resolver: ResolverSettings) -> list[bytes]:
    text = [str(server) for server in resolver.servers]
    text += [f"valid={word(resolver.valid)}"] if resolver.valid is not None else []
    text += ["ipv4=off"] if not resolver.ipv4 else []
    text += ["ipv6=off"] if not resolver.ipv6 else []
    text += [f"status_zone={resolver.status_zone}"] if resolver.status_zone is not None else []
    return [os.fsencode(part) for part in text]


def listen_words(listen: Listen) -> list[bytes]:
    usual = Listen(listen.address, listen.where)
    text = [str(listen.address)]
    text += [flag for flag in ("ssl", "proxy_protocol", "bind", "multipath") if getattr(listen, flag)]
    text += [f"backlog={listen.backlog}"] if listen.backlog != usual.backlog else []
    text += [f"rcvbuf={listen.rcvbuf}"] if listen.rcvbuf is not None else []
    text += [f"sndbuf={listen.sndbuf}"] if listen.sndbuf is not None else []
    text += ["ipv6only=off"] if not listen.ipv6only else []
    text += [f"so_keepalive={keepalive(listen.so_keepalive)}"] if listen.so_keepalive is not None else []
    return [os.fsencode(part) for part in text]


def keepalive(value: KeepAlive | bool) -> str:
    if isinstance(value, bool):
        return word(value)
    return ":".join("" if part is None else str(part) for part in (value.idle, value.interval, value.count))


def log_words(log: LogSettings) -> list[bytes]:
    usual = LogSettings(log.destination)
    text = [log.destination, level_name(log.level)]
    text += ["format=json"] if log.json else []
    text += [f"filter={log.filter}"] if log.filter is not None else []
    text += [f"rate={log.rate or 0}"] if log.rate != usual.rate else []
    return [os.fsencode(part) for part in text]


def level_name(level: LogLevel) -> str:
    return level.name.lower()


# -- dump as JSON --------------------------------------------------------------------------------------------------


def dump_json(settings: Settings) -> str:
    """The effective settings by directive: times in seconds, sizes in octets, None for what is off."""
    main = {row.name: jsonable(row, value_of(settings, row)) for row in main_rows(Context.MAIN)}
    events = {row.name: jsonable(row, value_of(settings, row)) for row in main_rows(Context.EVENTS)}
    servers = [
        {"where": str(server.where)} | {row.name: jsonable(row, value_of(server, row)) for row in server_rows(server)}
        for server in settings.servers
    ]
    found = {"file": settings.file, **main, **events, "servers": servers, "warnings": list(settings.warnings)}
    return json.dumps(found, indent=2) + "\n"


def jsonable(row: Row, value: object) -> object:
    """A value made of what JSON has. Of a group of values only those appear that no other directive sets."""
    match value:
        case LogLevel():  # an int, too
            return level_name(value)
        case None | bool() | int() | float():
            return value
        case bytes():
            return printable(value)
        case frozenset():
            return [jsonable(row, item) for item in ordered(value)]
        case tuple():
            return [jsonable(row, item) for item in value]
        case TcpAddress() | UnixAddress() | Where() | IPv4Network() | IPv6Network() | LogFilter() | str() | Enum():
            return printable(os.fsencode(word(value)))
    assert dataclasses.is_dataclass(value)
    names = [field.name for field in dataclasses.fields(value)]
    own = [name for name in names if f"{row.field}.{name}" not in FIELDS]
    return {name: jsonable(row, getattr(value, name)) for name in own}


# -- the table of directives ---------------------------------------------------------------------------------------


def directives_json() -> str:
    """The table of directives as a list of objects."""
    return json.dumps([directive(row) for row in by_name()], indent=2) + "\n"


def directive(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "module": row.module,
        "syntax": row.syntax,
        "default": row.default,
        "contexts": [context.value for context in row.contexts],
        "dialect": row.dialect.value,
        "doc": row.doc,
        "rule": row.rule,
        "effective": not row.ignored,
    }


def directives_text() -> str:
    """The table of directives for reading."""
    return "\n".join(map(directive_text, by_name()))


def directive_text(row: Row) -> str:
    default = "none" if row.default is None else f"{row.name} {row.default};"
    known = row.dialect.value + (f" (since {row.since})" if row.since else "")
    return (
        f"{row.name}  ({row.module}, {row.rule})\n"
        f"    {row.doc}\n"
        f"    syntax:   {row.syntax}\n"
        f"    default:  {default}\n"
        f"    contexts: {', '.join(context.value for context in row.contexts)}\n"
        f"    dialect:  {known}\n"
    )


def by_name() -> list[Row]:
    return sorted(ROWS, key=lambda row: row.name)
