"""One resumable upload to Google Drive: bytes in order, until the server has them all.

What lives here: the protocol of an upload session, and going on where the server stands after a
failure. Must not know: where the bytes come from, names, folders.

Protocol: https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable.
Everything but the end is sent in multiples of 256 KiB with an unknown total (``bytes a-b/*``); the
server answers 308 and how far it has come, and to the last piece, which carries the total, with
the file. Until then no file is to be seen. The session's address is a secret.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from dbsync.errors import StorageError
from dbsync.storage.drive.client import ATTEMPTS, Answer, DriveClient, backoff_s, read_json
from dbsync.storage.drive.failures import DriveAnswerError, LostSessionError, is_transient

QUANTUM = 256 << 10

_FIELDS = "id,name,mimeType,size,md5Checksum,headRevisionId,createdTime,modifiedTime"
_LOST = {404, 410}
# The server may have taken a piece whose answer was lost; sent again, it does not fit any more.
_MISFIT = {400, 412, 416}


class UploadSession:
    """An upload of one file, to be used by one thread at a time; `cancel` may come from another.

    `file_id` None creates a file from `metadata`, which holds its id; otherwise that file's
    content is replaced.
    """

    def __init__(
        self, client: DriveClient, metadata: dict[str, Any], file_id: str | None, doing: str
    ):
        self._client = client
        self._connection = client.connect()
        self._metadata = metadata
        self._file_id = file_id
        self._doing = doing
        self._uri: str | None = None
        self._cancelled = threading.Event()
        self.offset = 0
        """How many bytes the server has confirmed."""
        self.file: dict[str, Any] | None = None
        """The finished file, once there is one."""
        self.may_be_finished = False
        """The last byte has been sent, whether or not its answer came."""

    def send(self, data: memoryview, *, last: bool) -> int:
        """Deliver `data`, which follows what was delivered before; returns how much was taken.

        That is all of it if `last`, and otherwise all but less than `QUANTUM`. Raises
        `StorageError` when that cannot be done any more.
        """
        start, end = self.offset, self.offset + len(data)
        total = end if last else None
        failures = 0
        uncertain = False
        while (rest := self._rest(data, start, last=last)) is not None:
            try:
                if uncertain and self._uri is not None:
                    self._settle(self._ask(self._uri, total), start, end)
                    uncertain = False
                else:
                    self._advance(rest, total, start, end)
                    failures = 0
            except LostSessionError as error:
                self._start_again(start, error)
                failures, uncertain = failures + 1, False
                self._wait(failures, error)
            except StorageError:
                raise
            except Exception as error:
                if self._cancelled.is_set():
                    raise self._interrupted() from error
                misfit = isinstance(error, DriveAnswerError) and error.status in _MISFIT
                if not (is_transient(error) or (misfit and not uncertain)):
                    raise self._client.explain(error, self._doing) from error
                # How much of it arrived, only the server knows.
                failures, uncertain = failures + 1, True
                self._wait(failures, error)
        return self.offset - start

    def cancel(self) -> None:
        """Break off what another thread sends; that thread's call then raises `StorageError`."""
        self._cancelled.set()
        self._connection.abort()

    def discard(self) -> None:
        """Tell the server to forget the session; it does so by itself after a week."""
        if self._uri is not None and self.file is None:
            with suppress(Exception):  # nothing is visible either way
                self._client.send("DELETE", self._uri, headers={"content-length": "0"})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rest(self, data: memoryview, start: int, *, last: bool) -> memoryview | None:
        """Return what is still to be sent; None when that is done."""
        if self._cancelled.is_set():
            raise self._interrupted()
        rest = data[self.offset - start :]
        if not last:
            rest = rest[: len(rest) // QUANTUM * QUANTUM]
        return None if self.file is not None or not (rest or last) else rest

    def _advance(self, data: memoryview, total: int | None, start: int, end: int) -> None:
        before = self.offset
        if self._uri is None:
            self._uri = self._open()
        self._settle(self._put(self._uri, data, total), start, end)
        if self.file is None and self.offset == before:
            raise DriveAnswerError(503, "nothing was taken")

    def _put(self, uri: str, data: memoryview, total: int | None) -> Answer:
        headers = {"content-length": str(len(data)), "content-type": "application/octet-stream"}
        whole = "*" if total is None else str(total)
        if data:
            end = self.offset + len(data) - 1
            headers["content-range"] = f"bytes {self.offset}-{end}/{whole}"
        elif self.offset:  # an empty file has no range that could be named
            headers["content-range"] = f"bytes */{whole}"
        self.may_be_finished = self.may_be_finished or total is not None
        return self._request(uri, headers, data)

    def _ask(self, uri: str, total: int | None) -> Answer:
        whole = "*" if total is None else str(total)
        headers = {"content-length": "0", "content-range": f"bytes */{whole}"}
        return self._request(uri, headers, b"")

    def _request(self, uri: str, headers: dict[str, str], body: bytes | memoryview) -> Answer:
        try:
            return self._client.send(
                "PUT", uri, headers=headers, body=body, connection=self._connection
            )
        except DriveAnswerError as error:
            if error.status in _LOST:
                raise LostSessionError from error
            raise

    def _settle(self, answer: Answer, start: int, end: int) -> None:
        """Learn from an answer where the server stands, which must be between start and end."""
        if answer.status != 308:
            self.file = read_json(answer.content)
            self.offset = end
            return
        taken = answer.headers.get("range")
        offset = int(taken.rpartition("-")[2]) + 1 if taken else 0
        if not start <= offset <= end:
            raise StorageError(
                f"cannot {self._doing}: Google Drive lost bytes that it had confirmed "
                f"({offset} of {self.offset} are left)",
                hint="run the command again; nothing was left behind",
                retryable=True,
            )
        self.offset = offset

    def _start_again(self, start: int, error: LostSessionError) -> None:
        """Forget a dead session, if every byte of it is still at hand."""
        if self.may_be_finished and self._find_finished():
            return
        if start:
            raise StorageError(
                f"cannot {self._doing}: Google Drive ended the upload after {self.offset} bytes "
                "and does not know it any more",
                hint="run the command again; nothing was left behind",
                retryable=True,
            ) from error
        self._uri = None
        self.offset = 0

    def _find_finished(self) -> bool:
        """Look for a new file by its id: its session may be gone because it is complete."""
        if self._file_id is not None:
            return False
        request = self._client.files.get(
            fileId=self._metadata["id"], fields=_FIELDS, supportsAllDrives=True
        )
        with suppress(DriveAnswerError):
            self.file = self._client.call(request, self._doing)
        return self.file is not None

    def _open(self) -> str:
        uri = f"{self._client.root}upload/drive/v3/files"
        method, body = "POST", json.dumps(self._metadata)
        if self._file_id is not None:
            uri, method, body = f"{uri}/{self._file_id}", "PATCH", "{}"
        answer = self._client.send(
            method,
            f"{uri}?uploadType=resumable&supportsAllDrives=true&fields={_FIELDS}",
            headers={
                "content-type": "application/json; charset=UTF-8",
                "x-upload-content-type": "application/octet-stream",
            },
            body=body,
            connection=self._connection,
        )
        location = answer.headers.get("location")
        if not location:
            raise DriveAnswerError(502, "no upload session")
        return location

    def _wait(self, failures: int, error: BaseException) -> None:
        if failures >= ATTEMPTS:
            raise self._client.explain(
                error if not isinstance(error, LostSessionError) else DriveAnswerError(503, ""),
                self._doing,
            ) from error
        if self.file is None:
            self._cancelled.wait(backoff_s(failures, error) * self._client.patience)

    def _interrupted(self) -> StorageError:
        return StorageError(f"cannot {self._doing}: it was interrupted")
