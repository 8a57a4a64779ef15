"""The calls of `Storage` on a bucket.

What lives here: keys below a prefix, and which call answers what. Must not know: what the bytes
mean.
"""

# ruff: noqa: ARG002 - the calls are not made yet
from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from dbsync.errors import UsageError
from dbsync.storage.base import ObjectInfo, ObjectWriter
from dbsync.storage.options import StorageOptions

_LATER = "s3:// locations are not supported yet in this version"


class S3Storage:
    """Objects below `prefix` in `bucket`; implements `dbsync.storage.base.Storage`."""

    def __init__(self, bucket: str, prefix: str, options: StorageOptions):
        self.bucket = bucket
        self.prefix = prefix
        self.options = options

    def put_stream(
        self,
        key: str,
        *,
        overwrite: bool = False,
        size_hint: int | None = None,
    ) -> AbstractContextManager[ObjectWriter]:
        """Write one object as `Storage.put_stream` promises."""
        raise UsageError(_LATER)

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open a range of an object for reading."""
        raise UsageError(_LATER)

    def stat(self, key: str) -> ObjectInfo:
        """Describe one object."""
        raise UsageError(_LATER)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, in the order of their keys."""
        raise UsageError(_LATER)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        raise UsageError(_LATER)
