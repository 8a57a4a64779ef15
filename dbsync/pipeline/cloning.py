"""A database into another one: all tables through one pipe, or each through a pipe of its own.

What lives here: the order of work of a clone. Must not know: SQL, files, Parquet, who opened the
two databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from msgspec.structs import replace

from dbsync.connectors.base import ImportOptions, Partition, Snapshot, Stoppable, Target
from dbsync.model.schema import Database, Table
from dbsync.model.selection import Selection
from dbsync.pipeline import access, exporter, importer, separately
from dbsync.pipeline.cloner import Tee, through_pipe
from dbsync.pipeline.comparing.loaded import LoadVerification, refuse_mixed
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import CloneResult, ExportResult, ImportResult
from dbsync.storage.base import ObjectWriter

if TYPE_CHECKING:
    import pyarrow as pa


class CloneOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a clone is done; `jobs` is of the import, that of the export stands in `export`."""

    export: exporter.ExportOptions
    landing: ImportOptions
    ddl: importer.DdlChoice
    strict: bool
    jobs: int
    tables_at_once: int
    """Where each table is cloned by itself."""


def dry_run(
    snapshot: Snapshot,
    target: Target,
    options: CloneOptions,
    *,
    keep: str | None,
    verify: bool,
    on_event: OnEvent,
) -> CloneResult:
    """Plan a clone and report what it would do."""
    database, landing = snapshot.database, _landing(snapshot, target, options)
    if target.capabilities.independent_tables:
        plan = separately.plan_separately(
            database, target, landing, strict=options.strict, on_event=on_event
        )
        imported = separately.planned_only(plan, "")
    else:
        plan, _ = importer.plan_import(
            database, target, landing, strict=options.strict, on_event=on_event
        )
        imported = ImportResult(archive_id="", plan=plan, dry_run=True)
    if verify:
        refuse_mixed(plan)
    return CloneResult(exported=exporter.dry_run(snapshot, keep), imported=imported)


def _landing(snapshot: Snapshot, target: Target, options: CloneOptions) -> ImportOptions:
    return replace(
        options.landing,
        ddl=importer.choose_ddl(options.ddl, snapshot.database, target.capabilities.engine),
        made_at=int(datetime.now(UTC).timestamp()),
    )


def clone_together(
    snapshot: Snapshot,
    target: Target,
    options: CloneOptions,
    *,
    kept: ObjectWriter | None,
    watch: LoadVerification | None,
    on_event: OnEvent,
) -> CloneResult:
    """Send all tables through one pipe, and through `kept` as well; `watch` sees every row."""

    def exporting(stream: BinaryIO) -> ExportResult:
        encrypted = kept if options.export.encryption is not None else None
        return exporter.export_snapshot(
            snapshot,
            Tee(stream, None if encrypted else kept).write,
            options.export,
            ignore,
            seen=watch.add if watch is not None else None,
            encrypted_copy=encrypted.write if encrypted is not None else None,
        )

    def importing(stream: BinaryIO) -> ImportResult:
        with access.reading(stream) as opened:
            return importer.import_from(
                opened,
                target,
                replace(options.landing, import_id=opened.head.archive_id),
                selection=Selection(),
                ddl=options.ddl,
                strict=options.strict,
                jobs=options.jobs,
                dry_run=False,
                on_event=on_event,
                watch=watch,
            )

    exported, imported = through_pipe(exporting, importing)
    return CloneResult(exported=exported, imported=imported)


def clone_separately(
    snapshot: Snapshot,
    target: Target,
    options: CloneOptions,
    *,
    open_target: separately.OpenTarget,
    watch: LoadVerification | None,
    on_event: OnEvent,
) -> CloneResult:
    """Send each table through a pipe of its own, several at once, all from the one snapshot.

    A table that fails is in `ImportResult.failed`, and the others arrive; `watch` sees every row,
    and is told which tables are not to be compared.
    """
    landing, database = _landing(snapshot, target, options), snapshot.database
    plan = separately.plan_separately(
        database, target, landing, strict=options.strict, on_event=on_event
    )
    if watch is not None:
        watch.planned(plan)
    at_once = options.tables_at_once
    exports = replace(options.export, jobs=max(1, options.export.jobs // at_once), encryption=None)
    landing = replace(landing, among=database.tables)

    def one(table: Table, on_event: OnEvent) -> tuple[ExportResult, ImportResult]:
        def exporting(stream: BinaryIO) -> ExportResult:
            seen = watch.add if watch is not None else None
            alone = _OneTable(snapshot, database.table(table.name))
            return exporter.export_snapshot(alone, stream.write, exports, ignore, seen=seen)

        def importing(stream: BinaryIO) -> ImportResult:
            with access.reading(stream) as opened, targets.one() as own:
                return importer.import_from(
                    opened,
                    own,
                    replace(landing, import_id=opened.head.archive_id),
                    selection=Selection(),
                    ddl=landing.ddl,
                    strict=False,
                    jobs=options.jobs,
                    dry_run=False,
                    on_event=on_event,
                )

        return through_pipe(exporting, importing)

    def stop() -> None:
        if isinstance(snapshot, Stoppable):
            snapshot.stop()
        targets.stop()

    targets = separately.Targets(open_target)
    outcome = separately.run_separately(plan, one, at_once=at_once, on_event=on_event, stop=stop)
    if watch is not None:
        watch.leave_out(failure.table for failure in outcome.failed)
    tables = [table for exported, _ in outcome.done.values() for table in exported.tables]
    return CloneResult(
        exported=ExportResult(
            archive=None,
            archive_id="",
            database=snapshot.database.name,
            tables=tuple(tables),
            consistency=snapshot.consistency,
            losses=snapshot.database.losses,
            rows=sum(table.rows for table in tables),
            bytes=sum(table.bytes for table in tables),
            seconds=outcome.seconds,
        ),
        imported=separately.summed(plan, outcome, lambda done: done[1], ""),
    )


class _OneTable:
    """A snapshot restricted to one of its tables."""

    def __init__(self, snapshot: Snapshot, table: Table):
        self._snapshot = snapshot
        self.consistency = snapshot.consistency
        self.database: Database = replace(
            snapshot.database, tables=(table,), sequences=(), native=(), losses=()
        )

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        return self._snapshot.partitions(table, target_bytes)

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        return self._snapshot.read(table, partition)
