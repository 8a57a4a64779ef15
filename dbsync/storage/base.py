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

    def write(self, data: bytes | memoryview) -> int:
        """Append all of `data`; raises `StorageError` when the place is full or gone."""
        ...


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

        With `version`, raises `StorageError` if the object is no longer that one. May be called
        from several threads at once.
        """
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Describe one object; raises `StorageError` when there is none."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield complete objects whose key starts with `prefix`, in order of their keys."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; a key that is not there is no error."""
        ...
