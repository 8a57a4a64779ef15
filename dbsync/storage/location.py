"""What a user writes to say where an archive is: paths, URLs, folders and pipes.

What lives here: turning that text into a store and a key. Must not know: what is in an archive.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import msgspec

from dbsync.errors import UsageError
from dbsync.storage.base import Storage, check_key
from dbsync.storage.local import LocalStorage, is_stream
from dbsync.storage.options import StorageOptions
from dbsync.storage.stdio import PipeStorage

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DATABASES = {"postgresql", "postgres", "mysql", "mariadb", "sqlite", "td"}
_STANDARD_STREAMS = {"-", "/dev/stdin", "/dev/stdout"}


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where one archive is, or a folder of archives (`key` is then empty)."""

    storage: Storage
    key: str
    display: str
    """For messages and results; holds no secret."""
    sequential: bool = False
    """A pipe: written or read once from its beginning, never in ranges."""
    is_folder: bool = False

    def join(self, name: str) -> Location:
        """Return the location of the object `name` in this folder."""
        return Location(storage=self.storage, key=name, display=self.display + name)


def open_location(text: str, options: StorageOptions | None = None) -> Location:
    """Find the store and the key that `text` means; nothing is read or created.

    A text that ends in ``/`` is a folder. Raises `UsageError` for kinds of places that this
    version does not know; the text is not repeated there, since a URL may hold a password.
    """
    if text in _STANDARD_STREAMS:
        return Location(storage=PipeStorage(), key="-", display="-", sequential=True)
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[1].lower() in _REMOTE:
        return _REMOTE[scheme[1].lower()](text, options or StorageOptions())
    path = text if scheme is None else _path_of_url(text, scheme[1].lower())
    if not path or "\0" in path:
        raise UsageError(
            "the location of the archive is empty or holds a NUL character",
            hint="give a path, a file:// URL, or - for a pipe",
        )
    name = path.rpartition("/")[2]
    if name in (".", ".."):
        raise UsageError(
            f"{text} is a folder", hint=f"write {text}/ to let dbsync name the archive in it"
        )
    if not name:
        return Location(storage=LocalStorage(Path(path)), key="", display=text, is_folder=True)
    whole = Path(path)
    return Location(
        storage=LocalStorage(whole.parent), key=name, display=text, sequential=is_stream(whole)
    )


def stream_location(stream: BinaryIO) -> Location:
    """Wrap an open binary stream, which stays open and belongs to the caller."""
    return Location(storage=PipeStorage(stream), key="-", display="stream", sequential=True)


def open_folder(text: str, options: StorageOptions | None = None) -> Location:
    """Find the folder that `text` means, with or without ``/`` at its end; nothing is read.

    Raises `UsageError` as `open_location` does, and for pipes, which hold no names.
    """
    if text in _STANDARD_STREAMS:
        raise UsageError("a pipe holds no list of archives", hint="name a folder, such as backups/")
    return open_location(text if text.endswith("/") else f"{text}/", options)


def _path_of_url(text: str, scheme: str) -> str:
    if scheme == "file":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise UsageError(
                f"{text} names no file on this machine",
                hint="write file:///path, with three slashes, or the path alone",
            )
        return unquote(parts.path)
    if scheme.partition("+")[0] in _DATABASES:
        raise UsageError(
            f"a {scheme}:// URL is a database, not a place for an archive",
            hint="pass the database with --url, and a file as ARCHIVE",
        )
    raise UsageError(
        f"{scheme}:// locations are unknown",
        hint="give a path, an s3:// or gdrive:// URL, or - for a pipe",
    )


def _s3(text: str, options: StorageOptions) -> Location:
    """Split ``s3://bucket/key``; nothing is decoded, as in the other tools for S3."""
    bucket, slash, path = text.partition("://")[2].partition("/")
    if not bucket or not slash:
        raise UsageError(
            "an S3 location needs a bucket and a key",
            hint="write s3://bucket/key, or s3://bucket/ to let dbsync name the archive in it",
        )
    folder, slash, name = path.rpartition("/")
    if folder or slash:
        check_key(folder)
    if name:
        check_key(name)
    from dbsync.storage.s3 import S3Storage

    store = S3Storage(bucket, folder + slash, options)
    return Location(storage=store, key=name, display=text, is_folder=not name)


def _drive(text: str, options: StorageOptions) -> Location:
    """Split ``gdrive://folder-id/name``; a folder is named by its id alone."""
    folder, slash, name = text.partition("://")[2].partition("/")
    if not folder or not slash or name.endswith("/"):
        raise UsageError(
            "a Drive location needs the id of a folder and a name",
            hint="write gdrive://folder-id/name, or gdrive://folder-id/ to let dbsync name the "
            "archive; the id is the last part of the folder's address in the browser",
        )
    if name:
        check_key(name)
    from dbsync.storage.drive import open_drive

    store = open_drive(folder, options)
    return Location(storage=store, key=name, display=text, is_folder=not name)


_REMOTE: dict[str, Callable[[str, StorageOptions], Location]] = {"s3": _s3, "gdrive": _drive}
