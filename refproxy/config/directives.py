"""The table of directives: one row each, from which parsing, inheritance, `dump` and the reference page follow.

A row's `field` is the place of its value in ServerSettings, or for main directives in Settings; what is not written
keeps the default of that field, and the tests hold the `default` text of the row against it.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import Enum

from refproxy.config import addresses, logs, values
from refproxy.config.settings import BackendTlsMode, MailProtocol, Mechanism, ProxyHeader, StartTlsMode, VerifyClient
from refproxy.config.tree import printable
from refproxy.config.values import Call, Parser, bad

__all__ = ["BY_NAME", "ELSEWHERE", "ROWS", "Arity", "Context", "Dialect", "Repeat", "Row", "opens"]


class Context(Enum):
    """The blocks in which a directive may stand."""

    MAIN = "main"
    EVENTS = "events"
    MAIL = "mail"
    SERVER = "server"


class Repeat(Enum):
    """What a second statement of the same name in one block does (CONF-30, CONF-31)."""

    REFUSED = "refused"
    ADDED = "added to a list"
    UNITED = "united as a set"
    LAST = "the last one wins"


class Dialect(Enum):
    """Whose configuration files know the directive."""

    BOTH = "both"
    ANGIE = "angie"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Arity:
    """How many arguments; `most` is None for any number."""

    least: int
    most: int | None

    def allows(self, count: int) -> bool:
        return self.least <= count and (self.most is None or count <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"{self.least} or more"
        return str(self.least) if self.most == self.least else f"{self.least} to {self.most}"


ONE = Arity(1, 1)
TWO = Arity(2, 2)
MANY = Arity(1, None)
BLOCK = Arity(0, 0)

MAIN = (Context.MAIN,)
EVENTS = (Context.EVENTS,)
MAIL = (Context.MAIL,)
SERVER = (Context.SERVER,)
MAIL_SERVER = (Context.MAIL, Context.SERVER)
ANYWHERE = tuple(Context)


@dataclass(frozen=True, slots=True)
class Row:
    """What there is to know about one directive."""

    name: str
    module: str
    parse: Parser | None
    """Reads the arguments; None for a block and for `include`."""

    args: str
    """The arguments as the reference page shows them."""

    default: str | None
    """The arguments that mean the same as leaving the directive out, as text; None when there are none."""

    _: KW_ONLY
    doc: str
    rule: str
    contexts: tuple[Context, ...] = MAIL_SERVER
    arity: Arity = ONE
    repeat: Repeat = Repeat.REFUSED
    field: str | None = None
    absent: str | None = None
    """How a value of None is written, where that can be said."""

    dialect: Dialect = Dialect.BOTH
    since: str = ""
    ignored: bool = False
    """Accepted for the sake of existing files, and never going to have an effect."""

    block: bool = False
    inside: Context | None = None
    """The context within the block; None: what the block holds is skipped."""

    secret: bool = False
    """The value must not be shown."""

    @property
    def syntax(self) -> str:
        words = f"{self.name} {self.args}".rstrip()
        return f"{words} {{ ... }}" if self.block else f"{words};"


# -- parsers that belong to a single directive ---------------------------------------------------------------------


def protocol(call: Call) -> MailProtocol:
    """`imap`, `pop3` or `smtp`, lower case only (CORE-13)."""
    for known in MailProtocol:
        if call.word == known.value.encode():
            return known
    raise bad(f'unknown protocol "{printable(call.word)}"', call.word, "imap, pop3 or smtp")


PROXY_HEADERS = {tuple(header.value.encode().split()): header for header in ProxyHeader}


def proxy_header(call: Call) -> ProxyHeader:
    """`on`, `off`, `v2`, or the two words `v2 tlv`, in any case (PROXY-20)."""
    words = tuple(word.lower() for word in call.words)
    if (header := PROXY_HEADERS.get(words)) is None:
        wrong = call.words[1] if words[:1] in PROXY_HEADERS else call.word
        raise bad(f'invalid value "{printable(wrong)}"', wrong, "on, off, v2, or v2 tlv (two words)")
    return header


class DebugPoint(Enum):
    """The words of `debug_points`."""

    STOP = "stop"
    ABORT = "abort"


TLS_VERSIONS = {name.encode(): name for name in ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")}

SASL = (Mechanism.CRAM_MD5, Mechanism.EXTERNAL, Mechanism.XOAUTH2, Mechanism.OAUTHBEARER)
"""What every protocol has besides its own mechanisms; the last two are Angie's since 1.11."""

