"""Writing rows of one table: binary COPY into the table itself, or through staging.

What lives here: `PostgresWriter`. A chunk is one transaction, or one savepoint of a transaction
that several tables share. Rows go straight into the table where every column's Arrow form is
proven exact and nothing can conflict; otherwise into a temporary table, from which one INSERT
casts them. Must not know: how the import was planned, other tables.

Casts name the base type without modifiers, so that varchar(n), bit(n) and domains are applied by
assignment, which refuses a value, and never by a cast, which cuts it. Triggers of the table fire
as for any insert; a row that a trigger drops is counted as skipped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts, TablePlan
from dbsync.connectors.postgres.existing import TargetTable
from dbsync.connectors.postgres.failures import sqlstate
from dbsync.connectors.postgres.fit import written_columns
from dbsync.connectors.postgres.ledger import Ledger
from dbsync.connectors.postgres.session import Session
from dbsync.connectors.postgres.stage import Stage
from dbsync.connectors.postgres.wire import Wire, wire_column
from dbsync.errors import DbsyncError, LossError, TargetError
from dbsync.model.values import HINT, column_values


class Unit(Protocol):
    """Where a chunk's changes are kept together: a transaction, or a savepoint in one."""

    def begin(self) -> Session:
        """Begin the chunk and return the session that writes it."""
        ...

    def commit(self, doing: str) -> None:
        """Keep the chunk."""
        ...

    def abort(self) -> None:
        """Undo the chunk, if one is open; raises nothing."""
        ...

    def release(self) -> None:
        """Give back what the writer held."""
        ...


@dataclass
class OwnTransaction:
    """Each chunk in a transaction of a connection that this writer alone uses."""

    session: Session
    give_back: Callable[[Session, bool], None]
    table: TargetTable
    _open: bool = False
    _broken: bool = False

    def begin(self) -> Session:
        """Begin the chunk's transaction."""
        self._broken = True  # until it has shown that it works
        self.session.for_rows()
        self.session.begin()
        self._open, self._broken = True, False
        # Rows go into the table that they come from; COPY does not apply rules at all.
        for statement in self.table.switch_rules(on=False):
            self.session.run(statement, f"turning off the rules of {self.table.name}")
        return self.session

    def commit(self, doing: str) -> None:
        """Make the chunk visible."""
        if self.table.rules:
            # A table with checks yet to come cannot be altered.
            self.session.run("SET CONSTRAINTS ALL IMMEDIATE", doing)
            for statement in self.table.switch_rules(on=True):
                self.session.run(statement, f"turning on the rules of {self.table.name}")
        self.session.commit(doing)
        self._open = False

    def abort(self) -> None:
        """Undo the chunk; a connection that cannot even do that is not used again."""
        if self._open:
            self._open = False
            try:
                self.session.rollback()
            except DbsyncError:
                self._broken = True

    def release(self) -> None:
        """Give the connection back."""
        self.give_back(self.session, self._broken)


@dataclass
class SharedTransaction:
    """Each chunk in a savepoint of the transaction that several writers share, one at a time."""

    session: Session
    lock: threading.Lock = field(default_factory=threading.Lock)

    def writer(self) -> _Savepoint:
        """Return a unit for one writer."""
        return _Savepoint(self)


@dataclass
class _Savepoint:
    shared: SharedTransaction
    _open: bool = False

    def begin(self) -> Session:
        """Wait for the turn of this chunk, then set the savepoint."""
        self.shared.lock.acquire()
        self._open = True
        self.shared.session.for_rows()
        self.shared.session.run("SAVEPOINT dbsync_chunk", "beginning a chunk")
        return self.shared.session

    def commit(self, doing: str) -> None:
        """Keep the chunk, as part of the whole."""
        self.shared.session.run("RELEASE SAVEPOINT dbsync_chunk", f"completing {doing}")
        self._end()

    def abort(self) -> None:
        """Undo the chunk alone."""
        if self._open:
            # A lost connection has undone everything already.
            with suppress(DbsyncError):
                self.shared.session.run("ROLLBACK TO SAVEPOINT dbsync_chunk", "undoing a chunk")
            self._end()

    def release(self) -> None:
        """Leave the connection to the others."""

    def _end(self) -> None:
        self._open = False
        self.shared.lock.release()


