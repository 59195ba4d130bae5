"""What `dump` and `directives` print: complete, readable by the configuration reader, and without secrets."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from refproxy.config.directives import ROWS
from refproxy.config.load import load
from refproxy.config.settings import ServerSettings, Settings, Where
from refproxy.config.show import directives_json, directives_text, dump_json, dump_text

RICH = """
pid run.pid; worker_shutdown_timeout 1500ms; error_log stderr info;
events { worker_connections 99; }
mail {
    auth_http localhost:8080/a%20b?c; auth_http_timeout 2s; timeout 1m30s; server_name "a b";
    server {
        listen 25-26 ssl backlog=7 rcvbuf=1k sndbuf=2k ipv6only=off so_keepalive=1:2:3 proxy_protocol multipath;
        listen unix:/tmp/x so_keepalive=off; listen [::1]:25 bind so_keepalive=::9;
        smtp_auth none cram-md5; smtp_capabilities "SIZE 1" DSN; smtp_client_buffer 8k; smtp_greeting_delay 2s;
        ssl_certificate a.pem; ssl_certificate_key a.key; ssl_conf_command A "b c";
        ssl_session_cache builtin shared:S:1m;
        ssl_protocols TLSv1.3; ssl_verify_client optional_no_ca; ssl_crl x; ssl_session_timeout 1M; ssl_ciphers "A:!B";
        proxy_protocol v2; xclient off; proxy_timeout 500ms; error_log a.log debug format=json; error_log_user_tag t;
        resolver 127.0.0.1 [::1]:5353 valid=5m ipv6=off status_zone=a-zone; resolver_timeout 0; starttls only;
        set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:; set_real_ip_from ::1;
    }
    server {
        listen 110; proxy_protocol v2 tlv; pop3_auth apop; pop3_client_buffer 128; auth_http unix:/tmp/s:/x;
        resolver off;
    }
    server { listen 143; imap_auth xoauth2 plain; imap_capabilities A; max_errors 0; auth_http 127.0.0.1?x; }
}
"""


def resolve(host: str, /) -> Sequence[str]:
    if host != "localhost":
        raise OSError(host)
    return ("127.0.0.1", "::1")


def read(directory: Path, text: str) -> Settings:
    path = directory / "F"
    path.write_text(text)
    return load(path, resolve=resolve)


def without_places(settings: Settings) -> tuple[Settings, list[ServerSettings]]:
    """Settings with all positions made the same."""
    nowhere = Where("", 0)
    servers = [
        dataclasses.replace(
            server,
            where=nowhere,
            listens=tuple(dataclasses.replace(listen, where=nowhere) for listen in server.listens),
        )
        for server in settings.servers
    ]
    return dataclasses.replace(settings, servers=(), warnings=()), servers


@pytest.mark.parametrize("text", [RICH, "events { } mail { auth_http localhost; server { listen 25; } }"])
def test_the_text_of_a_dump_gives_the_same_settings(tmp_path: Path, text: str) -> None:
    settings = read(tmp_path, text)
    assert without_places(read(tmp_path, dump_text(settings))) == without_places(settings)


def test_a_dump_names_servers_and_their_settings(tmp_path: Path) -> None:
    text = dump_text(read(tmp_path, RICH))
    assert f"    server {{  # {tmp_path}/F:6" in text
    assert "        resolver 127.0.0.1:53 [::1]:5353 valid=300s ipv6=off status_zone=a-zone;\n" in text
    assert "        starttls only;\n" in text
    assert "        timeout 90s;\n" in text
    assert "        smtp_auth cram-md5 none;\n" in text
    assert '        smtp_capabilities "SIZE 1" DSN;\n' in text
    assert "        proxy_protocol v2;\n" in text
    assert "        proxy_protocol v2 tlv;\n" in text


def test_a_dump_as_json_has_plain_values(tmp_path: Path) -> None:
    """Times in seconds, sizes in octets, None for what is off."""
    dumped = json.loads(dump_json(read(tmp_path, RICH)))
    assert dumped["worker_connections"] == 99
    assert dumped["worker_shutdown_timeout"] == 1.5
    assert dumped["pid"] == f"{tmp_path}/run.pid"
    smtp, pop3, imap = dumped["servers"]
    assert smtp["where"] == f"{tmp_path}/F:6"
    assert (smtp["protocol"], smtp["timeout"], smtp["smtp_client_buffer"], smtp["xclient"]) == (
        "smtp",
        90.0,
        8192,
        False,
    )
    assert smtp["server_name"] == "a b"
    assert smtp["auth_http"] == {
        "addresses": ["127.0.0.1:8080", "[::1]:8080"],
        "host": "localhost",
        "path": "/a%20b?c",
    }
    assert smtp["smtp_auth"] == ["cram-md5", "none"]
    assert smtp["listen"][0]["address"] == "0.0.0.0:25"
    assert smtp["listen"][0]["so_keepalive"] == {"idle": 1, "interval": 2, "count": 3}
    assert smtp["resolver_timeout"] is None
    assert smtp["resolver"] == {
        "servers": ["127.0.0.1:53", "[::1]:5353"],
        "valid": 300.0,
        "ipv4": True,
        "ipv6": False,
        "status_zone": "a-zone",
    }
    assert smtp["set_real_ip_from"] == ["10.0.0.0/8", "unix:", "::1/128"]
    assert smtp["error_log"] == [
        {"destination": f"{tmp_path}/a.log", "level": "debug", "json": True, "filter": None, "rate": 1000}
    ]
    assert pop3["resolver"] is None
    assert (smtp["proxy_protocol"], pop3["proxy_protocol"]) == ("v2", "v2 tlv")
    assert (pop3["auth_http"]["addresses"], pop3["auth_http"]["path"]) == (["unix:/tmp/s"], "/x")
    assert imap["imap_auth"] == ["plain", "xoauth2"]
    assert "smtp_auth" not in imap


def test_no_dump_shows_a_secret(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("sesame-one\nsesame-two\n")
    settings = read(
        tmp_path,
        "events { } mail { auth_http localhost; auth_http_header X-Key sesame-three; ssl_password_file words;"
        "ssl_certificate_key data:sesame-four; ssl_certificate_key plain.key; server { listen 25; } }",
    )
    for text in (dump_text(settings), dump_json(settings)):
        assert "sesame" not in text
        assert "X-Key" in text
        assert "***" in text
        assert f"{tmp_path}/plain.key" in text
        assert "data:***" in text


def test_the_table_as_json_is_a_list_of_objects() -> None:
    table = json.loads(directives_json())
    assert [row["name"] for row in table] == sorted(row.name for row in ROWS)
    assert next(row for row in table if row["name"] == "pop3_client_buffer") == {
        "name": "pop3_client_buffer",
        "module": "pop3",
        "syntax": "pop3_client_buffer SIZE;",
        "default": "12k",
        "contexts": ["mail", "server"],
        "dialect": "ours",
        "doc": "The longest AUTH line of a POP3 client; other lines have at most 255 octets of it.",
        "rule": "POP3-80",
        "effective": True,
    }


def test_the_table_as_text_has_a_paragraph_for_each_directive() -> None:
    paragraphs = directives_text().split("\n\n")
    assert len(paragraphs) == len(ROWS)
    assert (
        "max_commands  (core, CORE-22)\n"
        "    How many commands a client may give before the login.\n"
        "    syntax:   max_commands NUMBER;\n"
        "    default:  max_commands 1000;\n"
        "    contexts: mail, server\n"
        "    dialect:  angie (since Angie 1.7)"
    ) in paragraphs
