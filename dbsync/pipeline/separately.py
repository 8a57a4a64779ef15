"""Tables that nothing connects: each imported by itself, several at once, each failing alone.

What lives here: one plan made of those of all tables, what becomes of a table's failure, and the
events of many imports as those of one run. Must not know: SQL, files, Parquet.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

from msgspec.structs import replace

from dbsync.connectors.base import (
    ImportOptions,
    ImportPlan,
    Stoppable,
    TableFailure,
    TablePlan,
    Target,
)
from dbsync.errors import DbsyncError, UsageError
from dbsync.model.schema import Database, Loss, Name, Table
from dbsync.pipeline import importer
from dbsync.pipeline.events import (
    ChunkDone,
    Event,
    Finished,
    OnEvent,
    Planned,
    StageStarted,
    TableDone,
    TableFailed,
    TableStarted,
    ignore,
)
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.exporter import refuse_losses
from dbsync.pipeline.results import ImportResult, TableResult

R = TypeVar("R")
OpenTarget = Callable[[], Target]
"""Opens the target once more; the caller closes it."""


class Targets:
    """The target as each table has it for itself, and all of them to be stopped together."""

    def __init__(self, open_target: OpenTarget):
        self._open = open_target
        self._lock = threading.Lock()
        self._opened: list[Target] = []

    @contextmanager
    def one(self) -> Generator[Target]:
        """Open the target for one table."""
        with closing(self._open()) as target:
            with self._lock:
                self._opened.append(target)
            try:
                yield target
            finally:
                with self._lock:
                    self._opened.remove(target)

    def stop(self) -> None:
        """End what waits."""
        with self._lock:
            for target in self._opened:
                if isinstance(target, Stoppable):
                    target.stop()


def plan_separately(
    database: Database,
    target: Target,
    options: ImportOptions,
    *,
    strict: bool,
    on_event: OnEvent,
    examine: Callable[[Table, ImportPlan], None] | None = None,
) -> ImportPlan:
    """Plan each table by itself, announce all of it, and refuse under `strict`.

    Tables that the target or `examine` refuses are in `ImportPlan.refused`; what concerns all of
    them is raised. Nothing is written.
    """
    if options.single_transaction:
        raise UsageError(
            "each table is imported by itself, not all in one transaction",
            hint="leave out --single-transaction: each table appears at once, with all its rows",
        )
    options = replace(options, among=database.tables)
    target.prepare(replace(database, tables=()), options)
    plans: list[ImportPlan] = []
    refused: list[TableFailure] = []
    for table in database.tables:
        alone = replace(database, tables=(table,))
        own = replace(options, import_id=part_id(options.import_id, table.name))
        try:
            plan, _ = importer.plan_import(alone, target, own, strict=False, on_event=ignore)
            if examine is not None:
                examine(table, plan)
        except DbsyncError as error:
            refused.append(TableFailure.of(error, table))
        else:
            plans.append(plan)
    plan = _merged(plans, refused)
    on_event(importer.announcement(plan))
    refuse_losses(plan.losses, strict=strict, what="the target")
    return plan


def part_id(import_id: str, table: Name) -> str:
    """Name the part of an import that is about one table; the same part always has one name."""
    digest = hashlib.sha256(f"{import_id} {table}".encode()).hexdigest()
    return f"{import_id[:39]}.{digest[:24]}"


def _merged(plans: list[ImportPlan], refused: list[TableFailure]) -> ImportPlan:
    tables = tuple(table for plan in plans for table in plan.tables)
    statements = dict.fromkeys(line for plan in plans for line in plan.statements)
    losses: dict[Loss, None] = dict.fromkeys(loss for plan in plans for loss in plan.losses)
    unsure = any(plan.guarantee == "none" for plan in plans)
    return ImportPlan(
        tables=tables,
        statements=tuple(statements),
        losses=tuple(losses),
        max_writers=max((plan.max_writers for plan in plans), default=1),
        table_order=(tuple(table.source.name for table in tables),),
        guarantee="none" if unsure else "exactly_once",
        resuming=any(plan.resuming for plan in plans),
        refused=tuple(refused),
    )


@dataclass
class Outcome(Generic[R]):
    """What became of each table: by name what its run returned, or how it failed."""

    done: dict[Name, R] = field(default_factory=dict[Name, R])
    failed: list[TableFailure] = field(default_factory=list[TableFailure])
    seconds: float = 0.0


def run_separately(
    plan: ImportPlan,
    run: Callable[[Table, OnEvent], R],
    *,
    at_once: int,
    on_event: OnEvent,
    stop: Callable[[], None],
) -> Outcome[R]:
    """Call `run` for each table that is not skipped, the largest first, `at_once` at a time.

    What it raises as `DbsyncError` is a failure of its table alone; anything else ends the whole
    run, at the next event of each table, or as soon as `stop` ends what they wait for. The failures
    begin with what the plan has refused.
    Events reach `on_event` one at a time, as those of one run.
    """
    started = monotonic()
    outcome: Outcome[R] = Outcome(failed=list(plan.refused))
    executor = ThreadExecutor(at_once, stop)
    shared = _Shared(on_event, executor.stopping)
    for refused in plan.refused:
        shared.emit(TableFailed(table=refused.table, message=refused.message, hint=refused.hint))

    def one(planned: TablePlan) -> None:
        name = planned.source.name
        shared.emit(TableStarted(table=name))
        try:
            result = run(planned.source, shared.of_table(name))
        except DbsyncError as error:
            with shared.lock:
                outcome.failed.append(TableFailure.of(error, planned.source, planned.target))
            shared.emit(TableFailed(table=name, message=error.message, hint=error.hint))
            return
        with shared.lock:
            outcome.done[name] = result
        shared.emit(TableDone(table=name, rows=shared.rows.get(name, 0)))

    wanted = [table for table in plan.tables if table.action != "skip"]
    for _ in executor.run(one, sorted(wanted, key=_size, reverse=True)):
        pass
    outcome.seconds = monotonic() - started
    rows = sum(shared.rows.get(name, 0) for name in outcome.done)
    on_event(Finished(rows=rows, bytes=shared.bytes, seconds=outcome.seconds))
    return outcome


def summed(
    plan: ImportPlan, outcome: Outcome[R], imported: Callable[[R], ImportResult], archive_id: str
) -> ImportResult:
    """Make one result of those of all tables, in the order of the plan."""
    tables: list[TableResult] = []
    for table in plan.tables:
        name = table.source.name
        if name in outcome.done:
            tables.extend(imported(outcome.done[name]).tables)
        elif table.action == "skip":
            tables.append(TableResult(table=name, rows=0, action="skip"))
    return ImportResult(
        archive_id=archive_id,
        plan=plan,
        tables=tuple(tables),
        rows=sum(table.rows for table in tables),
        resumed_chunks=sum(imported(done).resumed_chunks for done in outcome.done.values()),
        seconds=outcome.seconds,
        separately=True,
        failed=tuple(outcome.failed),
    )


def planned_only(plan: ImportPlan, archive_id: str) -> ImportResult:
    """Report a plan that is not carried out."""
    return ImportResult(
        archive_id=archive_id, plan=plan, dry_run=True, separately=True, failed=plan.refused
    )


def _size(table: TablePlan) -> int:
    return table.source.bytes_estimate or table.source.rows_estimate or 0


class _StoppedError(Exception):
    """The run is being given up; raised into imports that are under way, and seen by no one."""


class _Shared:
    """The events of several imports, one at a time."""

    def __init__(self, on_event: OnEvent, stopping: threading.Event):
        self._on_event = on_event
        self._stopping = stopping
        self.lock = threading.Lock()
        self.rows: dict[Name, int] = {}
        self.bytes = 0

    def emit(self, event: Event) -> None:
        """Pass an event on; ends the import that sends it where the whole run is being ended."""
        if self._stopping.is_set():
            raise _StoppedError
        with self.lock:
            if isinstance(event, ChunkDone):
                self.rows[event.table] = self.rows.get(event.table, 0) + event.rows
                self.bytes += event.bytes
            self._on_event(event)

    def of_table(self, name: Name) -> OnEvent:
        """Return the callback for the import of one table, which is no run of its own."""

        def emit(event: Event) -> None:
            if isinstance(event, Planned | Finished | TableDone):
                return
            if isinstance(event, StageStarted) and not event.object:
                event = replace(event, object=str(name))
            self.emit(event)

        return emit
