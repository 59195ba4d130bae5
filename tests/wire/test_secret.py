"""Secrets are for the wire only."""

from __future__ import annotations

from refproxy.wire.secret import Secret


def test_a_secret_shows_nothing_in_any_form() -> None:
    secret = Secret(b"hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret]), repr({"password": secret})):
        assert "hunter2" not in shown
        assert b"hunter2".hex() not in shown
    assert secret.reveal() == b"hunter2"


def test_secrets_are_values() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"
    assert len({Secret(b"a"), Secret(b"a"), Secret(b"b")}) == 2
