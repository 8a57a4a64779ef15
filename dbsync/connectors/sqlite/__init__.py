"""The SQLite connector: a database file to and from record batches.

Every access goes through the ADBC driver, which carries its own copy of SQLite: a second copy in
the same process (the standard library's) would break POSIX locks on the same file. Nothing heavy
is imported before a connector is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbsync.connectors.base import Source, Target


def open_source(url: str, *, jobs: int = 2) -> Source:
    """Open the existing file of ``sqlite:///path`` for reading, by up to `jobs` connections.

    ``?immutable=1`` promises that no process writes the file, for media that cannot be written.
    Raises `SourceError` for a missing or unreadable file, which is never created.
    """
    from dbsync.connectors.sqlite.source import SqliteSource

    return SqliteSource(url, jobs=jobs)


def open_target(url: str, *, jobs: int = 2) -> Target:
    """Open the file of ``sqlite:///path`` for writing; it need not exist before `Load.create`.

    SQLite has one writer at a time, so `jobs` is accepted and not used.
    """
    from dbsync.connectors.sqlite.target import SqliteTarget

    del jobs
    return SqliteTarget(url)
