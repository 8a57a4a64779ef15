"""What an import into MySQL would do, decided before anything is written.

What lives here: `Planner`, which compares the archive's schema with what is there and refuses
what cannot work. Must not know: how it is carried out (`load`, `write`, `finalize`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dbsync.connectors import landing
from dbsync.connectors.base import ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.existing import TargetTable, read_tables
from dbsync.connectors.mysql.finalize import new_position, sequence_of
from dbsync.connectors.mysql.information import ignores_case
from dbsync.connectors.mysql.naming import target_names
from dbsync.connectors.mysql.needed_rights import (
    missing_for_ledger,
    missing_for_rows,
    missing_for_schema,
    not_alterable,
)
from dbsync.connectors.mysql.order import LoadOrder, order_tables
from dbsync.connectors.mysql.prepared import Earlier, Prepared, read_earlier
from dbsync.connectors.mysql.replay import native_steps
from dbsync.connectors.mysql.rights import Rights, read_rights
from dbsync.connectors.mysql.steps import SchemaSteps, Step
from dbsync.connectors.mysql.tables import TablePlans
from dbsync.connectors.mysql.target_rights import may_stage, refuse_read_only
from dbsync.errors import TargetError, UsageError
from dbsync.model.schema import Database, Loss, Name

Guarantee = Literal["exactly_once", "single_transaction", "none"]


class Planner:
    """Plans one import; `prepared` asks the target and changes nothing."""

    def __init__(self, session: Session, database: Database, options: ImportOptions, jobs: int):
        self._session = session
        self._database = database
        self._options = options
        self._jobs = jobs
        self._losses: list[Loss] = []

    def prepared(self) -> Prepared:
        """Decide everything, or raise what `Target.prepare` promises."""
        if self._options.schema is not None:
            raise UsageError(
                f"{self._session.flavour.label} has no schemas inside of a database",
                hint="leave out --schema; the database's name stands in the URL",
            )
        refuse_read_only(self._session)
        earlier = read_earlier(self._session, self._database, self._options)
        folds = ignores_case(self._session)
        names, renamed = target_names(self._database.tables, folds=folds)
        self._losses += renamed
        existing = self._existing(names)
        tables = TablePlans(self._database, self._options)
        tables.decide(names, existing, earlier)
        plans = tables.plans
        self._losses += tables.losses
        steps = self._schema(plans, names)
        order = self._order(plans, existing)
        rights = read_rights(self._session)
        self._require_rights(plans, existing, steps, rights)
        unnumbered = self._unnumbered(plans, existing, rights)
        lacks = missing_for_ledger(self._session, rights)
        ledger = not self._options.single_transaction and not lacks
        guarantee = self._guarantee(plans, existing, lacks)
        plan = ImportPlan(
            tables=tuple(plans),
            statements=tuple(self._statements(plans, steps)),
            losses=tuple(self._losses) + steps.losses,
            max_writers=1 if self._options.single_transaction else self._jobs,
            table_order=order.groups,
            guarantee=guarantee,
            resuming=earlier is not None,
        )
        return Prepared(
            database=self._database,
            options=self._options,
            plan=plan,
            order=order,
            steps=steps,
            existing=existing,
            earlier=earlier or Earlier(),
            ledger=ledger,
            unnumbered=unnumbered,
        )

    def _existing(self, names: Mapping[Name, Name]) -> dict[Name, TargetTable]:
        found = read_tables(self._session, names.values())
        return {name: found[target] for name, target in names.items() if target in found}

    # Order and schema

    def _order(self, plans: list[TablePlan], existing: Mapping[Name, TargetTable]) -> LoadOrder:
        used = {
            p.source.name: existing[p.source.name]
            for p in plans
            if p.action in ("append", "overwrite") and p.source.name in existing
        }
        return order_tables(
            [p.source.name for p in plans if p.action != "skip"],
            used,
            {p.source.name for p in plans if p.action == "overwrite"},
            everything=self._options.single_transaction,
        )

    def _schema(self, plans: list[TablePlan], names: Mapping[Name, Name]) -> SchemaSteps:
        if self._options.ddl == "none":
            return SchemaSteps()
        create = {p.source.name: p.target for p in plans if p.action == "create"}
        if self._options.ddl == "native":
            return native_steps(self._session, self._database, create, names)
        # SQLAlchemy, which writes that DDL, takes a quarter of a second to load.
        from dbsync.connectors.mysql.ddl import portable_steps

        return portable_steps(self._session, self._database, create, names)

    # Rights and guarantees

    def _require_rights(
        self,
        plans: list[TablePlan],
        existing: Mapping[Name, TargetTable],
        steps: SchemaSteps,
        rights: Rights,
    ) -> None:
        """Refuse what this user may not do, as far as the server tells without doing it."""
        if lacks := missing_for_schema(self._session, rights, steps):
            listed = ", ".join(lacks)
            raise TargetError(
                f"this user may not make what the archive holds: it lacks {listed}",
                hint=f"GRANT {listed} ON {quote_name(self._session.database)}.* to it",
            )
        for plan in plans:
            if plan.action not in ("append", "overwrite"):
                continue
            if denied := missing_for_rows(self._session, plan, existing[plan.source.name]):
                target, listed = quote_name(plan.target.name), ", ".join(denied)
                raise TargetError(
                    f"table {plan.target} cannot be written: this user lacks {listed} on it",
                    hint=f"GRANT {listed} ON {target} to it",
                )
        staged = any(p.mode != "insert" for p in plans if p.action != "skip")
        if staged and not may_stage(self._session):
            raise TargetError(
                "this user may not create temporary tables, through which these rows must go",
                hint=f"GRANT CREATE TEMPORARY TABLES ON {quote_name(self._session.database)}.* "
                "to it",
            )

    def _unnumbered(
        self, plans: list[TablePlan], existing: Mapping[Name, TargetTable], rights: Rights
    ) -> frozenset[Name]:
        """Find the tables that ought to number on as the archive says, and report them."""
        moved = {
            p.target.name: p.source.name
            for p in plans
            if p.action in ("append", "overwrite")
            and p.source.name in existing
            and (sequence := sequence_of(p.source, self._database.sequences)) is not None
            and new_position(existing[p.source.name], sequence, replaced=p.action == "overwrite")
        }
        closed = list(not_alterable(self._session, rights, moved))
        self._losses += [
            Loss(
                object=f"AUTO_INCREMENT of table {name}",
                reason="this user lacks ALTER on it, so the next number is the one after the "
                "largest there, which the source may have used already",
                severity="changed",
            )
            for name in closed
        ]
        return frozenset(moved[name] for name in closed)

    def _guarantee(
        self,
        plans: list[TablePlan],
        existing: Mapping[Name, TargetTable],
        lacks: list[str],
    ) -> Guarantee:
        """Say what is promised; `lacks` are the rights that are missing for a ledger."""
        loose = [
            (p.source.name, existing[p.source.name])
            for p in plans
            if p.action in ("append", "overwrite") and p.source.name in existing
        ]
        loose = [(name, table) for name, table in loose if not table.transactional]
        self._losses += [
            Loss(
                object=f"transactions of table {table.name}",
                reason=f"its engine {table.engine} has none: where the import is interrupted, part "
                "of a chunk may stay, and rows may come twice when it is run again",
                severity="changed",
            )
            for _, table in loose
        ]
        if loose:
            return "none"
        if self._options.single_transaction:
            return "single_transaction"
        if lacks:
            self._losses.append(
                Loss(
                    object="resuming this import",
                    reason=f"this user lacks {', '.join(lacks)}, so there is no ledger: if the "
                    "import is interrupted, some chunks stay and nothing notes which; "
                    "--single-transaction avoids that",
                    severity="changed",
                )
            )
            return "none"
        return "exactly_once"

    def _statements(self, plans: list[TablePlan], steps: SchemaSteps) -> list[str]:
        single = self._options.single_transaction
        lines = [_line(step) for step in steps.before]
        if single:
            lines += [_line(step) for step in (*steps.keys, *steps.routines)]
        lines += landing.described(plans)
        if single and (steps.before or steps.keys):
            lines.append("on failure: drop again the tables that were created")
        if not single:
            lines += [_line(step) for step in (*steps.keys, *steps.routines)]
        return [*lines, *(_line(step) for step in steps.after)]


def _line(step: Step) -> str:
    return f"create {step.label}"
