"""The Parquet profile of a chunk: how each column is encoded, and how hard it is compressed.

What lives here: the options of pyarrow's writer, chosen by looking at types and samples of values.
Must not know: row groups, where the bytes go. The rules are those of archive-v1.md, section 5.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from dbsync.archive.layout import Layout
from dbsync.archive.limits import KIB, MIB

pc: Any = import_module("pyarrow.compute")  # its kernels are made at run time, unknown to pyright
PAGE_BYTES = MIB
_DELTA_MAX_DECIMAL = 18
"""Decimals up to this precision are stored as INT32 or INT64, which DELTA_BINARY_PACKED takes."""
_SAMPLE_VALUES = 2_000
_SCATTER = 2_654_435_769
"""Multiples of it, cut to 32 bits, are spread evenly and in no order (Knuth, The Art of Computer
Programming, volume 3, 6.4)."""
_SAMPLE_BYTES = 64 * KIB
_LONG = MIB
"""Columns with fewer bytes are not worth a look at their level."""
_TOLERANCE = 1.01
_SEARCHING = 4
"""From this level on, whoever asks for it wants the smallest archive."""


def writer_options(layout: Layout, data: pa.Table, level: int, arrow_bytes: int) -> dict[str, Any]:
    """Choose the options with which pyarrow's ParquetWriter writes a chunk of these rows.

    `level` is zstd's; long text gets a lower one where that makes it hardly larger. The same rows
    give the same options.

    pyarrow addresses columns by dotted path, so a column whose name equals the path of a leaf of
    an exceptions field gets no settings of its own.
    """
    leaves = {f"{f.name}.{leaf.name}" for f in layout.exceptions for leaf in f.type}
    levels = dict.fromkeys((*data.schema.names, *leaves), level)
    encodings: dict[str, str] = {}
    dictionary: list[str] = []
    for field in layout.values:
        if field.name in leaves:
            continue
        if encoding := _encoding(field.type):
            encodings[field.name] = encoding
        elif field.type in (pa.string(), pa.binary()):
            column = _stored(data.column(field.name))
            if field.type == field.parquet_type and _repeats(column):
                dictionary.append(field.name)
            else:
                levels[field.name] = _level(column, level)
    key = layout.table.primary_key.columns if layout.table.primary_key else ()
    return {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": "zstd",
        "compression_level": levels,
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


def _encoding(kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return "DELTA_BINARY_PACKED"
    if pa.types.is_decimal(kind) and kind.precision <= _DELTA_MAX_DECIMAL:
        return "DELTA_BINARY_PACKED"
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"
    return None


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        return pa.chunked_array([part.storage for part in column.chunks], column.type.storage_type)
    return column


def _repeats(column: pa.ChunkedArray) -> bool:
    """Say whether a dictionary pays: at most half of about 2,000 values, spread over the chunk,
    are distinct, which means some 1,250 distinct values or fewer where they are spread evenly."""
    step = max(1, len(column) // _SAMPLE_VALUES)
    count = min(len(column), _SAMPLE_VALUES)
    # Somewhere in each stretch: always its first row would be the same one of rows in turn.
    turns = np.arange(count, dtype=np.int64)
    places = turns * step + (turns * _SCATTER % (1 << 32) * step >> 32)
    parts: list[pa.Array] = []
    begin = 0
    # One part after the other: Arrow takes from a column of several by joining all of it first.
    for part in column.chunks:
        low, high = np.searchsorted(places, (begin, begin + len(part)))
        parts.append(part.take(pa.array(places[low:high] - begin)))
        begin += len(part)
    sample = pa.chunked_array(parts, column.type).drop_null()
    return len(sample) > 1 and pc.count_distinct(sample).as_py() * 2 <= len(sample)


def _level(column: pa.ChunkedArray, level: int) -> int:
    """Choose the lowest level that makes a sample hardly larger than `level` does.

    Level 3 makes tokens, digests and numbers in text larger than level 1 does, and takes two to
    six times as long for them.
    """
    if not 1 < level < _SEARCHING or column.nbytes < _LONG:
        return level
    sample = _plain_sample(column)

    def size(level: int) -> int:
        return pa.Codec("zstd", compression_level=level).compress(sample).size

    limit = size(level) * _TOLERANCE
    return next((lower for lower in range(1, level) if size(lower) <= limit), level)


def _plain_sample(column: pa.ChunkedArray) -> pa.Buffer:
    """Take neighbouring values from the middle as PLAIN writes them: each after its length."""
    part = column.chunk(column.num_chunks // 2).drop_null()
    count = min(len(part), 1 + len(part) * _SAMPLE_BYTES // max(1, part.nbytes))
    values = part.slice((len(part) - count) // 2, count).view(pa.binary())
    lengths = pc.binary_length(values).view(pa.binary(4)).cast(pa.binary())
    # A value may be a gigabyte, of which no copy is needed.
    shortened = pc.binary_slice(values, 0, 2 * _SAMPLE_BYTES)
    plain = pc.binary_join_element_wise(lengths, shortened, b"")
    data = plain.buffers()[2] or pa.py_buffer(b"")
    return data.slice(0, min(data.size, 2 * _SAMPLE_BYTES))
