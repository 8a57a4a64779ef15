"""Naming a row in a message by its key."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from dbsync.model.schema import Column, Table
from dbsync.model.values.convert import standard_type
from dbsync.model.values.exceptions import column_values
from dbsync.model.values.text import to_text

_LONGEST = 60


def key_text(batch: pa.RecordBatch, row: int, table: Table, columns: Iterable[str]) -> str:
    """Write the values of `columns` in one row, such as ``id=7, name=x``, each cut when long."""
    one = batch.slice(row, 1)
    return ", ".join(f"{name}={_shown(one, table.column(name))}" for name in columns)


def _shown(one: pa.RecordBatch, column: Column) -> str:
    values, exceptions = column_values(one, column)
    if exceptions is not None:
        text = exceptions[0].as_py()["value"].decode("utf-8", "backslashreplace")
    elif values.null_count:
        return "NULL"
    elif values.type == standard_type(column):
        text = to_text(values, column.type)[0].as_py()
    else:
        text = str(values[0].as_py())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
