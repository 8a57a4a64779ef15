"""Names of archives in a folder: the database, the time, and the suffix.

What lives here: making such a name and reading it again. Must not know: what is in an archive, or
where it is.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

import msgspec

SUFFIX = ".dbsync.tar"
_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(
    r"(?P<stem>[A-Za-z0-9_][A-Za-z0-9._-]*)-(?P<time>[0-9]{8}T[0-9]{6}Z)\.dbsync\.tar"
)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""An archive's head cannot say an earlier time."""


class ArchiveName(msgspec.Struct, frozen=True, kw_only=True):
    """What the name of an archive says."""

    stem: str
    """What the database's name became, as `stem_of` gives it."""
    moment: datetime
    """When the archive was begun: UTC, whole seconds."""


def archive_name(database: str, now: datetime) -> str:
    """Name a new archive of `database` made at `now` (with a time zone)."""
    return f"{stem_of(database)}-{now.astimezone(UTC):{_TIME}}{SUFFIX}"


def parse_archive_name(name: str) -> ArchiveName | None:
    """Read a name that `archive_name` could have made; None for any other."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return ArchiveName(stem=match["stem"], moment=moment) if moment >= _EARLIEST else None


def stem_of(database: str) -> str:
    """Return what the names of a database's archives begin with.

    Letters, digits, dots, underscores and hyphens of the database's name are kept; where anything
    else had to be replaced, a digest keeps two databases from sharing names.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", database).lstrip(".-")[:100]
    if safe == database and safe:
        return safe
    digest = hashlib.sha256(database.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{safe or 'database'}.{digest}"
