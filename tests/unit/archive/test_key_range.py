"""Ranges of keys: true ones pass a verification; false ones, by which rows get lost, do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from dbsync.archive import ChunkRef, verify_chunk
from dbsync.archive.encode import encode_chunk
from dbsync.archive.limits import Limits
from dbsync.errors import ArchiveError
from dbsync.model.schema import Column, Key, Name, Table
from dbsync.model.types import LogicalType, integer, parse_storage, standard_storage


def chunk_of(kind: LogicalType, values: list[Any]) -> ChunkRef:
    """Encode one column, which is the key, and give the chunk with the range that was written."""
    storage = standard_storage(kind)
    column = Column(name="k", type=kind, native_type="", storage=storage, exceptions="k:e")
    table = Table(name=Name(None, "t"), columns=(column,), primary_key=Key(columns=("k",)))
    array = pa.array(values, parse_storage(storage))
    encoded = encode_chunk(table, [pa.RecordBatch.from_arrays([array], names=["k"])])
    assert encoded.key_min is not None
    assert encoded.key_max is not None
    return ChunkRef(
        table=table, table_index=0, number=1, sha256=encoded.sha256, rows=encoded.rows,
        size=encoded.data.size, fetch=lambda: encoded.data, limits=Limits(),
        key_range=(encoded.key_min, encoded.key_max),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (integer(64), [3, -5, 2**62]),
        (integer(64, unsigned=True), [2**64 - 1, 0]),
        (LogicalType(name="string"), ["b", "", "ä", "Z"]),
        (LogicalType(name="date"), [0, -719163, 40_000]),
        (LogicalType(name="date"), [-730_000, 6_600_000]),
        (LogicalType(name="timestamp"), [0, 1, -1, 1_700_000_000_123_456]),
        (LogicalType(name="timestamp_tz"), [0, 1, -1, 1_700_000_000_123_456]),
    ],
    ids=["integer", "unsigned", "string", "date", "far date", "timestamp", "timestamp_tz"],
)
def test_what_is_written_is_true(kind: LogicalType, values: list[Any]) -> None:
    """The range of every type that has one can be read again and holds all values."""
    assert verify_chunk(chunk_of(kind, values)) == len(values)


@pytest.mark.parametrize(
    "claimed", [("2", "9"), ("1", "8"), ("one", "9")], ids=["above", "below", "no key"]
)
def test_a_false_range_is_refused(claimed: tuple[str, str]) -> None:
    """A range that leaves out a key of the chunk, or is none, is a fault of the archive."""
    chunk = replace(chunk_of(integer(32), [1, 5, 9]), key_range=claimed)
    with pytest.raises(ArchiveError) as error:
        verify_chunk(chunk)
    assert error.value.code == "E_CATALOG_MISMATCH"