IMAP_AUTH = values.mechanisms(Mechanism.PLAIN, Mechanism.LOGIN, *SASL)
POP3_AUTH = values.mechanisms(Mechanism.PLAIN, Mechanism.APOP, *SASL)
SMTP_AUTH = values.mechanisms(Mechanism.PLAIN, Mechanism.LOGIN, *SASL, Mechanism.NONE)
SASL_ARGS = "cram-md5 | external | xoauth2 | oauthbearer"


# -- the rows ------------------------------------------------------------------------------------------------------
# fmt: off

CORE_ROWS = (
    Row("error_log", "core", logs.error_log, "DEST [LEVEL] [format=FORMAT] [filter=FILTER] [rate=RATE]", "stderr error",
        contexts=(Context.MAIN, *MAIL_SERVER), arity=MANY, repeat=Repeat.ADDED, field="error_logs", rule="CORE-26",
        doc="Where messages go, and from which level on; an inner block's logs replace the outer ones."),
    Row("error_log_user_tag", "core", values.strings, "TAG", None,
        repeat=Repeat.ADDED, field="log_tags", dialect=Dialect.ANGIE, since="Angie 1.12", rule="CORE-28",
        doc="A word that is added to the tags of every message."),
    Row("listen", "core", addresses.listen, "ADDRESS [ssl] [proxy_protocol] [bind] [backlog=N] [rcvbuf=SIZE] "
        "[sndbuf=SIZE] [ipv6only=on|off] [so_keepalive=on|off|IDLE:INTVL:CNT] [multipath]", None,
        contexts=SERVER, arity=MANY, repeat=Repeat.ADDED, field="listens", rule="CORE-4",
        doc="An address and port, or range of ports, where clients connect; required."),
    Row("max_commands", "core", values.number, "NUMBER", "1000",
        field="max_commands", dialect=Dialect.ANGIE, since="Angie 1.7", rule="CORE-22",
        doc="How many commands a client may give before the login."),
    Row("max_errors", "core", values.number, "NUMBER", "5",
        field="max_errors", since="nginx 1.21.0", rule="CORE-21",
        doc="After how many invalid commands the connection is closed."),
    Row("protocol", "core", protocol, "imap | pop3 | smtp", None,
        contexts=SERVER, repeat=Repeat.LAST, field="protocol", rule="CORE-13",
        doc="The protocol of the server; without it a well-known port decides."),
    Row("resolver", "core", addresses.resolver, "ADDRESS ... [valid=TIME] [ipv4=on|off] [ipv6=on|off] "
        "[status_zone=ZONE] [conf[=FILE]] | off", "off",
        arity=MANY, field="resolver", absent="off", rule="CORE-35",
        doc="Name servers that are asked for the host name of an SMTP client."),
    Row("resolver_timeout", "core", values.time_or_off, "TIME", "30s",
        field="resolver.timeout", absent="0", rule="CORE-37",
        doc="The time limit of each of the two look-ups for a client's host name; 0 is no limit."),
    Row("server_name", "core", values.wire_word, "NAME", None,
        field="server_name", rule="CORE-15",
        doc="The name the proxy gives itself in greetings, challenges and HELO; by default the host name."),
    Row("timeout", "core", values.time, "TIME", "60s",
        field="timeout", rule="CORE-17",
        doc="The time a client has until the relay begins."),
)

AUTH_HTTP_ROWS = (
    Row("auth_http", "auth_http", addresses.auth_http, "URL", None,
        repeat=Repeat.LAST, field="auth_http", rule="AUTH-1",
        doc="The HTTP server that decides about logins and names the backend; required."),
    Row("auth_http_header", "auth_http", values.header, "NAME VALUE", None,
        arity=TWO, repeat=Repeat.ADDED, field="auth_http.headers", secret=True, rule="AUTH-3",
        doc="A header line to add to every request to the auth server."),
    Row("auth_http_pass_client_cert", "auth_http", values.flag, "on | off", "off",
        field="auth_http.pass_client_cert", since="nginx 1.7.11", rule="AUTH-4",
        doc="Whether the auth server is sent the client's certificate."),
    Row("auth_http_timeout", "auth_http", values.time, "TIME", "60s",
        field="auth_http.timeout", rule="AUTH-2",
        doc="The time limit of one request to the auth server."),
)

