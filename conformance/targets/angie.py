"""Proxies that read Angie's configuration: refproxy, nginx, Angie, and any command that says it does."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import trio

from conformance.case import Block, Needs
from conformance.rulebook import Level
from conformance.targets.base import Fixture, Place, Running, Target, TargetTrouble

__all__ = ["AngieLike", "Process", "angie", "command", "nginx", "output_of", "refproxy", "server_block", "start"]

START_PATIENCE = 10.0  # seconds
STOP_PATIENCE = 5.0
HASTE = 0.4  # seconds; twice this is less than a second
SAID = 20  # lines of output in a message
POLL = 0.01  # seconds between two looks at a starting target
CONNECTIONS = 16384
SYSTEM_PATH = "/usr/sbin"  # not on the PATH of everybody
GIVEN: deque[int] = deque(maxlen=2048)
"""Ports that targets were given: one that is starting does not listen yet."""
LONE = "master_process off;\n"
NGINX_MODULES = ("/usr/lib/nginx/modules/ngx_mail_module.so", "/usr/lib64/nginx/modules/ngx_mail_module.so")

VENDORS = frozenset(
    {
        Needs.AUTH_HTTP,
        Needs.CONFIGURABLE,
        Needs.RESOLVER,
        Needs.TLS,
        Needs.PROXY_IN,
        Needs.ALPN,
        Needs.ANGIE_LOGIN,
        Needs.ANY_PASSWORD,
        Needs.LONG_PASSWORD,
        Needs.IPV6,
        Needs.UNIX,
        Needs.SIGNALS,
    }
)


class AngieLike(Target):
    """A target started by a command in which `{prefix}` and `{conf}` stand for its directory and configuration."""

    several = True

    def __init__(
        self,
        name: str,
        template: Sequence[str],
        *,
        claims: frozenset[str],
        dialects: frozenset[Level],
        preamble: str = "",
        version: str = "",
    ) -> None:
        self.name, self.version, self.claims, self.dialects = name, version, claims, dialects
        self._template, self._preamble = template, preamble

    def run(self, fixture: Fixture) -> AbstractAsyncContextManager[Running]:
        """Write the configuration, start the command, wait until every block accepts."""
        return self._run(fixture)

    @asynccontextmanager
    async def _run(self, fixture: Fixture) -> AsyncIterator[Running]:
        directory = fixture.directory / self.name
        (directory / "logs").mkdir(parents=True, exist_ok=True)
        places = choose_places(fixture.blocks, directory)
        conf = directory / "mail.conf"
        # What signals do to a lone process is another question (CORE-78).
        preamble = self._preamble.replace(LONE, "") if fixture.signals else self._preamble
        conf.write_text(preamble.format(prefix=directory) + configuration(fixture, places))
        words = [word.format(prefix=directory, conf=conf) for word in self._template]
        output = directory / "output"
        with output.open("wb") as sink:
            try:
                process = start(words, sink)
            except OSError as error:
                raise TargetTrouble(f"{words[0]} cannot be started: {error.strerror}") from error
        running = Process(process, places, conf, output)
        patience = HASTE  # an error or an interruption must not wait for the target's farewell
        try:
            await running.wait_until_open(START_PATIENCE * self.patience)
            yield running
            patience = STOP_PATIENCE
        finally:
            with trio.CancelScope(shield=True):
                await running.stop(patience)


class Process(Running):
    """A target that runs in a process group of its own, with its output in a file."""

    def __init__(
        self, process: subprocess.Popen[bytes], places: Mapping[Block, Place], conf: Path, output: Path
    ) -> None:
        self.process, self.places, self._conf, self._output = process, places, conf, output

    def trouble(self) -> str | None:
        if self.process.poll() is None:
            return None
        return f"the target ended with status {self.process.returncode}; {self.said()}"

    def said(self) -> str:
        lines = self._output.read_text(errors="replace").splitlines()[-SAID:]
        return "it said:\n" + "\n".join(f"    {line}" for line in lines) if lines else "it said nothing"

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def reload(self, old: str, new: str) -> None:
        self._conf.write_text(self._conf.read_text().replace(old, new))
        self.send_signal(signal.SIGHUP)

    async def logged(self, text: str) -> None:
        while text not in self._output.read_text(errors="replace"):  # noqa: ASYNC110  # another process writes it
            await trio.sleep(POLL)

    async def ended(self) -> None:
        while self.process.poll() is None:  # noqa: ASYNC110 (nobody tells of the end of a process)
            await trio.sleep(POLL)

    async def wait_until_open(self, patience: float) -> None:
        """Wait until all places accept. Raises TargetTrouble."""
        closed = dict(self.places)
        with trio.move_on_after(patience):
            for block, place in self.places.items():
                await self._wait_for(place)
                del closed[block]
            return
        where = ", ".join(f"{place.path or place.port} ({block.protocol})" for block, place in closed.items())
        raise TargetTrouble(f"the target did not listen within {patience:g} s at {where:.300}; {self.said()}")

    async def _wait_for(self, place: Place) -> None:
        while True:
            try:
                stream = await place.connect(None)
            except OSError:
                if (trouble := self.trouble()) is not None:
                    raise TargetTrouble(trouble) from None
                await trio.sleep(POLL)
            else:
                await trio.aclose_forcefully(stream)
                return

    async def stop(self, patience: float) -> None:
        """End the target and whatever it started, with force what is left when the patience is over."""
        self._signal_group(signal.SIGTERM)
        with trio.move_on_after(patience):
            await self.ended()
        self._signal_group(signal.SIGKILL)
        with trio.move_on_after(HASTE):
            await self.ended()

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def start(words: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, so that it can be ended with all that it starts."""
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0)


