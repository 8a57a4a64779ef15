"""Whether a table that exists can take the rows of an archive's table, and by which key.

What lives here: comparing two definitions of one table. Must not know: other tables, options.
"""

from __future__ import annotations

from dbsync.connectors.base import TablePlan
from dbsync.connectors.mysql.connection import quote_name
from dbsync.connectors.mysql.existing import TargetColumn, TargetTable
from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Column, Loss, Table

_SAME_EVERYWHERE = frozenset(
    ("boolean", "integer", "string", "binary", "date", "time", "timestamp", "timestamp_tz", "uuid")
)
"""Types whose different values are different on every engine, unlike numeric's 1.0 and 1.00."""


def written_columns(source: Table, target: TargetTable) -> list[tuple[Column, TargetColumn]]:
    """Pair the columns that are written, leaving out those the target computes itself.

    Names are compared without case, as the server does. Raises `TargetError` naming the columns
    that the target lacks.
    """
    pairs: list[tuple[Column, TargetColumn]] = []
    missing: list[str] = []
    for column in source.columns:
        try:
            found = target.column(column.name)
        except KeyError:
            missing.append(column.name)
            continue
        if not found.generated:
            pairs.append((column, found))
    if missing:
        raise TargetError(
            f"table {target.name} lacks column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)} of the archive",
            hint="add them to the table, or leave them out with --columns on export",
        )
    return pairs


def check_fit(source: Table, target: TargetTable, plan: TablePlan) -> list[Loss]:
    """Refuse a table that cannot take the rows, and return what differs when it does."""
    pairs = written_columns(source, target)
    given = {found.name for _, found in pairs}
    needed = [c.name for c in target.columns if c.name not in given and not c.fills_itself]
    if needed:
        raise TargetError(
            f"table {target.name} has NOT NULL columns without a default that the archive lacks: "
            f"{', '.join(needed)}",
            hint="give them a default, or drop NOT NULL",
        )
    _require_rights(pairs, target, plan)
    return [] if plan.mode == "skip" else _touched(target, given, plan)


def _require_rights(
    pairs: list[tuple[Column, TargetColumn]], target: TargetTable, plan: TablePlan
) -> None:
    key = {name.lower() for name in plan.key}
    for _, column in pairs:
        needed = ["insert"]
        if plan.mode != "insert":
            needed.append("select")
        if plan.mode in ("update", "merge") and column.name.lower() not in key:
            needed.append("update")
        lacking = next((right for right in needed if right not in column.privileges), None)
        if lacking is not None:
            right = lacking.upper()
            raise TargetError(
                f"this user lacks {right} on column {column.name} of table {target.name}",
                hint=f"GRANT {right} ON {quote_name(target.name.name)} to it",
            )


def _touched(target: TargetTable, given: set[str], plan: TablePlan) -> list[Loss]:
    """Tell of columns that the server changes by itself when a row is updated."""
    if plan.mode not in ("update", "merge"):
        return []
    return [
        Loss(
            object=f"column {target.name}.{column.name}",
            reason=f"becomes {column.on_update} where a row is updated",
            severity="changed",
        )
        for column in target.columns
        if column.on_update is not None and column.name not in given
    ]


def choose_key(
    source: Table, target: TargetTable, asked: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Choose the columns that tell rows apart: as asked, else the primary or a unique key.

    They are spelled as in the archive. Raises `LossError` where there is none.
    """
    spelled = {found.name: column.name for column, found in written_columns(source, target)}
    usable = [k for k in target.unique_keys if k.whole and not k.nullable]
    choices = "--on-conflict error to append every row, or --existing overwrite"
    if asked is not None:
        wanted = {name.lower() for name in asked}
        for key in usable:
            if {c.lower() for c in key.columns} == wanted and set(key.columns) <= spelled.keys():
                return tuple(spelled[c] for c in key.columns)
        raise LossError(
            f"table {target.name}: ({', '.join(asked)}) is not a unique key over NOT NULL columns "
            "of the archive and the target",
            hint=f"choose another key, create a unique index, or use {choices}",
        )
    for key in usable:
        if set(key.columns) <= spelled.keys():
            return tuple(spelled[c] for c in key.columns)
    raise LossError(
        f"table {target.name} holds rows and has no primary key or unique key over NOT NULL "
        "columns that the archive has too, so rows cannot be told apart",
        hint=f"create one, or use {choices}",
    )


def promises_unique(source: Table, target: TargetTable, key: tuple[str, ...]) -> bool:
    """Say whether the archive's own constraints rule out that `key` repeats on the target.

    They do only where source and target agree on which values are equal. Texts that only the
    target's collation finds equal are refused when they are written, so these need no order.
    """
    own = [k for k in (source.primary_key, *source.uniques) if k and not k.deferrable]
    if not any(set(k.columns) == set(key) for k in own):
        return False
    for name in key:
        mine, theirs = source.column(name), target.column(name)
        same = mine.type.name in _SAME_EVERYWHERE and mine.type.name == theirs.logical.name
        if not same and mine.native_type != theirs.native:
            return False
    return True
