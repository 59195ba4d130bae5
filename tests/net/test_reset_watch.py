"""Noticing that a client is gone while its session waits for somebody else."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio

from refproxy.net.reset_watch import ResetWatch


@contextmanager
def tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        ours = server.accept()[0]
    with peer, ours:
        yield peer, ours


@asynccontextmanager
async def running_watch() -> AsyncIterator[ResetWatch]:
    watch = ResetWatch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        yield watch
        nursery.cancel_scope.cancel()
    watch.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("sent_before", [b"", b"unread"])
async def test_a_reset_cancels_the_scope_also_behind_unread_octets(sent_before: bytes) -> None:
    """CORE-83."""
    with tcp_pair() as (peer, ours), trio.fail_after(10):
        async with running_watch() as watch:
            peer.sendall(sent_before)
            with trio.CancelScope() as scope, watch.reset_cancels(ours, scope):
                reset(peer)
                await trio.sleep_forever()
            assert scope.cancelled_caught


async def test_a_half_close_does_not_count_and_a_reset_after_it_does() -> None:
    """SMTP-121."""
    with tcp_pair() as (peer, ours), trio.fail_after(10):
        async with running_watch() as watch:
            with trio.CancelScope() as scope, watch.reset_cancels(ours, scope):
                peer.sendall(b"the last words")
                peer.shutdown(socket.SHUT_WR)
                await trio.testing.wait_all_tasks_blocked()
                assert not scope.cancel_called
                reset(peer)
                await trio.sleep_forever()
            assert scope.cancelled_caught


async def test_a_reset_after_the_watch_cancels_nothing_and_a_descriptor_may_come_again() -> None:
    async with running_watch() as watch:
        with tcp_pair() as (peer, ours):
            scopes = [trio.CancelScope(), trio.CancelScope()]
            for scope in scopes:
                with scope, watch.reset_cancels(ours, scope):
                    await trio.testing.wait_all_tasks_blocked()
            reset(peer)
            await trio.testing.wait_all_tasks_blocked()
            assert not any(scope.cancel_called for scope in scopes)
