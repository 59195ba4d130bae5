"""Faults in the life of the process: signals, reload, the end of sessions."""

from __future__ import annotations

from refproxy.master import _Master
from refproxy.session import Session
from refproxy.worker import Worker
from tests.mutants.catalog import fault
from tests.mutants.edits import edited

fault(
    "quit-at-once",
    "SIGQUIT ends sessions",
    "*/shutdown/quit-*",
    (
        _Master,
        "_quit",
        edited(("nursery.start_soon(self._end_when_drained, nursery)", "nursery.cancel_scope.cancel()")),
    ),
)
fault(
    "quit-never-ends",
    "after SIGQUIT and the last session the process stays",
    "*/shutdown/quit-*",
    (_Master, "_quit", edited(("nursery.start_soon(self._end_when_drained, nursery)", "pass"))),
)
fault(
    "interrupt-ignored",
    "SIGINT does nothing",
    "smtp/shutdown/sigint-*",
    (_Master, "_obey", edited(("signal.SIGTERM | signal.SIGINT", "signal.SIGTERM"))),
)
fault(
    "shutdown-without-timeout",
    "worker_shutdown_timeout does nothing",
    "*/shutdown/timeout-*",
    (Worker, "_cut_after", edited(("session.cut()", "pass"))),
)
fault(
    "shutdown-without-farewell",
    "a dialogue is cut without a word",
    "pop3/shutdown/timeout-*",
    (Session, "_farewell", edited(("if self._core.in_relay or self._speechless:", "if True:"))),
)
fault(
    "shutdown-word-into-a-relay",
    "a relay is cut with the internal error",
    "*/shutdown/timeout-cuts-relays*",
    (Session, "_farewell", edited(("self._core.in_relay or ", ""))),
)
fault(
    "reload-of-nothing",
    "new clients are served as before a reload",
    "smtp/shutdown/reload-*",
    (_Master, "_reload", edited(("settings = self._load()", "self._load(); settings = current.worker.settings"))),
)
fault(
    "reload-cuts-sessions",
    "a reload ends the sessions that are there",
    "smtp/shutdown/reload-*",
    (
        _Master,
        "_reload",
        edited(
            (
                "await current.worker.drain()",
                "await current.worker.drain(); [session.cut() for session in tuple(current.worker._sessions)]",
            )
        ),
    ),
)
fault(
    "reload-ends-with-a-broken-configuration",
    "a reload with a broken configuration ends the process",
    "smtp/shutdown/broken-*",
    (
        _Master,
        "_reload",
        edited(('current.events.emit(WentWrong(None, f"reload failed: {error}"))', "nursery.cancel_scope.cancel()")),
    ),
)
