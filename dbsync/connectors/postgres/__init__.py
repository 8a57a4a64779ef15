"""PostgreSQL 14 to 18 as a source and as a target.

What lives here: the two functions that open the connector; drivers are imported only by them.
"""

from __future__ import annotations

from dbsync.connectors.base import Source, Target


def open_source(url: str, *, schema: str | None = None, jobs: int = 2) -> Source:
    """Open a database for reading: all schemas but the system's, or only `schema`.

    `jobs` is the number of connections that the caller means to read rows over at the same time.
    The caller closes it. Raises `SourceError` where the database cannot be reached.
    """
    from dbsync.connectors.postgres.source import PostgresSource

    return PostgresSource(url, schema=schema, jobs=jobs)


def open_target(url: str, *, schema: str | None = None, jobs: int = 2) -> Target:
    """Open a database for writing, with up to `jobs` connections; every table goes into `schema`.

    The caller closes it. Raises `TargetError` where the database cannot be reached.
    """
    from dbsync.connectors.postgres.target import PostgresTarget

    return PostgresTarget(url, schema=schema, jobs=jobs)
