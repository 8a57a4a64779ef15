"""Writing chunks of one table: straight into it, or through staging where rows may conflict.

What lives here: `SqliteWriter`, its transaction per chunk, and the merge. Must not know: plans of
other tables, definitions.
"""

from __future__ import annotations

import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts, TablePlan
from dbsync.connectors.sqlite.catalog import RawTable
from dbsync.connectors.sqlite.connection import Connection, quote
from dbsync.connectors.sqlite.convert import Bound, bind, written_columns
from dbsync.connectors.sqlite.keys import collations
from dbsync.connectors.sqlite.ledger import Ledger
from dbsync.connectors.sqlite.naming import folded
from dbsync.errors import LossError

_STAGING = "dbsync_staging"
_SAVEPOINT = "dbsync_chunk"


class SqliteWriter:
    """Writes chunks into one table; see `dbsync.connectors.base.TableWriter`.

    Without a ledger the whole import is one transaction, and a chunk is a savepoint in it.
    """

    def __init__(
        self,
        connection: Connection,
        plan: TablePlan,
        raw: RawTable,
        ledger: Ledger | None,
        *,
        encoding: str,
        from_sqlite: bool,
    ):
        self._connection = connection
        self._plan = plan
        self._ledger = ledger
        self._encoding = encoding
        self._name = raw.name
        self._doing = f"write table {raw.name}"
        pairs = written_columns(plan.source, raw, from_sqlite=from_sqlite)
        self._sinks = [sink for sink, _ in pairs]
        self._columns = [name for _, name in pairs]
        self._collations = collations(raw, plan.key)
        self._rows = 0
        self._begun = False

    def __enter__(self) -> SqliteWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._begun:
            return
        self._begun = False
        if self._ledger is None:
            self._connection.execute(f"ROLLBACK TO {_SAVEPOINT}")
            self._connection.execute(f"RELEASE {_SAVEPOINT}")
        else:
            self._connection.roll_back()

    def write(self, batch: pa.RecordBatch) -> None:
        """Send rows of the current chunk; see `TableWriter.write`."""
        self._begin()
        if batch.num_rows == 0:
            return
        bound = bind(batch, self._plan.source, self._sinks, self._encoding)
        self._rows += batch.num_rows
        staged = self._plan.mode != "insert"
        into = f"temp.{_STAGING}" if staged else f"main.{quote(self._name)}"
        self._insert(into, bound, batch.num_rows)

    def _begin(self) -> None:
        if self._begun:
            return
        if self._ledger is None:
            self._connection.execute(f"SAVEPOINT {_SAVEPOINT}")
        else:
            self._connection.execute("BEGIN IMMEDIATE", doing=self._doing)
        self._begun = True
        self._rows = 0
        if self._plan.mode != "insert":
            # With the affinities of the table, so that keys compare here as they will there.
            self._connection.execute(
                f"CREATE TEMP TABLE {_STAGING} AS SELECT {self._list(self._columns)}"
                f" FROM main.{quote(self._name)} LIMIT 0",
                doing=self._doing,
            )

    def _insert(self, into: str, bound: Bound, rows: int) -> None:
        if not self._columns:
            for _ in range(rows):
                self._connection.execute(f"INSERT INTO {into} DEFAULT VALUES", doing=self._doing)
            return
        sql = (
            f"INSERT INTO {into} ({self._list(self._columns)})"
            f" VALUES ({', '.join(bound.expressions)})"
        )
        self._connection.insert(sql, bound.parameters, doing=self._doing)

    @staticmethod
    def _list(columns: list[str] | tuple[str, ...]) -> str:
        return ", ".join(quote(column) for column in columns)

    def commit(self, chunk: ChunkId) -> Counts:
        """Merge what was staged, and commit it with the chunk's line; see `TableWriter.commit`."""
        self._begin()
        counts = Counts(inserted=self._rows) if self._plan.mode == "insert" else self._merge()
        if self._ledger is None:
            self._connection.execute(f"RELEASE {_SAVEPOINT}", doing=self._doing)
        else:
            self._ledger.chunk(chunk, self._rows)
            self._connection.execute("COMMIT", doing=f"commit rows of table {self._name}")
        self._begun = False
        return counts

    def _merge(self) -> Counts:
        """Apply the staged rows by one statement, after the last row of each key has won."""
        self._refuse_null_keys()
        grouped = ", ".join(self._key_part(column) for column in self._plan.key)
        superseded = self._drop_superseded(grouped)
        table = f"main.{quote(self._name)}"
        same = " AND ".join(
            f"t.{quote(column)} = s.{self._key_part(column)}" for column in self._plan.key
        )
        met = int(
            self._connection.value(
                f"SELECT count(*) FROM temp.{_STAGING} s WHERE EXISTS"
                f" (SELECT 1 FROM {table} t WHERE {same})",
                doing=self._doing,
            )
        )
        action = self._action()
        left = self._rows - superseded
        columns = self._list(self._columns)
        self._connection.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM temp.{_STAGING} WHERE true"
            f" ON CONFLICT ({grouped}) DO {action}",
            doing=self._doing,
        )
        self._connection.execute(f"DROP TABLE temp.{_STAGING}", doing=self._doing)
        updates = action != "NOTHING"
        return Counts(
            inserted=left - met,
            updated=met if updates else 0,
            skipped=0 if updates else met,
            superseded=superseded,
        )

    def _key_part(self, column: str) -> str:
        collation = self._collations.get(column)
        return f"{quote(column)} COLLATE {collation}" if collation else quote(column)

    def _action(self) -> str:
        """Write what happens to a row that is there; a table of keys only has nothing to update."""
        rest = [column for column in self._columns if column not in self._plan.key]
        if self._plan.mode == "skip" or not rest:
            return "NOTHING"
        table = quote(self._name)
        merge = self._plan.mode == "merge"
        return "UPDATE SET " + ", ".join(
            f"{quote(c)} = coalesce(excluded.{quote(c)}, {table}.{quote(c)})"
            if merge
            else f"{quote(c)} = excluded.{quote(c)}"
            for c in rest
        )

    def _refuse_null_keys(self) -> None:
        for column in self._plan.key:
            count = self._connection.value(
                f"SELECT count(*) FROM temp.{_STAGING} WHERE {quote(column)} IS NULL",
                doing=self._doing,
            )
            if count:
                rows = "row has" if count == 1 else "rows have"
                raise LossError(
                    f"table {self._name}, column {column}: {count} {rows} NULL in the key to"
                    " update by, so that it would be added anew by every import",
                    hint="give these rows a key, or append with --on-conflict error",
                )

    def _drop_superseded(self, grouped: str) -> int:
        """Keep the last row of each key; give how many others there were."""
        taken = {folded(column) for column in self._columns}
        rowid = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
        if rowid is None:
            # Nothing tells their order here; the merge itself lets the last one win.
            return 0
        self._connection.execute(
            f"DELETE FROM temp.{_STAGING} WHERE {rowid} NOT IN"
            f" (SELECT max({rowid}) FROM temp.{_STAGING} GROUP BY {grouped})",
            doing=self._doing,
        )
        return int(self._connection.value("SELECT changes()"))
