"""Rows in pieces of about one size, one piece in memory at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from dbsync.connectors.base import Partition
from dbsync.model.schema import Name, Table
from dbsync.pipeline.reading import partition_bytes, read_chunks

TABLE = Table(name=Name(None, "t"), columns=())
ALL = Partition(table=TABLE.name, number=0)


class Rows:
    """A snapshot of batches that notes when its reader is closed."""

    def __init__(self, sizes: list[int]):
        self._sizes = sizes
        self.given = 0
        self.closed = False

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        try:
            for size in self._sizes:
                self.given += 1
                yield pa.record_batch({"n": pa.array(range(size), pa.int64())})
        finally:
            self.closed = True


def pieces(rows: Any, chunk_bytes: int, stopping: threading.Event | None = None) -> Any:
    return read_chunks(rows, TABLE, ALL, chunk_bytes, stopping or threading.Event())


def test_pieces_hold_about_so_much() -> None:
    """A piece ends with the batch that fills it; batches without rows are left out."""
    rows = Rows([10, 0, 10, 10, 0, 5])
    assert [[b.num_rows for b in piece] for piece in pieces(rows, 160)] == [[10, 10], [10, 5]]
    assert list(pieces(Rows([0, 0]), 160)) == []


def test_nothing_is_read_ahead() -> None:
    """The next batch is asked for only when the next piece is."""
    rows = Rows([10] * 5)
    reading = pieces(rows, 80)
    next(reading)
    assert rows.given == 1


def test_a_reader_that_is_left_is_closed() -> None:
    """Whoever stops in the middle frees the connection; and so does an event from outside."""
    rows, stopping = Rows([10] * 5), threading.Event()
    with closing(pieces(rows, 80)) as reading:
        next(reading)
    assert rows.closed
    rows = Rows([10] * 5)
    reading = pieces(rows, 80, stopping)
    next(reading)
    stopping.set()
    assert list(reading) == []
    assert rows.closed
    assert rows.given == 2


@pytest.mark.parametrize(
    ("where", "size", "wanted"),
    [(None, 10**9, 750), ("n > 1", None, 1000), ("n > 1", 10**9, 8000), ("n > 1", 20_000, 2500)],
)
def test_ranges(where: str | None, size: int | None, wanted: int) -> None:
    """A range makes one chunk; where a condition may leave few rows of it, it is larger."""
    table = Table(name=TABLE.name, columns=(), where=where, bytes_estimate=size)
    assert partition_bytes(table, 1000, 2) == wanted
