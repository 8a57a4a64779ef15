"""A store that fails where a test wants it to, around a real one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dbsync.errors import StorageError
from dbsync.storage.base import ObjectInfo, ObjectWriter, Storage


class FailingStorage:
    """Passes everything on to `inner`, but raises `error` once `fail_at` bytes were written.

    The bytes before `fail_at` do reach the inner store. With `fail_at` None, it fails at the very
    end: after the last byte, when the caller leaves the context without an exception.
    """

    def __init__(
        self, inner: Storage, *, fail_at: int | None = None, error: BaseException | None = None
    ):
        self.inner = inner
        self.fail_at = fail_at
        self.error = error or StorageError("the test makes this store fail")

    @contextmanager
    def put_stream(
        self, key: str, *, overwrite: bool = False, size_hint: int | None = None
    ) -> Generator[ObjectWriter]:
        with self.inner.put_stream(key, overwrite=overwrite, size_hint=size_hint) as writer:
            yield _FailingWriter(writer, self)
            if self.fail_at is None:
                raise self.error

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        return self.inner.open(key, offset=offset, length=length, version=version)

    def stat(self, key: str) -> ObjectInfo:
        return self.inner.stat(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix, recursive=recursive)

    def delete(self, key: str) -> None:
        self.inner.delete(key)


class _FailingWriter:
    def __init__(self, inner: ObjectWriter, storage: FailingStorage):
        self._inner = inner
        self._storage = storage
        self._written = 0

    def write(self, data: bytes | memoryview, /) -> int:
        view = memoryview(data).cast("B")
        limit = self._storage.fail_at
        if limit is not None and self._written + len(view) > limit:
            self._inner.write(view[: limit - self._written])
            raise self._storage.error
        self._written += len(view)
        return self._inner.write(view)
