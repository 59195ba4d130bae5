"""The table of directives: complete, in line with the settings, meaning what it says (CONF-20, CONF-30, CONF-36)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from refproxy.config.directives import BY_NAME, ROWS, Context, Dialect, Repeat, Row, opens
from refproxy.config.load import ConfigErrors, load
from refproxy.config.settings import (
    PAGE,
    AuthHttp,
    MailProtocol,
    ProxyHeader,
    ResolverSettings,
    ServerSettings,
    Settings,
    Where,
)
from refproxy.config.values import Call, Site
from refproxy.errors import ConfigError

RULES = Path(__file__).resolve().parent.parent.parent / "docs" / "rules" / "config.md"

SERVER = ServerSettings(
    where=Where("F", 1),
    protocol=MailProtocol.IMAP,
    listens=(),
    server_name=b"",
    auth_http=AuthHttp((), b"", b""),
    resolver=ResolverSettings(()),
)
WITH_VALUES = [row for row in ROWS if row.field]
PAGE_SIZED = "4k|8k"


def no_names(host: str, /) -> Sequence[str]:
    raise OSError(host)


def parsed(row: Row, words: str) -> object:
    assert row.parse is not None
    call = Call(row.name, tuple(word.encode() for word in words.split()), Where("F", 1), Site(Path("/"), no_names))
    return row.parse(call)


def field_value(row: Row) -> object:
    assert row.field is not None
    value: object = Settings("F", ()) if row.contexts[0] in (Context.MAIN, Context.EVENTS) else SERVER
    for name in row.field.split("."):
        value = getattr(value, name)
    return value


def by_name(row: Row) -> str:
    return row.name


def test_names_are_unique_and_rows_speak() -> None:
    assert len(BY_NAME) == len(ROWS)
    for row in ROWS:
        assert re.fullmatch(r"[A-Z].*\.", row.doc), row.name
        assert re.fullmatch(r"[A-Z0-9]+-Q?\d+", row.rule), row.name
        assert row.contexts, row.name


def test_the_table_holds_every_directive_of_the_rule_book() -> None:
    """CONF-39, CONF-40 and the complete table of section 12."""
    text = RULES.read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`([a-z][a-z0-9_]+)`", cell)} - {"ms", "s"}
    assert named <= set(BY_NAME) | {"include"}
    assert len(named) > 70


@pytest.mark.parametrize("row", WITH_VALUES, ids=by_name)
def test_every_field_exists(row: Row) -> None:
    field_value(row)


@pytest.mark.parametrize("row", [row for row in WITH_VALUES if row.default], ids=by_name)
def test_the_default_in_the_row_is_the_default_of_the_settings(row: Row) -> None:
    assert row.default is not None
    if row.default == PAGE_SIZED:
        assert field_value(row) == PAGE
    elif row.name == "resolver":
        assert parsed(row, row.default) is None
    else:
        assert parsed(row, row.default) == field_value(row)


def test_every_setting_has_a_directive() -> None:
    fields = {row.field for row in WITH_VALUES}
    for group in (SERVER.imap, SERVER.pop3, SERVER.smtp, SERVER.proxy, SERVER.tls, SERVER.backend_tls):
        name = next(field.name for field in dataclasses.fields(SERVER) if getattr(SERVER, field.name) is group)
        assert {f"{name}.{field.name}" for field in dataclasses.fields(group)} <= fields
    groups = {"imap", "pop3", "smtp", "proxy", "tls", "backend_tls", "where"}
    assert {field.name for field in dataclasses.fields(SERVER)} - groups <= fields


def test_blocks_open_their_contexts_only_where_they_may_stand() -> None:
    assert opens("main", "mail") == "mail"
    assert opens("mail", "server") == "server"
    assert opens("main", "events") == "events"
    assert [opens("main", name) for name in ("http", "stream", "server", "foo")] == [None] * 4


def test_what_is_ours_says_so() -> None:
    ours = {row.name for row in ROWS if row.dialect is Dialect.OURS}
    assert ours == {"pop3_client_buffer", *(row.name for row in ROWS if row.name.startswith("proxy_ssl"))}


@pytest.mark.parametrize(
    ("words", "header"),
    [
        ("on", ProxyHeader.V1),
        ("OFF", ProxyHeader.OFF),
        ("v2", ProxyHeader.V2),
        ("V2 Tlv", ProxyHeader.V2_TLV),
    ],
)
def test_proxy_protocol_has_four_values(words: str, header: ProxyHeader) -> None:
    """PROXY-20."""
    assert parsed(BY_NAME["proxy_protocol"], words) is header


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("2", "2"),
        ("v1", "v1"),
        ("tlv", "tlv"),
        ("tlv v2", "tlv"),
        ("on tlv", "tlv"),
        ("off off", "off"),
        ("v2 v2", "v2"),
        ("v2 TLVs", "TLVs"),
        ("'v2 tlv'", "v2 tlv"),
        ("v2 ''", ""),
    ],
)
def test_proxy_protocol_names_the_word_that_is_wrong(words: str, wrong: str, tmp_path: Path) -> None:
    """PROXY-20, PROXY-96."""
    assert faults(tmp_path, BY_NAME["proxy_protocol"], f"proxy_protocol {words};") == [f'invalid value "{wrong}"']


# -- the rows at work ----------------------------------------------------------------------------------------------

SAMPLES = {  # arguments that a directive takes, where its default says nothing
    "auth_http": "127.0.0.1",
    "auth_http_header": "X-A b",
    "debug_points": "stop",
    "error_log_user_tag": "tag",
    "listen": "127.0.0.1:31",
    "protocol": "imap",
    "server_name": "name",
    "set_real_ip_from": "::1",
    "ssl_conf_command": "A b",
    "thread_pool": "a threads=1",
    "timer_resolution": "1s",
    "worker_shutdown_timeout": "1s",
}
SIMPLE = [row for row in ROWS if row.parse and row.name not in ("ssl_password_file", "load_module")]


def sample(row: Row) -> str:
    default = "8k" if row.default == PAGE_SIZED else row.default
    return SAMPLES.get(row.name) or default or "word"


def faults(directory: Path, row: Row, statements: str, context: Context | None = None) -> list[str]:
    """What is wrong with a configuration that holds these statements in a context, the directive's first by default."""
    frame = dict.fromkeys(Context, "")
    frame[context or row.contexts[-1]] = statements
    required = "" if row.name == "auth_http" else "auth_http 127.0.0.1;"
    required += "proxy_ssl_certificate_key word;" if row.name == "proxy_ssl_certificate" else ""
    server = f"server {{ listen 127.0.0.1:110; {frame[Context.SERVER]} }}"
    path = directory / "F"
    mail = f"mail {{ {frame[Context.MAIL]} {required} {server} }}"
    path.write_text(f"{frame[Context.MAIN]} events {{ {frame[Context.EVENTS]} }} {mail}")
    try:
        load(path, resolve=no_names)
    except ConfigErrors as errors:
        return [fault.text for fault in errors.faults]
    return []


