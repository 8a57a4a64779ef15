"""Staging: a temporary table for one chunk, and the one statement that merges it.

What lives here: `Stage`. A column ``c0``, ``c1``, ... holds the values as they are sent; beside
each that is not text, ``t0``, ``t1``, ... holds the text of values that its type cannot hold.
``o`` is the position in the chunk, by which the last of several rows with one key wins. Must not
know: transactions, the ledger.
"""

from __future__ import annotations

import pyarrow as pa

from dbsync.connectors.base import Counts, TablePlan
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.existing import TargetTable
from dbsync.connectors.postgres.failures import sqlstate
from dbsync.connectors.postgres.session import Session
from dbsync.connectors.postgres.wire import Wire
from dbsync.errors import LossError, TargetError
from dbsync.model.values import misfit_text

_NAME = "dbsync_stage"


class Stage:
    """The staged rows of one chunk, within the transaction of that chunk."""

    def __init__(self, session: Session, plan: TablePlan, target: TargetTable, wires: list[Wire]):
        self._session = session
        self._plan = plan
        self._target = target
        self._wires = wires
        self._literals: set[int] = set()
        parts = ["o bigint"]
        for number, wire in enumerate(wires):
            parts.append(f"c{number} pg_catalog.{wire.staged}")
            if not wire.text:
                parts.append(f"t{number} pg_catalog.text")
        doing = f"staging table {target.name}"
        session.run(f"DROP TABLE IF EXISTS pg_temp.{_NAME}", doing)
        session.run(f"CREATE TEMPORARY TABLE {_NAME} ({', '.join(parts)})", doing)

    def add(self, columns: list[tuple[pa.Array, pa.Array | None]], start: int) -> None:
        """Stage rows, of which the first is number `start` of the chunk."""
        count = len(columns[0][0])
        fields: dict[str, pa.Array] = {"o": pa.array(range(start, start + count), pa.int64())}
        for number, (values, literals) in enumerate(columns):
            fields[f"c{number}"] = values
            if literals is not None:
                self._literals.add(number)
                fields[f"t{number}"] = literals
        batch = pa.record_batch(list(fields.values()), names=list(fields))
        self._session.ingest(_NAME, batch, f"staging table {self._target.name}", schema=None)

    def merge(self, rows: int, doing: str) -> Counts:
        """Move the staged rows into the table and drop the staging table."""
        # Texts that the server reads may be none of their type, and it is asked which.
        asked = any(wire.text for wire in self._wires)
        try:
            if asked:
                self._session.run("SAVEPOINT dbsync_merge", doing)
            self._refuse_changes()
            merged = self._deduplicated(rows, doing)
            inserted, updated = self._insert(merged, doing)
            if asked:
                self._session.run("RELEASE SAVEPOINT dbsync_merge", doing)
        except TargetError as error:
            if asked and error.__cause__ and (sqlstate(error.__cause__) or "").startswith("22"):
                self._session.run("ROLLBACK TO SAVEPOINT dbsync_merge", doing)
                self._refuse_invalid(error)
            raise
        self._session.run(f"DROP TABLE pg_temp.{_NAME}", doing)
        return Counts(
            inserted=inserted,
            updated=updated,
            skipped=merged - inserted - updated,
            superseded=rows - merged,
        )

    # SQL

    def _cast(self, number: int, alias: str = "s") -> str:
        """Write the value of a column as its base type on the target."""
        wire = self._wires[number]
        plain = f"{alias}.c{number}"
        base = wire.target.base
        if base != f'"pg_catalog"."{wire.staged}"':
            plain = f"{plain}::{base}"
        if number in self._literals:
            return f"COALESCE({alias}.t{number}::{base}, {plain})"
        return plain

    def _refuse_changes(self) -> None:
        """Raise `LossError` where a cast gives another value than the one that was sent."""
        checked = [(n, w) for n, w in enumerate(self._wires) if w.changed is not None]
        if not checked:
            return
        self._refuse_where(
            {n: (w.changed or "").format(value=f"s.c{n}", cast=self._cast(n)) for n, w in checked},
            "cannot be {} unchanged",
        )

    def _refuse_invalid(self, error: TargetError) -> None:
        """Say which values the server has just refused to read, where it can be asked."""
        asked = [(n, w) for n, w in enumerate(self._wires) if w.text]
        if not asked or asked[0][1].target.version < 160_000:
            return
        self._refuse_where(
            {
                n: f"NOT pg_catalog.pg_input_is_valid(s.c{n}, {quote_literal(w.target.full)})"
                for n, w in asked
            },
            "cannot be {}",
            cause=error,
        )

    def _refuse_where(
        self, conditions: dict[int, str], reason: str, *, cause: TargetError | None = None
    ) -> None:
        """Raise `LossError` for the first column with staged values that meet its condition."""
        found = self._session.rows(
            "SELECT "
            + ", ".join(
                f"pg_catalog.count(*) FILTER (WHERE {condition}) AS c{n}, "
                f"pg_catalog.min(s.o) FILTER (WHERE {condition}) AS o{n}"
                for n, condition in conditions.items()
            )
            + f" FROM pg_temp.{_NAME} s"
        )[0]
        for number in conditions:
            count, target = found[f"c{number}"], self._wires[number].target
            if count:
                key = self._key_of(found[f"o{number}"])
                table, said = str(self._plan.source.name), reason.format(target.native)
                raise LossError(
                    misfit_text(table, target.name, count, said, key=key),
                    hint="change the column's type on the target, or correct the values",
                ) from cause

    def _key_of(self, position: int) -> str:
        """Name a staged row by its key; empty where the archive has none."""
        key = self._plan.source.primary_key
        columns = {w.source.name: f"s.c{n}::text" for n, w in enumerate(self._wires)}
        if key is None or not set(key.columns) <= columns.keys():
            return ""
        parts = ", ".join(f"{columns[name]} AS k{n}" for n, name in enumerate(key.columns))
        query = f"SELECT {parts} FROM pg_temp.{_NAME} s WHERE s.o = {position}"
        row = self._session.rows(query)[0]
        return ", ".join(f"{name}={row[f'k{n}']}" for n, name in enumerate(key.columns))

    def _deduplicated(self, rows: int, doing: str) -> int:
        """Remove rows that a later one with the same key supersedes; return how many are left."""
        if not self._plan.ordered:
            return rows
        gone = self._session.run(
            f"DELETE FROM pg_temp.{_NAME} d USING (SELECT s.ctid AS at, pg_catalog.row_number() "
            f"OVER (PARTITION BY {', '.join(self._keys())} ORDER BY s.o DESC) AS place "
            f"FROM pg_temp.{_NAME} s) x WHERE d.ctid = x.at AND x.place > 1",
            doing,
        )
        return rows - gone

    def _keys(self) -> list[str]:
        """Write the key's values, compared as the target compares them."""
        parts: list[str] = []
        for number, wire in enumerate(self._wires):
            if wire.target.name in self._plan.key:
                collation = wire.target.collation
                parts.append(
                    f"({self._cast(number)}){f' COLLATE {collation}' if collation else ''}"
                )
        return parts

    def _insert(self, merged: int, doing: str) -> tuple[int, int]:
        """Run the merge; return how many rows it inserted, and how many it met and updated."""
        columns = ", ".join(quote_name(w.target.name) for w in self._wires)
        values = ", ".join(self._cast(n) for n in range(len(self._wires)))
        # In order of arrival, so that the table is laid out like the archive.
        statement = (
            f"INSERT INTO {self._target.sql} AS t ({columns}) OVERRIDING SYSTEM VALUE "
            f"SELECT {values} FROM pg_temp.{_NAME} s ORDER BY s.o"
        )
        if self._plan.mode == "insert":
            return self._session.run(statement, doing), 0
        key = ", ".join(quote_name(name) for name in self._plan.key)
        taken = self._taken()
        if not taken:
            return self._session.run(f"{statement} ON CONFLICT ({key}) DO NOTHING", doing), 0
        assignments = ", ".join(f"{column} = {value}" for column, value in taken.items())
        # Rows that are the same already are left alone, so that no trigger sees them change. The
        # operator compares the stored images, of any type.
        old = ", ".join(f"t.{column}" for column in taken)
        new = ", ".join(taken.values())
        statement += (
            f" ON CONFLICT ({key}) DO UPDATE SET {assignments} "
            f"WHERE ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record"
        )
        if self._target.kind == "p":
            # A partitioned table does not tell which rows were new.
            known = self._matching()
            self._session.run(statement, doing)
            return merged - known, known
        inserted = self._session.rows(
            "SELECT pg_catalog.count(*) AS n FROM r WHERE r.new",
            doing=doing,
            before=f"WITH r AS ({statement} RETURNING t.xmax = 0 AS new) ",
        )[0]["n"]
        return inserted, merged - inserted

    def _taken(self) -> dict[str, str]:
        """Map the columns of an existing row that change to their new values.

        Nothing changes under skip, and in tables of keys only.
        """
        if self._plan.mode == "skip":
            return {}
        taken: dict[str, str] = {}
        for wire in self._wires:
            column = quote_name(wire.target.name)
            if wire.target.name in self._plan.key or wire.target.identity == "a":
                continue
            new = f"EXCLUDED.{column}"
            merge = self._plan.mode == "merge"
            taken[column] = f"COALESCE({new}, t.{column})" if merge else new
        return taken

    def _matching(self) -> int:
        keys = dict(
            zip(
                (w for w in self._wires if w.target.name in self._plan.key),
                self._keys(),
                strict=True,
            )
        )
        on = " AND ".join(f"t.{quote_name(w.target.name)} = {value}" for w, value in keys.items())
        query = f"SELECT count(*) AS n FROM pg_temp.{_NAME} s JOIN {self._target.sql} t ON {on}"
        return self._session.rows(query)[0]["n"]
