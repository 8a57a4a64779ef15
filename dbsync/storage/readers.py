"""Binary streams over an open descriptor, with translated errors; places in a range of bytes.

What lives here: reading from where a descriptor stands, reading a range of it by position, and
moving about in a range, for every store.
Must not know: how the descriptor came about.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dbsync.storage.oserrors import storage_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class StreamReader(io.RawIOBase):
    """A device or named pipe, read from where it stands; owns the descriptor `file`."""

    def __init__(self, file: int, path: Path):
        self._file = file
        self._path = path

    def readable(self) -> bool:
        """Answer yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what the next call to the system gives."""
        try:
            return os.readv(self._file, [buffer])
        except OSError as error:
            raise storage_error(error, "read", self._path) from error

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            with suppress(OSError):
                os.close(self._file)
        super().close()


class Positioned(io.RawIOBase):
    """A place in the bytes of an object from `start` up to `end`; position 0 is `start`."""

    def __init__(self, start: int, end: int):
        self._start = start
        self._end = max(start, end)
        self._at = start

    def readable(self) -> bool:
        """Answer yes."""
        return True

    def seekable(self) -> bool:
        """Answer yes."""
        return True

    def tell(self) -> int:
        """Return the position, counted from the start of the range."""
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move within the range; beyond its end there is nothing to read."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        if base + offset < self._start:
            raise ValueError("seek before the start of the range")
        self._at = base + offset
        return self.tell()


class RangeReader(Positioned, StreamReader):
    """The bytes of a file from `start` up to `end`; position 0 is `start`."""

    def __init__(self, file: int, path: Path, start: int, end: int):
        StreamReader.__init__(self, file, path)
        Positioned.__init__(self, start, end)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read the next bytes of the range, without moving the descriptor."""
        view = memoryview(buffer).cast("B")[: max(0, self._end - self._at)]
        try:
            count = os.preadv(self._file, [view], self._at) if view else 0
        except OSError as error:
            raise storage_error(error, "read", self._path) from error
        self._at += count
        return count

    def readall(self) -> bytes:
        """Read what is left of the range in as few calls as the system allows."""
        pieces: list[bytes] = []
        try:
            while self._at < self._end:
                pieces.append(os.pread(self._file, self._end - self._at, self._at))
                if not pieces[-1]:
                    break
                self._at += len(pieces[-1])
        except OSError as error:
            raise storage_error(error, "read", self._path) from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
