"""Faults in the request to the auth server, and in what its answer does."""

from __future__ import annotations

from refproxy import session
from refproxy.dialogue.client import ClientCore
from refproxy.dialogue.pop3 import Pop3Client
from refproxy.dialogue.smtp import SmtpClient
from refproxy.services import auth
from refproxy.session import Session
from refproxy.wire import auth_http
from tests.mutants.catalog import fault
from tests.mutants.edits import constantly, edited, value

REQUEST = "*/auth-request/*"
ANSWER = "smtp/auth-answer/*"
FAILURE = "*/auth-failure/*"

fault(
    "request-without-attempt",
    "Auth-Login-Attempt is missing",
    REQUEST,
    (auth, "format_request", edited(('b"Auth-Login-Attempt: %d" % attempt.number,', ""))),
)
fault(
    "request-in-another-order",
    "Client-IP comes before Auth-Login-Attempt",
    REQUEST,
    (
        auth,
        "format_request",
        edited(
            ('b"Auth-Login-Attempt: %d" % attempt.number,', ""),
            (
                '"unix:").encode("ascii"),',
                '"unix:").encode("ascii"),\n        b"Auth-Login-Attempt: %d" % attempt.number,',
            ),
        ),
    ),
)
fault(
    "request-attempts-not-counted",
    "every attempt is the first",
    f"{FAILURE} */sasl/attempts-are-counted",
    (ClientCore, "_attempt", edited(("self._attempts += 1", "self._attempts = 1"))),
)
fault(
    "request-user-unescaped",
    "Auth-User stands there as the client gave it",
    REQUEST,
    (auth, "format_request", edited(("escape(credentials.user)", "credentials.user"))),
)
fault(
    "request-lower-case-escapes",
    "escapes have lower-case digits",
    REQUEST,
    (auth_http, "escape", edited(("%%%02X", "%%%02x"))),
)
fault(
    "request-percent-unescaped",
    "a percent sign is not escaped",
    REQUEST,
    (auth_http, "escape", lambda proper: lambda value: proper(value).replace(b"%25", b"%")),
)
fault(
    "request-without-salt",
    "Auth-Salt is missing",
    REQUEST,
    (auth, "format_request", edited(("if credentials.salt is not None:", "if False:"))),
)
fault(
    "request-salt-without-brackets",
    "Auth-Salt lacks its angle brackets",
    REQUEST,
    (auth, "format_request", edited(("+ credentials.salt)", "+ credentials.salt[1:-1])"))),
)
fault(
    "request-client-host-for-all",
    "Client-Host is told for IMAP and POP3, too",
    REQUEST,
    (Session, "_authenticate", edited(("self._client.name if is_smtp else None", "self._client.name"))),
)
fault(
    "request-envelope-swapped",
    "sender and recipient are each other",
    f"{REQUEST} smtp/none/*",
    (
        auth,
        "format_request",
        edited(('b"Auth-SMTP-From: " + envelope.mail', 'b"Auth-SMTP-From: " + envelope.rcpt')),
    ),
)
fault(
    "request-own-headers-first",
    "the configured headers come before those about TLS",
    f"{REQUEST} */client-certificate/told-*",
    (auth, "format_request", edited(("*request.tls_lines, *configured", "*configured, *request.tls_lines"))),
)
fault(
    "answer-status-code-counts",
    "an answer must have status 200",
    ANSWER,
    (
        auth,
        "parse_answer",
        edited(('if b"\\r" in status_line[:-1]:', 'if b"\\r" in status_line[:-1] or b" 200 " not in status_line:')),
    ),
)
fault(
    "answer-last-status-counts",
    "an OK takes back an earlier error",
    ANSWER,
    (auth_http, "_decide", edited(("for status in statuses if", "for status in statuses[-1:] if"))),
)
fault(
    "answer-first-error-counts",
    "of two errors the first is told",
    ANSWER,
    (auth_http, "_decide", edited(("errors[-1]", "errors[0]"))),
)
fault(
    "answer-status-in-any-case",
    "`ok` is OK",
    ANSWER,
    (
        auth_http,
        "_decide",
        edited(
            ("errors := [status for", "errors := [status for"),
            ('if status not in (b"OK"', 'if status.upper() not in (b"OK"'),
        ),
    ),
)
fault(
    "answer-of-angies-size",
    "an answer may have 1024 octets only",
    ANSWER,
    (auth, "HEADER_LIMIT", value(1024)),
)
fault(
    "answer-with-its-body",
    "lines of the body are headers, too",
    ANSWER,
    (auth, "_exchange", edited(("received[:end]", "received"))),
)
fault(
    "answer-any-name",
    "a header's name may hold any octets",
    ANSWER,
    (auth_http, "parse_answer", edited(("_NAME.fullmatch(name) is None or ", ""))),
    (auth, "parse_answer", edited(("_NAME.fullmatch(name) is None or ", ""))),
)
fault(
    "answer-unfinished-counts",
    "what came before the end of file is the answer, finished or not",
    ANSWER,
    (
        auth,
        "_exchange",
        edited(
            (
                'raise AuthUnavailable(f"auth http server {address} prematurely closed connection")',
                "return bytes(received)",
            )
        ),
    ),
)
fault(
    "answer-in-twice-the-time",
    "the auth server has twice auth_http_timeout",
    "*/auth-answer/*-timeout",
    (auth, "_ask_once", edited(("trio.move_on_after(settings.timeout)", "trio.move_on_after(10 * settings.timeout)"))),
)
fault(
    "answer-user-is-the-password",
    "Auth-Pass replaces the user",
    "*/auth-route/login-*",
    (auth_http, "_decide", edited(('user = values.get(b"auth-user")', 'user = values.get(b"auth-pass")'))),
)
fault(
    "answer-user-ignored",
    "Auth-User does not replace the user",
    "*/auth-route/login-*",
    (
        ClientCore,
        "accepted",
        edited(("credentials.user if verdict.user is None else verdict.user", "credentials.user")),
    ),
)
fault(
    "answer-empty-password-is-none",
    "an empty Auth-Pass does not replace the password",
    "*/auth-route/login-*",
    (
        ClientCore,
        "accepted",
        edited(("if verdict.password is not None else", "if verdict.password and verdict.password.reveal() else")),
    ),
)
fault(
    "answer-port-off-by-one",
    "the backend is at the next port",
    "smtp/auth-route/login-as-the-client",
    (auth_http, "parse_backend_address", edited(("return address, int(port)", "return address, int(port) + 1"))),
)
fault(
    "answer-octal-address",
    "numbers with a zero in front are octal",
    "smtp/auth-route/server-*",
    (
        auth_http,
        "_maybe_ip",
        edited(("[int(part) for", "[int(part, 8 if part[:1] == b'0' and part.strip(b'01234567') == b'' else 10) for")),
    ),
)
fault(
    "answer-malformed-port",
    "of a port only the digits in front count",
    "smtp/auth-route/port-*",
    (
        auth_http,
        "parse_backend_address",
        edited(
            ("by_name = _is_host_name(server)", "by_name, port = _is_host_name(server), _DIGITS.match(port + b'0')[0]"),
        ),
    ),
)
fault(
    "wait-of-a-refusal-ignored",
    "a failure is told at once, whatever Auth-Wait says",
    "*/auth-failure/retries-*",
    (ClientCore, "refused", edited(('Turn(b"", Pause(verdict.wait)) if verdict.wait else ', ""))),
)
fault(
    "wait-of-a-refusal-doubled",
    "a failure comes after twice Auth-Wait",
    "*/auth-failure/retries-* smtp/auth-failure/*-with-wait",
    (ClientCore, "refused", edited(("Pause(verdict.wait)", "Pause(5 * verdict.wait)"))),
)
fault(
    "refusal-always-closes",
    "a refusal with Auth-Wait ends the session, too",
    FAILURE,
    (ClientCore, "_end_attempt", edited(("self._refused.wait > 0", "False"))),
)
fault(
    "refusal-never-closes",
    "a refusal without Auth-Wait does not end the session",
    FAILURE,
    (ClientCore, "_end_attempt", edited(("self._refused.wait > 0", "True"))),
)
fault(
    "refusal-keeps-the-user",
    "after a refusal PASS alone is the next attempt",
    "pop3/auth-failure/* pop3/login/*",
    (
        ClientCore,
        "_end_attempt",
        edited(
            (
                "self._enter_command()",
                "self._enter_command()\n    if hasattr(self, '_apop_salt'):\n        self.state = State.USER",
            )
        ),
    ),
)
fault(
    "refusal-code-ignored",
    "Auth-Error-Code does not change the code",
    "smtp/auth-failure/*",
    (SmtpClient, "_refusal", edited(("refused.error_code or DENIED", "DENIED"))),
)
fault(
    "refusal-text-cut",
    "a refusal's text is cut",
    FAILURE,
    (Pop3Client, "_refusal", edited(("refused.text", "refused.text[:512]"))),
)
fault(
    "refusal-challenge-for-all",
    "Auth-Error-SASL is a challenge for PLAIN, too",
    FAILURE,
    (ClientCore, "_tell_refusal", edited((" and credentials.method in OAUTH_METHODS", ""))),
)
fault(
    "wait-asked-once",
    "WAIT is not followed by another question",
    "*/auth-wait/*",
    (auth, "WAIT_REPEATS", value(1)),
)
fault(
    "wait-without-minimum",
    "WAIT without Auth-Wait is asked again at once",
    "smtp/auth-wait/*",
    (auth, "WAIT_MINIMUM", value(0)),
)
fault(
    "wait-names-forgotten",
    "user and password of a WAIT answer are not asked about",
    "smtp/auth-wait/*",
    (auth, "_renewed", lambda _: lambda request, wait: request),
)
fault(
    "wait-counts-as-an-attempt",
    "the question after WAIT is the next attempt",
    "*/auth-wait/*",
    (
        auth,
        "_renewed",
        edited(
            (
                "replace(request.attempt, credentials=credentials)",
                "replace(request.attempt, credentials=credentials, number=2)",
            )
        ),
    ),
)
fault(
    "digest-is-a-password",
    "a digest is sent to the backend as the password",
    "smtp/backend/no-password-after-cram-md5-ends-at-auth",
    (
        ClientCore,
        "accepted",
        edited(("credentials.password if credentials.reusable else None", "credentials.password")),
    ),
)
fault(
    "request-without-tls",
    "the auth server does not hear of TLS",
    "*/client-certificate/told-* smtp/starttls/*",
    (session, "format_tls_lines", constantly(())),
)
