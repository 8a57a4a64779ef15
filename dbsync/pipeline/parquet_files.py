"""Plain Parquet files in a folder for each table: what the folder is called, and how it appears.

What lives here: names, and the step that makes a whole set of files visible at once. Must not
know: where the rows come from, or what is in the files.

A set is written into a hidden folder beside its final one, which its writer has locked for as
long as it lives: a hidden folder that nobody has locked belongs to a killed process, and goes when
the same set is written again.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from dbsync.errors import ConflictError
from dbsync.model.schema import Name
from dbsync.storage.oserrors import storage_error
from dbsync.storage.publish import fsync

_FILE = re.compile(r"\d{8}\.parquet")
_LOCK = ".lock"


def folder_names(names: Iterable[Name]) -> dict[Name, str]:
    """Choose a folder for each table: its name, with what may trouble a file system replaced.

    Letters, digits, ``_``, ``-`` and dots stay; names that become alike, also on file systems that
    ignore case, get numbers.
    """
    chosen: dict[Name, str] = {}
    taken: set[str] = set()
    for name in names:
        safe = folder_name(str(name))
        folder, number = safe, 1
        while folder.lower() in taken:
            number += 1
            folder = f"{safe}_{number}"
        taken.add(folder.lower())
        chosen[name] = folder
    return chosen


def folder_name(table: str) -> str:
    """Choose a folder for a table by itself, as `folder_names` does."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", table).lstrip(".")[:100] or "table"


def file_name(number: int) -> str:
    """Name a file of a set."""
    return f"{number:08d}.parquet"


@contextmanager
def new_set(folder: Path, *, overwrite: bool) -> Generator[Path]:
    """Give a hidden folder to write into; it becomes `folder` when the context ends cleanly.

    Raises `ConflictError` where `folder` exists and is not empty, unless `overwrite`; and then too
    where it holds anything that no set holds. Until the end the old set stays, and afterwards all
    of it is gone. After any exception nothing is left of the new one. Raises `StorageError`.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _require_place(folder, overwrite=overwrite)
        _remove_leftovers(folder)
        hidden = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
        hidden.mkdir()
    except OSError as error:
        raise storage_error(error, "write into", folder.parent) from error
    lock = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield hidden
        try:
            _require_place(folder, overwrite=overwrite)
            (hidden / _LOCK).unlink()
            fsync(hidden)
            _swap(hidden, folder)
        except OSError as error:
            raise storage_error(error, "write into", folder.parent) from error
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def write_file(path: Path, data: bytes | memoryview | pa.Buffer) -> None:
    """Write a new file, whole and durable, or leave none; raises `StorageError`."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as out:
            out.write(data)  # type: ignore[arg-type]  # any buffer
            out.flush()
            fsync(out.fileno())
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise storage_error(error, "write", path) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _require_place(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir() or folder.is_symlink():
        raise ConflictError(f"{folder} is no folder of its own", hint="choose another folder")
    found = sorted(entry.name for entry in folder.iterdir())
    if not found:
        return
    if not overwrite:
        raise ConflictError(
            f"{folder} holds files already", hint="replace them with --overwrite, or move them away"
        )
    foreign = [name for name in found if not _FILE.fullmatch(name)]
    if foreign:
        raise ConflictError(
            f"{folder} holds {foreign[0]}, which is no file of a set, and is not replaced",
            hint="move it away, or choose another folder",
        )


def _swap(hidden: Path, folder: Path) -> None:
    """Put the new set into the place of the old one, of which nothing stays."""
    old: Path | None = None
    if folder.exists():
        old = hidden.with_suffix(".old")
        folder.rename(old)
    try:
        hidden.rename(folder)
    except BaseException:
        if old is not None:
            old.rename(folder)
        raise
    fsync(folder.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    left = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.(partial|old)")
    for entry in folder.parent.iterdir():
        if not left.fullmatch(entry.name):
            continue
        with suppress(OSError):
            if entry.suffix == ".old" and not folder.exists():
                # Killed between the two renames of an overwrite: the old set comes back.
                entry.rename(folder)
            elif not _is_locked(entry):
                shutil.rmtree(entry)


def _is_locked(hidden: Path) -> bool:
    try:
        file = os.open(hidden / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
