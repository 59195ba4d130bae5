"""Listening sockets (core rules, sections 2 and 3)."""

from __future__ import annotations

import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from refproxy.config.settings import Address, Listen, MailProtocol, Settings, TcpAddress, UnixAddress, Where
from refproxy.errors import ConfigError
from refproxy.net import listen
from refproxy.net.listen import open_listeners
from tests.ports import free_port
from tests.proxied import server_settings

WHERE = Where("mail.conf", 7)


def settings(*addresses: Address) -> Settings:
    """One server for each address, in turn IMAP and POP3."""
    protocols = (MailProtocol.IMAP, MailProtocol.POP3)
    servers = [
        replace(server_settings(protocols[number % 2]), listens=(Listen(address, WHERE),))
        for number, address in enumerate(addresses)
    ]
    return Settings("mail.conf", tuple(servers))


async def test_a_wildcard_is_bound_alone_and_the_local_address_decides() -> None:
    """CORE-11, CORE-12."""
    port = free_port()
    (listener,) = await open_listeners(settings(TcpAddress("0.0.0.0", port), TcpAddress("127.0.0.1", port)))
    try:
        assert listener.address == TcpAddress("0.0.0.0", port)
        assert listener.endpoint(TcpAddress("127.0.0.1", port)).server.protocol is MailProtocol.POP3
        assert listener.endpoint(TcpAddress("127.0.0.2", port)).server.protocol is MailProtocol.IMAP
    finally:
        listener.close()


async def test_a_unix_socket_is_open_to_all_and_removed_at_the_end(tmp_path: Path) -> None:
    """CORE-9: and a stale file is not removed at start."""
    path = tmp_path / "mail.sock"
    (listener,) = await open_listeners(settings(UnixAddress(str(path))))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    listener.close()
    assert not path.exists()


async def test_an_address_in_use_is_named_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """CORE-10."""
    monkeypatch.setattr(listen, "BIND_PAUSE", 0)
    good = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as failed:
            await open_listeners(settings(TcpAddress("127.0.0.1", good), TcpAddress("127.0.0.1", port)))
    assert str(failed.value) == f"bind() to 127.0.0.1:{port} failed (98: Address already in use) in mail.conf:7"
    socket.create_server(("127.0.0.1", good)).close()


async def test_a_reload_takes_over_the_sockets_it_needs() -> None:
    """CORE-79: the queue of a socket that stays is not lost."""
    first, second = free_port(), free_port()
    before = await open_listeners(settings(TcpAddress("127.0.0.1", first)))
    with socket.create_connection(("127.0.0.1", first)):
        after = await open_listeners(settings(TcpAddress("127.0.0.1", second), TcpAddress("127.0.0.1", first)), before)
        with trio.fail_after(5):
            (await after[1].accept())[0].close()
    for listener in after:
        listener.close()


async def test_a_listener_for_several_paths_serves_ordinary_clients_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """CORE-6: where the kernel has no MPTCP, a plain socket takes its place."""
    for number in (listen.IPPROTO_MPTCP, 9999):
        monkeypatch.setattr(listen, "IPPROTO_MPTCP", number)
        port = free_port()
        base = settings(TcpAddress("127.0.0.1", port))
        (server,) = base.servers
        multipath = replace(server, listens=(replace(server.listens[0], multipath=True),))
        (listener,) = await open_listeners(replace(base, servers=(multipath,)))
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        finally:
            listener.close()
