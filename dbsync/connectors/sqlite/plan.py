"""Planning an import into SQLite: what exists, what would be made, what would be lost.

What lives here: the comparison of an archive's schema with a catalog, as plain values; nothing is
written. Must not know: how a plan is carried out.
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.base import ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.sqlite.catalog import Catalog, RawTable
from dbsync.connectors.sqlite.keys import conflict_key
from dbsync.connectors.sqlite.ledger import PlanLine
from dbsync.connectors.sqlite.naming import folded, target_names
from dbsync.connectors.sqlite.steps import Steps, make_steps
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, Table


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the target looks like before the import."""

    catalog: Catalog
    rows: dict[str, int]
    """Rows of existing tables that take part, by their name."""
    earlier: dict[Name, PlanLine] = {}
    """What an unfinished run of the same import had planned."""


def make_plan(database: Database, options: ImportOptions, state: State) -> tuple[ImportPlan, Steps]:
    """Plan every table of the archive; see `dbsync.connectors.base.Target.prepare`."""
    names, losses = target_names(database.tables)
    plans: list[TablePlan] = []
    missing: list[str] = []
    for table in database.tables:
        line = state.earlier.get(table.name)
        raw = state.catalog.find(names[table.name].name)
        if line is not None:
            plans.append(_resumed(table, names[table.name], line))
        elif raw is None and _is_lost_shadow(table, database, options):
            plans.append(TablePlan(source=table, target=names[table.name], action="skip"))
        elif raw is None and options.ddl == "none":
            missing.append(names[table.name].name)
        elif raw is None:
            plan = TablePlan(source=table, target=names[table.name], action="create", rows_before=0)
            plans.append(plan)
        else:
            plans.append(_existing(table, raw, options, state, losses))
    if missing:
        raise TargetError(
            f"the target has no table {', '.join(missing)}",
            hint="create the tables first, or let the import do it with --include-schema",
        )
    _require_no_view(plans, state.catalog)
    losses += _firing(plans, state.catalog)
    made = {plan.source.name for plan in plans if plan.action == "create"}
    steps = make_steps(
        database, options.ddl, made, names, state.catalog, resuming=bool(state.earlier)
    )
    single = options.single_transaction or any(p.action == "overwrite" for p in plans)
    order = tuple(p.source.name for p in plans if p.action != "skip")
    plan = ImportPlan(
        tables=tuple(plans),
        statements=tuple(_describe(plans, steps, database, options)),
        losses=(*losses, *steps.losses),
        max_writers=1,
        table_order=(order,) if order else (),
        guarantee="single_transaction" if single else "exactly_once",
        resuming=bool(state.earlier),
    )
    return plan, steps


def _resumed(table: Table, target: Name, line: PlanLine) -> TablePlan:
    return msgspec.convert(
        {
            "source": table,
            "target": target,
            "action": line.action,
            "mode": line.mode,
            "key": line.key,
            "ordered": _ordered(table, line.key),
        },
        TablePlan,
    )


def _is_lost_shadow(table: Table, database: Database, options: ImportOptions) -> bool:
    """Say whether a table holds the content of a virtual table that will not be there."""
    native = options.ddl == "native" and database.engine == "sqlite"
    return "shadow_of" in table.details and not native


def _existing(
    table: Table, raw: RawTable, options: ImportOptions, state: State, losses: list[Loss]
) -> TablePlan:
    target = Name(None, raw.name)
    rows = state.rows.get(raw.name, 0)
    if options.existing == "error":
        raise TargetError(
            f"table {raw.name} exists already",
            hint="choose what happens to it: --existing append, skip or overwrite",
        )
    if options.existing == "skip" or (raw.shadow_of and options.existing == "append"):
        if raw.shadow_of and options.existing == "append":
            reason = f"is left as it is: the virtual table {raw.shadow_of} exists already"
            losses.append(Loss(object=f"table {raw.name}", reason=reason))
        return TablePlan(source=table, target=target, action="skip", rows_before=rows)
    _require_columns(table, raw)
    if options.existing == "overwrite":
        return TablePlan(source=table, target=target, action="overwrite", rows_before=rows)
    mode = options.on_conflict
    if rows == 0 or mode == "error":
        return TablePlan(source=table, target=target, action="append", rows_before=rows)
    key = conflict_key(table, raw, options)
    return TablePlan(
        source=table,
        target=target,
        action="append",
        mode=mode,
        key=key,
        ordered=_ordered(table, key),
        rows_before=rows,
    )


def _ordered(table: Table, key: tuple[str, ...]) -> bool:
    """Say whether the archive leaves open that rows share a key."""
    if not key:
        return False
    promised = [k.columns for k in (table.primary_key, *table.uniques) if k is not None]
    return not any(set(columns) <= set(key) for columns in promised)


def _require_columns(table: Table, raw: RawTable) -> None:
    actual = {folded(column.name) for column in raw.columns}
    missing = [c.name for c in table.columns if folded(c.name) not in actual]
    if missing:
        raise TargetError(
            f"table {raw.name} of the target has no column {', '.join(missing)}",
            hint="add the column, or leave it out with --columns when exporting",
        )
    given = {folded(column.name) for column in table.columns}
    needed = [
        c.name
        for c in raw.columns
        if c.notnull
        and c.default is None
        and c.hidden == 0
        and c.name != raw.rowid_alias
        and folded(c.name) not in given
    ]
    if needed:
        raise TargetError(
            f"column {', '.join(needed)} of table {raw.name} may not be NULL, has no default, and"
            " is not in the archive",
            hint="give the column a default, or drop its NOT NULL",
        )


def _firing(plans: list[TablePlan], catalog: Catalog) -> list[Loss]:
    """Tell which triggers fire for imported rows; those of overwritten tables rest meanwhile."""
    appended = {folded(p.target.name): p.target for p in plans if p.action == "append"}
    return [
        Loss(
            object=f"trigger {other.name}",
            reason=f"exists on table {other.table} and fires for the rows that are written there",
            severity="changed",
        )
        for other in catalog.others
        if other.kind == "TRIGGER" and folded(other.table) in appended
    ]


def _require_no_view(plans: list[TablePlan], catalog: Catalog) -> None:
    others = {folded(o.name): o.kind.lower() for o in (*catalog.others, *catalog.virtual)}
    for plan in plans:
        kind = others.get(folded(plan.target.name))
        if plan.action == "create" and kind is not None:
            raise TargetError(
                f"table {plan.target} cannot be made: the target has a {kind} of that name",
                hint="drop or rename it, or leave the table out with --exclude-tables",
            )


def _describe(
    plans: list[TablePlan], steps: Steps, database: Database, options: ImportOptions
) -> list[str]:
    lines = [f"create {step.label}" for step in steps.tables]
    for plan in plans:
        rows = plan.source.rows_estimate
        about = "" if rows is None else f" (about {rows} rows)"
        match plan.action, plan.mode:
            case "skip", _:
                lines.append(f"leave table {plan.target} as it is")
            case "overwrite", _:
                lines.append(f"empty table {plan.target} and load it{about}")
            case _, "insert":
                lines.append(f"insert into table {plan.target}{about}")
            case _, mode:
                key = ", ".join(plan.key)
                lines.append(f"{mode} table {plan.target} by {key}{about}")
    lines += [f"create {step.label}" for step in (*steps.indexes, *steps.objects)]
    if options.ddl != "none":
        lines += [f"set sequence {sequence.name}" for sequence in database.sequences]
    return lines
