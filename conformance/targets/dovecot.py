"""Dovecot 2.3 as a proxy for IMAP, POP3 and submission: not Angie's kin, and judged by the RFCs alone.

Its passdb is a program that asks the suite's auth server (see dovecot_checkpassword). Blocks stand on addresses by how
they treat TLS, since Dovecot has settings for local addresses but none for ports.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio

from conformance.case import Block, Case, Needs
from conformance.secured import VERSIONS
from conformance.targets import dovecot_checkpassword
from conformance.targets.angie import HASTE, START_PATIENCE, STOP_PATIENCE, SYSTEM_PATH, Process, free_ports, output_of
from conformance.targets.angie import start as start_process
from conformance.targets.base import Fixture, Place, Running, Target, TargetTrouble

__all__ = ["Dovecot", "configuration", "dovecot", "inexpressible"]

SERVICES = {"imap": "imap", "pop3": "pop3", "smtp": "submission"}
"""Dovecot's names of our protocols."""

MODES = {"off": ("127.0.0.1", "no"), "on": ("127.0.0.2", "yes"), "only": ("127.0.0.3", "required")}
"""The addresses of blocks by their mode of `starttls`, and Dovecot's setting `ssl` for them."""

NATURE = frozenset(
    {
        "starttls off", "starttls on", "starttls only",
        "ssl_certificate {certificate}", "ssl_certificate_key {certificate}", VERSIONS.rstrip(";"),
        "proxy_smtp_auth on", "xclient off",  # it always logs in, and sends XCLIENT only where that is advertised
        "imap_auth plain", "imap_auth plain login", "pop3_auth plain", "smtp_auth plain login",
    }
)  # fmt: skip
"""The directives that are settings of ours, or do what Dovecot does anyway."""

CLAIMS = frozenset({Needs.AUTH_HTTP, Needs.CONFIGURABLE, Needs.TLS})

CONFIGURATION = """
base_dir = {private}/run
state_dir = {private}/state
log_path = /dev/stderr
listen = 127.0.0.1
hostname = mx.example
protocols = {protocols}
submission_relay_host = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_verbose = yes
# Users are the auth server's business: no spelling is forbidden or changed, no failure slows down the next login.
auth_username_chars =
auth_username_format = %u
auth_failure_delay = 0
login_proxy_max_reconnects = 0
mail_location = maildir:{private}/mail
passdb {{
  driver = checkpassword
  args = {python} -I {program} {auth_port}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={private}/mail
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
# The passdb's program lies in a directory that may be root's alone.
service auth {{
  user = root
}}
"""

LOGIN_SERVICE = """
service {service}-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 4000
{listeners}
}}
"""

LISTENER = """  inet_listener {name} {{
    address = {address}
    port = {port}
    ssl = {ssl}
  }}"""


class Dovecot(Target):
    """Debian's Dovecot. The blocks it can stand for are those whose directives it has an equivalent of."""

    name, claims, dialects = "dovecot", CLAIMS, frozenset()

    def __init__(self, program: str) -> None:
        self._program, self.version = program, f"Dovecot {output_of([program, '--version'])}"

    def refusal(self, case: Case) -> str | None:
        """Why a case cannot be run: a need that is not claimed, or a directive without an equivalent."""
        if (reason := super().refusal(case)) is not None:
            return reason
        if around := f"{case.main} {case.mail}".strip():
            return f"dovecot has no equivalent of directives around the server block: {around}"
        strange = inexpressible(case.block)
        return f"dovecot has no equivalent of {', '.join(strange)}" if strange else None

    def run(self, fixture: Fixture) -> AbstractAsyncContextManager[Running]:
        """Write the configuration, start Dovecot, wait until every block accepts."""
        return self._run(fixture)

    @asynccontextmanager
    async def _run(self, fixture: Fixture) -> AsyncIterator[Running]:
        if os.geteuid() != 0:
            raise TargetTrouble("dovecot starts as root only")
        directory = fixture.directory / self.name
        directory.mkdir(parents=True, exist_ok=True)
        private = make_private_directory()
        conf, output = directory / "dovecot.conf", directory / "output"
        places = choose_places(fixture.blocks)
        conf.write_text(configuration(fixture, places, private))
        try:
            with output.open("wb") as sink:
                process = start_process([self._program, "-F", "-c", str(conf)], sink)
            running = Process(process, places, conf, output)
            patience = HASTE
            try:
                await running.wait_until_open(START_PATIENCE * self.patience)
                yield running
                patience = STOP_PATIENCE
            finally:
                with trio.CancelScope(shield=True):
                    await running.stop(patience)
        finally:
            shutil.rmtree(private, ignore_errors=True)