PROTOCOL_ROWS = (
    Row("imap_auth", "imap", IMAP_AUTH, f"plain | login | {SASL_ARGS} ...", "plain",
        arity=MANY, repeat=Repeat.UNITED, field="imap.auth", rule="CONF-23",
        doc="The ways to log in that IMAP clients are offered."),
    Row("imap_capabilities", "imap", values.wire_words, "WORD ...", "IMAP4 IMAP4rev1 UIDPLUS",
        arity=MANY, repeat=Repeat.ADDED, field="imap.capabilities", rule="CONF-29",
        doc="The extensions that the answer to CAPABILITY lists."),
    Row("imap_client_buffer", "imap", values.size(minimum=32), "SIZE", "4k|8k",
        field="imap.client_buffer", rule="CORE-24",
        doc="The longest IMAP command; by default one memory page."),
    Row("pop3_auth", "pop3", POP3_AUTH, f"plain | apop | {SASL_ARGS} ...", "plain",
        arity=MANY, repeat=Repeat.UNITED, field="pop3.auth", rule="CONF-37",
        doc="The ways to log in that POP3 clients are offered; plain includes LOGIN."),
    Row("pop3_capabilities", "pop3", values.wire_words, "WORD ...", "TOP USER UIDL",
        arity=MANY, repeat=Repeat.ADDED, field="pop3.capabilities", rule="CONF-29",
        doc="The extensions that the answer to CAPA lists."),
    Row("pop3_client_buffer", "pop3", values.size(minimum=32), "SIZE", "12k",
        field="pop3.client_buffer", dialect=Dialect.OURS, rule="POP3-80",
        doc="The longest AUTH line of a POP3 client; other lines have at most 255 octets of it."),
    Row("smtp_auth", "smtp", SMTP_AUTH, f"plain | login | {SASL_ARGS} | none ...", "plain login",
        arity=MANY, repeat=Repeat.UNITED, field="smtp.auth", rule="CONF-23",
        doc="The ways to log in that SMTP clients are offered; none allows mail without a login."),
    Row("smtp_capabilities", "smtp", values.wire_words, "WORD ...", None,
        arity=MANY, repeat=Repeat.ADDED, field="smtp.capabilities", rule="CONF-29",
        doc="The extensions that the answer to EHLO lists."),
    Row("smtp_client_buffer", "smtp", values.size(minimum=512), "SIZE", "4k|8k",
        field="smtp.client_buffer", rule="CORE-24",
        doc="The longest SMTP command; by default one memory page."),
    Row("smtp_greeting_delay", "smtp", values.time_or_off, "TIME", "0",
        field="smtp.greeting_delay", absent="0", rule="CONF-28",
        doc="How long the greeting is held back, to catch clients that talk first; 0 is not at all."),
)

PROXY_ROWS = (
    Row("proxy", "proxy", values.flag, "on | off", "off",
        ignored=True, rule="CONF-Q9",
        doc="Accepted without effect, as in Angie."),
    Row("proxy_buffer", "proxy", values.size(minimum=14), "SIZE", "4k|8k",
        field="proxy.buffer", rule="PROXY-24",
        doc="The longest reply of a backend to the login, and a buffer of the relay; by default one memory page."),
    Row("proxy_pass_error_message", "proxy", values.flag, "on | off", "off",
        field="proxy.pass_error_message", rule="PROXY-66",
        doc="Whether the client is told why the backend refused the login."),
    Row("proxy_protocol", "proxy", proxy_header, "on | off | v2 [tlv]", "off",
        arity=Arity(1, 2), field="proxy.protocol", since="nginx 1.19.8, v2 nginx 1.31.4, tlv here only",
        rule="PROXY-20",
        doc="Whether a backend is sent a PROXY header of version 1 or 2 first; tlv adds an id of the connection."),
    Row("proxy_smtp_auth", "proxy", values.flag, "on | off", "off",
        field="proxy.smtp_auth", since="nginx 1.19.4", rule="PROXY-92",
        doc="Whether the user logs in at the SMTP backend with AUTH."),
    Row("proxy_timeout", "proxy", values.time, "TIME", "24h",
        field="proxy.timeout", rule="CORE-19",
        doc="After how much silence the relay is closed."),
    Row("xclient", "proxy", values.flag, "on | off", "on",
        field="proxy.xclient", rule="PROXY-92",
        doc="Whether the SMTP backend is told about the client with XCLIENT."),
    Row("set_real_ip_from", "realip", addresses.realip, "ADDRESS | CIDR | unix: | NAME", None,
        repeat=Repeat.ADDED, field="real_ip_from", since="nginx 1.19.8", rule="CORE-66",
        doc="Clients whose PROXY header is believed when it names another client address."),
)


