"""Finding, starting and stopping the proxies that are compared, and reading what they cost."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from scripts.benchmarks.certificate import Certificate
from scripts.benchmarks.reactor import LOOPBACK

PROTOCOLS = ("imap", "smtp", "pop3")
TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT = 20.0  # seconds; a loaded machine starts Python in one or two
STOP_LIMIT = 10.0
SYSTEM_DIRECTORIES = "/usr/sbin:/usr/local/sbin"  # Debian's nginx is in the first, which is on few users' PATH

N = TypeVar("N", int, float)


class BenchError(Exception):
    """Something is missing or did not start; the text is one line for the operator."""


@dataclass(frozen=True)
class Program:
    """A proxy that can be run: the name its figures carry, its command, and what its file needs before the rest."""

    name: str
    command: tuple[str, ...]
    preamble: str = ""
    is_peer: bool = True


@dataclass(frozen=True)
class Setting:
    """What a benchmark asks of the configuration, of every proxy alike."""

    connections: int
    certificate: Certificate | None = None  # the listeners speak TLS from the first octet
    proxy_buffer: str | None = None  # the default


@dataclass(frozen=True)
class Running:
    """A proxy under load: its process and its port for each protocol."""

    name: str
    pid: int
    ports: dict[str, int]

    def cpu_seconds(self) -> float:
        """User and system time so far, children included. Raises BenchError when it is gone."""
        return self._read(cpu_seconds)

    def resident_octets(self) -> int:
        """The resident set, children included. Raises BenchError when it is gone."""
        return self._read(resident_octets)

    def _read(self, what: Callable[[int], N]) -> N:
        try:
            return what(self.pid)
        except OSError:
            raise BenchError(f"{self.name} ended while it was measured") from None


def cpu_seconds(pid: int) -> float:
    """What the system's accounting says of a process and its children, in seconds.

    The process's CPU clock is utime + stime of /proc/PID/stat without their rounding to ticks: a tick of 10 ms would
    be a tenth of what a short run costs a fast proxy. Children that ended are counted there in ticks only.
    """
    clock = (~pid << 3) | 2  # clock_getcpuclockid(3): the time all threads of a process were scheduled
    ended_children = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
    own = time.clock_gettime(clock) + sum(map(int, ended_children)) / TICKS
    return own + sum(map(cpu_seconds, living_children(pid)))


def resident_octets(pid: int) -> int:
    """The resident sets of a process and its children; what they share is counted in each."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = re.search(r"^Rss: +(\d+) kB$", rollup, re.MULTILINE)
    assert kib is not None, rollup
    return int(kib[1]) * 1024 + sum(map(resident_octets, living_children(pid)))


def living_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def refproxy() -> Program:
    return Program("refproxy", (sys.executable, "-m", "refproxy", "run"), is_peer=False)


def installed_nginx() -> Program:
    """Debian's nginx. Raises BenchError when it or its mail module is missing."""
    path = shutil.which("nginx") or shutil.which("nginx", path=SYSTEM_DIRECTORIES)
    if path is None:
        raise BenchError("nginx is not installed")
    return nginx_like("nginx", path)


def nginx_like(name: str, path: str) -> Program:
    """A program with nginx's command line. Raises BenchError when it has no mail proxy."""
    try:
        shown = subprocess.run([path, "-V"], capture_output=True, text=True, check=False, timeout=START_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{path} -V does not run: {error}") from None
    words = (shown.stdout + shown.stderr).split()
    preamble = ""
    if "--with-mail=dynamic" in words:
        directory = next((word.partition("=")[2] for word in words if word.startswith("--modules-path=")), "modules")
        module = Path(directory, "ngx_mail_module.so")
        if not module.exists():
            raise BenchError(f"{name} has no mail module: {module} is not installed")
        preamble = f"load_module {module};\n"
    elif "--with-mail" not in words:
        raise BenchError(f"{path} is built without a mail proxy")
    return Program(name, (path, "-e", "stderr", "-g", "daemon off; master_process off;"), preamble)


def configuration(setting: Setting, auth_port: int, ports: dict[str, int], home: Path) -> str:
    """The same for every proxy."""
    ssl, directives = "", ""
    if setting.certificate:
        ssl = " ssl"
        # The versions are named because programs differ in their default, and would not be compared in the same one.
        directives += (
            f"  ssl_certificate {setting.certificate.chain};\n  ssl_certificate_key {setting.certificate.key};\n"
            "  ssl_protocols TLSv1.2 TLSv1.3;\n"
        )
    if setting.proxy_buffer:
        directives += f"  proxy_buffer {setting.proxy_buffer};\n"
    servers = "".join(
        f"  server {{ listen {LOOPBACK}:{port}{ssl}; protocol {name}; }}\n" for name, port in ports.items()
    )
    return (
        f"worker_processes 1;\npid {home}/pid;\nerror_log {home}/error.log;\n"
        f"events {{ worker_connections {setting.connections}; }}\n"
        "mail {\n  server_name mx.example;\n  xclient on;\n"
        f"  auth_http {LOOPBACK}:{auth_port}/auth;\n{directives}{servers}}}\n"
    )


@contextmanager
def run_proxy(program: Program, setting: Setting, auth_port: int, home: Path) -> Iterator[Running]:
    """Run one proxy, with its files in `home`, for the block. Raises BenchError when it does not start."""
    home.mkdir()
    ports = dict(zip(PROTOCOLS, free_ports(len(PROTOCOLS)), strict=True))
    file = home / "mail.conf"
    file.write_text(program.preamble + configuration(setting, auth_port, ports, home))
    with (home / "output").open("w") as output:
        command = [*program.command, "-p", str(home), "-c", str(file)]
        process = subprocess.Popen(command, stdout=output, stderr=output, process_group=0)
    try:
        for port in ports.values():
            wait_until_open(port, process, program.name, home / "output")
        yield Running(program.name, process.pid, ports)
    finally:
        stop(process)


def free_ports(count: int) -> list[int]:
    """Ports below the range that the kernel gives to outgoing connections, so none of those can take one."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(10000, max(lowest, 20000)), k=1000):
        if len(found) == count:
            return found
        try:
            socket.create_server((LOOPBACK, port)).close()
        except OSError:
            continue
        found.append(port)
    raise BenchError("no free ports")


def wait_until_open(port: int, process: subprocess.Popen[bytes], name: str, output: Path) -> None:
    """Return when the port accepts. Raises BenchError when the process ends instead, or takes too long."""
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=START_LIMIT).close()
            return
        except OSError:
            if process.poll() is not None:
                lines = re.findall(".+", output.read_text(errors="replace"))
                raise BenchError(f"{name} did not start: {lines[-1] if lines else 'no message'}") from None
            if time.monotonic() > deadline:
                raise BenchError(f"{name} did not listen within {START_LIMIT:.0f} s") from None
            time.sleep(0.02)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process we started, gently if it lets us."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
