"""Uploads that a killed process left behind: how ours are told from others, and removed.

What lives here: the marks that a writer sets, and the removal of what a dead writer's marks point
to. Must not know: what is uploaded, or how.

A multipart upload under way is listed by key and id alone: its metadata is not, so that no upload
can say whose it is. A mark is therefore an upload of its own that is never completed, so that it
is no object and costs nothing; its key says which upload it stands for and which process made it.
A first mark, without the upload's id, covers the moment between the two calls. An upload that no
mark of ours points to is never touched.

A writer is dead when its process is gone, where that can be seen: on the same running system, in
the same name space of processes. Otherwise when its upload has received no part for six hours.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from dbsync.storage.s3.calls import CallFailed, Calls

SILENCE = timedelta(hours=6)
"""An upload that has received nothing for so long has no writer any more."""

_STARTING = timedelta(minutes=10)
_NEW = "new"
_MARK = re.compile(
    r"\.dbsync-upload-(?P<key>[0-9a-f]{16})-(?P<upload>[0-9a-f]{16}|new)"
    r"-(?P<system>[0-9a-f]+)-(?P<pid>\d+)-(?P<start>\d+)"
)
_FEW = 4


class Upload(NamedTuple):
    """An upload under way, as the store lists it."""

    key: str
    id: str
    initiated: datetime


class _Mark(NamedTuple):
    listed: Upload
    key: str
    upload: str
    system: str
    pid: int
    start: str


class Claim:
    """The marks of one upload to `key`; removing them is tried a few times and never fails."""

    def __init__(self, calls: Calls, bucket: str, key: str):
        self._calls = calls
        self._bucket = bucket
        self._key = key
        self._marks: list[tuple[str, str]] = []
        self._set(_NEW)

    def bind(self, upload_id: str) -> None:
        """Say which upload this is; call it before the first part is sent."""
        earlier, self._marks = self._marks, []
        self._set(_digest(upload_id))
        self._remove(earlier)

    def release(self) -> None:
        """Remove the marks, once the upload is completed or aborted."""
        marks, self._marks = self._marks, []
        self._remove(marks)

    def _set(self, upload: str) -> None:
        folder, slash, _ = self._key.rpartition("/")
        writer = "-".join(_this_process())
        key = f"{folder}{slash}.dbsync-upload-{_digest(self._key)}-{upload}-{writer}"
        # A role may be allowed to write archives only: better without a mark than without a backup.
        with suppress(CallFailed):
            made = self._calls.make("create_multipart_upload", Bucket=self._bucket, Key=key)
            self._marks.append((key, made["UploadId"]))

    def _remove(self, marks: list[tuple[str, str]]) -> None:
        for key, upload_id in marks:
            abort(self._calls, self._bucket, key, upload_id)


def abort(calls: Calls, bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload; what cannot be aborted now is left to the next run."""
    with suppress(CallFailed):
        calls.make(
            "abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id, attempts=_FEW
        )


def remove_abandoned(calls: Calls, bucket: str, folder: str) -> int:
    """Abort the uploads of dead writers below `folder`; returns how many. Raises `CallFailed`.

    A store without the call, or a role without the right to it, has nothing removed.
    """
    try:
        uploads = [
            upload for upload in list_uploads(calls, bucket) if upload.key.startswith(folder)
        ]
    except CallFailed as failed:
        if (failed.status, failed.code) == _NONE_YET:
            return 0
        if failed.status in (403, 405, 501) and failed.code in _NOT_ALLOWED:
            return 0
        raise
    marks = [mark for mark in map(_parse, uploads) if mark is not None]
    bound = {mark.upload for mark in marks}
    removed = 0
    for mark in marks:
        theirs = [upload for upload in uploads if _digest(upload.key) == mark.key]
        if mark.upload == _NEW:
            dead = _is_dead(mark, mark.listed.initiated)
            rivals = [other for other in marks if other.key == mark.key and other is not mark]
            left = [
                upload
                for upload in theirs
                if dead
                and not rivals
                and _digest(upload.id) not in bound
                and abs(upload.initiated - mark.listed.initiated) < _STARTING
                and not list(_parts(calls, bucket, upload))
            ]
        else:
            left = [upload for upload in theirs if _digest(upload.id) == mark.upload]
            dead = _is_dead(mark, _last_seen(calls, bucket, left or [mark.listed], mark))
        if dead:
            for upload in (*left, mark.listed):
                abort(calls, bucket, upload.key, upload.id)
            removed += len(left)
    return removed


_NONE_YET = (404, "NoSuchUpload")
"""What ``rclone serve s3`` says where nothing is under way (seen with 1.75.2)."""
_NOT_ALLOWED = {"AccessDenied", "NotImplemented", "MethodNotAllowed", "403", "405", "501", ""}


def list_uploads(calls: Calls, bucket: str) -> Iterator[Upload]:
    """Yield every upload under way in a bucket.

    The whole bucket is listed, because MinIO takes a prefix for a whole key
    (https://github.com/minio/minio/issues/20989).
    """
    position: dict[str, Any] = {}
    while True:
        page = calls.make("list_multipart_uploads", Bucket=bucket, **position)
        for item in page.get("Uploads", ()):
            yield Upload(item["Key"], item["UploadId"], item["Initiated"])
        if not page.get("IsTruncated"):
            return
        position = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page.get("NextUploadIdMarker", ""),
        }


def _parts(calls: Calls, bucket: str, upload: Upload) -> Iterator[dict[str, Any]]:
    marker = 0
    while True:
        try:
            page = calls.make(
                "list_parts",
                Bucket=bucket,
                Key=upload.key,
                UploadId=upload.id,
                PartNumberMarker=marker,
            )
        except CallFailed as failed:
            if failed.status == 404:  # completed or aborted meanwhile
                return
            raise
        yield from page.get("Parts", ())
        if not page.get("IsTruncated"):
            return
        marker = page["NextPartNumberMarker"]


def _last_seen(calls: Calls, bucket: str, uploads: list[Upload], mark: _Mark) -> datetime:
    """Return when a writer last did anything, for writers whose process cannot be seen."""
    times = [upload.initiated for upload in uploads]
    if mark.system != _this_process()[0]:
        for upload in uploads:
            times += [part["LastModified"] for part in _parts(calls, bucket, upload)]
    return max(times)


def _is_dead(mark: _Mark, last_seen: datetime) -> bool:
    if mark.system != _this_process()[0]:
        return datetime.now(UTC) - last_seen > SILENCE
    return _start_of(mark.pid) != mark.start


def _parse(upload: Upload) -> _Mark | None:
    found = _MARK.fullmatch(upload.key.rpartition("/")[2])
    if found is None:
        return None
    return _Mark(
        upload, found["key"], found["upload"], found["system"], int(found["pid"]), found["start"]
    )


def _this_process() -> tuple[str, str, str]:
    """Name the running system with its name space of processes, the process, and its start."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        system = _digest(boot + str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        system = "0"  # no process can be seen, not even this one: only silence counts
    return system, str(os.getpid()), _start_of(os.getpid()) or "0"


def _start_of(pid: int) -> str | None:
    """Return when a process started, in ticks since the system did; None when it is gone."""
    try:
        # The name of the program stands in parentheses and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
