"""A clone: an export into a pipe and an import out of it, at the same time.

What lives here: the pipe between the two, and which of two failures is the cause. Must not know:
databases, archives.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO, Generic, TypeVar

from dbsync.errors import StorageError
from dbsync.storage.base import ObjectWriter

E = TypeVar("E")
I = TypeVar("I")  # noqa: E741


class Tee:
    """Writes to the pipe and, where the archive is kept, to its place as well."""

    def __init__(self, pipe: BinaryIO, kept: ObjectWriter | None):
        self._pipe = pipe
        self._kept = kept

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data` to both; raises `BrokenPipeError` when the import has ended."""
        if self._kept is not None:
            self._kept.write(data)
        return self._pipe.write(data)


def through_pipe(
    export: Callable[[BinaryIO], E], importing: Callable[[BinaryIO], I]
) -> tuple[E, I]:
    """Run `export` in a thread against the writing end of a pipe and `importing` on the other.

    When one fails the other is ended through the pipe, and the failure that came first is raised:
    a torn pipe on the other side is its consequence.
    """
    half: _Export[E] = _Export(export)
    with ExitStack() as stack:
        stack.callback(half.join)
        with os.fdopen(half.read_end, "rb", buffering=1 << 20) as stream:
            half.start()
            try:
                imported = importing(stream)
            except Exception as error:
                stream.close()
                half.join()
                if half.error is not None and not half.torn:
                    raise half.error from error
                raise
    if half.error is not None:
        raise half.error
    return half.value(), imported


class _Export(Generic[E]):
    def __init__(self, run: Callable[[BinaryIO], E]):
        self.read_end, self._write_end = os.pipe()
        self._run = run
        self._result: E | None = None
        self._thread = threading.Thread(target=self._work, name="dbsync-export")
        self.error: BaseException | None = None
        self.torn = False

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def value(self) -> E:
        assert self._result is not None  # noqa: S101  # no error, so there is a result
        return self._result

    def _work(self) -> None:
        try:
            with os.fdopen(self._write_end, "wb", buffering=1 << 20) as stream:
                self._result = self._run(stream)
        except BrokenPipeError as error:
            self.torn = True
            self.error = StorageError("the import ended before the export")
            self.error.__cause__ = error
        except BaseException as error:  # handed to the waiting thread
            self.error = error
