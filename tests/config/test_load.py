"""Whole configurations: order of faults, inheritance, merge checks, warnings (CONF-30..50, CORE-1..15, TLS-24..26)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refproxy.config.load import ConfigErrors, load
from refproxy.config.settings import (
    LogLevel,
    LogSettings,
    MailProtocol,
    Mechanism,
    ServerSettings,
    Settings,
    StartTlsMode,
    TcpAddress,
    UnixAddress,
    VerifyClient,
)
from refproxy.errors import ConfigError

Read = Callable[..., Settings]


def resolve(host: str, /) -> Sequence[str]:
    if host != "localhost":
        raise OSError(host)
    return ("127.0.0.1", "::1")


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a configuration from its text."""

    def read_text(text: str, globals_: str = "") -> Settings:
        path = tmp_path / "F"
        path.write_text(text)
        return load(path, globals_=globals_, resolve=resolve)

    return read_text


@pytest.fixture
def faults(read: Read, tmp_path: Path) -> Callable[..., list[str]]:
    """The faults of a configuration, with positions in a file `F` and without hints."""

    def all_faults(text: str, globals_: str = "") -> list[str]:
        try:
            read(text, globals_)
        except ConfigErrors as errors:
            texts = [fault.text + (f" in {fault.where}" if fault.where else "") for fault in errors.faults]
            return [text.replace(f"{tmp_path}/F", "F") for text in texts]
        return []

    return all_faults


Faults = Callable[..., list[str]]


def mail(text: str) -> str:
    return f"events {{ }} mail {{ auth_http 127.0.0.1; {text} }}"


def server(read: Read, text: str, outer: str = "") -> ServerSettings:
    """The settings of a POP3 server that holds `text`."""
    (found,) = read(mail(f"{outer} server {{ listen 110; {text} }}")).servers
    return found


# -- the frame -----------------------------------------------------------------------------------------------------


def test_events_is_required(faults: Faults) -> None:
    """CONF-38."""
    assert faults("mail { }") == ['no "events" section in configuration']
    assert faults("mail { } events { }") == []
    assert faults("events { }\nevents { }") == ['"events" directive is duplicate in F:2']


def test_an_empty_mail_block_is_valid(read: Read) -> None:
    """CORE-1."""
    settings = read("events { } mail { }")
    assert settings.servers == ()
    assert settings.warnings == ('[warn] no "server" is defined in "mail"',)


def test_mail_blocks_are_one(read: Read, faults: Faults) -> None:
    """CORE-1, CONF-42."""
    text = "events { } mail { timeout 5; server { listen 25; } } mail { auth_http 127.0.0.1; server { listen 110; } }"
    assert [found.timeout for found in read(text).servers] == [5.0, 5.0]
    assert faults("events { } mail { timeout 5; }\nmail { timeout 5; }") == ['"timeout" directive is duplicate in F:2']


def test_a_server_needs_a_listen(faults: Faults) -> None:
    """CORE-2: the line is that of the opening brace."""
    assert faults(mail("\nserver\n{\nprotocol imap;\n}")) == ['no "listen" is defined for server in F:3']
    assert faults(mail("server { listen x; }"))[1:] == []


