"""What an archive holds: described, checked, restored for proof, taken apart.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import BinaryIO

from msgspec.structs import replace

from dbsync.api.arguments import readers, select, workers
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import database_name, open_source
from dbsync.errors import UsageError
from dbsync.pipeline import access
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import ArchiveInfo, ExtractResult, RehearsalResult, VerifyResult
from dbsync.storage.options import StorageOptions


def inspect(
    archive: str | BinaryIO,
    *,
    database: str | None = None,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
) -> ArchiveInfo:
    """Say what an archive holds, reading only its tail and its schemas (all of it from a pipe).

    A folder means its newest complete archive, of `database` where it holds several.
    """
    from dbsync.pipeline import inspector, keys

    archive = access.resolve(archive, database=database, storage_options=storage_options)
    with access.reading(
        archive, storage_options=storage_options, identities=keys.read_identities(identities)
    ) as opened:
        return inspector.describe_archive(opened, access.describe(archive))


def verify(
    archive: str | BinaryIO,
    *,
    database: str | None = None,
    against: str | None = None,
    tables: Sequence[str] = (),
    schema: str | None = None,
    jobs: int | None = None,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    treasure_data: TreasureDataOptions | None = None,
    on_event: OnEvent = ignore,
) -> VerifyResult:
    """Check every checksum, count and rule of an archive, and compare its rows with a database.

    Raises `ArchiveError` for a damaged archive. With `against`, each of `tables` (all by default)
    is compared by the content of its rows, whatever their order and the engine; differences are
    returned, not raised, each narrowed to the ranges of the key in which it lies. Memory is
    bounded whatever the tables' size. A folder means its newest complete archive, of `database`
    where it holds several, or of the one that `against` is called.
    """
    from dbsync.pipeline import keys, verifier

    archive = access.resolve(
        archive,
        database=database,
        likely=database_name(against) if against is not None else None,
        storage_options=storage_options,
        on_event=on_event,
    )
    place = access.describe(archive)
    jobs = workers(jobs) if against is None else readers(against, jobs, treasure_data)
    with access.reading(
        archive, storage_options=storage_options, identities=keys.read_identities(identities)
    ) as opened:
        if against is None:
            return verifier.verify_members(opened, place, jobs=jobs, on_event=on_event)
        with closing(
            open_source(against, schema=schema, jobs=jobs, treasure_data=treasure_data)
        ) as source:
            return verifier.verify_against(
                opened,
                place,
                source,
                selection=select(tables, (), None, None),
                schema=schema,
                jobs=jobs,
                on_event=on_event,
            )


def rehearse(
    archive: str,
    *,
    database: str | None = None,
    url: str | None = None,
    keep: bool = False,
    attest: bool = True,
    jobs: int | None = None,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> RehearsalResult:
    """Restore an archive into a throwaway database and compare everything that arrived.

    The database is SQLite in a temporary file, or the empty one behind `url`, which raises
    `ConflictError` if it holds anything and is emptied afterwards unless `keep`. What it cannot
    hold is in `RehearsalResult.not_rehearsed`; differences are returned, not raised. With `attest`
    the outcome is written beside the archive, under its name and ``.rehearsed.json``. Raises
    `ArchiveError` for a damaged archive, after its outcome was written too.
    """
    from dbsync.pipeline import keys, rehearsal, throwaway

    if keep and url is None:
        raise UsageError("a temporary file cannot be kept", hint="name a database with --url")
    place = access.resolve(archive, database=database, storage_options=storage_options)
    throwaway.require_object(place, storage_options)
    with (
        access.reading(
            place, storage_options=storage_options, identities=keys.read_identities(identities)
        ) as opened,
        throwaway.database(url) as used,
    ):
        found = rehearsal.rehearse(
            opened, place, used, keep=keep, jobs=workers(jobs), on_event=on_event
        )
        written = throwaway.attest(opened, place, found, storage_options) if attest else None
    if found.damage is not None:
        raise found.damage
    return replace(found.result, attestation=written)


def extract(
    archive: str | BinaryIO,
    directory: str,
    *,
    database: str | None = None,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> ExtractResult:
    """Write the chunks of an archive as plain Parquet files, one folder for each table.

    A folder means its newest complete archive, of `database` where it holds several.
    """
    from dbsync.pipeline import inspector, keys

    archive = access.resolve(
        archive, database=database, storage_options=storage_options, on_event=on_event
    )
    with access.reading(
        archive, storage_options=storage_options, identities=keys.read_identities(identities)
    ) as opened:
        return inspector.extract_parquet(
            opened, directory, select(tables, exclude_tables, None, None), on_event
        )
