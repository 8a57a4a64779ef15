"""An import under way: the lock, the connections, the steps, and what is committed with what.

What lives here: `PostgresLoad`. Must not know: what the steps are, how rows are written.

Connections: `Control` holds the advisory lock and answers questions; one `Session` runs DDL and
what is shared; each other writer has its own, reused by later ones. Where everything is one
transaction there is only the one session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from dbsync.connectors.base import Stage, TablePlan
from dbsync.connectors.postgres import ledger as ledgers
from dbsync.connectors.postgres.connection import Address
from dbsync.connectors.postgres.existing import TargetTable, read_tables
from dbsync.connectors.postgres.failures import sqlstate
from dbsync.connectors.postgres.finalize import analyze_statement, set_positions
from dbsync.connectors.postgres.ledger import Ledger
from dbsync.connectors.postgres.prepared import Prepared, step_item
from dbsync.connectors.postgres.session import Asks, Control, Session
from dbsync.connectors.postgres.shared import empty_tables, relax, tighten
from dbsync.connectors.postgres.steps import Step
from dbsync.connectors.postgres.write import (
    OwnTransaction,
    PostgresWriter,
    SharedTransaction,
    Unit,
)
from dbsync.errors import ConflictError, DbsyncError
from dbsync.model.schema import Name

_LOCK = 0x6462_7379_6E63_0001
"""The advisory lock of an import: "dbsync" and a number. One import at a time in a database."""

_BATCH = 100
"""Steps committed together: each table and index keeps a lock until then, and there are few."""

_EXISTS = frozenset(("42710", "42723", "42P07", "42P06", "42712", "42701"))
"""An object of this name is there: duplicate object, function, table, schema, alias, column."""

_SEQUENCES = Step(stage="sequences", label="sequence positions", sql="")
_SHARED = Step(stage="rows", label="rows loaded in one transaction", sql="")


class PostgresLoad:
    """See `dbsync.connectors.base.Load`."""

    def __init__(self, address: Address, prepared: Prepared, replan: Callable[[Asks], Prepared]):
        self._replan = replan
        self._address = address
        self._prepared = prepared
        self._control = Control(address)
        self._main: Session | None = None
        self._shared: SharedTransaction | None = None
        self._own_shared: Session | None = None
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._known: dict[Name, TargetTable] = {}
        self._done = set(prepared.done)
        self._single = prepared.options.single_transaction
        place = prepared.ledger
        self._ledger = Ledger(place, prepared.options.import_id) if place is not None else None

    def __enter__(self) -> PostgresLoad:
        try:
            self._take_lock()
            self._refuse_changes()
            self._main = Session(self._address)
        except BaseException:
            self._control.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        sessions = [*self._idle, *(s for s in (self._own_shared, self._main) if s is not None)]
        self._idle, self._own_shared, self._main = [], None, None
        for session in sessions:
            # Closing undoes what is not committed; there is nothing to do where it fails.
            with suppress(Exception):
                session.close()
        self._control.close()

    def _take_lock(self) -> None:
        if not self._control.rows(f"SELECT pg_try_advisory_lock({_LOCK}) AS ok")[0]["ok"]:
            raise ConflictError(
                "another import into this database is running",
                hint="wait until it ends, or end it, then run this one again",
            )

    def _refuse_changes(self) -> None:
        """Plan again now that no other import can run, and insist on the same outcome."""
        seen, now = self._prepared.plan, self._replan(self._control).plan
        if (seen.tables, seen.statements, seen.resuming) != (
            now.tables,
            now.statements,
            now.resuming,
        ):
            raise ConflictError(
                "the target has changed since the import was planned",
                hint="run the same command again",
            )

    @property
    def _session(self) -> Session:
        if self._main is None:
            raise RuntimeError("the load is not open")
        return self._main

    # Before the rows

    def create(self) -> Iterator[tuple[Stage, str]]:
        """Make the ledger and what comes before the rows; see `Load.create`."""
        if self._ledger is not None and not self._prepared.plan.resuming:
            yield "ledger", ledgers.TABLE
            extra = [_SEQUENCES, _SHARED]
            lines = self._prepared.lines() + [
                ledgers.Line(item=step_item(step), kind="mark") for step in extra
            ]
            self._ledger.start(self._session, lines)
        if self._single:
            self._session.begin()
        self._session.for_ddl()
        yield from self._run(self._prepared.before)
        order = self._prepared.order
        if order.shared and _SHARED.label not in self._done:
            yield from self._open_shared()

    def _open_shared(self) -> Iterator[tuple[Stage, str]]:
        """Begin the transaction that tables share."""
        order = self._prepared.order
        if self._single:
            session = self._session
        else:
            session = self._own_shared = Session(self._address)
            session.begin()
        emptied = self._targets(order.overwritten)
        for name in emptied:
            yield "create", f"empty table {name}"
        empty_tables(session, self._read(emptied, session).values())
        relax(session, order, self._read(self._targets(order.shared), session).values())
        self._shared = SharedTransaction(session)

    def _targets(self, names: frozenset[Name]) -> list[Name]:
        """Give the target's names of tables of the archive, in the plan's order."""
        return [p.target for p in self._prepared.plan.tables if p.source.name in names]

    def committed(self) -> frozenset[tuple[Name, int]]:
        """See `Load.committed`."""
        place = self._prepared.ledger
        if place is None or not self._prepared.plan.resuming:
            return frozenset()
        return ledgers.committed(self._control, place, self._prepared.options.import_id)

    # Rows

    def writer(self, table: TablePlan) -> PostgresWriter:
        """See `Load.writer`."""
        shared = self._shared is not None and table.source.name in self._prepared.order.shared
        if shared and self._shared is not None:
            unit: Unit = self._shared.writer()
            with self._shared.lock:
                target = self._read([table.target], self._shared.session)[table.target]
        else:
            session = self._take()
            target = self._read([table.target], session)[table.target]
            unit = OwnTransaction(session, self._give_back, target)
        return PostgresWriter(table, target, self._prepared.database.engine, unit, self._ledger)

    def _take(self) -> Session:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Session(self._address)

    def _give_back(self, session: Session, broken: bool) -> None:
        if broken:
            with suppress(Exception):
                session.close()
            return
        with self._lock:
            self._idle.append(session)

    def _read(self, names: Sequence[Name], session: Session) -> dict[Name, TargetTable]:
        """Look tables up as they are now, over the session that may have just made them.

        All of them at once: there may be thousands.
        """
        with self._reading:
            if any(name not in self._known for name in names):
                # Names of types come out qualified only under this path.
                session.for_ddl()
                plans = self._prepared.plan.tables
                self._known = read_tables(session, [p.target for p in plans])
        return {name: self._known[name] for name in names}

    # After the rows

    def finalize(self) -> Iterator[tuple[Stage, str]]:
        """See `Load.finalize`."""
        if self._shared is not None:
            yield _SHARED.stage, _SHARED.label
            self._close_shared(self._shared)
        self._session.for_ddl()
        yield from self._run(self._prepared.after)
        if _SEQUENCES.label not in self._done:
            yield _SEQUENCES.stage, _SEQUENCES.label
            self._in_transaction(self._set_positions, [_SEQUENCES])
        loaded = [p.target for p in self._prepared.plan.tables if p.action != "skip"]
        yield "cleanup", "statistics for the planner"
        self._analyze(loaded)
        if self._single:
            self._session.commit("the whole import")
        if self._ledger is not None:
            yield "cleanup", ledgers.TABLE
            self._ledger.remove(self._session)
            self._ledger = None

    def _close_shared(self, shared: SharedTransaction) -> None:
        """Check and restore what was put off, and commit."""
        session, order = shared.session, self._prepared.order
        tighten(session, order, self._read(self._targets(order.shared), session).values())
        if not self._single:
            if self._ledger is not None:
                self._ledger.finish(session, [step_item(_SHARED)])
            session.commit("the tables that were loaded together")
            session.close()
            self._own_shared = None
        self._shared = None
        self._done.add(_SHARED.label)

    def _set_positions(self) -> None:
        set_positions(self._session, self._prepared)

    def _analyze(self, tables: Sequence[Name]) -> None:
        """Gather statistics; without them the import is complete all the same."""
        if not tables:
            return
        if self._single:
            self._session.run("SAVEPOINT dbsync_statistics", "gathering statistics")
        try:
            for start in range(0, len(tables), _BATCH):
                statement = analyze_statement(tables[start : start + _BATCH])
                self._session.run(statement, "gathering statistics")
        except DbsyncError:
            if self._single:
                self._session.run("ROLLBACK TO SAVEPOINT dbsync_statistics", "going on")

    # Steps

    def _run(self, steps: Sequence[Step]) -> Iterator[tuple[Stage, str]]:
        """Run steps that are not done, committing a batch together with its lines."""
        pending = [step for step in steps if step.label not in self._done]
        for start in range(0, len(pending), _BATCH):
            batch = pending[start : start + _BATCH]
            if not self._single:
                self._session.begin()
            try:
                for step in batch:
                    yield step.stage, step.label
                    self._step(step)
                if not self._single:
                    self._finish(batch)
            except BaseException:
                if not self._single:
                    with suppress(DbsyncError):
                        self._session.rollback()
                raise

    def _in_transaction(self, change: Callable[[], None], steps: Sequence[Step]) -> None:
        if self._single:
            change()
            return
        self._session.begin()
        try:
            change()
            self._finish(steps)
        except BaseException:
            with suppress(DbsyncError):
                self._session.rollback()
            raise

    def _finish(self, steps: Sequence[Step]) -> None:
        if self._ledger is not None:
            self._ledger.finish(self._session, [step_item(step) for step in steps])
        self._session.commit("changes of the schema")
        self._done.update(step.label for step in steps)

    def _step(self, step: Step) -> None:
        doing = f"creating {step.label}"
        if not step.keeps_existing:
            self._session.script(step.sql, doing)
            return
        self._session.run("SAVEPOINT dbsync_step", doing)
        try:
            self._session.script(step.sql, doing)
        except DbsyncError as error:
            if error.__cause__ is None or sqlstate(error.__cause__) not in _EXISTS:
                raise
            self._session.run("ROLLBACK TO SAVEPOINT dbsync_step", doing)
        self._session.run("RELEASE SAVEPOINT dbsync_step", doing)
