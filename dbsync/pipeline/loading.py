"""The rows of an import: chunks into tables, several at a time, each of them once.

What lives here: `Rows`, and `Watch` for whoever looks on. Must not know: SQL, files, Parquet, what
comes before the rows and after them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import msgspec

from dbsync.archive import Archive, ChunkRef
from dbsync.connectors.base import ChunkId, Counts, ImportPlan, Load, TablePlan, TableWriter
from dbsync.errors import UndoneError
from dbsync.model.schema import Name
from dbsync.model.values import MisfitError
from dbsync.pipeline.ahead import ahead
from dbsync.pipeline.events import ChunkDone, ChunkWritten, Event, OnEvent, TableDone
from dbsync.pipeline.examine import with_key
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.results import ImportResult, TableResult

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 5
"""Of one chunk, where the target undoes it for the sake of others."""


class Watch(Protocol):
    """Whoever looks at what an import does."""

    def planned(self, plan: ImportPlan) -> None:
        """Look at the plan; an exception ends the import before it has changed anything."""
        ...

    def rows(self, table: Name, batches: Iterable[pa.RecordBatch]) -> None:
        """Look at rows of the archive, from several threads: each is shown once."""
        ...

    def leave_out(self, tables: Iterable[Name]) -> None:
        """Learn which tables of the plan have failed, while others arrived."""
        ...


class Rows:
    """The rows of one import; `_load` runs in several threads, each with its own writer."""

    def __init__(
        self,
        archive: Archive,
        plan: ImportPlan,
        load: Load,
        on_event: OnEvent,
        *,
        watch: Watch | None,
        held: dict[int, ChunkRef],
        transactions: bool,
    ):
        self._watch = watch
        self._held = held
        self._transactions = transactions
        self._archive = archive
        self._plan = plan
        self._load_api = load
        self._on_event = on_event
        self._lock = threading.Lock()
        self._done = load.committed()
        by_name = {t.source.name: t for t in plan.tables}
        self._tables: dict[int, TablePlan] = {
            index: by_name[table.name]
            for index, table in enumerate(archive.database.tables)
            if table.name in by_name and by_name[table.name].action != "skip"
        }
        self._counts: dict[Name, Counts] = {t.source.name: Counts() for t in plan.tables}
        self._rows: Counter[Name] = Counter()
        self._chunks: Counter[Name] = Counter()
        self._resumed = 0
        self._again = threading.Lock()
        self.bytes = 0

    def load_all(self, jobs: int) -> None:
        """Load every chunk that is not committed yet, and read a pipe to its verified end."""
        jobs = max(1, min(jobs, self._plan.max_writers))
        if self._archive.sequential:
            careful = any(self._one_writer(plan) for plan in self._tables.values())
            self._run(self._archive.chunks(), 1 if careful else jobs)
        else:
            for names in self._plan.table_order:
                group = {i for i, plan in self._tables.items() if plan.source.name in names}
                careful_tables = {i for i in group if self._one_writer(self._tables[i])}
                self._run(self._archive.chunks(careful_tables), 1)
                self._run(self._archive.chunks(group - careful_tables), jobs)
        for plan in self._tables.values():
            self._on_event(TableDone(table=plan.source.name, rows=self._rows[plan.source.name]))

    def _one_writer(self, plan: TablePlan) -> bool:
        # With transactions, the old rows are deleted and the new ones written in one.
        return plan.ordered or (plan.action == "overwrite" and self._transactions)

    def _run(self, chunks: Iterator[ChunkRef], jobs: int) -> None:
        # Chunks of a table wait until the tables that it refers to are complete. In a pipe the
        # exporter has put them into that order.
        order = {
            name: number for number, names in enumerate(self._plan.table_order) for name in names
        }

        def group_of(chunk: ChunkRef) -> int:
            plan = self._tables.get(chunk.table_index)
            return -1 if plan is None else order.get(plan.source.name, -1)

        for _, group in groupby(chunks, key=group_of):
            executor = ThreadExecutor(jobs)
            writers = _Writers(self._load_api)
            failed = True
            try:
                with closing(self._reading(group)) as reading:
                    for _ in executor.run(lambda chunk: self._load(chunk, writers), reading):  # noqa: B023
                        pass
                failed = False
            finally:
                writers.close(failed=failed)

    def _reading(self, chunks: Iterable[ChunkRef]) -> Generator[ChunkRef]:
        """Yield the chunks that have to be looked at; at random, with their bytes in memory."""
        wanted = self._wanted(chunks)
        return (
            (chunk for chunk in wanted)
            if self._archive.sequential
            else ahead(self._archive, wanted)
        )

    def _wanted(self, chunks: Iterable[ChunkRef]) -> Iterator[ChunkRef]:
        for chunk in chunks:
            plan = self._tables.get(chunk.table_index)
            if plan is None:
                continue
            if self._watch is None and (plan.source.name, chunk.number) in self._done:
                self._resume(chunk, plan.source.name)
                continue
            # What was read to be checked is kept no longer than the work on it.
            yield chunk if chunk.position is None else self._held.pop(chunk.position, chunk)

    def _resume(self, chunk: ChunkRef, name: Name) -> None:
        with self._lock:
            self._resumed += 1
        self._finish_chunk(chunk, name, chunk.rows_known or 0, resumed=True)

    def _load(self, chunk: ChunkRef, writers: _Writers) -> None:
        plan = self._tables[chunk.table_index]
        name = plan.source.name
        if self._watch is not None and (name, chunk.number) in self._done:
            self._watch.rows(name, chunk.batches())
            self._resume(chunk, name)
            return
        counts, rows = self._written(chunk, plan, writers)
        with self._lock:
            self._counts[name] = _add(self._counts[name], counts)
        self._finish_chunk(chunk, name, rows)

    def _written(self, chunk: ChunkRef, plan: TablePlan, writers: _Writers) -> tuple[Counts, int]:
        """Write and commit a chunk, once more where the target has undone it for a deadlock.

        Chunks that are written again come one at a time, so that they do not meet one another; in
        the one transaction of everything there is nothing left to write them into.
        """
        attempt = _Attempt(chunk, plan, self._watch)
        try:
            return self._attempt(attempt, writers)
        except UndoneError:
            if self._plan.guarantee == "single_transaction":
                raise
        with self._again:
            for _ in range(_ATTEMPTS - 2):
                try:
                    return self._attempt(attempt, writers)
                except UndoneError:
                    continue
            return self._attempt(attempt, writers)

    def _attempt(self, attempt: _Attempt, writers: _Writers) -> tuple[Counts, int]:
        chunk, plan = attempt.chunk, attempt.plan
        name, rows = plan.source.name, 0
        with writers.borrow(plan) as writer:
            for batch in attempt.batches():
                try:
                    writer.write(batch)
                except MisfitError as error:
                    raise with_key(error, plan, batch) from error
                rows += batch.num_rows
            self._emit(ChunkWritten(table=name, chunk=chunk.number))
            counts = writer.commit(ChunkId(table=name, number=chunk.number, digest=chunk.sha256))
        return counts, rows

    def _finish_chunk(
        self, chunk: ChunkRef, name: Name, rows: int, *, resumed: bool = False
    ) -> None:
        with self._lock:
            self._rows[name] += rows
            self._chunks[name] += 1
            self.bytes += chunk.size
        self._emit(
            ChunkDone(table=name, chunk=chunk.number, rows=rows, bytes=chunk.size, resumed=resumed)
        )

    def _emit(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)

    def result(self, archive_id: str, seconds: float) -> ImportResult:
        """Sum up what was done."""
        tables = tuple(
            TableResult(
                table=plan.source.name,
                rows=self._rows[plan.source.name],
                chunks=self._chunks[plan.source.name],
                action=plan.action,
                counts=self._counts[plan.source.name],
            )
            for plan in self._plan.tables
        )
        return ImportResult(
            archive_id=archive_id,
            plan=self._plan,
            tables=tables,
            rows=self._rows.total(),
            resumed_chunks=self._resumed,
            seconds=seconds,
        )


class _Attempt:
    """One chunk that is written, perhaps several times; whoever watches sees each row once."""

    def __init__(self, chunk: ChunkRef, plan: TablePlan, watch: Watch | None):
        self.chunk = chunk
        self.plan = plan
        self._watch = watch
        self._seen = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the chunk's rows, in the same batches each time."""
        for number, batch in enumerate(self.chunk.batches()):
            if self._watch is not None and number == self._seen:
                self._watch.rows(self.plan.source.name, [batch])
                self._seen += 1
            yield batch


