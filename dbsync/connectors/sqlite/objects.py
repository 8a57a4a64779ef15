"""Native DDL, sequences and the loss report of an SQLite source.

Must not know: rows, the target.
"""

from __future__ import annotations

from dbsync.connectors.sqlite.catalog import Catalog, is_autoincrement
from dbsync.connectors.sqlite.parse import parse_table
from dbsync.connectors.sqlite.selected import Chosen
from dbsync.model.schema import Loss, Name, NativeObject, Sequence, Table


def native_objects(
    catalog: Catalog, chosen: Chosen, tables: tuple[Table, ...]
) -> tuple[NativeObject, ...]:
    """Give `sqlite_master`'s own text of what was chosen: tables, indexes, views, triggers.

    A view comes along where the selection takes its name; SQLite resolves what it refers to only
    when it is used.
    """
    objects = [
        NativeObject(
            kind="TABLE",
            name=Name(None, raw.name),
            sql=raw.sql,
            section="before_rows",
            table=Name(None, raw.name),
            provides=f"table {raw.name}",
            covers="table",
        )
        for raw in chosen.tables
        if raw.shadow_of is None
    ]
    objects += [
        NativeObject(
            kind="VIRTUAL TABLE",
            name=Name(None, virtual.name),
            sql=virtual.sql,
            section="before_rows",
            provides=f"table {virtual.name}",
        )
        for virtual in chosen.virtual
    ]
    objects.sort(key=lambda o: catalog.order.get(o.name.name, 0))
    portable = {index.name for table in tables for index in table.indexes if index.portable}
    names = {raw.name.lower(): raw.name for raw in chosen.tables if raw.shadow_of is None}
    views: set[str] = set()
    for other in catalog.others:
        owner = names.get(other.table.lower())
        if other.kind == "VIEW":
            if not chosen.selection.selects(Name(None, other.name)):
                continue
            views.add(other.name.lower())
        elif owner is None and other.table.lower() not in views:
            continue
        objects.append(
            NativeObject(
                kind=other.kind,
                name=Name(None, other.name),
                sql=other.sql,
                section="after_rows",
                table=Name(None, owner) if owner else None,
                provides=f"{other.kind.lower()} {other.name}",
                requires=(f"table {owner}",)
                if owner
                else (f"view {other.table}",)
                if other.kind == "TRIGGER"
                else (),
                covers="index" if other.kind == "INDEX" and other.name in portable else None,
            )
        )
    return tuple(objects)


def sequences(catalog: Catalog, tables: tuple[Table, ...]) -> tuple[Sequence, ...]:
    """Give one sequence for each AUTOINCREMENT table, standing where `sqlite_sequence` does."""
    found: list[Sequence] = []
    for table in tables:
        for column in table.columns:
            if column.identity is not None and column.identity.kind == "autoincrement":
                last = catalog.sequence.get(table.name.name)
                found.append(
                    Sequence(
                        name=table.name,
                        last_value=last if last is not None else 1,
                        is_called=last is not None,
                        owner_table=table.name,
                        owner_column=column.name,
                    )
                )
    return tuple(found)


def losses(catalog: Catalog, chosen: Chosen, tables: tuple[Table, ...]) -> tuple[Loss, ...]:
    """List what the archive lacks, or carries only as native DDL."""
    found: list[Loss] = []
    for virtual in chosen.virtual:
        found.append(
            Loss(
                object=f"virtual table {virtual.name}",
                reason="only SQLite can create it; other engines get the tables that hold its"
                " content as plain tables",
                severity="changed",
            )
        )
    by_name = {table.name.name: table for table in tables}
    for raw in chosen.tables:
        if raw.shadow_of is not None:
            continue
        if parse_table(raw.sql).conflict_clause:
            found.append(
                Loss(
                    object=f"ON CONFLICT clauses of table {raw.name}",
                    reason="only native DDL carries them",
                    severity="changed",
                )
            )
        table = by_name[raw.name]
        if (
            not table.all_columns
            and is_autoincrement(raw)
            and raw.rowid_alias not in {column.name for column in table.columns}
        ):
            found.append(
                Loss(
                    object=f"AUTOINCREMENT of table {raw.name}",
                    reason="its column was not chosen",
                )
            )
    if catalog.statistics:
        found.append(
            Loss(
                object="statistics of ANALYZE",
                reason="they are not carried; run ANALYZE after the import",
                severity="changed",
            )
        )
    return tuple(found)
