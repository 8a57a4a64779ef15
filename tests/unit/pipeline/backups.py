"""Folders of small archives in memory, and stores that fail as they are told."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from dbsync.archive import ArchiveWriter, Encryption, HeadConsistency, encode_chunk
from dbsync.errors import StorageError
from dbsync.model.schema import Database
from dbsync.pipeline.attestation import Attestation, write_attestation
from dbsync.storage.base import ObjectInfo, Storage
from dbsync.storage.location import Location
from dbsync.storage.memory import MemoryStorage
from dbsync.storage.naming import archive_name
from tests.unit.archive.build import ITEMS, NOTES, items


class Store(MemoryStorage):
    """A store in memory that counts what is read, and calls back before it reads or deletes."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[str, list[int | None]] = {}
        self.before_open: Callable[[str], None] = lambda _key: None
        self.before_delete: Callable[[str], None] = lambda _key: None
        self.before_list: Callable[[], None] = lambda: None

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        self.before_open(key)
        self.read.setdefault(key, []).append(length)
        return super().open(key, offset=offset, length=length, version=version)

    def delete(self, key: str) -> None:
        self.before_delete(key)
        super().delete(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        self.before_list()
        return super().list(prefix, recursive=recursive)

    @property
    def keys(self) -> list[str]:
        """The keys that are there, in order."""
        return [info.key for info in super().list()]


def folder(store: Storage) -> Location:
    """Locate the folder that `store` is."""
    return Location(storage=store, key="", display="backups/", is_folder=True)


def when(text: str) -> datetime:
    """Read a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def archive(
    database: str = "shop",
    moment: str = "2026-06-30T02:00:00",
    *,
    rows: int = 5,
    encryption: Encryption | None = None,
) -> bytes:
    """Write an archive of two tables, all rows in the first."""
    out = io.BytesIO()
    writer = ArchiveWriter(
        out.write,
        database=Database(engine="sqlite", version="3", name=database, tables=(ITEMS, NOTES)),
        consistency=HeadConsistency(level="snapshot"),
        include_schema=True,
        archive_id=f"{database.encode().hex()[:40]}-1",
        started=when(moment),
        encryption=encryption,
    )
    writer.add_chunk(0, encode_chunk(ITEMS, [items(*range(rows))]))
    writer.finish(finished=when(moment))
    return out.getvalue()


def digest_of(data: bytes) -> str:
    """Read from its trailer the digest of an archive's manifest."""
    return data[-1536:-1024].split(b"manifest_sha256 ")[1][:64].decode()


def later_version(data: bytes) -> bytes:
    """Raise the version in the head, with the digest that the head then has."""
    end = 512 + int(data[124:135], 8)
    head = data[512:end].replace(b'"version": "1.0"', b'"version": "2.0"', 1)
    zeros = b"0" * 64
    blank = re.sub(rb'"digest": "[0-9a-f]{64}"', b'"digest": "' + zeros + b'"', head)
    head = blank.replace(zeros, hashlib.sha256(blank).hexdigest().encode(), 1)
    return data[:512] + head + data[end:]


def put(store: Storage, key: str, data: bytes) -> str:
    """Store `data` under `key`."""
    with store.put_stream(key, overwrite=True) as out:
        out.write(data)
    return key


def add(store: Storage, moment: str, database: str = "shop", data: bytes | None = None) -> str:
    """Put an archive (or `data`) under the name that an export would give it; returns the key."""
    key = archive_name(database, when(moment))
    return put(store, key, archive(database, moment) if data is None else data)


def rehearse(store: Storage, key: str, *, passed: bool = True, digest: str) -> None:
    """Leave the note of a rehearsal beside an archive."""
    write_attestation(
        store,
        key,
        Attestation(
            archive_id="one",
            manifest_sha256=digest,
            time=when("2026-07-01T03:00:00"),
            engine="sqlite",
            engine_version="3",
            result="passed" if passed else "failed",
            differences=() if passed else ("items: 1 row is missing",),
            tables=2,
            rows=5,
            writer="dbsync 1",
        ),
    )


def refuse(*keys: str) -> Callable[[str], None]:
    """Make a callback that refuses some keys, as a store without rights does."""

    def check(key: str) -> None:
        if key in keys:
            raise StorageError(f"{key}: access denied")

    return check
