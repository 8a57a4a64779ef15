"""Tables that nothing connects: each imported by itself, several at once, each failing alone.

What lives here: the part of a plan that is about one table, what becomes of its failure, and the
events of many imports as those of one run. Must not know: where the rows come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

from msgspec.structs import replace

from dbsync.connectors.base import ImportPlan, TableFailure, TablePlan
from dbsync.errors import DbsyncError
from dbsync.model.schema import Name
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
)
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.results import ImportResult, TableResult

R = TypeVar("R")


@dataclass
class Outcome(Generic[R]):
    """What became of each table: by name what its run returned, or how it failed."""

    done: dict[Name, R] = field(default_factory=dict[Name, R])
    failed: list[TableFailure] = field(default_factory=list[TableFailure])
    bytes: int = 0
    seconds: float = 0.0


def part_of(plan: ImportPlan, table: TablePlan) -> ImportPlan:
    """Return the part of a plan that is about one table; what is lost has been announced."""
    return replace(
        plan,
        tables=(table,),
        statements=(),
        losses=(),
        table_order=((table.source.name,),),
        refused=(),
    )


def run_separately(
    plan: ImportPlan,
    run: Callable[[ImportPlan, OnEvent], R],
    *,
    at_once: int,
    on_event: OnEvent,
) -> Outcome[R]:
    """Call `run` with the part of each table that is not skipped, the largest tables first.

    Of `at_once` tables at a time. What `run` raises as `DbsyncError` is a failure of its table
    alone; anything else ends the whole run at the next event of each table. The failures begin
    with what the plan has refused. Events reach `on_event` one at a time, as those of one run.
    """
    started = monotonic()
    outcome: Outcome[R] = Outcome(failed=list(plan.refused))
    executor = ThreadExecutor(at_once)
    shared = _Shared(on_event, executor.stopping)
    for refused in plan.refused:
        shared.emit(TableFailed(table=refused.table, message=refused.message, hint=refused.hint))

    def one(table: TablePlan) -> None:
        name = table.source.name
        shared.emit(TableStarted(table=name))
        try:
            result = run(part_of(plan, table), shared.of_table(name))
        except DbsyncError as error:
            failure = TableFailure.of(error, name, table.target)
            with shared.lock:
                outcome.failed.append(failure)
            shared.emit(TableFailed(table=name, message=error.message, hint=error.hint))
            return
        with shared.lock:
            outcome.done[name] = result
        shared.emit(TableDone(table=name, rows=shared.rows.get(name, 0)))

    wanted = [table for table in plan.tables if table.action != "skip"]
    for _ in executor.run(one, sorted(wanted, key=_size, reverse=True)):
        pass
    outcome.bytes, outcome.seconds = shared.bytes, monotonic() - started
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
