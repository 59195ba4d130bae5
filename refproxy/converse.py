"""The dialogue with the client: send what the core says, meet what it needs, feed the answer back."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from refproxy.dialogue.turn import Authenticate, Close, Connect, End, Line, Octets, Pause, Relay, StartTls, Turn
from refproxy.errors import PeerError
from refproxy.net.line_stream import LineStream, Overlong

__all__ = ["Answer", "Core", "Tell", "converse"]

_CLIENT_IS_NEXT = (Line, Octets, StartTls)
_PROXY_IS_NEXT = (Authenticate, Connect, Pause)

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
    """Told what crosses between client and proxy, if it wants that."""

    @property
    def wants_lines(self) -> bool: ...
    def sent(self, octets: bytes) -> None: ...
    def heard(self, shown: str) -> None: ...


async def converse(
    core: Core, lines: LineStream, answer: Answer, tell: Tell, *, clock: trio.CancelScope, allowance: float
) -> Relay | Close:
    """Carry a dialogue to its end, inside the scope `clock`.

    `allowance` (the directive `timeout`, in seconds) is for all input together, from the greeting on (CORE-17): the
    clock stops while the proxy asks the auth server, waits, or logs in, and starts anew when the client is to go on.
    While it stands still, a client that resets its connection cancels it (CORE-83).
    """
    try:
        turn: Turn | None = core.start()
        while turn is not None:  # None stands for the client's end of file
            reply, then = turn
            client_is_next = isinstance(then, _CLIENT_IS_NEXT)
            if clock.deadline == math.inf and (client_is_next or reply):
                clock.deadline = trio.current_time() + allowance
            if reply:
                if tell.wants_lines:
                    tell.sent(reply)
                await lines.send(reply)
            if isinstance(then, _CLIENT_IS_NEXT):
                turn = await _hear(core, lines, then, answer, tell)
            elif isinstance(then, Pause) and then.listen:
                turn = await _listen_early(core, lines, then.seconds, tell)
            elif isinstance(then, _PROXY_IS_NEXT):
                turn = await _unless_reset(core, lines, turn, answer, clock)
            else:
                return then
        return Close(End.CLIENT_CLOSED)
    except PeerError:
        return Close(End.CLIENT_RESET)


async def _hear(
    core: Core, lines: LineStream, need: Line | Octets | StartTls, answer: Answer, tell: Tell
) -> Turn | None:
    """Meet a need and feed it to the core; None at the client's end of file."""
    try:
        if isinstance(need, Line):
            octets = await lines.line(need.limit)
        elif isinstance(need, Octets):
            octets = await lines.octets(need.count, need.limit)
        else:
            return await answer(need)
    except Overlong as overlong:
        turn = core.overlong(overlong.partial)
    else:
        if octets is None:
            return None
        turn = core.receive(octets)
    if tell.wants_lines and (turn.reply or not isinstance(turn.then, Line)):  # else the same line goes on
        tell.heard(core.heard)
    return turn


async def _listen_early(core: Core, lines: LineStream, seconds: float, tell: Tell) -> Turn | None:
    """Wait, unless the client talks before its turn (SMTP-13) or goes away (SMTP-14)."""
    with trio.move_on_after(seconds):
        await lines.wait_input()
        if not lines.pending:
            return None
    turn = core.resumed(early=lines.pending)
    if lines.pending and tell.wants_lines:
        tell.heard(core.heard)
    return turn


async def _unless_reset(core: Core, lines: LineStream, turn: Turn, answer: Answer, clock: trio.CancelScope) -> Turn:
    """Carry out the turn; a client that resets its connection meanwhile cancels `clock` (CORE-83).

    A half-close does not count: the client may still want the answer (SMTP-121).
    """
    clock.deadline = math.inf
    if lines.reset_cancels is not None:
        with lines.reset_cancels(clock):
            return await _carry_out(core, turn, answer)

    async def watch() -> None:
        await lines.wait_reset()
        clock.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        turn = await _carry_out(core, turn, answer)
        nursery.cancel_scope.cancel()
    return turn


async def _carry_out(core: Core, turn: Turn, answer: Answer) -> Turn:
    """Do what the core asks for, and what it asks next, until there is something to tell the client, or to hear."""
    while isinstance(turn.then, _PROXY_IS_NEXT):
        if isinstance(turn.then, Pause):
            await trio.sleep(turn.then.seconds)
            turn = core.resumed(early=False)
        else:
            turn = await answer(turn.then)
        if turn.reply:
            break
    return turn
