"""PostgreSQL as a target: the entry to planning, loading and checking.

What lives here: `PostgresTarget`. Must not know: how any of it is done.
"""

from __future__ import annotations

from dbsync.connectors.base import (
    Capabilities,
    CheckItem,
    Examiner,
    ImportOptions,
    ImportPlan,
    TablePlan,
)
from dbsync.connectors.postgres import throwaway
from dbsync.connectors.postgres.connection import parse_url
from dbsync.connectors.postgres.examine import table_examiner
from dbsync.connectors.postgres.existing import TargetTable, read_tables
from dbsync.connectors.postgres.load import PostgresLoad
from dbsync.connectors.postgres.plan import Planner
from dbsync.connectors.postgres.prepared import Prepared
from dbsync.connectors.postgres.rights import check_target
from dbsync.connectors.postgres.session import Asks, Control
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Name

_OLDEST = 140_000


class PostgresTarget:
    """See `dbsync.connectors.base.Target`."""

    capabilities = Capabilities(
        engine="postgresql",
        consistent_snapshot=True,
        parallel_read=True,
        parallel_write=True,
        transactions=True,
        transactional_ddl=True,
        upsert=True,
        schemas=True,
    )

    def __init__(self, url: str, *, schema: str | None = None, jobs: int = 2):
        self._address = parse_url(url)
        self._schema = schema
        self._jobs = max(1, jobs)
        self._control = Control(self._address)
        self._prepared: Prepared | None = None
        self._there: dict[Name, TargetTable] | None = None
        try:
            self._version = _refuse_old(self._control)
        except BaseException:
            self._control.close()
            raise

    def prepare(self, database: Database, options: ImportOptions) -> ImportPlan:
        """See `Target.prepare`."""
        self._there = None
        self._prepared = self._plan(self._control, database, options)
        return self._prepared.plan

    def _plan(self, asks: Asks, database: Database, options: ImportOptions) -> Prepared:
        schema = options.schema or self._schema
        return Planner(asks, database, options, schema, self._jobs).prepared()

    def examiner(self, table: TablePlan) -> Examiner | None:
        """See `Target.examiner`."""
        if self._prepared is None:
            raise ValueError("examiner() needs the plan of the last prepare()")
        if self._there is None:
            names = [plan.target for plan in self._prepared.plan.tables]
            self._there = read_tables(self._control, names)
        found = self._there.get(table.target)
        return table_examiner(table, found, self._prepared.database.engine, self._version)

    def load(self, plan: ImportPlan, options: ImportOptions) -> PostgresLoad:
        """See `Target.load`; `plan` and `options` are those of the last `prepare`."""
        prepared = self._prepared
        if prepared is None or prepared.options != options or prepared.plan.tables != plan.tables:
            raise ValueError("load() needs the plan of the last prepare()")
        return PostgresLoad(
            self._address, prepared, lambda asks: self._plan(asks, prepared.database, options)
        )

    def check(self) -> list[CheckItem]:
        """See `Target.check`."""
        return check_target(self._control, self._schema)

    def objects(self) -> list[str]:
        """See `dbsync.connectors.base.Emptying`."""
        return throwaway.objects(self._control)

    def empty(self) -> None:
        """See `dbsync.connectors.base.Emptying`."""
        throwaway.empty(self._control, self._address)

    def close(self) -> None:
        """See `Target.close`."""
        self._control.close()


def _refuse_old(asks: Asks) -> int:
    found = asks.rows(
        "SELECT current_setting('server_version_num')::int AS number, "
        "current_setting('server_version') AS text"
    )[0]
    if found["number"] < _OLDEST:
        raise TargetError(f"PostgreSQL {found['text']} is older than 14")
    return found["number"]
