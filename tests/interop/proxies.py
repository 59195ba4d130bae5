"""The proxy under test: refproxy from this checkout, or Debian's nginx with REFPROXY_INTEROP_PROXY=nginx."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.processes import Child, find_program, missing
from tests.ports import free_port

__all__ = ["Proxy", "deaf_nginx", "not_with_nginx", "start_nginx", "start_proxy", "start_refproxy"]

MODULES = Path("/usr/lib/nginx/modules")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy; every server block has its port."""

    child: Child
    ports: Mapping[str, int]


def start_proxy(directory: Path, auth: int, servers: Mapping[str, str], common: str = "") -> Proxy:
    """Start the proxy that the environment chooses.

    `servers` maps a name of the test's own to the directives of a server block; `auth_http` gets the path of the first
    word of the block, as in `/plain protocol imap;`. The address of `listen` is put in: `/plain listen ssl; …`.
    """
    return {"refproxy": start_refproxy, "nginx": start_nginx}[chosen()](directory, auth, servers, common)


def chosen() -> str:
    return os.environ.get("REFPROXY_INTEROP_PROXY", "refproxy")


def not_with_nginx(reason: str) -> pytest.MarkDecorator:
    """Marks what Debian's nginx cannot do."""
    return pytest.mark.skipif(chosen() == "nginx", reason=reason)


deaf_nginx = not_with_nginx("nginx may not see what comes in one segment with the end of the handshake")
"""Marks tests with clients that do not wait for the greeting in TLS."""


def start_refproxy(directory: Path, auth: int, servers: Mapping[str, str], common: str = "") -> Proxy:
    """Start `refproxy run`."""
    ports, mail = mail_block(auth, servers, common)
    file = directory / "refproxy.conf"
    file.write_text(f"error_log stderr info;\nevents {{}}\n{mail}")
    return started(Child([sys.executable, "-m", "refproxy", "run", "-c", file]), ports)


def start_nginx(directory: Path, auth: int, servers: Mapping[str, str], common: str = "") -> Proxy:
    """Start nginx with its mail module."""
    program = find_program("nginx", "nginx")
    module = MODULES / "ngx_mail_module.so"
    if not module.exists():
        missing("nginx has no mail module (Debian package libnginx-mod-mail)")
    ports, mail = mail_block(auth, servers, common)
    file = directory / "nginx.conf"
    file.write_text(
        f"load_module {module};\ndaemon off;\nmaster_process off;\npid {directory}/nginx.pid;\n"
        f"error_log stderr info;\nevents {{}}\n{mail}"
    )
    return started(Child([program, "-p", directory, "-e", "stderr", "-c", file]), ports)


def mail_block(auth: int, servers: Mapping[str, str], common: str) -> tuple[dict[str, int], str]:
    """The `mail` block, the same for every proxy, and the ports in it."""
    ports = {name: free_port() for name in servers}
    lines = ["mail {", "server_name mx.example.test;", common]
    for name, block in servers.items():
        path, _, directives = block.partition(" ")
        address = f"127.0.0.1:{ports[name]}"
        directives, listens = re.subn(r"^listen ", f"listen {address} ", directives)
        listen = "" if listens else f"listen {address};"
        lines.append(f"server {{ {listen} auth_http 127.0.0.1:{auth}{path}; {directives} }}")
    return ports, "\n".join([*lines, "}", ""])


def started(child: Child, ports: Mapping[str, int]) -> Proxy:
    try:
        child.wait_until_listening(*ports.values())
    except BaseException:
        child.stop()
        raise
    return Proxy(child, ports)
