"""From keys to files on Google Drive, and back.

What lives here: looking up and listing below one folder. Must not know: how bytes are moved.

On Drive a name is no address: several files, and several folders, of one name may lie in one
place. So a key stands for every file of that name in every folder of that path, and the caller
decides what several mean. ``id:FILEID`` as the last part of a key names one file by its id.

Only files with bytes of their own count. Folders, shortcuts, Google's documents, and what is in
the bin are not objects.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from dbsync.errors import StorageError
from dbsync.storage.drive.client import DriveClient
from dbsync.storage.drive.failures import DriveAnswerError

FOLDER = "application/vnd.google-apps.folder"
BY_ID = "id:"
FILE_FIELDS = (
    "id,name,mimeType,size,md5Checksum,headRevisionId,createdTime,modifiedTime,trashed,parents"
)

_GOOGLE_TYPES = "application/vnd.google-apps."
_PAGE = 1000


class DriveFile(msgspec.Struct, frozen=True):
    """One complete file."""

    id: str
    name: str
    size: int
    md5: str | None
    revision: str
    """Changes with the content, and only then."""
    created: str
    """In RFC 3339, as Drive writes it: later times sort later."""
    modified: datetime

    @property
    def version(self) -> str:
        """Name file, size and content, so that a range can be asked for without looking again."""
        return f"{self.id}/{self.size}/{self.revision}"


class DriveFolder:
    """The files and folders below the folder `folder_id` (``root`` means a user's My Drive)."""

    def __init__(self, client: DriveClient, folder_id: str):
        self._client = client
        self._folder_id = folder_id
        self._lock = threading.Lock()
        self._root: tuple[str, str | None] | None = None

    def find(self, key: str, doing: str) -> list[DriveFile]:
        """Return the files that `key` stands for, the first made first; often none or one."""
        *path, name = key.split("/")
        folders = self._folders(path, doing)
        if name.startswith(BY_ID):
            return self._by_id(name.removeprefix(BY_ID), folders, doing)
        found: list[DriveFile] = []
        for folder in folders:
            query = f"{_in(folder)} and name = {_quote(name)} and mimeType != '{FOLDER}'"
            # Drive compares names without regard to case.
            found += [
                file
                for file in map(read_file, self._query(query, doing))
                if file is not None and file.name == name
            ]
        return sorted(found, key=lambda file: (file.created, file.id))

    def folder_for(self, key: str, doing: str) -> str:
        """Return the id of the folder that a new file `key` belongs into; makes what is missing."""
        *path, _ = key.split("/")
        folder, _ = self._top(doing)
        for depth in range(len(path)):
            # Several writers may have made it at once: the first one of that name is used by all.
            found = self._folders(path[: depth + 1], doing)
            folder = found[0] if found else self._make_folder(path[depth], folder, doing)
        return folder

    def walk(self, prefix: str, recursive: bool, doing: str) -> Iterator[tuple[str, DriveFile]]:
        """Yield every file whose key starts with `prefix`, with its key, in no order.

        Files of the same name come with the same key.
        """
        yield from self._walk(self._top(doing)[0], "", prefix, recursive, doing)

    def _walk(
        self, folder: str, base: str, prefix: str, recursive: bool, doing: str
    ) -> Iterator[tuple[str, DriveFile]]:
        for item in self._query(_in(folder), doing):
            name = str(item["name"])
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                continue  # Drive allows such names; no key can hold them
            key = base + name
            if item.get("mimeType") == FOLDER:
                below = f"{key}/"
                if prefix.startswith(below) or (recursive and below.startswith(prefix)):
                    yield from self._walk(str(item["id"]), below, prefix, recursive, doing)
                continue
            file = read_file(item)
            within = key.startswith(prefix) and (recursive or "/" not in key[len(prefix) :])
            if file is not None and within:
                yield key, file

    def _folders(self, path: list[str], doing: str) -> list[str]:
        """Return the ids of all folders that `path` names, the first made first."""
        folders = [self._top(doing)[0]]
        for name in path:
            items: list[dict[str, Any]] = []
            for folder in folders:
                query = f"{_in(folder)} and name = {_quote(name)} and mimeType = '{FOLDER}'"
                items += [item for item in self._query(query, doing) if item["name"] == name]
            items.sort(key=lambda item: (item["createdTime"], item["id"]))
            folders = [str(item["id"]) for item in items]
        return folders

    def _by_id(self, file_id: str, folders: list[str], doing: str) -> list[DriveFile]:
        try:
            item = self.describe(file_id, doing)
        except DriveAnswerError:
            return []
        file = read_file(item)
        inside = any(parent in folders for parent in item.get("parents") or ())
        return [file] if file is not None and inside else []

    def describe(self, file_id: str, doing: str) -> dict[str, Any]:
        """Return what Drive says of one file; raises `DriveAnswerError` where there is none."""
        request = self._client.files.get(fileId=file_id, fields=FILE_FIELDS, supportsAllDrives=True)
        return self._client.call(request, doing)

    def _make_folder(self, name: str, parent: str, doing: str) -> str:
        body = {"name": name, "mimeType": FOLDER, "parents": [parent]}
        request = self._client.files.create(body=body, fields="id", supportsAllDrives=True)
        return str(self._call_inside(request, doing)["id"])

    def _query(self, query: str, doing: str) -> Iterator[dict[str, Any]]:
        _, drive = self._top(doing)
        place = {"corpora": "drive", "driveId": drive} if drive else {"corpora": "user"}
        token: str | None = None
        while True:
            request = self._client.files.list(
                q=f"{query} and trashed = false",
                fields=f"nextPageToken,incompleteSearch,files({FILE_FIELDS})",
                pageSize=_PAGE,
                pageToken=token,
                spaces="drive",
                supportsAllDrives=True,
                includeItemsFromAllDrives=True,
                **place,
            )
            page = self._call_inside(request, doing)
            if page.get("incompleteSearch"):
                raise StorageError(
                    f"cannot {doing}: Google Drive did not search all of the folder",
                    hint="run the command again",
                    retryable=True,
                )
            yield from page.get("files") or ()
            token = page.get("nextPageToken")
            if not token:
                return

    def _top(self, doing: str) -> tuple[str, str | None]:
        """Return the real id of the folder and of its shared drive, looked up once."""
        with self._lock:
            if self._root is None:
                request = self._client.files.get(
                    fileId=self._folder_id,
                    fields="id,mimeType,driveId,trashed",
                    supportsAllDrives=True,
                )
                item = self._call_inside(request, doing)
                if item.get("mimeType") != FOLDER or item.get("trashed"):
                    raise StorageError(
                        f"cannot {doing}: {self._folder_id} is no folder on Google Drive, or is "
                        "in the bin",
                        hint="take the id from the folder's address: "
                        "https://drive.google.com/drive/folders/ID",
                    )
                drive = item.get("driveId")
                self._root = str(item["id"]), str(drive) if drive else None
            return self._root

    def _call_inside(self, request: Any, doing: str) -> dict[str, Any]:
        # Here a 404 can only mean the folder itself.
        try:
            return self._client.call(request, doing)
        except DriveAnswerError as error:
            who = self._client.account.name
            raise StorageError(
                f"cannot {doing}: the folder {self._folder_id} was not found on Google Drive, or "
                f"is not shared with {who}",
                hint=f"check the id, and share the folder with {who} as an editor",
            ) from error


def read_file(item: dict[str, Any]) -> DriveFile | None:
    """Read a description of FILE_FIELDS; None for what is no object."""
    kind = str(item.get("mimeType", ""))
    if kind.startswith(_GOOGLE_TYPES) or "size" not in item or item.get("trashed"):
        return None
    md5 = item.get("md5Checksum")
    # A reader without the right to edit is not told the revision.
    revision = item.get("headRevisionId") or md5 or item["modifiedTime"]
    return DriveFile(
        id=str(item["id"]),
        name=str(item["name"]),
        size=int(item["size"]),
        md5=cast("str | None", md5),
        revision=str(revision),
        created=str(item["createdTime"]),
        modified=datetime.fromisoformat(str(item["modifiedTime"])).astimezone(UTC),
    )


def _in(folder: str) -> str:
    return f"{_quote(folder)} in parents"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
