"""What a database of Treasure Data holds, in the portable model.

What lives here: tables and columns from the list of tables, as a selection chooses them, and the
errors for a wrong choice. Must not know: SQL, rows, jobs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dbsync.connectors.base import Capabilities
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata.names import TIME, is_temporary
from dbsync.connectors.treasuredata.table_calls import TableState
from dbsync.connectors.treasuredata.types import TdType, parse_type
from dbsync.errors import SourceError
from dbsync.model.schema import Column, Database, Loss, Name, Table, exceptions_names
from dbsync.model.selection import Selection
from dbsync.model.types import LogicalType, integer, standard_storage

ENGINE = "treasuredata"

CAPABILITIES = Capabilities(
    engine=ENGINE,
    consistent_snapshot=False,
    parallel_read=True,
    parallel_write=True,
    transactions=False,
    transactional_ddl=False,
    upsert=False,
    schemas=False,
)

_WHOLE_ROW = "v"
"""What the service calls the map of a whole row, beside its columns."""

_LOGICAL = {
    "int": integer(32),
    "long": integer(64),
    "float": LogicalType(name="float", bits=32),
    "double": LogicalType(name="float", bits=64),
    "string": LogicalType(name="string"),
}


def read_database(
    name: str,
    found: Iterable[TableState],
    selection: Selection,
    options: TreasureDataOptions,
) -> Database:
    """Describe the selected tables, in the order of their names.

    Tables that an import fills before they take their place are left out. Raises `SourceError`
    for a pattern that matches no table, and for a column that a table has not.
    """
    states = {t.name: t for t in sorted(found, key=lambda t: t.name) if not is_temporary(t.name)}
    unmatched = selection.unmatched(Name(None, table) for table in states)
    if unmatched:
        known = ", ".join(list(states)[:20])
        raise SourceError(
            f"no table matches {', '.join(unmatched)}",
            hint=f"the tables are: {known}" if known else "the database has no tables",
        )
    chosen = [state for state in states.values() if selection.selects(Name(None, state.name))]
    return Database(
        engine=ENGINE,
        version="",
        name=name,
        tables=tuple(_table(state, selection, options) for state in chosen),
        losses=tuple(loss for state in chosen for loss in _losses(state)),
    )


def td_type(column: Column) -> TdType:
    """Say as which type a column is selected: a type that is unknown here is read as text."""
    try:
        return parse_type(column.native_type)
    except ValueError:
        return TdType("string")


def sql_name(table: Table, column: str) -> str:
    """Say what a column is called in queries, where its own name is none in SQL."""
    return table.details.get(f"alias.{column}", column)


def _table(state: TableState, selection: Selection, options: TreasureDataOptions) -> Table:
    name = Name(None, state.name)
    columns = _columns(state, options)
    wanted = selection.columns_of(name)
    if wanted is not None:
        columns = _chosen(state.name, columns, wanted)
    details = {f"alias.{column}": alias for column, alias in state.aliases}
    if state.expire_days is not None:
        details["expire_days"] = str(state.expire_days)
    return Table(
        name=name,
        columns=columns,
        where=selection.where_of(name),
        all_columns=wanted is None,
        rows_estimate=state.counted,
        bytes_estimate=state.stored_bytes,
        details=details,
    )


def _columns(state: TableState, options: TreasureDataOptions) -> tuple[Column, ...]:
    """List the columns; ``time``, which no schema names, comes last, as in ``SELECT *``.

    A table that has no other column keeps it, whatever the options say.
    """
    listed = [(n, kind) for n, kind in state.columns if n not in (TIME, _WHOLE_ROW)]
    if options.keep_time or not listed:
        listed.append((TIME, "long"))
    exceptions = exceptions_names(column for column, _ in listed)
    return tuple(_column(column, kind, exceptions[column]) for column, kind in listed)


def _column(name: str, kind: str, exceptions: str) -> Column:
    try:
        parsed = parse_type(kind)
    except ValueError:
        parsed = TdType("string")
    logical = LogicalType(name="json") if parsed.nested else _LOGICAL[parsed.name]
    return Column(
        name=name,
        type=logical,
        native_type=kind,
        storage=standard_storage(logical),
        exceptions=exceptions,
        nullable=name != TIME,
    )


def _chosen(table: str, columns: tuple[Column, ...], wanted: tuple[str, ...]) -> tuple[Column, ...]:
    known = [column.name for column in columns]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise SourceError(
                f"table {table} has no column {name!r}, which --columns names",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
            )
    return tuple(column for column in columns if column.name in wanted)


def _losses(state: TableState) -> list[Loss]:
    losses: list[Loss] = []
    for name, kind in state.columns:
        try:
            parse_type(kind)
        except ValueError:
            losses.append(
                Loss(
                    object=f"column {state.name}.{name}",
                    reason=f"its type {kind} is unknown to dbsync, so its values are read as text",
                    severity="changed",
                )
            )
    return losses
