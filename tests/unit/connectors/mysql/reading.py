"""Reading whole tables in tests, through the source as an export does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from dbsync.connectors.base import Snapshot
from dbsync.connectors.mysql.source import MysqlSource
from dbsync.model.schema import Name, Table
from dbsync.model.selection import Selection
from dbsync.model.values import column_values, to_text


def name_of(url: str) -> str:
    """Take the database's name out of a URL."""
    return url.partition("?")[0].rsplit("/", 1)[1]


@contextmanager
def snapshot(
    url: str,
    *,
    jobs: int = 1,
    include_schema: bool = False,
    lock_timeout_s: int = 10,
    **selection: Any,
) -> Iterator[Snapshot]:
    """Open a source and a snapshot of it; the selection's fields are keyword arguments."""
    source = MysqlSource(url, jobs=jobs, lock_timeout_s=lock_timeout_s)
    try:
        with source.snapshot(Selection(**selection), include_schema=include_schema) as found:
            yield found
    finally:
        source.close()


def table(snap: Snapshot, name: str) -> Table:
    """Find a table of a snapshot by its name."""
    return snap.database.table(Name(None, name))


def batches(snap: Snapshot, name: str, target_bytes: int = 1 << 30) -> list[pa.RecordBatch]:
    """Read every partition of a table."""
    found = table(snap, name)
    return [
        batch
        for partition in snap.partitions(found, target_bytes)
        for batch in snap.read(found, partition)
    ]


def whole(snap: Snapshot, name: str, target_bytes: int = 1 << 30) -> pa.RecordBatch:
    """Read a table as one batch; an exceptions field that a batch lacked is NULL in its rows."""
    parts = [pa.Table.from_batches([batch]) for batch in batches(snap, name, target_bytes)]
    combined = pa.concat_tables(parts, promote_options="default").combine_chunks()
    (batch,) = combined.to_batches()
    return batch


def texts(snap: Snapshot, name: str) -> dict[str, list[str | None]]:
    """Write every column of a table as canonical text, exceptions included, in key order."""
    batch, found = whole(snap, name), table(snap, name)
    result: dict[str, list[str | None]] = {}
    for column in found.columns:
        values, exceptions = column_values(batch, column)
        if column.type.name == "boolean" and pa.types.is_int8(values.type):
            shown: list[str | None] = values.cast(pa.string()).to_pylist()
        else:
            shown = to_text(values, column.type).to_pylist()
        if exceptions is not None:
            for row, odd in enumerate(exceptions.to_pylist()):
                if odd is not None:
                    assert shown[row] is None
                    assert odd["kind"] == "literal"
                    shown[row] = odd["value"].decode()
        result[column.name] = shown
    return result
