"""Faults in TLS, towards clients and towards backends."""

from __future__ import annotations

from OpenSSL import SSL

from refproxy import session
from refproxy.dialogue import client, imap, smtp
from refproxy.dialogue.client import ClientCore
from refproxy.dialogue.imap import ImapClient
from refproxy.dialogue.login import LoginWalk
from refproxy.net.line_stream import LineStream
from refproxy.net.tls import backend, certificates, server
from refproxy.net.tls.backend import BackendTls
from refproxy.net.tls.server import ServerTls
from refproxy.session import Session
from refproxy.wire import auth_http
from tests.mutants.catalog import fault
from tests.mutants.edits import constantly, edited, ruled, value

CERTIFICATES = "imap/client-certificate/o*"
VERIFIES = "imap/backend-tls/*-verifies-*"

fault(
    "alpn-never-refused",
    "a client that offers another protocol only is served",
    "*/tls/alpn-*",
    (
        ServerTls,
        "_select_protocol",
        edited(("raise NoCommonProtocol", "return SSL.NO_OVERLAPPING_PROTOCOLS"), (" -> bytes", " -> object")),
    ),
)
fault(
    "alpn-first-offered",
    "the first protocol offered is selected",
    "*/tls/alpn-*",
    (ServerTls, "_select_protocol", edited(("return self._alpn", "return offered[0]"))),
)
fault(
    "sni-ignored",
    "every name gets the same certificate",
    "smtp/tls/sni-*",
    (ServerTls, "_choose_by_name", constantly(None)),
)
fault(
    "sni-in-one-case",
    "names with capitals are not known",
    "smtp/tls/sni-*",
    (certificates, "matches", lambda proper: lambda names, name: proper(names, name) and name.islower()),
)
fault(
    "certificate-never-refused",
    "every client certificate will do",
    CERTIFICATES,
    (client, "refuse_certificate", constantly(None)),
)
fault(
    "certificate-always-wanted",
    "`optional` refuses clients without a certificate",
    CERTIFICATES,
    (client, "refuse_certificate", edited(("if mode is not VerifyClient.ON:", "if False:"))),
)
fault(
    "certificate-bad-is-none",
    "`optional` takes bad certificates",
    CERTIFICATES,
    (
        client,
        "refuse_certificate",
        edited(("if mode is VerifyClient.OPTIONAL_NO_CA and", "if mode is VerifyClient.OPTIONAL or")),
    ),
)
fault(
    "certificate-without-authority",
    "`optional_no_ca` takes expired certificates, too",
    CERTIFICATES,
    (client, "refuse_certificate", edited((" and facts.verify_code in WITHOUT_CA", ""))),
)
fault(
    "certificate-depth-ignored",
    "ssl_verify_depth does nothing",
    "imap/client-certificate/depth-*",
    (server, "_set_verification", edited(("settings.verify_depth", "9"))),
    (
        server,
        "STEPS",
        lambda steps: tuple(
            server._set_verification if step.__name__ == "_set_verification" else step for step in steps
        ),
    ),
)
fault(
    "certificate-revoked",
    "revoked certificates are good",
    CERTIFICATES,
    (server, "_load_crls", constantly(None)),
)
fault(
    "auth-ssl-verify-always-success",
    "the auth server hears SUCCESS of a bad certificate",
    CERTIFICATES,
    (session, "format_tls_lines", edited(('b"SUCCESS" if facts.verified else', 'b"SUCCESS" if True else'))),
)
fault(
    "auth-ssl-cipher-is-the-version",
    "Auth-SSL-Protocol and Auth-SSL-Cipher are each other",
    "*/client-certificate/told-* */auth-request/*",
    (
        session,
        "format_tls_lines",
        edited(('b"Auth-SSL-Protocol", facts.version', 'b"Auth-SSL-Protocol", facts.cipher')),
    ),
)
fault(
    "auth-ssl-certificate-always",
    "the auth server gets the certificate unasked",
    "*/client-certificate/told-*",
    (session, "format_tls_lines", edited(("if pass_certificate:", "if True:"))),
)
fault(
    "no-close-notify",
    "a session in TLS ends without close_notify",
    "*/tls/close-notify-after-*",
    (
        LineStream,
        "close_after_reply",
        edited(("await self.stream.send_eof()", "isinstance(self.stream, TlsStream) or await self.stream.send_eof()")),
    ),
)
fault(
    "no-close-notify-after-the-relay",
    "a relay in TLS ends without close_notify",
    "*/tls-relay/*",
    (Session, "_relay", edited(("if self.info.tls:", "if False:"))),
)
fault(
    "starttls-keeps-what-came-before",
    "commands behind STARTTLS in clear are carried out in TLS",
    "*/starttls/*",
    (LineStream, "discard", constantly(None)),
)
fault(
    "starttls-keeps-the-hello",
    "HELO from before STARTTLS counts after it",
    "smtp/starttls/*",
    (smtp.SmtpClient, "tls_started", edited(('self._helo = self._mail = self._rcpt = b""', "pass"))),
)
fault(
    "starttls-twice",
    "STARTTLS is offered and taken in TLS, too",
    "*/starttls/*",
    (ClientCore, "_starttls_possible", edited((" and self.client.tls is None", ""))),
)
fault(
    "starttls-listed-in-tls",
    "CAPABILITY lists STARTTLS in TLS, too",
    "imap/starttls/*",
    ruled(imap, ImapClient._capability, edited((" and self.client.tls is None:", ":"))),
)
fault(
    "starttls-greets-again",
    "there is a greeting after STARTTLS",
    "*/starttls/*",
    (ClientCore, "tls_started", edited(('Turn(b"", self._need())', "self._open()"))),
)
fault(
    "starttls-only-is-on",
    "`starttls only` does not keep from logging in",
    "*/starttls-only/* */sasl/*-under-starttls-only",
    (
        ClientCore,
        "_in_clear_but_must_not",
        edited(("self.settings.starttls is StartTlsMode.ONLY and self.client.tls is None", "False")),
    ),
)
fault(
    "resumption-of-verified-clients",
    "sessions are resumed where certificates are asked for",
    "pop3/tls/resumption-*",
    (
        server,
        "_set_sessions",
        edited(
            ("    if settings.verify_client is not VerifyClient.OFF:\n        mode = SSL.SESS_CACHE_OFF\n", ""),
            (" or settings.verify_client is not VerifyClient.OFF:", ":"),
        ),
    ),
    (
        server,
        "STEPS",
        lambda steps: tuple(server._set_sessions if step.__name__ == "_set_sessions" else step for step in steps),
    ),
)
fault(
    "tickets-always",
    "`ssl_session_tickets off` does nothing",
    "imap/tls/resumption-*",
    (server, "_set_sessions", edited(("not settings.session_tickets or ", ""))),
    (
        server,
        "STEPS",
        lambda steps: tuple(server._set_sessions if step.__name__ == "_set_sessions" else step for step in steps),
    ),
)
fault(
    "versions-open-above",
    "the newest version is always on",
    "imap/tls/refused-*",
    (
        server,
        "set_protocols",
        edited(
            ("context.set_max_proto_version(wanted[-1])", "pass"),
            ("if name not in protocols:", "if name not in protocols and name != 'TLSv1.3':"),
        ),
    ),
)
fault(
    "ciphers-of-the-client",
    "ssl_prefer_server_ciphers does nothing",
    "imap/tls/agreed-*",
    (SSL, "OP_CIPHER_SERVER_PREFERENCE", value(0)),
)
fault(
    "backend-unverified",
    "proxy_ssl_verify does nothing",
    VERIFIES,
    (BackendTls, "_verify", constantly(None)),
)
fault(
    "backend-of-another-name",
    "a backend's certificate may be for anybody",
    VERIFIES,
    (backend, "verify_hostname", constantly([])),
    (backend, "verify_ip_address", constantly([])),
)
fault(
    "backend-of-another-authority",
    "a backend's certificate may be from anybody",
    VERIFIES,
    (BackendTls, "_verify", edited(("if code:", "if False:"))),
)
fault(
    "backend-sni-always",
    "the SNI is sent where it is off",
    "pop3/backend-tls/sni-*",
    (BackendTls, "connect", edited(("self._settings.server_name and by_name", "True"))),
)
fault(
    "backend-injection",
    "what a backend says behind its answer to STARTTLS counts in TLS",
    "*/backend-tls/starttls-injected",
    (LoginWalk, "receive", edited(("if len(self._received) > length:", "if False:"))),
)
fault(
    "backend-starttls-skipped",
    "STARTTLS with the backend is left out",
    "*/backend-tls/starttls*",
    (ClientCore, "accepted", edited(("starttls=tls is BackendTlsMode.STARTTLS", "starttls=False"))),
)
fault(
    "backend-tls-of-the-auth-server-ignored",
    "Auth-Server-SSL does nothing",
    "*/backend-tls/*by-auth-server",
    (ClientCore, "accepted", edited(("verdict.tls or ", ""))),
)
fault(
    "backend-tls-misunderstood",
    "an unknown Auth-Server-SSL means clear text",
    "smtp/backend-tls/bad-value-*",
    (
        auth_http,
        "parse_backend_tls",
        edited(("raise WireError(f'sent invalid server ssl:\"{printable(value)}\"')", "return None")),
    ),
)
