"""The directives that hold addresses: `listen`, `auth_http`, `resolver` and `set_real_ip_from`.

All of them share one grammar, `unix:PATH`, `HOST[:PORT]` or `[IPv6][:PORT]`, with extras: `listen` allows port ranges
and a port alone, `auth_http` a path behind the address.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from refproxy.config.settings import (
    Address,
    AuthHttp,
    KeepAlive,
    Listen,
    ResolverSettings,
    TcpAddress,
    UnixAddress,
)
from refproxy.config.tree import open_fault, printable, read_octets
from refproxy.config.values import Call, Resolve, bad, maybe_number, maybe_size, maybe_time, sendable
from refproxy.errors import ConfigError

__all__ = ["UrlFault", "auth_http", "listen", "parse_url", "realip", "resolver", "system_resolve"]

HTTP_PORT = 80
DNS_PORT = 53
LARGEST_PORT = 65535
UNIX_PATH_LIMIT = 107
"""Octets of a unix socket's path that the operating system takes, without the closing NUL."""

RESOLV_CONF = "/etc/resolv.conf"
ALL_IPV4 = "0.0.0.0"  # noqa: S104 - what `listen 25` means


class UrlFault(Exception):
    """Why a text is no address, in Angie's words (CORE-5, AUTH-10)."""


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed address: the host as written, what it stands for, the ports and the path behind it."""

    host: bytes
    addresses: tuple[Address, ...]
    ports: range
    path: bytes = b""
    has_port: bool = True


def system_resolve(host: str, /) -> tuple[str, ...]:
    """Ask the system for the addresses of a host, IPv4 first. Raises OSError when there are none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (UnicodeError, ValueError) as error:  # a name that no DNS query can carry
        raise OSError(str(error)) from error
    ordered = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in ordered))


# -- the grammar ---------------------------------------------------------------------------------------------------


