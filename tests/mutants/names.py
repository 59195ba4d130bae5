"""Faults in what the backend is told about the client: XCLIENT, host names, the PROXY header."""

from __future__ import annotations

from dataclasses import replace

from refproxy import session
from refproxy.dialogue import smtp
from refproxy.services import resolver
from refproxy.wire import xclient
from tests.mutants.catalog import fault

XCLIENT = "smtp/xclient/*"

fault(
    "xclient-names-swapped",
    "[UNAVAILABLE] and [TEMPUNAVAIL] are each other",
    XCLIENT,
    (resolver, "UNAVAILABLE", lambda _: xclient.TEMPUNAVAIL),
    (resolver, "TEMPUNAVAIL", lambda _: xclient.UNAVAILABLE),
)
fault(
    "xclient-login-unescaped",
    "LOGIN is not xtext",
    XCLIENT,
    (xclient, "encode_xtext", lambda _: lambda value: value),
)
fault(
    "xclient-login-lower-hex",
    "xtext has lower-case digits",
    XCLIENT,
    (xclient, "_XTEXT", lambda table: [text[:1] + text[1:].lower() if len(text) > 1 else text for text in table]),
)
fault(
    "xclient-ipv6-without-prefix",
    "an IPv6 address lacks `IPV6:`",
    XCLIENT,
    (smtp, "format_xclient", lambda proper: lambda *args: proper(*args).replace(b"ADDR=IPV6:", b"ADDR=")),
)
fault(
    "proxy-header-ports-swapped",
    "source and destination port are each other",
    "*/proxy-header/*",
    (
        session,
        "format_v1",
        lambda proper: (
            lambda ends: proper(
                ends and replace(ends, source_port=ends.destination_port, destination_port=ends.source_port)
            )
        ),
    ),
)
