"""Jobs that a target waits for: those of bulk imports, and the counting of rows.

What lives here: waiting for the end of a job, `count_rows`. Must not know: rows of results.

A job that ends as ``error`` or ``killed`` answers like one that succeeded, so its status is always
looked at.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.jobs import run_query
from dbsync.connectors.treasuredata.query import quote
from dbsync.errors import TargetError

FAILED = ("error", "killed")
_POLL_S = (0.1, 5.0)
"""The first pause and the longest between two looks at a job."""
_LAST_WORDS = 500


def job_status(api: Api, job_id: str) -> str:
    """Ask for a job's status: queued, booting, running, success, error or killed."""
    return str(api.run(f"look at job {job_id}", lambda wire: wire.job_status(job_id)))


def wait_for_job(api: Api, job_id: str, doing: str) -> None:
    """Wait for the success of a job, however long it takes; `doing` continues "cannot".

    Raises `TargetError` with the job's id and its last words where it fails or is killed.
    """
    pause = _POLL_S[0]
    while (status := job_status(api, job_id)) != "success":
        if status in FAILED:
            debug = api.run(f"look at job {job_id}", lambda wire: wire.show_job(job_id)["debug"])
            said = _last_words(debug)
            raise TargetError(
                f"cannot {doing}: job {job_id} of Treasure Data ended as {status}{said}",
                hint="look at the job in the console; run the same command again to repeat it",
            )
        api.wait(pause)
        pause = min(pause * 2, _POLL_S[1])


def _last_words(debug: object) -> str:
    told = cast("dict[str, Any]", debug) if isinstance(debug, dict) else {}
    text = str(told.get("stderr") or told.get("cmdout") or "").strip()
    return f": {text[-_LAST_WORDS:]}" if text else ""


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
