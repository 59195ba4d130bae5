"""UDP sockets, on real ones: nobody else could refuse like a kernel."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from refproxy.config.settings import TcpAddress
from refproxy.errors import PeerError, Side
from refproxy.net.datagram import open_datagram


def address_of(sock: socket.socket) -> TcpAddress:
    host, port = sock.getsockname()[:2]
    return TcpAddress(host, port)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_a_datagram_goes_there_and_back(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as peer:
        peer.bind((host, 0))
        datagram = open_datagram(address_of(peer), Side.DNS)
        await datagram.send(b"question")
        octets, sender = peer.recvfrom(100)
        assert octets == b"question"
        peer.sendto(b"an answer", sender)
        assert await datagram.receive(100) == b"an answer"
        peer.sendto(b"an answer", sender)
        assert await datagram.receive(2) == b"an"
        datagram.close()
        datagram.close()


async def test_only_the_peer_is_heard() -> None:
    """CORE-49: the socket is connected, so a stranger must forge an address to be heard."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer, socket.socket(type=socket.SOCK_DGRAM) as stranger:
        peer.bind(("127.0.0.1", 0))
        datagram = open_datagram(address_of(peer), Side.DNS)
        await datagram.send(b"question")
        sender = peer.recvfrom(100)[1]
        stranger.sendto(b"forged", sender)
        peer.sendto(b"answer", sender)
        assert await datagram.receive(100) == b"answer"
        datagram.close()


async def test_a_refusal_is_heard_and_the_socket_stays_usable() -> None:
    """CORE-49."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        address = address_of(peer)
    datagram = open_datagram(address, Side.DNS)
    await datagram.send(b"question")
    with pytest.raises(PeerError, match=r"^recv\(\) failed \(111: Connection refused\)$"):
        await datagram.receive(100)
    await datagram.send(b"question")
    with pytest.raises(PeerError, match=r"^send\(\) failed \(111: Connection refused\)$"):
        await datagram.send(b"question")
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind((address.host, address.port))
        await datagram.send(b"question")
        assert peer.recvfrom(100)[0] == b"question"
    datagram.close()


async def test_closing_wakes_who_waits() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        datagram = open_datagram(address_of(peer), Side.DNS)
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await datagram.receive(100)

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            datagram.close()
        with pytest.raises(trio.ClosedResourceError):
            await datagram.send(b"question")


async def test_an_address_that_cannot_be_reached_is_a_peer_error() -> None:
    with pytest.raises(PeerError, match=r"^connect\(\) to 255\.255\.255\.255:53 failed \(13: Permission denied\)$"):
        open_datagram(TcpAddress("255.255.255.255", 53), Side.DNS)
