"""Columns, tables and batches for the tests of values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dbsync.model.schema import Column, Name, Table
from dbsync.model.types import LogicalType
from dbsync.model.values import standardize


def column(logical: LogicalType, storage: str = "string", name: str = "c") -> Column:
    """Make a column of a logical type under an exceptions field of the usual name."""
    return Column(
        name=name,
        type=logical,
        native_type="",
        storage=storage,
        exceptions=f"{name}:exceptions",
    )


def table(*columns: Column) -> Table:
    """Make a table of these columns."""
    return Table(name=Name("public", "t"), columns=columns)


def batch(**fields: pa.Array) -> pa.RecordBatch:
    """Make a batch; two underscores in a name stand for the colon of an exceptions field."""
    return pa.record_batch({name.replace("__", ":"): field for name, field in fields.items()})


def standard(
    values: pa.Array, logical: LogicalType, exceptions: pa.StructArray | None = None
) -> pa.Array:
    """Standardize values that need no literal."""
    found, literals = standardize(values, exceptions, column(logical, str(values.type)), "t")
    assert literals is None
    return found


def padded(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Make an array that begins in the middle of its buffers, as a sliced batch does."""
    return pa.array([None, *values, None], kind).slice(1, len(values))
