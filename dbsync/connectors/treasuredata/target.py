"""Writing a Treasure Data database: planning against what exists, and starting the load.

What lives here: `TreasureDataTarget`. Must not know: how plans are made or carried out in detail.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from msgspec.structs import replace

from dbsync.connectors.base import (
    CheckItem,
    Examiner,
    ImportOptions,
    ImportPlan,
    Load,
    TablePlan,
)
from dbsync.connectors.examine import examiner
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata import table_calls as tables
from dbsync.connectors.treasuredata.bulk_calls import list_sessions
from dbsync.connectors.treasuredata.catalog import CAPABILITIES
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.counting import count_rows
from dbsync.connectors.treasuredata.load import TdLoad
from dbsync.connectors.treasuredata.plan import Landings, State, make_plan
from dbsync.connectors.treasuredata.target_check import check_items, require_right
from dbsync.connectors.treasuredata.writer import conversions
from dbsync.model.schema import Database

TARGET_CAPABILITIES = replace(CAPABILITIES, independent_tables=True)


class TreasureDataTarget:
    """A database of the service that is written; opened by `open_target`, closed by the caller."""

    capabilities = TARGET_CAPABILITIES

    def __init__(self, api: Api, options: TreasureDataOptions):
        self._api = api
        self._options = options
        self._prepared: tuple[Database, Landings] | None = None
        self._seen: State | None = None

    def prepare(self, database: Database, options: ImportOptions) -> ImportPlan:
        """Plan an import; see `dbsync.connectors.base.Target.prepare`.

        Of tables that are imported one by one, each is planned by what was there when this object
        was first asked, so that hundreds of them cost one look.
        """
        one_of_many = bool(options.among and database.tables)
        if self._seen is None or not one_of_many:
            self._seen = self._look(check_rights=not one_of_many)
        plan, landings = make_plan(database, options, self._options.time_columns, self._seen)
        self._prepared = (database, landings)
        return plan

    def _look(self, *, check_rights: bool) -> State:
        there = tables.list_tables(self._api)
        if there is not None and check_rights:
            require_right(self._api)
        return State(
            database=self._api.address.database,
            tables=there,
            sessions=tuple(list_sessions(self._api)),
            rows=lambda table: count_rows(self._api, table),
        )

    def examiner(self, table: TablePlan) -> Examiner | None:
        """Say what to look at in a table; see `dbsync.connectors.base.Target.examiner`."""
        if self._prepared is None:
            raise RuntimeError("examiner needs a plan that prepare of the same target has made")
        database, landings = self._prepared
        layout = landings.find(table.source.name).layout
        # Dates that no calendar has, which MySQL holds, are found as what SQLite holds besides a
        # column's type is: by their exceptions alone.
        engine = "sqlite" if database.engine == "mysql" else database.engine
        return examiner(conversions(table.source, layout), engine=engine)

    def load(self, plan: ImportPlan, options: ImportOptions) -> AbstractContextManager[Load]:
        """Start the import that `prepare` of this object has planned last."""
        del plan
        if self._prepared is None:
            raise RuntimeError("load needs a plan that prepare of the same target has made")
        return TdLoad(self._api, self._prepared[1], options)

    def check(self) -> list[CheckItem]:
        """Say what the key may do in the database; see `dbsync.connectors.base.Target.check`."""
        return check_items(self._api)

    def objects(self) -> list[str]:
        """List the tables; see `dbsync.connectors.base.Emptying`."""
        return [f"table {name}" for name in sorted(tables.list_tables(self._api) or {})]

    def empty(self) -> None:
        """Delete every table; the database stays."""
        for name in tables.list_tables(self._api) or {}:
            tables.delete_table(self._api, name)

    def stop(self) -> None:
        """End what waits for the service, in any thread."""
        self._api.stop()

    def close(self) -> None:
        """Close the connections; may be repeated."""
        self._api.close()
