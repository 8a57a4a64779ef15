"""The one error tree of dbsync.

What lives here: every exception that may reach a user, with its exit code, whether trying the
same thing again can help, and the next step. Nothing is imported, so every layer may raise these.
Driver errors are translated into this tree where the driver is called, and chained to it.
"""

from __future__ import annotations


class DbsyncError(Exception):
    """Base of every expected failure; anything else that escapes is a bug (exit code 1).

    ``message`` says what failed, on which object, and why; ``hint`` is the next step. Neither may
    hold a secret. ``retryable`` is true where the same call may succeed later.
    """

    exit_code: int = 1
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None, retryable: bool | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable


class UsageError(DbsyncError):
    """Options, environment or configuration contradict one another or are malformed."""

    exit_code = 2


class DatabaseError(DbsyncError):
    """A database refused or failed; raised only as `SourceError` or `TargetError`."""


class SourceError(DatabaseError):
    """The database that is read failed, is unreachable, or lacks what was asked for."""

    exit_code = 3


class TargetError(DatabaseError):
    """The database that is written failed, is unreachable, or refused a row or a statement."""

    exit_code = 4


class UndoneError(TargetError):
    """The target undid a transaction in favour of another one: a deadlock, or no serial order.

    Nothing of it is left, so the same work may be done again at once.
    """


class StorageError(DbsyncError):
    """The place where archives are kept failed: disk full, no rights, object missing."""

    exit_code = 5


_DAMAGED = "The file was damaged or changed; fetch it again or use another copy."
_PARTIAL = "The export was interrupted or the copy is incomplete; fetch or export it again."
_FOREIGN = "The archive was not written as the format demands; export it again."
_ARCHIVE_HINTS = {
    "E_CHECKSUM": _DAMAGED,
    "E_TRAILER_INVALID": _DAMAGED,
    "E_TRUNCATED": _PARTIAL,
    "E_INCOMPLETE": _PARTIAL,
    "E_TRAILING_DATA": "Something was appended to the archive; use an untouched copy.",
    "E_NOT_ARCHIVE": "Name a *.dbsync.tar file that `dbsync export` has written.",
    "E_LIMIT": "Do not open this archive unless you trust where it comes from.",
    "E_ENCRYPTED": (
        "Name the file of a secret key with --identity, or in DBSYNC_IDENTITY_FILE; without one, "
        "`tar -xf` and `sha256sum -c SHA256SUMS` still tell whether the archive is whole."
    ),
    "E_IDENTITY": "Name the secret key of a recipient; --identity may be given several times.",
    "E_DECRYPT": "Do not trust this archive: its digests were made to fit. Use another copy.",
    "E_VERSION_UNSUPPORTED": "Use a release of dbsync that reads this version.",
}


class ArchiveError(DbsyncError):
    """The archive breaks a rule of ``formats/archive-v1.md``.

    ``code`` is one of the E_* names of that document; it also chooses the hint, unless one is
    given.
    """

    exit_code = 6

    def __init__(self, code: str, message: str, *, hint: str | None = None):
        super().__init__(f"{code}: {message}", hint=hint or _ARCHIVE_HINTS.get(code, _FOREIGN))
        self.code = code


class LossError(DbsyncError):
    """Refused because going on would lose data: a value, an object, or an attribute."""

    exit_code = 7


class ConflictError(DbsyncError):
    """Something else holds the place: an existing archive, another import, a lock."""

    exit_code = 8
