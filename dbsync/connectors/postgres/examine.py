"""What has to be looked at before rows go into a table, whether it exists or will be made.

What lives here: `table_examiner`. The conversions are those of `wire`, by which the writer sends
the same columns; what only the server can tell is left to it. Must not know: connections.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from dbsync.connectors.base import Examiner, TablePlan
from dbsync.connectors.examine import examiner
from dbsync.connectors.postgres.existing import TargetColumn, TargetTable
from dbsync.connectors.postgres.fit import written_columns
from dbsync.connectors.postgres.mapping import made_type, type_text
from dbsync.connectors.postgres.wire import Wire, fits_by_type, wire_column
from dbsync.model.schema import Column, effective_type


def table_examiner(
    plan: TablePlan, existing: TargetTable | None, engine: str, version: int
) -> Examiner | None:
    """Make the examiner of one table; `existing` is None where the import makes the table.

    `engine` is the archive's, `version` the server's ``server_version_num``.
    """
    if existing is not None:
        pairs = written_columns(plan.source, existing)
    elif engine == "postgresql":
        return None  # a table is made with the types that it had
    else:
        pairs = [(column, _made(column, version)) for column in plan.source.columns]
    table = str(plan.source.name)
    return examiner(
        (
            (
                column,
                partial(_convert, wire_column(column, found, engine), table),
                fits_by_type(column, found, engine),
            )
            for column, found in pairs
        ),
        engine=engine,
    )


def _convert(wire: Wire, table: str, values: pa.Array, exceptions: pa.StructArray | None) -> None:
    wire.values(values, exceptions, table)


def _made(column: Column, version: int) -> TargetColumn:
    """Describe the column that portable DDL makes."""
    logical = effective_type(column)
    text, _ = type_text(logical, lambda enum: "enum" if enum.labels else None)
    kind, means, modified = made_type(text, logical)
    return TargetColumn(
        name=column.name,
        logical=means,
        base="",
        full=text,
        kind=kind,
        modified=modified,
        native=text,
        nullable=True,
        fills_itself=False,
        generated=False,
        identity="",
        collation=None,
        may_insert=True,
        may_update=True,
        version=version,
    )
