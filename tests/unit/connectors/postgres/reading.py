"""Reading whole tables in tests: rows as the text that PostgreSQL itself would print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from dbsync.connectors.base import Snapshot
from dbsync.connectors.postgres import open_source
from dbsync.model.schema import Name, Table
from dbsync.model.selection import Selection
from dbsync.model.values import column_values, to_text


@contextmanager
def snapshot(
    url: str, *, schema: str | None = None, include_schema: bool = True, **selection: object
) -> Iterator[Snapshot]:
    """Open a source and a snapshot of it; the selection's fields are keyword arguments."""
    source = open_source(url, schema=schema)
    try:
        chosen = Selection(**selection)  # type: ignore[arg-type]
        with source.snapshot(chosen, include_schema=include_schema) as found:
            yield found
    finally:
        source.close()


def batches(snap: Snapshot, table: Table, target_bytes: int = 1 << 30) -> list[pa.RecordBatch]:
    """Read every partition of a table."""
    return [
        batch
        for partition in snap.partitions(table, target_bytes)
        for batch in snap.read(table, partition)
    ]


def whole(snap: Snapshot, table: Table) -> pa.RecordBatch:
    """Read a table as one batch; an exceptions field that a batch lacked is NULL in its rows."""
    parts = [pa.Table.from_batches([batch]) for batch in batches(snap, table)]
    (batch,) = pa.concat_tables(parts, promote_options="default").combine_chunks().to_batches()
    return batch


def count(snap: Snapshot, name: Name, target_bytes: int = 1 << 30) -> int:
    """Count the rows of a table by reading them."""
    return sum(b.num_rows for b in batches(snap, snap.database.table(name), target_bytes))


def texts(batch: pa.RecordBatch, table: Table) -> dict[str, list[str | None]]:
    """Write every column of a batch as canonical text, exceptions included."""
    result: dict[str, list[str | None]] = {}
    for column in table.columns:
        values, exceptions = column_values(batch, column)
        found: list[str | None] = to_text(values, column.type).to_pylist()
        if exceptions is not None:
            for row, special in enumerate(exceptions.to_pylist()):
                if special is not None:
                    assert found[row] is None
                    found[row] = special["value"].decode()
        result[column.name] = found
    return result


def public(name: str) -> Name:
    """Name a table of the schema public."""
    return Name("public", name)
