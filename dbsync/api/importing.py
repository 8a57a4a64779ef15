"""An archive into a database.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import BinaryIO

from msgspec.structs import replace

from dbsync.api.arguments import Columns, Ddl, Where, frozen, reading_back, select, workers
from dbsync.connectors.base import ConflictMode, ExistingMode, ImportOptions, Source
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import database_name, open_source, open_target
from dbsync.pipeline import access
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import ImportResult
from dbsync.storage.options import StorageOptions


def import_archive(
    archive: str | BinaryIO,
    url: str,
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
    resume: bool = True,
    jobs: int | None = None,
    verify: bool = False,
    dry_run: bool = False,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    treasure_data: TreasureDataOptions | None = None,
    on_event: OnEvent = ignore,
) -> ImportResult:
    """Load an archive, or the selected part of it, into a database.

    `columns` and `where` map a table pattern to columns or to a condition; a plain string as
    `where` applies to every selected table. Conditions are those of `dbsync.pipeline.conditions`,
    not the database's. Of an archive that can be read at random, chunks whose keys cannot match
    are not read, and of the others only the bytes of the columns that are needed.

    Tables that this import creates, or finds empty, are loaded in bulk; others take the rows as
    `on_conflict` says, by their primary key or the columns named in `conflict_keys`. No DDL is run
    without `include_schema`; left to the target, Treasure Data alone creates tables, and refuses
    those that exist, where the others append. Repeating an import that was interrupted goes on
    where it stopped, without a duplicate; `resume` False starts afresh. The plan, with everything
    that would be lost, is announced by a `Planned` event before the first write; `strict` then
    raises `LossError`. From a pipe only whole chunks with the right digest are applied, and the
    import succeeds only if the archive was complete. With `verify` the database is read when all
    is done and compared with what was loaded: differences are in `ImportResult.verified`, not
    raised. Rows that a table held before could not be told apart, so `UsageError` is raised for
    such a table before anything is written. `identities` names files of age secret keys, for an
    encrypted archive. A folder means its newest complete archive, and with archives of several
    databases that of the one that the target is called.

    Into Treasure Data each table is imported by itself, `TreasureDataOptions.table_parallelism` of
    them at once: one that fails is in `ImportResult.failed`, not raised, and the others arrive.
    From a pipe all tables arrive, or the first failure is raised.
    """
    from dbsync.pipeline import importer, keys, separate_import
    from dbsync.pipeline.comparing.loaded import LoadVerification
    from dbsync.pipeline.selected import import_id, selected

    opening = partial(
        open_target, url, schema=schema, jobs=workers(jobs), treasure_data=treasure_data
    )
    likely = database_name(url)
    archive = access.resolve(
        archive, likely=likely, storage_options=storage_options, on_event=on_event
    )
    with (
        access.reading(
            archive, storage_options=storage_options, identities=keys.read_identities(identities)
        ) as opened,
        closing(opening()) as target,
    ):
        selection = select(tables, exclude_tables, columns, where)
        chosen = selected(opened, selection)
        watch = LoadVerification.of_archive(chosen) if verify else None
        options, choice = importer.landing_options(
            ImportOptions(
                import_id=import_id(chosen),
                on_conflict=on_conflict,
                conflict_keys=frozen(conflict_keys),
                single_transaction=single_transaction,
                resume=resume,
                schema=schema,
            ),
            target.capabilities,
            existing=existing,
            include_schema=include_schema,
            ddl=ddl,
        )
        importing = importer.import_from
        if target.capabilities.independent_tables and not opened.sequential:
            importing = partial(
                separate_import.import_separately,
                open_target=opening,
                tables_at_once=(treasure_data or TreasureDataOptions()).table_parallelism,
            )
        result = importing(
            chosen,
            target,
            options,
            selection=selection,
            ddl=choice,
            strict=strict,
            jobs=workers(jobs),
            dry_run=dry_run,
            on_event=on_event,
            watch=watch,
        )
        result = replace(result, archive=access.describe(archive))
        if watch is None or dry_run:
            return result

        def opened_again(connections: int) -> Source:
            return open_source(url, jobs=connections, treasure_data=reading_back(treasure_data))

        compared = watch.compare(opened_again, jobs=workers(jobs), on_event=on_event)
        return replace(result, verified=compared)
