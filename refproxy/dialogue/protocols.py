"""One record per protocol: what differs between IMAP, POP3 and SMTP outside their dialogues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refproxy.config.settings import MailProtocol, ServerSettings
from refproxy.dialogue.client import Client, ClientCore
from refproxy.dialogue.imap import ImapClient
from refproxy.dialogue.pop3 import Pop3Client
from refproxy.dialogue.smtp import SmtpClient

__all__ = ["PROTOCOLS", "Protocol"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """`core` makes the client-facing core; `looks_up_client` says whether the client's DNS name is wanted (CORE-38)."""

    core: Callable[[ServerSettings, Client, Callable[[], bytes]], ClientCore]
    looks_up_client: bool


PROTOCOLS = {
    MailProtocol.IMAP: Protocol(ImapClient, looks_up_client=False),
    MailProtocol.POP3: Protocol(Pop3Client, looks_up_client=False),
    MailProtocol.SMTP: Protocol(SmtpClient, looks_up_client=True),
}
