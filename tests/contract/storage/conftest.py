"""The stores that the contract suite runs on; a new store is one more entry here."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.storage.base import Storage
from dbsync.storage.local import LocalStorage
from dbsync.storage.memory import MemoryStorage


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path)
    return MemoryStorage()
