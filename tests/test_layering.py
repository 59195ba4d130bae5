"""Who may import whom: the rooms of the house, enforced by reading the import statements."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "refproxy"

VALUES = ("refproxy.wire", "refproxy.errors", "refproxy.config.settings")
"""What every room above may use: octets, errors and settings, values without behaviour of their own."""

ALLOWED: dict[str, tuple[str, ...]] = {
    # Room or module: what of refproxy it may import besides itself. The longest matching name counts, and a module
    # outside every room is a fault: a new room is a decision, which is taken here.
    "refproxy": (),  # imported by everybody, so it imports nobody
    "refproxy.errors": (),
    "refproxy.config.settings": (),  # a session must not be able to reach the reader of the configuration
    "refproxy.config": ("refproxy.errors",),
    "refproxy.wire": ("refproxy.errors", "refproxy.config.settings"),  # WireError, and the enums of protocols
    "refproxy.dialogue": VALUES,  # pure: it is handed everything it decides on
    "refproxy.net": (*VALUES, "refproxy.observe.events"),
    "refproxy.services": (*VALUES, "refproxy.net", "refproxy.observe.events"),
    "refproxy.observe": VALUES,  # it formats what happened, with the octets' own helpers
    "refproxy.converse": (*VALUES, "refproxy.dialogue.turn", "refproxy.net.line_stream", "refproxy.observe"),
    "refproxy.backend": (*VALUES, "refproxy.dialogue", "refproxy.net", "refproxy.observe"),
    "refproxy.server": (*VALUES, "refproxy.net", "refproxy.services"),  # settings, and what they need at run time
    "refproxy.tells": (*VALUES, "refproxy.dialogue.login", "refproxy.observe"),  # a session's events
    "refproxy.session": (
        *VALUES,
        "refproxy.tells",
        "refproxy.server",
        "refproxy.backend",
        "refproxy.converse",
        "refproxy.dialogue",
        "refproxy.net",
        "refproxy.observe",
        "refproxy.services",
    ),
    "refproxy.worker": (*VALUES, "refproxy.net", "refproxy.observe", "refproxy.server", "refproxy.session"),
    "refproxy.master": (*VALUES, "refproxy.net", "refproxy.observe", "refproxy.worker"),
    "refproxy.demo": ("refproxy",),  # a user of everything
    "refproxy.__main__": ("refproxy",),
}

SHELLS = (
    "refproxy.net",
    "refproxy.services",
    "refproxy.converse",
    "refproxy.backend",
    "refproxy.session",
    "refproxy.worker",
    "refproxy.master",
    "refproxy.demo",
)
"""The rooms that wait for something."""

CONFORMANCE = ("refproxy.config.directives", "refproxy.observe.ladder", "refproxy")
"""What the suite may import of refproxy: data, a drawing, the version; a shared bug must not make a case pass."""

RESERVED: dict[str, tuple[str, ...]] = {
    # Package of others, or module of the standard library that not every room may have: the rooms that may import it.
    # The rest of the standard library is free, other packages are for nobody.
    "trio": SHELLS,
    "click": ("refproxy.__main__",),
    "trustme": ("refproxy.demo",),
    "OpenSSL": ("refproxy.net.tls",),  # the one TLS engine, and what it is made of
    "cryptography": ("refproxy.net.tls",),
    "service_identity": ("refproxy.net.tls",),
    "dns": ("refproxy.services",),  # DNS messages; the resolver sends them itself
    "logging": ("refproxy.observe",),  # events are emitted, only readers of the stream write them
    # Calendar time is for logs and the salt; deadlines are Trio's, so that tests can have virtual time.
    "time": ("refproxy.observe", "refproxy.session"),
    "datetime": ("refproxy.observe", "refproxy.demo"),
    # Sockets are made in net; config resolves names, observe writes to syslog, wire uses inet_ntop.
    "socket": (
        "refproxy.net",
        "refproxy.worker",
        "refproxy.config",
        "refproxy.observe",
        "refproxy.wire",
        "refproxy.demo",
    ),
    "ssl": ("refproxy.net", "refproxy.demo"),
    "signal": ("refproxy.master", "refproxy.demo"),
    "threading": ("refproxy.demo",),  # the proxy has one thread per process
    "asyncio": (),
    "select": ("refproxy.net.relay", "refproxy.net.reset_watch"),  # where one task waits for several sockets at once
    "selectors": (),
    "random": (),  # what is random here is a secret: the module secrets
}


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Every imported module, with its line; `from a import b` is `a.b` when that is a module of ours."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            parent = node.module or ""
            for name in dict.fromkeys(f"{parent}.{alias.name}" for alias in node.names):
                yield node.lineno, name if name.startswith("refproxy.") and is_module(name) else parent


def violations(module: str, source: str) -> list[str]:
    """The import statements of a module that the two tables do not allow."""
    room = max((name for name in ALLOWED if within(module, (name,))), key=len)
    if room == "refproxy" and module != room:
        return [f"{module} belongs to no room"]
    found = []
    for line, name in dict.fromkeys(imports(source)):
        package = name.partition(".")[0]
        if package == "refproxy":
            # `from refproxy import __version__` and the like are for users of everything.
            fine = within(name, (*ALLOWED[room], room))
        elif package in RESERVED:
            fine = within(module, RESERVED[package])
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
        ("refproxy.newcomer", "import json"),
        ("refproxy.dialogue.smtp", "from refproxy.config import load"),
        ("refproxy.converse", "from refproxy.dialogue import smtp"),
        ("refproxy.session", "import structlog"),
        ("refproxy.worker", "def later():\n    import asyncio"),
    ],
)
def test_a_planted_violation_is_found(module: str, statement: str) -> None:
    assert violations(module, statement)


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("refproxy.dialogue.smtp", "from refproxy.config import settings"),
        ("refproxy.converse", "from refproxy.dialogue.turn import Turn"),
        ("refproxy.net.relay", "from collections.abc import Iterator\nimport trio"),
    ],
)
def test_what_the_tables_allow_is_no_violation(module: str, statement: str) -> None:
    assert violations(module, statement) == []


def foreign_imports(source: str) -> list[str]:
    """What a module of the suite imports of refproxy although it must not."""
    names = [name for _, name in imports(source) if name.partition(".")[0] == "refproxy"]
    return [name for name in names if name not in CONFORMANCE]


@pytest.mark.parametrize("path", sorted((ROOT.parent / "conformance").rglob("*.py")), ids=str)
def test_the_suite_shares_no_code_with_the_proxy(path: Path) -> None:
    assert foreign_imports(path.read_text("utf-8")) == []


def test_code_shared_with_the_proxy_is_found() -> None:
    assert foreign_imports("from refproxy.wire.smtp import parse_command") == ["refproxy.wire.smtp"]


def test_every_row_of_the_tables_is_needed() -> None:
    existing = {name for name, _ in modules()}
    rooms = {*ALLOWED, *(room for rooms in RESERVED.values() for room in rooms)}
    assert rooms - existing == set()
