"""Where the archive layer meets storage: opening an archive to read, and a place to write one.

What lives here: the choice between random and sequential reading, and the pinning of the object's
version. Must not know: databases.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import BinaryIO, cast

from dbsync.archive import Archive, open_archive, open_stream
from dbsync.errors import StorageError
from dbsync.storage.base import ObjectWriter, Storage
from dbsync.storage.local import LocalStorage
from dbsync.storage.location import Location, archive_name, newest, open_location
from dbsync.storage.options import StorageOptions

ArchiveLocation = str | BinaryIO


@contextmanager
def reading(
    archive: ArchiveLocation,
    *,
    database: str | None = None,
    storage_options: StorageOptions | None = None,
) -> Generator[Archive]:
    """Open an archive; the context keeps its stream open.

    A path or URL is read at random, ``-`` and file objects as a stream. A location that ends in
    ``/`` means the newest complete archive there, of `database` where that is given.
    """
    if not isinstance(archive, str):
        yield open_stream(archive)
        return
    location = open_location(archive, storage_options)
    if location.is_folder:
        location = newest(location, database)
    if location.sequential:
        with location.storage.open(location.key) as stream:
            yield open_stream(stream)
        return
    with random_access(location) as opened:
        yield opened


@contextmanager
def random_access(location: Location) -> Generator[Archive]:
    """Open an archive for ranged reads, all of them from the version that was there at first."""
    info = location.storage.stat(location.key)

    def read_at(offset: int, length: int) -> bytes:
        return _read_range(location.storage, location.key, offset, length, info.version)

    opened = open_archive(read_at, info.size)
    opened.remote = not isinstance(location.storage, LocalStorage)
    yield opened


def _read_range(storage: Storage, key: str, offset: int, length: int, version: str) -> bytes:
    with storage.open(key, offset=offset, length=length, version=version) as stream:
        parts: list[bytes] = []
        left = length
        while left:
            part = stream.read(left)
            if not part:
                raise StorageError(
                    f"{key}: the store returned {length - left} of {length} bytes at {offset}",
                    hint="try again; if it stays, the object is damaged",
                    retryable=True,
                )
            parts.append(part)
            left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
