"""What happens to each table of an archive: created, appended to, replaced or left alone.

What lives here: the decision for one table, from what is there and the options. Must not know:
how tables depend on one another, DDL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dbsync.connectors import landing
from dbsync.connectors.base import ImportOptions, TablePlan
from dbsync.connectors.postgres.existing import TargetTable, read_empty
from dbsync.connectors.postgres.fit import check_fit, choose_key, needs_staging, promises_unique
from dbsync.connectors.postgres.prepared import Earlier
from dbsync.connectors.postgres.session import Asks
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, Table

_OTHER_KINDS = {"v": "a view", "m": "a materialized view", "S": "a sequence"}


class TablePlans:
    """The plans of all tables. `staging`: rows of one of them go through a temporary table."""

    def __init__(self, asks: Asks, database: Database, options: ImportOptions):
        self._asks = asks
        self._database = database
        self._options = options
        self.plans: list[TablePlan] = []
        self.losses: list[Loss] = []
        self.staging = False

    def decide(
        self,
        names: Mapping[Name, Name],
        existing: Mapping[Name, TargetTable],
        earlier: Earlier | None,
    ) -> None:
        """Plan every table, or raise what `Target.prepare` promises.

        `names` maps the archive's names to the target's. What an earlier run has decided stands.
        """
        landing.refuse_unmatched_keys(self._options, self._database)
        made = (
            {t.target for t in earlier.tables.values() if t.action == "create"} if earlier else ()
        )
        old = [table for name, table in existing.items() if name not in made]
        self._refuse_unusable(old)
        empty = read_empty(self._asks, old) if earlier is None else {}
        for source in self._database.tables:
            target = existing.get(names[source.name])
            if earlier is not None:
                plan = landing.as_before(
                    source, earlier.tables[source.name], there=target is not None
                )
            elif target is None:
                plan = self._missing(source, names[source.name])
            else:
                plan = self._present(source, target, empty=empty[target.name])
            if target is not None and plan.action in ("append", "overwrite"):
                self.losses += check_fit(source, target, plan, self._database.engine)
                self.staging |= plan.mode != "insert"
                self.staging |= needs_staging(source, target, self._database.engine)
            self.plans.append(plan)

    def _refuse_unusable(self, tables: Iterable[TargetTable]) -> None:
        for table in tables:
            other = _OTHER_KINDS.get(table.kind)
            if other is not None:
                raise TargetError(
                    f"{table.name} exists on the target and is {other}, not a table",
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

    def _missing(self, source: Table, target: Name) -> TablePlan:
        if self._options.ddl == "none":
            raise TargetError(
                f"table {target} does not exist on the target",
                hint="add --include-schema to create it, or create it first",
            )
        return landing.into_new(source, target)

    def _present(self, source: Table, target: TargetTable, *, empty: bool) -> TablePlan:
        def choose(asked: tuple[str, ...] | None) -> tuple[tuple[str, ...], bool]:
            key = choose_key(source, target, asked)
            return key, not promises_unique(source, target, key, self._database.engine)

        rows = 0 if empty else max(target.estimate, 1) if target.estimate else None
        return landing.into_present(
            source, target.name, self._options, choose, empty=empty, rows=rows
        )
