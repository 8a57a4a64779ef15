"""What every test of the Treasure Data connector needs: no proxy between it and its server."""

from __future__ import annotations

import pytest

from tests.unit.connectors.treasuredata.scripted import Time


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def time() -> Time:
    """A clock that only waiting moves."""
    return Time()
