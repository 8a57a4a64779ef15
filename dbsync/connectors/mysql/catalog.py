"""Reading the definitions of a MySQL or MariaDB database into the portable model.

What lives here: `read_database`, which puts together what its neighbours read. Must not know:
rows, snapshots, the target.
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.mysql.columns import read_columns, read_sequences
from dbsync.connectors.mysql.connection import Session
from dbsync.connectors.mysql.constraints import (
    Narrowed,
    read_checks,
    read_foreign_keys,
    read_indexes,
    read_primary_key,
    read_uniques,
)
from dbsync.connectors.mysql.information import RawTable, read_information
from dbsync.connectors.mysql.selected import (
    Chosen,
    check_conditions,
    choose_tables,
    require_whole,
)
from dbsync.model.schema import Database, Loss, Name, Table
from dbsync.model.selection import Selection


def read_database(session: Session, selection: Selection, *, include_schema: bool) -> Database:
    """Describe the selected tables of the session's database, and what goes along with them.

    Without `include_schema` only columns, types and primary keys. Raises `SourceError` for a
    pattern that matches nothing, a column or a condition that does not fit its table, and columns
    that are hidden from this user.
    """
    information = read_information(session, constraints=include_schema)
    chosen = choose_tables(information, selection)
    require_whole(session, chosen)
    check_conditions(session, chosen)
    losses: list[Loss] = []
    tables = tuple(
        _table(session, raw, chosen, losses, include_schema=include_schema)
        for raw in chosen.tables.values()
    )
    return Database(
        engine="mysql",
        version=session.flavour.text,
        name=session.database,
        tables=tables,
        sequences=tuple(read_sequences(chosen.tables, tables)) if include_schema else (),
        losses=tuple(losses),
        details=_details(session),
    )


def _table(
    session: Session, raw: RawTable, chosen: Chosen, losses: list[Loss], *, include_schema: bool
) -> Table:
    picked = chosen.columns_of(raw)
    narrowed = Narrowed(raw, {column.name for column in picked}, losses)
    table = Table(
        name=Name(None, raw.name),
        columns=read_columns(raw, picked, session.flavour, include_schema=include_schema),
        primary_key=read_primary_key(narrowed),
        where=chosen.where_of(raw),
        all_columns=len(picked) == len(raw.columns),
        rows_estimate=raw.rows,
        bytes_estimate=raw.data_bytes,
        details=_table_details(raw),
    )
    if not include_schema:
        return table
    return msgspec.structs.replace(
        table,
        uniques=read_uniques(narrowed),
        foreign_keys=read_foreign_keys(narrowed, session.database, chosen.tables),
        checks=read_checks(narrowed),
        indexes=read_indexes(narrowed, {}),
        comment=raw.comment or None,
    )


def _table_details(raw: RawTable) -> dict[str, str]:
    details = {
        "engine": raw.engine or "",
        "collation": raw.collation or "",
        "system_versioned": "1" if raw.kind == "SYSTEM VERSIONED" else "",
    }
    return {name: value for name, value in details.items() if value}


def _details(session: Session) -> dict[str, str]:
    row = session.rows(
        "SELECT @@character_set_database AS charset, @@collation_database AS collation,"
        " @@GLOBAL.sql_mode AS sql_mode, @@GLOBAL.time_zone AS time_zone,"
        " @@system_time_zone AS system_time_zone,"
        " @@lower_case_table_names AS lower_case_table_names",
        "reading settings",
    )[0]
    return {"flavour": session.flavour.name, **{name: str(value) for name, value in row.items()}}
