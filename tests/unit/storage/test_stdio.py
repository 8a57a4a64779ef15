"""Pipes: what they can do, what they refuse, and how their failures are told."""

from __future__ import annotations

import gzip
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from dbsync.errors import StorageError, UsageError
from dbsync.storage.stdio import PipeStorage

WRITE = """
import sys
from dbsync.errors import DbsyncError
from dbsync.storage.stdio import PipeStorage
try:
    with PipeStorage().put_stream("-") as writer:
        for _ in range(int(sys.argv[1])):
            writer.write(b"x" * 10_000)
except DbsyncError as error:
    print(error, "|", error.hint, file=sys.stderr)
    sys.exit(error.exit_code)
"""
READ = """
import sys
from dbsync.errors import DbsyncError
from dbsync.storage.stdio import PipeStorage
try:
    with PipeStorage().open("-") as stream:
        print(len(stream.read()))
except DbsyncError as error:
    print(error, "|", error.hint, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def run(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


def test_standard_output_and_input_carry_every_byte() -> None:
    """Bytes written to standard output arrive, and standard input is read to its end."""
    written = run(WRITE, "300", stdout=subprocess.PIPE)
    assert written.returncode == 0, written.stderr
    assert written.stdout == b"x" * 3_000_000
    read = run(READ, input=written.stdout, stdout=subprocess.PIPE)
    assert read.stdout == b"3000000\n"


def test_a_reader_that_goes_is_one_line_and_exit_code_5() -> None:
    """A broken pipe is a storage error, with no further noise when the interpreter exits."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(WRITE, "300", stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 5
    assert b"standard output" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert b"None" not in done.stderr


def test_a_full_standard_output() -> None:
    """Standard output on a full disk fails, also when everything fits into the buffer."""
    for count in ("1", "300"):
        with Path("/dev/full").open("wb") as full:
            done = run(WRITE, count, stdout=full)
        assert done.returncode == 5
        assert b"the disk is full" in done.stderr


def test_terminals_are_refused() -> None:
    """An archive is neither printed on a terminal nor typed there."""
    main, terminal = pty.openpty()
    try:
        written = run(WRITE, "1", stdout=terminal)
        read = run(READ, stdin=terminal, stdout=subprocess.PIPE)
    finally:
        os.close(terminal)
        os.close(main)
    assert (written.returncode, read.returncode) == (2, 2)
    assert b"terminal" in written.stderr
    assert b"terminal" in read.stderr


def test_closed_standard_streams() -> None:
    """A program started without standard input or output is told so."""
    for code, closing in ((WRITE, ">&-"), (READ, "<&-")):
        done = subprocess.run(
            ["sh", "-c", f'"$0" -c "$1" 1 {closing}', sys.executable, code],
            check=False,
            stderr=subprocess.PIPE,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        assert b"is closed" in done.stderr


def test_a_stream_that_is_handed_in_stays_open() -> None:
    """A program's own stream is written and read, flushed, and left open."""
    stream = io.BytesIO()
    with PipeStorage(stream).put_stream("-") as writer:
        assert writer.write(memoryview(b"abc")) == 3
    assert stream.getvalue() == b"abc"
    stream.seek(0)
    with PipeStorage(stream).open("-") as reader:
        assert reader.read() == b"abc"
    assert not stream.closed


def test_a_compressing_stream_is_written_through_its_own_write(tmp_path: Path) -> None:
    """A stream with a descriptor of its own underneath is not bypassed."""
    with (
        gzip.open(tmp_path / "x.gz", "wb") as stream,
        PipeStorage(stream).put_stream("-") as writer,  # type: ignore[arg-type]
    ):
        writer.write(b"abc" * 1000)
    with gzip.open(tmp_path / "x.gz") as stream, PipeStorage(stream).open("-") as reader:  # type: ignore[arg-type]
        assert reader.read() == b"abc" * 1000


class Grudging(io.RawIOBase):
    """Takes, and gives, at most three bytes at a time."""

    def __init__(self, content: bytes = b""):
        self.content = content

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)[:3]  # type: ignore[call-overload]
        self.content += piece
        return len(piece)

    def read(self, size: int = -1, /) -> bytes:
        piece, self.content = self.content[:3], self.content[3:]
        return piece


def test_streams_that_take_little_at_a_time() -> None:
    """Short writes and short reads of a raw stream are completed."""
    stream = Grudging()
    with PipeStorage(stream).put_stream("-") as writer:  # type: ignore[arg-type]
        assert writer.write(b"0123456789") == 10
    assert stream.content == b"0123456789"
    with PipeStorage(stream).open("-") as reader:  # type: ignore[arg-type]
        assert reader.read(8) == b"01234567"
        assert reader.read() == b"89"


def test_what_a_pipe_cannot_do_is_refused() -> None:
    """Ranges, versions, a second use, listing, describing and deleting are storage errors."""
    for options in ({"offset": 1}, {"length": 1}, {"version": "1"}):
        with pytest.raises(StorageError, match="in parts"):
            PipeStorage(io.BytesIO()).open("-", **options)
    once = PipeStorage(io.BytesIO())
    once.open("-")
    with pytest.raises(StorageError, match="only once"):
        once.open("-")
    pipe = PipeStorage(io.BytesIO())
    with pytest.raises(StorageError):
        pipe.stat("-")
    with pytest.raises(StorageError):
        pipe.list()
    with pytest.raises(StorageError):
        pipe.delete("-")


def test_input_is_handed_on_as_it_arrives() -> None:
    """Reading a few bytes from a pipe does not wait for a whole buffer to fill."""
    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(writing, "wb", buffering=0) as sink:  # noqa: PTH123
        sink.write(b"first")
        with PipeStorage(source).open("-") as stream:
            assert stream.read(5) == b"first"


def test_terminal_refusal_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal comes before a byte is written, and says what to do instead."""

    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen))
    with pytest.raises(UsageError) as caught:
        PipeStorage().put_stream("-").__enter__()
    assert caught.value.hint
    assert screen.getvalue() == b""
