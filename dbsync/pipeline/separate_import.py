"""An archive into a database whose tables nothing connects: each table imported by itself.

Must not know: SQL, files, Parquet, what becomes of a table that fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from glob import escape
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dbsync.archive import Archive
from dbsync.connectors.base import ImportOptions, ImportPlan, Target
from dbsync.model.schema import Name, Table
from dbsync.model.selection import Selection
from dbsync.pipeline import importer, separately
from dbsync.pipeline.events import OnEvent
from dbsync.pipeline.examine import check_before_writing
from dbsync.pipeline.loading import Watch
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import ImportResult

if TYPE_CHECKING:
    import pyarrow as pa


def import_separately(
    archive: Archive,
    target: Target,
    options: ImportOptions,
    *,
    selection: Selection,
    ddl: importer.DdlChoice,
    strict: bool,
    jobs: int,
    dry_run: bool,
    on_event: OnEvent,
    watch: Watch | None,
    open_target: separately.OpenTarget,
    tables_at_once: int,
) -> ImportResult:
    """Load an archive that can be read at random, as `importer.import_from` does, by tables.

    A table that fails is in `ImportResult.failed`, and the others arrive.
    """
    database = restrict(archive.database, selection)
    options = importer.of_archive(options, archive, target.capabilities, ddl)

    def examine(_table: Table, plan: ImportPlan) -> None:
        check_before_writing(archive, plan, target, jobs, values_only=True)

    plan = separately.plan_separately(
        database,
        target,
        options,
        strict=strict,
        on_event=on_event,
        examine=examine if dry_run else None,
    )
    if watch is not None:
        watch.planned(plan)
    archive_id = archive.head.archive_id
    if dry_run:
        return separately.planned_only(plan, archive_id)

    def one(table: Table, on_event: OnEvent) -> ImportResult:
        own = replace(
            options,
            import_id=separately.part_id(options.import_id, table.name),
            among=database.tables,
        )
        with targets.one() as opened:
            return importer.import_from(
                archive,
                opened,
                own,
                selection=Selection(tables=(escape(str(table.name)),)),
                ddl=ddl,
                strict=False,
                jobs=jobs,
                dry_run=False,
                on_event=on_event,
                watch=_RowsOnly(watch) if watch is not None else None,
            )

    targets = separately.Targets(open_target)
    outcome = separately.run_separately(
        plan, one, at_once=tables_at_once, on_event=on_event, stop=targets.stop
    )
    if watch is not None:
        watch.leave_out(failure.table for failure in outcome.failed)
    return separately.summed(plan, outcome, lambda done: done, archive_id)


class _RowsOnly:
    """Shows the rows of one table to a watch that has seen the plan of all."""

    def __init__(self, watch: Watch):
        self._watch = watch

    def planned(self, plan: ImportPlan) -> None:
        pass

    def rows(self, table: Name, batches: Iterable[pa.RecordBatch]) -> None:
        self._watch.rows(table, batches)

    def leave_out(self, tables: Iterable[Name]) -> None:
        pass
