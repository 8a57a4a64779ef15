"""Reading a range of an object whole, whatever pieces the store gives it in.

Must not know: what the bytes mean, or how stores repeat a request.
"""

from __future__ import annotations

from dbsync.errors import StorageError
from dbsync.storage.base import Storage


def read_range(storage: Storage, key: str, offset: int, length: int, version: str) -> bytes:
    """Return exactly `length` bytes at `offset` of the object's `version`.

    Raises `StorageError` where the store gives fewer.
    """
    with storage.open(key, offset=offset, length=length, version=version) as stream:
        parts: list[bytes] = []
        left = length
        while left:
            part = stream.read(left)
            if not part:
                raise StorageError(
                    f"{key}: the store returned {length - left} of {length} bytes at {offset}",
                    hint="try again; if it stays, the object is damaged",
                    retryable=True,
                )
            parts.append(part)
            left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