def make_private_directory() -> Path:
    """A directory for Dovecot's sockets: its processes, which are not root's, must get at them there.

    The run's own directory may be root's alone, and its name too long for a socket's.
    """
    directory = Path(tempfile.mkdtemp(prefix="conformance-dovecot-"))
    directory.chmod(0o711)
    return directory


def inexpressible(block: Block) -> list[str]:
    """What of a block Dovecot has no equivalent of."""
    statements = [" ".join(statement.split()) for statement in block.directives.split(";")]
    strange = [statement for statement in statements if statement and statement not in NATURE]
    strange += [f"listen {word}" for word in block.listen.split() if word != "ssl"]
    if block.address != "ipv4":
        strange.append(f"an address of the kind {block.address}")
    return strange


def _mode(block: Block) -> str:
    """The mode of `starttls`. In TLS from the first octet there is none to begin (TLS-3), but Dovecot must have TLS."""
    if "ssl" in block.listen.split():
        return "on"
    found = "off"
    for statement in block.directives.split(";"):
        match statement.split():
            case ["starttls", mode]:
                found = mode
    return found


def choose_places(blocks: Sequence[Block]) -> dict[Block, Place]:
    """A free port for each block, on the address that stands for its mode."""
    ports = free_ports(len(blocks))
    return {block: Place(MODES[_mode(block)][0], port) for block, port in zip(blocks, ports, strict=True)}


def configuration(fixture: Fixture, places: Mapping[Block, Place], private: Path) -> str:
    """The configuration file."""
    # A login service without a listener would crash, again and again.
    spoken = {block.protocol for block in places}
    text = CONFIGURATION.format(
        private=private,
        protocols=" ".join(service for protocol, service in SERVICES.items() if protocol in spoken),
        certificate=fixture.files.names["certificate"],
        python=sys.executable,
        program=dovecot_checkpassword.__file__,
        auth_port=fixture.auth_port,
    )
    for address, setting in MODES.values():
        text += f"local {address} {{\n  ssl = {setting}\n}}\n"
    for protocol, service in SERVICES.items():
        if protocol not in spoken:
            continue
        # The listeners that it has by default, on the ports of the system.
        silenced = [name for name in (service, f"{service}s") if service != "submission" or name == service]
        listeners = [f"  inet_listener {name} {{\n    port = 0\n  }}" for name in silenced]
        listeners += [
            LISTENER.format(
                name=f"block{number}",
                address=place.host,
                port=place.port,
                ssl="yes" if "ssl" in block.listen.split() else "no",
            )
            for number, (block, place) in enumerate(places.items())
            if block.protocol == protocol
        ]
        text += LOGIN_SERVICE.format(service=service, listeners="\n".join(listeners))
    return text


def dovecot(binary: str = "dovecot") -> Dovecot:
    """Dovecot, with its proxy for submission. Raises TargetTrouble."""
    program = shutil.which(binary, path=os.environ.get("PATH", "") + os.pathsep + SYSTEM_PATH)
    if program is None:
        raise TargetTrouble(f"{binary} is not on the PATH")
    return Dovecot(program)
