"""What an import into PostgreSQL would do, decided before anything is written.

What lives here: `Planner`, which compares the archive's schema with what is there and refuses
what cannot work. Must not know: how it is carried out (`load`, `write`, `finalize`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dbsync.connectors import landing
from dbsync.connectors.base import ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.postgres import ledger as ledgers
from dbsync.connectors.postgres.existing import TargetTable, read_references, read_tables
from dbsync.connectors.postgres.order import LoadOrder, order_tables
from dbsync.connectors.postgres.positions import attached_sequences
from dbsync.connectors.postgres.prepared import Earlier, Prepared, read_earlier
from dbsync.connectors.postgres.replay import native_steps
from dbsync.connectors.postgres.session import Asks
from dbsync.connectors.postgres.steps import SchemaSteps
from dbsync.connectors.postgres.tables import TablePlans
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name


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
        earlier = read_earlier(self._asks, place, self._database, self._options, self._schema_name)
        existing = read_tables(self._asks, [*names.values()])
        tables = TablePlans(self._asks, self._database, self._options)
        tables.decide(names, existing, earlier)
        plans = tables.plans
        self._losses += tables.losses
        there = {p.source.name: existing[p.target] for p in plans if p.target in existing}
        order = self._order(plans, there)
        plans = [
            msgspec.structs.replace(p, action="overwrite")
            if p.source.name in order.overwritten
            else p
            for p in plans
        ]
        steps = self._schema(plans, names, earlier)
        if tables.staging and not self._may_stage():
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
            schema=self._schema_name,
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
        taken: dict[Name, Name] = {}
        for table in self._database.tables:
            target = names[table.name] = self._mapped(table.name)
            other = taken.setdefault(target, table.name)
            if other != table.name:
                raise TargetError(
                    f"tables {other} and {table.name} would both become {target}",
                    hint="import them one after the other with --tables, or without --schema",
                )
        moved = [name for name, target in names.items() if name != target]
        if moved and self._options.ddl == "native":
            raise TargetError(
                f"native DDL creates {moved[0]} and not {names[moved[0]]}",
                hint="use --ddl portable, or leave --schema out",
            )
        return names

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
        self, plans: list[TablePlan], names: Mapping[Name, Name], earlier: Earlier | None
    ) -> SchemaSteps:
        if earlier is not None:
            return SchemaSteps(before=tuple(earlier.before), after=tuple(earlier.after))
        if self._options.ddl == "none":
            return SchemaSteps()
        create = {p.source.name: p.target for p in plans if p.action == "create"}
        if self._options.ddl == "native":
            return native_steps(self._asks, self._database, create)
        # SQLAlchemy, which writes that DDL, takes a quarter of a second to load.
        from dbsync.connectors.postgres.ddl import portable_steps

        sequences = {s.name: self._mapped(s.name) for s in self._database.sequences}
        return portable_steps(self._asks, self._database, create, names, sequences)

    def _statements(self, plans: list[TablePlan], steps: SchemaSteps) -> list[str]:
        lines = [f"{step.stage}: {step.label}" for step in steps.before]
        lines += landing.described(plans)
        return [*lines, *(f"{step.stage}: {step.label}" for step in steps.after)]
