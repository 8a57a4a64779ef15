"""The calls of `Storage` on a bucket.

What lives here: keys below a prefix, and which request answers what. Must not know: what the bytes
mean.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import Any, BinaryIO, NoReturn

from dbsync.errors import StorageError, UsageError
from dbsync.storage.base import ObjectInfo, ObjectWriter, check_key
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3.calls import CallFailed, Calls, Patience
from dbsync.storage.s3.client import credentials_checked, make_client
from dbsync.storage.s3.dangling import remove_abandoned
from dbsync.storage.s3.failures import already_exists, changed, explain
from dbsync.storage.s3.parts import plan_parts
from dbsync.storage.s3.reader import Part, RangeStream, part_of
from dbsync.storage.s3.upload import Upload

_READ_BUFFER_BYTES = 1 << 20


class S3Storage:
    """Objects below `prefix` (empty, or ending in ``/``) in `bucket`; implements `Storage`.

    The client is made with the first call. May be used from several threads at once.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        options: StorageOptions,
        *,
        patience: Patience = Patience(),  # noqa: B008 - a frozen value
    ):
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
        self._calls = Calls(lambda patience: make_client(options, patience), patience)
        self._cleaned: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def put_stream(
        self, key: str, *, overwrite: bool = False, size_hint: int | None = None
    ) -> Generator[ObjectWriter]:
        """Write one object as `Storage.put_stream` promises.

        Memory is bounded by the size of a part times those under way, see
        `dbsync.storage.s3.parts`. Uploads that dead processes left in the same folder are removed.
        """
        whole, what = self._key(key), self._what(key)
        parts = plan_parts(size_hint, self.options.s3_part_bytes, what)
        self._clean(whole, what)
        if not overwrite and self._exists(whole, what):
            raise already_exists(what)
        upload = Upload(
            self._calls,
            self.bucket,
            whole,
            what=what,
            parts=parts,
            overwrite=overwrite,
            encryption=_encryption(self.options),
            explain=self._explain,
        )
        try:
            yield upload
            upload.finish()
        except BaseException:
            upload.abort()
            raise

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open a range of an object for reading; a connection that breaks is made again."""
        whole, what = self._key(key), self._what(key)
        if length == 0:
            info = self.stat(key)
            if version not in (None, info.version):
                raise changed(what)
            return io.BytesIO()

        def fetch(start: int, end: int | None, pinned: str | None) -> Part:
            last = "" if end is None else end - 1
            pin = {} if pinned is None else {"IfMatch": pinned}
            response = self._make(
                "get_object", "read", what, Key=whole, Range=f"bytes={start}-{last}", **pin
            )
            return part_of(response, start, what)

        end = None if length is None else offset + length
        try:
            stream = RangeStream(
                fetch, what, self._calls.patience, start=offset, end=end, version=version
            )
        except _BeyondEnd:
            return io.BytesIO()
        return io.BufferedReader(stream, _READ_BUFFER_BYTES)

    def stat(self, key: str) -> ObjectInfo:
        """Describe one object; raises `StorageError` when there is none."""
        whole, what = self._key(key), self._what(key)
        try:
            found = self._calls.make("head_object", Bucket=self.bucket, Key=whole)
        except CallFailed as failed:
            self._say_why(failed, "read", what, whole)
        return _info(key, found["ContentLength"], found)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, in the order of their keys.

        Keys that dbsync could not have made, such as a folder's placeholder, are left out.
        """
        position: dict[str, Any] = {} if recursive else {"Delimiter": "/"}
        while True:
            page = self._make(
                "list_objects_v2",
                "list",
                self._what(prefix),
                Prefix=self.prefix + prefix,
                **position,
            )
            for item in page.get("Contents", ()):
                key = str(item["Key"]).removeprefix(self.prefix)
                if _is_usable(key):
                    yield _info(key, item["Size"], item)
            if not page.get("IsTruncated"):
                return
            position["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        self._make("delete_object", "delete", self._what(key), Key=self._key(key))

    def _make(self, operation: str, doing: str, what: str, **arguments: Any) -> dict[str, Any]:
        try:
            return self._calls.make(operation, Bucket=self.bucket, **arguments)
        except CallFailed as failed:
            if failed.status == 416:
                raise _BeyondEnd from failed
            if failed.status == 412:
                raise changed(what) from failed
            raise self._explain(failed, doing, what) from failed

    def _explain(self, failed: CallFailed, doing: str, what: str) -> StorageError:
        checked = credentials_checked(self.options)
        endpoint = self.options.s3_endpoint or ""
        try:
            client = self._calls.client
            checked, endpoint = client.checked, client.endpoint
        except CallFailed:
            pass  # then this is what failed
        return explain(failed, doing, what, bucket=self.bucket, checked=checked, endpoint=endpoint)

    def _exists(self, whole: str, what: str) -> bool:
        try:
            self._calls.make("head_object", Bucket=self.bucket, Key=whole)
        except CallFailed as failed:
            # Without the right to list, a missing object is forbidden: publishing will tell.
            if failed.status in (403, 404):
                return False
            self._say_why(failed, "write", what, whole)
        return True

    def _say_why(self, failed: CallFailed, doing: str, what: str, whole: str) -> NoReturn:
        """Raise what a description failed with: without a body, its answer cannot say why.

        That to a read of one byte can.
        """
        with suppress(_BeyondEnd):
            self._make("get_object", doing, what, Key=whole, Range="bytes=0-0")
        raise self._explain(failed, doing, what) from failed

    def _clean(self, whole: str, what: str) -> None:
        """Remove what dead processes left in the folder of a key, once."""
        folder = whole[: whole.rfind("/") + 1]
        with self._lock:
            if folder in self._cleaned:
                return
            self._cleaned.add(folder)
        try:
            remove_abandoned(self._calls, self.bucket, folder)
        except CallFailed as failed:
            raise self._explain(failed, "write", what) from failed

    def _key(self, key: str) -> str:
        check_key(key)
        return self.prefix + key

    def _what(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"


class _BeyondEnd(Exception):
    """A range begins behind the last byte of an object."""


def _is_usable(key: str) -> bool:
    try:
        check_key(key)
    except UsageError:
        return False
    return True


def _info(key: str, size: int, found: dict[str, Any]) -> ObjectInfo:
    # Only listings know fractions of a second.
    modified = found["LastModified"].astimezone(UTC).replace(microsecond=0)
    return ObjectInfo(key=key, size=size, modified=modified, version=found["ETag"])


def _encryption(options: StorageOptions) -> dict[str, str]:
    given = {
        "ServerSideEncryption": options.s3_sse,
        "SSEKMSKeyId": options.s3_sse_kms_key_id,
    }
    return {name: value for name, value in given.items() if value is not None}
