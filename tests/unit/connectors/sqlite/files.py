"""SQLite files for tests: made and judged by the standard library, moved by the connector.

The connector brings its own copy of SQLite, so the standard library opens a file here only while
the connector has it closed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts, ImportOptions, ImportPlan
from dbsync.connectors.sqlite import open_source, open_target
from dbsync.model.schema import Column, Database, Name, Table, exceptions_names
from dbsync.model.selection import Selection
from dbsync.model.types import LogicalType, standard_storage

IMPORT_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def url(path: Path) -> str:
    return f"sqlite:///{str(path).replace('%', '%25')}"


def make(path: Path, script: str, *inserts: tuple[str, Iterable[tuple[Any, ...]]]) -> Path:
    """Create a file from a script and rows given as parameters."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        for sql, rows in inserts:
            connection.executemany(sql, rows)
        connection.commit()
    return path


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def dump(path: Path) -> dict[str, Any]:
    """Describe a file completely: definitions, every value with its class, sequences, pragmas."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        found: dict[str, Any] = {
            "master": connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
            ).fetchall(),
            "integrity": connection.execute("PRAGMA integrity_check").fetchall(),
        }
        for pragma in ("user_version", "application_id", "encoding"):
            found[pragma] = connection.execute(f"PRAGMA {pragma}").fetchall()
        tables = connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main'"
            " AND type IN ('table', 'shadow') AND name <> 'sqlite_schema'"
        ).fetchall()
        for (raw,) in tables:
            name = raw.decode().replace('"', '""')
            columns = [
                row[1].decode().replace('"', '""')
                for row in connection.execute(f'PRAGMA table_xinfo("{name}")')
            ]
            parts = ", ".join(f'typeof("{c}"), "{c}"' for c in columns)
            rows = connection.execute(f'SELECT {parts} FROM "{name}"').fetchall()
            found[raw.decode()] = sorted(rows, key=repr)
    return found


def read(
    path: Path, *, jobs: int = 1, target_bytes: int = 1 << 20, **selection: Any
) -> tuple[Database, dict[str, list[pa.RecordBatch]]]:
    """Read a whole file through the source."""
    source = open_source(url(path), jobs=jobs)
    try:
        with source.snapshot(Selection(**selection)) as snapshot:
            batches = {
                table.name.name: [
                    batch
                    for partition in snapshot.partitions(table, target_bytes)
                    for batch in snapshot.read(table, partition)
                ]
                for table in snapshot.database.tables
            }
            return snapshot.database, batches
    finally:
        source.close()


def values(batches: list[pa.RecordBatch], column: str) -> list[Any]:
    return [value for batch in batches for value in batch.column(column).to_pylist()]


def options(**changes: Any) -> ImportOptions:
    return ImportOptions(**{"import_id": IMPORT_ID, "ddl": "native", **changes})


class Moved:
    """What a transfer did."""

    def __init__(self, plan: ImportPlan):
        self.plan = plan
        self.counts: dict[str, list[Counts]] = {}
        self.steps: list[tuple[str, str]] = []
        self.written = 0


def load(
    path: Path,
    database: Database,
    batches: dict[str, list[pa.RecordBatch]],
    *,
    stop_after: int | None = None,
    **changes: Any,
) -> Moved:
    """Load one chunk per batch; `stop_after` so many chunks, leave as a killed process would."""
    target = open_target(url(path))
    chosen = options(**changes)
    moved = Moved(target.prepare(database, chosen))
    with target.load(moved.plan, chosen) as running:
        moved.steps += running.create()
        done = running.committed()
        for table in moved.plan.tables:
            if table.action == "skip":
                continue
            name = table.source.name
            moved.counts[name.name] = []
            with running.writer(table) as writer:
                for number, batch in enumerate(batches[name.name]):
                    if (name, number) in done:
                        continue
                    if stop_after is not None and moved.written == stop_after:
                        writer.write(batch)
                        return moved
                    writer.write(batch)
                    chunk = ChunkId(table=name, number=number, digest="0" * 64)
                    moved.counts[name.name].append(writer.commit(chunk))
                    moved.written += 1
        moved.steps += running.finalize()
    target.close()
    return moved


def copy(source: Path, target: Path, *, jobs: int = 1, **changes: Any) -> Moved:
    """Bring one file into another through source and target."""
    database, batches = read(source, jobs=jobs)
    return load(target, database, batches, **changes)


def column(name: str, logical: LogicalType, storage: str | None = None, **more: Any) -> Column:
    """Describe a column as another engine would."""
    return Column(
        name=name,
        type=logical,
        native_type=more.pop("native_type", logical.name),
        storage=storage or standard_storage(logical),
        exceptions=exceptions_names([name])[name],
        **more,
    )


def foreign_database(*tables: Table, engine: str = "postgresql", **more: Any) -> Database:
    """Describe a database of another engine."""
    return Database(engine=engine, version="18", name="other", tables=tables, **more)


def table(name: str, *columns: Column, schema: str | None = "public", **more: Any) -> Table:
    return Table(name=Name(schema, name), columns=columns, **more)
