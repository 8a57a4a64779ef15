"""An archive into a database: plan, then load chunks side by side, then finish the schema.

What lives here: the order of work of an import and what may run at the same time. Must not know:
SQL, files, Parquet.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from time import monotonic
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from msgspec.structs import replace

from dbsync.archive import Archive, ChunkRef
from dbsync.connectors.base import (
    ChunkId,
    Counts,
    DdlMode,
    ImportOptions,
    ImportPlan,
    Load,
    TablePlan,
    TableWriter,
    Target,
)
from dbsync.model.schema import Database, Name
from dbsync.model.selection import Selection
from dbsync.model.values import MisfitError
from dbsync.pipeline.ahead import ahead
from dbsync.pipeline.events import (
    ChunkDone,
    ChunkWritten,
    Event,
    Finished,
    OnEvent,
    Planned,
    StageStarted,
    TableDone,
)
from dbsync.pipeline.examine import check_before_writing, with_key
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.exporter import refuse_losses
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import ImportResult, TableResult

if TYPE_CHECKING:
    import pyarrow as pa

DdlChoice = Literal["none", "auto", "native", "portable"]


def choose_ddl(choice: DdlChoice, archive: Database, engine: str) -> DdlMode:
    """Turn ``auto`` into native DDL on the same engine, and portable DDL across engines.

    Native definitions speak of all columns, so an archive with some left out is portable too.
    """
    if choice == "auto":
        whole = all(table.all_columns for table in archive.tables)
        return "native" if archive.engine == engine and archive.native and whole else "portable"
    return choice


def plan_import(
    database: Database,
    target: Target,
    options: ImportOptions,
    *,
    strict: bool,
    on_event: OnEvent,
) -> tuple[ImportPlan, ImportOptions]:
    """Plan, announce the plan with its losses, and refuse under `strict`; nothing is written.

    Returns the options that the plan was made with: where a conflict is an error, rows are added
    to tables that hold some in one transaction, so that a conflict changes nothing at all.
    """
    plan = target.prepare(database, options)
    if _all_or_nothing(plan, options):
        options = replace(options, single_transaction=True)
        plan = target.prepare(database, options)
    if options.ddl != "none":
        # What the source could not put into the archive will not reach this database either.
        # Native DDL brings back what the source could only note as carried in another form.
        known = {loss.object for loss in plan.losses}
        inherited = tuple(
            loss
            for loss in database.losses
            if loss.object not in known and (options.ddl != "native" or loss.severity == "lost")
        )
        plan = replace(plan, losses=inherited + plan.losses)
    on_event(
        Planned(
            command="import",
            tables=tuple((t.source.name, t.source.rows_estimate) for t in plan.tables),
            losses=plan.losses,
            guarantee=plan.guarantee,
            resuming=plan.resuming,
        )
    )
    refuse_losses(plan.losses, strict=strict, what="the target")
    return plan, options


def _all_or_nothing(plan: ImportPlan, options: ImportOptions) -> bool:
    return (
        options.on_conflict == "error"
        and not plan.resuming
        and any(table.action == "append" and table.rows_before != 0 for table in plan.tables)
    )


def import_from(
    archive: Archive,
    target: Target,
    options: ImportOptions,
    *,
    selection: Selection,
    ddl: DdlChoice,
    strict: bool,
    jobs: int,
    dry_run: bool,
    on_event: OnEvent,
    watch: Watch | None = None,
    checked: dict[int, ChunkRef] | None = None,
) -> ImportResult:
    """Load an opened archive into `target`.

    At random, the digests of all chunks that are needed, and the values that the target might not
    hold, are checked before the first write, and in a dry run too where there are any; of a large
    import from a remote archive, which is not read twice, the values only. From a pipe, rows are
    committed chunk by chunk as they arrive, each checked against its digest first, and the schema
    is finished only after the whole archive has proved complete. `watch` sees the plan before
    anything is written, and then every row. `checked` says that the values were found to fit, and
    gives what was kept of that reading.
    """
    started = monotonic()
    database = restrict(archive.database, selection)
    options = replace(options, ddl=choose_ddl(ddl, archive.database, target.capabilities.engine))
    plan, options = plan_import(database, target, options, strict=strict, on_event=on_event)
    if watch is not None:
        watch.planned(plan)
    archive_id = archive.head.archive_id
    held = checked or {}
    if not archive.sequential and checked is None:
        on_event(StageStarted(stage="check"))
        held = check_before_writing(archive, plan, target, jobs, values_only=dry_run)
    if dry_run:
        return ImportResult(archive_id=archive_id, plan=plan, dry_run=True)
    with target.load(plan, options) as load:
        for stage, name in load.create():
            on_event(StageStarted(stage=stage, object=name))
        rows = _Rows(archive, plan, load, on_event, watch=watch, held=held)
        on_event(StageStarted(stage="rows"))
        rows.load_all(jobs if target.capabilities.parallel_write else 1)
        for stage, name in load.finalize():
            on_event(StageStarted(stage=stage, object=name))
    on_event(StageStarted(stage="done"))
    result = rows.result(archive_id, monotonic() - started)
    on_event(Finished(rows=result.rows, bytes=rows.bytes, seconds=result.seconds))
    return result


class Watch(Protocol):
    """Whoever looks at what an import does."""

    def planned(self, plan: ImportPlan) -> None:
        """Look at the plan; an exception ends the import before it has changed anything."""
        ...

    def rows(self, table: Name, batches: Iterable[pa.RecordBatch]) -> None:
        """Look at rows of the archive, from several threads: each is shown once."""
        ...


class _Rows:
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
    ):
        self._watch = watch
        self._held = held
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
        self.bytes = 0

    def load_all(self, jobs: int) -> None:
        """Load every chunk that is not committed yet, and read a pipe to its verified end."""
        jobs = max(1, min(jobs, self._plan.max_writers))
        if self._archive.sequential:
            careful = any(_one_writer(plan) for plan in self._tables.values())
            self._run(self._archive.chunks(), 1 if careful else jobs)
        else:
            for names in self._plan.table_order:
                group = {i for i, plan in self._tables.items() if plan.source.name in names}
                careful_tables = {i for i in group if _one_writer(self._tables[i])}
                self._run(self._archive.chunks(careful_tables), 1)
                self._run(self._archive.chunks(group - careful_tables), jobs)
        for plan in self._tables.values():
            self._on_event(TableDone(table=plan.source.name, rows=self._rows[plan.source.name]))

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
        rows = 0
        with writers.borrow(plan) as writer:
            for batch in chunk.batches():
                if self._watch is not None:
                    self._watch.rows(name, [batch])
                try:
                    writer.write(batch)
                except MisfitError as error:
                    raise with_key(error, plan, batch) from error
                rows += batch.num_rows
            self._emit(ChunkWritten(table=name, chunk=chunk.number))
            counts = writer.commit(ChunkId(table=name, number=chunk.number, digest=chunk.sha256))
        with self._lock:
            self._counts[name] = _add(self._counts[name], counts)
        self._finish_chunk(chunk, name, rows)

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


def _one_writer(plan: TablePlan) -> bool:
    return plan.ordered or plan.action == "overwrite"


def _add(left: Counts, right: Counts) -> Counts:
    summed = {
        field: getattr(left, field) + getattr(right, field) for field in Counts.__struct_fields__
    }
    return msgspec.convert(summed, Counts)