def test_main_directives_of_an_existing_file_are_accepted_with_one_notice_each(read: Read, tmp_path: Path) -> None:
    """CONF-39, CONF-40, CONF-41."""
    settings = read(
        "load_module a.so;\nload_module b.so; user www-data; worker_processes auto; env A; env B; pid run.pid;\n"
        "events { worker_connections 7; use epoll; multi_accept on; }\n"
        "http { server { listen 80; location / { root $x; } } }\nstream { }\nhttp { }\n"
        "mail { auth_http 127.0.0.1; server { listen 25; proxy on; } }"
    )
    assert settings.worker_connections == 7
    assert settings.pid_file == f"{tmp_path}/run.pid"
    assert [line.replace(f"{tmp_path}/", "") for line in settings.warnings] == [
        '[notice] "load_module" directive is ignored in F:1',
        '[notice] "user" directive is ignored in F:2',
        '[notice] "worker_processes" directive is ignored in F:2',
        '[notice] "env" directive is ignored in F:2',
        '[notice] "use" directive is ignored in F:3',
        '[notice] "multi_accept" directive is ignored in F:3',
        '[notice] "http" block is ignored in F:4',
        '[notice] "stream" block is ignored in F:5',
        '[notice] "proxy" directive is ignored in F:7',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("worker_processes x;", '"worker_processes" directive invalid value in F:1'),
        ("daemon maybe;", 'invalid value "maybe" in "daemon" directive, it must be "on" or "off" in F:1'),
        ("debug_points x;", 'invalid value "x" in F:1'),
        ("pid a; pid b;", '"pid" directive is duplicate in F:1'),
        ("http { }\nload_module x;", '"load_module" directive is specified too late in F:2'),
        ("events x { }", 'invalid number of arguments in "events" directive in F:1'),
        ("server { }", '"server" directive is not allowed here in F:1'),
        ("timeout 5;", '"timeout" directive is not allowed here in F:1'),
    ],
)
def test_main_directives_are_checked(faults: Faults, text: str, fault: str) -> None:
    """CONF-38, CONF-39."""
    assert faults(f"{text} events {{ }}")[0] == fault


def test_unknown_names_are_tolerated_at_the_top_only(read: Read, faults: Faults, tmp_path: Path) -> None:
    """CONF-10, CONF-43."""
    settings = read("rtmp_auto_push on;\nrtmp { foo { } }\nevents { }")
    assert [line.replace(f"{tmp_path}/", "") for line in settings.warnings[:2]] == [
        '[warn] unknown directive "rtmp_auto_push" is ignored in F:1',
        '[warn] unknown directive "rtmp" is ignored in F:2',
    ]
    assert faults("events { foo; }") == ['unknown directive "foo" in F:1']
    assert faults(mail("TIMEOUT 5; foo { bar; }")) == [
        'unknown directive "TIMEOUT" in F:1',
        'unknown directive "foo" in F:1',
    ]


@pytest.mark.parametrize("name", ["ssl_stapling", "ssl_buffer_size", "root", "access_log", "allow"])
def test_names_of_other_modules_are_not_allowed_in_mail(faults: Faults, name: str) -> None:
    """CONF-12, TLS-23."""
    assert faults(mail(f"{name} x;")) == [f'"{name}" directive is not allowed here in F:1']


def test_removed_directives_are_unknown(faults: Faults) -> None:
    """TLS-1."""
    assert faults(mail("ssl on; so_keepalive on;")) == [
        'unknown directive "ssl" in F:1',
        'unknown directive "so_keepalive" in F:1',
    ]


# -- all faults, in order ------------------------------------------------------------------------------------------


def test_all_faults_are_reported_in_the_order_of_the_file(faults: Faults) -> None:
    """CONF-44, CONF-49."""
    text = mail("\n foo;\n timeout x;\n server { listen 25; xclient y; }\n server { }\n timeout 1;\n }")
    assert faults(text) == [
        'unknown directive "foo" in F:2',
        '"timeout" directive invalid value in F:3',
        'invalid value "y" in "xclient" directive, it must be "on" or "off" in F:4',
        'no "listen" is defined for server in F:5',
        '"timeout" directive is duplicate in F:6',
        'unexpected "}" in F:7',
    ]


def test_faults_of_the_merge_come_last_and_in_stages(faults: Faults) -> None:
    """CONF-45: so the protocol of the second server comes before the auth server of the first."""
    text = "events { } mail {\n server { listen 25 ssl; }\n server { listen 31; } \n error_log /nope/x; }"
    assert faults(text) == [
        "unknown mail protocol for server in F:3",
        'no "ssl_certificate" is defined for the "listen ... ssl" directive in F:2',
        'no "auth_http" is defined for server in F:2',
        'no "auth_http" is defined for server in F:3',
        'open() "/nope/x" failed (2: No such file or directory)',
    ]


def test_nothing_is_concluded_from_what_was_not_read(faults: Faults, tmp_path: Path) -> None:
    assert faults("mail { server { listen 31;") == ['unexpected end of file, expecting "}" in F:1']
    missing = f'open() "{tmp_path}/nope" failed (2: No such file or directory) in F:1'
    assert faults("include nope; mail { server { listen 31; } }") == [missing]
    assert faults("events { } mail { auth_http x; server { listen y; } }") == [
        'host not found in auth_http "x" in F:1',
        'host not found in "y" of the "listen" directive in F:1',
    ]