class _Writers:
    """One open writer for each thread, kept while chunks of the same table follow one another."""

    def __init__(self, load: Load):
        self._load = load
        self._lock = threading.Lock()
        self._idle: list[tuple[TablePlan, TableWriter]] = []

    @contextmanager
    def borrow(self, plan: TablePlan) -> Generator[TableWriter]:
        """Lend a writer for `plan`, opening one where none is idle; one that failed is closed."""
        writer = self._take(plan)
        try:
            yield writer
        except BaseException as error:
            writer.__exit__(type(error), error, error.__traceback__)
            raise
        with self._lock:
            self._idle.append((plan, writer))

    def _take(self, plan: TablePlan) -> TableWriter:
        stale: TableWriter | None = None
        with self._lock:
            for position, (table, writer) in enumerate(self._idle):
                if table is plan:
                    del self._idle[position]
                    return writer
            # No more writers than threads: one of another table makes room.
            if self._idle:
                _, stale = self._idle.pop(0)
        if stale is not None:
            stale.__exit__(None, None, None)
        return self._load.writer(plan).__enter__()

    def close(self, *, failed: bool) -> None:
        """Close every idle writer; a failure to close is not hidden unless another one is up."""
        for _, writer in self._idle:
            try:
                writer.__exit__(None, None, None)
            except Exception:
                if not failed:
                    raise
        self._idle.clear()


def _add(left: Counts, right: Counts) -> Counts:
    summed = {
        field: getattr(left, field) + getattr(right, field) for field in Counts.__struct_fields__
    }
    return msgspec.convert(summed, Counts)
