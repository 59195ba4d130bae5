"""A worker on real sockets: what only the kernel can tell a session."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio

from refproxy.config.settings import AuthHttp, Listen, MailProtocol, Settings, TcpAddress, Where
from refproxy.net.listen import open_listeners
from refproxy.observe.events import SessionCrashed
from refproxy.observe.stream import EventStream
from refproxy.worker import Worker
from tests.proxied import Recorder, server_settings


@dataclass
class Asked:
    """A client whose login has come as far as the auth server, which has not answered yet."""

    client: trio.SocketStream
    auth_server: trio.SocketStream
    recorder: Recorder
    worker: trio.CancelScope


@asynccontextmanager
async def session_waiting_for_auth() -> AsyncIterator[Asked]:
    (auth_listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = TcpAddress("127.0.0.1", auth_listener.socket.getsockname()[1])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = replace(
        server_settings(MailProtocol.POP3, auth_http=AuthHttp((address,), b"127.0.0.1", b"/auth")),
        listens=(Listen(TcpAddress("127.0.0.1", port), Where("mail.conf", 2)),),
    )
    settings = Settings("mail.conf", (server,))
    recorder = Recorder()
    listeners = await open_listeners(settings)
    with trio.fail_after(10):
        async with auth_listener, trio.open_nursery() as nursery:
            await nursery.start(Worker(settings, EventStream(recorder)).run, listeners)
            client = await trio.open_tcp_stream("127.0.0.1", port)
            assert await client.receive_some() == b"+OK POP3 ready\r\n"
            await client.send_all(b"AUTH PLAIN AHUAc2VjcmV0\r\n")
            auth_server = await auth_listener.accept()
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += await auth_server.receive_some()
            async with client, auth_server:
                yield Asked(client, auth_server, recorder, nursery.cancel_scope)
            nursery.cancel_scope.cancel()
    for listener in listeners:
        listener.close()


async def test_a_client_that_resets_during_the_auth_request_cancels_it() -> None:
    """CORE-83, AUTH-37: also when it has sent more, which nobody has read."""
    async with session_waiting_for_auth() as asked:
        await asked.client.send_all(b"NOOP\r\n")
        asked.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asked.client.aclose()
        assert await asked.auth_server.receive_some() == b""
    assert asked.recorder.end == "client reset connection"


async def test_a_worker_that_is_stopped_ends_a_login_in_order() -> None:
    """CORE-75: whatever is torn down first."""
    for _ in range(8):  # Trio cancels tasks in any order
        async with session_waiting_for_auth() as asked:
            asked.worker.cancel()
        assert not [event for event in asked.recorder.events if isinstance(event, SessionCrashed)]
