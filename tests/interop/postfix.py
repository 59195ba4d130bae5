"""A real Postfix: it takes XCLIENT, the PROXY header, or neither, with and without TLS, and delivers to mailboxes."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import Child, find_program, missing
from tests.ports import free_port

__all__ = ["Postfix", "start_postfix"]

MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
myhostname = backend.example.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_base = {homes}
virtual_mailbox_maps = texthash:{directory}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
# What leaves example.test is for logged-in clients only, and goes nowhere.
default_transport = discard:
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtpd_sasl_security_options = noanonymous
smtpd_error_sleep_time = 0
smtpd_peername_lookup = no
smtpd_tls_chain_files = {certificate}
smtpd_tls_loglevel = 1
smtp_tls_security_level = none
"""

MASTER = """
127.0.0.1:{xclient} inet n - n - - smtpd
  -o syslog_name=xclient -o smtpd_authorized_xclient_hosts=127.0.0.1
127.0.0.1:{haproxy} inet n - n - - smtpd
  -o syslog_name=haproxy -o smtpd_upstream_proxy_protocol=haproxy
127.0.0.1:{strict} inet n - n - - smtpd
  -o syslog_name=strict
127.0.0.1:{tls} inet n - n - - smtpd
  -o syslog_name=tls -o smtpd_tls_wrappermode=yes -o smtpd_authorized_xclient_hosts=127.0.0.1
127.0.0.1:{tls_haproxy} inet n - n - - smtpd
  -o syslog_name=tls_haproxy -o smtpd_tls_wrappermode=yes -o smtpd_upstream_proxy_protocol=haproxy
127.0.0.1:{starttls} inet n - n - - smtpd
  -o syslog_name=starttls -o smtpd_tls_security_level=encrypt -o smtpd_authorized_xclient_hosts=127.0.0.1
tlsmgr   unix - - n - 1 tlsmgr
postlog  unix-dgram n - n - 1 postlogd
anvil    unix - - n - 1 anvil
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
rewrite  unix - - n - - trivial-rewrite
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
proxymap unix - - n - - proxymap
discard  unix - - n - - discard
error    unix - - n - - error
retry    unix - - n - - error
virtual  unix - n n - - virtual
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running Postfix and its ports.

    `xclient`, `tls` and `starttls` take XCLIENT from 127.0.0.1, `haproxy` and `tls_haproxy` the PROXY header, `strict`
    neither. `tls` and `tls_haproxy` begin with TLS, `starttls` takes nothing before STARTTLS, the others know no TLS.
    """

    child: Child
    ports: Mapping[str, int]

    def wait_for_client(self, transcript: str) -> str:
        """What the log says about the client who sent a message. The transcript holds Postfix' reply to the message."""
        return self.child.wait_for(f" {queue_name(transcript)}: client=").partition(": client=")[2]

    def wait_for_size(self, transcript: str) -> int:
        """The size of a message."""
        line = self.child.wait_for(rf" {queue_name(transcript)}: from=<.*size=\d")
        return int(line.partition("size=")[2].partition(",")[0])

    def wait_until_delivered(self, transcript: str, recipient: str) -> None:
        """Wait until a message is in a mailbox."""
        pattern = rf" {queue_name(transcript)}: to=<{re.escape(recipient)}>.* status=sent \(delivered to maildir\)"
        self.child.wait_for(pattern)


def queue_name(transcript: str) -> str:
    """The name of a message in Postfix' log."""
    queued = re.search(r"Ok: queued as (\w+)", transcript)
    assert queued is not None, transcript
    return queued[1]


def start_postfix(directory: Path, users: Iterable[str], homes: Path, auth_socket: Path, certificate: str) -> Postfix:
    """Start Postfix in an empty directory that everybody may enter. Skips the test where that is not possible."""
    program = find_program("postfix", "postfix")
    postconf = find_program("postconf", "postfix")
    if os.geteuid() != 0:
        missing("Postfix starts as root only")
    etc = directory / "etc"
    for name in ("etc", "queue", "data"):
        (directory / name).mkdir(mode=0o755)
    shutil.chown(directory / "data", "postfix")
    ports = {name: free_port() for name in ("xclient", "haproxy", "strict", "tls", "tls_haproxy", "starttls")}
    (directory / "mailboxes").write_text("".join(f"{user} {user}/Maildir/\n" for user in users))
    owner = pwd.getpwnam("nobody")  # as in dovecot.py
    (etc / "main.cf").write_text(
        MAIN.format(
            directory=directory,
            homes=homes,
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            auth_socket=auth_socket,
            certificate=certificate,
        )
    )
    (etc / "master.cf").write_text(MASTER.format(**ports))
    # This makes the directories of the queue.
    subprocess.run([program, "-c", etc, "check"], check=True, capture_output=True, timeout=60)
    daemons = subprocess.run(
        [postconf, "-dh", "daemon_directory"], check=True, capture_output=True, text=True, timeout=60
    )
    child = Child([Path(daemons.stdout.strip()) / "master", "-s"], env={"MAIL_CONFIG": str(etc)})
    try:
        child.wait_until_listening(*ports.values())
    except BaseException:
        child.stop()
        raise
    return Postfix(child, ports)
