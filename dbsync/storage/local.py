"""Objects as files below one folder.

What lives here: the calls of `Storage` on a local or mounted file system, and the refusal of what
is no regular file. How a file appears whole or not at all is in `publish`. Must not know: what
the bytes mean.

Files are created with mode 0600 less the umask: what is stored here may hold everything that a
database holds. The folder itself must exist, since a mistyped path must not grow a tree; folders
that are part of a key are made as needed.

Special files (a device such as /dev/full, a named pipe, /dev/fd/N) are written in place: for them
nothing can be atomic, and there is nothing to overwrite.
"""

from __future__ import annotations

import errno
import io
import os
import stat as modes
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from dbsync.errors import ConflictError, StorageError
from dbsync.storage.base import ObjectInfo, ObjectWriter, check_key
from dbsync.storage.oserrors import storage_error
from dbsync.storage.publish import FileWriter, fsync, is_temporary, publish_file
from dbsync.storage.readers import RangeReader, StreamReader

_READ_BUFFER_BYTES = 1 << 20


class LocalStorage:
    """Files below `root`; implements `dbsync.storage.base.Storage`."""

    def __init__(self, root: Path):
        self.root = root

    @contextmanager
    def put_stream(
        self,
        key: str,
        *,
        overwrite: bool = False,
        size_hint: int | None = None,  # noqa: ARG002 - an estimate is no reason to refuse
    ) -> Generator[ObjectWriter]:
        """Write one file as `Storage.put_stream` promises; special files are written in place.

        The bytes go to a hidden file in the same folder, which a killed process leaves behind and
        the next complete write of the same key removes.
        """
        path = self._path(key)
        _make_folders(self.root, path.parent)
        if _in_place(path):
            with _write_in_place(path) as writer:
                yield writer
            return
        if not overwrite and os.path.lexists(path):
            raise already_exists(path)
        with publish_file(path, overwrite=overwrite) as writer:
            yield writer

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open a range of a file, or a whole special file, for reading."""
        path = self._path(key)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error, "read", path) from error
        with ExitStack() as stack:
            stack.callback(os.close, file)
            status = os.fstat(file)
            if modes.S_ISDIR(status.st_mode):
                raise storage_error(IsADirectoryError(errno.EISDIR, ""), "read", path)
            if not modes.S_ISREG(status.st_mode) and (offset, length) != (0, None):
                raise _only_a_stream(path)
            if version is not None and version != _version(status):
                raise StorageError(
                    f"{path} was changed by someone else while it was being read",
                    hint="run the command again, on a file that nothing writes to",
                )
            stack.pop_all()
        if not modes.S_ISREG(status.st_mode):
            return io.BufferedReader(StreamReader(file, path), _READ_BUFFER_BYTES)
        end = status.st_size if length is None else min(status.st_size, offset + length)
        return io.BufferedReader(RangeReader(file, path, offset, end), _READ_BUFFER_BYTES)

    def stat(self, key: str) -> ObjectInfo:
        """Describe one file; raises `StorageError` for what is missing or no regular file."""
        path = self._path(key)
        try:
            status = path.stat()
        except OSError as error:
            raise storage_error(error, "read", path) from error
        if modes.S_ISDIR(status.st_mode):
            raise storage_error(IsADirectoryError(errno.EISDIR, ""), "read", path)
        if not modes.S_ISREG(status.st_mode):
            raise _only_a_stream(path)
        return _info(key, status)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the files whose key starts with `prefix`, in the order of their keys.

        Hidden files of writes in progress are left out, and symbolic links to folders are not
        followed. A missing root is a `StorageError`; a missing folder below it holds nothing.
        """
        try:
            names = _entries(self.root)
        except OSError as error:
            raise storage_error(error, "list", self.root) from error
        yield from _walk(self.root, "", names, prefix, recursive)

    def delete(self, key: str) -> None:
        """Remove a file; refuses folders and special files."""
        path = self._path(key)
        try:
            status = path.lstat()
            if not (modes.S_ISREG(status.st_mode) or modes.S_ISLNK(status.st_mode)):
                raise StorageError(f"cannot delete {path}: it is no regular file")
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise storage_error(error, "delete", path) from error

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root / key


def already_exists(path: object) -> ConflictError:
    """Say that `path` is taken."""
    return ConflictError(
        f"{path} already exists", hint="choose another name or pass --overwrite-archive"
    )


def is_stream(path: Path) -> bool:
    """Say whether `path` is a special file, which can only be read or written as a stream."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (modes.S_ISREG(mode) or modes.S_ISDIR(mode))


def _in_place(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(error, "write", path) from error
    if modes.S_ISDIR(mode):
        raise storage_error(IsADirectoryError(errno.EISDIR, ""), "write", path)
    if modes.S_ISBLK(mode):
        raise StorageError(f"{path} is a whole disk", hint="choose a file on a mounted disk")
    # /dev/fd/3 may lead to a regular file, but its name must not be replaced by one.
    through_descriptor = os.path.realpath(path.parent).startswith("/proc/") or (
        path.is_symlink() and str(path.readlink()).startswith("/proc/")
    )
    return through_descriptor or not modes.S_ISREG(mode)


@contextmanager
def _write_in_place(path: Path) -> Generator[ObjectWriter]:
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError as error:
        raise storage_error(error, "write", path) from error
    with FileWriter(file, path) as writer:
        yield writer
        writer.finish()


def _only_a_stream(path: Path) -> StorageError:
    return StorageError(
        f"{path} is no regular file: it can only be read as a stream, from its beginning"
    )


def _entries(folder: Path) -> list[tuple[str, bool]]:
    # A folder's name ends in "/" here, so that "a-b" sorts before "a/b", as it does in any store.
    with os.scandir(folder) as entries:
        return sorted(
            (f"{entry.name}/", True) if entry.is_dir(follow_symlinks=False) else (entry.name, False)
            for entry in entries
            if not is_temporary(entry.name)
        )


def _walk(
    root: Path, folder: str, names: list[tuple[str, bool]], prefix: str, recursive: bool
) -> Iterator[ObjectInfo]:
    for name, is_folder in names:
        key = folder + name
        leads_there = is_folder and prefix.startswith(key)
        within = key.startswith(prefix) and (recursive or not is_folder)
        if not (leads_there or within):
            continue
        path = root / key
        try:
            if is_folder:
                yield from _walk(root, key, _entries(path), prefix, recursive)
                continue
            status = path.stat()
        except FileNotFoundError:  # removed while it was being listed, or a dangling link
            continue
        except OSError as error:
            raise storage_error(error, "list", path) from error
        if modes.S_ISREG(status.st_mode):
            yield _info(key, status)


def _make_folders(root: Path, folder: Path) -> None:
    try:
        root.stat()
    except FileNotFoundError as error:
        raise StorageError(
            f"the folder {root} does not exist", hint="create it, or check the spelling"
        ) from error
    except OSError as error:
        raise storage_error(error, "write into", root) from error
    missing = [folder, *folder.parents]
    for path in reversed(missing[: missing.index(root)]):
        try:
            if not path.is_dir():
                path.mkdir(exist_ok=True)
                fsync(path.parent)
        except FileExistsError as error:
            raise storage_error(NotADirectoryError(errno.ENOTDIR, ""), "create", path) from error
        except OSError as error:
            raise storage_error(error, "create", path) from error


def _version(status: os.stat_result) -> str:
    return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=status.st_size,
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        version=_version(status),
    )
