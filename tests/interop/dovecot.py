"""A real Dovecot for IMAP and POP3, once plain and once behind the PROXY header, and the login service of Postfix."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import Child, find_program, free_port, missing

__all__ = ["Dovecot", "start_dovecot"]

CONFIGURATION = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
login_greeting = Dovecot ready.
listen = 127.0.0.1
protocols = imap pop3
ssl = no
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
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
  inet_listener imap_haproxy {{
    port = {imap_haproxy}
    haproxy = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
  inet_listener pop3_haproxy {{
    port = {pop3_haproxy}
    haproxy = yes
  }}
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
    imap: int
    imap_haproxy: int
    pop3: int
    pop3_haproxy: int

    def wait_for_login(self, service: str, user: str, address: str, since: int) -> None:
        """Wait until the log says that the user logged in from the address."""
        pattern = f"{service}-login: Info: Login: user=<{user}>, method=PLAIN, rip={address}, lip=127.0.0.1,"
        self.child.wait_for(re.escape(pattern), since)

    @property
    def homes(self) -> Path:
        """A directory per user, each with a `Maildir`."""
        return self.directory / "home"

    @property
    def auth_socket(self) -> Path:
        """Where Postfix asks for logins."""
        return self.directory / "auth"


def start_dovecot(directory: Path, users: Mapping[str, str]) -> Dovecot:
    """Start Dovecot in an empty directory that everybody may enter. Skips the test where that is not possible."""
    program = find_program("dovecot", "dovecot-core")
    if os.geteuid() != 0:
        missing("Dovecot starts as root only")
    homes = directory / "home"
    homes.mkdir()
    homes.chmod(0o777)
    lines = (f"{name}:{password}\n" for name, password in users.items())
    (directory / "users").write_text("".join(lines), encoding="utf-8")
    ports = {name: free_port() for name in ("imap", "imap_haproxy", "pop3", "pop3_haproxy")}
    configuration = directory / "dovecot.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, **ports))
    child = Child([program, "-F", "-c", configuration])
    try:
        child.wait_until_listening(*ports.values())
    except BaseException:
        child.stop()
        raise
    return Dovecot(child, directory, **ports)
