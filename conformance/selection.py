"""Which cases to run: by id, rule, directive and level; a name that nobody knows is an error with the nearest ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from conformance.case import Case
from conformance.rulebook import Level, load_rules
from refproxy.config.directives import BY_NAME

__all__ = ["Selection", "Unknown", "perhaps", "select"]


class Unknown(Exception):
    """A selection that names nothing that exists, or selects nothing; the text helps."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Globs of ids, ids of rules, names of directives, a level. Empty ones select everything; `exclude` takes away.

    `among` are the only ids that count; None is all.
    """

    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    rules: Sequence[str] = ()
    directives: Sequence[str] = ()
    level: Level | None = None
    among: Collection[str] | None = None


def select(cases: Mapping[str, Case], selection: Selection) -> list[Case]:
    """The selected cases in their order. Raises Unknown."""
    for pattern in (*selection.only, *selection.exclude):
        if not any(fnmatchcase(id, pattern) for id in cases):
            raise Unknown(f'no case is called "{pattern}"{perhaps(pattern, cases)}')
    for rule in selection.rules:
        if rule not in load_rules():
            raise Unknown(f'no rule is called "{rule}"{perhaps(rule, load_rules())}')
    for directive in selection.directives:
        if directive not in BY_NAME:
            raise Unknown(f'no directive is called "{directive}"{perhaps(directive, BY_NAME)}')
    chosen = [case for case in cases.values() if _fits(case, selection)]
    if not chosen:
        raise Unknown("no case is selected")
    return chosen


def _fits(case: Case, selection: Selection) -> bool:
    return (
        (not selection.only or _matches(case.id, selection.only))
        and not _matches(case.id, selection.exclude)
        and (not selection.rules or bool({*case.rules} & {*selection.rules}))
        and (not selection.directives or bool({*case.directives} & {*selection.directives}))
        and selection.level in (None, case.level)
        and (selection.among is None or case.id in selection.among)
    )


def _matches(id: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(id, pattern) for pattern in patterns)


def perhaps(word: str, known: Collection[str]) -> str:
    """The end of a complaint about a wrong name: the nearest right ones, if any is near."""
    close = get_close_matches(word, list(known), n=3)
    return f"; the nearest are {', '.join(close)}" if close else ""
