"""A database into an archive: plan the ranges, read them side by side, append chunks.

What lives here: the order of work of an export. Must not know: SQL, files, Parquet.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from dbsync.archive import ArchiveWriter, Recipients, encode_chunk
from dbsync.connectors.base import Partition, Snapshot, foreign_key_groups
from dbsync.errors import ArchiveError, LossError
from dbsync.model.schema import Database, Loss, Name, Table
from dbsync.model.selection import Selection
from dbsync.pipeline.events import ChunkDone, Event, Finished, OnEvent, Planned, TableDone
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.reading import partition_bytes, read_chunks
from dbsync.pipeline.results import ExportResult, TableResult

if TYPE_CHECKING:
    import pyarrow as pa

Write = Callable[["bytes | memoryview | pa.Buffer"], object]
Seen = Callable[[Name, "list[pa.RecordBatch]"], None]


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How an export is done; `chunk_bytes` counts Arrow memory, not stored bytes."""

    selection: Selection = Selection()
    include_schema: bool = True
    chunk_bytes: int = 32 << 20
    compression_level: int = 3
    jobs: int = 2
    strict: bool = False
    encryption: Recipients | None = None


def refuse_losses(losses: tuple[Loss, ...], *, strict: bool, what: str) -> None:
    """Raise `LossError` under `strict` where anything would be lost; forms that change pass."""
    lost = [loss for loss in losses if loss.severity == "lost"]
    if strict and lost:
        first = lost[0]
        raise LossError(
            f"--strict: {len(lost)} objects or attributes would not reach {what}; the first is "
            f"{first.object}: {first.reason}",
            hint="see the loss report; leave --strict out to go on without them",
        )


def plan_export(snapshot: Snapshot, options: ExportOptions, on_event: OnEvent) -> None:
    """Announce what will be read, and refuse under ``strict`` what cannot be carried."""
    database = snapshot.database
    on_event(
        Planned(
            command="export",
            tables=tuple((table.name, table.rows_estimate) for table in database.tables),
            losses=database.losses,
        )
    )
    refuse_losses(database.losses, strict=options.strict, what="the archive")


def estimated_bytes(snapshot: Snapshot) -> int | None:
    """Estimate the bytes of the selected tables in the source; None where one is unknown.

    An archive is usually smaller, since it is compressed.
    """
    sizes = [table.bytes_estimate for table in snapshot.database.tables]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def export_snapshot(
    snapshot: Snapshot,
    write: Write,
    options: ExportOptions,
    on_event: OnEvent,
    *,
    seen: Seen | None = None,
    encrypted_copy: Write | None = None,
) -> ExportResult:
    """Write everything that `snapshot` shows through `write`, as one archive.

    Memory is bounded by about twice (jobs + 1) chunks. Tables that others refer to come first, so
    that a reader of a pipe can insert rows as they arrive. Raises what the source, the archive
    and `write` raise; what has been written is then no archive, and the caller drops it.
    `seen` is shown the rows of each chunk, from several threads. With `encrypted_copy` the archive
    that goes through `write` is not encrypted, whatever the options say, and the same content goes
    through `encrypted_copy` as a second archive, which is.
    """
    started = monotonic()
    targets = [(write, options.encryption)]
    if encrypted_copy is not None:
        targets = [(write, None), (encrypted_copy, options.encryption)]
    export = _Export(snapshot, targets, options, on_event, seen)
    for group in foreign_key_groups(snapshot.database.tables):
        export.run(group)
    return export.finish(started)


def dry_run(snapshot: Snapshot, archive: str | None) -> ExportResult:
    """Report what an export would read; rows and bytes are the source's estimates."""
    database = snapshot.database
    tables = tuple(
        TableResult(table=t.name, rows=t.rows_estimate or 0, bytes=t.bytes_estimate or 0)
        for t in database.tables
    )
    return ExportResult(
        archive=archive,
        archive_id="",
        database=database.name,
        tables=tables,
        consistency=snapshot.consistency,
        losses=database.losses,
        rows=sum(t.rows for t in tables),
        bytes=sum(t.bytes for t in tables),
        dry_run=True,
    )


@dataclass(frozen=True)
class _Task:
    index: int
    table: Table
    partition: Partition