class PostgresWriter:
    """Writes chunks into one table; see `TableWriter`."""

    def __init__(
        self, plan: TablePlan, target: TargetTable, engine: str, unit: Unit, ledger: Ledger | None
    ):
        self._plan = plan
        self._target = target
        self._unit = unit
        self._ledger = ledger
        self._wires = [
            wire_column(source, found, engine)
            for source, found in written_columns(plan.source, target)
        ]
        self._direct = plan.mode == "insert" and not any(wire.text for wire in self._wires)
        self._session: Session | None = None
        self._stage: Stage | None = None
        self._rows = 0
        self._copied = 0

    def __enter__(self) -> PostgresWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._unit.abort()
        self._reset()
        self._unit.release()

    @property
    def _doing(self) -> str:
        return f"writing table {self._target.name}"

    def write(self, batch: pa.RecordBatch) -> None:
        """Send rows of the current chunk; see `TableWriter.write`."""
        if batch.num_rows == 0:
            return
        session = self._begun()
        if not self._wires:
            self._write_nothing(session, batch.num_rows)
            return
        columns = [self._sent(wire, batch) for wire in self._wires]
        self._refuse_null_keys(columns)
        with _refusals():
            self._send(session, columns, batch.num_rows)
        self._rows += batch.num_rows

    def _send(
        self, session: Session, columns: list[tuple[pa.Array, pa.Array | None]], rows: int
    ) -> None:
        """Copy rows into the table where that is exact, else into the staging table."""
        odd = any(literals is not None for _, literals in columns)
        if self._direct and not odd:
            named = {
                w.target.name: values for w, (values, _) in zip(self._wires, columns, strict=True)
            }
            session.ingest(
                self._target.name.name,
                pa.record_batch(list(named.values()), names=list(named)),
                self._doing,
                schema=self._target.name.schema,
            )
            self._copied += rows
        else:
            if self._stage is None:
                self._stage = Stage(session, self._plan, self._target, self._wires)
            self._stage.add(columns, self._rows)

    def commit(self, chunk: ChunkId) -> Counts:
        """Merge what is staged, note the chunk and commit; see `TableWriter.commit`."""
        session = self._begun()
        doing = f"chunk {chunk.number} of table {self._plan.source.name}"
        counts = Counts(inserted=self._copied)
        if self._stage is not None:
            with _refusals():
                staged = self._stage.merge(self._rows - self._copied, doing)
            counts = Counts(
                inserted=staged.inserted + self._copied,
                updated=staged.updated,
                skipped=staged.skipped,
                superseded=staged.superseded,
            )
        if self._ledger is not None:
            self._ledger.add_chunk(session, chunk, self._rows)
        self._unit.commit(doing)
        self._reset()
        return counts

    def _begun(self) -> Session:
        if self._session is None:
            self._session = self._unit.begin()
        return self._session

    def _reset(self) -> None:
        self._session = self._stage = None
        self._rows = self._copied = 0

    def _sent(self, wire: Wire, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array | None]:
        values, exceptions = column_values(batch, wire.source)
        return wire.values(values, exceptions, str(self._plan.source.name))

    def _refuse_null_keys(self, columns: list[tuple[pa.Array, pa.Array | None]]) -> None:
        for wire, (values, literals) in zip(self._wires, columns, strict=True):
            if wire.target.name not in self._plan.key:
                continue
            missing = values.null_count - (len(literals) - literals.null_count if literals else 0)
            if missing:
                raise LossError(
                    f"table {self._plan.source.name}, column {wire.target.name}: {missing} "
                    "NULL in the key that tells rows apart",
                    hint="correct the rows, choose another key, or use --on-conflict error",
                )

    def _write_nothing(self, session: Session, rows: int) -> None:
        """Add rows that have no column of their own: each takes the table's defaults."""
        session.run(
            f"INSERT INTO {self._target.sql} SELECT FROM pg_catalog.generate_series(1, {rows})",
            self._doing,
        )
        self._rows += rows
        self._copied += rows


@contextmanager
def _refusals() -> Generator[None]:
    """Turn the server's refusal of a value (SQLSTATE class 22, data exception) into `LossError`."""
    try:
        yield
    except TargetError as error:
        code = sqlstate(error.__cause__) if error.__cause__ is not None else None
        if code is None or not code.startswith("22"):
            raise
        raise LossError(error.message, hint=HINT) from error
