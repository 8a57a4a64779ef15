"""Fixtures of whole commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbsync.pipeline import access
from dbsync.storage.location import Location
from dbsync.storage.options import StorageOptions
from tests.counting import CountingStorage


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Callable[[], CountingStorage]:
    """Put a counting store in front of every place; the call returns the one used last."""
    used: list[CountingStorage] = []
    original = access.open_location

    def opened(text: str, options: StorageOptions | None = None) -> Location:
        location = original(text, options)
        used.append(CountingStorage(location.storage))
        return Location(
            storage=used[-1],
            key=location.key,
            display=location.display,
            is_folder=location.is_folder,
        )

    monkeypatch.setattr(access, "open_location", opened)
    return lambda: used[-1]
