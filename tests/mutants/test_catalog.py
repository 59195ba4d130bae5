"""The catalog of mutants: every one is possible, has a name of its own, and cases that may catch it."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

import conformance.cases.all  # noqa: F401  # registers every case
from conformance.case import registered
from tests.mutants.catalog import Mutant, fault, load_all

AT_LEAST = 80

mutants = pytest.mark.parametrize("mutant", load_all().values(), ids=list(load_all()))


def test_there_are_many_mutants() -> None:
    assert len(load_all()) >= AT_LEAST


def test_a_name_is_taken_once() -> None:
    name = next(iter(load_all()))
    with pytest.raises(AssertionError):
        fault(name, "again", "*")


@mutants
def test_a_mutant_changes_what_exists(mutant: Mutant) -> None:
    assert mutant.changes
    for owner, attribute, change in mutant.changes:
        proper = getattr(owner, attribute)
        assert change(proper) is not proper


@mutants
def test_every_glob_of_a_mutant_matches_cases(mutant: Mutant) -> None:
    assert mutant.cases
    assert not [glob for glob in mutant.cases if not any(fnmatchcase(id, glob) for id in registered())]
