"""MySQL and MariaDB as a target: the entry to planning, loading and checking.

What lives here: `MysqlTarget`. Must not know: how any of it is done.
"""

from __future__ import annotations

from dbsync.connectors.base import Capabilities, CheckItem, ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.examine import Examiner
from dbsync.connectors.mysql import throwaway
from dbsync.connectors.mysql.checks import check_target
from dbsync.connectors.mysql.connection import Session, open_session, parse_url
from dbsync.connectors.mysql.examine import table_examiner
from dbsync.connectors.mysql.load import MysqlLoad
from dbsync.connectors.mysql.plan import Planner
from dbsync.connectors.mysql.prepared import Prepared
from dbsync.errors import TargetError
from dbsync.model.schema import Database


class MysqlTarget:
    """See `dbsync.connectors.base.Target`."""

    capabilities = Capabilities(
        engine="mysql",
        consistent_snapshot=True,
        parallel_read=True,
        parallel_write=True,
        transactions=True,
        transactional_ddl=False,
        upsert=True,
        schemas=False,
    )

    def __init__(self, url: str, *, jobs: int = 2):
        self._address = parse_url(url)
        self._jobs = max(1, jobs)
        self._session = open_session(self._address, TargetError)
        self._prepared: Prepared | None = None
        try:
            _refuse_old(self._session)
        except BaseException:
            self._session.close()
            raise

    def prepare(self, database: Database, options: ImportOptions) -> ImportPlan:
        """See `Target.prepare`."""
        self._prepared = self._plan(self._session, database, options)
        return self._prepared.plan

    def _plan(self, session: Session, database: Database, options: ImportOptions) -> Prepared:
        return Planner(session, database, options, self._jobs).prepared()

    def examiner(self, table: TablePlan) -> Examiner | None:
        """See `Target.examiner`."""
        prepared = self._prepared
        if prepared is None:
            raise ValueError("examiner() needs the plan of the last prepare()")
        name = table.source.name
        return table_examiner(
            table,
            prepared.existing.get(name),
            prepared.database.engine,
            self._session,
            native=name in prepared.steps.faithful,
        )

    def load(self, plan: ImportPlan, options: ImportOptions) -> MysqlLoad:
        """See `Target.load`; `plan` and `options` are those of the last `prepare`."""
        prepared = self._prepared
        if prepared is None or prepared.options != options or prepared.plan.tables != plan.tables:
            raise ValueError("load() needs the plan of the last prepare()")
        return MysqlLoad(
            self._address, prepared, lambda session: self._plan(session, prepared.database, options)
        )

    def check(self) -> list[CheckItem]:
        """See `Target.check`."""
        return check_target(self._session)

    def objects(self) -> list[str]:
        """See `dbsync.connectors.base.Emptying`."""
        return throwaway.objects(self._session)

    def empty(self) -> None:
        """See `dbsync.connectors.base.Emptying`."""
        throwaway.empty(self._session)

    def close(self) -> None:
        """See `Target.close`."""
        self._session.close()


def _refuse_old(session: Session) -> None:
    flavour = session.flavour
    if not flavour.supported:
        oldest = "MariaDB 10.6" if flavour.mariadb else "MySQL 8.0"
        raise TargetError(f"{flavour.label} {flavour.text} is older than {oldest}")