@pytest.mark.parametrize("row", SIMPLE, ids=by_name)
def test_every_directive_is_accepted_in_its_contexts_and_nowhere_else(row: Row, tmp_path: Path) -> None:
    """CONF-10, CONF-36, CONF-39, CONF-40."""
    statement = f"{row.name} {sample(row)};"
    for context in Context:
        found = faults(tmp_path, row, statement, context)
        if context in row.contexts:
            assert found == []
        else:
            assert f'"{row.name}" directive is not allowed here' in found


@pytest.mark.parametrize("row", SIMPLE, ids=by_name)
def test_every_directive_counts_its_arguments(row: Row, tmp_path: Path) -> None:
    """CONF-20."""
    text = f'invalid number of arguments in "{row.name}" directive'
    assert text in faults(tmp_path, row, f"{row.name};")
    if row.arity.most is not None:
        assert text in faults(tmp_path, row, f"{row.name} {'x ' * (row.arity.most + 1)};")


@pytest.mark.parametrize("row", SIMPLE, ids=by_name)
def test_every_directive_is_terminated(row: Row, tmp_path: Path) -> None:
    """CONF-10."""
    text = f'directive "{row.name}" is not terminated by ";"'
    assert text in faults(tmp_path, row, f"{row.name} {sample(row)} {{ }}")


@pytest.mark.parametrize("row", SIMPLE, ids=by_name)
def test_a_second_statement_is_refused_unless_the_row_allows_it(row: Row, tmp_path: Path) -> None:
    """CONF-30, CONF-31."""
    second = "127.0.0.1:32" if row.name == "listen" else sample(row)
    found = faults(tmp_path, row, f"{row.name} {sample(row)}; {row.name} {second};")
    expected = [f'"{row.name}" directive is duplicate'] if row.repeat is Repeat.REFUSED else []
    assert found == expected


@pytest.mark.parametrize("row", [row for row in ROWS if row.block], ids=by_name)
def test_blocks_need_a_brace_and_take_no_arguments(row: Row, tmp_path: Path) -> None:
    """CONF-10, CORE-1, CORE-2."""
    assert f'directive "{row.name}" has no opening "{{"' in faults(tmp_path, row, f"{row.name};", row.contexts[0])
    found = faults(tmp_path, row, f"{row.name} x {{ }}", row.contexts[0])
    assert f'invalid number of arguments in "{row.name}" directive' in found


def test_parsers_raise_what_operators_read() -> None:
    with pytest.raises(ConfigError):
        parsed(BY_NAME["timeout"], "soon")
