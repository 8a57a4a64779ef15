"""Checking a whole archive: every byte, every page, every count.

What lives here: `verify_archive`. Must not know: databases.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pyarrow as pa

from dbsync.archive.archive import Archive, ChunkRef
from dbsync.errors import ArchiveError
from dbsync.model.types import parse_storage

pc: Any = import_module("pyarrow.compute")  # its kernels are made at run time, unknown to pyright


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was checked. `members` counts those that the catalog lists."""

    members: int
    chunks: int
    rows: int
    bytes: int


def verify_chunk(chunk: ChunkRef) -> int:
    """Decode a chunk whole and return its rows; raise `ArchiveError` for anything wrong with it.

    Checks header, padding and digest of the member, then page CRCs, schema, text, and the number
    of rows and the range of keys against the catalog. May run in any thread.
    """
    rows = 0
    bounds = _bounds(chunk)
    for batch in chunk.batches():
        rows += batch.num_rows
        if bounds is not None:
            _check_keys(chunk, batch, *bounds)
    return rows


def _bounds(chunk: ChunkRef) -> tuple[pa.Field, pa.Scalar, pa.Scalar] | None:
    """Read the catalog's range of the first key column; readers skip chunks by it (rule 6.3)."""
    key = chunk.table.primary_key
    if chunk.key_range is None or key is None or not key.columns:
        return None
    column = chunk.table.column(key.columns[0])
    kind = parse_storage(column.storage)
    try:
        low, high = pa.array(chunk.key_range, pa.string()).cast(kind)
    except pa.ArrowInvalid as error:
        if pa.types.is_temporal(kind):  # years beyond four digits: no reader can use the range
            return None
        raise _false_range(chunk, column.name) from error
    return pa.field(column.name, kind), low, high


def _check_keys(
    chunk: ChunkRef, batch: pa.RecordBatch, field: pa.Field, low: pa.Scalar, high: pa.Scalar
) -> None:
    values = batch.column(batch.schema.get_field_index(field.name))
    within = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
    if values.null_count or not pc.all(within, min_count=0).as_py():
        raise _false_range(chunk, field.name)


def _false_range(chunk: ChunkRef, column: str) -> ArchiveError:
    return ArchiveError(
        "E_CATALOG_MISMATCH",
        f"chunk {chunk.number} of table {chunk.table.name} has values of {column!r} outside the "
        "range that the catalog gives",
    )


def verify_archive(
    archive: Archive,
    *,
    tables: Container[int] | None = None,
    on_chunk: Callable[[ChunkRef, int], object] | None = None,
) -> VerifyReport:
    """Check everything that opening the archive has not checked yet.

    Together with opening it, this looks at every byte: a file in which any bit was flipped is
    found. With `tables`, chunks of other tables are left out in random mode, and only their
    digests are checked in a stream. `on_chunk` is called after each chunk with its rows.
    """
    chunks = rows = 0
    for chunk in archive.chunks(tables):
        found = verify_chunk(chunk)
        chunks += 1
        rows += found
        if on_chunk is not None:
            on_chunk(chunk, found)
    archive.check_others()
    return VerifyReport(members=len(archive.entries), chunks=chunks, rows=rows, bytes=archive.size)
