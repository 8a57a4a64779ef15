"""The library: what every command calls, with the same names and defaults.

Each function opens what it needs, does one job and closes everything again. All raise the errors
of `dbsync.errors`; `on_event` receives the events of `dbsync.pipeline.events`, from worker
threads, one at a time. Nothing here prints or reads the environment.

URLs are those of the command line (``postgresql://``, ``sqlite:///path``). An archive is a path,
``s3://bucket/key``, ``gdrive://folder-id/name``, ``-`` for standard input or output, a folder
ending in ``/``, or a binary file object; `storage_options` says how to reach S3 and Drive.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal

from msgspec.structs import replace

from dbsync.connectors.base import (
    CheckItem,
    ConflictMode,
    ExistingMode,
    ImportOptions,
    Source,
)
from dbsync.connectors.registry import database_name, open_source, open_target, takes_schema
from dbsync.errors import UsageError
from dbsync.model.selection import Selection
from dbsync.pipeline import access
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.inventory import ListedArchive, PruneResult
from dbsync.pipeline.results import (
    ArchiveInfo,
    CloneResult,
    ExportResult,
    ExtractResult,
    ImportResult,
    RehearsalResult,
    VerifyResult,
)
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.location import open_folder
from dbsync.storage.options import StorageOptions

if TYPE_CHECKING:
    from dbsync.storage.drive.credentials import Account

Where = str | Mapping[str, str]
Columns = Mapping[str, Sequence[str]]
Ddl = Literal["auto", "native", "portable"]

LEDGER = "dbsync_ledger"
"""The table of an import that was interrupted is no part of the database that it lies in."""

CLONE_COMPRESSION = 1
"""A clone's archive only passes through a pipe: the fastest level costs least in total."""