def maybe_ip(text: bytes) -> str | None:
    """The canonical text of a literal IPv4 or IPv6 address, without brackets."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, text.decode("ascii")))
        except (OSError, ValueError):
            continue
    return None


def parse_url(text: bytes, resolve: Resolve, *, default: int, listening: bool = False, path: bool = False) -> Url:
    """Parse an address. Raises UrlFault.

    `listening` allows port ranges, a port alone and `*`; `path` allows a path, which starts at the first `/` or `?`,
    or behind the first `:` of a unix socket (AUTH-6, AUTH-7).
    """
    if text[:5].lower() == b"unix:":
        return _unix(text[5:], path=path)
    address, tail = _split_path(text)
    if tail and not path:
        raise UrlFault("invalid host")
    if text.startswith(b"["):
        url = _ipv6(address, default, listening=listening)
    else:
        url = _named(address, resolve, default, listening=listening)
    return replace(url, path=tail)


def _unix(text: bytes, *, path: bool) -> Url:
    name, _, tail = text.partition(b":") if path else (text, b"", b"")
    if not name:
        raise UrlFault("no path in the unix domain socket")
    if len(name) > UNIX_PATH_LIMIT:
        raise UrlFault("too long path in the unix domain socket")
    address = UnixAddress(name.decode("utf-8", "surrogateescape"))
    return Url(name, (address,), range(1), tail)


def _split_path(text: bytes) -> tuple[bytes, bytes]:
    """Cut at the first `/` or `?`; inside brackets these are left to the address."""
    start = text.find(b"]") + 1 if text.startswith(b"[") else 0
    match = re.compile(rb"[/?]").search(text, start)
    return (text[: match.start()], text[match.start() :]) if match else (text, b"")


def _ipv6(text: bytes, default: int, *, listening: bool) -> Url:
    literal, bracket, tail = text[1:].partition(b"]")
    if not bracket or tail[:1] not in (b"", b":"):
        raise UrlFault("invalid host")
    ports = _ports(tail[1:], listening=listening) if tail else range(default, default + 1)
    if not literal:
        raise UrlFault("no host")
    host = maybe_ip(literal) if b":" in literal else None
    if host is None:
        raise UrlFault("invalid IPv6 address")
    return Url(b"[" + literal + b"]", _at((host,), ports), ports, has_port=bool(tail))


def _named(text: bytes, resolve: Resolve, default: int, *, listening: bool) -> Url:
    host, colon, tail = text.partition(b":")
    if colon:
        ports = _ports(tail, listening=listening)
    elif listening and re.fullmatch(rb"[0-9]+(-[0-9]+)?", text):
        ports = _ports(text, listening=True)
        return Url(b"*", _at((ALL_IPV4,), ports), ports)
    else:
        ports = range(default, default + 1)
    if not host:
        raise UrlFault("no host")
    hosts = (ALL_IPV4,) if listening and host == b"*" else resolved(host, resolve)
    return Url(host, _at(hosts, ports), ports, has_port=bool(colon))


def resolved(host: bytes, resolve: Resolve) -> tuple[str, ...]:
    """The addresses of a literal IPv4 address or a name. Raises UrlFault."""
    literal = maybe_ip(host)
    if literal is not None and b":" not in host:
        return (literal,)
    try:
        found = tuple(dict.fromkeys(resolve(host.decode("ascii"))))
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise UrlFault("host not found")
    return found


def _ports(text: bytes, *, listening: bool) -> range:
    first, dash, last = text.partition(b"-") if listening else (text, b"", b"")
    high = _port(last) if dash else None
    low = maybe_number(first)
    if high is not None and low is not None and low > high:
        raise UrlFault("invalid port range")
    low = _port(first)
    return range(low, (high or low) + 1)


def _port(text: bytes) -> int:
    port = maybe_number(text)
    if port is None or not 1 <= port <= LARGEST_PORT:
        raise UrlFault("invalid port")
    return port


def _at(hosts: tuple[str, ...], ports: range) -> tuple[Address, ...]:
    return tuple(TcpAddress(host, port) for port in ports for host in hosts)


# -- listen --------------------------------------------------------------------------------------------------------


def listen(call: Call) -> tuple[Listen, ...]:
    """`listen ADDRESS [parameters]`, one value per address and port (CORE-4 to CORE-8)."""
    word = call.word
    try:
        url = parse_url(word, call.site.resolve, default=0, listening=True)
        if not url.has_port:
            raise UrlFault("no port")  # ours; Angie would take any free port (CORE-Q1)
    except UrlFault as fault:
        expected = "PORT, HOST:PORT, [IPv6]:PORT or unix:PATH"
        raise bad(f'{fault} in "{printable(word)}" of the "listen" directive', word, expected) from fault
    found = Listen(url.addresses[0], call.where)
    for parameter in call.words[1:]:
        found = _with_parameter(found, parameter)
    return tuple(replace(found, address=address) for address in url.addresses)


def _with_parameter(found: Listen, parameter: bytes) -> Listen:
    """Apply one parameter; the last of several wins, and most imply `bind` (CORE-6, CORE-7)."""
    name, equals, value = parameter.partition(b"=")
    match name:
        case b"ssl" if not equals:
            return replace(found, ssl=True)
        case b"proxy_protocol" if not equals:
            return replace(found, proxy_protocol=True)
        case b"bind" if not equals:
            return replace(found, bind=True)
        case b"multipath" if not equals:
            return replace(found, bind=True, multipath=True)
        case b"backlog" if equals:
            return replace(found, bind=True, backlog=_positive(parameter, maybe_number(value)))
        case b"rcvbuf" if equals:
            return replace(found, bind=True, rcvbuf=_positive(parameter, maybe_size(value)))
        case b"sndbuf" if equals:
            return replace(found, bind=True, sndbuf=_positive(parameter, maybe_size(value)))
        case b"ipv6only" if value.startswith(b"o"):
            return replace(found, bind=True, ipv6only=_ipv6only(value))
        case b"so_keepalive" if equals:
            return replace(found, bind=True, so_keepalive=_keepalive(value))
    known = "ssl, proxy_protocol, bind, backlog=, rcvbuf=, sndbuf=, ipv6only=, so_keepalive= or multipath"
    raise bad(f'invalid parameter "{printable(parameter)}"', parameter, known)


def _positive(parameter: bytes, value: int | None) -> int:
    if not value:
        name = printable(parameter.partition(b"=")[0])
        raise bad(f'invalid {name} "{printable(parameter)}"', parameter, "a positive number")
    return value


def _ipv6only(value: bytes) -> bool:
    if value not in (b"on", b"off"):
        raise bad(f'invalid ipv6only flags "{printable(value)}"', value, "on or off")
    return value == b"on"


def _keepalive(value: bytes) -> KeepAlive | bool:
    """`on`, `off` or `IDLE:INTVL:CNT`, where a part may be empty, but not all of them."""
    if value in (b"on", b"off"):
        return value == b"on"
    idle, _, rest = value.partition(b":")
    interval, _, count = rest.partition(b":")
    try:
        found = KeepAlive(_seconds(idle), _seconds(interval), _probes(count))
    except ValueError:
        found = KeepAlive()
    if found == KeepAlive():
        raise bad(f'invalid so_keepalive value: "{printable(value)}"', value, "on, off or IDLE:INTVL:CNT")
    return found


def _seconds(part: bytes) -> int | None:
    """Whole seconds; None for nothing or 0. Raises ValueError."""
    seconds = maybe_time(part, coarse=True) if part else 0
    if seconds is None:
        raise ValueError(part)
    return int(seconds) or None


def _probes(part: bytes) -> int | None:
    """A count; None for nothing or 0. Raises ValueError."""
    count = maybe_number(part) if part else 0
    if count is None:
        raise ValueError(part)
    return count or None


# -- auth_http, resolver, set_real_ip_from -------------------------------------------------------------------------


def auth_http(call: Call) -> AuthHttp:
    """`auth_http URL` (AUTH-5 to AUTH-10)."""
    text = call.word.removeprefix(b"http://")
    try:
        url = parse_url(text, call.site.resolve, default=HTTP_PORT, path=True)
    except UrlFault as fault:
        expected = "[http://]HOST[:PORT][/PATH] or unix:PATH[:/PATH]"
        raise bad(f'{fault} in auth_http "{printable(text)}"', call.word, expected) from fault
    host = b"localhost" if isinstance(url.addresses[0], UnixAddress) else url.host
    return AuthHttp(url.addresses, sendable(call, host), sendable(call, url.path or b"/"))


def resolver(call: Call) -> ResolverSettings | None:
    """`resolver ADDRESS... [parameters]` or `resolver off` (CORE-35, CORE-36)."""
    if call.word == b"off":
        return None
    found = ResolverSettings(servers=())
    for word in call.words:
        found = _resolver_word(call, found, word)
    if not (found.ipv4 or found.ipv6):
        raise ConfigError('"ipv4" and "ipv6" cannot both be "off"')
    if not found.servers:
        raise ConfigError("no name servers defined")
    return found


def _resolver_word(call: Call, found: ResolverSettings, word: bytes) -> ResolverSettings:
    name, equals, value = word.partition(b"=")
    match name:
        case b"valid" if equals:
            valid = maybe_time(value, coarse=True)
            if valid is None:
                raise bad(f"invalid parameter: {printable(word)}", word, "valid=TIME")
            return replace(found, valid=valid)
        case b"ipv4" if equals:
            return replace(found, ipv4=_on_off(word, value))
        case b"ipv6" if equals:
            return replace(found, ipv6=_on_off(word, value))
        case b"status_zone" if equals:
            call.not_yet(printable(word))
            return replace(found, status_zone=os.fsdecode(value))
        case b"conf":
            path = call.site.path(value) if equals else RESOLV_CONF
            return replace(found, servers=(*found.servers, *_resolv_conf(path)))
    return replace(found, servers=(*found.servers, *_name_server(call, word)))


def _on_off(word: bytes, value: bytes) -> bool:
    if value not in (b"on", b"off"):
        raise bad(f"invalid parameter: {printable(word)}", word, "on or off")
    return value == b"on"


def _name_server(call: Call, word: bytes) -> list[TcpAddress]:
    try:
        addresses = parse_url(word, call.site.resolve, default=DNS_PORT).addresses
        servers = [address for address in addresses if isinstance(address, TcpAddress)]
        if not servers:
            raise UrlFault("invalid host")  # a unix socket: DNS has none
    except UrlFault as fault:
        raise bad(f'{fault} in resolver "{printable(word)}"', word, "IP[:PORT], [IPv6][:PORT] or HOST") from fault
    return servers


def _resolv_conf(path: str) -> Iterator[TcpAddress]:
    """The name servers of a resolv.conf file."""
    try:
        lines = read_octets(path).splitlines()
    except OSError as error:
        raise open_fault(path, error, None) from error
    for line in lines:
        match line.split():
            case [b"nameserver", text, *_] if (host := maybe_ip(text)) is not None:
                yield TcpAddress(host, DNS_PORT)


def realip(call: Call) -> tuple[IPv4Network | IPv6Network | UnixAddress, ...]:
    """`set_real_ip_from ADDRESS | CIDR | unix: | NAME` (CORE-66)."""
    word = call.word
    if word == b"unix:":
        return (UnixAddress(""),)
    network = _maybe_network(word)
    if network is not None:
        if network.network_address.packed != _packed(word):
            call.warn(f"low address bits of {printable(word)} are meaningless")
        return (network,)
    try:
        return tuple(ip_network(address.partition("%")[0]) for address in resolved(word, call.site.resolve))
    except UrlFault as fault:
        expected = "an address, a network in CIDR form, unix: or a host name"
        raise bad(f'{fault} in set_real_ip_from "{printable(word)}"', word, expected) from fault


def _maybe_network(word: bytes) -> IPv4Network | IPv6Network | None:
    text, slash, bits = word.partition(b"/")
    host = maybe_ip(text)
    length = maybe_number(bits) if slash else None
    if host is None or (slash and length is None):
        return None
    try:
        return ip_network(f"{host}/{length}" if slash else host, strict=False)
    except ValueError:  # more bits than the address has
        return None


def _packed(word: bytes) -> bytes:
    """The octets of the address in front of the slash."""
    text = word.partition(b"/")[0].decode("ascii")
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