def test_faults_in_blocks_that_are_not_looked_into_count(faults: Faults) -> None:
    """CONF-41."""
    assert faults('events { } http { "a"b }') == ['unexpected "b" in F:1']
    assert faults('events { } foo { "a"b }') == ['unexpected "b" in F:1']
    found = faults('events { } mail { server x { foo; "a"b } }')
    assert found == ['invalid number of arguments in "server" directive in F:1', 'unexpected "b" in F:1']


def test_an_error_of_many_faults_is_the_first_of_them(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(mail("timeot 5; xclient y;"))
    where = f"{tmp_path}/F:1"
    assert (caught.value.text, caught.value.where) == ('unknown directive "timeot"', where)
    assert str(caught.value).splitlines() == [
        f'unknown directive "timeot" in {where}: perhaps "timeout" was meant',
        f'invalid value "y" in "xclient" directive, it must be "on" or "off" in {where}',
    ]


def test_a_missing_semicolon_is_guessed(read: Read) -> None:
    """CONF-10, CONF-Q2: text and line stay."""
    with pytest.raises(ConfigErrors) as caught:
        read(mail("timeout 5\nxclient on;"))
    (fault,) = caught.value.faults
    assert fault.text == 'invalid number of arguments in "timeout" directive'
    assert fault.hint == 'found 3, expected 1; perhaps a ";" is missing before "xclient"'


# -- protocol and listen -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("listen 25;", MailProtocol.SMTP),
        ("listen 465;", MailProtocol.SMTP),
        ("listen 587;", MailProtocol.SMTP),
        ("listen 110;", MailProtocol.POP3),
        ("listen [::1]:995;", MailProtocol.POP3),
        ("listen 143;", MailProtocol.IMAP),
        ("listen 993;", MailProtocol.IMAP),
        ("listen 31; listen 110; listen 143;", MailProtocol.POP3),
        ("listen 24-26; listen 143;", MailProtocol.IMAP),
        ("listen 25-27; listen 143;", MailProtocol.SMTP),
        ("listen 25; protocol imap;", MailProtocol.IMAP),
        ("protocol imap; protocol pop3; listen unix:/x;", MailProtocol.POP3),
    ],
)
def test_the_protocol_is_given_or_follows_from_a_port(read: Read, text: str, protocol: MailProtocol) -> None:
    """CORE-13, CORE-14."""
    (found,) = read(mail(f"server {{ {text} }}")).servers
    assert found.protocol is protocol


def test_a_protocol_is_required(faults: Faults) -> None:
    """CORE-14."""
    assert faults(mail("server { listen 24-26; listen unix:/25; }")) == ["unknown mail protocol for server in F:1"]


@pytest.mark.parametrize(
    ("first", "second", "address"),
    [
        ("110", "*:110", "0.0.0.0:110"),
        ("110", "0.0.0.0:0110", "0.0.0.0:110"),
        ("110-112", "111", "0.0.0.0:111"),
        ("[::]:110", "[0::0]:110", "[::]:110"),
        ("unix:/a", "unix:/a", "unix:/a"),
        ("localhost:110", "[::1]:110", "[::1]:110"),
    ],
)
def test_an_address_is_listened_on_once(faults: Faults, first: str, second: str, address: str) -> None:
    """CORE-8: in the whole configuration."""
    text = mail(f"server {{ protocol pop3; listen {first}; }}\nserver {{ protocol imap; listen {second}; }}")
    assert faults(text) == [f'duplicate "{address}" address and port pair in F:2']
    assert faults(mail(f"server {{ listen {first}; listen {second}; }}"))[0].startswith(f'duplicate "{address}"')


def test_different_addresses_share_a_port(read: Read) -> None:
    """CORE-12."""
    found = server(read, "listen 127.0.0.1:110; listen [::]:110; listen 127.0.0.2:110;")
    assert [str(listen.address) for listen in found.listens] == [
        *("0.0.0.0:110", "127.0.0.1:110", "[::]:110", "127.0.0.2:110")
    ]


