"""Small tables, batches and archives for the tests of `dbsync.archive`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from dbsync.archive import (
    Archive,
    ArchiveWriter,
    HeadConsistency,
    Limits,
    encode_chunk,
    open_archive,
    open_stream,
)
from dbsync.model.schema import Column, Database, Key, Name, Table
from dbsync.model.types import LogicalType, integer, parse_storage, standard_storage
from dbsync.model.values import EXCEPTIONS_TYPE

MODES = ("random", "stream")
STARTED = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
BIGINT = integer(64)
TEXT = LogicalType(name="string")


def column(name: str, kind: LogicalType = BIGINT, **more: Any) -> Column:
    """Describe a column in its standard storage."""
    return Column(
        name=name,
        type=kind,
        native_type=str(kind),
        storage=standard_storage(kind),
        exceptions=f"{name}:exceptions",
        **more,
    )


def table(name: str, *columns: Column, key: Sequence[str] = ()) -> Table:
    """Describe a table."""
    return Table(
        name=Name(None, name), columns=columns, primary_key=Key(columns=tuple(key)) if key else None
    )


ITEMS = table("items", column("id"), column("name", TEXT), key=["id"])
NOTES = table("notes", column("text", TEXT))


def batch(of: Table, *values: Sequence[Any], **exceptions: Sequence[Any]) -> pa.RecordBatch:
    """Make a batch from Python values; keywords give exceptions fields by column."""
    arrays = {
        c.name: pa.array(v, parse_storage(c.storage))
        for c, v in zip(of.columns, values, strict=True)
    }
    for name, items in exceptions.items():
        arrays[of.column(name).exceptions] = pa.array(items, EXCEPTIONS_TYPE)
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def items(*ids: int) -> pa.RecordBatch:
    """Make rows of `ITEMS`."""
    return batch(ITEMS, ids, [f"item {i}" for i in ids])


def database(*tables: Table) -> Database:
    """Describe a database."""
    return Database(engine="sqlite", version="3", name="d", tables=tables)


def start(out: io.BytesIO, of: Database, **more: Any) -> ArchiveWriter:
    """Start an archive with a fixed id and time."""
    return ArchiveWriter(
        out.write,
        database=of,
        consistency=HeadConsistency(level="snapshot"),
        include_schema=True,
        archive_id="test",
        started=STARTED,
        **more,
    )


def write(of: Database, *chunks: tuple[int, Sequence[pa.RecordBatch]], **more: Any) -> bytes:
    """Write a whole archive."""
    out = io.BytesIO()
    writer = start(out, of, **more)
    for index, batches in chunks:
        writer.add_chunk(index, encode_chunk(of.tables[index], batches))
    writer.finish(finished=STARTED)
    return out.getvalue()


def small() -> bytes:
    """Write an archive of two tables and three chunks, one with an exceptions field."""
    odd = batch(NOTES, ["a", None], text=[None, {"kind": "blob", "value": b"\xff"}])
    return write(database(ITEMS, NOTES), (0, [items(1, 2, 3)]), (1, [odd]), (0, [items(4, 5)]))


def opened(data: bytes, mode: str, limits: Limits | None = None) -> Archive:
    """Open bytes in one of the two modes."""
    if mode == "stream":
        return open_stream(io.BytesIO(data), limits=limits)
    return open_archive(lambda offset, length: data[offset : offset + length], len(data),
                        limits=limits)  # fmt: skip


def rows_of(archive: Archive) -> dict[str, list[dict[str, Any]]]:
    """Read everything, as Python values by table."""
    rows: dict[str, list[dict[str, Any]]] = {str(t.name): [] for t in archive.database.tables}
    for chunk in archive.chunks():
        for part in chunk.batches():
            rows[str(chunk.table.name)] += part.to_pylist()
    return rows
