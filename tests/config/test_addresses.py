"""Directives that hold addresses: rules CORE-4 to CORE-7, CORE-35, CORE-36, CORE-66 and AUTH-5 to AUTH-10."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refproxy.config.addresses import UrlFault, auth_http, listen, parse_url, realip, resolver, system_resolve
from refproxy.config.settings import AuthHttp, KeepAlive, Listen, TcpAddress, UnixAddress, Where
from refproxy.config.values import Call, Parser, Site
from refproxy.errors import ConfigError

HOSTS = {"localhost": ("127.0.0.1", "::1", "127.0.0.1"), "mail.test": ("192.0.2.1",)}


def resolve(host: str, /) -> Sequence[str]:
    if host not in HOSTS:
        raise OSError(host)
    return HOSTS[host]


def call(name: str, words: str, base: Path = Path("/base")) -> Call:
    return Call(name, tuple(word.encode() for word in words.split(" ")), Where("F", 1), Site(base, resolve))


def refusal(parse: Parser, name: str, words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(call(name, words))
    return caught.value.text


def one(words: str) -> Listen:
    (found,) = listen(call("listen", words))
    return found


# -- listen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "addresses"),
    [
        ("110", "0.0.0.0:110"),
        ("*:110", "0.0.0.0:110"),
        ("0.0.0.0:110", "0.0.0.0:110"),
        ("023110", "0.0.0.0:23110"),
        ("127.0.0.1:110", "127.0.0.1:110"),
        ("localhost:110", "127.0.0.1:110 [::1]:110"),
        ("[::1]:110", "[::1]:110"),
        ("[0:0::0]:110", "[::]:110"),
        ("unix:/run/a:b", "unix:/run/a:b"),
        ("UNIX:a", "unix:a"),
        ("110-112", "0.0.0.0:110 0.0.0.0:111 0.0.0.0:112"),
        ("127.0.0.1:110-111", "127.0.0.1:110 127.0.0.1:111"),
        ("[::1]:110-111", "[::1]:110 [::1]:111"),
        ("110-110", "0.0.0.0:110"),
    ],
)
def test_listen_takes_these_forms(word: str, addresses: str) -> None:
    """CORE-4."""
    assert " ".join(str(found.address) for found in listen(call("listen", word))) == addresses


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("invalid port", "0 65536 127.0.0.1:0 127.0.0.1: 127.0.0.1:x ::1 1.1.1.1:25-65536 1.1.1.1:x-25 [::1]: [::1]:0"),
        ("invalid port range", "23112-23110 127.0.0.1:2-1 [::1]:2-1"),
        ("host not found", "abc nosuch.invalid:25 110- -110 110-abc 1-2-3 $x:25 300.0.0.1:25 é:25"),
        ("no host", ":110 []:110"),
        ("invalid host", "1.2.3.4:25/x http://x [::1 [::1]x 25?"),
        ("invalid IPv6 address", "[::g]:110 [127.0.0.1]:110"),
        ("no path in the unix domain socket", "unix:"),
        ("too long path in the unix domain socket", "unix:/" + "x" * 107),
        ("no port", "127.0.0.1 [::1] localhost *"),
    ],
)
def test_listen_refuses_other_forms(text: str, words: str) -> None:
    """CORE-5, CORE-Q1."""
    for word in words.split(" "):
        assert refusal(listen, "listen", word) == f'{text} in "{word}" of the "listen" directive'


def test_a_path_may_have_107_octets() -> None:
    """CORE-5."""
    assert one("unix:/" + "x" * 106).address == UnixAddress("/" + "x" * 106)


NO_PARAMETERS = (
    "reuseport default_server deferred fastopen=5 setfib=1 accept_filter=x http2 SSL "  # of http and stream
    "proxy_protocol=on ssl= bind=on backlog"
)
PLAIN = Listen(TcpAddress("0.0.0.0", 25), Where("F", 1))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("ssl", {"ssl": True}),
        ("proxy_protocol", {"proxy_protocol": True}),
        ("bind", {"bind": True}),
        ("multipath", {"bind": True, "multipath": True}),
        ("backlog=7", {"bind": True, "backlog": 7}),
        ("backlog=7 backlog=8", {"bind": True, "backlog": 8}),
        ("rcvbuf=4k", {"bind": True, "rcvbuf": 4096}),
        ("sndbuf=1m", {"bind": True, "sndbuf": 1048576}),
        ("ipv6only=off", {"bind": True, "ipv6only": False}),
        ("ipv6only=on", {"bind": True, "ipv6only": True}),
        ("so_keepalive=on", {"bind": True, "so_keepalive": True}),
        ("so_keepalive=off", {"bind": True, "so_keepalive": False}),
        ("so_keepalive=30m::10", {"bind": True, "so_keepalive": KeepAlive(1800, None, 10)}),
        ("so_keepalive=1", {"bind": True, "so_keepalive": KeepAlive(1, None, None)}),
        ("so_keepalive=:5:0", {"bind": True, "so_keepalive": KeepAlive(None, 5, None)}),
    ],
)
def test_listen_takes_these_parameters(parameters: str, expected: dict[str, object]) -> None:
    """CORE-6."""
    found = one(f"25 {parameters}")
    assert {name: getattr(found, name) for name in PLAIN.__slots__ if getattr(found, name) != getattr(PLAIN, name)} == {
        name: value for name, value in expected.items() if value != getattr(PLAIN, name)
    }


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        *[(f"backlog={value}", f'invalid backlog "backlog={value}"') for value in ("0", "-1", "", "1k", "x")],
        ("rcvbuf=x", 'invalid rcvbuf "rcvbuf=x"'),
        ("sndbuf=0", 'invalid sndbuf "sndbuf=0"'),
        ("ipv6only=ok", 'invalid ipv6only flags "ok"'),
        ("ipv6only=yes", 'invalid parameter "ipv6only=yes"'),
        *[
            (f"so_keepalive={value}", f'invalid so_keepalive value: "{value}"')
            for value in ("::", "", "0", "a", "1ms", "1:2:3:4", "1:2:x")
        ],
        *[(word, f'invalid parameter "{word}"') for word in NO_PARAMETERS.split()],
    ],
)
def test_listen_refuses_other_parameters(parameter: str, text: str) -> None:
    """CORE-6, CORE-7, CORE-Q16."""
    assert refusal(listen, "listen", f"25 {parameter}") == text


# -- auth_http -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "address", "host", "path"),
    [
        ("mail.test", "192.0.2.1:80", b"mail.test", b"/"),
        ("http://mail.test:8080", "192.0.2.1:8080", b"mail.test", b"/"),
        ("mail.test:8080/x?y", "192.0.2.1:8080", b"mail.test", b"/x?y"),
        ("127.0.0.1:80?y", "127.0.0.1:80", b"127.0.0.1", b"?y"),
        ("127.0.0.1/a:b", "127.0.0.1:80", b"127.0.0.1", b"/a:b"),
        ("[::1]:81/x", "[::1]:81", b"[::1]", b"/x"),
        ("[::1]", "[::1]:80", b"[::1]", b"/"),
        ("unix:/s", "unix:/s", b"localhost", b"/"),
        ("unix:/s:a", "unix:/s", b"localhost", b"a"),
        ("unix:/s:", "unix:/s", b"localhost", b"/"),
        ("uNiX:s:/x", "unix:s", b"localhost", b"/x"),
    ],
)
def test_auth_http_takes_these_forms(word: str, address: str, host: bytes, path: bytes) -> None:
    """AUTH-5, AUTH-6, AUTH-8."""
    found = auth_http(call("auth_http", word))
    assert ([str(each) for each in found.addresses], found.host, found.path) == ([address], host, path)


def test_auth_http_keeps_all_addresses_of_a_name_and_the_octets_of_the_path() -> None:
    """AUTH-7, AUTH-9."""
    word = b"localhost:80/a b#$\xff"
    found = auth_http(Call("auth_http", (word,), Where("F", 1), Site(Path("/"), resolve)))
    assert found == AuthHttp((TcpAddress("127.0.0.1", 80), TcpAddress("::1", 80)), b"localhost", b"/a b#$\xff")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("invalid port", "https://h/p HTTP://h/p h: h:0 h:65536 h:x ::1 [::1]:x h:1-2"),
        ("no host", "http:// /x ?x :80 []:80"),
        ("invalid host", "[::1 [::1]x"),
        ("invalid IPv6 address", "[::g]:80"),
        ("host not found", "nosuch.invalid:80 *:80 nosuch.invalid"),
        ("no path in the unix domain socket", "unix: unix::/x"),
        ("too long path in the unix domain socket", "unix:" + "x" * 108),
    ],
)
def test_auth_http_refuses_other_forms(text: str, words: str) -> None:
    """AUTH-5, AUTH-8 to AUTH-10."""
    for word in words.split(" "):
        assert refusal(auth_http, "auth_http", word) == f'{text} in auth_http "{word.removeprefix("http://")}"'


def test_auth_http_refuses_line_ends_in_the_path() -> None:
    """CONF-50."""
    assert refusal(auth_http, "auth_http", "127.0.0.1/a\r\nX:") == 'invalid character in "auth_http" directive'


# -- resolver ------------------------------------------------------------------------------------------------------


def servers(words: str, base: Path = Path("/base")) -> list[str]:
    found = resolver(call("resolver", words, base))
    assert found is not None
    return [str(server) for server in found.servers]


def test_resolver_takes_addresses_and_names() -> None:
    """CORE-36."""
    assert servers("127.0.0.1 127.0.0.2:5353 [::1] [::2]:54 localhost") == [
        *("127.0.0.1:53", "127.0.0.2:5353", "[::1]:53", "[::2]:54", "127.0.0.1:53", "[::1]:53")
    ]


def test_resolver_takes_parameters() -> None:
    """CORE-36."""
    statement = call("resolver", "127.0.0.1 valid=1M ipv4=off ipv6=on status_zone=z")
    found = resolver(statement)
    assert found is not None
    assert (found.valid, found.ipv4, found.ipv6, found.status_zone) == (2592000.0, False, True, "z")
    assert list(statement.site.notes.later) == ["resolver … status_zone=z"]


def test_resolver_reads_name_servers_from_a_file(tmp_path: Path) -> None:
    """CORE-36."""
    (tmp_path / "conf").write_text(
        "# x\nnameserver 192.0.2.53\nsearch x\n nameserver ::1 y\nnameserver zzz\nnameserver"
    )
    assert servers("conf=conf", tmp_path) == ["192.0.2.53:53", "[::1]:53"]
    missing = 'open() "/nope/x" failed (2: No such file or directory)'
    assert refusal(resolver, "resolver", "conf=/nope/x") == missing


def test_resolver_off_ends_the_directive() -> None:
    """CORE-35."""
    assert resolver(call("resolver", "off nonsense")) is None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("OFF", 'host not found in resolver "OFF"'),
        ("127.0.0.1 off", 'host not found in resolver "off"'),
        ("127.0.0.1 timeout=1", 'host not found in resolver "timeout=1"'),
        ("127.0.0.1:x", 'invalid port in resolver "127.0.0.1:x"'),
        ("8.8.8.8/24", 'invalid host in resolver "8.8.8.8/24"'),
        ("unix:/x", 'invalid host in resolver "unix:/x"'),
        ("127.0.0.1 ipv6=x", "invalid parameter: ipv6=x"),
        ("127.0.0.1 valid=1ms", "invalid parameter: valid=1ms"),
        ("127.0.0.1 ipv4=off ipv6=off", '"ipv4" and "ipv6" cannot both be "off"'),
        ("valid=1", "no name servers defined"),
    ],
)
def test_resolver_refuses_other_words(words: str, text: str) -> None:
    """CORE-36."""
    assert refusal(resolver, "resolver", words) == text


# -- set_real_ip_from ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1/32",)),
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        ("0.0.0.0/0", ("0.0.0.0/0",)),
        ("2001:db8::/32", ("2001:db8::/32",)),
        ("::1", ("::1/128",)),
        ("localhost", ("127.0.0.1/32", "::1/128")),
    ],
)
def test_set_real_ip_from_takes_addresses_networks_and_names(word: str, expected: tuple[str, ...]) -> None:
    """CORE-66."""
    statement = call("set_real_ip_from", word)
    assert realip(statement) == tuple(map(ip_network, expected))
    assert statement.site.notes.lines == []


def test_set_real_ip_from_takes_all_unix_clients() -> None:
    """CORE-66."""
    assert realip(call("set_real_ip_from", "unix:")) == (UnixAddress(""),)


@pytest.mark.parametrize(("word", "network"), [("10.0.0.1/8", "10.0.0.0/8"), ("::1/64", "::/64")])
def test_set_real_ip_from_warns_of_host_bits(word: str, network: str) -> None:
    """CORE-66."""
    statement = call("set_real_ip_from", word)
    assert realip(statement) == (ip_network(network),)
    assert statement.site.notes.lines == [f"[warn] low address bits of {word} are meaningless in F:1"]


def test_set_real_ip_from_refuses_anything_else() -> None:
    """CORE-66."""
    words = "1.2.3.4/33 ::/129 [::1] all 10.0.0.0-10.0.0.5 10.0.0.0/255.0.0.0 unix:/path 1.2.3.4/ /8 1.2.3.4/-1"
    for word in words.split(" "):
        assert refusal(realip, "set_real_ip_from", word) == f'host not found in set_real_ip_from "{word}"'


# -- the system and properties -------------------------------------------------------------------------------------


def test_the_system_knows_literal_addresses() -> None:
    assert system_resolve("127.0.0.1") == ("127.0.0.1",)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".b", "a\0b"])
def test_names_that_cannot_be_asked_for_are_not_found(host: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
        system_resolve(host)


@given(st.binary(), st.booleans(), st.booleans())
def test_no_octets_make_the_grammar_raise_anything_else(text: bytes, listening: bool, path: bool) -> None:
    try:
        url = parse_url(text, resolve, default=80, listening=listening, path=path)
    except UrlFault:
        return
    assert url.addresses