def ssl(name: str, parse: Parser, args: str, default: str | None, *, rule: str, doc: str, field: str | None = None,
        arity: Arity = ONE, repeat: Repeat = Repeat.REFUSED, since: str = "", secret: bool = False) -> Row:
    """A row of the ssl module."""
    return Row(name, "ssl", parse, args, default, rule=rule, doc=doc, arity=arity, repeat=repeat, since=since,
               secret=secret, field=field or name.replace("ssl_", "tls.", 1))


def proxy_ssl(name: str, parse: Parser, args: str, default: str | None, *, doc: str, rule: str = "TLS-61",
              arity: Arity = ONE, repeat: Repeat = Repeat.REFUSED, secret: bool = False) -> Row:
    """A row about TLS to backends, named and shaped like those of the stream module; Angie's mail has none of them."""
    return Row(name, "proxy", parse, args, default, rule=rule, doc=doc, arity=arity, repeat=repeat, secret=secret,
               field=name.replace("proxy_ssl_", "backend_tls.", 1), dialect=Dialect.OURS)


BACKEND_TLS_ROWS = (
    Row("proxy_ssl", "proxy", values.choice(BackendTlsMode), "on | off | starttls", "off",
        field="backend_tls.mode", dialect=Dialect.OURS, rule="TLS-60",
        doc="Whether backends are spoken to in TLS, from the first octet or after STARTTLS."),
    proxy_ssl("proxy_ssl_certificate", values.file_name, "FILE", None,
              doc="The certificate that the proxy shows to backends."),
    proxy_ssl("proxy_ssl_certificate_key", values.file_name, "FILE", None,
              doc="The key of that certificate."),
    proxy_ssl("proxy_ssl_ciphers", values.string, "CIPHERS", "DEFAULT",
              doc="The ciphers up to TLS 1.2 towards backends, as OpenSSL lists them."),
    proxy_ssl("proxy_ssl_name", values.string, "NAME", None,
              doc="Whom a backend's certificate must be for, and the SNI name; by default the host of Auth-Server."),
    proxy_ssl("proxy_ssl_protocols", values.bits(TLS_VERSIONS),
              "SSLv2 | SSLv3 | TLSv1 | TLSv1.1 | TLSv1.2 | TLSv1.3 ...", "TLSv1.2 TLSv1.3",
              arity=MANY, repeat=Repeat.UNITED, doc="The versions of TLS towards backends."),
    proxy_ssl("proxy_ssl_server_name", values.flag, "on | off", "off",
              doc="Whether backends are told by SNI which name is meant."),
    proxy_ssl("proxy_ssl_trusted_certificate", values.file_name, "FILE", None,
              doc="CA certificates that vouch for backends."),
    proxy_ssl("proxy_ssl_verify", values.flag, "on | off", "off", rule="TLS-62",
              doc="Whether a backend's certificate must be good and for the right name."),
)

