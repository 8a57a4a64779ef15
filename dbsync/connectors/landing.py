"""How the rows of a table land: in a new table, beside rows that are there, or in place of them.

What lives here: the decision from the options, which is the same on every target; its line in a
ledger; its words in a dry run. Must not know: how a target is read, which of its keys fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from dbsync.connectors.base import ImportOptions, TablePlan
from dbsync.errors import TargetError, UsageError
from dbsync.model.schema import Database, Name, Table
from dbsync.model.selection import matches

ChooseKey = Callable[[tuple[str, ...] | None], tuple[tuple[str, ...], bool]]
"""From the columns that the user asked for, if any: the conflict key, and `TablePlan.ordered`."""


class TableLine(msgspec.Struct, frozen=True, kw_only=True):
    """A table in a ledger: what was decided when the import began."""

    source: Name
    target: Name
    action: Literal["create", "append", "overwrite", "skip"]
    mode: Literal["insert", "skip", "update", "merge"]
    key: tuple[str, ...]
    ordered: bool


def refuse_unmatched_keys(options: ImportOptions, database: Database) -> None:
    """Raise `UsageError` where a conflict key was given for a table that is not there."""
    for pattern in options.conflict_keys:
        if not any(matches(pattern, t.name) for t in database.tables):
            raise UsageError(f"the conflict key for {pattern!r} matches no table")


def into_new(source: Table, target: Name) -> TablePlan:
    """Plan a table that the import creates."""
    return TablePlan(source=source, target=target, action="create", rows_before=0)


def into_present(
    source: Table,
    target: Name,
    options: ImportOptions,
    choose_key: ChooseKey,
    *,
    empty: bool,
    rows: int | None,
) -> TablePlan:
    """Plan a table that exists, with about `rows` rows (None: unknown).

    Calls `choose_key` only where rows may meet. Raises `TargetError` where the options want no
    such table, and whatever `choose_key` raises.
    """
    plan = TablePlan(source=source, target=target, action="append", rows_before=rows)
    if options.existing == "error":
        raise TargetError(
            f"table {target} exists on the target",
            hint="choose --existing append, skip or overwrite, or drop it",
        )
    if options.existing == "skip":
        return msgspec.structs.replace(plan, action="skip")
    if empty:
        return plan
    if options.existing == "overwrite":
        return msgspec.structs.replace(plan, action="overwrite")
    if options.on_conflict == "error":
        return plan
    asked = next(
        (key for pattern, key in options.conflict_keys.items() if matches(pattern, source.name)),
        None,
    )
    key, ordered = choose_key(asked)
    return msgspec.structs.replace(plan, mode=options.on_conflict, key=key, ordered=ordered)


def as_before(source: Table, line: TableLine, *, there: bool) -> TablePlan:
    """Plan what an earlier run has begun; `there` says whether the table exists."""
    if not there and line.action != "create":
        raise TargetError(
            f"table {line.target} was there when this import began and is not there now",
            hint="start afresh with --no-resume",
        )
    return TablePlan(
        source=source,
        target=line.target,
        action=line.action,
        mode=line.mode,
        key=line.key,
        ordered=line.ordered,
    )


def described(plans: Iterable[TablePlan]) -> list[str]:
    """Say in one line for each table what will happen to it."""
    lines: list[str] = []
    for plan in plans:
        if plan.action == "skip":
            lines.append(f"skip: table {plan.target} exists")
        elif plan.action == "overwrite":
            lines.append(f"replace: every row of table {plan.target}")
        elif plan.mode != "insert":
            lines.append(f"{plan.mode}: table {plan.target} by {', '.join(plan.key)}")
        else:
            lines.append(f"insert: into table {plan.target}")
    return lines
