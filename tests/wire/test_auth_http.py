"""The exchange with the auth server as octets (auth_http rules)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.config.settings import BackendTlsMode, MailProtocol
from refproxy.errors import WireError
from refproxy.wire.auth_http import (
    Accepted,
    Attempt,
    AuthRequest,
    Envelope,
    Refused,
    Wait,
    escape,
    find_header_end,
    format_request,
    parse_answer,
    parse_backend_address,
)
from refproxy.wire.sasl import Credentials
from refproxy.wire.secret import Secret

ROUTE = b"Auth-Server: 127.0.0.1\r\nAuth-Port: 25\r\n"
LET_IN = Accepted("127.0.0.1", 25)


def test_the_request_header_for_header() -> None:
    """AUTH-12 to AUTH-34: names, order, escaping; the complete example of section 3.5 without TLS."""
    credentials = Credentials(b"none", b"", Secret(b""))
    attempt = Attempt(credentials, 1, Envelope(b"me.example", b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>"))
    request = AuthRequest(
        attempt,
        MailProtocol.SMTP,
        "192.0.2.7",
        b"[UNAVAILABLE]",
        ((b"Proxy-Protocol-Addr", b"192.0.2.7"),),
        ((b"Auth-SSL", b"on"),),
    )
    assert format_request(request, b"127.0.0.1", b"/a", ((b"X-Key", b"k"),)).split(b"\r\n") == [
        b"GET /a HTTP/1.0",
        b"Host: 127.0.0.1",
        b"Auth-Method: none",
        b"Auth-User: ",
        b"Auth-Pass: ",
        b"Auth-Protocol: smtp",
        b"Auth-Login-Attempt: 1",
        b"Client-IP: 192.0.2.7",
        b"Client-Host: [UNAVAILABLE]",
        b"Proxy-Protocol-Addr: 192.0.2.7",
        b"Auth-SMTP-Helo: me.example",
        b"Auth-SMTP-From: MAIL FROM:<a@b>",
        b"Auth-SMTP-To: RCPT TO:<c@d>",
        b"Auth-SSL: on",
        b"X-Key: k",
        b"",
        b"",
    ]


def test_a_digest_comes_with_its_salt() -> None:
    """AUTH-18, AUTH-22, SASL-62: no Client-Host outside SMTP."""
    credentials = Credentials(b"cram-md5", b"us%er na+me", Secret(b"p\r\nw\xff"), reusable=False, salt=b"<1.2@mx>")
    request = AuthRequest(Attempt(credentials, 3), MailProtocol.IMAP, None)
    lines = format_request(request, b"h", b"/", ()).split(b"\r\n")[2:-2]
    assert lines == [
        b"Auth-Method: cram-md5",
        b"Auth-User: us%25er%20na+me",
        b"Auth-Pass: p%0D%0Aw\xff",
        b"Auth-Salt: <1.2@mx>",
        b"Auth-Protocol: imap",
        b"Auth-Login-Attempt: 3",
        b"Client-IP: unix:",
    ]


@settings(derandomize=True, deadline=None)
@given(st.binary())
def test_nothing_escaped_can_end_a_line(value: bytes) -> None:
    """AUTH-24."""
    assert all(octet > 0x20 for octet in escape(value))


@pytest.mark.parametrize(
    ("section", "verdict"),
    [
        (b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\n" + ROUTE, LET_IN),
        (b"HTTP/1.1 500 Oops\nauth-STATUS:OK\n" + ROUTE.replace(b"\r\n", b"\n"), LET_IN),
        (b"HTTP/garbage\nAuth-Status: OK\r\n" + ROUTE, LET_IN),
        (b"Auth-Status:   OK  \r\n" + ROUTE, LET_IN),
        (ROUTE, Accepted("127.0.0.1", 25, explicit=False)),
        (b"Auth-Status: OK\r\nNoColon\r\nX: a\0b\r\n" + ROUTE, LET_IN),
        (b"Auth-Status: OK\r\nAuth-Server: ::9\r\n" + ROUTE, LET_IN),
        (
            b"Auth-Status: OK\r\nAuth-User: a b\r\nAuth-Pass:\r\n" + ROUTE,
            Accepted("127.0.0.1", 25, b"a b", Secret(b"")),
        ),
        (b"Auth-Status: ok\r\n" + ROUTE, Refused(b"ok")),
        (b"Auth-Status: OK x\r\n" + ROUTE, Refused(b"OK x")),
        (b"Auth-Status:\tOK\r\n" + ROUTE, Refused(b"\tOK")),
        (b"Auth-Status:\r\n" + ROUTE, Refused(b"")),
        (b"Auth-Status: no\r\nAuth-Status: OK\r\n" + ROUTE, Refused(b"no")),
        (b"Auth-Status: no\r\nAuth-Wait: 12\r\nAuth-Error-Code: 454 4.7.0\r\n", Refused(b"no", 12, b"454 4.7.0")),
        (b"Auth-Status: no\r\nAuth-Wait: -1\r\nAuth-Error-SASL:\r\n", Refused(b"no", 0, b"", b"")),
        (b"Auth-Status: WAIT\r\nAuth-Wait: 5\r\nAuth-User: v\r\n", Wait(5, b"v")),
        (b"Auth-Status: WAIT\r\nAuth-Status: no\r\n", Refused(b"no")),
    ],
)
def test_answers(section: bytes, verdict: object) -> None:
    """AUTH-40 to AUTH-57, SMTP-89."""
    assert parse_answer(section + b"\r\n") == verdict


@pytest.mark.parametrize(
    ("section", "text"),
    [
        (b"HTTP/1.0 200 OK\r\n", "did not send server or port"),
        (b"Auth-Server: 127.0.0.1\r\n", "did not send server or port"),
        (b"Auth-Server: 127.0.0.1\r\nAuth-Port:\r\n", "did not send server or port"),
        (b"ICY 200 OK\r\n" + ROUTE, "sent invalid header in response"),
        (b"http/1.0 200 OK\r\n" + ROUTE, "sent invalid header in response"),
        (b"HTTP/1.0 200\rOK\r\n" + ROUTE, "sent invalid response"),
        (b"A_b: x\r\n" + ROUTE, "sent invalid header in response"),
        (b"Name : x\r\n" + ROUTE, "sent invalid header in response"),
        (b" folded\r\n" + ROUTE, "sent invalid header in response"),
        (b"-a: x\r\n" + ROUTE, "sent invalid header in response"),
        (b": x\r\n" + ROUTE, "sent invalid header in response"),
        (b"a: x\ry\r\n" + ROUTE, "sent invalid header in response"),
    ],
)
def test_malformed_answers(section: bytes, text: str) -> None:
    """AUTH-42, AUTH-43, AUTH-57, auth_http rules section 11."""
    with pytest.raises(WireError) as malformed:
        parse_answer(section + b"\r\n")
    assert str(malformed.value) == text


@pytest.mark.parametrize(
    ("server", "address"),
    [
        (b"127.0.0.1", "127.0.0.1"),
        (b"127.000.000.001", "127.0.0.1"),
        (b"::1", "::1"),
        (b"0:0:0:0:0:0:0:1", "::1"),
        (b"::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        (b"localhost", "localhost"),
        (b"mail-1.example.test", "mail-1.example.test"),
        (b"_x.Example.COM.", "_x.Example.COM."),
        *[
            (bad, None)
            for bad in (b"[::1]", b"unix:/x", b"127.1", b"0x7f000001", b"2130706433", b"127.0.0.256",
                        b"255.255.255.255", b"::1%lo", b"10.0.0.1:25", b"0127.0.0.1", b"1.2.3.", b"1::2::3", b"\xff::",
                        b"a..b", b".a", b"-a.b", b"a-.b", b"a b", b"a.b:25", b"a.1b", b"h\xe9", b"x" * 64,
                        b"a." * 126 + b"ab")
        ],
    ],
)  # fmt: skip
def test_backend_addresses(server: bytes, address: str | None) -> None:
    """PROXY-5, AUTH-59, AUTH-100."""
    if address is None:
        with pytest.raises(WireError, match="sent invalid server address"):
            parse_backend_address(server, b"25")
    else:
        assert parse_backend_address(server, b"025")[1] == 25
        assert parse_backend_address(server, b"65535")[0] in (address, "::ffff:7f00:1")


@pytest.mark.parametrize("port", [b"0", b"65536", b"-1", b"+25", b"25x", b"x", b"9" * 30])
def test_backend_ports(port: bytes) -> None:
    """PROXY-5, AUTH-96."""
    with pytest.raises(WireError, match="sent invalid server port"):
        parse_backend_address(b"127.0.0.1", port)


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_any_answer_is_a_verdict_or_malformed(octets: bytes) -> None:
    """AUTH-46: found at the same place however it arrives, and nothing but WireError is raised."""
    end = find_header_end(octets)
    assert all(find_header_end(octets[:cut]) in (None, end) for cut in range(len(octets)))
    if end is not None:
        with suppress(WireError):
            parse_answer(octets[:end])


@pytest.mark.parametrize(("value", "mode"), [(mode.value.encode(), mode) for mode in BackendTlsMode])
def test_the_auth_server_decides_about_tls_to_the_backend(value: bytes, mode: BackendTlsMode) -> None:
    """AUTH-101."""
    route = b"Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 25\r\n"
    verdict = parse_answer(route + b"Auth-Server-SSL: " + value + b"\r\n\r\n")
    assert isinstance(verdict, Accepted)
    assert verdict.tls is mode
    silent = parse_answer(route + b"\r\n")
    assert isinstance(silent, Accepted)
    assert silent.tls is None


@pytest.mark.parametrize("value", [b"", b"On", b"yes", b"on off", b"start\xfftls"])
def test_a_misunderstanding_about_tls_is_a_failure(value: bytes) -> None:
    """AUTH-101: never a login in clear text."""
    route = b"Auth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: 25\r\n"
    with pytest.raises(WireError, match="sent invalid server ssl:"):
        parse_answer(route + b"Auth-Server-SSL: " + value + b"\r\n\r\n")
