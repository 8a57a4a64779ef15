"""Reading ranges of one version of a file on Google Drive.

What lives here: fetching a range and making sure of its length and version. Must not know: names
and folders.

Drive has no conditional read. So the file's revision is looked at after its bytes have arrived:
if it is still the one that was asked for, so were they. If not, the old revision is asked for
itself, which Drive keeps for some time and gives to those who may edit the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from dbsync.errors import StorageError
from dbsync.storage.drive.client import DriveClient
from dbsync.storage.drive.failures import DriveAnswerError
from dbsync.storage.drive.folders import FILE_FIELDS, read_file
from dbsync.storage.readers import Positioned

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 16 << 20
"""The most that one request fetches; the client holds an answer in memory as a whole."""

_SHORT_ANSWERS = 5


class ChangedError(StorageError):
    """The file is no longer the version that was asked for."""


class PinnedFile(msgspec.Struct, frozen=True):
    """One version of one file."""

    client: DriveClient
    id: str
    size: int
    revision: str
    doing: str
    """For messages: continues "cannot"."""

    def read(self, start: int, end: int) -> bytes:
        """Fetch the bytes from `start` to `end` of this version, of the present or an old one."""
        try:
            return self.read_current(start, end)
        except ChangedError as changed:
            request = self.client.revisions.get_media(fileId=self.id, revisionId=self.revision)
            try:
                old = self._fetch(request, start, end)
            except StorageError as error:
                raise changed from error
            if old is None:
                raise
            return old

    def read_current(self, start: int, end: int) -> bytes:
        """Fetch the bytes from `start` to `end`, none if need be, while this version is current.

        Raises `StorageError` if it is not.
        """
        request = self.client.files.get_media(fileId=self.id, supportsAllDrives=True)
        data = self._fetch(request, start, end)
        if data is None or not self._is_current():
            raise ChangedError(
                f"cannot {self.doing}: it was changed or removed by someone else while it was "
                "being read",
                hint="run the command again, on a file that nothing writes to",
            )
        return data

    def _is_current(self) -> bool:
        request = self.client.files.get(fileId=self.id, fields=FILE_FIELDS, supportsAllDrives=True)
        try:
            file = read_file(self.client.call(request, self.doing))
        except DriveAnswerError:
            return False
        return file is not None and file.revision == self.revision

    def _fetch(self, request: Any, start: int, end: int) -> bytes | None:
        """Fetch a range, going on where an answer ends early; None where there is no such file."""
        parts: list[bytes] = []
        at, answers = start, 0
        while at < end:
            if answers == _SHORT_ANSWERS:
                raise StorageError(
                    f"cannot {self.doing}: Google Drive sent {at - start} of {end - start} bytes "
                    f"at {start}, in {answers} answers",
                    hint="try again; if it stays, the file is damaged",
                    retryable=True,
                )
            try:
                part = self.client.retry(lambda: self._get(request, at, end), self.doing)  # noqa: B023 - called at once
            except DriveAnswerError:
                return None
            answers += 1
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _get(self, request: Any, start: int, end: int) -> bytes:
        headers = {
            "range": f"bytes={start}-{end - 1}",
            "accept": "*/*",
            "accept-encoding": "identity",
        }
        try:
            answer = self.client.send("GET", request.uri, headers=headers)
        except DriveAnswerError as error:
            if error.status == 416:  # the file became shorter: another version
                raise DriveAnswerError(404, error.reason) from error
            raise
        if answer.status == 200:
            return answer.content[start:end]
        said = answer.headers.get("content-range", f"bytes {start}-")
        if not said.startswith(f"bytes {start}-") or len(answer.content) > end - start:
            raise DriveAnswerError(502, "another range than asked for")
        return answer.content


class DriveReader(Positioned):
    """The bytes from `start` to `end`, fetched in blocks; position 0 is `start`.

    `first` is what was fetched already, from `start` on.
    """

    def __init__(
        self, fetch: Callable[[int, int], bytes], start: int, end: int, first: bytes = b""
    ):
        super().__init__(start, end)
        self._fetch = fetch
        self._block = first
        self._block_at = start

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what is left of the block at the position, or of a new one."""
        if self.closed:
            raise ValueError("read of closed file")
        if self._at >= self._end:
            return 0
        if not self._block_at <= self._at < self._block_at + len(self._block):
            end = min(self._end, self._at + BLOCK_BYTES)
            self._block, self._block_at = self._fetch(self._at, end), self._at
        view = memoryview(buffer).cast("B")
        begin = self._at - self._block_at
        piece = memoryview(self._block)[begin : begin + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Let go of the block."""
        self._block = b""
        super().close()
