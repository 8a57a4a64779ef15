"""What an import into PostgreSQL would do, decided before anything is written.

What lives here: `Planner`, which compares the archive's schema with what is there and refuses
what cannot work. Must not know: how it is carried out (`load`, `write`, `finalize`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from dbsync.connectors.base import ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.postgres import ledger as ledgers
from dbsync.connectors.postgres.ddl import SchemaSteps, Step, portable_steps
from dbsync.connectors.postgres.existing import (
    TargetTable,
    read_empty,
    read_references,
    read_tables,
)
from dbsync.connectors.postgres.fit import check_fit, choose_key, needs_staging, promises_unique
from dbsync.connectors.postgres.order import LoadOrder, order_tables
from dbsync.connectors.postgres.positions import attached_sequences
from dbsync.connectors.postgres.replay import native_steps
from dbsync.connectors.postgres.session import Asks
from dbsync.errors import ConflictError, TargetError, UsageError
from dbsync.model.schema import Database, Loss, Name, Table
from dbsync.model.selection import matches

Action = Literal["create", "append", "overwrite", "skip"]
Mode = Literal["insert", "skip", "update", "merge"]


class _TableLine(msgspec.Struct, frozen=True, kw_only=True):
    """A table in the ledger: what was decided when the import began."""

    source: Name
    target: Name
    action: Action
    mode: Mode
    key: tuple[str, ...]
    ordered: bool


class _StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """A step in the ledger."""

    when: Literal["before", "after"]
    number: int
    step: Step


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with what only this connector needs to carry it out.

    `done` are the labels of steps that an earlier run has committed. `ledger` is None where there
    is none: under a single transaction, or without the right to create it.
    """

    database: Database
    options: ImportOptions
    plan: ImportPlan
    order: LoadOrder
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    done: frozenset[str]
    ledger: ledgers.Place | None
    sequence_names: Mapping[Name, Name]

    def lines(self) -> list[ledgers.Line]:
        """Write down the plan, for a later run to go on with."""
        listed = [ledgers.Line(item="options", kind="options", detail=_options_text(self.options))]
        for number, table in enumerate(self.plan.tables):
            detail = _TableLine(
                source=table.source.name,
                target=table.target,
                action=table.action,
                mode=table.mode,
                key=table.key,
                ordered=table.ordered,
            )
            item = f"table {number:06d}"
            listed.append(ledgers.Line(item=item, kind="table", detail=ledgers.encode(detail)))
        for when, steps in (("before", self.before), ("after", self.after)):
            for number, step in enumerate(steps):
                detail = ledgers.encode({"when": when, "number": number, "step": step})
                listed.append(ledgers.Line(item=step_item(step), kind="step", detail=detail))
        return listed


def step_item(step: Step) -> str:
    """Name the line of a step."""
    return f"step {step.label}"


@dataclass
class _Earlier:
    """What the ledger says of an earlier run of the same import."""

    tables: dict[Name, _TableLine]
    before: list[Step]
    after: list[Step]
    done: set[str]


