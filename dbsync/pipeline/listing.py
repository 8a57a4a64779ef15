"""Which archives are in a folder, by their names and by the two ends of each.

What lives here: finding them, and choosing the newest complete one. Must not know: databases,
which archives may go.

An archive in a folder is an object, not in a folder below it, whose name ends in ``.dbsync.tar``.
Nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from dbsync.archive import Identities
from dbsync.archive.summary import Summary, read_summary
from dbsync.errors import ArchiveError, StorageError, UsageError
from dbsync.pipeline.attestation import SUFFIX as NOTE
from dbsync.pipeline.attestation import attestation_key, read_attestation
from dbsync.pipeline.events import OnEvent, PassedOver, ignore
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.inventory import ListedArchive
from dbsync.storage.base import ObjectInfo, Storage
from dbsync.storage.location import Location
from dbsync.storage.naming import SUFFIX, ArchiveName, parse_archive_name, stem_of
from dbsync.storage.ranges import read_range

JOBS = 8
"""Archives whose ends are read at once: a store answers slowly, and the bytes are few."""
_NOT_FOR_US = {"E_VERSION_UNSUPPORTED", "E_FEATURE_UNSUPPORTED", "E_LIMIT"}
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """An archive with what the store says of the object."""

    listed: ListedArchive
    info: ObjectInfo
    name: ArchiveName | None
    note: ObjectInfo | None
    """The attestation beside it, whether it fits or not."""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of archives: newest first, those of unknown time last."""

    archives: tuple[Surveyed, ...]
    databases: tuple[str, ...]
    """Of every archive with a routine name, also those that were not asked for."""
    orphans: tuple[ObjectInfo, ...]
    """Attestations of archives with routine names that are no longer there."""


def survey(
    location: Location, database: str | None = None, identities: Identities | None = None
) -> Survey:
    """Look at every archive in a folder, or those of `database`, reading the two ends of each.

    More is known of encrypted ones that one of `identities` opens.

    One that cannot be read is reported as such; only where none can, `StorageError` is raised.
    """
    objects = {info.key: info for info in location.storage.list("", recursive=False)}
    stem = None if database is None else stem_of(database)
    named = {key: parse_archive_name(key) for key in objects if key.endswith(SUFFIX)}
    keys = [key for key, name in named.items() if stem is None or name is None or name.stem == stem]

    def look(key: str) -> tuple[Surveyed, StorageError | None]:
        note = objects.get(attestation_key(key))
        return _look(location, objects[key], named[key], note, identities)

    found = list(ThreadExecutor(JOBS).run(look, keys))
    refused = [error for _, error in found if error is not None]
    if refused and len(refused) == len(found):
        raise refused[0]
    archives = (one for one, _ in found if database in (None, one.listed.database) or one.name)
    known = {name.stem for name in named.values() if name is not None}
    return Survey(
        archives=tuple(sorted(archives, key=_age, reverse=True)),
        databases=tuple(sorted(known)),
        orphans=tuple(
            info for key, info in objects.items() if _is_orphan(key, objects.keys(), stem)
        ),
    )


def newest(
    location: Location,
    *,
    database: str | None = None,
    likely: str | None = None,
    on_event: OnEvent = ignore,
) -> str:
    """Return the key of the newest complete archive in a folder, by the time in its name.

    Only routine names count: copying a folder changes the times of its files. Where there are
    archives of several databases, those of `database` are taken, or of `likely` if there are any;
    without either `UsageError` lists them. Raises `StorageError` where there is no complete
    archive, and the error of a newer one that cannot be read: an older one would be a surprise.
    Newer ones that are not complete are told to `on_event` (`PassedOver`).
    """
    names = [
        (name, info)
        for info in location.storage.list("", recursive=False)
        if (name := parse_archive_name(info.key)) is not None
    ]
    stem = _choose_stem(location, {name.stem for name, _ in names}, database, likely)
    newest_first = sorted(
        (pair for pair in names if pair[0].stem == stem), key=lambda p: p[0].moment, reverse=True
    )
    for _, info in newest_first:
        try:
            _summary(location.storage, info)
        except ArchiveError as error:
            if error.code in _NOT_FOR_US:
                raise
            name = location.join(info.key).display
            on_event(PassedOver(archive=name, reason=error.message))
            continue
        return info.key
    raise StorageError(
        f"none of {len(newest_first)} archives of {stem} in {location.display} is complete",
        hint=f"dbsync list {location.display} says what is wrong with each",
    )


