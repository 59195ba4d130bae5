"""The dialogue with the client: send what the core says, meet what it needs, feed the answer back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, assert_never

import trio

from refproxy.dialogue.turn import Authenticate, Close, Connect, End, Line, Octets, Pause, Relay, StartTls, Turn
from refproxy.errors import PeerError, Side
from refproxy.net.line_stream import LineStream, Overlong

__all__ = ["Answer", "Core", "Tell", "converse"]

Answer = Callable[[StartTls | Authenticate | Connect], Awaitable[Turn]]
"""Does what a core asks for, and returns what the core makes of the outcome."""


class Core(Protocol):
    """What a conversation needs of a client-facing core (see refproxy.dialogue.client)."""

    heard: str

    def start(self) -> Turn: ...
    def receive(self, octets: bytes) -> Turn: ...
    def overlong(self, partial: bytes) -> Turn: ...
    def resumed(self, *, early: bool) -> Turn: ...


class Tell(Protocol):
    """Told what crosses between client and proxy."""

    def sent(self, octets: bytes) -> None: ...
    def heard(self, shown: str) -> None: ...


async def converse(core: Core, lines: LineStream, answer: Answer, tell: Tell, *, allowance: float) -> Relay | Close:
    """Carry a dialogue to its end.

    `allowance` (the directive `timeout`, in seconds) is for all input together, from the greeting on (CORE-17): the
    clock stops while the proxy asks the auth server, waits, or logs in, and starts anew when the client is to go on.
    """
    deadline: float | None = None
    turn: Turn | None = core.start()
    try:
        while turn is not None:
            if turn.reply:
                tell.sent(turn.reply)
                with trio.move_on_after(allowance) as writing:
                    await lines.send(turn.reply)
                if writing.cancelled_caught:
                    return Close(End.CLIENT_TIMED_OUT)
            match turn.then:
                case Relay() | Close() as end:
                    return end
                case Line() | Octets() | StartTls() as then:
                    deadline = trio.current_time() + allowance if deadline is None else deadline
                    with trio.CancelScope(deadline=deadline) as waiting:
                        turn = await _hear(core, lines, then, answer, tell)
                    if waiting.cancelled_caught:
                        return Close(End.CLIENT_TIMED_OUT)
                case Pause(seconds, listen=True):
                    turn = await _listen_early(core, lines, seconds, tell)
                case Authenticate() | Connect() | Pause() as then:
                    deadline = None
                    turn = await _unless_reset(core, lines, then, answer)
                case _ as unreachable:
                    assert_never(unreachable)
    except PeerError:
        return Close(End.CLIENT_RESET)
    return Close(End.CLIENT_CLOSED)


async def _hear(
    core: Core, lines: LineStream, need: Line | Octets | StartTls, answer: Answer, tell: Tell
) -> Turn | None:
    """Meet a need and feed it to the core; None at the client's end of file."""
    try:
        match need:
            case StartTls():
                return await answer(need)
            case Line(limit):
                octets = await lines.line(limit)
            case Octets(count, limit):
                octets = await lines.octets(count, limit)
    except Overlong as overlong:
        turn = core.overlong(overlong.partial)
    else:
        if octets is None:
            return None
        turn = core.receive(octets)
    if turn.reply or not isinstance(turn.then, Line):  # else the same line goes on
        tell.heard(core.heard)
    return turn


async def _listen_early(core: Core, lines: LineStream, seconds: float, tell: Tell) -> Turn | None:
    """Wait, unless the client talks before its turn (SMTP-13) or goes away (SMTP-14)."""
    with trio.move_on_after(seconds):
        await lines.wait_input()
        if not lines.pending:
            return None
    turn = core.resumed(early=lines.pending)
    if lines.pending:
        tell.heard(core.heard)
    return turn


async def _unless_reset(core: Core, lines: LineStream, ask: Authenticate | Connect | Pause, answer: Answer) -> Turn:
    """Do what the core asks for; a client that resets its connection meanwhile ends it (IMAP-80, SMTP-91).

    Raises PeerError then. A half-close does not count: the client may still want the answer (SMTP-121).
    """
    turn: Turn | None = None

    async def watch() -> None:
        await lines.wait_reset()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        if isinstance(ask, Pause):
            await trio.sleep(ask.seconds)
            turn = core.resumed(early=False)
        else:
            turn = await answer(ask)
        nursery.cancel_scope.cancel()
    if turn is None:
        raise PeerError(Side.CLIENT, "client reset connection")
    return turn
