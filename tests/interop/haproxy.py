"""A real HAProxy, in front of the proxy or behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import Child, find_program
from tests.ports import free_port

__all__ = ["Haproxy", "Passage", "start_haproxy"]

CONFIGURATION = """
global
  # The log must not wait for a buffer to be full.
  log stdout format raw local0
defaults
  mode tcp
  log global
  timeout connect 20s
  timeout client 20s
  timeout server 20s
"""


@dataclass(frozen=True, slots=True)
class Passage:
    """A way through HAProxy to a port: what it demands of those who come, and how it goes on.

    `bind` and `server` are the words after the address, in which `tls/` is the directory of the certificates.
    """

    port: int
    bind: str = ""
    server: str = ""
    more: str = ""


@dataclass(frozen=True, slots=True)
class Haproxy:
    """A running HAProxy; every passage has its port."""

    child: Child
    ports: Mapping[str, int]


def start_haproxy(directory: Path, passages: Mapping[str, Passage]) -> Haproxy:
    """Start HAProxy in a directory with the certificates in `tls`."""
    program = find_program("haproxy", "haproxy")
    ports = {name: free_port() for name in passages}
    lines = [CONFIGURATION]
    for name, passage in passages.items():
        lines += [
            f"listen {name}",
            f"  bind 127.0.0.1:{ports[name]} {passage.bind}",
            f"  server next 127.0.0.1:{passage.port} {passage.server}",
            f"  {passage.more}",
        ]
    file = directory / "haproxy.cfg"
    file.write_text("\n".join([*lines, ""]).replace("tls/", f"{directory}/tls/"))
    child = Child([program, "-db", "-f", file])
    try:
        child.wait_until_listening(*ports.values())
    except BaseException:
        child.stop()
        raise
    return Haproxy(child, ports)
