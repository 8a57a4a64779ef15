"""MySQL 8.0 and later and MariaDB 10.6 and later, as a source and as a target.

What lives here: the two functions that open the connector; drivers are imported only by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbsync.connectors.base import Source, Target


def open_source(url: str, *, jobs: int = 2) -> Source:
    """Open the database that `url` names for reading rows over up to `jobs` connections.

    The caller closes it. Raises `SourceError` where the database cannot be reached.
    """
    from dbsync.connectors.mysql.source import MysqlSource

    return MysqlSource(url, jobs=jobs)


def open_target(url: str, *, jobs: int = 2) -> Target:
    """Open the database that `url` names for writing over up to `jobs` connections.

    The caller closes it. Raises `TargetError` where the database cannot be reached.
    """
    from dbsync.connectors.mysql.target import MysqlTarget

    return MysqlTarget(url, jobs=jobs)
