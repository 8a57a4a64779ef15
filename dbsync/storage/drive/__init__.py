"""Archives on Google Drive. `open_drive` is the way in.

Must not know: archives, databases, the command line. Never run against the live service: the
tests speak to a Drive of their own over HTTP, through Google's client library.
"""

from __future__ import annotations

from dbsync.storage.drive.client import ROOT, DriveClient
from dbsync.storage.drive.credentials import load_credentials, require_packages
from dbsync.storage.drive.store import DriveStorage
from dbsync.storage.options import StorageOptions

__all__ = ["DriveStorage", "open_drive"]


def open_drive(folder_id: str, options: StorageOptions) -> DriveStorage:
    """Return the store of the files below a folder; nothing is read or sent yet.

    `folder_id` is a folder's or a shared drive's id, or ``root`` for a user's My Drive.
    Credentials are looked for when something is first asked of Drive, and then raise
    `StorageError` where they are missing.
    """

    def connect() -> DriveClient:
        require_packages()
        root = options.drive_endpoint or ROOT
        return DriveClient(load_credentials(options.drive_credentials), f"{root.rstrip('/')}/")

    return DriveStorage(folder_id, connect)
