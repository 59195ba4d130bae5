"""The newest result of each case against a target, kept in the user's cache directory for `run --rerun-failed`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from conformance.report.results import CaseResult, Results, from_json, to_json
from conformance.verdict import BAD, Verdict

__all__ = ["failed_cases", "last_file", "remember"]

FAILED = {verdict.value for verdict in (*BAD, Verdict.ERROR)}


def last_file(target: str) -> Path:
    """Where the results of a target are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "refproxy-conformance" / f"{target}.json"


def remember(results: Results) -> None:
    """Keep these results; cases that were not run this time keep the ones they had. Raises OSError.

    Because of that, failures that a narrow selection or an interruption left out are not forgotten.
    """
    path = last_file(results.target)
    newest = {case.id: case for case in (*_kept(path), *results.cases)}
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = replace(results, cases=tuple(newest[id] for id in sorted(newest)))
    # Two runs may end at once: each replaces the file as a whole.
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(to_json(whole), encoding="utf-8")
    draft.replace(path)


def failed_cases(target: str) -> set[str]:
    """The ids of the cases whose newest result is a failure."""
    return {case.id for case in _kept(last_file(target)) if case.verdict in FAILED}


def _kept(path: Path) -> tuple[CaseResult, ...]:
    try:
        return from_json(path.read_text(encoding="utf-8")).cases
    except (OSError, ValueError):
        return ()  # a cache may be missing, or be from another version
