"""Pipes: standard input and output, and streams that a program hands in.

What lives here: the calls of `Storage` as far as a pipe can answer them: one object, written once
or read once from its beginning. Ranges, listing and describing are refused. Must not know: what
the bytes mean.

A pipe shows every byte at once, so an object that fails half-way is visible to the reader; the
reader must be able to tell from the bytes alone.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO, cast

from dbsync.errors import StorageError, UsageError
from dbsync.storage.base import ObjectInfo, ObjectWriter
from dbsync.storage.oserrors import storage_error
from dbsync.storage.publish import FileWriter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_READ_BUFFER_BYTES = 1 << 20


class PipeStorage:
    """One stream in either direction; implements `dbsync.storage.base.Storage` for any key.

    `stream` None means standard input and output. A stream handed in is never closed here: it
    belongs to whoever opened it.
    """

    def __init__(self, stream: BinaryIO | None = None):
        self._stream = stream
        self._used = False

    @contextmanager
    def put_stream(
        self,
        key: str,
        *,
        overwrite: bool = False,  # noqa: ARG002 - nothing exists that could be overwritten
        size_hint: int | None = None,  # noqa: ARG002 - part of the interface
    ) -> Generator[ObjectWriter]:
        """Write the stream; refuses a terminal with `UsageError`, and a second use.

        Bytes reach the other end as they are written. Raises `StorageError` when the reader goes.
        """
        del key
        self._use()
        stream, name = self._stream, "the stream"
        if stream is None:
            stream, name = _standard(sys.stdout, "standard output"), "standard output"
            if stream.isatty():
                raise UsageError(
                    "an archive is not written to a terminal",
                    hint="name a file, or send standard output to a file or a command",
                )
        with _open_writer(stream, name, own=self._stream is None) as writer:
            yield writer

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open the stream for reading from its beginning, once."""
        del key
        if offset or length is not None or version is not None:
            _refuse("read in parts")
        self._use()
        stream, name = self._stream, "the stream"
        if stream is None:
            stream, name = _standard(sys.stdin, "standard input"), "standard input"
            if stream.isatty():
                raise UsageError(
                    "an archive is not read from a terminal",
                    hint="name a file, or feed standard input from a file or a command",
                )
        return io.BufferedReader(_PipeReader(stream, name), _READ_BUFFER_BYTES)

    def stat(self, key: str) -> ObjectInfo:
        """Refuse: the size of a pipe is known only at its end."""
        del key
        _refuse("described before it is read")

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Refuse: a pipe holds no names."""
        del prefix, recursive
        _refuse("listed")

    def delete(self, key: str) -> None:
        """Refuse: what went through a pipe is gone already."""
        del key
        _refuse("deleted from")

    def _use(self) -> None:
        if self._used:
            raise StorageError("a pipe can be used only once", hint="name a file instead of -")
        self._used = True


def _standard(stream: TextIO | None, name: str) -> BinaryIO:
    if stream is None:  # the interpreter was started with this descriptor closed
        raise UsageError(f"{name} is closed", hint="name a file instead of -")
    return stream.buffer


def _refuse(what: str) -> NoReturn:
    raise StorageError(f"a pipe cannot be {what}", hint="name a file instead of -")


@contextmanager
def _open_writer(stream: BinaryIO, name: str, *, own: bool) -> Generator[ObjectWriter]:
    try:
        stream.flush()
        # A descriptor of our own keeps bytes out of the buffer of sys.stdout, which would be
        # written again, and fail again, when the interpreter exits. A stream that was handed in
        # may compress on its way, so its descriptor is not touched.
        file = os.dup(stream.fileno()) if own else None
    except io.UnsupportedOperation:
        file = None
    except OSError as error:
        raise storage_error(error, "write", name) from error
    if file is None:
        writer = _StreamWriter(stream, name)
        yield writer
        writer.finish()
        return
    with FileWriter(file, name) as writer:
        yield writer
        writer.finish()


class _StreamWriter:
    """Writes all of each piece to a stream, which may take less at a time."""

    def __init__(self, stream: BinaryIO, name: str):
        self._stream = stream
        self._name = name

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                # Raw streams may answer None: nothing was taken, try again.
                done += cast("int | None", self._stream.write(view[done:])) or 0
        except OSError as error:
            raise storage_error(error, "write", self._name) from error
        return done

    def finish(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise storage_error(error, "write", self._name) from error


class _PipeReader(io.RawIOBase):
    """Reads a stream without owning it."""

    def __init__(self, stream: BinaryIO, name: str):
        # One call to the system at a time: what has arrived is handed on without waiting for more.
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._read(len(view))
        except OSError as error:
            raise storage_error(error, "read", self._name) from error
        view[: len(data)] = data
        return len(data)
