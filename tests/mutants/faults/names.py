"""Faults in what the backend is told about the client by SMTP: XCLIENT, and the host names in it."""

from __future__ import annotations

import re

from refproxy.dialogue import smtp
from refproxy.dialogue.logins import SmtpLogin
from refproxy.services import dns_exchange, dns_messages, resolver
from refproxy.services.lookups import Lookups
from refproxy.services.resolver import Resolver
from refproxy.wire import xclient
from tests.mutants.catalog import fault
from tests.mutants.edits import constantly, edited, value

LINE = "smtp/xclient/login-* smtp/xclient/addr-* smtp/xclient/name-confirmed*"
NAMES = "smtp/xclient/name-*"
LOGINS = "smtp/backend/xclient-*"

fault(
    "xclient-names-swapped",
    "[UNAVAILABLE] and [TEMPUNAVAIL] are each other",
    NAMES,
    (resolver, "UNAVAILABLE", value(xclient.TEMPUNAVAIL)),
    (resolver, "TEMPUNAVAIL", value(xclient.UNAVAILABLE)),
)
fault(
    "xclient-login-unescaped",
    "LOGIN is not xtext",
    LINE,
    (xclient, "encode_xtext", lambda _: lambda value: value),
)
fault(
    "xclient-login-lower-hex",
    "xtext has lower-case digits",
    LINE,
    (xclient, "encode_xtext", edited(("+%02X", "+%02x"))),
)
fault(
    "xclient-ipv6-without-prefix",
    "an IPv6 address lacks `IPV6:`",
    "smtp/xclient/addr-* smtp/listener/*",
    (smtp, "format_xclient", edited(('b"IPV6:" + ', ""))),
)
fault(
    "xclient-login-first",
    "LOGIN comes before ADDR",
    LINE,
    (smtp, "format_xclient", edited(('attributes.append(b"LOGIN="', 'attributes.insert(0, b"LOGIN="'))),
)
fault(
    "xclient-login-beside-auth",
    "LOGIN is told even when the backend gets AUTH",
    LOGINS,
    (smtp.SmtpClient, "_login", edited(('b"" if proxy.smtp_auth else user', "user"))),
)
fault(
    "xclient-without-the-clients-hello",
    "the client's EHLO is not repeated behind XCLIENT",
    LOGINS,
    (SmtpLogin, "build", edited(("if self.helo:", "if self.helo and not self.esmtp:"))),
)
fault(
    "xclient-behind-helo",
    "before XCLIENT comes HELO for a client that said HELO",
    LOGINS,
    (SmtpLogin, "build", edited(("self.esmtp or self.xclient is not None", "self.esmtp"))),
)
fault(
    "xclient-hello-always-ehlo",
    "behind XCLIENT a HELO of the client becomes EHLO",
    LOGINS,
    (SmtpLogin, "build", edited(('verb = b"EHLO " if self.esmtp else b"HELO "', 'verb = b"EHLO "'))),
)
fault(
    "dns-name-unconfirmed",
    "the name of an address counts whatever its owner says",
    NAMES,
    (
        Resolver,
        "client_name",
        edited(
            ("return name if _as_ipv4(ip_address(ip)) in map(ip_address, addresses) else UNAVAILABLE", "return name")
        ),
    ),
)
fault(
    "dns-harmful-name",
    "a host name may hold any octets",
    NAMES,
    (resolver, "SAFE_NAME", value(re.compile(rb"[^\r\n]+"))),
)
fault(
    "dns-name-as-spelled",
    "a host name keeps its capitals",
    f"{NAMES} smtp/dns/name-is-asked*",
    (Resolver, "_name_of", edited(("name.lower()", "name"))),
)
fault(
    "dns-failure-of-one-family-ignored",
    "a failure for one family does not count beside an address of the other",
    NAMES,
    (
        Resolver,
        "_fetch_addresses",
        edited(
            (
                "if rcode := _worst_of(answers):",
                "if (rcode := _worst_of(answers)) and not any(answer.addresses for answer in answers):",
            )
        ),
    ),
)
fault(
    "dns-alias-not-followed",
    "an alias without addresses is a failure",
    "smtp/dns/alias-* smtp/xclient/name-confirmed*",
    (resolver, "ALIAS_STEPS", value(0)),
)
fault(
    "dns-any-id",
    "an answer may have any number",
    "smtp/dns/*-ignored-*",
    (dns_exchange, "parse_answer", edited(("if answered != ident:", "if False:"))),
)
fault(
    "dns-any-question",
    "an answer may repeat another question",
    "smtp/dns/*-ignored-*",
    (dns_messages, "_check_question", constantly(None)),
)
fault(
    "dns-nothing-remembered",
    "every connection is looked up anew",
    "smtp/dns/*remembered*",
    (Lookups, "_keep", constantly(None)),
)
fault(
    "dns-valid-ignored",
    "`valid=` does not replace the lifetime of a record",
    "smtp/dns/valid-*",
    (Resolver, "_lifetime", edited(("self._settings.valid or ttl", "ttl"))),
)
fault(
    "dns-no-tcp",
    "a truncated answer is taken for the whole",
    "smtp/dns/*truncated*",
    (dns_exchange.NameServers, "ask", edited(("answer.truncated and question.kind != RdataType.PTR", "False"))),
)
fault(
    "dns-both-families-always",
    "`ipv4=off` and `ipv6=off` do nothing",
    "smtp/dns/ipv*-off-*",
    (Resolver, "_kinds", edited((" if is_on]", "]"))),
)
