"""Planning an import into SQLite: what exists, what would be made, what would be lost.

What lives here: the comparison of an archive's schema with a catalog, as plain values; nothing is
written. Must not know: how a plan is carried out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from dbsync.connectors.base import ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.sqlite.catalog import Catalog, RawTable
from dbsync.connectors.sqlite.ddl import portable_statements
from dbsync.connectors.sqlite.keys import conflict_key
from dbsync.connectors.sqlite.ledger import PlanLine
from dbsync.connectors.sqlite.naming import folded, target_names, with_free_index_names
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, NativeObject, Table


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of DDL; `name` is what it makes, as `sqlite_master` calls it."""

    kind: str
    name: str
    sql: str
    table: str | None = None
    """The table that it belongs to, where it is made only together with that."""

    @property
    def label(self) -> str:
        """Name the object for people."""
        return f"{self.kind.lower()} {self.name}"


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """All DDL of an import, in order."""

    tables: tuple[Step, ...] = ()
    indexes: tuple[Step, ...] = ()
    objects: tuple[Step, ...] = ()
    """Views, then triggers."""
    losses: tuple[Loss, ...] = ()


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
    steps = _steps(database, options, plans, names, state)
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


def _require_no_view(plans: list[TablePlan], catalog: Catalog) -> None:
    others = {folded(o.name): o.kind.lower() for o in (*catalog.others, *catalog.virtual)}
    for plan in plans:
        kind = others.get(folded(plan.target.name))
        if plan.action == "create" and kind is not None:
            raise TargetError(
                f"table {plan.target} cannot be made: the target has a {kind} of that name",
                hint="drop or rename it, or leave the table out with --exclude-tables",
            )


def _steps(
    database: Database,
    options: ImportOptions,
    plans: list[TablePlan],
    names: dict[Name, Name],
    state: State,
) -> Steps:
    if options.ddl == "none":
        return Steps()
    made = {p.source.name for p in plans if p.action == "create"}
    if options.ddl == "native" and database.engine == "sqlite":
        return _native_steps(database, made, state)
    if options.ddl == "native":
        raise TargetError(
            f"native DDL of {database.engine} cannot be run by SQLite",
            hint="use --ddl portable, or --ddl auto",
        )
    steps = _portable_steps(database, made, names, state)
    lost = [
        Loss(object=_object_label(o), reason="SQLite does not understand it")
        if database.engine != "sqlite"
        else Loss(object=_object_label(o), reason="only native DDL carries it")
        for o in database.native
        if o.covers is None and o.kind != "INDEX"
    ]
    lost += _lost_sequences(database)
    return msgspec.structs.replace(steps, losses=(*steps.losses, *lost))


def _object_label(item: NativeObject) -> str:
    return f"{item.kind.lower()} {item.name}"


def _lost_sequences(database: Database) -> list[Loss]:
    owned = {c.identity.sequence for t in database.tables for c in t.columns if c.identity}
    return [
        Loss(object=f"sequence {sequence.name}", reason="SQLite has no sequences")
        for sequence in database.sequences
        if sequence.name not in owned
    ]


def _native_steps(database: Database, made: set[Name], state: State) -> Steps:
    existing = {folded(o.name): o.sql for o in (*state.catalog.others, *state.catalog.virtual)}
    partial = {t.name: t for t in database.tables if t.name in made and not t.all_columns}
    groups: dict[Literal["tables", "indexes", "objects"], list[Step]] = {
        "tables": [], "indexes": [], "objects": [],
    }  # fmt: skip
    losses: list[Loss] = []
    for item in database.native:
        owner = item.table
        step = Step(
            kind=item.kind, name=item.name.name, sql=item.sql, table=owner.name if owner else None
        )
        if owner is not None and owner not in made:
            continue
        if owner in partial:
            if item.kind == "TRIGGER":
                reason = "its table was exported without some of its columns"
                losses.append(Loss(object=_object_label(item), reason=reason))
            continue
        present = existing.get(folded(item.name.name))
        if present is not None:
            if present != item.sql:
                reason = "exists already with another definition, and is left as it is"
                losses.append(Loss(object=_object_label(item), reason=reason))
            continue
        if item.kind in ("TABLE", "VIRTUAL TABLE"):
            groups["tables"].append(step)
        else:
            groups["indexes" if item.kind == "INDEX" else "objects"].append(step)
    if partial:
        rest = _portable_steps(
            database, set(partial), {t.name: t.name for t in database.tables}, state
        )
        groups["tables"] += rest.tables
        groups["indexes"] += rest.indexes
        losses += rest.losses
    return Steps(
        tables=tuple(groups["tables"]),
        indexes=tuple(groups["indexes"]),
        objects=tuple(groups["objects"]),
        losses=tuple(losses),
    )


def _portable_steps(
    database: Database, made: set[Name], names: dict[Name, Name], state: State
) -> Steps:
    catalog = state.catalog
    taken = [t.name for t in catalog.tables]
    # A run that goes on finds its own indexes; they are made only where they are missing.
    if not state.earlier:
        taken += [o.name for o in catalog.others]
    tables, losses = with_free_index_names(database, names, taken)
    refers = {**names, **{Name(None, t.name): Name(None, t.name) for t in catalog.tables}}
    create: list[Step] = []
    indexes: list[Step] = []
    for name, table in tables.items():
        if name not in made:
            continue
        target = names[name]
        statements = portable_statements(table, target, database, refers)
        create.append(Step(kind="TABLE", name=target.name, sql=statements.create.sql))
        plain = (i for i in table.indexes if i.portable)
        by_label = {f"index {i.name} of table {table.name}": i.name for i in plain}
        for statement in statements.rest:
            index = by_label[statement.object]
            indexes.append(Step(kind="INDEX", name=index, sql=statement.sql, table=target.name))
        losses += statements.losses
    return Steps(tables=tuple(create), indexes=tuple(indexes), losses=tuple(losses))


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
