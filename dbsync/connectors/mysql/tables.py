"""What happens to each table of an archive: created, appended to, replaced or left alone.

What lives here: the decision for one table, from what is there and the options. Must not know:
how tables depend on one another, DDL.
"""

from __future__ import annotations

from collections.abc import Mapping

from dbsync.connectors import landing
from dbsync.connectors.base import ImportOptions, TablePlan
from dbsync.connectors.mysql.existing import TargetTable
from dbsync.connectors.mysql.fit import check_fit, choose_key, promises_unique
from dbsync.connectors.mysql.naming import require_distinct_columns, require_possible
from dbsync.connectors.mysql.prepared import Earlier
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, Table


class TablePlans:
    """The plans of all tables, and what differs."""

    def __init__(self, database: Database, options: ImportOptions):
        self._database = database
        self._options = options
        self.plans: list[TablePlan] = []
        self.losses: list[Loss] = []

    def decide(
        self,
        names: Mapping[Name, Name],
        existing: Mapping[Name, TargetTable],
        earlier: Earlier | None,
    ) -> None:
        """Plan every table, or raise what `Target.prepare` promises.

        `names` maps the archive's names to the target's, and `existing` has the archive's too.
        What an earlier run has decided stands.
        """
        landing.refuse_unmatched_keys(self._options, self._database)
        self._refuse_missing(names, existing, earlier)
        for source in self._database.tables:
            target = existing.get(source.name)
            if target is not None and not target.is_table:
                raise TargetError(
                    f"{target.name} exists on the target and is a {target.kind.lower()}, not a "
                    "table",
                    hint="rename or drop it, or leave the table out with --exclude-tables",
                )
            if earlier is not None:
                plan = landing.as_before(
                    source, earlier.tables[source.name], there=target is not None
                )
            elif target is None:
                require_possible(source, names[source.name])
                require_distinct_columns(source)
                plan = landing.into_new(source, names[source.name])
            else:
                plan = self._present(source, target)
            if target is not None and plan.action in ("append", "overwrite"):
                self.losses += check_fit(source, target, plan)
                self.losses += _firing(target, plan)
            self.plans.append(plan)

    def _refuse_missing(
        self,
        names: Mapping[Name, Name],
        existing: Mapping[Name, TargetTable],
        earlier: Earlier | None,
    ) -> None:
        if self._options.ddl != "none" or earlier is not None:
            return
        missing = [t.name for t in self._database.tables if t.name not in existing]
        if missing:
            listed = ", ".join(str(names[name]) for name in missing[:10])
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            raise TargetError(
                f"the target has no table {listed}{more}",
                hint="add --include-schema to create it, or create it first",
            )

    def _present(self, source: Table, target: TargetTable) -> TablePlan:
        def choose(asked: tuple[str, ...] | None) -> tuple[tuple[str, ...], bool]:
            key = choose_key(source, target, asked)
            return key, not promises_unique(source, target, key)

        empty = target.row_count_is_zero
        return landing.into_present(
            source, target.name, self._options, choose, empty=empty, rows=0 if empty else None
        )


def _firing(target: TargetTable, plan: TablePlan) -> list[Loss]:
    """Tell which triggers fire for imported rows: MySQL cannot turn them off for a session."""
    events = {"INSERT"}
    if plan.mode in ("update", "merge"):
        events.add("UPDATE")
    if plan.action == "overwrite":
        events.add("DELETE")
    return [
        Loss(
            object=f"trigger {trigger.name}",
            reason=f"exists on table {target.name} and fires for the rows that are written there",
            severity="changed",
        )
        for trigger in target.triggers
        if trigger.event in events
    ]