def choose_places(blocks: Sequence[Block], directory: Path) -> dict[Block, Place]:
    """A free port or a socket's path for each block."""
    ports = free_ports(len(blocks))
    places = {}
    for number, (block, port) in enumerate(zip(blocks, ports, strict=True)):
        match block.address:
            case "unix":
                places[block] = Place("", 0, str(directory / f"s{number}"))
            case "ipv6":
                places[block] = Place("::1", port)
            case _:
                places[block] = Place("127.0.0.1", port)
    return places


def free_ports(count: int) -> list[int]:
    """Ports below the range that the kernel gives to outgoing connections, so none of those can take one."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    # Those that were given out lately may be about to be used by another start.
    candidates = random.sample(range(10000, max(lowest, 20000)), k=min(max(lowest, 20000) - 10000, 4 * count + 200))
    for port in candidates:
        if len(found) == count:
            break
        if port in GIVEN:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    GIVEN.extend(found)
    return found


def configuration(fixture: Fixture, places: Mapping[Block, Place]) -> str:
    """The configuration file, but for the preamble."""
    lines = [
        fixture.main,
        "error_log stderr info;",
        f"events {{ worker_connections {CONNECTIONS}; }}",
        "mail {",
        "server_name mx.example;",
        f"auth_http 127.0.0.1:{fixture.auth_port}/auth;",
        fixture.mail,
    ]
    lines += [server_block(fixture, block, place) for block, place in places.items()]
    return "\n".join([*lines, "}", ""])


def server_block(fixture: Fixture, block: Block, place: Place) -> str:
    """A block as it stands in the configuration file."""
    address = {
        "unix": f"unix:{place.path}",
        "ipv6": f"[::1]:{place.port}",
        "dual": f"[::]:{place.port}",
    }.get(block.address, f"127.0.0.1:{place.port}")
    parameters = " ".join([address, *block.listen.split(), *(["ipv6only=off"] if block.address == "dual" else [])])
    directives = fixture.files.fill(
        block.directives,
        dns=f"127.0.0.1:{fixture.dns_port}",
        auth=f"127.0.0.1:{fixture.auth_port}",
        auth6=f"[::1]:{fixture.auth6_port}",
    )
    return f"server {{ listen {parameters}; protocol {block.protocol}; {directives} }}"


def refproxy() -> AngieLike:
    """This project's own proxy."""
    ours = {
        Needs.RESOLVER_IPV4,
        Needs.TRUSTED_CA_ALONE,
        Needs.OAUTH,
        Needs.MAX_COMMANDS,
        Needs.POP3_CLIENT_BUFFER,
        Needs.PROXY_V2_OUT,
        Needs.PROXY_V2_TLV,
        Needs.BACKEND_TLS,
    }
    return AngieLike(
        "refproxy",
        [sys.executable, "-m", "refproxy", "run", "-p", "{prefix}", "-c", "{conf}"],
        claims=VENDORS | ours,
        dialects=frozenset({Level.VENDOR, Level.OURS}),
        version=output_of([sys.executable, "-m", "refproxy", "--version"]),
    )


def nginx(binary: str = "nginx") -> AngieLike:
    """Nginx with its mail module, which Debian has as a file of its own. Raises TargetTrouble."""
    module = next((name for name in NGINX_MODULES if Path(name).exists()), None)
    load = f"load_module {module};\n" if module else ""
    return _vendor("nginx", binary, load, frozenset())


def angie(binary: str = "angie") -> AngieLike:
    """Angie. Raises TargetTrouble."""
    known = {Needs.RESOLVER_IPV4, Needs.TRUSTED_CA_ALONE, Needs.OAUTH, Needs.MAX_COMMANDS}
    return _vendor("angie", binary, "", frozenset(known))


def _vendor(name: str, binary: str, load: str, more: frozenset[str]) -> AngieLike:
    program = shutil.which(binary, path=os.environ.get("PATH", "") + os.pathsep + SYSTEM_PATH)
    if program is None:
        raise TargetTrouble(f"{binary} is not on the PATH")
    return AngieLike(
        name,
        [program, "-p", "{prefix}", "-e", "stderr", "-c", "{conf}"],
        claims=VENDORS | more,
        dialects=frozenset({Level.VENDOR}),
        preamble=load + "daemon off;\npid {prefix}/pid;\n" + LONE,
        version=output_of([program, "-v"]),
    )


def command(template: str) -> AngieLike:
    """Anything that reads Angie's configuration: `myproxy -p {prefix} -c {conf}`."""
    return AngieLike("command", shlex.split(template), claims=VENDORS, dialects=frozenset({Level.VENDOR}))


def output_of(words: Sequence[str]) -> str:
    """What a program says of its version."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()