class Planner:
    """Plans one import; `prepared` asks the target and changes nothing."""

    def __init__(
        self,
        asks: Asks,
        database: Database,
        options: ImportOptions,
        schema: str | None,
        jobs: int,
    ):
        self._schema_name = schema
        self._asks = asks
        self._database = database
        self._options = options
        self._jobs = jobs
        self._losses: list[Loss] = []

    def prepared(self) -> Prepared:
        """Decide everything, or raise what `Target.prepare` promises."""
        self._refuse_read_only()
        names = self._target_names()
        place = None if self._options.single_transaction else ledgers.find(self._asks)
        earlier = self._earlier(place)
        existing = read_tables(self._asks, [*names.values()])
        plans, staging = self._tables(names, existing, earlier)
        there = {p.source.name: existing[p.target] for p in plans if p.target in existing}
        order = self._order(plans, there)
        plans = [
            msgspec.structs.replace(p, action="overwrite")
            if p.source.name in order.overwritten
            else p
            for p in plans
        ]
        steps = self._schema(plans, names, earlier)
        if staging and not self._may_stage():
            raise TargetError(
                "this role may not create temporary tables, through which these rows must go",
                hint="GRANT TEMPORARY ON DATABASE to it",
            )
        self._losses += self._fixed_sequences(plans, existing)
        ledger = place if place is not None and place.schema is not None else None
        if ledger is None and not self._options.single_transaction:
            self._losses.append(
                Loss(
                    object="resuming this import",
                    reason="this role may create no table in schema public, so there is no "
                    "ledger: if the import is interrupted, some chunks stay and nothing notes "
                    "which; --single-transaction avoids that",
                    severity="changed",
                )
            )
        plan = ImportPlan(
            tables=tuple(plans),
            statements=tuple(self._statements(plans, steps)),
            losses=tuple(self._losses) + steps.losses,
            max_writers=1 if self._options.single_transaction else self._jobs,
            table_order=order.groups,
            guarantee=(
                "single_transaction"
                if self._options.single_transaction
                else "none"
                if ledger is None
                else "exactly_once"
            ),
            resuming=earlier is not None,
        )
        return Prepared(
            database=self._database,
            options=self._options,
            plan=plan,
            order=order,
            before=steps.before,
            after=steps.after,
            done=frozenset(earlier.done if earlier else ()),
            ledger=ledger,
            sequence_names={s.name: self._mapped(s.name) for s in self._database.sequences},
        )

    # The whole

    def _refuse_read_only(self) -> None:
        found = self._asks.rows(
            "SELECT current_setting('transaction_read_only') AS ro, pg_is_in_recovery() AS standby"
        )[0]
        if found["ro"] == "on" or found["standby"]:
            raise TargetError(
                "the target is read-only"
                + (": it is a standby" if found["standby"] else " for this role or database")
                + " [25006]",
                hint="connect to the primary, as a role whose transactions may write",
            )

    def _may_stage(self) -> bool:
        query = "SELECT has_database_privilege(current_database(), 'TEMPORARY') AS ok"
        return bool(self._asks.rows(query)[0]["ok"])

    def _mapped(self, name: Name) -> Name:
        return Name(self._schema_name or name.schema or "public", name.name)

    def _target_names(self) -> dict[Name, Name]:
        names: dict[Name, Name] = {}
        for table in self._database.tables:
            target = self._mapped(table.name)
            for other, taken in names.items():
                if taken == target:
                    raise TargetError(
                        f"tables {other} and {table.name} would both become {target}",
                        hint="import them one after the other with --tables, or without --schema",
                    )
            names[table.name] = target
        moved = [name for name, target in names.items() if name != target]
        if moved and self._options.ddl == "native":
            raise TargetError(
                f"native DDL creates {moved[0]} and not {names[moved[0]]}",
                hint="use --ddl portable, or leave --schema out",
            )
        return names

    # An earlier run

    def _earlier(self, place: ledgers.Place | None) -> _Earlier | None:
        if place is None or not self._options.resume:
            return None
        lines = ledgers.read(self._asks, place, self._options.import_id)
        if not lines:
            return None
        earlier = _Earlier({}, [], [], set())
        for line in lines:
            if line.kind == "options":
                self._refuse_other_options(line.detail)
            elif line.kind == "table":
                table: _TableLine = ledgers.decode(line.detail, _TableLine)
                earlier.tables[table.source] = table
        entries: list[_StepLine] = []
        for line in lines:
            if line.kind == "step":
                entries.append(ledgers.decode(line.detail, _StepLine))
            if line.done:
                earlier.done.add(line.item.removeprefix("step "))
        for entry in sorted(entries, key=lambda entry: entry.number):
            (earlier.before if entry.when == "before" else earlier.after).append(entry.step)
        if earlier.tables.keys() != {t.name for t in self._database.tables}:
            raise ConflictError(
                "an earlier run of this import was given other tables and is not complete",
                hint="choose the same tables to go on, or start afresh with --no-resume",
            )
        return earlier

    def _refuse_other_options(self, detail: str | None) -> None:
        if detail != _options_text(self._options):
            raise ConflictError(
                f"an earlier run of this import is not complete and had other options: {detail}",
                hint="give the same options to go on, or start afresh with --no-resume",
            )

    # Tables

    def _tables(
        self,
        names: Mapping[Name, Name],
        existing: Mapping[Name, TargetTable],
        earlier: _Earlier | None,
    ) -> tuple[list[TablePlan], bool]:
        ours = {
            line.target
            for line in (earlier.tables.values() if earlier else ())
            if line.action == "create"
        }
        old = [t for name, t in existing.items() if name not in ours]
        self._refuse_unusable(old)
        empty = read_empty(self._asks, old)
        self._refuse_unmatched_keys()
        plans: list[TablePlan] = []
        staging = False
        for source in self._database.tables:
            target = existing.get(names[source.name])
            if earlier is not None:
                plan = self._as_before(source, earlier.tables[source.name], target)
            elif target is None:
                plan = self._missing(source, names[source.name])
            else:
                plan = self._present(source, target, empty=empty[target.name])
            if target is not None and plan.action in ("append", "overwrite"):
                self._losses += check_fit(source, target, plan, self._database.engine)
                staging |= plan.mode != "insert"
                staging |= needs_staging(source, target, self._database.engine)
            plans.append(plan)
        return plans, staging

    def _refuse_unusable(self, tables: list[TargetTable]) -> None:
        kinds = {"v": "a view", "m": "a materialized view", "S": "a sequence"}
        for table in tables:
            if table.kind in kinds:
                raise TargetError(
                    f"{table.name} exists on the target and is {kinds[table.kind]}, not a table",
                    hint="rename or drop it, or leave the table out with --exclude-tables",
                )
            if self._options.existing == "skip":
                continue
            if table.row_security:
                raise TargetError(
                    f"row-level security applies to this role on table {table.name}",
                    hint="import as the table's owner, or as a role with BYPASSRLS",
                )
            if table.rules and not table.owned:
                raise TargetError(
                    f"table {table.name} has rules that rewrite what is inserted, and this role "
                    "does not own it and cannot turn them off",
                    hint="import as the table's owner",
                )
            for right, has in (("SELECT", table.may_select), ("INSERT", table.may_insert)):
                if not has:
                    raise TargetError(
                        f"this role lacks {right} on table {table.name}",
                        hint=f"GRANT {right} ON {table.sql} to it",
                    )

    def _refuse_unmatched_keys(self) -> None:
        for pattern in self._options.conflict_keys:
            if not any(matches(pattern, t.name) for t in self._database.tables):
                raise UsageError(f"the conflict key for {pattern!r} matches no table")

    def _missing(self, source: Table, target: Name) -> TablePlan:
        if self._options.ddl == "none":
            raise TargetError(
                f"table {target} does not exist on the target",
                hint="add --include-schema to create it, or create it first",
            )
        return TablePlan(source=source, target=target, action="create", rows_before=0)

    def _present(self, source: Table, target: TargetTable, *, empty: bool) -> TablePlan:
        rows = 0 if empty else max(target.estimate, 1) if target.estimate else None
        plan = TablePlan(source=source, target=target.name, action="append", rows_before=rows)
        match self._options.existing:
            case "error":
                raise TargetError(
                    f"table {target.name} exists on the target",
                    hint="choose --existing append, skip or overwrite, or drop it",
                )
            case "skip":
                return msgspec.structs.replace(plan, action="skip")
            case "overwrite" if not empty:
                return msgspec.structs.replace(plan, action="overwrite")
            case _:
                return plan if empty else self._conflicting(plan, target)

    def _conflicting(self, plan: TablePlan, target: TargetTable) -> TablePlan:
        """Choose how rows meet those that are there."""
        if self._options.on_conflict == "error":
            return plan
        asked = next(
            (
                columns
                for pattern, columns in self._options.conflict_keys.items()
                if matches(pattern, plan.source.name)
            ),
            None,
        )
        key = choose_key(plan.source, target, asked)
        return msgspec.structs.replace(
            plan,
            mode=self._options.on_conflict,
            key=key,
            ordered=not promises_unique(plan.source, target, key, self._database.engine),
        )

    def _as_before(self, source: Table, line: _TableLine, target: TargetTable | None) -> TablePlan:
        if target is None and line.action != "create":
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

    def _fixed_sequences(
        self, plans: list[TablePlan], existing: Mapping[Name, TargetTable]
    ) -> list[Loss]:
        """Report sequences of existing tables that this role may not move past the new rows."""
        used = [p.target for p in plans if p.action != "skip" and p.target in existing]
        return [
            Loss(
                object=f"position of sequence {sequence.name}",
                reason="this role lacks SELECT or UPDATE on it, so it may give numbers that the "
                "imported rows have",
            )
            for sequence in attached_sequences(self._asks, used, reached=False)
            if not sequence.movable
        ]

    # Order and schema

    def _order(self, plans: list[TablePlan], there: Mapping[Name, TargetTable]) -> LoadOrder:
        used = {
            p.source.name: there[p.source.name]
            for p in plans
            if p.action in ("append", "overwrite") and p.source.name in there
        }
        references = read_references(self._asks, used.values())
        overwritten = {p.source.name for p in plans if p.action == "overwrite"}
        return order_tables(
            [p.source.name for p in plans if p.action != "skip"],
            used,
            references,
            overwritten,
            everything=self._options.single_transaction,
        )

    def _schema(
        self, plans: list[TablePlan], names: Mapping[Name, Name], earlier: _Earlier | None
    ) -> SchemaSteps:
        if earlier is not None:
            return SchemaSteps(before=tuple(earlier.before), after=tuple(earlier.after))
        if self._options.ddl == "none":
            return SchemaSteps()
        create = {p.source.name: p.target for p in plans if p.action == "create"}
        if self._options.ddl == "native":
            return native_steps(self._asks, self._database, create)
        sequences = {s.name: self._mapped(s.name) for s in self._database.sequences}
        return portable_steps(self._asks, self._database, create, names, sequences)

    def _statements(self, plans: list[TablePlan], steps: SchemaSteps) -> list[str]:
        lines = [f"{step.stage}: {step.label}" for step in steps.before]
        for plan in plans:
            if plan.action == "skip":
                lines.append(f"skip: table {plan.target} exists")
            elif plan.action == "overwrite":
                lines.append(f"replace: every row of table {plan.target}")
            elif plan.mode != "insert":
                lines.append(f"{plan.mode}: table {plan.target} by {', '.join(plan.key)}")
            else:
                lines.append(f"insert: into table {plan.target}")
        return [*lines, *(f"{step.stage}: {step.label}" for step in steps.after)]


def _options_text(options: ImportOptions) -> str:
    return ledgers.encode(
        {
            "ddl": options.ddl,
            "existing": options.existing,
            "on_conflict": options.on_conflict,
            "conflict_keys": dict(sorted(options.conflict_keys.items())),
            "schema": options.schema,
        }
    )
