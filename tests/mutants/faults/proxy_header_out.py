"""Faults in the PROXY header that a backend gets."""

from __future__ import annotations

import zlib

from refproxy import session
from refproxy.session import Session
from refproxy.wire import proxy_header
from tests.mutants.catalog import fault
from tests.mutants.edits import constantly, edited, value

V1 = "*/proxy-out/v1-*"
V2 = "*/proxy-out/v2-*"
LONGEST_CUT = "longest = max(values, key=lambda kind: len(values[kind])); values[longest] = values[longest][:-1]"

fault(
    "proxy-v1-ports-swapped",
    "source and destination port are each other",
    V1,
    (
        session,
        "format_v1",
        edited(
            (
                "{endpoints.source_port} {endpoints.destination_port}",
                "{endpoints.destination_port} {endpoints.source_port}",
            )
        ),
    ),
)
fault(
    "proxy-v1-always-tcp4",
    "the family is TCP4 for IPv6, too",
    V1,
    (session, "format_v1", edited((' if source.version == 4 else "TCP6"', ""))),
)
fault(
    "proxy-v1-unix-missing",
    "there is no header for a client on a UNIX socket",
    V1,
    (session, "format_v1", edited(('b"PROXY UNKNOWN\\r\\n"', 'b""'))),
)
fault(
    "proxy-v1-families-mixed",
    "addresses of two families stand beside each other",
    V1,
    (proxy_header, "_one_family", edited(("_mapped(source), _mapped(destination)", "source, destination"))),
)
fault(
    "proxy-v1-line-feed-only",
    "the header ends without CR",
    V1,
    (session, "format_v1", lambda proper: lambda ends: proper(ends).replace(b"\r", b"")),
)
fault(
    "proxy-v2-ports-swapped",
    "source and destination port are each other",
    V2,
    (
        session,
        "format_v2",
        edited(
            ("endpoints.source_port, endpoints.destination_port", "endpoints.destination_port, endpoints.source_port")
        ),
    ),
)
fault(
    "proxy-v2-wrong-family",
    "IPv6 addresses are called IPv4",
    V2,
    (proxy_header, "TCP_OVER_IPV6", value(proxy_header.TCP_OVER_IPV4)),
)
fault(
    "proxy-v2-mapped-addresses",
    "IPv4 addresses on a socket for both families are IPv6",
    V2,
    (proxy_header, "_unmapped", lambda _: lambda source, destination: (source, destination)),
)
fault(
    "proxy-v2-unix-not-local",
    "a client on a UNIX socket is no LOCAL connection",
    V2,
    (session, "format_v2", edited(("LOCAL, 0", "PROXY, 0"))),
)
fault(
    "proxy-v2-no-checksum",
    "the checksum stays zero",
    V2,
    (session, "format_v2", edited(('header[:-4] + struct.pack("!I", crc32c(header))', "header"))),
)
fault(
    "proxy-v2-other-checksum",
    "the checksum is CRC-32, not CRC-32C",
    V2,
    (proxy_header, "crc32c", value(zlib.crc32)),
)
fault(
    "proxy-v2-without-tls",
    "nothing is told of the client's TLS",
    "*/proxy-out/tls-* */proxy-out/starttls-*",
    (Session, "_proxy_header", edited(("self._client.tls)", "None)"))),
)
fault(
    "proxy-v2-names-without-server-name",
    "the SNI of the client is left out",
    "*/proxy-out/tls-* */proxy-out/starttls-*",
    (proxy_header, "_tls_tlvs", edited(("TLV_AUTHORITY: tls.server_name", "TLV_AUTHORITY: None"))),
)
fault(
    "proxy-v2-certificate-always-good",
    "the verify result is 0 for every certificate",
    "imap/proxy-out/tls-certificate-*",
    (proxy_header, "_tls_tlvs", edited(("0 if tls.verified else tls.verify_code or NOT_VERIFIED", "0"))),
)
fault(
    "proxy-v2-names-cut",
    "a name that does not fit is cut",
    "imap/proxy-out/tls-*",
    (
        proxy_header,
        "_fitting",
        edited(("del values[max(values, key=lambda kind: len(values[kind]))]", LONGEST_CUT)),
    ),
)
fault(
    "proxy-v2-one-unique-id",
    "all connections have the same unique id",
    "*/proxy-out/unique-id-*",
    (Session, "_unique_id", constantly(b"1.1.0123456789abcdef")),
)
fault(
    "proxy-v2-too-long",
    "a header may have 1000 octets, more than Postfix takes",
    "imap/proxy-out/tls-*",
    (proxy_header, "V2_LIMIT", value(1000)),
)
fault(
    "proxy-header-behind-the-greeting",
    "the header waits for the backend's greeting",
    "*/proxy-out/nothing-before-the-greeting",
    (session, "log_in", edited(("if header:", "if header and await stream.wait_readable() is None:"))),
)
fault(
    "proxy-header-inside-tls",
    "the header goes through TLS instead of in front of it",
    "*/backend-tls/on-behind-proxy-*",
    (
        session,
        "log_in",
        edited(
            ("await attempt.encrypt()\n        octets", "pass\n        octets"),
            (
                "if header:",
                "if route.tls is BackendTlsMode.ON:\n            await attempt.encrypt()\n        if header:",
            ),
            ("await stream.send_all(header)", "await attempt.stream.send_all(header)"),
        ),
    ),
)
fault(
    "proxy-header-always",
    "a backend gets the header even when it is off",
    "*/proxy-out/off",
    (Session, "_proxy_header", edited(('return b""', "return format_v1(self._peers.endpoints)"))),
)
