"""A store that counts what is read from it, for tests of how much that is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import BinaryIO

from dbsync.storage.base import ObjectInfo, Storage


class CountingStorage:
    """Wraps a store: the ranges that were asked for, and how many were open at once.

    It is none of the stores that dbsync takes for local, so it counts as remote.
    """

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self.reads: list[tuple[int, int]] = []
        self.put_stream = inner.put_stream
        self.delete = inner.delete

    @property
    def bytes(self) -> int:
        """Bytes that were asked for."""
        return sum(length for _, length in self.reads)

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Count, and open the range."""
        assert length is not None, "the whole object was asked for"
        with self._lock:
            self.reads.append((offset, length))
        return self._inner.open(key, offset=offset, length=length, version=version)

    def stat(self, key: str) -> ObjectInfo:
        """Describe one object."""
        return self._inner.stat(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """List the objects."""
        return self._inner.list(prefix, recursive=recursive)
