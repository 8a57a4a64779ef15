"""A stream of writes into an upload to Google Drive, with bounded memory.

What lives here: cutting what is written into pieces, sending one while the next one fills, and
making sure that what arrived is what was sent. Must not know: the protocol, names, folders.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

from dbsync.errors import StorageError
from dbsync.storage.drive.folders import DriveFile, read_file
from dbsync.storage.drive.session import UploadSession

PIECE_BYTES = 16 << 20
"""Bytes of one request, a multiple of `QUANTUM`; two pieces are held at once."""


class UploadWriter:
    """Takes the bytes of one file; implements `dbsync.storage.base.ObjectWriter`.

    At least one byte is always held back, so that only `finish` can complete the file.
    """

    def __init__(self, session: UploadSession, display: str):
        self._session = session
        self._display = display
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="drive-upload")
        self._sending: Future[bytes] | None = None
        self._held = bytearray()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._closed = False

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of `data`; waits while two pieces are on their way."""
        if self._closed:
            raise ValueError("write to closed upload")
        view = memoryview(data).cast("B")
        size = len(view)
        while view:
            taken = min(len(view), PIECE_BYTES + 1 - len(self._held))
            self._held += view[:taken]
            view = view[taken:]
            if len(self._held) > PIECE_BYTES:
                self._send_piece()
        self._size += size
        return size

    def drain(self) -> None:
        """Wait until everything but what only `finish` may send has arrived."""
        if self._sending is not None:
            left, self._sending = self._sending.result(), None
            self._held[:0] = left

    def finish(self) -> DriveFile:
        """Send the rest, by which the file is complete; returns it, compared with what was sent."""
        self.drain()
        self._closed = True
        self._digest.update(self._held)
        self._session.send(memoryview(self._held), last=True)
        found = read_file(self._session.file or {})
        if found is None or found.size != self._size:
            raise self._damaged(f"{found.size if found else 'no'} of {self._size} bytes")
        if found.md5 is not None and found.md5 != self._digest.hexdigest():
            raise self._damaged("other bytes than were sent, by their MD5")
        return found

    def close(self) -> None:
        """Break off what is being sent, if anything, and wait for that."""
        self._closed = True
        if self._sending is not None:
            self._session.cancel()
        self._sender.shutdown(wait=True)
        self._held = bytearray()

    def _send_piece(self) -> None:
        self.drain()
        cut = len(self._held) - 1
        piece = bytes(memoryview(self._held)[:cut])
        del self._held[:cut]
        self._sending = self._sender.submit(self._deliver, piece)

    def _deliver(self, piece: bytes) -> bytes:
        taken = self._session.send(memoryview(piece), last=False)
        self._digest.update(memoryview(piece)[:taken])
        return piece[taken:]

    def _damaged(self, what: str) -> StorageError:
        return StorageError(
            f"cannot write {self._display}: Google Drive holds {what}",
            hint="run the command again, with --overwrite-archive if the file is still there",
            retryable=True,
        )
