"""The Treasure Data connector: a database of the service to and from record batches.

Rows are read as the results of queries and written by bulk import, over the HTTP client that the
service's makers publish (td-client). Nothing heavy is imported before a connector is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbsync.connectors.base import Source, Target
    from dbsync.connectors.options import TreasureDataOptions


def open_source(url: str, *, jobs: int = 1, treasure_data: TreasureDataOptions) -> Source:
    """Open the database of ``td://:KEY@region-or-host/database`` for reading.

    Asks for the list of tables at once. Raises `SourceError` for a rejected key, a missing right,
    an unknown database and an endpoint that cannot be reached. `jobs` is not used: how many tables
    and ranges are read at the same time stands in `treasure_data`.
    """
    from dbsync.connectors.treasuredata.address import parse_url
    from dbsync.connectors.treasuredata.client import Api
    from dbsync.connectors.treasuredata.source import TreasureDataSource
    from dbsync.errors import SourceError

    del jobs
    api = Api(parse_url(url), SourceError, timeout_s=treasure_data.timeout_s)
    return TreasureDataSource(api, treasure_data)


def open_target(url: str, *, jobs: int = 1, treasure_data: TreasureDataOptions) -> Target:
    """Open the database of ``td://:KEY@region-or-host/database`` for writing.

    It need not exist before `Load.create`. Nothing is asked before a method is called; `jobs` is
    not used, since one connector serves any number of writers.
    """
    from dbsync.connectors.treasuredata.address import parse_url
    from dbsync.connectors.treasuredata.client import Api
    from dbsync.connectors.treasuredata.target import TreasureDataTarget
    from dbsync.errors import TargetError

    del jobs
    api = Api(parse_url(url), TargetError, timeout_s=treasure_data.timeout_s)
    return TreasureDataTarget(api, treasure_data)
