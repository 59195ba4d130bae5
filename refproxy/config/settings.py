"""The effective settings of a configuration: frozen values, after inheritance and defaults.

Durations are float seconds, sizes int octets. What is off is None, never 0 or -1. Values that go on the wire are
bytes, as they stood in the file. Each field names its directive unless it has the directive's own name.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import IPv4Network, IPv6Network

PAGE = resource.getpagesize()
"""Default of every buffer directive: one memory page (config rules, section 12)."""

POP3_COMMAND_LIMIT = 255
"""Octets in a POP3 command line, line end included (RFC 2449 section 4)."""


class MailProtocol(Enum):
    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"


class Mechanism(Enum):
    """The words of `imap_auth`, `pop3_auth` and `smtp_auth`, in the order in which they are advertised (SASL-1)."""

    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    EXTERNAL = "external"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"
    APOP = "apop"
    NONE = "none"


class StartTlsMode(Enum):
    """`starttls` (TLS-2)."""

    OFF = "off"
    ON = "on"
    ONLY = "only"


class ProxyHeader(Enum):
    """`proxy_protocol`, the header sent to backends (PROXY-12, PROXY-20); the values are the words of the directive."""

    OFF = "off"
    V1 = "on"
    V2 = "v2"
    V2_TLV = "v2 tlv"


class BackendTlsMode(Enum):
    """`proxy_ssl`, and the auth server's `Auth-Server-SSL` (TLS-60)."""

    OFF = "off"
    ON = "on"
    STARTTLS = "starttls"


class VerifyClient(Enum):
    """`ssl_verify_client` (TLS-21)."""

    OFF = "off"
    ON = "on"
    OPTIONAL = "optional"
    OPTIONAL_NO_CA = "optional_no_ca"


class LogLevel(IntEnum):
    """Severity of `error_log`, ascending."""

    DEBUG = 0
    INFO = 1
    NOTICE = 2
    WARN = 3
    ERROR = 4
    CRIT = 5
    ALERT = 6
    EMERG = 7


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a configuration file; its text is `FILE:LINE`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An IP address and port; IPv6 without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A stream socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """`so_keepalive=IDLE:INTVL:CNT`: seconds and a count; None leaves the system's value."""

    idle: int | None = None
    interval: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Listen:
    """One `listen` address with its parameters (CORE-4 to CORE-8); a port range gives one of these per port."""

    address: Address
    where: Where
    ssl: bool = False
    proxy_protocol: bool = False
    bind: bool = False
    backlog: int = 511
    rcvbuf: int | None = None
    sndbuf: int | None = None
    ipv6only: bool = True
    so_keepalive: KeepAlive | bool | None = None
    multipath: bool = False


@dataclass(frozen=True, slots=True)
class AuthHttp:
    """`auth_http` and its companions (AUTH-1 to AUTH-10)."""

    addresses: tuple[Address, ...]
    host: bytes
    path: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()  # auth_http_header
    timeout: float = 60.0  # auth_http_timeout
    pass_client_cert: bool = False  # auth_http_pass_client_cert


@dataclass(frozen=True, slots=True)
class ImapSettings:
    auth: frozenset[Mechanism] = frozenset({Mechanism.PLAIN})
    capabilities: tuple[bytes, ...] = (b"IMAP4", b"IMAP4rev1", b"UIDPLUS")
    client_buffer: int = PAGE


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    auth: frozenset[Mechanism] = frozenset({Mechanism.PLAIN})  # `plain` advertises LOGIN too (CONF-37)
    capabilities: tuple[bytes, ...] = (b"TOP", b"USER", b"UIDL")
    client_buffer: int = 12288  # pop3_client_buffer (ours): AUTH lines; other lines at most POP3_COMMAND_LIMIT


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    auth: frozenset[Mechanism] = frozenset({Mechanism.PLAIN, Mechanism.LOGIN})
    capabilities: tuple[bytes, ...] = ()
    client_buffer: int = PAGE
    greeting_delay: float | None = None


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The directives of the proxy module (proxy rules, section 11)."""

    buffer: int = PAGE
    pass_error_message: bool = False
    protocol: ProxyHeader = ProxyHeader.OFF
    smtp_auth: bool = False
    timeout: float = 86400.0
    xclient: bool = True


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`ssl_*` (tls rules, section 2). File names are absolute; `data:` values stay as written."""

    certificates: tuple[str, ...] = ()
    certificate_keys: tuple[str, ...] = ()
    certificate_compression: bool = False
    ciphers: str = "HIGH:!aNULL:!MD5"
    client_certificate: str | None = None
    conf_commands: tuple[tuple[str, str], ...] = ()
    crl: str | None = None
    dhparam: str | None = None
    ecdh_curve: str = "auto"
    passwords: tuple[bytes, ...] = field(default=(), repr=False)  # the lines of ssl_password_file
    prefer_server_ciphers: bool = False
    protocols: frozenset[str] = frozenset({"TLSv1.2", "TLSv1.3"})
    session_cache: tuple[str, ...] = ("none",)
    session_ticket_keys: tuple[str, ...] = ()
    session_tickets: bool = True
    session_timeout: int = 300
    trusted_certificate: str | None = None
    verify_client: VerifyClient = VerifyClient.OFF
    verify_depth: int = 1


