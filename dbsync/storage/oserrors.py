"""What the operating system's error numbers mean to a user: cause and next step.

What lives here: the translation of `OSError` into `StorageError`, shared by files and pipes. Must
not know: which store failed, or what the bytes were.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from dbsync.errors import StorageError


class _Meaning(NamedTuple):
    cause: str
    hint: str | None = None
    retryable: bool = False


_MEANINGS = {
    errno.ENOSPC: _Meaning("the disk is full", "free some space or choose another place"),
    errno.EDQUOT: _Meaning(
        "the disk quota is used up", "free some space, raise the quota or choose another place"
    ),
    errno.EFBIG: _Meaning(
        "the file would grow beyond the size limit of the process or the file system",
        "raise the limit (ulimit -f) or choose a file system without one",
    ),
    errno.EACCES: _Meaning(
        "permission denied", "check the owner and the rights of the file and of its folders"
    ),
    errno.EPERM: _Meaning(
        "operation not permitted", "check the owner and the attributes of the file and its folder"
    ),
    errno.EROFS: _Meaning("the file system is read-only", "choose another place"),
    errno.ENOENT: _Meaning("no such file or folder", "check the spelling"),
    errno.ENOTDIR: _Meaning("a part of the path is a file, not a folder", "check the spelling"),
    errno.EISDIR: _Meaning(
        "it is a folder", "name a file in it, or end the location with / to mean the folder"
    ),
    errno.ENAMETOOLONG: _Meaning("the name is too long", "choose a shorter one"),
    errno.ELOOP: _Meaning("its symbolic links run in a circle", "name the file itself"),
    errno.EPIPE: _Meaning(
        "the reader at the other end of the pipe has gone",
        "see what the command after the pipe says; nothing usable was written",
    ),
    errno.EMFILE: _Meaning("too many open files", "raise the limit (ulimit -n)"),
    errno.ENXIO: _Meaning("there is nothing behind this special file", "choose another place"),
    errno.EIO: _Meaning("the device reports an input/output error", "check the disk"),
    errno.ESTALE: _Meaning("the network file system has lost the file", "try again", True),
    errno.ETIMEDOUT: _Meaning("the file system does not answer", "try again", True),
    errno.EBUSY: _Meaning("it is in use", "try again", True),
}


def storage_error(error: OSError, doing: str, what: object) -> StorageError:
    """Translate an error of the operating system, by its number.

    The message reads "cannot `doing` `what`: cause"; raise the result ``from`` the error.
    """
    number = error.errno or 0
    meaning = _MEANINGS.get(number) or _Meaning((error.strerror or type(error).__name__).lower())
    return StorageError(
        f"cannot {doing} {what}: {meaning.cause}",
        hint=meaning.hint,
        retryable=meaning.retryable,
    )