SSL_ROWS = (
    ssl("ssl_certificate", values.pem_source, "FILE | data:PEM", None, rule="TLS-4",
        repeat=Repeat.ADDED, field="tls.certificates",
        doc="A certificate chain of the server; several for different types of key."),
    ssl("ssl_certificate_compression", values.flag, "on | off", "off", rule="TLS-6", since="nginx 1.29.1, Angie 1.11",
        doc="Whether certificates are compressed on the wire (RFC 8879)."),
    ssl("ssl_certificate_key", values.pem_source, "FILE | data:PEM | engine:NAME:ID", None, rule="TLS-5",
        repeat=Repeat.ADDED, field="tls.certificate_keys", secret=True,
        doc="The key of the certificate at the same place in the list."),
    ssl("ssl_ciphers", values.string, "CIPHERS", "HIGH:!aNULL:!MD5", rule="TLS-7",
        doc="The ciphers up to TLS 1.2, as OpenSSL lists them."),
    ssl("ssl_client_certificate", values.file_name, "FILE", None, rule="TLS-8",
        doc="CA certificates for client certificates; their names are sent to clients."),
    ssl("ssl_conf_command", values.pair, "NAME VALUE", None, rule="TLS-9", since="nginx 1.19.4",
        arity=TWO, repeat=Repeat.ADDED, field="tls.conf_commands",
        doc="A configuration command of OpenSSL."),
    ssl("ssl_crl", values.file_name, "FILE", None, rule="TLS-10",
        doc="Certificates of clients that were revoked."),
    ssl("ssl_dhparam", values.file_name, "FILE", None, rule="TLS-11",
        doc="Parameters of the DHE ciphers."),
    ssl("ssl_ecdh_curve", values.string, "CURVES", "auto", rule="TLS-12",
        doc="The groups of the key exchange, with colons between them."),
    ssl("ssl_password_file", values.pass_phrases, "FILE", None, rule="TLS-13", field="tls.passwords", secret=True,
        doc="Pass phrases of encrypted keys, one in a line."),
    ssl("ssl_prefer_server_ciphers", values.flag, "on | off", "off", rule="TLS-14",
        doc="Whether the server's order of ciphers counts."),
    ssl("ssl_protocols", values.bits(TLS_VERSIONS), "SSLv2 | SSLv3 | TLSv1 | TLSv1.1 | TLSv1.2 | TLSv1.3 ...",
        "TLSv1.2 TLSv1.3", rule="TLS-15", arity=MANY, repeat=Repeat.UNITED,
        doc="The versions of TLS that clients may use."),
    ssl("ssl_session_cache", values.session_cache, "off | none | [builtin[:SIZE]] [shared:NAME:SIZE]", "none",
        rule="TLS-16", arity=Arity(1, 2), repeat=Repeat.LAST,
        doc="Where sessions are kept for resumption."),
    ssl("ssl_session_ticket_key", values.file_names, "FILE", None, rule="TLS-17",
        repeat=Repeat.ADDED, field="tls.session_ticket_keys",
        doc="A key of session tickets; the first encrypts, all decrypt."),
    ssl("ssl_session_tickets", values.flag, "on | off", "on", rule="TLS-18",
        doc="Whether sessions can be resumed with tickets."),
    ssl("ssl_session_timeout", values.whole_seconds, "TIME", "5m", rule="TLS-19",
        doc="How long a session can be resumed."),
    ssl("ssl_trusted_certificate", values.file_name, "FILE", None, rule="TLS-20",
        doc="CA certificates for client certificates; their names are kept from clients."),
    ssl("ssl_verify_client", values.choice(VerifyClient), "on | off | optional | optional_no_ca", "off", rule="TLS-21",
        doc="Whether clients are asked for a certificate, and have to have a good one."),
    ssl("ssl_verify_depth", values.number, "NUMBER", "1", rule="TLS-22",
        doc="How many intermediate authorities may stand between a client certificate and a known one."),
    ssl("starttls", values.choice(StartTlsMode), "on | off | only", "off", rule="TLS-2", field="starttls",
        doc="Whether a client may, or must, change to TLS within the dialogue."),
)


def block(name: str, contexts: tuple[Context, ...], inside: Context | None, *, rule: str, doc: str,
          repeat: Repeat = Repeat.ADDED) -> Row:
    """A row for a block; one without an inside is skipped."""
    return Row(name, contexts[0].value, None, "", None, rule=rule, doc=doc, contexts=contexts, arity=BLOCK,
               repeat=repeat, block=True, inside=inside, ignored=inside is None)


def other(name: str, args: str, parse: Parser = values.ignored, arity: Arity = ONE, default: str | None = None, *,
          contexts: tuple[Context, ...] = MAIN, repeat: Repeat = Repeat.REFUSED) -> Row:
    """A row of an Angie file that has no meaning here."""
    rule = "CONF-39" if contexts == MAIN else "CONF-40"
    return Row(name, contexts[0].value, parse, args, default, contexts=contexts, arity=arity, repeat=repeat, rule=rule,
               doc="Accepted without effect.", ignored=True)


