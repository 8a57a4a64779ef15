"""Objects in a folder of Google Drive.

Must not know: archives, databases, the command line.
"""

from __future__ import annotations

from dbsync.errors import UsageError
from dbsync.storage.base import Storage
from dbsync.storage.options import StorageOptions


def open_drive(folder_id: str, options: StorageOptions) -> Storage:
    """Open the folder `folder_id`; nothing is read yet."""
    del folder_id, options
    raise UsageError("gdrive:// locations are not supported yet in this version")
