"""What a mutant is, and the list of them all.

A mutant changes one thing in a refproxy that was just imported: attributes of modules and classes are replaced by
something made of them. Each names the cases that are to catch it, so that scoring it runs few cases; at least one of
them must fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import tests.mutants.faults

__all__ = ["MUTANTS", "Change", "Mutant", "fault", "load_all"]

Change = tuple[object, str, Callable[[Any], Any]]
"""An owner, the name of its attribute, and what makes the new value of the old one."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A named fault. `cases` are globs of the ids of cases that look where it is."""

    name: str
    what: str
    cases: tuple[str, ...]
    changes: tuple[Change, ...]

    def apply(self) -> None:
        """Put the fault into the refproxy of this process."""
        for owner, attribute, change in self.changes:
            setattr(owner, attribute, change(getattr(owner, attribute)))


MUTANTS: dict[str, Mutant] = {}


def fault(name: str, what: str, cases: str, *changes: Change) -> None:
    """Register a mutant; `cases` are words."""
    assert name not in MUTANTS, name
    MUTANTS[name] = Mutant(name, what, tuple(cases.split()), changes)


def load_all() -> Mapping[str, Mutant]:
    """Import every module of faults."""
    for module in iter_modules(tests.mutants.faults.__path__):
        import_module(f"tests.mutants.faults.{module.name}")
    return MUTANTS