# -- inheritance and repetition ------------------------------------------------------------------------------------


def test_a_value_comes_from_the_server_the_mail_level_or_the_default(read: Read) -> None:
    """CONF-32, CONF-33, CORE-3: wherever the mail level stands."""
    outer = "server { listen 25; } timeout 5; xclient off;"
    first, second = read(mail(f"{outer} server {{ listen 110; timeout 7; }}")).servers
    assert (first.timeout, first.proxy.xclient, first.max_errors) == (5.0, False, 5)
    assert (second.timeout, second.proxy.xclient, second.max_errors) == (7.0, False, 5)


def test_lists_and_sets_are_inherited_as_a_whole(read: Read) -> None:
    """CONF-33, AUTH-3, CORE-66."""
    outer = "auth_http_header A 1; auth_http_header B 2; set_real_ip_from ::1; pop3_auth apop; pop3_capabilities TOP;"
    inherited = server(read, "", outer)
    assert inherited.auth_http.headers == ((b"A", b"1"), (b"B", b"2"))
    assert inherited.pop3.auth == {Mechanism.APOP}
    own = server(read, "auth_http_header C 3; set_real_ip_from unix:; pop3_auth plain; pop3_capabilities UIDL;", outer)
    assert own.auth_http.headers == ((b"C", b"3"),)
    assert own.real_ip_from == (UnixAddress(""),)
    assert own.pop3.auth == {Mechanism.PLAIN}
    assert own.pop3.capabilities == (b"UIDL",)


def test_repeated_directives_add_unite_or_replace(read: Read) -> None:
    """CONF-23, CONF-29, CONF-31."""
    found = server(
        read,
        "pop3_auth plain; pop3_auth apop; pop3_capabilities A B; pop3_capabilities A;"
        "ssl_certificate a; ssl_certificate b; ssl_protocols TLSv1; ssl_protocols TLSv1.1; ssl_conf_command A b;"
        "ssl_conf_command C d; ssl_session_cache off; ssl_session_cache builtin; error_log_user_tag x;"
        "error_log_user_tag y;",
    )
    assert found.pop3.auth == {Mechanism.PLAIN, Mechanism.APOP}
    assert found.pop3.capabilities == (b"A", b"B", b"A")
    assert [name[-2:] for name in found.tls.certificates] == ["/a", "/b"]
    assert found.tls.protocols == {"TLSv1", "TLSv1.1"}
    assert found.tls.conf_commands == (("A", "b"), ("C", "d"))
    assert found.tls.session_cache == ("builtin",)
    assert found.log_tags == ("x", "y")


@pytest.mark.parametrize(
    "text",
    [
        "auth_http 127.0.0.1; auth_http 127.0.0.2",
        "protocol imap; protocol pop3",
        "ssl_session_cache off; ssl_session_cache off",
    ],
)
def test_the_last_of_some_wins_with_a_warning(read: Read, text: str) -> None:
    """CONF-31, CONF-Q10, AUTH-1, AUTH-Q8."""
    name = text.split()[0]
    settings = read(mail(f"server {{ listen 110; {text}; }}"))
    (warning,) = [line for line in settings.warnings if "repeated" in line]
    assert warning.startswith(f'[warn] "{name}" directive is repeated, the last one counts in ')


def test_the_auth_server_is_inherited_as_a_unit(read: Read) -> None:
    """CONF-35, AUTH-1: its companions one by one."""
    outer = "auth_http_timeout 5; auth_http_pass_client_cert on; auth_http_header A b;"
    found = server(read, "auth_http localhost:8080/x; auth_http_timeout 7;", outer).auth_http
    assert found.addresses == (TcpAddress("127.0.0.1", 8080), TcpAddress("::1", 8080))
    assert (found.host, found.path, found.timeout) == (b"localhost", b"/x", 7.0)
    assert (found.pass_client_cert, found.headers) == (True, ((b"A", b"b"),))


