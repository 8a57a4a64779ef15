"""Looking whether a folder can take archives, before it has to.

Must not know: what an archive is, or any database.
"""

from __future__ import annotations

import secrets

from dbsync.errors import UsageError
from dbsync.storage.location import open_location
from dbsync.storage.options import StorageOptions


class _AbandonedError(Exception):
    """Ends a write before it becomes visible."""


def probe_folder(text: str, storage_options: StorageOptions | None = None) -> None:
    """List a folder and begin to write into it; nothing becomes visible there.

    Raises `UsageError` for what is no folder, and `StorageError` as the store does. A store that
    keeps the first bytes to itself is not asked whether it may be written to.
    """
    location = open_location(text, storage_options)
    if not location.is_folder:
        raise UsageError(f"{location.display} is no folder", hint="end the location with /")
    next(iter(location.storage.list("", recursive=False)), None)
    key = f"dbsync-probe-{secrets.token_hex(8)}"
    try:
        with location.storage.put_stream(key, size_hint=1) as out:
            out.write(b"\0")
            raise _AbandonedError  # noqa: TRY301 - the only way to leave nothing behind
    except _AbandonedError:
        return
