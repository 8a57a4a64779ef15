"""The SQL of Trino by which rows are read.

What lives here: the SELECT of a table, whose columns are cast so that their types are known.
Must not know: jobs, results.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbsync.connectors.ranges import narrowed
from dbsync.connectors.treasuredata.catalog import sql_name, td_type
from dbsync.connectors.treasuredata.names import TIME
from dbsync.connectors.treasuredata.types import TdType
from dbsync.model.schema import Column, Table

TimeRange = tuple[int | None, int | None]

_TRINO = {
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double",
    "string": "varchar",
}


def select_rows(table: Table, time_range: TimeRange | None) -> str:
    """Write the query for the rows of a table, with its columns in order.

    `time_range` is of Unix seconds, half open; a None in it is open.
    """
    columns = ",\n  ".join(_selected(table, column) for column in table.columns)
    return f"SELECT\n  {columns}\nFROM {quote(table.name.name)}{_where(table, time_range)}"


def select_nothing(table: Table, time_range: TimeRange | None) -> str:
    """Write a query that fails where the condition of a table does, and gives no row."""
    return f"SELECT 1 FROM {quote(table.name.name)}{_where(table, time_range)}\nLIMIT 0"


def within_ranges(table: Table, column: str, ranges: Sequence[tuple[int, int]]) -> Table | None:
    """Narrow a table to ranges of an integer column; see `dbsync.connectors.base.KeyRanges`."""
    if table.column(column).type.name != "integer":
        return None
    return narrowed(table, quote(sql_name(table, column)), ranges)


def quote(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def _selected(table: Table, column: Column) -> str:
    return f"CAST({quote(sql_name(table, column.name))} AS {_trino(td_type(column))})"


def _where(table: Table, time_range: TimeRange | None) -> str:
    conditions: list[str] = []
    if time_range is not None and time_range != (None, None):
        # The service reads only the hours that this function names.
        bounds = ", ".join("NULL" if bound is None else str(bound) for bound in time_range)
        conditions.append(f"td_time_range({quote(TIME)}, {bounds})")
    if table.where is not None:
        # The line breaks end a comment in the condition.
        conditions.append(f"(\n{table.where}\n)")
    return f"\nWHERE {' AND '.join(conditions)}" if conditions else ""


def _trino(kind: TdType) -> str:
    if kind.element is None:
        return _TRINO[kind.name]
    if kind.key is None:
        return f"array({_trino(kind.element)})"
    return f"map({_trino(kind.key)}, {_trino(kind.element)})"