def no_archive(location: Location, database: str | None, stems: Iterable[str]) -> StorageError:
    """Say that there is none (of `database`), and of which databases (`stems`) there are some."""
    of_what = "" if database is None else f" of the database {database}"
    there = _listed(stems)
    return StorageError(
        f"there is no archive{of_what} in {location.display}"
        + (f"; there are archives of {there}" if there else ""),
        hint="archives are found by names such as shop-20250131T020000Z.dbsync.tar; "
        "name the file if yours is called otherwise",
    )


def _choose_stem(
    location: Location, stems: set[str], database: str | None, likely: str | None
) -> str:
    if database is not None and stem_of(database) in stems:
        return stem_of(database)
    if not stems or database is not None:
        raise no_archive(location, database, stems)
    if len(stems) == 1:
        return next(iter(stems))
    if likely is not None and stem_of(likely) in stems:
        return stem_of(likely)
    raise UsageError(
        f"{location.display} holds archives of several databases: {_listed(stems)}",
        hint=f"name one archive; dbsync list {location.display} shows them all",
    )


def _look(
    location: Location,
    info: ObjectInfo,
    name: ArchiveName | None,
    note: ObjectInfo | None,
    identities: Identities | None,
) -> tuple[Surveyed, StorageError | None]:
    listed = ListedArchive(
        archive=location.join(info.key).display,
        name=info.key,
        routine=name is not None,
        time=name.moment if name is not None else None,
        database=name.stem if name is not None else None,
        bytes=info.size,
        state="unreadable",
    )
    refused = None
    try:
        summary = _summary(location.storage, info, identities)
        listed = _describe(listed, name, summary)
        if note is not None:
            digest = summary.manifest_sha256
            listed = replace(listed, rehearsal=read_attestation(location.storage, info.key, digest))
    except ArchiveError as error:
        state = "unreadable" if error.code in _NOT_FOR_US else "incomplete"
        listed = replace(listed, state=state, problem=error.message)
    except StorageError as error:
        refused = error
        listed = replace(listed, state="unreadable", problem=error.message)
    return Surveyed(listed=listed, info=info, name=name, note=note), refused


def _describe(listed: ListedArchive, name: ArchiveName | None, summary: Summary) -> ListedArchive:
    head, manifest = summary.head, summary.manifest
    listed = replace(
        listed,
        state="complete",
        time=listed.time or summary.started,
        encrypted=summary.encrypted,
        archive_id=summary.archive_id,
    )
    if head is None or manifest is None:
        return listed
    return replace(
        listed,
        routine=name is not None and name.stem == stem_of(head.source.database),
        database=head.source.database,
        engine=head.source.engine,
        engine_version=head.source.version,
        tables=len(manifest.tables),
        rows=manifest.rows,
    )


def _summary(storage: Storage, info: ObjectInfo, identities: Identities | None = None) -> Summary:
    def read_at(offset: int, length: int) -> bytes:
        return read_range(storage, info.key, offset, length, info.version)

    return read_summary(read_at, info.size, identities=identities)


def _is_orphan(key: str, keys: Iterable[str], stem: str | None) -> bool:
    archive = key.removesuffix(NOTE)
    name = parse_archive_name(archive) if archive != key else None
    return name is not None and archive not in keys and stem in (None, name.stem)


def _age(one: Surveyed) -> tuple[datetime, str]:
    return (one.listed.time or _LONG_AGO, one.info.key)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
