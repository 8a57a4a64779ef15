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
from dbsync.connectors.mysql.included import Found, names_of, native_objects
from dbsync.connectors.mysql.information import Information, RawTable, read_information
from dbsync.connectors.mysql.literals import with_true_literals
from dbsync.connectors.mysql.objects import ObjectReader
from dbsync.connectors.mysql.selected import (
    Chosen,
    check_conditions,
    choose_tables,
    require_whole,
)
from dbsync.connectors.mysql.shown import Shown, read_shown
from dbsync.connectors.mysql.unseen import database_losses, table_losses
from dbsync.model.schema import Database, Loss, Name, NativeObject, Sequence, Table
from dbsync.model.selection import Selection


def read_database(session: Session, selection: Selection, *, include_schema: bool) -> Database:
    """Describe the selected tables of the session's database, and what goes along with them.

    Without `include_schema` only columns, types and primary keys. Raises `SourceError` for a
    pattern that matches nothing, a column or a condition that does not fit its table, and columns
    that are hidden from this user.
    """
    information = read_information(session)
    chosen = choose_tables(information, selection)
    require_whole(session, chosen)
    check_conditions(session, chosen)
    return _Reader(session, information, chosen).database(include_schema=include_schema)


class _Reader:
    """Reads one database; collects losses on the way."""

    def __init__(self, session: Session, information: Information, chosen: Chosen):
        self._session = session
        self._information = information
        self._losses: list[Loss] = []
        self._changed: dict[str, frozenset[str]] = {}
        tables = {name: self._true(raw) for name, raw in chosen.tables.items()}
        linked = {name: self._true(raw) for name, raw in chosen.linked.items()}
        self._chosen = msgspec.structs.replace(chosen, tables=tables, linked=linked)
        self._shown: dict[str, Shown] = {}

    def _true(self, raw: RawTable) -> RawTable:
        fixed, self._changed[raw.name] = with_true_literals(self._session, raw)
        return fixed

    def database(self, *, include_schema: bool) -> Database:
        """Put everything together."""
        chosen = self._chosen
        if include_schema:
            self._read_definitions()
        tables = tuple(
            self._table(raw, include_schema=include_schema) for raw in chosen.tables.values()
        )
        sequences: list[Sequence] = []
        native: tuple[NativeObject, ...] = ()
        if include_schema:
            sequences = read_sequences(chosen.tables, tables)
            native, positions = self._native(tables)
            sequences += positions
            self._losses += database_losses(self._session, self._information, chosen)
        return Database(
            engine="mysql",
            version=self._session.flavour.text,
            name=self._session.database,
            tables=tables,
            sequences=tuple(sequences),
            native=native,
            losses=tuple(self._losses),
            details=_details(self._session),
        )

    def _read_definitions(self) -> None:
        for raw in (*self._chosen.tables.values(), *self._chosen.linked.values()):
            shown = read_shown(self._session, raw, self._changed[raw.name])
            if shown is not None:
                self._shown[raw.name] = shown
                continue
            reason = (
                "this user may not see it: foreign keys, checks and what only native DDL carries"
                " are missing"
            )
            self._losses.append(Loss(object=f"definition of table {raw.name}", reason=reason))

    def _table(self, raw: RawTable, *, include_schema: bool) -> Table:
        picked = self._chosen.columns_of(raw)
        narrowed = Narrowed(raw, {column.name for column in picked}, self._losses)
        flavour = self._session.flavour
        table = Table(
            name=Name(None, raw.name),
            columns=read_columns(
                raw, picked, flavour, self._session.database, include_schema=include_schema
            ),
            primary_key=read_primary_key(narrowed),
            where=self._chosen.where_of(raw),
            all_columns=len(picked) == len(raw.columns),
            rows_estimate=raw.rows,
            bytes_estimate=raw.data_bytes,
            details=_table_details(raw),
        )
        if not include_schema:
            return table
        shown = self._shown.get(raw.name)
        keys = shown.foreign_keys if shown is not None else ()
        self._losses += table_losses(raw, shown, {column.name for column in picked})
        return msgspec.structs.replace(
            table,
            uniques=read_uniques(narrowed),
            foreign_keys=read_foreign_keys(
                narrowed, keys, self._session.database, self._chosen.tables
            ),
            checks=read_checks(narrowed, shown.checks if shown is not None else ()),
            indexes=read_indexes(narrowed, shown),
            comment=raw.comment or None,
        )

    def _native(self, tables: tuple[Table, ...]) -> tuple[tuple[NativeObject, ...], list[Sequence]]:
        reader = ObjectReader(self._session, self._information)
        sequences, positions = reader.sequences()
        found = Found(
            sequences=tuple(sequences),
            routines=tuple(reader.routines()),
            views=tuple(reader.views()),
            triggers=tuple(reader.triggers()),
            events=tuple(reader.events()),
        )
        names = names_of(self._session.database, self._information.tables, found)
        native, losses = native_objects(self._chosen, tables, self._shown, found, names)
        self._losses += [*reader.losses, *losses]
        kept = {item.name for item in native if item.kind == "SEQUENCE"}
        return native, [position for position in positions if position.name in kept]


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
