"""An import under way: the lock, the connections, the steps, and what is committed with what.

What lives here: `MysqlLoad`. Must not know: what the steps are, how rows are written.

Connections: one session holds the lock, asks questions and runs DDL; another one has the
transaction that tables share; each other writer has its own, reused by later ones.

DDL commits by itself. So a step is noted in the ledger before it is taken and after it, and what
a run has begun is looked for before it is made again. Where rows, and everything that can fail,
have to be one transaction, keys and routines are made before the rows and dropped on a failure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from dbsync.connectors.base import Stage, TablePlan
from dbsync.connectors.mysql import ledger as ledgers
from dbsync.connectors.mysql.connection import Address, Session, open_session, quote_name
from dbsync.connectors.mysql.existing import TargetForeignKey, TargetTable, read_tables
from dbsync.connectors.mysql.finalize import (
    sequence_of,
    set_numbers,
    set_sequence,
    unproven_keys,
)
from dbsync.connectors.mysql.ledger import Ledger
from dbsync.connectors.mysql.lock import require_lock, take_lock
from dbsync.connectors.mysql.prepared import Prepared
from dbsync.connectors.mysql.shared import ForeignKeyCheck, empty_tables
from dbsync.connectors.mysql.steps import Made, Step, drop_statement, is_there, run_step
from dbsync.connectors.mysql.units import OwnTransaction, SharedTransaction, Unit
from dbsync.connectors.mysql.write import MysqlWriter
from dbsync.errors import ConflictError, DbsyncError, TargetError
from dbsync.model.schema import Name

_SHARED = "rows loaded in one transaction"
_ROWS = "all rows"
_PROVEN = "foreign keys of new tables"


class MysqlLoad:
    """See `dbsync.connectors.base.Load`."""

    def __init__(self, address: Address, prepared: Prepared, replan: Callable[[Session], Prepared]):
        self._replan = replan
        self._address = address
        self._prepared = prepared
        self._options = prepared.options
        self._single = prepared.options.single_transaction
        self._ledger = Ledger(prepared.options.import_id) if prepared.ledger else None
        self._done = set(prepared.earlier.done)
        self._begun = set(prepared.earlier.begun)
        self._made: list[Made] = []
        self._kept = prepared.plan.resuming
        """Something of this import is there to stay, so that a failure undoes nothing."""
        self._main: Session | None = None
        self._shared: SharedTransaction | None = None
        self._check = ForeignKeyCheck(prepared.order.late)
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._known: dict[Name, TargetTable] = {}

    def __enter__(self) -> MysqlLoad:
        session = self._main = open_session(self._address, TargetError)
        try:
            take_lock(session)
            self._refuse_changes(session)
            session.run("SET SESSION foreign_key_checks = 0", "preparing the session")
        except BaseException:
            session.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        sessions = [*self._idle, *((self._shared.session,) if self._shared else ())]
        self._idle, self._shared = [], None
        for session in sessions:
            # Closing undoes what is not committed.
            session.close()
        if kind is not None and not self._kept:
            # What failed is raised; what this leaves behind, the next run of the import takes up.
            with suppress(DbsyncError):
                self._undo()
        if self._main is not None:
            self._main.close()
            self._main = None

    def _refuse_changes(self, session: Session) -> None:
        """Plan again now that no other import can run, and insist on the same outcome."""
        seen, now = self._prepared.plan, self._replan(session).plan
        if (seen.tables, seen.statements, seen.resuming) != (
            now.tables,
            now.statements,
            now.resuming,
        ):
            raise ConflictError(
                "the target has changed since the import was planned",
                hint="run the same command again",
                retryable=True,
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
            self._ledger.start(self._session, self._prepared.lines())
        elif self._ledger is None and not self._options.resume:
            Ledger(self._options.import_id).remove(self._session)
        steps = self._prepared.steps
        yield from self._run(steps.before)
        if self._single:
            yield from self._run((*steps.keys, *steps.routines))
        self._empty_unsafe()
        if self._prepared.order.shared and _SHARED not in self._done:
            yield from self._open_shared()

    def _empty_unsafe(self) -> None:
        """Begin tables anew whose engine has no transactions, as part of a chunk may be there."""
        if self._ledger is None or not self._prepared.plan.resuming or _ROWS in self._done:
            return
        for plan in self._prepared.plan.tables:
            if plan.action == "create" and not self._read([plan.target])[plan.target].transactional:
                sql = f"TRUNCATE TABLE {quote_name(plan.target.name)}"
                self._session.run(sql, f"emptying table {plan.target}")
                self._ledger.forget_chunks(self._session, plan.source.name)

    def _open_shared(self) -> Iterator[tuple[Stage, str]]:
        """Begin the transaction that tables share, in which no foreign key is checked."""
        order = self._prepared.order
        session = self._open()
        session.run("SET SESSION foreign_key_checks = 0", "preparing the session")
        session.run("START TRANSACTION", "beginning a transaction")
        self._shared = SharedTransaction(session)
        emptied = [
            p.target for p in self._prepared.plan.tables if p.source.name in order.overwritten
        ]
        self._check.remember(session, emptied)
        for name in emptied:
            yield "create", f"empty table {name}"
        empty_tables(session, emptied)

    def committed(self) -> frozenset[tuple[Name, int]]:
        """See `Load.committed`."""
        if self._ledger is None or not self._prepared.plan.resuming:
            return frozenset()
        return ledgers.committed(self._session, self._options.import_id)

    # Rows

    def writer(self, table: TablePlan) -> MysqlWriter:
        """See `Load.writer`."""
        target = self._read([table.target])[table.target]
        if self._shared is not None and table.source.name in self._prepared.order.shared:
            unit: Unit = self._shared.writer()
        else:
            session = self._take()
            # Rows of new tables are looked at as a whole, once their keys are there.
            checks = 0 if table.action == "create" else 1
            session.run(f"SET SESSION foreign_key_checks = {checks}", "preparing the session")
            unit = OwnTransaction(session, self._give_back, self._require_lock)
        return MysqlWriter(table, target, self._prepared.database.engine, unit, self._ledger)

    def _open(self) -> Session:
        session = open_session(self._address, TargetError)
        try:
            # Without locks on gaps, chunks of one table do not get into each other's way. Logging
            # by statement cannot be had with it.
            format_ = session.value("SELECT @@binlog_format", "preparing the session")
            if str(format_).upper() != "STATEMENT":
                sql = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
                session.run(sql, "preparing the session")
        except BaseException:
            session.close()
            raise
        return session

    def _take(self) -> Session:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._open()

    def _give_back(self, session: Session, broken: bool) -> None:
        if broken:
            session.close()
            return
        with self._lock:
            self._idle.append(session)

    def _require_lock(self, session: Session) -> None:
        require_lock(session, self._session.thread_id)

    def _read(self, names: Sequence[Name]) -> dict[Name, TargetTable]:
        """Look tables up as they are now, all of them at once: there may be thousands."""
        with self._reading:
            if any(name not in self._known for name in names):
                plans = self._prepared.plan.tables
                self._known = read_tables(self._session, [p.target for p in plans])
            missing = [name for name in names if name not in self._known]
        if missing:
            raise TargetError(
                f"table {missing[0]} is not there any more", hint="begin afresh with --no-resume"
            )
        return {name: self._known[name] for name in names}

    # After the rows

    def finalize(self) -> Iterator[tuple[Stage, str]]:
        """See `Load.finalize`."""
        steps = self._prepared.steps
        self._known = {}
        if self._shared is not None:
            yield "rows", _SHARED
            self._close_shared(self._shared)
        self._kept = True
        self._mark([_ROWS])
        if not self._single:
            yield from self._run(steps.keys)
            yield from self._prove()
            yield from self._run(steps.routines)
        yield from self._run(steps.after)
        yield from self._set_numbers()
        if self._ledger is not None:
            yield "cleanup", ledgers.TABLE
            self._ledger.remove(self._session)
            self._ledger = None

    def _close_shared(self, shared: SharedTransaction) -> None:
        """Look at what was not checked, and commit."""
        session = shared.session
        self._check.require(session, committed=False)
        if self._single:
            for key in self._unproven():
                ForeignKeyCheck([key]).require(session, committed=False)
        if self._ledger is not None:
            self._ledger.finish_steps(session, [_SHARED])
        self._require_lock(session)
        session.run("COMMIT", "committing the tables that were loaded together")
        session.close()
        self._shared = None
        self._done.add(_SHARED)

    def _unproven(self) -> Iterator[TargetForeignKey]:
        plans = self._prepared.plan.tables
        made = [p.target for p in plans if p.action == "create"]
        return unproven_keys(self._prepared.database, plans, self._read(made))

    def _prove(self) -> Iterator[tuple[Stage, str]]:
        """Look for rows of new tables that lead nowhere: their keys came without a look at them."""
        if _PROVEN in self._done:
            return
        for key in self._unproven():
            yield "foreign_keys", f"check foreign key {key.name} of table {key.table}"
            ForeignKeyCheck([key]).require(self._session, committed=True)
        self._mark([_PROVEN])

    def _set_numbers(self) -> Iterator[tuple[Stage, str]]:
        """Let tables and sequences go on as the archive says."""
        database = self._prepared.database
        self._known = {}
        for plan in self._prepared.plan.tables:
            sequence = sequence_of(plan.source, database.sequences)
            if sequence is None or plan.action == "skip":
                continue
            if plan.source.name in self._prepared.unnumbered:
                continue
            table = self._read([plan.target])[plan.target]
            yield "sequences", str(plan.target)
            replaced = plan.action in ("create", "overwrite")
            set_numbers(self._session, table, sequence, replaced=replaced)
        for step in self._prepared.steps.before:
            sequence = next((s for s in database.sequences if s.name == step.source), None)
            if step.made.kind == "sequence" and sequence is not None:
                yield "sequences", step.made.names[0]
                set_sequence(self._session, step.made.names[0], sequence)

    # Steps

    def _run(self, steps: Sequence[Step]) -> Iterator[tuple[Stage, str]]:
        for step in steps:
            if step.label in self._done:
                continue
            yield step.stage, step.label
            self._make(step)

    def _make(self, step: Step) -> None:
        """Take a step that is not done; one that an earlier run has begun may be there."""
        if step.label not in self._begun or not is_there(self._session, step.made):
            if self._ledger is not None:
                self._ledger.begin_step(self._session, step.label)
            run_step(self._session, step)
        self._made.append(step.made)
        self._mark([step.label])

    def _mark(self, labels: Sequence[str]) -> None:
        if self._ledger is not None:
            self._ledger.finish_steps(self._session, labels)
        self._done.update(labels)

    # Failure

    def _undo(self) -> None:
        """Drop what this run has made, where nothing of the import is committed.

        The rows of a single transaction are gone by now; without one, any chunk in the ledger
        means that the import is to be resumed.
        """
        session = self._usable()
        if self._ledger is not None:
            if ledgers.committed(session, self._options.import_id):
                return
        elif not self._single:
            return
        session.run("SET SESSION foreign_key_checks = 0", "undoing the import")
        for made in reversed(self._made):
            self._drop(session, made)
        if self._ledger is not None:
            self._ledger.remove(session)

    def _usable(self) -> Session:
        """Return the session that holds the lock, a new one where it is lost."""
        if self._main is not None:
            try:
                self._main.value("SELECT 1", "undoing the import")
            except DbsyncError:
                self._main.close()
            else:
                return self._main
        self._main = open_session(self._address, TargetError)
        take_lock(self._main)
        return self._main

    def _drop(self, session: Session, made: Made) -> None:
        name = quote_name(made.names[0])
        if made.kind == "table":
            # Never a row that somebody else has put there meanwhile.
            doing = f"removing table {made.names[0]}"
            if session.rows(f"SELECT 1 AS x FROM {name} LIMIT 1", doing):
                return
        statement = drop_statement(made, name)
        if statement is not None:
            session.run(statement, f"removing {made.kind} {made.names[0]}")