STRUCTURE_ROWS = (
    block("events", MAIN, Context.EVENTS, repeat=Repeat.REFUSED, rule="CONF-38",
          doc="Settings of connection processing; exactly one is required."),
    block("http", MAIN, None, rule="CONF-41", doc="Accepted and skipped."),
    block("mail", MAIN, Context.MAIL, rule="CORE-1", doc="The mail servers and their common settings."),
    block("server", MAIL, Context.SERVER, rule="CORE-2", doc="One mail server; needs a listen."),
    block("stream", MAIN, None, rule="CONF-41", doc="Accepted and skipped."),
    Row("include", "main", None, "FILE | PATTERN", None,
        contexts=ANYWHERE, repeat=Repeat.ADDED, rule="CONF-16",
        doc="Reads another file, or all that match a pattern, as if they stood here."),
    Row("pid", "main", values.file_name, "FILE", None,
        contexts=MAIN, field="pid_file", rule="CONF-39",
        doc="The file that the process number is written to."),
    Row("worker_shutdown_timeout", "main", values.time_or_off, "TIME", None,
        contexts=MAIN, field="worker_shutdown_timeout", absent="0", rule="CORE-77",
        doc="How long sessions may go on after the order to quit."),
    Row("worker_connections", "events", values.number, "NUMBER", "512",
        contexts=EVENTS, field="worker_connections", rule="CORE-25",
        doc="How many connections of all kinds a worker may have."),
)

OTHER_ROWS = (
    other("daemon", "on | off", values.flag, default="on"),
    other("debug_points", "stop | abort", values.choice(DebugPoint)),
    other("env", "NAME[=VALUE]", repeat=Repeat.ADDED),
    other("google_perftools_profiles", "FILE"),
    other("load_module", "FILE", repeat=Repeat.ADDED),
    other("lock_file", "FILE"),
    other("master_process", "on | off", values.flag, default="on"),
    other("pcre_jit", "on | off", values.flag, default="off"),
    other("quic_bpf", "on | off", values.flag, default="off"),
    other("ssl_engine", "NAME"),
    other("ssl_object_cache_inheritable", "on | off", values.flag, default="on"),
    other("thread_pool", "NAME threads=N [max_queue=N]", arity=Arity(2, 3), repeat=Repeat.ADDED),
    other("timer_resolution", "TIME", values.time),
    other("user", "USER [GROUP]", arity=Arity(1, 2)),
    other("worker_cpu_affinity", "auto | MASK ...", arity=MANY),
    other("worker_priority", "NUMBER"),
    other("worker_processes", "NUMBER | auto", values.number_or_auto, default="1"),
    other("worker_rlimit_core", "SIZE"),
    other("worker_rlimit_nofile", "NUMBER"),
    other("working_directory", "DIRECTORY"),
    other("accept_mutex", "on | off", values.flag, default="off", contexts=EVENTS),
    other("accept_mutex_delay", "TIME", values.time, default="500ms", contexts=EVENTS),
    other("debug_connection", "ADDRESS | CIDR | unix:", contexts=EVENTS, repeat=Repeat.ADDED),
    other("epoll_events", "NUMBER", values.number, default="512", contexts=EVENTS),
    other("multi_accept", "on | off", values.flag, default="off", contexts=EVENTS),
    other("use", "METHOD", contexts=EVENTS),
    other("worker_aio_requests", "NUMBER", values.number, default="32", contexts=EVENTS),
)

ROWS = (*CORE_ROWS, *AUTH_HTTP_ROWS, *PROTOCOL_ROWS, *PROXY_ROWS, *BACKEND_TLS_ROWS, *SSL_ROWS, *STRUCTURE_ROWS,
        *OTHER_ROWS)
"""Every directive there is."""

BY_NAME = {row.name: row for row in ROWS}

ELSEWHERE = frozenset((
    "access_log", "allow", "deny", "limit_conn", "location", "proxy_pass", "root", "ssl_alpn", "ssl_buffer_size",
    "ssl_early_data", "ssl_handshake_timeout", "ssl_ocsp", "ssl_preread", "ssl_reject_handshake", "ssl_stapling",
    "ssl_stapling_verify", "status_zone", "upstream",
))
"""Names of other modules that people try in `mail`: not unknown there, but not allowed (CONF-12, TLS-23)."""

# fmt: on


def opens(context: str, name: str) -> str | None:
    """The context inside a block, or None for one whose content is skipped; TreeReader asks this."""
    row = BY_NAME.get(name)
    if row is None or row.inside is None or Context(context) not in row.contexts:
        return None
    return row.inside.value
