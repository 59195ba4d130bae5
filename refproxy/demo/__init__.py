"""`refproxy demo`: the proxy between an embedded world of servers, to look at and to play with."""

from __future__ import annotations

import signal
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from shlex import quote

import trio
import trustme

from refproxy.config.load import load
from refproxy.config.settings import MailProtocol, TcpAddress
from refproxy.demo.mailbox import PASSWORD, USER
from refproxy.demo.tour import Unexpected, make_message, visit
from refproxy.demo.world import LOOPBACK, start_world
from refproxy.net.listen import Listener, open_listeners
from refproxy.net.tls.check import check_tls
from refproxy.observe.events import Event, SessionEnded
from refproxy.observe.ladder import Ladder
from refproxy.observe.log import open_log
from refproxy.observe.stream import EventStream
from refproxy.worker import Worker

__all__ = ["main"]

TOUR = (MailProtocol.SMTP, MailProtocol.IMAP, MailProtocol.POP3)
NAMES = ("smtp", "imap", "pop3", "smtps", "imaps", "pop3s")  # of the ports; the last three are for TLS
NAME = "proxy.demo.example"
PATIENCE = 5.0  # seconds for the proxy to end a session whose client has left
CONFIGURATION = """\
# Written by "refproxy demo" in Angie's language.
error_log {log} info;

events {{
    worker_connections 512;
}}

mail {{
    server_name  {name};
    auth_http    {host}:{auth}/auth;

    imap_auth    plain login cram-md5;
    pop3_auth    plain apop cram-md5;
    smtp_auth    plain login cram-md5;

    smtp_capabilities  PIPELINING 8BITMIME;

    ssl_certificate      {certificate};
    ssl_certificate_key  {certificate};
    starttls             on;

    server {{
        listen    {host}:{smtp};
        listen    {host}:{smtps} ssl;
        protocol  smtp;
    }}

    server {{
        listen    {host}:{imap};
        listen    {host}:{imaps} ssl;
        protocol  imap;
    }}

    server {{
        listen    {host}:{pop3};
        listen    {host}:{pop3s} ssl;
        protocol  pop3;
    }}
}}
"""


def main(once: bool) -> int:
    """Show three sessions; then end with the exit status, or with `once` unset stay up until interrupted."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack the ellipsis
    with tempfile.TemporaryDirectory(prefix="refproxy-demo-") as directory:
        return trio.run(_Demo(Path(directory)).run, once)


class _Demo:
    def __init__(self, directory: Path) -> None:
        self._file, self._log = directory / "demo.conf", directory / "demo.log"
        self._certificate, self._authority = directory / "demo.pem", directory / "ca.pem"
        self._show = _Show()

    async def run(self, once: bool) -> int:
        relayed = 0
        async with trio.open_nursery() as nursery:
            if threading.current_thread() is threading.main_thread():
                await nursery.start(_end_when_interrupted, nursery.cancel_scope)
            authority = self._make_certificates()
            ports = await self._start(nursery)
            relayed = await self._tour(ports, authority)
            if not once:
                self._print_invitation(ports)
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        if not once:
            return 0
        print(f"demo: {relayed} of {len(TOUR)} sessions relayed")
        return 0 if relayed == len(TOUR) else 1

    def _make_certificates(self) -> trustme.CA:
        """Write the proxy's certificate, and that of the authority behind it, which clients may want."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self._authority))
        authority.issue_cert(NAME, LOOPBACK).private_key_and_cert_chain_pem.write_to_path(str(self._certificate))
        return authority

    async def _start(self, nursery: trio.Nursery) -> dict[str, int]:
        """Start the world and the proxy in front of it; return the proxy's ports by name."""
        auth = await start_world(nursery)
        bound = {name: _bind() for name in NAMES}
        ports = {name: port for name, (_, port) in bound.items()}
        text = CONFIGURATION.format(
            log=self._log, name=NAME, host=LOOPBACK, auth=auth, certificate=self._certificate, **ports
        )
        self._file.write_text(text)
        settings = load(self._file, check_tls=check_tls)
        log = open_log(settings)
        worker = Worker(settings, EventStream(log, self._show))
        listeners = await open_listeners(settings, [listener for listener, _ in bound.values()])

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            with closing(log):
                try:
                    await worker.run(listeners, task_status=task_status)
                finally:
                    for listener in listeners:
                        listener.close()

        await nursery.start(serve)
        return ports

    async def _tour(self, ports: Mapping[str, int], authority: trustme.CA) -> int:
        """Take the three sessions; return how many went well."""
        message, relayed = make_message(), 0
        context = ssl.create_default_context()
        authority.configure_trust(context)
        for protocol in TOUR:
            try:
                await visit(protocol, ports[protocol.value], message, context)
                relayed += 1
            except Unexpected as fault:
                print(f"{protocol.value}: {fault}", file=sys.stderr)
            with trio.move_on_after(PATIENCE):
                await self._show.wait_shown(protocol)
        return relayed

    def _print_invitation(self, ports: Mapping[str, int]) -> None:
        """Say where everything is, and what to try."""
        smtp, imap, pop3, _, imaps, _ = (ports[name] for name in NAMES)
        login = quote(f"{USER}:{PASSWORD}")
        user = f"--auth-user {USER} --auth-password {PASSWORD}"
        lines = (
            f"The proxy stays up until Ctrl-C; each session is printed when it ends. Configuration: {self._file},",
            f"log: {self._log}, certificate of the authority: {self._authority}",
            "",
            *(f"  {name:5}  {LOOPBACK} port {port}" for name, port in ports.items()),
            f"  user {USER}, password {PASSWORD}",
            "",
            "Try (swaks needs Perl's Net::SSLeay for --tls; it works without --tls, too):",
            f"  swaks --server {LOOPBACK}:{smtp} --tls --auth PLAIN {user} \\",
            f"        --from {USER} --to {USER}",
            f"  curl --user {login} 'imap://{LOOPBACK}:{imap}/INBOX;MAILINDEX=1'",
            f"  curl --user {login} pop3://{LOOPBACK}:{pop3}/1",
            f"  openssl s_client -crlf -quiet -connect {LOOPBACK}:{imaps} -CAfile {self._authority}",
            f"  openssl s_client -crlf -quiet -starttls smtp -connect {LOOPBACK}:{smtp} -CAfile {self._authority}",
            f"  telnet {LOOPBACK} {pop3}     then: USER {USER}, PASS {PASSWORD}, LIST, RETR 1, QUIT",
            f"  telnet {LOOPBACK} {imap}   then: a LOGIN {USER} {PASSWORD}, b SELECT INBOX, c FETCH 1 BODY[], d LOGOUT",
        )
        print("\n".join(lines), flush=True)


def _bind() -> tuple[Listener, int]:
    """Bind a free port before the configuration names it, so that nobody can take it in between."""
    sock = socket.create_server((LOOPBACK, 0))
    sock.setblocking(False)
    port: int = sock.getsockname()[1]
    return Listener(sock, TcpAddress(LOOPBACK, port)), port


class _Show:
    """A reader that prints the ladder of each session at its end."""

    wants_lines = True

    def __init__(self) -> None:
        self._ladder = Ladder()
        self._shown = {protocol: trio.Event() for protocol in MailProtocol}

    def __call__(self, event: Event) -> None:
        self._ladder(event)
        if isinstance(event, SessionEnded):
            print(self._ladder.text(event.session.number), flush=True)
            self._shown[event.session.settings.protocol].set()

    async def wait_shown(self, protocol: MailProtocol) -> None:
        """Return when a session of the protocol has been printed."""
        await self._shown[protocol].wait()


async def _end_when_interrupted(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
