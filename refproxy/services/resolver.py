"""Host names of clients and addresses of hosts, from DNS (core rules, section 8).

The name that an address has in DNS is the word of whoever owns the address; it counts only when its owner says that
the address belongs to it. So there are two lookups, from the address to a name and from the name to its addresses.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar

import trio
from dns.rdatatype import RdataType

from refproxy.config.settings import ResolverSettings
from refproxy.errors import WireError
from refproxy.net.datagram import open_datagram
from refproxy.net.dial import Dial, dial
from refproxy.services.dns_exchange import NameServers, OpenUdp, Tell
from refproxy.services.dns_messages import (
    FORMAT_ERROR,
    HOST_NOT_FOUND,
    NAME_LIMIT,
    TIMED_OUT,
    Answer,
    Question,
    explain,
    parse_name,
    reverse_question,
)
from refproxy.services.lookups import Failure, Found, Lookups
from refproxy.wire.auth_http import printable
from refproxy.wire.xclient import TEMPUNAVAIL, UNAVAILABLE

__all__ = ["NotResolved", "Resolver"]

T = TypeVar("T")

KEPT_LIMIT = 10_000
"""Names that are kept, and as many sets of addresses: some megabytes, and more clients than a worker serves in the
lifetime of a record (CORE-52)."""

KEPT_ADDRESSES = 16  # a longer set is not kept, so that KEPT_LIMIT bounds the memory (CORE-52)
ALIAS_STEPS = 50  # CORE-48
SAFE_NAME = re.compile(rb"[A-Za-z0-9.-]+")  # CORE-51


class NotResolved(Exception):
    """A lookup has no usable result; the text is the line for the log."""

    def __init__(self, failure: Failure) -> None:
        self.code = failure.code
        super().__init__(failure.text)


class Resolver:
    """What one `resolver` directive makes possible, with a cache of its own.

    `tell` is told lines for the log at level error, without the session's part. Sessions that ask the same at the same
    time share one lookup, and the lines about its messages go to the session that started it.
    """

    def __init__(self, settings: ResolverSettings, open_udp: OpenUdp = open_datagram, dial: Dial = dial) -> None:
        self._settings = settings
        self._servers = NameServers(settings.servers, open_udp, dial)
        self._names = Lookups[bytes](KEPT_LIMIT)
        self._addresses = Lookups[tuple[str, ...]](KEPT_LIMIT)

    async def client_name(self, ip: str | None, tell: Tell, act: Callable[[str], None] = lambda action: None) -> bytes:
        """Return the host name of a client, or what XCLIENT and the auth server are told instead (PROXY-39).

        `ip` None is a client on a UNIX socket. `act` is told what is being done, in the log's words (CORE-33). Takes
        at most twice `resolver_timeout`.
        """
        if ip is None:
            return TEMPUNAVAIL  # CORE-43
        try:
            act("in resolving client address")
            name = await self._name_of(ip, tell)
            act("in resolving client hostname")
            addresses = await self._addresses_of(name, tell)
        except NotResolved as failure:
            tell(str(failure))
            return UNAVAILABLE if failure.code == HOST_NOT_FOUND else TEMPUNAVAIL
        return name if _as_ipv4(ip_address(ip)) in map(ip_address, addresses) else UNAVAILABLE

    async def addresses(self, name: str, tell: Tell) -> tuple[str, ...]:
        """Return the addresses of a host, IPv4 first, at least one; only of families that are on.

        Raises NotResolved, also after `resolver_timeout`. Its text is the log line; `tell` hears of the messages only.
        """
        return await self._addresses_of(name.encode("utf-8", "surrogateescape").lower(), tell)

    # The two lookups, within their time and with what is known already.

    async def _name_of(self, ip: str, tell: Tell) -> bytes:
        """The name of an address in lower case; it is harmless, but whether it is true is another question."""
        fetch = partial(self._fetch_name, ip, tell)
        name = await self._within_time(self._names, ip.encode("ascii"), fetch, ip)
        if not SAFE_NAME.fullmatch(name):
            # It would go into a header of HTTP and a command of SMTP (CVE-2026-28753).
            text = f'{ip} resolved to invalid host name "{printable(name, NAME_LIMIT)}"'
            raise NotResolved(Failure(FORMAT_ERROR, text))
        return name.lower()

    async def _addresses_of(self, name: bytes, tell: Tell) -> tuple[str, ...]:
        subject = f'"{printable(name, NAME_LIMIT)}"'
        fetch = partial(self._fetch_addresses, name, subject, tell)
        return await self._within_time(self._addresses, name, fetch, subject)

    async def _within_time(
        self, lookups: Lookups[T], key: bytes, fetch: Callable[[], Awaitable[Found[T] | Failure]], subject: str
    ) -> T:
        """Look up within `resolver_timeout`. Raises NotResolved."""
        outcome: Found[T] | Failure = _failure(TIMED_OUT, subject)
        timeout = self._settings.timeout
        with trio.CancelScope() if timeout is None else trio.move_on_after(timeout):
            outcome = await lookups.get(key, fetch)
        if isinstance(outcome, Failure):
            raise NotResolved(outcome)
        return outcome.value

    # What they ask.

    async def _fetch_name(self, ip: str, tell: Tell) -> Found[bytes] | Failure:
        (answer,) = await self._servers.ask([reverse_question(ip_address(ip))], tell)
        if answer.rcode:
            return _failure(answer.rcode, ip)
        if answer.pointer is None:
            unusable = Failure(FORMAT_ERROR, "no PTR type in DNS response")
            return _failure(HOST_NOT_FOUND, ip) if answer.empty else unusable
        return Found(answer.pointer, self._lifetime(answer.ttl))

    async def _fetch_addresses(self, name: bytes, subject: str, tell: Tell) -> Found[tuple[str, ...]] | Failure:
        """Ask for the addresses of all families at once, and again for the target where there is only an alias."""
        try:
            target = parse_name(name)
        except WireError:
            return _failure(HOST_NOT_FOUND, subject)
        shortest = 2**31
        steps = 0
        while True:
            answers = await self._servers.ask([Question(target, kind) for kind in self._kinds()], tell)
            if rcode := _worst_of(answers):
                return _failure(rcode, subject)
            shortest = min([shortest, *(answer.ttl for answer in answers if answer.addresses or answer.aliases)])
            addresses = tuple(address for answer in answers for address in answer.addresses)
            if addresses:
                keeps = len(addresses) <= KEPT_ADDRESSES
                return Found(addresses, self._lifetime(shortest) if keeps else None)
            aliases = {owner: alias for answer in answers for owner, alias in answer.aliases.items()}
            if target not in aliases:
                unusable = Failure(FORMAT_ERROR, "no A or CNAME types in DNS response")
                is_empty = all(answer.empty for answer in answers)
                return _failure(HOST_NOT_FOUND, subject) if is_empty else unusable
            while target in aliases:
                target = aliases[target]
                steps += 1
                if steps > ALIAS_STEPS:
                    return _failure(HOST_NOT_FOUND, subject)

    def _kinds(self) -> list[RdataType]:
        families = ((self._settings.ipv4, RdataType.A), (self._settings.ipv6, RdataType.AAAA))
        return [kind for is_on, kind in families if is_on]

    def _lifetime(self, ttl: int) -> int:
        """How long a result is kept: `valid=` replaces the TTL, unless it is 0, as in Angie."""
        return int(self._settings.valid or ttl)


def _failure(code: int, subject: str) -> Failure:
    return Failure(code, f"{subject} could not be resolved ({explain(code)})")


def _worst_of(answers: list[Answer]) -> int:
    """The code of a failure, which one family suffices for; that a name does not exist counts least (CORE-48)."""
    codes = [answer.rcode for answer in answers if answer.rcode]
    return next((code for code in codes if code != HOST_NOT_FOUND), codes[0] if codes else 0)


def _as_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that a client on a dual-stack socket has; any other as it is (CORE-47)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
