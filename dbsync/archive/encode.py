"""Record batches to one chunk: the Parquet profile of the archive, writing side.

What lives here: which encoding each column gets, row groups, statistics, the key range. Must not
know: tar, where the bytes go. Everything here is a pure function and may run in many threads.
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
from dbsync.errors import ArchiveError
from dbsync.model.schema import Table

pc: Any = import_module("pyarrow.compute")  # its kernels are made at run time, unknown to pyright
ROW_GROUP_BYTES = 16 * MIB
"""Arrow bytes of one row group. Measured on 64 MiB of mixed columns: four groups encode and decode
a fifth to a third faster than one (the data stays in cache) and cost 0.4 % in size."""
PAGE_BYTES = MIB
_MAX_COLUMN_CHUNKS = 20_000
"""Column chunks of one footer: very wide tables get fewer row groups, so it stays small."""
_SAMPLE = 2_000
_KEY_TEXT = 256
_DELTA_MAX_DECIMAL = 18
"""Decimals up to this precision are stored as INT32 or INT64, which DELTA_BINARY_PACKED takes."""


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
    with _open_writer(sink, layout, data, level, arrow_bytes) as writer:
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


def _open_writer(
    sink: pa.BufferOutputStream, layout: Layout, data: pa.Table, level: int, arrow_bytes: int
) -> pq.ParquetWriter:
    """Open a writer with the encoding that each column deserves.

    pyarrow addresses columns by dotted path, so a column whose name equals the path of a leaf of
    an exceptions field gets no settings of its own.
    """
    leaves = {f"{f.name}.{leaf.name}" for f in layout.exceptions for leaf in f.type}
    encodings: dict[str, str] = {}
    dictionary: list[str] = []
    for field in layout.values:
        if field.name in leaves:
            continue
        if encoding := _encoding(field.type):
            encodings[field.name] = encoding
        elif field.type in (pa.string(), pa.binary()) and _repeats(data.column(field.name)):
            dictionary.append(field.name)
    key = layout.table.primary_key.columns if layout.table.primary_key else ()
    options: dict[str, Any] = {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": "zstd",
        "compression_level": level,
        "use_dictionary": dictionary or False,
        "column_encoding": encodings or None,
        "write_statistics": [name for name in key if name not in leaves] or False,
        "store_schema": False,
        "store_decimal_as_integer": True,
        "write_page_checksum": True,
        "write_page_index": False,
        "data_page_size": PAGE_BYTES,
        # How many values may pass before the page size is looked at: fewer where they are large.
        "write_batch_size": max(1, min(1024, data.num_rows * PAGE_BYTES // max(1, arrow_bytes))),
    }
    return pq.ParquetWriter(sink, data.schema, **options)


def _encoding(kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return "DELTA_BINARY_PACKED"
    if pa.types.is_decimal(kind) and kind.precision <= _DELTA_MAX_DECIMAL:
        return "DELTA_BINARY_PACKED"
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"
    return None


def _repeats(column: pa.ChunkedArray) -> bool:
    """Say whether a dictionary pays: at most half of about 2,000 values, spread over the chunk,
    are distinct, which means some 1,250 distinct values or fewer where they are spread evenly."""
    if isinstance(column.type, pa.BaseExtensionType) or not len(column):
        return False
    step = max(1, len(column) // _SAMPLE)
    parts, begin = [], 0
    # One part after the other: Arrow takes from a column of several by joining all of it first.
    for part in column.chunks:
        end = min(len(part), step * _SAMPLE - begin)
        parts.append(part.take(pa.array(range(-begin % step, end, step), pa.int32())))
        begin += len(part)
    sample = pa.chunked_array(parts).drop_null()
    return len(sample) > 1 and pc.count_distinct(sample).as_py() * 2 <= len(sample)


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
