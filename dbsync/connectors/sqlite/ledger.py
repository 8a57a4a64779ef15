"""The ledger: what of an import is committed, kept in the target beside the rows.

What lives here: the table ``dbsync_ledger`` and its lines. A line is committed in the transaction
of what it tells, so that it is true whenever the process dies. Must not know: how rows are
written.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dbsync.connectors.base import ChunkId, ImportOptions, TablePlan
from dbsync.connectors.sqlite.catalog import LEDGER
from dbsync.connectors.sqlite.connection import Connection, literal
from dbsync.errors import ConflictError
from dbsync.model.schema import Name


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of an import: what it was started with."""

    options: str
    fresh: bool
    """The database had no table before."""


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """How one table was going to be loaded when the import began."""

    table: Name
    action: str
    mode: str
    key: tuple[str, ...] = ()
    violations: int = 0
    """Rows that broke a foreign key before the import."""


class Ledger:
    """The lines of one import in one database."""

    def __init__(self, connection: Connection, import_id: str):
        self._connection = connection
        self._import = literal(import_id)

    def exists(self) -> bool:
        """Say whether the ledger's table is there."""
        return bool(
            self._connection.rows(
                f"SELECT 1 FROM sqlite_master WHERE type='table' AND name={literal(LEDGER)}"
            )
        )

    def create(self) -> None:
        """Make the ledger's table unless it is there."""
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {LEDGER} (import_id TEXT NOT NULL, item TEXT NOT NULL,"
            " digest TEXT, rows INTEGER, details TEXT, PRIMARY KEY (import_id, item))",
            doing="create the ledger",
        )

    def start(self) -> Start | None:
        """Read the first line; None where this import has not begun, or is complete."""
        lines = self._details("start") if self.exists() else []
        return msgspec.json.decode(lines[0], type=Start) if lines else None

    def plan(self) -> dict[Name, PlanLine]:
        """Read the lines of tables."""
        lines = (msgspec.json.decode(d, type=PlanLine) for d in self._details("plan%"))
        return {line.table: line for line in lines}

    def chunks(self) -> frozenset[tuple[Name, int]]:
        """List the committed chunks."""
        found = self._details("chunk%")
        return frozenset(msgspec.json.decode(d, type=tuple[Name, int]) for d in found)

    def _details(self, items: str) -> list[str]:
        rows = self._connection.rows(
            f"SELECT details FROM {LEDGER} WHERE import_id={self._import} AND item LIKE '{items}'",
            doing="read the ledger",
        )
        return [str(row[0]) for row in rows]

    def begin(self, start: Start, lines: list[PlanLine]) -> None:
        """Write the first line and one for each table."""
        self._write("start", start)
        for number, line in enumerate(lines):
            self._write(f"plan {number}", line)

    def chunk(self, chunk: ChunkId, rows: int) -> None:
        """Write the line of a chunk, within the transaction of its rows."""
        item = f"chunk {chunk.number} {chunk.table.schema or ''} {chunk.table.name}"
        self._write(item, (chunk.table, chunk.number), chunk.digest, rows)

    def _write(self, item: str, details: Any, digest: str = "", rows: int = 0) -> None:
        text = msgspec.json.encode(details).decode()
        self._connection.execute(
            f"INSERT INTO {LEDGER} VALUES ({self._import}, {literal(item)},"
            f" {literal(digest)}, {rows}, {literal(text)})",
            doing="write the ledger",
        )

    def forget(self) -> None:
        """Delete the lines of an earlier run of this import."""
        self._connection.execute(f"DELETE FROM {LEDGER} WHERE import_id={self._import}")

    def remove(self) -> None:
        """Delete the lines of this import, and the table when no other import has lines there."""
        if not self.exists():
            return
        self.forget()
        if not self._connection.rows(f"SELECT 1 FROM {LEDGER} LIMIT 1"):
            self._connection.execute(f"DROP TABLE {LEDGER}", doing="remove the ledger")


def fingerprint(options: ImportOptions, tables: tuple[TablePlan, ...] | list[Name]) -> str:
    """Name what must be equal for an import to go on where an earlier run stopped."""
    names = sorted(str(t.source.name if isinstance(t, TablePlan) else t) for t in tables)
    keys = sorted((pattern, list(key)) for pattern, key in options.conflict_keys.items())
    return msgspec.json.encode(
        [
            options.ddl,
            options.existing,
            options.on_conflict,
            options.single_transaction,
            keys,
            names,
        ]
    ).decode()


def require_same(start: Start, options: ImportOptions, names: list[Name]) -> None:
    """Raise `ConflictError` where an earlier run was started with other options or tables."""
    if start.options != fingerprint(options, names):
        raise ConflictError(
            "an unfinished import of this archive was started with other options or tables",
            hint="repeat it with the options it was started with, or begin afresh with --no-resume",
        )
