"""A real Dovecot for IMAP and POP3, plain, in TLS and behind the PROXY header, and the login service of Postfix."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import Child, find_program, missing
from tests.ports import free_port

__all__ = ["SECURED_ADDRESS", "Dovecot", "start_dovecot"]

SECURED_ADDRESS = "127.0.0.3"
"""Where no login is taken in clear. Dovecot trusts clients of its own address, so it must be one that nobody has."""

LISTENERS = {
    "": "",
    "_haproxy": "haproxy = yes",
    "_tls": "ssl = yes",
    "_tls_haproxy": "ssl = yes\n    haproxy = yes",
    "_secured": f"address = {SECURED_ADDRESS}",
}
"""What follows the protocol in a listener's name, and its settings."""

CONFIGURATION = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
login_greeting = Dovecot ready.
listen = 127.0.0.1
protocols = imap pop3
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_chars =
haproxy_trusted_networks = 127.0.0.0/8
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {directory}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={directory}/home/%u
}}
local {secured_address} {{
  ssl = required
  disable_plaintext_auth = yes
}}
# A failed login must not slow down the next one.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running Dovecot: its process, where it listens, where its files are."""

    child: Child
    directory: Path
    ports: Mapping[str, int]
    """Of each listener: the protocol and a key of LISTENERS, as in `imap_tls`."""

    def wait_for_login(self, service: str, user: str, address: str, since: int, *, local: str = "127.0.0.1") -> str:
        """Wait until the log says that the user logged in from the address, and return what else it says."""
        pattern = f"{service}-login: Info: Login: user=<{user}>, method=PLAIN, rip={address}, lip={local},"
        return self.child.wait_for(re.escape(pattern), since).partition(pattern)[2]

    @property
    def homes(self) -> Path:
        """A directory per user, each with a `Maildir`."""
        return self.directory / "home"

    @property
    def auth_socket(self) -> Path:
        """Where Postfix asks for logins."""
        return self.directory / "auth"


def service(protocol: str, ports: Mapping[str, int]) -> str:
    """The part of the configuration about the listeners of a protocol."""
    lines = [f"service {protocol}-login {{", f"  inet_listener {protocol}s {{\n    port = 0\n  }}"]
    for suffix, settings in LISTENERS.items():
        name = protocol + suffix
        lines.append(f"  inet_listener {name} {{\n    port = {ports[name]}\n    {settings}\n  }}")
    return "\n".join([*lines, "}", ""])


def start_dovecot(directory: Path, users: Mapping[str, str], certificate: str) -> Dovecot:
    """Start Dovecot in an empty directory that everybody may enter. Skips the test where that is not possible."""
    program = find_program("dovecot", "dovecot-core")
    if os.geteuid() != 0:
        missing("Dovecot starts as root only")
    homes = directory / "home"
    homes.mkdir()
    homes.chmod(0o777)
    lines = (f"{name}:{password}\n" for name, password in users.items())
    (directory / "users").write_text("".join(lines), encoding="utf-8")
    ports = {protocol + suffix: free_port() for protocol in ("imap", "pop3") for suffix in LISTENERS}
    configuration = directory / "dovecot.conf"
    settings = CONFIGURATION.format(directory=directory, certificate=certificate, secured_address=SECURED_ADDRESS)
    configuration.write_text(settings + service("imap", ports) + service("pop3", ports))
    child = Child([program, "-F", "-c", configuration])
    try:
        child.wait_until_listening(*(port for name, port in ports.items() if not name.endswith("_secured")))
    except BaseException:
        child.stop()
        raise
    return Dovecot(child, directory, ports)
