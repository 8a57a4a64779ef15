"""Proving an archive whole, and its rows equal to those of a database.

What lives here: the order of the comparison. Rows are compared as multisets under the logical
types of the archive, so neither their order nor the engine matters. Must not know: how archives
are laid out, SQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dbsync.archive import Archive, ChunkRef, decode_chunk, verify_archive
from dbsync.connectors.base import Partition, Snapshot, Source
from dbsync.errors import UsageError
from dbsync.model.schema import Name, Table
from dbsync.model.selection import Selection
from dbsync.model.values import RowsDigest, canonical, column_values, row_digests
from dbsync.pipeline.events import ChunkDone, Finished, OnEvent, Planned, TableDone
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import TableDifference, VerifyResult

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION_BYTES = 64 << 20
EXAMPLES = 5


def verify_members(archive: Archive, place: str, on_event: OnEvent) -> VerifyResult:
    """Check every member, page and count; raises `ArchiveError` at the first fault."""
    started = monotonic()
    on_event(
        Planned(command="verify", tables=tuple((t.name, None) for t in archive.database.tables))
    )

    def seen(chunk: ChunkRef, rows: int) -> None:
        name = archive.database.tables[chunk.table_index].name
        on_event(ChunkDone(table=name, chunk=chunk.number, rows=rows, bytes=chunk.size))

    verified = verify_archive(archive, on_chunk=seen)
    seconds = monotonic() - started
    on_event(Finished(rows=verified.rows, bytes=verified.bytes, seconds=seconds))
    return VerifyResult(
        archive=place,
        archive_id=archive.head.archive_id,
        members=verified.members,
        chunks=verified.chunks,
        rows=verified.rows,
        bytes=verified.bytes,
        seconds=seconds,
    )


def compare(
    archive: Archive,
    source: Source,
    result: VerifyResult,
    *,
    selection: Selection,
    schema: str | None,
    jobs: int,
    on_event: OnEvent,
) -> VerifyResult:
    """Compare the rows of the selected tables with a database, read as of one moment.

    Tables are found by their name, and by their bare name where one side has no schemas. Columns
    that the archive does not have are not looked at; its conditions apply to the database too
    where both are the same engine. Needs an archive that can be read twice.
    """
    if archive.sequential:
        raise UsageError(
            "--against needs an archive that can be read at random, not a pipe",
            hint="write the archive to a file first",
        )
    started = monotonic()
    database = restrict(archive.database, selection)
    names = [table.name for table in archive.database.tables]
    differences: list[TableDifference] = []
    # A missing table is a difference to report, not an error: so every table is looked at.
    with source.snapshot(Selection(), include_schema=False) as snapshot:
        same_engine = snapshot.database.engine == database.engine
        on_event(Planned(command="compare", tables=tuple((t.name, None) for t in database.tables)))
        for table in database.tables:
            found = _counterpart(snapshot.database.tables, table.name, schema)
            index = names.index(table.name)
            side = _Sides(
                archive,
                snapshot,
                table=table,
                index=index,
                found=found,
                same_engine=same_engine,
                jobs=jobs,
            )
            difference = side.difference()
            if difference is not None:
                differences.append(difference)
            on_event(TableDone(table=table.name, rows=side.rows))
    return replace(
        result,
        against=f"{snapshot.database.engine} {snapshot.database.name}",
        differences=tuple(differences),
        seconds=result.seconds + monotonic() - started,
    )


def _counterpart(tables: Sequence[Table], name: Name, schema: str | None) -> Table | None:
    for table in tables:
        if table.name == name:
            return table
    candidates = [t for t in tables if t.name.name == name.name]
    if schema is not None:
        candidates = [t for t in candidates if t.name.schema in (schema, None)]
    return candidates[0] if len(candidates) == 1 else None


class _Sides:
    """One table on both sides."""

    def __init__(
        self,
        archive: Archive,
        snapshot: Snapshot,
        *,
        table: Table,
        index: int,
        found: Table | None,
        same_engine: bool,
        jobs: int,
    ):
        self._archive = archive
        self._snapshot = snapshot
        self._table = table
        self._index = index
        self._jobs = jobs
        self._found = found
        self._names = [column.name for column in table.columns]
        self.rows = 0
        if found is not None:
            self._read = replace(found, where=table.where if same_engine else None)
            here = {column.name: column for column in found.columns}
            # What is stored there is read as what the archive says that the column means.
            self._meaning = replace(
                found,
                columns=tuple(
                    replace(here[c.name], type=c.type) for c in table.columns if c.name in here
                ),
            )

    def difference(self) -> TableDifference | None:
        """Compare; digests first, single rows only where these differ."""
        found = self._found
        ours = self._digest(self._archived())
        self.rows = ours.count
        if found is None:
            return self._differs("the database has no such table", ours.count, 0)
        missing = [n for n in self._names if n not in {c.name for c in found.columns}]
        if missing:
            return self._differs(f"the database lacks column {', '.join(missing)}", ours.count, 0)
        theirs = self._digest(self._stored())
        if ours == theirs:
            return None
        only_ours, only_theirs = self._unequal_rows()
        return TableDifference(
            table=self._table.name,
            reason="rows differ",
            rows_archive=ours.count,
            rows_database=theirs.count,
            only_archive=sum(only_ours.values()),
            only_database=sum(only_theirs.values()),
            examples=self._examples(only_ours, only_theirs),
        )

    def _differs(self, reason: str, ours: int, theirs: int) -> TableDifference:
        return TableDifference(
            table=self._table.name, reason=reason, rows_archive=ours, rows_database=theirs
        )

    def _archived(self) -> Iterator[_Part]:
        for chunk in self._archive.chunks({self._index}):
            yield _Part(self._table, lambda chunk=chunk: decode_chunk(self._table, chunk.load()))

    def _stored(self) -> Iterator[_Part]:
        for partition in self._snapshot.partitions(self._read, PARTITION_BYTES):
            yield _Part(self._meaning, self._reader(partition))

    def _reader(self, partition: Partition) -> Callable[[], Iterable[pa.RecordBatch]]:
        return lambda: self._snapshot.read(self._read, partition)

    def _digest(self, parts: Iterator[_Part]) -> RowsDigest:
        def digest(part: _Part) -> RowsDigest:
            total = RowsDigest()
            for batch in part.batches():
                total += row_digests(canonical(batch, part.table, self._names))
            return total

        total = RowsDigest()
        for one in ThreadExecutor(self._jobs).run(digest, parts):
            total += one
        return total

    def _unequal_rows(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        # 16 bytes and a count for each row: bounded by the rows of one table that differs.
        balance: dict[bytes, int] = {}
        lock = threading.Lock()

        def weigh(parts: Iterator[_Part], step: int) -> None:
            def one(part: _Part) -> None:
                for batch in part.batches():
                    hashes = _hashes(canonical(batch, part.table, self._names))
                    with lock:
                        for row in hashes:
                            left = balance.get(row, 0) + step
                            if left:
                                balance[row] = left
                            else:
                                del balance[row]

            for _ in ThreadExecutor(self._jobs).run(one, parts):
                pass

        weigh(self._archived(), 1)
        weigh(self._stored(), -1)
        return (
            {row: n for row, n in balance.items() if n > 0},
            {row: -n for row, n in balance.items() if n < 0},
        )

    def _examples(self, ours: dict[bytes, int], theirs: dict[bytes, int]) -> tuple[str, ...]:
        """Name a few rows by their key, or by number where the table has none."""
        key = self._table.primary_key
        if key is None:
            return ()
        examples: list[str] = []
        for parts, wanted, where in (
            (self._archived(), ours, "archive"),
            (self._stored(), theirs, "database"),
        ):
            found = _keys(parts, set(wanted), self._names, key.columns)
            examples.extend(f"{row} only in the {where}" for row in found)
        return tuple(examples)


class _Part:
    """Some rows of a table, and what their columns mean."""

    def __init__(self, table: Table, batches: Callable[[], Iterable[pa.RecordBatch]]):
        self.table = table
        self.batches = batches


def _hashes(rows: pa.Array) -> list[bytes]:
    return [blake2b(row, digest_size=16).digest() for row in rows.to_pylist()]


def _keys(
    parts: Iterator[_Part], wanted: set[bytes], names: Sequence[str], key: Sequence[str]
) -> list[str]:
    found: list[str] = []
    for part in parts:
        for batch in part.batches():
            hashes = _hashes(canonical(batch, part.table, names))
            positions = [i for i, row in enumerate(hashes) if row in wanted]
            for position in positions:
                found.append(_key_text(batch.slice(position, 1), part.table, key))
                if len(found) == EXAMPLES:
                    return found
    return found


def _key_text(row: pa.RecordBatch, table: Table, key: Sequence[str]) -> str:
    shown: list[str] = []
    for name in key:
        column = table.column(name)
        values, exceptions = column_values(row, column)
        if exceptions is not None and exceptions[0].is_valid:
            text = exceptions[0].as_py()["value"].decode("utf-8", "replace")
        else:
            text = str(values[0].as_py())
        shown.append(f"{name}={text}")
    return ", ".join(shown)
