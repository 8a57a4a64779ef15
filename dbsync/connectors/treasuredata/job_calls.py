"""Jobs that a target waits for: those of bulk imports, and the counting of rows.

What lives here: waiting for the end of a job, `count_rows`. Must not know: rows of results.

A job that ends as ``error`` or ``killed`` answers like one that succeeded, so its status is always
looked at. A query is submitted under a key of its own (``domain_key``): where the answer was lost,
the repetition is refused and names the job that it has made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.failures import AnswerError
from dbsync.errors import TargetError

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.wire import Wire

FAILED = ("error", "killed")
_POLL_S = (0.5, 10.0)
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
    key, database = f"dbsync-{uuid4()}", api.address.database
    sql = f'SELECT count(*) AS "rows" FROM "{table}"'

    def submit(wire: Wire) -> str:
        return wire.query(sql, type="trino", db=database, domain_key=key)

    def submitted(error: AnswerError) -> str:
        known = error.fields.get("conflicts_with")
        if error.status != 409 or not known:
            raise error
        return str(known)

    job_id = api.run(doing, submit, settled=submitted)
    wait_for_job(api, job_id, doing)
    found = cast("list[Any]", api.run(doing, lambda wire: wire.job_result(job_id)))
    if len(found) != 1 or len(found[0]) != 1:
        raise TargetError(
            f"cannot {doing}: the result of job {job_id} has {len(found)} rows",
            hint="run the same command again",
            retryable=True,
        )
    return int(found[0][0])
