"""Fixtures for all tests."""

from __future__ import annotations

import pytest

from tests.pki import Pki, make_pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """An authority and its certificates."""
    return make_pki(tmp_path_factory.mktemp("pki"))
