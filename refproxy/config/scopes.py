"""From statements to the values of each block: what may stand where, how often, and with how many arguments.

Everything here follows from the rows of the table of directives. All faults are collected, in the order in which
Angie would meet them (CONF-44).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches

from refproxy.config.directives import BY_NAME, ELSEWHERE, Context, Repeat, Row
from refproxy.config.settings import Address, Listen, Where
from refproxy.config.tree import Item, Statement, place, printable
from refproxy.config.values import Call, Site
from refproxy.errors import ConfigError

__all__ = ["Collector", "Entry", "Scope"]


@dataclass(slots=True)
class Entry:
    """What the statements of one name in one block came to."""

    where: Where
    """The last of them."""

    args: tuple[bytes, ...] = ()
    parts: list[object] = field(default_factory=list)
    """The value of each statement."""

    wheres: list[Where] = field(default_factory=list)
    """The place of each of them."""

    value: object = None
    """Their common value."""

    failed: bool = False
    """At least one of them was faulty, so that nothing should be concluded from the value."""

    def add(self, value: object, repeat: Repeat) -> None:
        self.parts.append(value)
        self.wheres.append(self.where)
        if repeat is Repeat.ADDED and isinstance(value, tuple) and isinstance(self.value, tuple):
            self.value = (*self.value, *value)
        else:
            self.value = value  # a set that grows by union already holds what was there before: Call.previous


@dataclass(slots=True)
class Scope:
    """The directives of one block; what it does not set is looked up in the block around it (CONF-32)."""

    context: Context
    where: Where | None = None
    parent: Scope | None = None
    entries: dict[str, Entry] = field(default_factory=dict)

    def find(self, name: str) -> Entry | None:
        """The entry that counts here, own or inherited as a whole (CONF-33)."""
        return self.entries.get(name) or (self.parent.find(name) if self.parent else None)


class Collector:
    """Reads statements into scopes; `faults` and the site's notes say what was wrong or odd."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.faults: list[ConfigError] = []
        self.complete = True  # every statement was read: no fault of syntax, no missing include
        self.main = Scope(Context.MAIN)
        self.events = Scope(Context.EVENTS)
        self.mail = Scope(Context.MAIL, parent=self.main)
        self.servers: list[Scope] = []
        self._listening: dict[Address, Where] = {}
        self._noticed: set[str] = set()
        self._module_block_seen = False

    def read(self, items: Iterable[Item], scope: Scope) -> None:
        """Take in the statements of a block."""
        for item in items:
            if isinstance(item, ConfigError):
                self.complete = False
                self.faults.append(item)
                continue
            row = None
            with self._faults_in(item.where):
                row = self._row(item, scope)
            with self._faults_in(item.where):
                if row is None or (row.block and row.inside is None):
                    self.read(faults_within(item.block), scope)
                elif row.block:
                    self._block(row, item, scope)
                else:
                    self._value(row, item, scope)

    @contextmanager
    def _faults_in(self, where: Where) -> Iterator[None]:
        """Collect a fault, and go on behind the `with` block."""
        try:
            yield
        except ConfigError as fault:
            self.faults.append(ConfigError(fault.text, fault.where or place(where), fault.hint))

    def _row(self, statement: Statement, scope: Scope) -> Row | None:
        """Find the row of a statement and hold the statement against it, in Angie's order.

        None for what is unknown in the main context, where a file may have directives of other modules (CONF-43).
        """
        name, where = printable(statement.name), statement.where
        row = BY_NAME.get(name)
        if row is None and name not in ELSEWHERE and scope.context is Context.MAIN:
            self.site.notes.warn(f'unknown directive "{name}" is ignored', where)
            return None
        if row is None or scope.context not in row.contexts:
            raise misplaced(name, row, scope.context)
        check_shape(row, statement)
        if row.name == "load_module" and self._module_block_seen:
            raise ConfigError('"load_module" directive is specified too late')
        entry = scope.entries.get(name)
        if entry is not None and row.repeat is Repeat.REFUSED:
            raise ConfigError(f'"{name}" directive is duplicate', hint=f"the first is in {place(entry.where)}")
        self._note(row, where)
        self._module_block_seen = self._module_block_seen or row.block
        return row

    def _note(self, row: Row, where: Where) -> None:
        """Say once that a directive has no effect."""
        if row.ignored and row.name not in self._noticed:
            self._noticed.add(row.name)
            kind = "block" if row.block else "directive"
            self.site.notes.notice(f'"{row.name}" {kind} is ignored', where)

    # -- blocks --------------------------------------------------------------------------------------------------

    def _block(self, row: Row, statement: Statement, scope: Scope) -> None:
        scope.entries.setdefault(row.name, Entry(statement.where))
        items = statement.block or ()
        match row.inside:
            case Context.EVENTS:
                self.read(items, self.events)
            case Context.MAIL:
                self.read(items, self.mail)  # all `mail` blocks are one (CORE-1)
            case _:
                self._server(items, statement.where)

    def _server(self, items: tuple[Item, ...], where: Where) -> None:
        server = Scope(Context.SERVER, where, parent=self.mail)
        self.servers.append(server)
        self.read(items, server)
        if "listen" not in server.entries and not any(isinstance(item, ConfigError) for item in items):
            hint = 'expected at least one "listen ADDRESS;"'
            raise ConfigError('no "listen" is defined for server', hint=hint)  # CORE-2

    # -- values --------------------------------------------------------------------------------------------------

    def _value(self, row: Row, statement: Statement, scope: Scope) -> None:
        assert row.parse is not None  # `include` never comes here: the tree reader has replaced it
        entry = scope.entries.setdefault(row.name, Entry(statement.where))
        call = Call(row.name, statement.args, statement.where, self.site, previous=entry.value)
        if entry.parts and row.repeat is Repeat.LAST:
            call.warn(f'"{row.name}" directive is repeated, the last one counts')  # CONF-Q10
        entry.where, entry.args = statement.where, statement.args
        try:
            value = row.parse(call)
            if row.name == "listen" and isinstance(value, tuple):
                self._claim(value)
        except ConfigError:
            entry.failed = True
            raise
        entry.add(value, row.repeat)

    def _claim(self, listens: tuple[Listen, ...]) -> None:
        """Refuse an address that is listened on already, anywhere in the configuration (CORE-8)."""
        for listen in listens:
            first = self._listening.setdefault(listen.address, listen.where)
            if first is not listen.where:  # equal would not do: two statements may share a line
                hint = f"the first is in {place(first)}"
                raise ConfigError(f'duplicate "{listen.address}" address and port pair', hint=hint)


