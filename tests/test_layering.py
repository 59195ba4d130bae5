"""Who may import whom: the rooms of the house, enforced by reading the import statements."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "refproxy"

WIRE = ("refproxy.wire", "refproxy.errors", "refproxy.config.settings")
"""What every room may use: octets, errors and settings are values without behaviour of their own."""

ALLOWED: dict[str, tuple[str, ...]] = {
    # room or module: what of refproxy it may import besides itself. The longest matching name counts.
    "refproxy": (),
    "refproxy.errors": (),
    "refproxy.config.settings": (),
    "refproxy.config": ("refproxy.errors",),
    "refproxy.wire": ("refproxy.errors", "refproxy.config.settings"),
    "refproxy.dialogue": WIRE,
    "refproxy.net": (*WIRE, "refproxy.observe.events"),
    "refproxy.services": (*WIRE, "refproxy.net", "refproxy.observe.events"),
    "refproxy.observe": WIRE,  # it formats what happened, with the octets' own helpers
    "refproxy.converse": (*WIRE, "refproxy.dialogue.turn", "refproxy.net.line_stream", "refproxy.observe"),
    "refproxy.backend": (*WIRE, "refproxy.dialogue", "refproxy.net", "refproxy.observe"),
    "refproxy.session": (
        *WIRE,
        "refproxy.backend",
        "refproxy.converse",
        "refproxy.dialogue",
        "refproxy.net",
        "refproxy.observe",
        "refproxy.services",
    ),
    "refproxy.worker": (*WIRE, "refproxy.net", "refproxy.observe", "refproxy.session"),
    "refproxy.master": (*WIRE, "refproxy.net", "refproxy.observe", "refproxy.worker"),
    "refproxy.demo": ("refproxy",),  # a user of everything
    "refproxy.__main__": ("refproxy",),
}

FOREIGN: dict[str, tuple[str, ...]] = {
    # foreign package: the rooms that may import it.
    "trio": (
        "refproxy.net",
        "refproxy.services",
        "refproxy.converse",
        "refproxy.backend",
        "refproxy.session",
        "refproxy.worker",
        "refproxy.master",
        "refproxy.demo",
    ),
    "logging": ("refproxy.observe",),
    "click": ("refproxy.__main__",),
    "rich": ("refproxy.demo",),
    "time": ("refproxy.observe", "refproxy.session"),  # calendar time for logs and the salt; deadlines are Trio's
}


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Every imported module, with its line; `from a import b` counts as `a.b` too when `a` is a room of ours."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.lineno, node.module or ""


def violations(module: str, source: str) -> list[str]:
    """The import statements of a module that the two tables do not allow."""
    room = max((name for name in ALLOWED if within(module, (name,))), key=len)
    found = []
    for line, name in imports(source):
        package = name.partition(".")[0]
        if package == "refproxy":
            fine = within(name, (*ALLOWED[room], room)) and (room != "refproxy" or name == room)
        elif package in FOREIGN:
            fine = within(module, FOREIGN[package])
        else:
            fine = package in sys.stdlib_module_names
        if not fine:
            found.append(f"{module}:{line} imports {name}")
    return found


def modules() -> list[tuple[str, Path]]:
    return [
        (".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"), path)
        for path in sorted(ROOT.rglob("*.py"))
    ]


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_imports_stay_within_the_house_rules(module: str, path: Path) -> None:
    assert violations(module, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("refproxy.wire.smtp", "import trio"),
        ("refproxy.wire.smtp", "from refproxy.net.dial import dial"),
        ("refproxy.dialogue.smtp", "import logging"),
        ("refproxy.dialogue.smtp", "from refproxy.observe.stream import EventStream"),
        ("refproxy.net.relay", "from refproxy.session import Session"),
        ("refproxy.config.load", "import click"),
        ("refproxy.session", "from conformance.case import case"),
        ("refproxy.net.relay", "import time"),
        ("refproxy.newcomer", "from refproxy.session import Session"),
    ],
)
def test_a_planted_violation_is_found(module: str, statement: str) -> None:
    assert violations(module, statement)