@dataclass(frozen=True, slots=True)
class BackendTlsSettings:
    """`proxy_ssl*`, TLS towards backends (tls rules, section 12). File names are absolute."""

    mode: BackendTlsMode = BackendTlsMode.OFF  # proxy_ssl
    certificate: str | None = None
    certificate_key: str | None = None
    ciphers: str = "DEFAULT"
    name: str | None = None  # whom the certificate must be for, and SNI; None is the host of Auth-Server
    protocols: frozenset[str] = frozenset({"TLSv1.2", "TLSv1.3"})
    server_name: bool = False  # whether SNI is sent
    trusted_certificate: str | None = None
    verify: bool = False


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """`resolver` and `resolver_timeout` (CORE-35 to CORE-37)."""

    servers: tuple[TcpAddress, ...]
    valid: float | None = None
    ipv4: bool = True
    ipv6: bool = True
    status_zone: str | None = None  # kept for `dump`; there are no statistics yet
    timeout: float | None = 30.0


class LogMatch(Enum):
    """How the pattern of a log filter is compared (CORE-28)."""

    PART = ""
    EXACT = "="
    REGEX = "~"


@dataclass(frozen=True, slots=True)
class LogFilter:
    """`filter=SUBJECT:PATTERN` of `error_log`: what is written at all.

    The subject is `tag`, `message`, `logline` (the whole line) or the name of a property such as `client`.
    """

    subject: str
    match: LogMatch
    pattern: str

    def __str__(self) -> str:
        return f"{self.subject}:{self.match.value}{self.pattern}"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """One `error_log` destination (CORE-26 to CORE-28): `stderr`, `syslog:…` or an absolute file name.

    `rate` is messages in a second, None for any number.
    """

    destination: str
    level: LogLevel = LogLevel.ERROR
    json: bool = False
    filter: LogFilter | None = None
    rate: int | None = 1000


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything a session needs to know, for one `server` block."""

    where: Where
    protocol: MailProtocol
    listens: tuple[Listen, ...]
    server_name: bytes
    auth_http: AuthHttp
    timeout: float = 60.0
    max_errors: int = 5
    max_commands: int = 1000
    imap: ImapSettings = ImapSettings()
    pop3: Pop3Settings = Pop3Settings()
    smtp: SmtpSettings = SmtpSettings()
    proxy: ProxySettings = ProxySettings()
    starttls: StartTlsMode = StartTlsMode.OFF
    tls: TlsSettings = TlsSettings()
    backend_tls: BackendTlsSettings = BackendTlsSettings()
    resolver: ResolverSettings | None = None
    real_ip_from: tuple[
        IPv4Network | IPv6Network | UnixAddress, ...
    ] = ()  # set_real_ip_from; UnixAddress("") is `unix:`
    error_logs: tuple[LogSettings, ...] = (LogSettings("stderr"),)
    log_tags: tuple[str, ...] = ()  # error_log_user_tag

    @property
    def client_buffer(self) -> int:
        """Octets that may wait unread from the client before the relay."""
        match self.protocol:
            case MailProtocol.IMAP:
                return self.imap.client_buffer
            case MailProtocol.POP3:
                return self.pop3.client_buffer
            case MailProtocol.SMTP:
                return self.smtp.client_buffer


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration."""

    file: str
    servers: tuple[ServerSettings, ...]
    error_logs: tuple[LogSettings, ...] = (LogSettings("stderr"),)
    pid_file: str | None = None
    worker_connections: int = 512
    worker_shutdown_timeout: float | None = None
    warnings: tuple[str, ...] = ()
    """What the operator should read at start: `[warn]` and `[notice]` lines, position included."""
