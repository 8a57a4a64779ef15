"""The exceptions field of a column: building it and finding it in a batch."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from dbsync.model.schema import Column
from dbsync.model.values.kernels import scatter

EXCEPTIONS_TYPE = pa.struct([("kind", pa.string()), ("value", pa.binary())])


def make_exceptions(
    length: int,
    rows: Sequence[int] | pa.Array,
    kinds: str | Sequence[str] | pa.Array,
    values: Sequence[bytes] | pa.Array,
) -> pa.StructArray:
    """Build the exceptions of a column of `length` values: one at each of `rows`, else NULL.

    `rows` are distinct positions in any order; `kinds` is one kind for all of them, or one each.
    """
    count = len(rows)
    if isinstance(kinds, str):
        kinds = [kinds] * count
    pairs = pa.StructArray.from_arrays(
        [pa.array(kinds, pa.string()), pa.array(values, pa.binary())], fields=list(EXCEPTIONS_TYPE)
    )
    return scatter(pairs, pa.array(rows, pa.int64()), length)


def column_values(batch: pa.RecordBatch, column: Column) -> tuple[pa.Array, pa.StructArray | None]:
    """Take a column's values and its exceptions out of a batch.

    The exceptions are None where the batch has no such field, or one that is NULL throughout.
    """
    values = batch.column(batch.schema.get_field_index(column.name))
    index = batch.schema.get_field_index(column.exceptions)
    if index < 0:
        return values, None
    exceptions = batch.column(index)
    return values, None if exceptions.null_count == len(exceptions) else exceptions
