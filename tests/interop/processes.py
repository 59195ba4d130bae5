"""Child processes in the foreground: started, watched through their output, and stopped by their own pid."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["Child", "find_program", "missing"]

PATIENCE = 20.0
"""Seconds until something that must happen soon counts as not happening, on the slowest machine of a build."""

SYSTEM_PROGRAMS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def missing(reason: str) -> NoReturn:
    """A test cannot run here: skip it, or fail where all peers are promised."""
    if os.environ.get("REFPROXY_REQUIRE_PEERS") == "1":
        pytest.fail(f"{reason}, and REFPROXY_REQUIRE_PEERS=1 forbids to skip")
    pytest.skip(reason)


def find_program(name: str, package: str) -> str:
    """The path of a program, also of one outside an ordinary user's PATH."""
    return shutil.which(name, path=SYSTEM_PROGRAMS) or missing(f"{name} is not installed (Debian package {package})")


class Child:
    """A program in the foreground. Its output is kept line by line, and can be waited for."""

    def __init__(self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if env is None else {**os.environ, **env},
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {command[0]}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._changed:
                    self._lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything said so far."""
        return self.output_since(0)

    def mark(self) -> int:
        """The place in the output that has been reached, for `wait_for(since=…)`."""
        with self._changed:
            return len(self._lines)

    def output_since(self, mark: int) -> str:
        """Everything said after a place in the output."""
        with self._changed:
            return "\n".join(self._lines[mark:])

    def wait_for(self, pattern: str, since: int = 0) -> str:
        """Wait for a line of output in which the pattern is found, and return it."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                for line in self._lines[since:]:
                    if re.search(pattern, line):
                        return line
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
            shown = "\n".join(self._lines[since:])
        raise AssertionError(f"{self.process.args!r} did not say {pattern!r}, but:\n{shown}")

    def wait_until_listening(self, *ports: int) -> None:
        """Wait until every port of 127.0.0.1 accepts. Raises AssertionError when the program ended instead."""
        deadline = time.monotonic() + PATIENCE
        for port in ports:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    # Waiting for the end of the program is the pause between two attempts.
                    try:
                        self.process.wait(0.02)
                    except subprocess.TimeoutExpired:
                        pass
                    else:
                        self._reader.join(PATIENCE)
                        raise AssertionError(f"{self.process.args!r} ended:\n{self.output}") from None
                    assert time.monotonic() < deadline, f"{self.process.args!r} does not listen:\n{self.output}"

    def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL for one that does not obey."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Grandchildren may hold the pipe a moment longer.
        self._reader.join(PATIENCE)
