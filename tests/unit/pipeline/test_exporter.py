"""What an export says when its archive cannot be written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import dbsync
from dbsync.archive import EncodedChunk, encode_chunk
from dbsync.errors import StorageError
from dbsync.pipeline import exporter


class _LastFailureFirst:
    """Runs every task, and reports the failure that came last: threads may end in any order."""

    def __init__(self, jobs: int):
        self.stopping = threading.Event()

    def run(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        last: BaseException | None = None
        for task in tasks:
            try:
                yield function(task)
            except Exception as error:
                last = error
        if last is not None:
            raise last


class _FullStore:
    """Takes what comes before the first chunk, and then nothing."""

    full = False

    def write(self, data: object) -> int:
        if self.full:
            raise StorageError("the store is full")
        return memoryview(data).nbytes  # type: ignore[arg-type]


def test_the_failure_of_a_write_is_what_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other threads find a failed archive; the user is told why it failed, not that it did."""
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection, connection:
        for name in ("a", "b", "c"):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
            connection.execute(f"INSERT INTO {name} VALUES (1)")
    store = _FullStore()

    def encode(*arguments: Any, **options: Any) -> EncodedChunk:
        store.full = True
        return encode_chunk(*arguments, **options)

    monkeypatch.setattr(exporter, "encode_chunk", encode)
    monkeypatch.setattr(exporter, "ThreadExecutor", _LastFailureFirst)
    with pytest.raises(StorageError, match="the store is full"):
        dbsync.export_database(f"sqlite:///{tmp_path}/a.sqlite", store)  # type: ignore[arg-type]
