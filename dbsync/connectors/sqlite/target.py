"""Writing an SQLite database: planning against what exists, and starting the load.

What lives here: `SqliteTarget`. Must not know: how plans are made or carried out in detail.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from dbsync.connectors.base import (
    Capabilities,
    CheckItem,
    Examiner,
    ImportOptions,
    ImportPlan,
    Load,
    TablePlan,
)
from dbsync.connectors.sqlite import throwaway
from dbsync.connectors.sqlite.catalog import Catalog, read_catalog
from dbsync.connectors.sqlite.connection import (
    Connection,
    begin_reading,
    open_for_reading,
    parse_url,
    quote,
    reading_mode,
    wait_for_lock,
)
from dbsync.connectors.sqlite.examine import table_examiner
from dbsync.connectors.sqlite.ledger import Ledger, require_same
from dbsync.connectors.sqlite.load import SqliteLoad
from dbsync.connectors.sqlite.naming import folded
from dbsync.connectors.sqlite.plan import State, make_plan
from dbsync.connectors.sqlite.steps import Steps
from dbsync.errors import TargetError, UsageError
from dbsync.model.schema import Database

TARGET_CAPABILITIES = Capabilities(
    engine="sqlite",
    consistent_snapshot=True,
    parallel_read=True,
    parallel_write=False,
    transactions=True,
    transactional_ddl=True,
    upsert=True,
    schemas=False,
)


class SqliteTarget:
    """An SQLite file that is written; opened by `open_target`, closed by the caller."""

    capabilities = TARGET_CAPABILITIES

    def __init__(self, url: str):
        self._location = parse_url(url)
        if self._location.immutable:
            raise UsageError("a database opened as immutable cannot be written")
        self._prepared: tuple[Database, Steps] | None = None
        self._there: Catalog | None = None
        self._encoding = "UTF-8"

    def prepare(self, database: Database, options: ImportOptions) -> ImportPlan:
        """Plan an import; see `dbsync.connectors.base.Target.prepare`."""
        if options.schema is not None:
            raise UsageError("SQLite has no schemas", hint="leave out --schema")
        self._require_writable()
        state = self._state(database, options)
        plan, steps = make_plan(database, options, state)
        self._there = state.catalog
        if not state.catalog.tables and options.ddl == "native":
            self._encoding = database.details.get("encoding", self._encoding)
        self._prepared = (database, steps)
        return plan

    def examiner(self, table: TablePlan) -> Examiner | None:
        """Say what to look at in a table; see `dbsync.connectors.base.Target.examiner`."""
        if self._prepared is None or self._there is None:
            raise RuntimeError("examiner needs a plan that prepare of the same target has made")
        database, _ = self._prepared
        return table_examiner(
            table,
            self._there.by_name.get(folded(table.target.name)),
            encoding=self._encoding,
            from_sqlite=database.engine == "sqlite",
        )

    def load(self, plan: ImportPlan, options: ImportOptions) -> AbstractContextManager[Load]:
        """Start the import that `prepare` of this object has planned last."""
        if self._prepared is None:
            raise RuntimeError("load needs a plan that prepare of the same target has made")
        database, steps = self._prepared
        return SqliteLoad(self._location, plan, options, database, steps)

    def check(self) -> list[CheckItem]:
        """Say whether the file, or the folder to make it in, can be written."""
        path = self._location.path
        if not path.exists():
            problem = self._problem()
            found = problem or f"{path} does not exist and would be created"
            hint = "create the folder, or choose another one" if problem else None
            return [CheckItem(item="file", ok=problem is None, found=found, hint=hint)]
        connection = self._reader()
        try:
            wait_for_lock(lambda: begin_reading(connection))
            version = connection.value("SELECT sqlite_version()")
            mode = connection.value("PRAGMA journal_mode")
            unfinished = Ledger(connection, "").exists()
        finally:
            connection.close()
        problem = self._problem()
        hint = "make the file and its folder writable for this user" if problem else None
        return [
            CheckItem(
                item="connection", ok=True, found=f"{path}, SQLite {version}, journal mode {mode}"
            ),
            CheckItem(item="writing", ok=problem is None, found=problem or "allowed", hint=hint),
            CheckItem(
                item="unfinished import",
                ok=not unfinished,
                found="its ledger is there" if unfinished else "none",
                hint="run the import again to finish it" if unfinished else None,
            ),
        ]

    def objects(self) -> list[str]:
        """List what stands in the file; see `dbsync.connectors.base.Emptying`."""
        if not self._location.path.exists():
            return []
        connection = self._reader()
        try:
            return throwaway.objects(connection)
        finally:
            connection.close()

    def empty(self) -> None:
        """Drop everything; the file stays, as a database without tables."""
        if self._location.path.exists():
            throwaway.empty(self._location)

    def close(self) -> None:
        """Free nothing: connections live only as long as a call or a load."""

    def _reader(self) -> Connection:
        mode = reading_mode(self._location, TargetError)
        return open_for_reading(self._location, mode, TargetError)

    def _problem(self) -> str | None:
        path = self._location.path
        folder = path.absolute().parent
        if path.exists() and not path.is_file():
            return f"{path} is not a file"
        if not folder.is_dir():
            return f"the folder {folder} does not exist"
        for place in (folder, *((path,) if path.exists() else ())):
            if not os.access(place, os.W_OK):
                return f"{place} cannot be written by this user"
        return None

    def _require_writable(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise TargetError(
                f"cannot write the SQLite database {self._location.path}: {problem}",
                hint="SQLite needs the right to write the file and, for its journal, the folder",
            )

    def _state(self, database: Database, options: ImportOptions) -> State:
        if not self._location.path.exists():
            return State(catalog=EMPTY, rows={})
        connection = self._reader()
        try:
            wait_for_lock(lambda: begin_reading(connection))
            catalog = read_catalog(connection)
            self._encoding = str(connection.value("PRAGMA encoding"))
            ledger = Ledger(connection, options.import_id)
            begun = ledger.start() if options.resume else None
            if begun is not None:
                require_same(begun, options, [table.name for table in database.tables])
            wanted = {folded(table.name.name) for table in database.tables}
            wanted |= {folded(str(table.name)) for table in database.tables}
            return State(
                catalog=catalog,
                rows={
                    raw.name: int(connection.value(f"SELECT count(*) FROM {quote(raw.name)}"))
                    for raw in catalog.tables
                    if begun is None and folded(raw.name) in wanted
                },
                earlier=ledger.plan() if begun is not None else {},
            )
        finally:
            connection.close()


EMPTY = Catalog(
    tables=(), virtual=(), others=(), order={}, sequence={}, statistics=False, by_name={}
)
