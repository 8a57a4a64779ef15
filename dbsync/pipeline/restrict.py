"""Narrowing a schema to the selected tables, without leaving anything that hangs in the air.

Must not know: engines; native objects are followed by their declared dependencies only.
"""

from __future__ import annotations

from msgspec.structs import replace

from dbsync.errors import UsageError
from dbsync.model.schema import Database, Loss, Name, NativeObject, Table
from dbsync.model.selection import Selection


def restrict(database: Database, selection: Selection) -> Database:
    """Return `database` with the selected tables only.

    Native objects of other tables go, then whatever requires them; foreign keys to tables that
    are left out go too. Each of these is added to the losses. Raises `UsageError` for a pattern
    that matches no table.
    """
    names = [table.name for table in database.tables]
    unmatched = selection.unmatched(names)
    if unmatched:
        raise UsageError(
            f"no table matches {', '.join(repr(p) for p in unmatched)}",
            hint=f"the archive holds {_some(names)}",
        )
    kept = {name for name in names if selection.selects(name)}
    if len(kept) == len(names):
        return database
    losses = list(database.losses)
    tables = tuple(_table(t, kept, losses) for t in database.tables if t.name in kept)
    left_out = set(names) - kept
    return replace(
        database,
        tables=tables,
        sequences=tuple(s for s in database.sequences if s.owner_table not in left_out),
        native=_native(database.native, left_out, losses),
        losses=tuple(losses),
    )


def _table(table: Table, kept: set[Name], losses: list[Loss]) -> Table:
    gone = [fk for fk in table.foreign_keys if fk.referred not in kept]
    losses.extend(
        Loss(
            object=f"foreign key {fk.name or ', '.join(fk.columns)} of table {table.name}",
            reason=f"it refers to {fk.referred}, which is not selected",
        )
        for fk in gone
    )
    return replace(table, foreign_keys=tuple(fk for fk in table.foreign_keys if fk not in gone))


def _native(
    objects: tuple[NativeObject, ...], left_out: set[Name], losses: list[Loss]
) -> tuple[NativeObject, ...]:
    missing: set[str] = set()
    kept: list[NativeObject] = []
    for item in objects:
        if item.table in left_out:
            if item.provides:
                missing.add(item.provides)
        elif missing.intersection(item.requires):
            if item.provides:
                missing.add(item.provides)
            losses.append(
                Loss(
                    object=f"{item.kind.lower()} {item.name}",
                    reason="it depends on a table that is not selected",
                )
            )
        else:
            kept.append(item)
    return tuple(kept)


def _some(names: list[Name], limit: int = 10) -> str:
    shown = ", ".join(str(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown or "no tables"
