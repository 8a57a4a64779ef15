"""Objects in memory, for tests and for small archives inside a program.

What lives here: the calls of `Storage` on a dictionary. Must not know: what the bytes mean.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from dbsync.errors import ConflictError, StorageError
from dbsync.storage.base import ObjectInfo, ObjectWriter, check_key


class _Object(NamedTuple):
    data: bytes
    info: ObjectInfo


class MemoryStorage:
    """Implements `dbsync.storage.base.Storage`; may be used from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, _Object] = {}
        self._puts = 0

    @contextmanager
    def put_stream(
        self,
        key: str,
        *,
        overwrite: bool = False,
        size_hint: int | None = None,  # noqa: ARG002 - part of the interface
    ) -> Generator[ObjectWriter]:
        """Write one object as `Storage.put_stream` promises."""
        check_key(key)
        if not overwrite and key in self._objects:
            raise _already_exists(key)
        # BytesIO itself is the writer: it takes any buffer, and refuses once it is closed.
        with io.BytesIO() as buffer:
            yield buffer
            data = buffer.getvalue()
        with self._lock:
            if not overwrite and key in self._objects:
                raise _already_exists(key)
            self._puts += 1
            info = ObjectInfo(
                key=key, size=len(data), modified=datetime.now(UTC), version=str(self._puts)
            )
            self._objects[key] = _Object(data, info)

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open a range of an object for reading."""
        found = self._get(key)
        if version is not None and version != found.info.version:
            raise StorageError(f"{key} was changed by someone else while it was being read")
        end = None if length is None else offset + length
        return io.BytesIO(found.data[offset:end])

    def stat(self, key: str) -> ObjectInfo:
        """Describe one object."""
        return self._get(key).info

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, in the order of their keys."""
        with self._lock:
            found = [
                value.info
                for key, value in self._objects.items()
                if key.startswith(prefix) and (recursive or "/" not in key[len(prefix) :])
            ]
        yield from sorted(found, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def _get(self, key: str) -> _Object:
        check_key(key)
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise StorageError(f"cannot read {key}: there is no such object")
        return found


def _already_exists(key: str) -> ConflictError:
    return ConflictError(
        f"{key} already exists", hint="choose another name or pass --overwrite-archive"
    )
