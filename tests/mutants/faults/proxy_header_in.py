"""Faults in taking the PROXY header from a client, and in whom to believe."""

from __future__ import annotations

import re

from refproxy import session
from refproxy.net import proxy_in
from refproxy.session import Session
from refproxy.wire import proxy_header_in, real_ip
from tests.mutants.catalog import fault
from tests.mutants.edits import constantly, edited, value

fault(
    "realip-never",
    "the header does not change who the client is",
    "*/real-ip/*",
    (session, "real_client", lambda _: lambda peer, conveyed, trusted: peer),
)
fault(
    "realip-from-everybody",
    "a header of anybody is believed",
    "*/real-ip/* */auth-client/version-*",
    (session, "real_client", lambda _: lambda peer, conveyed, trusted: conveyed.client if conveyed else peer),
)
fault(
    "realip-mapped-peer",
    "an IPv4 peer on a socket for both families is an IPv6 address",
    "imap/real-ip/*",
    (real_ip, "is_trusted", edited(("address = address.ipv4_mapped", "pass"))),
)
fault(
    "realip-of-the-server",
    "the client is where the header says the server is",
    "*/real-ip/*",
    (
        proxy_header_in.Conveyed,
        "client",
        edited(
            (
                'IPv6Address(self.source) if ":" in self.source else IPv4Address(self.source)',
                'IPv6Address(self.destination) if ":" in self.destination else IPv4Address(self.destination)',
            )
        ),
    ),
)
fault(
    "conveyed-not-told",
    "the auth server does not hear what a header said",
    "*/auth-client/version-*",
    (session, "auth_lines", constantly(())),
)
fault(
    "conveyed-only-if-believed",
    "the auth server hears what a header said only when it is believed",
    "*/auth-client/version-*",
    (
        Session,
        "_take_proxy_header",
        edited(
            ("self._peers.local, conveyed)", "self._peers.local, conveyed if client != self._peers.client else None)")
        ),
    ),
)
fault(
    "local-is-a-proxy",
    "LOCAL conveys addresses like PROXY",
    "imap/proxy-v2/skipped-* smtp/auth-client/version-2-local*",
    (proxy_header_in, "_parse_v2", edited((" if command == PROXY else None", ""))),
)
fault(
    "tlvs-not-counted",
    "what comes behind the addresses in a header is read as commands",
    "imap/proxy-v2/*",
    (
        proxy_header_in,
        "_parse_v2",
        edited(("ProxyHeaderIn(length, Conveyed(", "ProxyHeaderIn(V2_START + layout.size, Conveyed(")),
    ),
)
fault(
    "proxy-v2-any-version",
    "the version in a binary header does not matter",
    "imap/proxy-v2/malformed-*",
    (proxy_header_in, "_parse_v2", edited(("if version != VERSION:", "if False:"))),
)
fault(
    "proxy-v2-without-limit",
    "a binary header may announce any size",
    "imap/proxy-v2/malformed-*",
    (proxy_header_in, "HEADER_LIMIT", value(70_000)),
    (proxy_in, "HEADER_LIMIT", value(70_000)),
)
fault(
    "proxy-v1-any-case",
    "the words of a header may be lower-case",
    "imap/proxy-v1/malformed-*",
    (proxy_header_in, "_V1", lambda proper: re.compile(proper.pattern, re.IGNORECASE)),
)
fault(
    "proxy-v1-too-long",
    "a header in text may have 200 octets",
    "imap/proxy-v1/*",
    (proxy_header_in, "V1_LIMIT", value(200)),
)
fault(
    "proxy-v1-large-ports",
    "a port may be larger than 65535",
    "imap/proxy-v1/malformed-*",
    (proxy_header_in, "LARGEST_PORT", value(99_999)),
)
fault(
    "proxy-header-optional",
    "a client without a header is served, too",
    "*/proxy-v1/missing imap/proxy-v1/malformed-*",
    (Session, "_take_proxy_header", edited(("return End.BROKEN_PROXY_HEADER", "return None"))),
)
fault(
    "proxy-header-in-its-own-time",
    "nobody waits for a header, or a TLS handshake, with a clock",
    "*/proxy-v1/silence-is-ended */tls/silence-is-ended",
    (
        Session,
        "_admit",
        edited(("trio.current_time() + self._settings.timeout", "math.inf")),
    ),
)
fault(
    "proxy-header-behind-a-word",
    "the client gets a word before its header, which may then come late",
    "*/proxy-v1/missing smtp/greeting/none-without-a-proxy-header */proxy-v1/greeting-follows-the-header",
    (
        Session,
        "_take_proxy_header",
        edited(
            (
                "stream = self._lines.stream = peekable(self._lines.stream)",
                "stream = self._lines.stream = peekable(self._lines.stream); await stream.send_all(b'ready\\r\\n')",
            )
        ),
    ),
)
