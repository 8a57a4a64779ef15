"""How an upload is cut into parts.

What lives here: the size of parts, all equal but the last as some stores demand (R2), and how many
are under way at once. Must not know: how a part is sent.

S3 takes 10,000 parts of 5 MiB to 5 GiB
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
"""

from __future__ import annotations

from typing import NamedTuple

from dbsync.errors import StorageError

MOST_PARTS = 10_000
_MIB = 1 << 20
_LEAST = 16 * _MIB
_UNKNOWN = 64 * _MIB
_MOST = 1 << 30
# An estimate may be too low by so much.
_MARGIN = 1.25
_IN_FLIGHT_BYTES = 64 * _MIB


class Parts(NamedTuple):
    """Memory is `size` times (`in_flight` + 1): one part is being filled meanwhile."""

    size: int
    in_flight: int


def plan_parts(size_hint: int | None, chosen: int | None, what: str) -> Parts:
    """Choose the size of parts for an object of about `size_hint` bytes.

    `chosen` is the user's own choice. Raises `StorageError` where 10,000 of them cannot be enough.
    """
    if chosen is not None:
        size, enough = chosen, chosen * MOST_PARTS >= (size_hint or 0)
    elif size_hint is None:
        size, enough = _UNKNOWN, True
    else:
        wanted = int(size_hint * _MARGIN) // MOST_PARTS
        size = max(_LEAST, -(-wanted // _MIB) * _MIB)
        enough = size <= _MOST
    if not enough:
        raise StorageError(
            f"cannot write {what}: an estimated {(size_hint or 0) / (1 << 30):,.0f} GiB do not fit "
            f"into {MOST_PARTS:,} parts of {min(size, _MOST) // _MIB:,} MiB",
            hint="pass a larger --s3-part-bytes, or export the tables into several archives",
        )
    return Parts(size, max(2, min(8, _IN_FLIGHT_BYTES // size)))


def too_many(what: str, size: int) -> StorageError:
    """Say that an upload needs more parts than there can be."""
    return StorageError(
        f"cannot write {what}: it is larger than {MOST_PARTS:,} parts of {size // _MIB:,} MiB",
        hint=f"run the command again with --s3-part-bytes {size // _MIB * 4}MiB",
    )
