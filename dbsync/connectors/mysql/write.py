"""Writing rows of one table: straight into it, or through staging where rows may conflict.

What lives here: `MysqlWriter`. A chunk is one transaction, or one savepoint of a shared one. Must
not know: how the import was planned, other tables, how rows are sent.

Triggers of the table fire as for any insert. Columns that the server computes are not written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts, TablePlan
from dbsync.connectors.mysql.bulk import Bulk
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.encode import Form
from dbsync.connectors.mysql.existing import TargetTable
from dbsync.connectors.mysql.fit import written_columns
from dbsync.connectors.mysql.stage import Stage
from dbsync.connectors.mysql.units import OwnTransaction, SharedTransaction, Unit
from dbsync.connectors.mysql.wire import Wire, wire_column
from dbsync.errors import LossError
from dbsync.model.values import column_values
from dbsync.model.values.kernels import pc

if TYPE_CHECKING:
    from dbsync.connectors.mysql.ledger import Ledger

__all__ = ["MysqlWriter", "OwnTransaction", "SharedTransaction", "Unit"]

_EMPTY_ROWS = 10_000


class MysqlWriter:
    """Writes chunks into one table; see `TableWriter`."""

    def __init__(
        self, plan: TablePlan, target: TargetTable, engine: str, unit: Unit, ledger: Ledger | None
    ):
        self._plan = plan
        self._target = target
        self._unit = unit
        self._ledger = ledger
        self._wires = [
            wire_column(source, found, engine, unit.flavour)
            for source, found in written_columns(plan.source, target)
        ]
        self._bulk: Bulk | None = None
        self._session: Session | None = None
        self._stage: Stage | None = None
        self._rows = 0

    def __enter__(self) -> MysqlWriter:
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
        # Before the transaction begins: what does not fit is found without the server.
        columns = [(self._sent(wire, batch), wire.form) for wire in self._wires]
        self._refuse_null_keys(columns)
        session = self._begun()
        if self._bulk is None or self._bulk.session is not session:
            self._bulk = Bulk(session)
        if not self._wires:
            self._write_nothing(session, batch.num_rows)
        elif self._plan.mode == "insert":
            names = [wire.target.name for wire in self._wires]
            into = quote_name(self._target.name.name)
            self._bulk.send(into, names, columns, self._doing, odd=self._odd(columns))
        else:
            if self._stage is None:
                self._stage = Stage(session, self._bulk, self._plan, self._target, self._wires)
            self._stage.add(columns, self._rows, odd=self._odd(columns))
        self._rows += batch.num_rows

    def commit(self, chunk: ChunkId) -> Counts:
        """Merge what is staged, note the chunk and commit; see `TableWriter.commit`."""
        session = self._begun()
        doing = f"chunk {chunk.number} of table {self._plan.source.name}"
        counts = Counts(inserted=self._rows)
        if self._stage is not None:
            counts = self._stage.merge(doing)
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
        self._rows = 0

    def _sent(self, wire: Wire, batch: pa.RecordBatch) -> pa.Array:
        values, exceptions = column_values(batch, wire.source)
        return wire.values(values, exceptions, str(self._plan.source.name))

    def _odd(self, columns: list[tuple[pa.Array, Form]]) -> int:
        """Count the empty values of enums that are none of their labels."""
        return sum(
            pc.sum(pc.equal(values, "0")).as_py() or 0
            for wire, (values, _) in zip(self._wires, columns, strict=True)
            if wire.held.kind == "enum"
        )

    def _refuse_null_keys(self, columns: list[tuple[pa.Array, Form]]) -> None:
        for wire, (values, _) in zip(self._wires, columns, strict=True):
            if wire.source.name in self._plan.key and values.null_count:
                raise LossError(
                    f"table {self._plan.source.name}, column {wire.source.name}: "
                    f"{values.null_count} NULL in the key that tells rows apart",
                    hint="correct the rows, choose another key, or use --on-conflict error",
                )

    def _write_nothing(self, session: Session, rows: int) -> None:
        """Add rows that have no column of their own: each takes the table's defaults."""
        into = quote_name(self._target.name.name)
        for start in range(0, rows, _EMPTY_ROWS):
            some = ", ".join(["()"] * min(_EMPTY_ROWS, rows - start))
            session.run(f"INSERT INTO {into} () VALUES {some}", self._doing)
