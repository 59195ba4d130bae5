"""Descriptors of running proxies: what is read from them, and what is said of wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import conformance.cases.all  # noqa: F401
from conformance.case import Block, registered
from conformance.rulebook import Level
from conformance.targets.base import Place
from conformance.targets.descriptor import EXAMPLE, DescriptorError, example_of, load_descriptor, normal

DOCUMENTED = Path(__file__).resolve().parents[3] / "docs" / "conformance" / "external.toml"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


def test_the_example_is_read(tmp_path: Path) -> None:
    read = load_descriptor(written(tmp_path, EXAMPLE))
    assert (read.name, read.version, read.auth_port, read.dns_port) == ("myproxy", "1.0", 9143, 9153)
    assert read.claims == {"auth_http", "resolver"}
    assert read.dialects == {Level.VENDOR}
    assert read.directory == tmp_path / "myproxy-files"
    assert read.profiles["smtp-resolving"] == (
        Block("smtp", "resolver {dns};"),
        Place("127.0.0.1", 2526),
    )


def test_the_documented_example_is_the_one_in_the_help() -> None:
    assert DOCUMENTED.read_text(encoding="utf-8") == EXAMPLE


def test_an_example_made_of_blocks_is_read(tmp_path: Path) -> None:
    blocks = [
        Block("smtp", 'auth_http_header X "a\\b";\n timeout 1s;', "proxy_protocol", "ipv6"),
        Block("imap", address="unix"),
        Block("pop3", address="dual"),
        *(case.block for case in registered().values()),
    ]
    blocks = list({normal(block): block for block in blocks}.values())
    read = load_descriptor(written(tmp_path, example_of(blocks)))
    assert [block for block, _ in read.profiles.values()] == blocks
    assert [place for _, place in read.profiles.values()][:3] == [
        Place("::1", 2500),
        Place("", 0, "/run/myproxy/1"),
        Place("127.0.0.1", 2502),
    ]


def test_white_space_in_directives_does_not_matter() -> None:
    assert normal(Block("smtp", " a  b;c;\n")) == normal(Block("smtp", "a b; c ;"))
    assert normal(Block("smtp", "a b;")) != normal(Block("smtp", "ab;"))


PROFILE = '[profiles.x]\nprotocol = "smtp"\nlisten = "127.0.0.1:25"\n'
WHOLE = 'name = "x"\nauth_port = 1\ndns_port = 2\n' + PROFILE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name", "is no TOML"),
        ("", "name is missing; expected a name of letters, digits, dots and hyphens"),
        (WHOLE.replace('"x"', '"a/b"'), "name is 'a/b'; expected a name"),
        (WHOLE.replace("= 1", '= "1"'), "auth_port is '1'; expected a port from 1 to 65535"),
        (WHOLE.replace("= 1", "= true"), "auth_port is True; expected a port"),
        (WHOLE.replace("= 2", "= 65536"), "dns_port is 65536; expected a port"),
        ('claims = ["tsl"]\n' + WHOLE, "claims is 'tsl'; expected a list with some of alpn,"),
        ('claims = ["tsl"]\n' + WHOLE, "; the nearest are tls"),
        ('claims = ["configurable"]\n' + WHOLE, "claims is 'configurable'; expected"),
        ('dialects = "vendor"\n' + WHOLE, "dialects is 'vendor'; expected a list with some of vendor, ours"),
        ("prot = 5\n" + WHOLE, "the key prot is unknown; expected one of name, version"),
        (WHOLE + "directive = ''", "the key profiles.x.directive is unknown; expected one of"),
        (WHOLE + "directive = ''", "the nearest are directives"),
        (WHOLE + "directives = 5", "profiles.x.directives is 5; expected directives of a server block"),
        (WHOLE.replace("smtp", "smpt"), "profiles.x.protocol is 'smpt'; expected one of smtp, imap, pop3; the nearest"),
        (WHOLE.replace("127.0.0.1:25", "localhost"), "profiles.x.listen is 'localhost'; expected an address such as"),
        (WHOLE.replace("0.1:25", "0.1:99999"), "profiles.x.listen is '127.0.0.1:99999'; expected an address"),
        (WHOLE.replace(PROFILE, ""), "profiles is missing; expected tables such as [profiles.smtp]"),
        (WHOLE.replace(PROFILE, "profiles = {}"), "profiles is {}; expected at least one table"),
        (WHOLE.replace(PROFILE, "profiles.x = 5"), "profiles.x is 5; expected a table [profiles.x]"),
        (WHOLE + PROFILE.replace(".x", ".y"), "expected another one than profiles.x has"),
    ],
)
def test_a_wrong_descriptor_is_an_error_that_helps(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DescriptorError, match=re.escape(complaint)) as raised:
        load_descriptor(written(tmp_path, text))
    assert str(tmp_path / "my.toml") in str(raised.value)


def test_a_missing_descriptor_is_answered_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(DescriptorError, match=re.escape("[profiles.smtp]")):
        load_descriptor(tmp_path / "my.toml")
