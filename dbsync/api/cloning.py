"""One database into another.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from functools import partial

from msgspec.structs import replace

from dbsync.api.arguments import (
    LEDGER,
    Columns,
    Ddl,
    Where,
    frozen,
    readers,
    reading_back,
    schema_for,
    select,
    workers,
)
from dbsync.connectors.base import ConflictMode, ExistingMode, ImportOptions, Source
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import is_treasure_data, open_source, open_target
from dbsync.pipeline import access
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import CloneResult
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
    sides, that have schemas. With `verify` the target is read when all is done and compared with
    what the source's snapshot gave, as in `import_archive`; the outcome is in
    `CloneResult.verified`.

    Into Treasure Data each table is cloned by itself, `TreasureDataOptions.table_parallelism` of
    them at once: one that fails is in `ImportResult.failed`, not raised, and the others arrive.
    With `keep` there is one archive, so there all tables arrive or the first failure is raised.
    """
    from dbsync.pipeline import cloning, exporter, importer, keys
    from dbsync.pipeline.comparing.loaded import LoadVerification

    if compression_level is None:
        compression_level = 3 if keep else CLONE_COMPRESSION
    at_once = (treasure_data or TreasureDataOptions()).table_parallelism
    exports = exporter.ExportOptions(
        selection=select(tables, (*exclude_tables, LEDGER), columns, where),
        include_schema=True,
        chunk_bytes=chunk_bytes,
        compression_level=compression_level,
        jobs=readers(source, jobs, treasure_data),
        encryption=keys.read_recipients(encrypt_to) if keep is not None else None,
    )
    opening = partial(
        open_target,
        target,
        schema=schema_for(target, schema),
        jobs=workers(jobs),
        treasure_data=treasure_data,
    )
    with (
        closing(
            open_source(
                source,
                schema=schema_for(source, schema),
                jobs=max(exports.jobs, at_once if is_treasure_data(target) else 1),
                treasure_data=treasure_data,
            )
        ) as reader,
        # The source first: what is wrong there is said before the target is looked at.
        reader.snapshot(exports.selection) as snapshot,
        closing(opening()) as writer,
    ):
        landing, choice = importer.landing_options(
            ImportOptions(
                import_id="",
                on_conflict=on_conflict,
                conflict_keys=frozen(conflict_keys),
                single_transaction=single_transaction,
                schema=schema_for(target, schema),
            ),
            writer.capabilities,
            existing=existing,
            include_schema=include_schema,
            ddl=ddl,
        )
        options = cloning.CloneOptions(
            export=exports,
            landing=landing,
            ddl=choice,
            strict=strict,
            jobs=workers(jobs),
            tables_at_once=at_once,
        )
        if dry_run:
            return cloning.dry_run(
                snapshot, writer, options, keep=keep, verify=verify, on_event=on_event
            )
        watch = LoadVerification.of_snapshot(snapshot) if verify else None
        if keep is None and writer.capabilities.independent_tables:
            result = cloning.clone_separately(
                snapshot,
                writer,
                options,
                open_target=opening,
                watch=watch,
                on_event=on_event,
            )
        else:
            place, kept = None, nullcontext(None)
            if keep is not None:
                place, kept = access.writing(
                    keep,
                    database=snapshot.database.name,
                    overwrite=overwrite_archive,
                    size_hint=exporter.estimated_bytes(snapshot),
                    storage_options=storage_options,
                )
            with kept as out:
                result = cloning.clone_together(
                    snapshot, writer, options, kept=out, watch=watch, on_event=on_event
                )
            result = replace(result, exported=replace(result.exported, archive=place))
        if watch is not None:

            def opened_again(connections: int) -> Source:
                back = reading_back(treasure_data)
                return open_source(target, jobs=connections, treasure_data=back)

            compared = watch.compare(opened_again, jobs=workers(jobs), on_event=on_event)
            result = replace(result, verified=compared)
        return result
