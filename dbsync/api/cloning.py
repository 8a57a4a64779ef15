"""One database into another.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from typing import BinaryIO

from msgspec.structs import replace

from dbsync.api.arguments import (
    LEDGER,
    Columns,
    Ddl,
    Where,
    frozen,
    reading_back,
    schema_for,
    select,
    workers,
)
from dbsync.connectors.base import ConflictMode, ExistingMode, ImportOptions, Source
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import open_source, open_target
from dbsync.model.selection import Selection
from dbsync.pipeline import access
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import CloneResult, ExportResult, ImportResult
from dbsync.storage.options import StorageOptions

CLONE_COMPRESSION = 1
"""A clone's archive only passes through a pipe: the fastest level costs least in total."""


def clone(
    source: str,
    target: str,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    columns: Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    include_schema: bool | None = None,
    ddl: Ddl = "auto",
    on_conflict: ConflictMode = "update",
    conflict_keys: Mapping[str, Sequence[str]] | None = None,
    existing: ExistingMode | None = None,
    single_transaction: bool = False,
    strict: bool = False,
    keep: str | None = None,
    overwrite_archive: bool = False,
    chunk_bytes: int = 32 << 20,
    compression_level: int | None = None,
    jobs: int | None = None,
    verify: bool = False,
    dry_run: bool = False,
    encrypt_to: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    treasure_data: TreasureDataOptions | None = None,
    on_event: OnEvent = ignore,
) -> CloneResult:
    """Copy a database into another one: an export and an import joined by a pipe.

    Takes the options of both. `keep` also writes the archive to a place of its own, published only
    if both halves succeed, and encrypted if `encrypt_to` says so. `schema` applies to the side, or
    sides, that have schemas. With `verify`
    the target is read when all is done and compared with what the source's snapshot gave, as in
    `import_archive`; the outcome is in `CloneResult.verified`.
    """
    from dbsync.pipeline import cloner, exporter, importer, keys
    from dbsync.pipeline.comparing.loaded import LoadVerification, refuse_mixed

    if compression_level is None:
        compression_level = 3 if keep else CLONE_COMPRESSION
    options = exporter.ExportOptions(
        selection=select(tables, (*exclude_tables, LEDGER), columns, where),
        include_schema=True,
        chunk_bytes=chunk_bytes,
        compression_level=compression_level,
        jobs=workers(jobs),
        encryption=keys.read_recipients(encrypt_to) if keep is not None else None,
    )
    landing = ImportOptions(
        import_id="",
        existing=existing or "append",
        on_conflict=on_conflict,
        conflict_keys=frozen(conflict_keys),
        single_transaction=single_transaction,
        schema=schema_for(target, schema),
    )
    choice = ddl if include_schema else "none"
    with (
        closing(
            open_source(
                source,
                schema=schema_for(source, schema),
                jobs=options.jobs,
                treasure_data=treasure_data,
            )
        ) as reader,
        # The source first: what is wrong there is said before the target is looked at.
        reader.snapshot(options.selection) as snapshot,
        closing(
            open_target(
                target,
                schema=schema_for(target, schema),
                jobs=options.jobs,
                treasure_data=treasure_data,
            )
        ) as writer,
    ):
        if dry_run:
            database = snapshot.database
            mode = importer.choose_ddl(choice, database, writer.capabilities.engine)
            plan, _ = importer.plan_import(
                database, writer, replace(landing, ddl=mode), strict=strict, on_event=on_event
            )
            if verify:
                refuse_mixed(plan)
            return CloneResult(
                exported=exporter.dry_run(snapshot, keep),
                imported=ImportResult(archive_id="", plan=plan, dry_run=True),
            )
        watch = LoadVerification.of_snapshot(snapshot) if verify else None
        kept = nullcontext(None)
        if keep is not None:
            keep, kept = access.writing(
                keep,
                database=snapshot.database.name,
                overwrite=overwrite_archive,
                size_hint=exporter.estimated_bytes(snapshot),
                storage_options=storage_options,
            )

        with kept as kept_out:

            def exporting(stream: BinaryIO) -> ExportResult:
                encrypted = kept_out if options.encryption is not None else None
                write = cloner.Tee(stream, None if encrypted else kept_out).write
                return exporter.export_snapshot(
                    snapshot,
                    write,
                    options,
                    ignore,
                    seen=watch.add if watch is not None else None,
                    encrypted_copy=encrypted.write if encrypted is not None else None,
                )

            def importing(stream: BinaryIO) -> ImportResult:
                with access.reading(stream) as opened:
                    return importer.import_from(
                        opened,
                        writer,
                        replace(landing, import_id=opened.head.archive_id),
                        selection=Selection(),
                        ddl=choice,
                        strict=strict,
                        jobs=options.jobs,
                        dry_run=False,
                        on_event=on_event,
                        watch=watch,
                    )

            exported, imported = cloner.through_pipe(exporting, importing)
        verified = None
        if watch is not None:

            def opened_again(connections: int) -> Source:
                back = reading_back(treasure_data)
                return open_source(target, jobs=connections, treasure_data=back)

            verified = watch.compare(opened_again, jobs=options.jobs, on_event=on_event)
    exported = replace(exported, archive=keep)
    return CloneResult(exported=exported, imported=imported, verified=verified)