def test_resolver_off_stops_inheritance(read: Read) -> None:
    """CONF-35, CORE-35, CORE-37."""
    outer = "resolver 127.0.0.1; resolver_timeout 0;"
    inherited = server(read, "", outer).resolver
    assert inherited is not None
    assert inherited.timeout is None
    assert server(read, "resolver off;", outer).resolver is None
    assert server(read, "resolver_timeout 5;").resolver is None


def test_certificates_and_keys_are_inherited_independently(read: Read) -> None:
    """CONF-35."""
    found = server(read, "ssl_certificate_key own;", "ssl_certificate outer; ssl_certificate_key outer;").tls
    assert [name.rpartition("/")[2] for name in (*found.certificates, *found.certificate_keys)] == ["outer", "own"]


def test_an_empty_server_name_is_the_host_name(read: Read) -> None:
    """CONF-34, CORE-15."""
    host = socket.gethostname().lower().encode()
    assert server(read, "").server_name == host
    assert server(read, "", "server_name outer;").server_name == b"outer"
    assert server(read, 'server_name "";', "server_name outer;").server_name == host


def test_duplicates_count_across_included_files(read: Read, faults: Faults, tmp_path: Path) -> None:
    """CONF-30."""
    (tmp_path / "one").write_text("timeout 5;")
    found = faults(mail("timeout 5; include one;"))
    assert found == [f'"timeout" directive is duplicate in {tmp_path}/one:1']


def test_error_logs_of_an_inner_block_replace_the_outer_ones(read: Read) -> None:
    """CORE-26, CORE-Q17."""
    text = "error_log stderr info; error_log stderr debug; events { } mail { auth_http 127.0.0.1;"
    settings = read(f"{text} server {{ listen 25; }} server {{ listen 110; error_log stderr warn; }} }}")
    outer = (LogSettings("stderr", LogLevel.INFO), LogSettings("stderr", LogLevel.DEBUG))
    assert settings.error_logs == outer
    assert [found.error_logs for found in settings.servers] == [outer, (LogSettings("stderr", LogLevel.WARN),)]


def test_a_log_file_needs_a_directory(faults: Faults, tmp_path: Path) -> None:
    """CORE-27."""
    assert faults(mail("error_log x;")) == []
    assert faults(mail("error_log x/y;")) == [f'open() "{tmp_path}/x/y" failed (2: No such file or directory)']


# -- TLS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("listen 25 ssl;", 'no "ssl_certificate" is defined for the "listen ... ssl" directive in F:2'),
        ("starttls on;", 'no "ssl_certificate" is defined for the "starttls" directive in F:2'),
        (
            "listen 25 ssl; ssl_certificate a;",
            'no "ssl_certificate_key" is defined for the "listen ... ssl" directive in F:2',
        ),
        (
            "starttls only; ssl_certificate a; ssl_certificate b; ssl_certificate_key a;",
            'no "ssl_certificate_key" is defined for certificate "b" and the "starttls" directive in F:2',
        ),
        (
            "starttls on; ssl_certificate a; ssl_certificate_key a; ssl_verify_client optional;",
            "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client",
        ),
    ],
)
def test_tls_needs_certificates_keys_and_authorities(faults: Faults, text: str, fault: str) -> None:
    """TLS-25, TLS-26."""
    assert faults(mail(f"server {{ listen 110;\n{text}\n}}")) == [fault]


def test_tls_faults_name_the_last_address_that_uses_it(faults: Faults) -> None:
    """TLS-25."""
    text = "server { listen 110 ssl;\nlisten 111 ssl;\nlisten 112; starttls on; }"
    assert faults(mail(text)) == ['no "ssl_certificate" is defined for the "listen ... ssl" directive in F:2']


@pytest.mark.parametrize(
    "text",
    [
        "ssl_verify_client on;",
        "ssl_certificate a;",
        "starttls off; ssl_verify_client on;",
        "starttls on; ssl_certificate a; ssl_certificate_key a; ssl_certificate_key b;",
        "starttls on; ssl_certificate a; ssl_certificate_key a; ssl_verify_client optional_no_ca;",
        "starttls on; ssl_certificate a; ssl_certificate_key a; ssl_verify_client on; ssl_trusted_certificate a;",
    ],
)
def test_tls_settings_without_use_or_with_all_they_need_are_fine(faults: Faults, text: str) -> None:
    """TLS-24, TLS-26, TLS-Q9."""
    assert faults(mail(f"server {{ listen 110; {text} }}")) == []


