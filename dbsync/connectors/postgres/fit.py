"""Whether a table that exists can take the rows of an archive's table, and by which key.

What lives here: comparing two definitions of one table. Must not know: other tables, options.
"""

from __future__ import annotations

from dbsync.connectors.base import TablePlan
from dbsync.connectors.postgres.existing import TargetColumn, TargetTable
from dbsync.connectors.postgres.wire import wire_column
from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Column, Loss, Table


def written_columns(source: Table, target: TargetTable) -> list[tuple[Column, TargetColumn]]:
    """Pair the columns that are written, leaving out those the target computes itself.

    Raises `TargetError` naming the columns that the target lacks.
    """
    missing = [c.name for c in source.columns if target.column(c.name) is None]
    if missing:
        raise TargetError(
            f"table {target.name} lacks column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)} of the archive",
            hint="add them to the table, or leave them out with --columns on export",
        )
    pairs: list[tuple[Column, TargetColumn]] = []
    for column in source.columns:
        found = target.column(column.name)
        if found is not None and not found.generated:
            pairs.append((column, found))
    return pairs


def check_fit(source: Table, target: TargetTable, plan: TablePlan, engine: str) -> list[Loss]:
    """Refuse a table that cannot take the rows, and return what it would not take over."""
    pairs = written_columns(source, target)
    names = {column.name for column, _ in pairs}
    needed = [
        c.name
        for c in target.columns
        if c.name not in names and not c.nullable and not c.fills_itself and not c.generated
    ]
    if needed:
        raise TargetError(
            f"table {target.name} has NOT NULL columns without a default that the archive lacks: "
            f"{', '.join(needed)}",
            hint="give them a default, or drop NOT NULL",
        )
    updates = plan.mode in ("update", "merge")
    for _, column in pairs:
        barred = not column.may_insert or (
            updates and not column.may_update and column.name not in plan.key
        )
        if barred:
            right = "UPDATE" if column.may_insert else "INSERT"
            raise TargetError(
                f"this role lacks {right} on column {column.name} of table {target.name}",
                hint=f"GRANT {right} ON {target.sql} to it",
            )
    losses: list[Loss] = []
    for column, found in pairs:
        wire_column(column, found, engine)  # refuses a pair of types that cannot meet
        if updates and found.identity == "a" and found.name not in plan.key:
            losses.append(
                Loss(
                    object=f"column {target.name}.{found.name}",
                    reason="is GENERATED ALWAYS: rows that are there keep their number",
                    severity="changed",
                )
            )
    return losses


def needs_staging(source: Table, target: TargetTable, engine: str) -> bool:
    """Say whether a column travels as text and is cast on the server."""
    pairs = written_columns(source, target)
    return any(wire_column(column, found, engine).text for column, found in pairs)


def choose_key(
    source: Table, target: TargetTable, asked: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Choose the columns that tell rows apart: as asked, else the primary or a unique key.

    Raises `LossError` where there is none that the server can use.
    """
    written = {column.name for column, _ in written_columns(source, target)}
    # Foreign tables take no ON CONFLICT.
    usable = [k for k in target.keys if k.not_null and target.kind != "f"]
    choices = "--on-conflict error to append every row, or --existing overwrite"
    if asked is not None:
        if any(set(key.columns) == set(asked) for key in usable) and set(asked) <= written:
            return asked
        raise LossError(
            f"table {target.name}: ({', '.join(asked)}) is not a unique key over NOT NULL columns "
            "of the archive and the target",
            hint=f"choose another key, create a unique index, or use {choices}",
        )
    for key in usable:
        if set(key.columns) <= written:
            return key.columns
    raise LossError(
        f"table {target.name} holds rows and has no primary key or unique key over NOT NULL "
        "columns that the archive has too, so rows cannot be told apart",
        hint=f"create one, or use {choices}",
    )


_SAME_EVERYWHERE = frozenset(
    ("boolean", "integer", "string", "binary", "date", "time", "timestamp", "timestamp_tz", "uuid")
)
"""Types whose different values are different on every engine, unlike numeric's 1.0 and 1.00."""


def promises_unique(source: Table, target: TargetTable, key: tuple[str, ...], engine: str) -> bool:
    """Say whether the archive's own constraints rule out that `key` repeats on the target.

    They do only where source and target agree on which values are equal.
    """
    own = [k for k in (source.primary_key, *source.uniques) if k and not k.deferrable]
    if not any(set(k.columns) == set(key) for k in own):
        return False
    return all(_agree(source.column(name), target.column(name), engine) for name in key)


def _agree(source: Column, target: TargetColumn | None, engine: str) -> bool:
    if target is None or target.collation is not None or not target.kind:
        return False
    if engine == "postgresql" and source.native_type == target.native:
        return source.collation is None
    return source.type.name in _SAME_EVERYWHERE and source.type.name == target.logical.name
