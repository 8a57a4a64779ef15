"""Objects as files below one folder of Google Drive.

What lives here: the calls of `Storage`, and what is done about names that several files share.
Must not know: what an archive is.

Drive shows a file only once its upload is complete, and can replace a file's content at once, but
it has no conditional create. So a name is looked up before an upload, again before the last byte,
and once more when the file is there: of two files that were completed at the same moment the
first one made stays (by the time that Drive gave it, then by its id), and the writer of the other
one takes it back.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from dbsync.errors import ConflictError, StorageError, UsageError
from dbsync.storage.base import ObjectInfo, ObjectWriter, check_key
from dbsync.storage.drive.client import DriveClient
from dbsync.storage.drive.failures import DriveAnswerError
from dbsync.storage.drive.folders import BY_ID, DriveFile, DriveFolder
from dbsync.storage.drive.reader import BLOCK_BYTES, DriveReader, PinnedFile
from dbsync.storage.drive.session import UploadSession
from dbsync.storage.drive.upload import UploadWriter

MAX_BYTES = 5_000_000_000_000
"""The largest file that Drive takes."""

_READ_BUFFER_BYTES = 1 << 20
_ANOTHER_NAME = "choose another name or pass --overwrite-archive"


class DriveStorage:
    """Files below `folder_id`; implements `dbsync.storage.base.Storage`.

    `connect` is called once, when something is first asked of Drive.
    """

    def __init__(self, folder_id: str, connect: Callable[[], DriveClient]):
        self._folder_id = folder_id
        self._connect = connect
        self._lock = threading.Lock()
        self._opened: tuple[DriveClient, DriveFolder] | None = None

    @contextmanager
    def put_stream(
        self, key: str, *, overwrite: bool = False, size_hint: int | None = None
    ) -> Generator[ObjectWriter]:
        """Write one file as `Storage.put_stream` promises; replaces by id, keeping links to it.

        A killed process leaves nothing to be seen: Drive forgets unfinished uploads.
        """
        check_key(key)
        display, doing = self._display(key), f"write {self._display(key)}"
        if size_hint is not None and size_hint > MAX_BYTES:
            raise StorageError(
                f"cannot {doing}: about {size_hint} bytes are expected, and Google Drive takes "
                f"files of at most {MAX_BYTES}",
                hint="export fewer tables at a time",
            )
        client, _ = self._open()
        old = self._replaceable(key, overwrite=overwrite)
        metadata = {} if old is not None else self._new_file(key, doing)
        session = UploadSession(client, metadata, old.id if old else None, doing)
        writer = UploadWriter(session, display)
        try:
            yield writer
            writer.drain()
            if not overwrite:
                self._refuse_taken(key, None)
            made = writer.finish()
            if old is None:
                self._settle(key, made, overwrite=overwrite)
        except BaseException:
            writer.close()
            session.discard()
            if old is None and session.may_be_finished:
                with suppress(Exception):  # what is raised already matters more
                    self._remove(str(metadata["id"]), doing)
            raise
        finally:
            writer.close()
            session.close()

    def open(
        self, key: str, *, offset: int = 0, length: int | None = None, version: str | None = None
    ) -> BinaryIO:
        """Open a range of a file for reading; it is fetched in blocks of at most 16 MiB."""
        check_key(key)
        doing = f"read {self._display(key)}"
        client, _ = self._open()
        pinned = _pinned(client, version or self._one(key, doing).version, doing)
        end = pinned.size if length is None else min(pinned.size, offset + length)
        # Of a version that was found earlier, the first block serves to look whether it is there.
        first = b""
        if version is not None:
            first = pinned.read_current(offset, max(offset, min(end, offset + BLOCK_BYTES)))
        reader = DriveReader(pinned.read, offset, end, first)
        return io.BufferedReader(reader, _READ_BUFFER_BYTES)

    def stat(self, key: str) -> ObjectInfo:
        """Describe one file; raises `StorageError` for none, and for several of that name."""
        check_key(key)
        return _info(key, self._one(key, f"read {self._display(key)}"))

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the files whose key starts with `prefix`, in the order of their keys.

        A name that several files share comes once for each; reading it is refused, and says how
        to name one of them.
        """
        _, folder = self._open()
        found = folder.walk(prefix, recursive, f"list {self._display('')}")
        yield from (
            _info(key, file)
            for key, file in sorted(found, key=lambda item: (item[0], item[1].created, item[1].id))
        )

    def delete(self, key: str) -> None:
        """Remove a file; who may not do so for good puts it into the bin."""
        check_key(key)
        doing = f"delete {self._display(key)}"
        _, folder = self._open()
        found = folder.find(key, doing)
        if len(found) > 1:
            raise self._ambiguous(key, found, doing)
        for file in found:
            self._remove(file.id, doing)

    def _open(self) -> tuple[DriveClient, DriveFolder]:
        with self._lock:
            if self._opened is None:
                client = self._connect()
                self._opened = client, DriveFolder(client, self._folder_id)
            return self._opened

    def _display(self, key: str) -> str:
        return f"gdrive://{self._folder_id}/{key}"

    def _one(self, key: str, doing: str) -> DriveFile:
        client, folder = self._open()
        found = folder.find(key, doing)
        if not found:
            raise StorageError(
                f"cannot {doing}: there is no such file, or it is not shared with "
                f"{client.account.name}",
                hint="`dbsync list` shows what is in a folder",
            )
        if len(found) > 1:
            raise self._ambiguous(key, found, doing)
        return found[0]

    def _ambiguous(self, key: str, found: list[DriveFile], doing: str) -> StorageError:
        folder = key.rpartition("/")[0]
        place = self._display(f"{folder}/" if folder else "")
        names = ", ".join(
            f"{place}{BY_ID}{file.id} ({file.size} bytes, made {file.created})" for file in found
        )
        return StorageError(
            f"cannot {doing}: {len(found)} files have this name", hint=f"name one of them: {names}"
        )

    def _replaceable(self, key: str, *, overwrite: bool) -> DriveFile | None:
        """Return the file to replace, None to make one; raises `ConflictError` if not allowed."""
        doing = f"write {self._display(key)}"
        _, folder = self._open()
        found = folder.find(key, doing)
        if found and not overwrite:
            raise ConflictError(f"{self._display(key)} already exists", hint=_ANOTHER_NAME)
        if len(found) > 1:
            raise self._ambiguous(key, found, doing)
        if not found and key.rpartition("/")[2].startswith(BY_ID):
            raise UsageError(
                f"cannot {doing}: there is no file of this id in the folder",
                hint="to make a new file, give it a name",
            )
        return found[0] if found else None

    def _new_file(self, key: str, doing: str) -> dict[str, Any]:
        client, folder = self._open()
        parent = folder.folder_for(key, doing)
        # With an id of our own, a file whose last answer was lost can be found, and removed.
        answer = client.call(client.files.generateIds(count=1, space="drive"), doing)
        return {"id": answer["ids"][0], "name": key.rpartition("/")[2], "parents": [parent]}

    def _settle(self, key: str, made: DriveFile, *, overwrite: bool) -> None:
        """Leave one file of this name, if another one was completed at the same time."""
        if not overwrite:
            self._refuse_taken(key, made)
            return
        for file in self._rivals(key, made):
            self._remove(file.id, f"write {self._display(key)}")

    def _refuse_taken(self, key: str, made: DriveFile | None) -> None:
        if self._rivals(key, made):
            raise ConflictError(
                f"{self._display(key)} was created by someone else in the meantime and is left "
                "as it is",
                hint=_ANOTHER_NAME,
            )

    def _rivals(self, key: str, made: DriveFile | None) -> list[DriveFile]:
        """Return the files of this name that were there before `made`."""
        _, folder = self._open()
        found = folder.find(key, f"write {self._display(key)}")
        return [file for file in found if made is None or _order(file) < _order(made)]

    def _remove(self, file_id: str, doing: str) -> None:
        client, _ = self._open()
        request = client.files.delete(fileId=file_id, supportsAllDrives=True)

        def delete() -> None:
            try:
                client.send(request.method, request.uri, headers=request.headers)
            except DriveAnswerError as error:
                if error.status != 403 or error.reason != "insufficientFilePermissions":
                    raise
                # Only managers of a shared drive may delete; who may edit, may use the bin.
                bin_it = client.files.update(
                    fileId=file_id, body={"trashed": True}, fields="id", supportsAllDrives=True
                )
                client.send(bin_it.method, bin_it.uri, headers=bin_it.headers, body=bin_it.body)

        with suppress(DriveAnswerError):  # it is gone already
            client.retry(delete, doing)


def _pinned(client: DriveClient, version: str, doing: str) -> PinnedFile:
    file_id, size, revision = [*version.split("/", 2), "", ""][:3]
    return PinnedFile(client, file_id, int(size) if size.isdigit() else 0, revision, doing)


def _order(file: DriveFile) -> tuple[str, str]:
    return file.created, file.id


def _info(key: str, file: DriveFile) -> ObjectInfo:
    return ObjectInfo(key=key, size=file.size, modified=file.modified, version=file.version)
