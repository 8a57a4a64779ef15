"""The interface to places that keep objects by key, and nothing else.

What lives here: `Storage` and the plain values around it. Retry, throttling and logging are
wrappers of the same interface. Must not know: what an archive is, or any database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

import msgspec

from dbsync.errors import UsageError


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a store knows of one object without reading it.

    `version` changes whenever the content does (an ETag, or inode, size and mtime of a file).
    """

    key: str
    size: int
    modified: datetime
    version: str


class ObjectWriter(Protocol):
    """An object being written; nothing is visible under its key until the context ends cleanly."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append all of `data`; raises `StorageError` when the place is full or gone."""
        ...


def check_key(key: str) -> None:
    """Refuse a key that could leave its store or mean two places; raises `UsageError`.

    Every store calls this first, so that a key that one of them takes is taken by all.
    """
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise UsageError(
            f"{key!r} is not a usable name for a stored object",
            hint="choose a name without empty parts, . or .. between its slashes",
        )


class Storage(Protocol):
    """Objects by key. Keys use ``/`` as separator and never start with it."""

    def put_stream(
        self, key: str, *, overwrite: bool = False, size_hint: int | None = None
    ) -> AbstractContextManager[ObjectWriter]:
        """Write one object as a stream of unknown size.

        It becomes visible, whole and durable, only when the context ends without an exception;
        otherwise nothing is left behind. Without `overwrite`, an existing key raises
        `ConflictError`: before the first byte where that is known, and in any case instead of
        publishing, so that of two writers the second loses and the first is intact. `size_hint`
        lets a store choose its part size.
        """
        ...

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open a range for reading; `length` None reads to the end. The caller closes it.

        A range that passes the end of the object gives what there is, possibly nothing. With
        `version`, raises `StorageError` if the object is no longer that one. May be called
        from several threads at once.
        """
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Describe one object; raises `StorageError` when there is none."""
        ...

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield complete objects whose key starts with `prefix`, in order of their keys.

        Without `recursive`, keys that have a ``/`` after `prefix` are left out, unread.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; a key that is not there is no error."""
        ...
