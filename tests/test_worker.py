"""A worker on real sockets: what only the kernel can tell a session."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import trio

from refproxy.config.settings import AuthHttp, Listen, MailProtocol, Settings, TcpAddress, Where
from refproxy.net.listen import open_listeners
from refproxy.observe.stream import EventStream
from refproxy.worker import Worker
from tests.proxied import Recorder, server_settings


async def test_a_client_that_resets_during_the_auth_request_cancels_it() -> None:
    """CORE-83, AUTH-37: also when it has sent more, which nobody has read."""
    auth_server = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = TcpAddress("127.0.0.1", auth_server[0].socket.getsockname()[1])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = replace(
        server_settings(MailProtocol.POP3, auth_http=AuthHttp((address,), b"127.0.0.1", b"/auth")),
        listens=(Listen(TcpAddress("127.0.0.1", port), Where("mail.conf", 2)),),
    )
    settings = Settings("mail.conf", (server,))
    recorder = Recorder()
    worker = Worker(settings, EventStream(recorder))
    listeners = await open_listeners(settings)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run, listeners)
            client = await trio.open_tcp_stream("127.0.0.1", port)
            assert await client.receive_some() == b"+OK POP3 ready\r\n"
            await client.send_all(b"AUTH PLAIN AHUAc2VjcmV0\r\n")
            asked = await auth_server[0].accept()
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += await asked.receive_some()
            await client.send_all(b"NOOP\r\n")
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await client.aclose()
            assert await asked.receive_some() == b""
            nursery.cancel_scope.cancel()
    assert recorder.end == "client reset connection"
    for listener in listeners:
        listener.close()
    await asked.aclose()
    await auth_server[0].aclose()
