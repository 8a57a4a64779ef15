"""How a file comes into being whole or not at all.

What lives here: the hidden file that is written first, its lock, what is forced to the disk and
when, and the step that makes it visible. Must not know: keys, or what the bytes mean.

A writer holds a lock on its hidden file for as long as it lives. A hidden file that nobody has
locked therefore belongs to a killed process, and whoever next completes the same file removes it.
Locks may be private to one machine on network file systems, so only files that were made under
this kernel (which covers containers that share a folder) or this host name are tried.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import platform
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dbsync.errors import ConflictError
from dbsync.storage.oserrors import storage_error

_WRITE_BUFFER_BYTES = 1 << 20
_WRITEBACK_BYTES = 8 << 20
"""After so many bytes the system is asked to bring them to the disk."""

_WRITEBACK_REACH = 256 << 20
"""How many of the last bytes are asked for each time: on a slow disk looking for those that are
still in memory must not take longer the larger the file is."""

_PREFIX = ".dbsync-"
_SUFFIX = ".part"
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}


class FileWriter:
    """Writes to an open descriptor, which it owns; translated errors call it `name`."""

    def __init__(self, file: int, name: object):
        self._name = name
        self._raw = io.FileIO(file, "wb")
        self._buffered = io.BufferedWriter(self._raw, _WRITE_BUFFER_BYTES)
        self._written = 0
        self._begun = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append all of `data`."""
        try:
            count = self._buffered.write(data)
        except OSError as error:
            raise storage_error(error, "write", self._name) from error
        self._written += count
        if self._written - self._begun >= _WRITEBACK_BYTES:
            self._begun = self._written
            start = max(0, self._written - _WRITEBACK_REACH)
            _move_to_disk(self._raw.fileno(), start, self._written - start)
        return count

    def finish(self) -> None:
        """Bring every byte to the disk, where there is one."""
        try:
            self._buffered.flush()
            fsync(self._raw.fileno())
        except OSError as error:
            raise storage_error(error, "write", self._name) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing the descriptor first drops what is still buffered: nobody must see it.
        with suppress(OSError):
            self._raw.close()


@contextmanager
def publish_file(path: Path, *, overwrite: bool) -> Generator[FileWriter]:
    """Write a file that appears at `path`, whole and durable, when the context ends cleanly.

    Raises `ConflictError` instead of replacing a file unless `overwrite`, and `StorageError` for
    what the operating system refuses. After any exception nothing is left.
    """
    try:
        file, temporary = _create(path)
    except OSError as error:
        raise storage_error(error, "write into", path.parent) from error
    try:
        with FileWriter(file, path) as writer:
            yield writer
            writer.finish()
            _move(temporary, path, overwrite=overwrite)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _remove_leftovers(path)


def fsync(target: int | Path) -> None:
    """Force a file (by descriptor) or a folder to the disk; raises OSError.

    What cannot be forced (a pipe, a device, folders of some network file systems) is no error.
    """
    file = os.open(target, os.O_RDONLY | os.O_DIRECTORY) if isinstance(target, Path) else target
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        if isinstance(target, Path):
            os.close(file)


def is_temporary(name: str) -> bool:
    """Say whether `name` is that of a file that is still being written."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def _move_to_disk(file: int, start: int, count: int) -> None:
    """Ask the system to begin to write a range to the disk, and to forget what is there already.

    Otherwise Linux waits half a minute or for a tenth of the memory, and a slow disk writes the
    whole file when the work is done. What is forgotten leaves its memory to the next bytes, where
    new memory would be dear (two fifths of the time in the kernel of an export on a virtual
    machine), and pushes out nothing that the database has there. Where it cannot be asked, nothing
    happens.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # a pipe or a device
            # Linux begins to write what is said to be of no more use, and drops what is written
            # (mm/fadvise.c).
            os.posix_fadvise(file, start, count, os.POSIX_FADV_DONTNEED)


def _create(path: Path) -> tuple[int, Path]:
    while True:
        name = f"{_stem(path)}{_kernel()}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        temporary = path.with_name(name)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks: then nobody else can lock it either
            fcntl.flock(file, fcntl.LOCK_EX)
        # Between creation and lock, another process may have taken it for a leftover.
        if os.fstat(file).st_nlink:
            return file, temporary
        os.close(file)


def _move(temporary: Path, path: Path, *, overwrite: bool) -> None:
    try:
        if overwrite:
            temporary.replace(path)
        else:
            _move_to_free_name(temporary, path)
        fsync(path.parent)
    except FileExistsError as error:
        raise ConflictError(
            f"{path} was created by someone else in the meantime and is left as it is",
            hint="choose another name or pass --overwrite-archive",
        ) from error
    except OSError as error:
        raise storage_error(error, "write", path) from error


def _move_to_free_name(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        if not path.samefile(temporary):  # NFS may repeat a call whose first answer was lost
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _replace_reserved(temporary, path)
        return
    temporary.unlink()


def _replace_reserved(temporary: Path, path: Path) -> None:
    # No hard links here (FAT, some network file systems): the name is reserved by an empty file.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        temporary.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove hidden files for `path` whose writers are dead; failing to do so harms nothing."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(_stem(path)) and is_temporary(entry.name):
                kernel, host = entry.name.removeprefix(_stem(path)).split("-")[:2]
                if kernel == _kernel() or host == _host():
                    _remove_if_unlocked(entry.path)


def _remove_if_unlocked(temporary: str) -> None:
    with suppress(OSError):
        file = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(temporary).unlink()
        finally:
            os.close(file)


def _stem(path: Path) -> str:
    return f"{_PREFIX}{_digest(path.name)}-"


def _kernel() -> str:
    try:
        return _digest(Path("/proc/sys/kernel/random/boot_id").read_text())
    except OSError:
        return "0"


def _host() -> str:
    return _digest(platform.node())


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
