"""An archive into a database: plan, then load chunks side by side, then finish the schema.

What lives here: the order of work of an import. Must not know: SQL, files, Parquet.
"""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Literal

from msgspec.structs import replace

from dbsync.archive import Archive, ChunkRef
from dbsync.connectors.base import (
    Capabilities,
    DdlMode,
    ExistingMode,
    ImportOptions,
    ImportPlan,
    TableFailure,
    TablePlan,
    Target,
)
from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Database
from dbsync.model.selection import Selection
from dbsync.pipeline import separately
from dbsync.pipeline.events import Finished, OnEvent, Planned, StageStarted
from dbsync.pipeline.examine import check_before_writing
from dbsync.pipeline.exporter import refuse_losses
from dbsync.pipeline.loading import Rows, Watch
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import ImportResult

DdlChoice = Literal["none", "auto", "native", "portable"]


def landing_options(
    options: ImportOptions,
    capabilities: Capabilities,
    *,
    existing: ExistingMode | None,
    include_schema: bool | None,
    ddl: DdlChoice,
) -> tuple[ImportOptions, DdlChoice]:
    """Fill in what is left to the target: what to do with tables that exist, and are missing."""
    if existing is None:
        existing = "error" if capabilities.independent_tables else "append"
    if include_schema is None:
        include_schema = capabilities.independent_tables
    return replace(options, existing=existing), ddl if include_schema else "none"


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
    if target.capabilities.transactions and _all_or_nothing(plan, options):
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
            tables=tuple(
                (t.source.name, t.source.rows_estimate) for t in plan.tables if t.action != "skip"
            ),
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
    plan, options = plan_archive(
        archive, target, options, selection=selection, ddl=ddl, strict=strict, on_event=on_event
    )
    if plan.refused:
        first = plan.refused[0]
        raise TargetError(
            f"{len(plan.refused)} tables cannot be imported; the first is {first.table}: "
            f"{first.message}",
            hint=first.hint,
        )
    if watch is not None:
        watch.planned(plan)
    held = checked or {}
    if not archive.sequential and checked is None:
        on_event(StageStarted(stage="check"))
        held = check_before_writing(archive, plan, target, jobs, values_only=dry_run)
    if dry_run:
        return ImportResult(archive_id=archive.head.archive_id, plan=plan, dry_run=True)
    return load_planned(
        archive, target, plan, options, jobs=jobs, on_event=on_event, watch=watch, held=held
    )


def import_separately(
    archive: Archive,
    target: Target,
    options: ImportOptions,
    *,
    selection: Selection,
    ddl: DdlChoice,
    strict: bool,
    jobs: int,
    tables_at_once: int,
    dry_run: bool,
    on_event: OnEvent,
    watch: Watch | None = None,
) -> ImportResult:
    """Load an archive that can be read at random, each table by itself; as `import_from` does.

    A table that fails is in `ImportResult.failed`, and the others arrive.
    """
    plan, options = plan_archive(
        archive, target, options, selection=selection, ddl=ddl, strict=strict, on_event=on_event
    )
    if watch is not None:
        watch.planned(plan)
    archive_id = archive.head.archive_id
    if dry_run:
        return separately.planned_only(_without_misfits(archive, plan, target, jobs), archive_id)

    def one(part: ImportPlan, on_event: OnEvent) -> ImportResult:
        on_event(StageStarted(stage="check"))
        held = check_before_writing(archive, part, target, jobs)
        return load_planned(
            archive, target, part, options, jobs=jobs, on_event=on_event, watch=watch, held=held
        )

    outcome = separately.run_separately(plan, one, at_once=tables_at_once, on_event=on_event)
    if watch is not None:
        watch.leave_out(failure.table for failure in outcome.failed)
    return separately.summed(plan, outcome, lambda done: done, archive_id)


def _without_misfits(archive: Archive, plan: ImportPlan, target: Target, jobs: int) -> ImportPlan:
    """Refuse the tables with values that the target cannot hold."""
    fitting: list[TablePlan] = []
    refused = list(plan.refused)
    for table in plan.tables:
        part = separately.part_of(plan, table)
        try:
            check_before_writing(archive, part, target, jobs, values_only=True)
        except LossError as error:
            refused.append(TableFailure.of(error, table.source.name, table.target))
        else:
            fitting.append(table)
    return replace(plan, tables=tuple(fitting), refused=tuple(refused))


def plan_archive(
    archive: Archive,
    target: Target,
    options: ImportOptions,
    *,
    selection: Selection,
    ddl: DdlChoice,
    strict: bool,
    on_event: OnEvent,
) -> tuple[ImportPlan, ImportOptions]:
    """Do what `plan_import` does, for the selected tables of an archive."""
    options = replace(
        options,
        ddl=choose_ddl(ddl, archive.database, target.capabilities.engine),
        made_at=int(datetime.fromisoformat(archive.head.started).timestamp()),
    )
    database = restrict(archive.database, selection)
    return plan_import(database, target, options, strict=strict, on_event=on_event)


def load_planned(
    archive: Archive,
    target: Target,
    plan: ImportPlan,
    options: ImportOptions,
    *,
    jobs: int,
    on_event: OnEvent,
    watch: Watch | None = None,
    held: dict[int, ChunkRef] | None = None,
) -> ImportResult:
    """Carry out a plan: create, load the rows of its tables, finish the schema.

    `held` are chunks that have been read already, by their positions.
    """
    started = monotonic()
    with target.load(plan, options) as load:
        for stage, name in load.create():
            on_event(StageStarted(stage=stage, object=name))
        rows = Rows(
            archive,
            plan,
            load,
            on_event,
            watch=watch,
            held=held or {},
            transactions=target.capabilities.transactions,
        )
        on_event(StageStarted(stage="rows"))
        rows.load_all(jobs if target.capabilities.parallel_write else 1)
        for stage, name in load.finalize():
            on_event(StageStarted(stage=stage, object=name))
    on_event(StageStarted(stage="done"))
    result = rows.result(archive.head.archive_id, monotonic() - started)
    on_event(Finished(rows=result.rows, bytes=rows.bytes, seconds=result.seconds))
    return result
