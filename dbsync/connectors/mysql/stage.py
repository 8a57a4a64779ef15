"""Staging: a temporary table for one chunk, and the statements that merge it.

What lives here: `Stage`. Columns ``c0``, ``c1``, ... have the very types of the target's, but no
keys, checks or defaults that matter; ``o`` is the position in the chunk, by which the last of
several rows with one key wins. Must not know: transactions, the ledger.

ON DUPLICATE KEY UPDATE is not used: it updates whatever row clashes, under any unique key. Here
rows with the same key are updated and the others inserted, so that a clash under another unique
key is error 1062 and changes nothing. No statement names the temporary table twice, which neither
server allows.
"""

from __future__ import annotations

import pyarrow as pa

from dbsync.connectors.base import Counts, TablePlan
from dbsync.connectors.mysql.bulk import Bulk, run_explained
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.encode import Form
from dbsync.connectors.mysql.existing import TargetColumn, TargetTable
from dbsync.connectors.mysql.wire import Wire
from dbsync.errors import LossError

_NAME, _GONE = "dbsync_stage", "dbsync_gone"
_EXACT = ("_nopad_bin", "_0900_bin")
"""Collations under which only equal texts are equal."""


class Stage:
    """The staged rows of one chunk, within the transaction of that chunk."""

    def __init__(
        self,
        session: Session,
        bulk: Bulk,
        plan: TablePlan,
        target: TargetTable,
        wires: list[Wire],
    ):
        self._session = session
        self._bulk = bulk
        self._plan = plan
        self._target = target
        self._wires = wires
        self._table = quote_name(target.name.name)
        self._keys = [n for n, w in enumerate(wires) if w.source.name in plan.key]
        self._doing = f"staging table {target.name}"
        columns = ", ".join(f"{_column(w)} AS c{n}" for n, w in enumerate(wires))
        self._drop(_NAME)
        # The server copies the types, so that no spelling of them stands between.
        session.run(
            f"CREATE TEMPORARY TABLE {_NAME} (o BIGINT UNSIGNED NOT NULL PRIMARY KEY) "
            f"ENGINE=InnoDB SELECT 0 AS o, {columns} FROM {self._table} LIMIT 0",
            self._doing,
        )

    def add(self, columns: list[tuple[pa.Array, Form]], start: int, *, odd: int = 0) -> None:
        """Stage rows, of which the first is number `start` of the chunk."""
        count = len(columns[0][0])
        numbers = pa.array(range(start, start + count), pa.int64()).cast(pa.string())
        names = ["o", *(f"c{n}" for n in range(len(columns)))]
        self._bulk.send(_NAME, names, [(numbers, Form.PLAIN), *columns], self._doing, odd=odd)

    def merge(self, doing: str) -> Counts:
        """Move the staged rows into the table and drop the staging table."""
        collated = [n for n in self._keys if folds(self._wires[n].target)]
        if collated:
            self._refuse_equal_keys(collated, doing)
        superseded = self._drop_superseded(doing) if self._plan.ordered else 0
        taken = self._taken()
        if taken:
            run_explained(self._session, self._update(taken), doing)
        met = self._session.run(
            f"DELETE s FROM {_NAME} s STRAIGHT_JOIN {self._table} t ON {self._same()}", doing
        )
        columns = ", ".join(_column(w) for w in self._wires)
        values = ", ".join(f"s.c{n}" for n in range(len(self._wires)))
        # In order of arrival, so that the table is laid out like the archive.
        inserted = run_explained(
            self._session,
            f"INSERT INTO {self._table} ({columns}) SELECT {values} FROM {_NAME} s ORDER BY s.o",
            doing,
        )
        self._drop(_NAME)
        return Counts(
            inserted=inserted,
            updated=met if taken else 0,
            skipped=0 if taken else met,
            superseded=superseded,
        )

    def _drop(self, name: str) -> None:
        self._session.run(f"DROP TEMPORARY TABLE IF EXISTS {name}", self._doing)

    # SQL

    def _same(self) -> str:
        return " AND ".join(f"t.{_column(self._wires[n])} = s.c{n}" for n in self._keys)

    def _taken(self) -> dict[int, str]:
        """Map the columns of an existing row that change to their new values.

        Nothing changes under skip, and in tables of keys only.
        """
        if self._plan.mode == "skip":
            return {}
        merge = self._plan.mode == "merge"
        return {
            n: f"COALESCE(s.c{n}, t.{_column(wire)})" if merge else f"s.c{n}"
            for n, wire in enumerate(self._wires)
            if n not in self._keys
        }

    def _update(self, taken: dict[int, str]) -> str:
        assigned = ", ".join(f"t.{_column(self._wires[n])} = {new}" for n, new in taken.items())
        statement = (
            f"UPDATE {_NAME} s STRAIGHT_JOIN {self._table} t ON {self._same()} SET {assigned}"
        )
        if not any(trigger.event == "UPDATE" for trigger in self._target.triggers):
            return statement
        # Rows that are the same already are left alone, so that no trigger sees them change.
        unchanged = " AND ".join(
            f"{_bytes(f't.{_column(self._wires[n])}')} <=> {_bytes(new)}"
            for n, new in taken.items()
        )
        return f"{statement} WHERE NOT ({unchanged})"

    def _drop_superseded(self, doing: str) -> int:
        """Remove rows that a later one with the same key supersedes; return how many."""
        keys = ", ".join(f"s.c{n}" for n in self._keys)
        self._drop(_GONE)
        self._session.run(
            f"CREATE TEMPORARY TABLE {_GONE} (o BIGINT UNSIGNED NOT NULL PRIMARY KEY) "
            "ENGINE=InnoDB SELECT x.o FROM (SELECT s.o, ROW_NUMBER() OVER "
            f"(PARTITION BY {keys} ORDER BY s.o DESC) AS place FROM {_NAME} s) x WHERE x.place > 1",
            doing,
        )
        gone = self._session.run(f"DELETE s FROM {_NAME} s JOIN {_GONE} g ON g.o = s.o", doing)
        self._drop(_GONE)
        return gone

    def _refuse_equal_keys(self, collated: list[int], doing: str) -> None:
        """Refuse keys that the column's collation finds equal although they differ.

        Both among the rows of this chunk and against the rows that are there: one of the two
        would silently become the other.
        """
        keys = ", ".join(f"s.c{n}" for n in self._keys)
        exact = [_bytes(f"CONVERT(s.c{n} USING utf8mb4)") for n in collated]
        one, other = (
            ", ".join(f"CONVERT({which}({text}) USING utf8mb4)" for text in exact)
            for which in ("MIN", "MAX")
        )
        among = (
            f"SELECT CONCAT_WS(', ', {one}) AS one, CONCAT_WS(', ', {other}) AS other "
            f"FROM {_NAME} s GROUP BY {keys} HAVING COUNT(DISTINCT {', '.join(exact)}) > 1"
        )
        self._refuse_pairs(among, collated, doing)
        differs = " AND ".join(
            f"{_bytes(f's.c{n}')} = {_bytes(f't.{_column(self._wires[n])}')}" for n in collated
        )
        mine = ", ".join(f"s.c{n}" for n in collated)
        theirs = ", ".join(f"t.{_column(self._wires[n])}" for n in collated)
        against = (
            f"SELECT CONCAT_WS(', ', {mine}) AS one, CONCAT_WS(', ', {theirs}) AS other "
            f"FROM {_NAME} s STRAIGHT_JOIN {self._table} t ON {self._same()} WHERE NOT ({differs})"
        )
        self._refuse_pairs(against, collated, doing)

    def _refuse_pairs(self, query: str, collated: list[int], doing: str) -> None:
        found = self._session.rows(f"{query} LIMIT 100", doing)
        if not found:
            return
        wire = self._wires[collated[0]]
        number = f"{len(found)}{' or more' if len(found) == 100 else ''}"
        raise LossError(
            f"table {self._plan.source.name}, column {wire.source.name}: {number} "
            f"{'keys' if len(found) > 1 else 'key'} equal only under collation "
            f"{wire.target.collation}, such as {found[0]['one']!r} and {found[0]['other']!r}",
            hint="give the column a collation that tells them apart, such as one that ends in "
            "_nopad_bin or _0900_bin, or correct the keys",
        )


def _column(wire: Wire) -> str:
    return quote_name(wire.target.name)


def _bytes(expression: str) -> str:
    """Write the bytes of a value, which no collation compares."""
    return f"CAST({expression} AS BINARY)"


def folds(column: TargetColumn) -> str | None:
    """Name the collation of a text column where it may find texts equal that differ."""
    collation = column.collation
    if column.logical.name != "string" or collation is None or collation.endswith(_EXACT):
        return None
    return collation
