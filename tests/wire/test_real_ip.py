"""Whose PROXY header is believed (core rules, section 9.2)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest

from refproxy.config.settings import Address, TcpAddress, UnixAddress
from refproxy.wire.proxy_header_in import Conveyed
from refproxy.wire.real_ip import is_trusted, real_client

UNIX = UnixAddress("")


def networks(text: str) -> tuple[IPv4Network | IPv6Network | UnixAddress, ...]:
    return tuple(UNIX if word == "unix:" else ip_network(word) for word in text.split())


@pytest.mark.parametrize(
    ("host", "trusted", "answer"),
    [
        ("10.1.2.3", "", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4 10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("11.1.2.3", "0.0.0.0/0", True),
        ("10.1.2.3", "::/0", False),
        ("10.1.2.3", "::ffff:0:0/96", False),
        ("10.1.2.3", "unix:", False),
        ("2001:db8::7", "2001:db8::/32", True),
        ("2001:db9::7", "2001:db8::/32 ::1 unix:", False),
        ("2001:db8::7", "0.0.0.0/0", False),
        ("2001:db8::7", "::/0", True),
        ("fe80::1%1", "fe80::/10", True),
        ("fe80::1%1", "fe80::1", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "11.0.0.0/8", False),
        ("::ffff:10.1.2.3", "::/0", False),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3", False),
        ("::10.1.2.3", "10.0.0.0/8", False),
        ("::10.1.2.3", "::/96", True),
    ],
)
def test_a_peer_is_trusted_if_an_entry_of_its_family_holds_it(host: str, trusted: str, answer: bool) -> None:
    """CORE-67."""
    assert is_trusted(TcpAddress(host, 25), networks(trusted)) is answer


@pytest.mark.parametrize("path", ["", "/run/client"])
def test_all_unix_clients_are_trusted_together(path: str) -> None:
    """CORE-67."""
    assert is_trusted(UnixAddress(path), networks("10.0.0.0/8 unix:"))
    assert not is_trusted(UnixAddress(path), networks("0.0.0.0/0 ::/0"))
    assert not is_trusted(UnixAddress(path), ())


PEER = TcpAddress("10.1.2.3", 5000)
V4 = Conveyed("192.0.2.7", "198.51.100.1", 4444, 25)
V6 = Conveyed("2001:DB8::0:7", "::2", 0, 25)


@pytest.mark.parametrize(
    ("peer", "conveyed", "trusted", "client"),
    [
        (PEER, V4, "10.0.0.0/8", TcpAddress("192.0.2.7", 4444)),
        (PEER, V6, "10.0.0.0/8", TcpAddress("2001:db8::7", 0)),
        (PEER, V4, "11.0.0.0/8", PEER),
        (PEER, None, "10.0.0.0/8", PEER),
        (UnixAddress(""), V4, "unix:", TcpAddress("192.0.2.7", 4444)),
        (UnixAddress(""), V4, "", UnixAddress("")),
        (UnixAddress(""), None, "unix:", UnixAddress("")),
    ],
)
def test_the_source_of_a_believed_header_is_the_client(
    peer: Address, conveyed: Conveyed | None, trusted: str, client: Address
) -> None:
    """CORE-65, CORE-67, CORE-68: address and port, the address in canonical text."""
    assert real_client(peer, conveyed, networks(trusted)) == client