def test_tls_settings_are_read(read: Read, tmp_path: Path) -> None:
    found = server(
        read, "starttls ONLY; ssl_certificate a; ssl_certificate_key data:x; ssl_verify_client OPTIONAL_no_ca;"
    )
    assert found.starttls is StartTlsMode.ONLY
    assert found.tls.verify_client is VerifyClient.OPTIONAL_NO_CA
    assert found.tls.certificates == (f"{tmp_path}/a",)
    assert found.tls.certificate_keys == ("data:x",)


# -- not effective yet ---------------------------------------------------------------------------------------------


def test_what_has_no_effect_yet_is_named_in_one_warning(read: Read, tmp_path: Path) -> None:
    settings = read(
        mail(
            "resolver 127.0.0.1 status_zone=z;\nserver { listen 25 multipath;\nlisten 26; }\n"
            "server { listen 110; resolver off; }"
        )
    )
    (warning,) = settings.warnings
    assert warning.replace(f"{tmp_path}/", "") == ('[warn] not effective yet: "resolver … status_zone=z" in F:1')


# -- the command line ----------------------------------------------------------------------------------------------


def test_global_directives_stand_in_front(read: Read, faults: Faults) -> None:
    """CONF-46."""
    settings = read("events { }", "worker_shutdown_timeout 5s; daemon off;")
    assert settings.worker_shutdown_timeout == 5.0
    assert settings.warnings[0] == '[notice] "daemon" directive is ignored in command line'
    assert faults("pid a; events { }", "pid b;") == ['"pid" directive is duplicate in F:1']


@pytest.mark.parametrize(
    ("globals_", "fault"),
    [
        ("pid x", 'unexpected end of parameter, expecting ";" in command line'),
        ("events { }", "block directives are not supported in -g option in command line"),
        ("timeout 5;", '"timeout" directive is not allowed here in command line'),
        ("daemon x;", 'invalid value "x" in "daemon" directive, it must be "on" or "off" in command line'),
        ("include /nope;", 'open() "/nope" failed (2: No such file or directory) in command line'),
    ],
)
def test_global_directives_are_checked(faults: Faults, globals_: str, fault: str) -> None:
    """CONF-46."""
    assert faults("events { }", globals_) == [fault]


def test_names_are_relative_to_the_prefix_or_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "mail.conf").write_text("pid a.pid; events { }")
    (tmp_path / "etc" / "more.conf").write_text("events { } include etc/more2.conf;")
    (tmp_path / "etc" / "more2.conf").write_text("pid b.pid;")
    monkeypatch.chdir(tmp_path)
    assert load(Path("etc/mail.conf")).pid_file == f"{tmp_path}/etc/a.pid"
    assert load(Path("etc/mail.conf")).file == f"{tmp_path}/etc/mail.conf"
    monkeypatch.chdir("/")
    assert load(Path("etc/mail.conf"), prefix=tmp_path).pid_file == f"{tmp_path}/a.pid"
    assert load(Path("etc/more.conf"), prefix=tmp_path).pid_file == f"{tmp_path}/b.pid"


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    """CONF-15."""
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path / "nope")
    assert str(caught.value) == f'open() "{tmp_path}/nope" failed (2: No such file or directory)'


# -- properties ----------------------------------------------------------------------------------------------------

WORDS = (
    "mail server events http { } ; ; listen 25 110-112 ssl auth_http 127.0.0.1 timeout 5s include * ' \" \\ # \n "
    "protocol imap resolver off error_log stderr xclient on smtp_auth plain"
)


@pytest.mark.slow
@given(st.one_of(st.binary(), st.lists(st.sampled_from(WORDS.split(" "))).map(lambda words: " ".join(words).encode())))
def test_no_octets_make_load_raise_anything_but_faults(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    """CONF-49."""
    directory = Path(tmp_path_factory.getbasetemp()) / "octets"
    directory.mkdir(exist_ok=True)
    path = directory / "F"
    path.write_bytes(text)
    with suppress(ConfigErrors):
        load(path, resolve=resolve)
