"""One message through the proxy by SMTP into a real mailbox, and out again by IMAP and by POP3."""

from __future__ import annotations

import email

from tests.interop.clients import CLIENT_ADDRESS, Imap, Pop3, swaks
from tests.interop.conftest import USERS
from tests.interop.postfix import Postfix
from tests.interop.proxies import Proxy

SERVERS = {
    "smtp": "/xclient protocol smtp;",
    "imap": "/plain protocol imap;",
    "pop3": "/plain protocol pop3;",
}

BOB = "bob+mail=1@example.test"


def test_a_message_is_sent_by_smtp_and_read_by_imap_and_pop3(proxy: Proxy, postfix: Postfix) -> None:
    credentials = ("--auth", "PLAIN", "--auth-user", BOB, "--auth-password", USERS[BOB])
    sent = swaks(proxy.ports["smtp"], *credentials, "--to", BOB, "--header", "Subject: the whole way")
    assert sent.returncode == 0, sent.stdout
    postfix.wait_until_delivered(sent.stdout, BOB)

    with Imap(proxy.ports["imap"]) as imap:
        imap.login(BOB, USERS[BOB])
        imap.select("INBOX", readonly=True)
        _, found = imap.search(None, 'SUBJECT "the whole way"')
        _, fetched = imap.fetch(found[0].split()[-1].decode(), "(BODY[])")
        assert isinstance(fetched[0], tuple)
        by_imap = fetched[0][1]

    with Pop3(proxy.ports["pop3"]) as pop3:
        pop3.user(BOB)
        pop3.pass_(USERS[BOB])
        count, _ = pop3.stat()
        _, lines, _ = pop3.retr(count)
        pop3.quit()
    assert b"".join(line + b"\r\n" for line in lines) == by_imap
    received = email.message_from_bytes(by_imap)["Received"]
    assert received.startswith(f"from client.example.test (unknown [{CLIENT_ADDRESS}])")
