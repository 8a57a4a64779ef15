"""Where the archive layer meets storage: opening an archive to read, and a place to write one.

What lives here: the choice between random and sequential reading, and the pinning of the object's
version. Must not know: databases.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import BinaryIO, cast, overload

from dbsync.archive import Archive, Identities, open_archive, open_stream
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.listing import newest
from dbsync.storage.base import ObjectWriter
from dbsync.storage.local import LocalStorage
from dbsync.storage.location import Location, open_location
from dbsync.storage.naming import archive_name
from dbsync.storage.options import StorageOptions
from dbsync.storage.ranges import read_range

ArchiveLocation = str | BinaryIO


@contextmanager
def reading(
    archive: ArchiveLocation,
    *,
    storage_options: StorageOptions | None = None,
    identities: Identities | None = None,
) -> Generator[Archive]:
    """Open an archive, an encrypted one with `identities`; the context keeps its stream open.

    A path or URL is read at random, ``-`` and file objects as a stream. A location that ends in
    ``/`` means the newest complete archive there, as `resolve` finds it.
    """
    archive = resolve(archive, storage_options=storage_options)
    if not isinstance(archive, str):
        yield open_stream(archive, identities=identities)
        return
    location = open_location(archive, storage_options)
    if location.sequential:
        with location.storage.open(location.key) as stream:
            yield open_stream(stream, identities=identities)
        return
    with random_access(location, identities=identities) as opened:
        yield opened


@overload
def resolve(
    archive: str,
    *,
    database: str | None = None,
    likely: str | None = None,
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> str: ...


@overload
def resolve(
    archive: ArchiveLocation,
    *,
    database: str | None = None,
    likely: str | None = None,
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> ArchiveLocation: ...


def resolve(
    archive: ArchiveLocation,
    *,
    database: str | None = None,
    likely: str | None = None,
    storage_options: StorageOptions | None = None,
    on_event: OnEvent = ignore,
) -> ArchiveLocation:
    """Return the archive that a location means: of a folder the newest complete one.

    Of several databases that of `database`, or of `likely` if there are archives of it; see
    `dbsync.pipeline.listing.newest`. What is no folder comes back as it is.
    """
    if not isinstance(archive, str):
        return archive
    location = open_location(archive, storage_options)
    if not location.is_folder:
        return archive
    return location.join(
        newest(location, database=database, likely=likely, on_event=on_event)
    ).display


@contextmanager
def random_access(
    location: Location, *, identities: Identities | None = None
) -> Generator[Archive]:
    """Open an archive for ranged reads, all of them from the version that was there at first."""
    info = location.storage.stat(location.key)

    def read_at(offset: int, length: int) -> bytes:
        return read_range(location.storage, location.key, offset, length, info.version)

    opened = open_archive(read_at, info.size, identities=identities)
    opened.remote = not isinstance(location.storage, LocalStorage)
    yield opened


def describe(archive: ArchiveLocation) -> str:
    """Name an archive's place for messages, without secrets."""
    return archive if isinstance(archive, str) else str(getattr(archive, "name", "stream"))


def writing(
    archive: ArchiveLocation,
    *,
    database: str,
    overwrite: bool,
    size_hint: int | None = None,
    storage_options: StorageOptions | None = None,
) -> tuple[str, AbstractContextManager[ObjectWriter]]:
    """Open the place of a new archive; returns its full name and the writer's context.

    `size_hint` is an estimate of its bytes, from which a store chooses the size of its parts.
    """
    if not isinstance(archive, str):
        return describe(archive), nullcontext(cast(ObjectWriter, archive))
    location = open_location(archive, storage_options)
    key, shown = location.key, archive
    if location.is_folder:
        name = archive_name(database, datetime.now(UTC))
        key, shown = f"{key}{name}", f"{archive}{name}"
    return shown, location.storage.put_stream(key, overwrite=overwrite, size_hint=size_hint)
