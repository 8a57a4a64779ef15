"""A table of a database into plain Parquet files.

What lives here: the order of work, and one schema for all files of a set. Must not know: SQL, how
a set of files appears.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from dbsync.archive import decode_chunk, encode_file
from dbsync.connectors.base import Partition, Snapshot
from dbsync.errors import UsageError
from dbsync.model.schema import Table
from dbsync.pipeline import parquet_files
from dbsync.pipeline.events import ChunkDone, Finished, OnEvent, Planned, TableDone
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.reading import partition_bytes, read_chunks
from dbsync.pipeline.results import ParquetFile, ParquetResult

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How files are made; `chunk_bytes` is the Arrow memory of one file."""

    chunk_bytes: int
    compression_level: int
    jobs: int
    overwrite: bool


def only_table(snapshot: Snapshot, wanted: str) -> Table:
    """Return the one table of a snapshot; raises `UsageError` where a name means several."""
    tables = snapshot.database.tables
    if len(tables) != 1:
        names = " and ".join(str(table.name) for table in tables)
        raise UsageError(f"{wanted} may be {names}", hint="write schema.name")
    return tables[0]


def write_table(
    snapshot: Snapshot, table: Table, folder: Path, options: ParquetOptions, on_event: OnEvent
) -> ParquetResult:
    """Write a table to ``folder/<number>.parquet``; an empty one to a file without rows.

    Several ranges are read at once, where the engine can. All files have the same columns, typed as
    the table's definition says: an exceptions field (``formats/types-v1.md``) that one of them
    needs is in all. The folder appears with all its files or not at all; see
    `parquet_files.new_set`. Memory is bounded by about twice (jobs + 1) files.
    """
    started = monotonic()
    name = table.name
    on_event(Planned(command="to-parquet", tables=((name, table.rows_estimate),)))
    with parquet_files.new_set(folder, overwrite=options.overwrite) as hidden:
        run = _Run(snapshot, table, hidden, options, on_event)
        run.read_all()
        files = run.finish()
    rows, size = sum(file.rows for file in files), sum(file.bytes for file in files)
    on_event(TableDone(table=name, rows=rows))
    seconds = monotonic() - started
    on_event(Finished(rows=rows, bytes=size, seconds=seconds))
    return ParquetResult(
        table=name,
        directory=str(folder),
        files=tuple(
            ParquetFile(path=str(folder / file.name), rows=file.rows, bytes=file.bytes)
            for file in files
        ),
        columns=tuple((c.name, str(c.type), c.native_type) for c in table.columns),
        consistency=snapshot.consistency,
        rows=rows,
        bytes=size,
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Written:
    name: str
    rows: int
    bytes: int
    exceptions: frozenset[str]


class _Run:
    """One set under way; `_read` runs in several threads."""

    def __init__(
        self,
        snapshot: Snapshot,
        table: Table,
        folder: Path,
        options: ParquetOptions,
        on_event: OnEvent,
    ):
        self._snapshot, self._table, self._folder = snapshot, table, folder
        self._options, self._on_event = options, on_event
        self._lock = threading.Lock()
        self._executor = ThreadExecutor(options.jobs)
        self._taken = 0
        self._files: list[_Written] = []

    def read_all(self) -> None:
        """Write every row, in files of about one size."""
        options = self._options
        size = partition_bytes(self._table, options.chunk_bytes, options.jobs)
        partitions = self._snapshot.partitions(self._table, size)
        for _ in self._executor.run(self._read, partitions):
            pass

    def finish(self) -> list[_Written]:
        """Bring all files under one schema; returns them in order."""
        if not self._files:
            self._write([])
        needed = frozenset[str]().union(*(file.exceptions for file in self._files))
        return [
            file if file.exceptions == needed else self._with_exceptions(file, needed)
            for file in sorted(self._files, key=lambda file: file.name)
        ]

    def _read(self, partition: Partition) -> None:
        pieces = read_chunks(
            self._snapshot,
            self._table,
            partition,
            self._options.chunk_bytes,
            self._executor.stopping,
        )
        with closing(pieces):
            for batches in pieces:
                self._write(batches)
                del batches  # the next piece comes while this one would still be held

    def _write(self, batches: list[pa.RecordBatch]) -> None:
        with self._lock:
            self._taken += 1
            number = self._taken
        written = self._encoded(parquet_files.file_name(number), batches)
        with self._lock:
            self._files.append(written)
            self._on_event(
                ChunkDone(
                    table=self._table.name, chunk=number, rows=written.rows, bytes=written.bytes
                )
            )

    def _with_exceptions(self, file: _Written, needed: frozenset[str]) -> _Written:
        data = (self._folder / file.name).read_bytes()
        return self._encoded(file.name, list(decode_chunk(self._table, data)), needed)

    def _encoded(
        self, name: str, batches: list[pa.RecordBatch], exceptions: frozenset[str] = frozenset()
    ) -> _Written:
        encoded = encode_file(
            self._table,
            batches,
            compression_level=self._options.compression_level,
            exceptions=exceptions,
        )
        parquet_files.write_file(self._folder / name, encoded.data)
        return _Written(name, encoded.rows, encoded.data.size, frozenset(encoded.exceptions))
