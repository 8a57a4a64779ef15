"""Planning an import into Treasure Data: what exists, what would be made, what would be lost.

What lives here: the comparison of an archive's schema with what the account has, as plain values;
nothing is changed. Must not know: how a plan is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from dbsync.connectors.base import ImportOptions, ImportPlan, TablePlan
from dbsync.connectors.treasuredata.bulk_calls import Session
from dbsync.connectors.treasuredata.catalog import ENGINE
from dbsync.connectors.treasuredata.existing import into_existing, lost_columns
from dbsync.connectors.treasuredata.mapping import (
    Layout,
    lost_definitions,
    map_table,
    time_column,
)
from dbsync.connectors.treasuredata.names import (
    Marks,
    completion_mark,
    is_temporary,
    marks,
    table_names,
)
from dbsync.connectors.treasuredata.table_calls import TableState, unprotected
from dbsync.errors import LossError, TargetError, UsageError
from dbsync.model.schema import Database, Loss, Name, Table

MAX_WRITERS = 16
_CHOICES = (
    "rows cannot be updated on Treasure Data: append with --existing append --on-conflict error, "
    "or replace the table with --existing overwrite"
)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the account looks like before the import."""

    database: str
    tables: dict[str, TableState] | None
    """None where the database does not exist."""
    sessions: tuple[Session, ...]
    rows: Callable[[str], int]
    """Counts a table's rows by a query."""

    def find(self, table: str) -> TableState | None:
        """Return a table, None where it does not exist."""
        return (self.tables or {}).get(table)


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """How one table is loaded."""

    plan: TablePlan
    layout: Layout
    marks: Marks
    replaces: bool
    """Through a temporary table that then takes the name; otherwise straight into the table."""
    remains: bool = False
    """What has the name is an empty table that an import had made for the swap, and left."""
    expire_days: int | None = None
    session: Session | None = None
    """Of an earlier run of this import, which goes on."""

    @property
    def final(self) -> str:
        """Name the table."""
        return self.plan.target.name


class Landings(msgspec.Struct, frozen=True, kw_only=True):
    """What of a plan a load needs to know; the tables that are skipped are left out."""

    tables: tuple[Landing, ...]
    mark: str
    """The session that says that every table is in its place."""
    complete: bool = False
    """An earlier run has put every table into its place, and was stopped while it tidied up."""
    new_database: bool = False

    def find(self, source: Name) -> Landing:
        """Return how a table of the archive lands."""
        return next(one for one in self.tables if one.plan.source.name == source)


def make_plan(
    database: Database, options: ImportOptions, time_columns: Mapping[str, str], state: State
) -> tuple[ImportPlan, Landings]:
    """Plan every table of the archive; see `dbsync.connectors.base.Target.prepare`."""
    if options.schema is not None:
        raise UsageError("Treasure Data has no schemas", hint="leave out --schema")
    if options.ddl == "native" and database.engine != ENGINE:
        raise TargetError(
            f"native DDL of {database.engine} cannot be run by Treasure Data",
            hint="use --ddl portable, or --ddl auto",
        )
    names, losses = table_names(options.among or database.tables)
    own = {str(table.name) for table in database.tables}
    losses = [loss for loss in losses if loss.object.removeprefix("table ") in own]
    mark = completion_mark(options.import_id, state.database)
    complete = (
        options.resume
        and any(session.name == mark for session in state.sessions)
        and all(state.find(names[table.name]) for table in database.tables)
    )
    planner = _Planner(database, options, time_columns, state, complete=complete)
    landings = [planner.plan(table, Name(None, names[table.name])) for table in database.tables]
    written = [one for one in landings if one.plan.action != "skip"]
    if options.single_transaction and len(written) > 1:
        raise UsageError(
            f"Treasure Data cannot write {len(written)} tables in one transaction",
            hint="leave out --single-transaction: each table appears at once, with all its rows",
        )
    losses += planner.losses
    if options.ddl != "none":
        losses += lost_definitions(database, {one.plan.source.name: one.final for one in written})
    plan = ImportPlan(
        tables=tuple(one.plan for one in landings),
        statements=tuple(_statements(landings, state)),
        losses=tuple(losses),
        max_writers=MAX_WRITERS,
        table_order=(tuple(one.plan.source.name for one in written),) if written else (),
        guarantee="single_transaction" if options.single_transaction else "exactly_once",
        resuming=complete or any(one.session is not None for one in landings),
    )
    return plan, Landings(
        tables=tuple(written),
        mark=mark,
        complete=complete,
        new_database=state.tables is None,
    )


