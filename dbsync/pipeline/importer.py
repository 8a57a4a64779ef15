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
    Target,
)
from dbsync.model.schema import Database
from dbsync.model.selection import Selection
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
    on_event(announcement(plan))
    refuse_losses(plan.losses, strict=strict, what="the target")
    return plan, options


def announcement(plan: ImportPlan) -> Planned:
    """Say what an import is about to do."""
    return Planned(
        command="import",
        tables=tuple(
            (t.source.name, t.source.rows_estimate) for t in plan.tables if t.action != "skip"
        ),
        losses=plan.losses,
        guarantee=plan.guarantee,
        resuming=plan.resuming,
    )


def _all_or_nothing(plan: ImportPlan, options: ImportOptions) -> bool:
    return (
        options.on_conflict == "error"
        and not plan.resuming
        and any(table.action == "append" and table.rows_before != 0 for table in plan.tables)
    )


def of_archive(
    options: ImportOptions, archive: Archive, capabilities: Capabilities, ddl: DdlChoice
) -> ImportOptions:
    """Fill in whose definitions to run and, unless it is known, when the archive was made."""
    return replace(
        options,
        ddl=choose_ddl(ddl, archive.database, capabilities.engine),
        made_at=options.made_at or int(datetime.fromisoformat(archive.head.started).timestamp()),
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
    options = of_archive(options, archive, target.capabilities, ddl)
    plan, options = plan_import(database, target, options, strict=strict, on_event=on_event)
    if watch is not None:
        watch.planned(plan)
    held = checked or {}
    if not archive.sequential and checked is None:
        on_event(StageStarted(stage="check"))
        held = check_before_writing(archive, plan, target, jobs, values_only=dry_run)
    if dry_run:
        return ImportResult(archive_id=archive.head.archive_id, plan=plan, dry_run=True)
    with target.load(plan, options) as load:
        for stage, name in load.create():
            on_event(StageStarted(stage=stage, object=name))
        rows = Rows(
            archive,
            plan,
            load,
            on_event,
            watch=watch,
            held=held,
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
