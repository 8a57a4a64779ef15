"""One import at a time into one SQLite file.

What lives here: an advisory lock on a file beside the database, which the system releases when
the process dies. Not on the database itself: closing any other descriptor of it would release
SQLite's own locks (https://sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dbsync.errors import ConflictError, TargetError


class ImportLock:
    """Held from construction to `release`; raises `ConflictError` while another process has it."""

    def __init__(self, database: Path):
        self._path = Path(f"{database.absolute()}-dbsync-lock")
        self._descriptor: int | None = None
        while self._descriptor is None:
            self._descriptor = self._acquire(database)

    def _acquire(self, database: Path) -> int | None:
        """Lock the file; None where its last holder removed it between opening and locking."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TargetError(
                f"cannot lock {database} for an import: {error.strerror}",
                hint="the folder of the database must exist and be writable",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise ConflictError(
                f"another import into {database} is running",
                hint="wait until it has ended, then run this one again",
                retryable=True,
            ) from error
        except FileNotFoundError:
            pass
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Remove the lock file and let go; may be repeated."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
