"""Loading made-up archives in tests: tables, batches, whole imports, and killing one half-way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts, ImportOptions, ImportPlan
from dbsync.connectors.postgres import open_target
from dbsync.model.schema import Column, Database, Key, Name, Table, exceptions_names
from dbsync.model.types import LogicalType, integer, parse_storage, standard_storage
from dbsync.model.values import make_exceptions

INT = integer(64)
TEXT = LogicalType(name="string")
Chunk = list[tuple[Any, ...]]


def column(name: str, logical: LogicalType = INT, native: str = "", **more: Any) -> Column:
    """Make a column as a source would."""
    more.setdefault("storage", standard_storage(logical))
    more.setdefault("exceptions", f"{name}:exceptions")
    return Column(name=name, type=logical, native_type=native or str(logical), **more)


def table(
    name: str,
    *columns: Column,
    key: Sequence[str] = (),
    schema: str | None = None,
    **more: Any,
) -> Table:
    """Make a table; `key` is its primary key."""
    fields = exceptions_names(c.name for c in columns)
    from msgspec.structs import replace

    return Table(
        name=Name(schema, name),
        columns=tuple(replace(c, exceptions=fields[c.name]) for c in columns),
        **({"primary_key": Key(columns=tuple(key))} if key else {}),
        **more,
    )


def database(*tables: Table, engine: str = "sqlite", **more: Any) -> Database:
    """Make the schema of an archive."""
    return Database(engine=engine, version="1", name="made up", tables=tables, **more)


class Literal(str):
    """A value that the column's Arrow type cannot hold, as its canonical text."""


def batch(of: Table, rows: Chunk) -> pa.RecordBatch:
    """Make a record batch of rows; a `Literal` becomes an exception."""
    arrays: list[pa.Array] = []
    names: list[str] = []
    for position, col in enumerate(of.columns):
        values = [row[position] for row in rows]
        odd = [i for i, value in enumerate(values) if isinstance(value, Literal)]
        plain = [None if isinstance(value, Literal) else value for value in values]
        arrays.append(pa.array(plain, parse_storage(col.storage)))
        names.append(col.name)
        if odd:
            texts = [str(values[i]).encode() for i in odd]
            arrays.append(make_exceptions(len(rows), odd, "literal", texts))
            names.append(col.exceptions)
    return pa.record_batch(arrays, names=names)


class Stop(Exception):
    """Raised by a test to abandon an import."""


def load(
    url: str,
    of: Database,
    rows: Mapping[str, Sequence[Chunk]],
    *,
    at: Callable[[str], None] = lambda _: None,
    import_id: str = "an import",
    schema: str | None = None,
    **options: Any,
) -> tuple[ImportPlan, dict[str, list[Counts]]]:
    """Import chunks of rows by table name, each in two batches; `at` is called at every point."""
    chosen = ImportOptions(import_id=import_id, schema=schema, **options)
    counts: dict[str, list[Counts]] = {}
    with closing(open_target(url, schema=schema, jobs=2)) as target:
        plan = target.prepare(of, chosen)
        by_name = {p.source.name: p for p in plan.tables}
        with target.load(plan, chosen) as loading:
            for stage, name in loading.create():
                at(f"{stage} {name}")
            done = loading.committed()
            at("created")
            for group in plan.table_order:
                for name in group:
                    one = by_name[name]
                    if one.action == "skip":
                        continue
                    with loading.writer(one) as writer:
                        for number, chunk in enumerate(rows.get(name.name, ())):
                            if (name, number) in done:
                                at(f"resumed {name.name} {number}")
                                continue
                            half = len(chunk) // 2
                            writer.write(batch(one.source, chunk[:half]))
                            at(f"half {name.name} {number}")
                            writer.write(batch(one.source, chunk[half:]))
                            at(f"written {name.name} {number}")
                            chunk_id = ChunkId(table=name, number=number, digest=f"{number}")
                            made = writer.commit(chunk_id)
                            counts.setdefault(name.name, []).append(made)
                            at(f"committed {name.name} {number}")
            for stage, name in loading.finalize():
                at(f"{stage} {name}")
    return plan, counts


@contextmanager
def connected(url: str) -> Any:
    """Open a connection of the test's own, in autocommit mode."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def run(url: str, statement: str) -> None:
    """Run SQL."""
    with connected(url) as cursor:
        cursor.execute(statement)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    with connected(url) as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def kill_others(url: str) -> None:
    """End every other session in the database, as a crash of the client's machine would."""
    query(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'",
    )
