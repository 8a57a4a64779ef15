"""Settings of the connectors that need more than a URL.

What lives here: `TreasureDataOptions`. Must not know: where the values came from, or a client
library.
"""

from __future__ import annotations

import msgspec


class TreasureDataOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How Treasure Data is read and written. The API key is not here: it is the URL's password."""

    time_range: tuple[int | None, int | None] | None = None
    """Of a source: only rows whose ``time`` lies in it. Unix seconds, half open; None is open."""
    keep_time: bool = True
    """Of a source: ``time`` is a column of each table."""
    time_columns: dict[str, str] = {}
    """Of a target: table pattern (``*`` for every one) to the column that gives ``time``. Without
    it a column of integers called ``time``, or else the moment at which the archive was made."""
    timeout_s: float = 600
    """Bound of one call with its repetitions; a job may run longer as long as it answers."""
    table_parallelism: int = 2
    """Tables that are read or cloned at the same time."""
    download_parallelism: int = 4
    """Ranges of one result that are downloaded at the same time."""
