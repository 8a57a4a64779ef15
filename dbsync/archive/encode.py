"""Record batches to one chunk: the Parquet profile of the archive, writing side.

What lives here: batches under one schema, row groups, the key range. Must not know: tar, where the
bytes go. Everything here is a pure function and may run in many threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dbsync.archive.layout import Field, Layout, annotate, mismatch
from dbsync.archive.limits import MIB, Limits
from dbsync.archive.profile import writer_options
from dbsync.errors import ArchiveError
from dbsync.model.schema import Table

pc: Any = import_module("pyarrow.compute")  # its kernels are made at run time, unknown to pyright
ROW_GROUP_BYTES = 16 * MIB
"""Arrow bytes of one row group. Measured on 64 MiB of mixed columns: four groups encode and decode
a fifth to a third faster than one (the data stays in cache) and cost 0.4 % in size."""
_MAX_COLUMN_CHUNKS = 20_000
"""Column chunks of one footer: very wide tables get fewer row groups, so it stays small."""
_KEY_TEXT = 256


@dataclass(frozen=True, kw_only=True)
class EncodedChunk:
    """One chunk ready to be appended. `key_min` and `key_max` are texts of the first key column,
    None where it has no total order here or a value beyond its type."""

    data: pa.Buffer
    rows: int
    arrow_bytes: int
    key_min: str | None = None
    key_max: str | None = None
    exceptions: tuple[str, ...] = ()
    """The exceptions fields that it has."""

    @cached_property
    def sha256(self) -> str:
        """Digest of the data; made when it is asked for, because encryption needs another."""
        return hashlib.sha256(self.data).hexdigest()


def encode_chunk(
    table: Table, batches: Sequence[pa.RecordBatch], *, compression_level: int = 3
) -> EncodedChunk:
    """Encode batches of one table as one chunk.

    Equal batches give equal bytes under one release of pyarrow. A chunk has the exceptions field
    of a column only if one of its rows needs it, whatever the batches carry. Raises
    E_SCHEMA_MISMATCH for batches that are not as the table says (names, types, text that is not
    UTF-8), E_ROWCOUNT for no rows, E_LIMIT for more than a reader accepts by default.
    """
    layout = Layout(table)
    rows = sum(batch.num_rows for batch in batches)
    arrow_bytes = sum(batch.nbytes for batch in batches)
    if rows == 0:
        raise ArchiveError("E_ROWCOUNT", f"a chunk of table {table.name} would have no rows")
    if arrow_bytes > Limits().max_arrow_bytes:
        raise ArchiveError(
            "E_LIMIT",
            f"a chunk of table {table.name} would hold {arrow_bytes} bytes",
            hint="Use a smaller --chunk-bytes.",
        )
    data = _assemble(layout, batches)
    key_min, key_max = _key_range(layout, data)
    return EncodedChunk(
        data=_written(layout, data, compression_level, arrow_bytes),
        rows=rows,
        arrow_bytes=arrow_bytes,
        key_min=key_min,
        key_max=key_max,
        exceptions=tuple(data.schema.names[len(layout.values) :]),
    )


def encode_file(
    table: Table,
    batches: Sequence[pa.RecordBatch],
    *,
    compression_level: int = 3,
    exceptions: Collection[str] = (),
) -> EncodedChunk:
    """Encode batches of one table as a Parquet file that is part of no archive.

    As a chunk, but it may have no rows, and has the fields in `exceptions` in any case.
    """
    layout = Layout(table)
    data = _assemble(layout, batches, exceptions)
    arrow_bytes = sum(batch.nbytes for batch in batches)
    return EncodedChunk(
        data=_written(layout, data, compression_level, arrow_bytes),
        rows=data.num_rows,
        arrow_bytes=arrow_bytes,
        exceptions=tuple(data.schema.names[len(layout.values) :]),
    )


def _written(layout: Layout, data: pa.Table, level: int, arrow_bytes: int) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    options = writer_options(layout, data, level, arrow_bytes)
    with pq.ParquetWriter(sink, data.schema, **options) as writer:
        groups = max(1, round(arrow_bytes / ROW_GROUP_BYTES))
        groups = min(groups, max(1, _MAX_COLUMN_CHUNKS // len(data.schema)))
        writer.write_table(data, row_group_size=max(1, -(-data.num_rows // groups)))
    return sink.getvalue()


def _assemble(
    layout: Layout, batches: Sequence[pa.RecordBatch], exceptions: Collection[str] = ()
) -> pa.Table:
    """Bring batches with different exceptions fields under one schema."""
    needed = set(exceptions)
    for batch in batches:
        for field in layout.check_batch(batch.schema)[len(layout.values) :]:
            if batch.column(field.name).null_count < batch.num_rows:
                needed.add(field.name)
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise mismatch(layout.table, str(error)) from error
    fields = layout.present(needed)
    schema = pa.schema([pa.field(f.name, f.parquet_type) for f in fields])
    # A column name may repeat the name of no other field, so positions by name are safe.
    parts = [
        pa.RecordBatch.from_arrays([_column(batch, f) for f in fields], schema=schema)
        for batch in batches
        if batch.num_rows
    ]
    return pa.Table.from_batches(parts, schema)


def _column(batch: pa.RecordBatch, field: Field) -> pa.Array:
    index = batch.schema.get_field_index(field.name)
    if index < 0:
        return pa.nulls(batch.num_rows, field.parquet_type)
    return annotate(batch.column(index), field)


def _key_range(layout: Layout, data: pa.Table) -> tuple[str | None, str | None]:
    key = layout.table.primary_key
    if key is None or not key.columns:
        return None, None
    column = layout.table.column(key.columns[0])
    values = data.column(column.name)
    kind = values.type
    ordered = pa.types.is_integer(kind) or kind == pa.string() or pa.types.is_date(kind)
    if not (ordered or pa.types.is_timestamp(kind)):
        return None, None
    if values.null_count:  # a value beyond the column's type is NULL here
        return None, None
    bounds = pc.min_max(values)
    low, high = (_text(bounds[part]) for part in ("min", "max"))
    return (low, high) if low is not None and high is not None else (None, None)


def _text(value: pa.Scalar) -> str | None:
    """Give a bound as text; None where it is too long, or a moment that Arrow cannot print."""
    text = value.cast(pa.string()).as_py()
    beyond = pa.types.is_temporal(value.type) and text.startswith("<")
    return None if len(text) > _KEY_TEXT or beyond else text
