"""Counting the rows of a table.

Must not know: why somebody counts.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.jobs import run_query
from dbsync.connectors.treasuredata.query import quote
from dbsync.errors import TargetError


def count_rows(api: Api, table: str) -> int:
    """Count a table's rows by a query; the counter in the list of tables may lag for minutes."""
    doing = f"count the rows of table {table}"
    job = run_query(api, doing, f"SELECT count(*) FROM {quote(table)}", f"dbsync-{uuid4().hex}")
    found = cast("list[Any]", api.run(doing, lambda wire: wire.job_result(job.id)))
    if len(found) != 1 or len(found[0]) != 1:
        raise TargetError(
            f"cannot {doing}: the result of job {job.id} has {len(found)} rows",
            hint="run the same command again",
            retryable=True,
        )
    return int(found[0][0])