def export_database(
    url: str,
    archive: str | BinaryIO,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    columns: Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    include_schema: bool = True,
    chunk_bytes: int = 32 << 20,
    compression_level: int = 3,
    jobs: int | None = None,
    overwrite_archive: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    encrypt_to: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> ExportResult:
    """Write a database, or the selected part of it, into one archive.

    All tables are read as of one moment where the engine can do that; `ExportResult.consistency`
    says what was achieved. `tables` and `exclude_tables` are globs; `columns` and `where` map a
    table pattern to columns or to a condition in the database's dialect, and a plain string as
    `where` applies to every selected table. `chunk_bytes` counts Arrow memory; peak memory is about
    twice (`jobs` + 1) chunks. Nothing is visible under the archive's name unless it is complete;
    an existing archive raises `ConflictError` unless `overwrite_archive`. `strict` refuses with
    `LossError` before the archive is begun when something cannot be carried. `encrypt_to` names
    age public keys (``age1...``), or files of them (``@FILE``); the archive is then encrypted.
    """
    from dbsync.pipeline import exporter, keys

    options = exporter.ExportOptions(
        selection=_selection(tables, (*exclude_tables, LEDGER), columns, where),
        include_schema=include_schema,
        chunk_bytes=chunk_bytes,
        compression_level=compression_level,
        jobs=_jobs(jobs),
        strict=strict,
        encryption=keys.read_recipients(encrypt_to),
    )
    with (
        closing(open_source(url, schema=schema, jobs=options.jobs)) as source,
        source.snapshot(options.selection, include_schema=include_schema) as snapshot,
    ):
        place, opened = access.writing(
            archive,
            database=snapshot.database.name,
            overwrite=overwrite_archive,
            size_hint=exporter.estimated_bytes(snapshot),
            storage_options=storage_options,
        )
        exporter.plan_export(snapshot, options, on_event)
        if dry_run:
            return exporter.dry_run(snapshot, place)
        with opened as out:
            result = exporter.export_snapshot(snapshot, out.write, options, on_event)
    return replace(result, archive=place)


def import_archive(
    archive: str | BinaryIO,
    url: str,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    columns: Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    include_schema: bool = False,
    ddl: Ddl = "auto",
    on_conflict: ConflictMode = "update",
    conflict_keys: Mapping[str, Sequence[str]] | None = None,
    existing: ExistingMode = "append",
    single_transaction: bool = False,
    strict: bool = False,
    resume: bool = True,
    jobs: int | None = None,
    verify: bool = False,
    dry_run: bool = False,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> ImportResult:
    """Load an archive, or the selected part of it, into a database.

    `columns` and `where` map a table pattern to columns or to a condition; a plain string as
    `where` applies to every selected table. Conditions are those of `dbsync.pipeline.conditions`,
    not the database's. Of an archive that can be read at random, chunks whose keys cannot match
    are not read, and of the others only the bytes of the columns that are needed.

    Tables that this import creates, or finds empty, are loaded in bulk; others take the rows as
    `on_conflict` says, by their primary key or the columns named in `conflict_keys`. No DDL is run
    without `include_schema`. Repeating an import that was interrupted goes on where it stopped,
    without a duplicate; `resume` False starts afresh. The plan, with everything that would be
    lost, is announced by a `Planned` event before the first write; `strict` then raises
    `LossError`. From a pipe only whole chunks with the right digest are applied, and the import
    succeeds only if the archive was complete. With `verify` the database is read when all is done
    and compared with what was loaded: differences are in `ImportResult.verified`, not raised. Rows
    that a table held before could not be told apart, so `UsageError` is raised for such a table
    before anything is written. `identities` names files of age secret keys, for an encrypted
    archive. A folder means its newest complete archive, and with archives of several databases
    that of the one that the target is called.
    """
    from dbsync.pipeline import importer, keys
    from dbsync.pipeline.comparing.loaded import LoadVerification
    from dbsync.pipeline.selected import import_id, selected

    likely = database_name(url)
    archive = access.resolve(
        archive, likely=likely, storage_options=storage_options, on_event=on_event
    )
    with (
        access.reading(
            archive, storage_options=storage_options, identities=keys.read_identities(identities)
        ) as opened,
        closing(open_target(url, schema=schema, jobs=_jobs(jobs))) as target,
    ):
        selection = _selection(tables, exclude_tables, columns, where)
        chosen = selected(opened, selection)
        watch = LoadVerification.of_archive(chosen) if verify else None
        result = importer.import_from(
            chosen,
            target,
            ImportOptions(
                import_id=import_id(chosen),
                existing=existing,
                on_conflict=on_conflict,
                conflict_keys=_tuples(conflict_keys),
                single_transaction=single_transaction,
                resume=resume,
                schema=schema,
            ),
            selection=selection,
            ddl=ddl if include_schema else "none",
            strict=strict,
            jobs=_jobs(jobs),
            dry_run=dry_run,
            on_event=on_event,
            watch=watch,
        )
        result = replace(result, archive=access.describe(archive))
        if watch is None or dry_run:
            return result
        compared = watch.compare(partial(_source, url), jobs=_jobs(jobs), on_event=on_event)
        return replace(result, verified=compared)


def clone(
    source: str,
    target: str,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    columns: Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    include_schema: bool = False,
    ddl: Ddl = "auto",
    on_conflict: ConflictMode = "update",
    conflict_keys: Mapping[str, Sequence[str]] | None = None,
    existing: ExistingMode = "append",
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
        selection=_selection(tables, (*exclude_tables, LEDGER), columns, where),
        include_schema=True,
        chunk_bytes=chunk_bytes,
        compression_level=compression_level,
        jobs=_jobs(jobs),
        encryption=keys.read_recipients(encrypt_to) if keep is not None else None,
    )
    landing = ImportOptions(
        import_id="",
        existing=existing,
        on_conflict=on_conflict,
        conflict_keys=_tuples(conflict_keys),
        single_transaction=single_transaction,
        schema=_schema_for(target, schema),
    )
    choice = ddl if include_schema else "none"
    with (
        closing(
            open_source(source, schema=_schema_for(source, schema), jobs=options.jobs)
        ) as reader,
        closing(
            open_target(target, schema=_schema_for(target, schema), jobs=options.jobs)
        ) as writer,
        reader.snapshot(options.selection) as snapshot,
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
            opening = partial(_source, target)
            verified = watch.compare(opening, jobs=options.jobs, on_event=on_event)
    exported = replace(exported, archive=keep)
    return CloneResult(exported=exported, imported=imported, verified=verified)


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
    place, workers = access.describe(archive), _jobs(jobs)
    with access.reading(
        archive, storage_options=storage_options, identities=keys.read_identities(identities)
    ) as opened:
        if against is None:
            return verifier.verify_members(opened, place, jobs=workers, on_event=on_event)
        with closing(open_source(against, schema=schema, jobs=workers)) as source:
            return verifier.verify_against(
                opened,
                place,
                source,
                selection=_selection(tables, (), None, None),
                schema=schema,
                jobs=workers,
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
            opened, place, used, keep=keep, jobs=_jobs(jobs), on_event=on_event
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
            opened, directory, _selection(tables, exclude_tables, None, None), on_event
        )


def authorize_drive(
    client_secrets: str,
    *,
    token: str | None = None,
    announce: Callable[[str], None],
    open_browser: bool = True,
    callback_port: int = 0,
    drive_endpoint: str | None = None,
) -> Account:
    """Let a person sign in to Google Drive in a browser, and store the token for later runs.

    `client_secrets` is the file of an OAuth client for desktop applications. The token goes into
    the file `token`, which only its owner may read, or where the other functions look for it by
    themselves. `announce` is given the address to visit. Returns whose token it is, and where.
    """
    from dbsync.storage.drive.auth import sign_in

    return sign_in(
        client_secrets,
        token,
        announce=announce,
        open_browser=open_browser,
        callback_port=callback_port,
        endpoint=drive_endpoint,
    )


def generate_key(path: str) -> str:
    """Make a key pair for encrypted archives; returns the public key, for `encrypt_to`.

    The secret key goes into a new file that only its owner may read, for `identities`. Raises
    `ConflictError` where the file exists.
    """
    from dbsync.pipeline import keys

    return keys.write_identity(path)


def readable_by_others(path: str) -> bool:
    """Say whether others than its owner may read a file, such as one with a secret key."""
    from dbsync.pipeline import keys

    return keys.readable_by_others(path)


def list_archives(
    location: str,
    *,
    database: str | None = None,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
) -> tuple[ListedArchive, ...]:
    """Describe every archive in a folder, or those of `database`, the newest first.

    Reads the two ends of each, several at once; see `ListedArchive` for what is then known. One
    that is damaged or cannot be read is in the list, with the reason. Encrypted ones that none of
    `identities` opens are in it too, with what can be known of them.
    """
    from dbsync.pipeline import keys, listing

    found = listing.survey(
        open_folder(location, storage_options), database, keys.read_identities(identities)
    )
    return tuple(one.listed for one in found.archives)


def prune(
    location: str,
    policy: RetentionPolicy,
    *,
    database: str | None = None,
    timezone: str = "UTC",
    incomplete: bool = False,
    dry_run: bool = False,
    now: datetime | None = None,
    storage_options: StorageOptions | None = None,
) -> PruneResult:
    """Delete the archives in a folder, or those of `database`, that no rule of `policy` keeps.

    `dbsync.pipeline.retention` says what the rules mean; days begin in `timezone`, and age is
    counted back from `now`, which carries a time zone. The newest complete archive of each
    database and the newest that passed a rehearsal always stay, and so does everything that dbsync
    has not named itself. `incomplete` also deletes what is not whole and older than a day.
    `dry_run` only decides. What could not be deleted is in `PruneResult.failed`, not raised.
    """
    from dbsync.pipeline import pruner

    return pruner.prune(
        open_folder(location, storage_options),
        policy,
        database=database,
        timezone=timezone,
        now=now or datetime.now(UTC),
        incomplete=incomplete,
        dry_run=dry_run,
    )


def check(url: str, *, schema: str | None = None) -> tuple[CheckItem, ...]:
    """Connect to a database and say what this role may do and what it lacks; changes nothing."""
    with closing(open_source(url, schema=schema)) as source:
        found = list(source.check())
    with closing(open_target(url, schema=schema)) as target:
        found.extend(item for item in target.check() if item not in found)
    return tuple(found)


def check_location(location: str, *, storage_options: StorageOptions | None = None) -> None:
    """Look whether a folder of archives can be listed and written to; leaves nothing there."""
    from dbsync.pipeline import probe

    probe.probe_folder(location, storage_options)


def _selection(
    tables: Sequence[str],
    exclude: Sequence[str],
    columns: Columns | None,
    where: Where | None,
) -> Selection:
    conditions = {"*": where} if isinstance(where, str) else dict(where or {})
    return Selection(
        tables=tuple(tables),
        exclude=tuple(exclude),
        columns=_tuples(columns),
        where=conditions,
    )


def _source(url: str, jobs: int) -> Source:
    return open_source(url, jobs=jobs)


def _tuples(mapping: Columns | None) -> dict[str, tuple[str, ...]]:
    return {pattern: tuple(names) for pattern, names in (mapping or {}).items()}


def _jobs(jobs: int | None) -> int:
    if jobs is None:
        return max(1, min(4, os.cpu_count() or 1))
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, not {jobs}")
    return jobs


def _schema_for(url: str, schema: str | None) -> str | None:
    return schema if takes_schema(url) else None