def faults_within(items: Iterable[Item] | None) -> Iterator[ConfigError]:
    """The faults of syntax in a block that is not looked into."""
    for item in items or ():
        if isinstance(item, ConfigError):
            yield item
        else:
            yield from faults_within(item.block)


# -- checks of a single statement ----------------------------------------------------------------------------------


def misplaced(name: str, row: Row | None, context: Context) -> ConfigError:
    """The fault of a name that is not allowed in a context, or known nowhere (CONF-10)."""
    if row is not None:
        allowed = ", ".join(known.value for known in row.contexts)
        text = f'"{name}" directive is not allowed here'
        return ConfigError(text, hint=f"found in {context.value}, expected in {allowed}")
    if name in ELSEWHERE:
        return ConfigError(f'"{name}" directive is not allowed here', hint="the mail proxy has no such directive")
    allowed_here = [known for known, row in BY_NAME.items() if context in row.contexts]
    close = get_close_matches(name, allowed_here, n=1)
    return ConfigError(f'unknown directive "{name}"', hint=f'perhaps "{close[0]}" was meant' if close else None)


def check_shape(row: Row, statement: Statement) -> None:
    """Check that a block is one, that a simple directive is none, and the number of arguments (CONF-10, CONF-20)."""
    hint = missing_semicolon(statement)
    if row.block and statement.block is None:
        raise ConfigError(f'directive "{row.name}" has no opening "{{"', hint=f"expected {row.syntax}")
    if not row.block and statement.block is not None:
        raise ConfigError(f'directive "{row.name}" is not terminated by ";"', hint=hint)
    count = len(statement.args)
    if not row.arity.allows(count):
        text = f'invalid number of arguments in "{row.name}" directive'
        raise ConfigError(text, hint=f"found {count}, expected {row.arity}" + (f"; {hint}" if hint else ""))


def missing_semicolon(statement: Statement) -> str | None:
    """A guess at a statement that swallowed the next one (CONF-Q2)."""
    swallowed = next((word for word in map(printable, statement.args) if word in BY_NAME), None)
    return f'perhaps a ";" is missing before "{swallowed}"' if swallowed else None
