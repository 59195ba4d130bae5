"""Cases as data: what a case checks, what it needs, and the script that finds out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conformance.rulebook import Level, load_rules

if TYPE_CHECKING:
    from conformance.bench import Bench

__all__ = ["Block", "Case", "Needs", "case", "registered"]

Script = Callable[["Bench"], Awaitable[None]]

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:/[a-z0-9]+(?:-[a-z0-9]+)*)+")
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*["]""")


@dataclass(frozen=True, slots=True)
class Block:
    """A `server` block in Angie's language: cases with an equal one share it.

    `listen` are the parameters behind the address; `address` is `ipv4`, `ipv6`, `dual` or `unix`. In `directives`
    `{dns}` stands for the fake name server, `{auth}`, `{auth6}` and `unix:{auth_unix}` for the auth server,
    `{certificate}` and the like for files (see targets.base.Files).
    """

    protocol: str
    directives: str = ""
    listen: str = ""
    address: str = "ipv4"


class Needs:
    """What a target must be capable of; a case with a need that the target does not claim is skipped."""

    AUTH_HTTP = "auth_http"  # the target asks our auth server for every login
    CONFIGURABLE = "configurable"  # it takes the directives of the case's block
    RESOLVER = "resolver"
    RESOLVER_IPV4 = "resolver_ipv4"  # `ipv4=off`: nginx has it since 1.23.1
    TLS = "tls"
    OAUTH = "oauth"
    MAX_COMMANDS = "max_commands"
    POP3_CLIENT_BUFFER = "pop3_client_buffer"
    PROXY_V2_OUT = "proxy_v2_out"
    PROXY_V2_TLV = "proxy_v2_tlv"  # with a unique id of the connection
    PROXY_IN = "proxy_in"
    TRUSTED_CA_ALONE = "trusted_ca_alone"  # ssl_trusted_certificate will do for verifying clients
    BACKEND_TLS = "backend_tls"
    ALPN = "alpn"
    ANGIE_LOGIN = "angie_login"  # it logs in at backends with Angie's lines: XCLIENT comes unasked, and so on
    ANY_PASSWORD = "any_password"  # control octets in a password are the auth server's business
    LONG_PASSWORD = "long_password"  # it reaches the auth server, too
    IPV6 = "ipv6"
    UNIX = "unix"
    SIGNALS = "signals"


@dataclass(frozen=True, slots=True)
class Case:
    """One question to a proxy. Its id never changes; `rules` are the ones that answer it, the first decides the level.

    `deviates` names targets which are known to answer otherwise, with the reason.
    """

    id: str
    title: str
    rules: tuple[str, ...]
    block: Block
    script: Script = field(repr=False, compare=False)
    directives: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    level: Level = Level.VENDOR
    deviates: Mapping[str, str] = field(default_factory=dict)
    limit: float = 30.0  # seconds, before --timeout-scale
    main: str = ""
    mail: str = ""
    alone: bool = False


_registry: dict[str, Case] = {}


def case(
    id: str,
    title: str,
    *,
    rules: str,
    block: Block,
    directives: str = "",
    needs: Iterable[str] = (),
    level: Level | None = None,
    deviates: Mapping[str, str] | None = None,
    limit: float = 30.0,
    main: str = "",
    mail: str = "",
    alone: bool = False,
) -> Callable[[Script], Script]:
    """Register the decorated script as a case; `rules` and `directives` are words.

    A rule with a protocol before it, such as `imap:IMAP-61`, is one only for a block of that protocol, so that a family
    for all three can name the rule of each. The directives of the configuration need not be named.

    `main` are directives of the main context, `mail` of the mail block; cases with the same ones share a start of the
    target. With `alone` the case has the target for itself. Raises ValueError for a wrong id or rule.
    """
    named = _rules_for(block.protocol, rules)
    book = load_rules()
    unknown = [rule for rule in named if rule not in book]
    if not SLUG.fullmatch(id) or id in _registry or unknown or not named:
        raise ValueError(f"case {id!r}: not a new slug, or with unknown rules {unknown}")

    def register(script: Script) -> Script:
        decided = level or book[named[0]].level
        wanted = frozenset(needs) | _implied(block)
        words = tuple(dict.fromkeys([*directives.split(), *_directives(block.directives), *_directives(mail + main)]))
        known = deviates or {}
        made = Case(id, title, named, block, script, words, wanted, decided, known, limit, main, mail, alone)
        _registry[id] = made
        return script

    return register


def _rules_for(protocol: str, rules: str) -> tuple[str, ...]:
    """The rules of a family of cases that are about this protocol."""
    parts = [word.rpartition(":") for word in rules.split()]
    return tuple(dict.fromkeys(rule for only, _, rule in parts if only in ("", protocol)))


def _directives(text: str) -> list[str]:
    """The directives that a configuration is made of, without blocks."""
    simple = QUOTED.sub("x", text).split(";")
    return [words[0] for words in map(str.split, simple) if words]


def _implied(block: Block) -> frozenset[str]:
    """The needs that follow from a block."""
    words = f" {block.directives} {block.listen} "
    found = {Needs.AUTH_HTTP}
    if block.directives or block.listen:
        found.add(Needs.CONFIGURABLE)
    for mark, need in MARKS.items():
        if mark in words:
            found.add(need)
    if "proxy_protocol" in block.listen.split():
        found.add(Needs.PROXY_IN)
    if block.address in ("ipv6", "dual"):
        found.add(Needs.IPV6)
    if block.address == "unix":
        found.add(Needs.UNIX)
    return frozenset(found)


MARKS = {
    "resolver ": Needs.RESOLVER,
    " ipv4=": Needs.RESOLVER_IPV4,
    "starttls ": Needs.TLS,
    " ssl ": Needs.TLS,
    "proxy_ssl": Needs.BACKEND_TLS,
    "oauth": Needs.OAUTH,
    "max_commands ": Needs.MAX_COMMANDS,
    "pop3_client_buffer ": Needs.POP3_CLIENT_BUFFER,
    "proxy_protocol v2": Needs.PROXY_V2_OUT,
    "proxy_protocol v2 tlv": Needs.PROXY_V2_TLV,
}


def registered() -> Mapping[str, Case]:
    """All cases by id; the modules in `conformance.cases` register theirs when they are imported."""
    return _registry
