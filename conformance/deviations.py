"""Known deviations of a target: the file that `run --expect` reads."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path

from conformance.selection import Unknown, perhaps

__all__ = ["EXAMPLE", "KEYS", "load_expected"]

KEYS = ("reason", "link")
"""Both are required: a deviation that nobody can look up is forgotten, not known."""

EXAMPLE = """["smtp/canary/one-session"]
reason = "why this proxy answers otherwise"
link = "https://bugs.example.org/12"
"""


def load_expected(path: Path, known: Collection[str]) -> dict[str, str]:
    """The deviations of a file: for each case id what is to be said of it. Raises Unknown, whose text helps."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unknown(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Unknown(f"{path} is no TOML: {error}\nIt should look like this:\n{EXAMPLE}") from error
    return {id: _said(path, id, table, known) for id, table in tables.items()}


def _said(path: Path, id: str, table: object, known: Collection[str]) -> str:
    if id not in known:
        raise Unknown(f'{path}: no case is called "{id}"{perhaps(id, known)}')
    if not isinstance(table, dict):
        raise Unknown(f"{path}: {id!r} is {table!r}; wanted a table like this:\n{EXAMPLE}")
    for key in KEYS:
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise Unknown(f"{path}: {id!r} needs {key!r} as a text that is not empty, found {table.get(key)!r}")
    if strange := sorted(table.keys() - set(KEYS)):
        raise Unknown(f"{path}: {id!r} has the key {strange[0]!r}; known are {' and '.join(KEYS)}")
    return f"{table['reason']} ({table['link']})"
