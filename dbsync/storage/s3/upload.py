"""Writing one object: a single request while it is small, else parts side by side.

What lives here: the parts under way and the memory they take, publishing last and only once, and
leaving nothing behind. Must not know: what the bytes mean, or other objects.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from dbsync.errors import StorageError
from dbsync.storage.s3.calls import CallFailed, Calls
from dbsync.storage.s3.dangling import Claim, abort
from dbsync.storage.s3.failures import taken_meanwhile
from dbsync.storage.s3.parts import MOST_PARTS, Parts, too_many

_WRITE_MARK = "dbsync-write"

Explain = Callable[[CallFailed, str, str], StorageError]


class PartBody:
    """A part as a file, so that it is sent in pieces, each with its own time limit."""

    def __init__(self, data: bytearray):
        self._data = memoryview(data)
        self._at = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, all that are left by default."""
        end = len(self._data) if size is None or size < 0 else self._at + size
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as in a file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at


class Upload:
    """An `ObjectWriter`. Call `finish` to publish, or `abort`; both end every thread."""

    def __init__(
        self,
        calls: Calls,
        bucket: str,
        key: str,
        *,
        what: str,
        parts: Parts,
        overwrite: bool,
        encryption: dict[str, str],
        explain: Explain,
    ):
        self._calls = calls
        self._object: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._what = what
        self._parts = parts
        self._condition: dict[str, str] = {} if overwrite else {"IfNoneMatch": "*"}
        self._explain = explain
        # Tells after a lost answer whether the object that is there is this one.
        self._nonce = secrets.token_hex(16)
        self._properties: dict[str, Any] = {"Metadata": {_WRITE_MARK: self._nonce}, **encryption}
        is_amazon = calls.client.is_amazon
        self._checksum: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"} if is_amazon else {}
        self._buffer = bytearray()
        self._claim: Claim | None = None
        self._id: str | None = None
        self._sent = 0
        self._done: dict[int, dict[str, Any]] = {}
        self._pending: set[Future[None]] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._stop = threading.Event()
        self._closed = False

    def write(self, data: bytes | memoryview, /) -> int:
        """Append all of `data`; waits while as many parts are under way as memory allows."""
        if self._closed:
            raise ValueError("write to a closed object")
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            if len(self._buffer) == self._parts.size:
                self._send_part()
            piece = view[done : done + self._parts.size - len(self._buffer)]
            self._buffer += piece
            done += len(piece)
        return done

    def finish(self) -> None:
        """Publish the object; raises `ConflictError` when the key was taken meanwhile."""
        self._closed = True
        if self._id is None:
            body = PartBody(self._buffer)
            self._publish("put_object", Body=body, **self._checksum, **self._properties)
            return
        self._send_part()
        self._wait_for(0)
        # Where a store ignores the condition, this leaves only a moment for two to meet.
        if self._condition and self._found() is not None:
            raise taken_meanwhile(self._what)
        parts = [self._done[number] for number in sorted(self._done)]
        self._publish(
            "complete_multipart_upload", UploadId=self._id, MultipartUpload={"Parts": parts}
        )
        self._end()

    def abort(self) -> None:
        """Leave nothing behind; what cannot be removed now is left to the next run."""
        self._closed = True
        self._stop.set()
        if self._pool is not None:
            # A part that arrives after the abort would stay.
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._id is not None:
            abort(self._calls, self._object["Bucket"], self._object["Key"], self._id)
        self._end()

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._claim is not None:
            self._claim.release()
        self._buffer = bytearray()

    def _send_part(self) -> None:
        pool = self._pool or self._begin()
        if self._sent == MOST_PARTS:
            raise too_many(self._what, self._parts.size)
        self._wait_for(self._parts.in_flight - 1)
        self._sent += 1
        data, self._buffer = self._buffer, bytearray()
        self._pending.add(pool.submit(self._upload_part, self._sent, data))

    def _begin(self) -> ThreadPoolExecutor:
        try:
            self._claim = Claim(self._calls, self._object["Bucket"], self._object["Key"])
            made = self._calls.make(
                "create_multipart_upload", **self._object, **self._checksum, **self._properties
            )
        except CallFailed as failed:
            raise self._explain(failed, "write", self._what) from failed
        self._id = str(made["UploadId"])
        self._claim.bind(self._id)
        self._pool = ThreadPoolExecutor(self._parts.in_flight, thread_name_prefix="upload")
        return self._pool

    def _upload_part(self, number: int, data: bytearray) -> None:
        answer = self._calls.make(
            "upload_part",
            stop=self._stop,
            **self._object,
            **self._checksum,
            UploadId=self._id,
            PartNumber=number,
            Body=PartBody(data),
        )
        names = ("ETag", "ChecksumCRC32") if self._checksum else ("ETag",)
        self._done[number] = {"PartNumber": number, **{n: answer[n] for n in names if n in answer}}

    def _wait_for(self, most: int) -> None:
        """Wait until at most so many parts are under way; raises what one of them failed with."""
        while True:
            done = {future for future in self._pending if future.done()}
            self._pending -= done
            try:
                for future in done:
                    future.result()
            except CallFailed as failed:
                raise self._explain(failed, "write", self._what) from failed
            if len(self._pending) <= most:
                return
            wait(self._pending, return_when=FIRST_COMPLETED)

    def _publish(self, operation: str, **arguments: Any) -> None:
        try:
            self._calls.make(operation, **self._object, **self._condition, **arguments)
        except CallFailed as failed:
            # The answer to an attempt that did succeed may have been lost.
            if self._is_published():
                return
            if failed.status in (409, 412):
                raise taken_meanwhile(self._what) from failed
            raise self._explain(failed, "write", self._what) from failed

    def _is_published(self) -> bool:
        return (self._found() or {}).get("Metadata", {}).get(_WRITE_MARK) == self._nonce

    def _found(self) -> dict[str, Any] | None:
        """Describe what is under the key, as far as that can be known."""
        try:
            return self._calls.make("head_object", **self._object)
        except CallFailed:
            return None
