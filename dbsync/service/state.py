"""What survives a restart: one small JSON file, replaced as a whole.

What lives here: its form, reading, writing, and the lock that keeps two services from one file.
Must not know: when runs are due.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from dbsync.errors import ConflictError, StorageError, UsageError

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_MAX_BYTES = 1 << 20


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """The last archive that was completed."""

    time: Moment
    """When its export began: what happened in the database later is not in it."""
    archive: str
    rows: int
    bytes: int
    seconds: float


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last run, or attempt of one, that failed."""

    time: Moment
    stage: str
    message: str
    exit_code: int


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """The last rehearsal that ended, and the last one that passed."""

    time: Moment
    """When it ended."""
    archive: str
    passed: bool
    passed_of: Moment | None = None
    """When the export of the newest archive began whose rehearsal passed."""
    passed_archive: str | None = None


class State(msgspec.Struct, kw_only=True):
    """All that the service knows of its past; every moment in UTC."""

    format: Literal["dbsync-schedule"] = "dbsync-schedule"
    version: Literal[1] = 1
    location: str
    """The folder that the archives go to, without secrets."""
    since: Moment
    """When the service first ran for this location."""
    timetable: str
    """Expression and zone of the runs, and of the rehearsals."""
    handled_until: Moment
    """Every run that was due until then is done, or was given up."""
    rehearsals_until: Moment
    """The same for rehearsals with a timetable of their own."""
    next_run: Moment | None = None
    runs: int = 0
    """Runs that succeeded."""
    failures: int = 0
    """Runs that failed for good."""
    consecutive_failures: int = 0
    runs_since_rehearsal: int = 0
    last_success: Success | None = None
    last_failure: Failure | None = None
    last_rehearsal: Rehearsed | None = None


def read_state(path: Path) -> State | None:
    """Read the file; None where there is none.

    Raises `UsageError` for a file of something else, which must not be overwritten, and
    `StorageError` where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read the state file {path}: {error.strerror}") from error
    try:
        return msgspec.json.decode(data, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not a state file of dbsync schedule",
            hint="name another file with --state, or remove this one",
        ) from error


def write_state(path: Path, state: State) -> None:
    """Replace the file; whoever reads it sees the old or the new one, whole."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n", 0o600)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write `data` beside `path` and rename it there; raises `StorageError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}",
            hint="its folder must exist and be writable",
        ) from error


@contextmanager
def only_one(path: Path | None) -> Generator[None]:
    """Hold the lock of a state file; raises `ConflictError` where another process has it.

    It lies beside the file, which is replaced at each change, and ends with the process.
    """
    if path is None:
        yield
        return
    lock = path.with_name(path.name + ".lock")
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write {lock}: {error.strerror}", hint="the folder of --state must be writable"
        ) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"another dbsync schedule uses the state file {path}",
                hint="end that one first, or name another file with --state",
            ) from error
        yield
    finally:
        os.close(file)
