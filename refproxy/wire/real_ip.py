"""Whose PROXY header is believed when it names the client's address (core rules, section 9.2)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

from refproxy.config.settings import Address, UnixAddress
from refproxy.wire.proxy_header_in import Conveyed

__all__ = ["is_trusted", "real_client"]


def is_trusted(peer: Address, trusted: tuple[IPv4Network | IPv6Network | UnixAddress, ...]) -> bool:
    """Whether `set_real_ip_from` names the peer of a connection.

    Any UnixAddress stands for all UNIX peers. An IPv4-mapped IPv6 peer is the IPv4 address it is, for IPv4 entries and
    for IPv6 ones, which therefore never match it (CORE-67).
    """
    if isinstance(peer, UnixAddress):
        return any(isinstance(entry, UnixAddress) for entry in trusted)
    address = ip_address(peer.host)
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(not isinstance(entry, UnixAddress) and address in entry for entry in trusted)


def real_client(
    peer: Address, conveyed: Conveyed | None, trusted: tuple[IPv4Network | IPv6Network | UnixAddress, ...]
) -> Address:
    """Return the client's address and port: the source of its PROXY header, or else the peer (CORE-67, CORE-68)."""
    return conveyed.client if conveyed is not None and is_trusted(peer, trusted) else peer