class _Planner:
    """Plans one table after the other, noting losses on the way."""

    def __init__(
        self,
        database: Database,
        options: ImportOptions,
        time_columns: Mapping[str, str],
        state: State,
        *,
        complete: bool,
    ):
        self._engine = database.engine
        self._options = options
        self._time_columns = time_columns
        self._state = state
        self._complete = complete
        self.losses: list[Loss] = []

    def plan(self, table: Table, target: Name) -> Landing:
        layout = map_table(table, self._engine, self._time_columns)
        identity = _identity(table, time_column(table, self._time_columns))
        landing = Landing(
            plan=TablePlan(
                source=table,
                target=target,
                action="create",
                rows_before=0,
                renamed=layout.renamed,
            ),
            layout=layout,
            marks=marks(self._options.import_id, self._state.database, target.name, identity),
            replaces=True,
            expire_days=self._expire_days(table, self._state.find(target.name)),
        )
        if self._complete:
            return landing
        session = self._begun(landing) if self._options.resume else None
        landing = self._resumed(landing, session) if session else self._fresh(landing)
        if landing.plan.action != "skip":
            self.losses += landing.layout.losses
        return landing

    def _expire_days(self, table: Table, there: TableState | None) -> int | None:
        if self._engine == ENGINE:
            given = table.details.get("expire_days")
            return int(given) if given else None
        return there.expire_days if there else None

    # An earlier run of the same import

    def _begun(self, landing: Landing) -> Session | None:
        """Find the session of an earlier run whose table is still there."""
        own = landing.marks
        for session in self._state.sessions:
            if session.name == own.session and self._state.find(session.table):
                return session
            prefix, _, table_id = session.name.rpartition("_")
            tables = (self._state.find(own.table), self._state.find(landing.final))
            if prefix == own.session and any(t is not None and t.id == table_id for t in tables):
                return session
        return None

    def _resumed(self, landing: Landing, session: Session) -> Landing:
        there = self._state.find(landing.final)
        if session.name == landing.marks.session and there is not None:
            plan = replace(landing.plan, action="append", rows_before=None)
            layout = into_existing(landing.layout, there)
            return replace(landing, plan=plan, layout=layout, replaces=False, session=session)
        action: Literal["create", "overwrite"] = "create"
        if there is not None and self._options.existing == "overwrite":
            action = "overwrite"
        if self._options.ddl == "none" and there is not None:
            landing = replace(landing, layout=into_existing(landing.layout, there))
        return replace(landing, plan=replace(landing.plan, action=action), session=session)

    # A fresh start

    def _fresh(self, landing: Landing) -> Landing:
        there = self._state.find(landing.final)
        options, plan = self._options, landing.plan
        if there is None or self._is_remains(landing, there):
            if options.ddl == "none":
                raise TargetError(
                    f"the target has no table {landing.final}",
                    hint="create the table first, or leave out --no-include-schema",
                )
            return replace(landing, remains=there is not None)
        if options.existing == "error":
            raise TargetError(
                f"table {landing.final} exists already",
                hint="choose what happens to it: --existing append, skip or overwrite; after a run "
                "that was interrupted, skip keeps the tables that are complete",
            )
        rows = there.counted or None
        if options.existing == "skip":
            return replace(landing, plan=replace(plan, action="skip", rows_before=rows))
        if options.existing == "overwrite":
            return self._overwriting(landing, there, rows)
        if options.on_conflict != "error":
            rows = there.counted or self._state.rows(landing.final)
            if rows:
                raise LossError(
                    f"table {landing.final} holds rows, and Treasure Data has no keys to "
                    f"{options.on_conflict} them by",
                    hint=_CHOICES,
                )
        return replace(
            landing,
            plan=replace(plan, action="append", rows_before=rows),
            layout=into_existing(landing.layout, there),
            replaces=False,
        )

    def _overwriting(self, landing: Landing, there: TableState, rows: int | None) -> Landing:
        unprotected(there)
        plan = replace(landing.plan, action="overwrite", rows_before=rows)
        if self._options.ddl == "none":
            return replace(landing, plan=plan, layout=into_existing(landing.layout, there))
        self.losses += lost_columns(landing.layout, there)
        return replace(landing, plan=plan)

    def _is_remains(self, landing: Landing, there: TableState) -> bool:
        """Say whether a table is what an import was about to put its rows under when it ended.

        Made empty and without columns for the swap, beside a temporary table.
        """
        family = landing.marks.family
        left = any(
            is_temporary(name) and name.startswith(family) for name in self._state.tables or {}
        )
        return left and not there.columns and not there.counted and not self._rows(there.name)

    def _rows(self, table: str) -> int:
        return self._state.rows(table)


def _identity(table: Table, time: object) -> str:
    """Write what decides how the rows of an archive's table are written."""
    columns = [(c.name, c.native_type, c.storage) for c in table.columns]
    return f"{columns} {time} {table.where}"


def _statements(landings: list[Landing], state: State) -> list[str]:
    lines = [f"create database {state.database}"] if state.tables is None else []
    for landing in landings:
        name = landing.final
        match landing.plan.action:
            case "create":
                columns = [f"{column[0]} {column[1]}" for column in landing.layout.schema]
                lines.append(f"create table {name} ({', '.join(['time long', *columns])})")
            case "overwrite":
                lines.append(f"replace: table {name}, its rows and its schema")
            case "append":
                lines.append(f"append: to table {name}, in one commit")
            case "skip":
                lines.append(f"skip: table {name} exists")
    return lines