class _Export:
    """One export under way; `_read` runs in several threads."""

    def __init__(
        self,
        snapshot: Snapshot,
        targets: list[tuple[Write, Recipients | None]],
        options: ExportOptions,
        on_event: OnEvent,
        seen: Seen | None,
    ):
        self._snapshot = snapshot
        self._seen = seen
        self._options = options
        self._on_event = on_event
        self._lock = threading.Lock()
        self._rows: Counter[Name] = Counter()
        self._bytes: Counter[Name] = Counter()
        self._chunks: Counter[Name] = Counter()
        self._open: Counter[Name] = Counter()
        self._archive_id = str(uuid.uuid4())
        self._write_failure: BaseException | None = None
        self._writers = [
            ArchiveWriter(
                self._noting_failure(write),
                database=snapshot.database,
                consistency=snapshot.consistency,
                include_schema=options.include_schema,
                archive_id=self._archive_id,
                encryption=encryption,
            )
            for write, encryption in targets
        ]
        self._executor = ThreadExecutor(options.jobs)

    def run(self, group: list[Name]) -> None:
        """Export the tables of one group, the largest first so that no worker idles at the end."""
        try:
            for _ in self._executor.run(self._read, self._tasks(group)):
                pass
        except ArchiveError:
            # A thread that came after the one whose write failed only knows that some write did.
            if self._write_failure is not None:
                raise self._write_failure from None
            raise

    def _noting_failure(self, write: Write) -> Write:
        def noting(data: bytes | memoryview | pa.Buffer) -> object:
            try:
                return write(data)
            except BaseException as error:
                self._write_failure = error
                raise

        return noting

    def _tasks(self, group: list[Name]) -> Iterator[_Task]:
        numbered = [(i, t) for i, t in enumerate(self._database.tables) if t.name in set(group)]
        for index, table in sorted(numbered, key=lambda it: -(it[1].bytes_estimate or 0)):
            partitions = self._snapshot.partitions(table, self._partition_bytes(table))
            with self._lock:
                self._open[table.name] = len(partitions)
            for partition in partitions:
                yield _Task(index, table, partition)

    @property
    def _database(self) -> Database:
        return self._snapshot.database

    def _partition_bytes(self, table: Table) -> int:
        return partition_bytes(table, self._options.chunk_bytes, self._options.jobs)

    def _read(self, task: _Task) -> None:
        stopping = self._executor.stopping
        chunk_bytes = self._options.chunk_bytes
        chunks = read_chunks(self._snapshot, task.table, task.partition, chunk_bytes, stopping)
        with closing(chunks):
            for batches in chunks:
                self._append(task, batches)
                del batches  # the next piece comes while this one would still be held
        if not stopping.is_set():
            self._close_partition(task.table.name)

    def _append(self, task: _Task, batches: list[pa.RecordBatch]) -> None:
        if self._seen is not None:
            self._seen(task.table.name, batches)
        encoded = encode_chunk(
            task.table, batches, compression_level=self._options.compression_level
        )
        # The last one is the archive that stays.
        entry = [writer.add_chunk(task.index, encoded) for writer in self._writers][-1]
        name = task.table.name
        with self._lock:
            self._rows[name] += encoded.rows
            self._bytes[name] += entry.size
            self._chunks[name] += 1
            number = self._chunks[name]
        self._emit(ChunkDone(table=name, chunk=number, rows=encoded.rows, bytes=entry.size))

    def _close_partition(self, name: Name) -> None:
        with self._lock:
            self._open[name] -= 1
            complete = self._open[name] == 0
        if complete:
            self._emit(TableDone(table=name, rows=self._rows[name]))

    def _emit(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)

    def finish(self, started: float) -> ExportResult:
        """Write catalog, sums, manifest and trailer; only now are the bytes an archive."""
        for writer in self._writers:
            writer.finish()
        tables = tuple(
            TableResult(
                table=t.name,
                rows=self._rows[t.name],
                bytes=self._bytes[t.name],
                chunks=self._chunks[t.name],
            )
            for t in self._database.tables
        )
        rows, size = self._rows.total(), self._bytes.total()
        seconds = monotonic() - started
        self._on_event(Finished(rows=rows, bytes=size, seconds=seconds))
        return ExportResult(
            archive=None,
            archive_id=self._archive_id,
            database=self._database.name,
            tables=tables,
            consistency=self._snapshot.consistency,
            losses=self._database.losses,
            rows=rows,
            bytes=size,
            seconds=seconds,
        )
