"""Queries as jobs of the service: submitted once, waited for, asked about.

What lives here: the calls about jobs, in their order. Must not know: SQL, what a result holds.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, cast

import msgspec

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.failures import AnswerError

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.wire import Wire

FAILED = ("error", "killed")
_FINISHED = ("success", *FAILED)
_FIRST_POLL_S = 0.1
_LONGEST_POLL_S = 5.0
_LONGEST_TAIL = 600


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A finished query: how many rows its result has, and how many bytes it is stored in."""

    id: str
    rows: int
    bytes: int


def run_query(
    api: Api, doing: str, sql: str, domain_key: str, *, stop: threading.Event | None = None
) -> Job:
    """Run a query with Trino and return its job once it has succeeded.

    `domain_key` stands for this one query: the service runs it once, however often it is sent, so
    that the same key gives the same result again. `doing` continues "cannot". A job that nobody
    waits for any more is killed. Raises the error of the api's side.
    """
    job_id = _submit(api, doing, sql, domain_key)
    try:
        _wait(api, doing, job_id, stop)
    except BaseException:
        _kill(api, job_id)
        raise
    return _result(api, doing, job_id, _succeeded(api, doing, job_id))


def wait_for_job(api: Api, doing: str, job_id: str) -> None:
    """Wait until a job has succeeded, however long that takes; `doing` continues "cannot".

    Raises the error of the api's side, with the job's id and its last words, where it has not: a
    job that failed or was killed answers like one that succeeded, so its status is looked at.
    """
    _wait(api, doing, job_id, None)
    _succeeded(api, doing, job_id)


def job_status(api: Api, job_id: str) -> str:
    """Ask for a job's status: queued, booting, running, success, error or killed."""
    return str(api.run(f"look at job {job_id}", lambda wire: wire.job_status(job_id)))


def _submit(api: Api, doing: str, sql: str, domain_key: str) -> str:
    def issue(wire: Wire) -> str:
        return wire.query(sql, "trino", api.address.database, domain_key=domain_key)

    try:
        return api.run(doing, issue, answers=(404, 409))
    except AnswerError as answer:
        first = answer.fields.get("conflicts_with")
        if answer.status == 409 and first:
            return str(first)
        if answer.status == 404:
            raise api.refused(404, doing) from answer
        raise api.side(f"cannot {doing}: Treasure Data answers {answer}") from answer


def _wait(api: Api, doing: str, job_id: str, stop: threading.Event | None) -> None:
    """Wait until a job has finished, for as long as the service says that it goes on."""
    pause = _FIRST_POLL_S
    while api.run(doing, lambda wire: wire.job_status(job_id), stop=stop) not in _FINISHED:
        if stop is not None and stop.is_set():
            raise api.side(f"cannot {doing}: the work was stopped")
        api.wait(pause, stop)
        pause = min(_LONGEST_POLL_S, pause * 1.5)


def _succeeded(api: Api, doing: str, job_id: str) -> dict[str, Any]:
    """Return what the service tells of a finished job; raises where it has not succeeded."""
    shown = api.run(doing, lambda wire: wire.get_json(f"/v3/job/show/{job_id}", ["status"]))
    status = shown["status"]
    if status != "success":
        raise api.side(
            f"cannot {doing}: job {job_id} ended with status {status}{_tail(shown)}",
            hint="see the job in the console of Treasure Data"
            if status == "error"
            else "someone stopped the job; run the same command again",
            retryable=status == "killed",
        )
    return shown


def _result(api: Api, doing: str, job_id: str, shown: dict[str, Any]) -> Job:
    rows, size = shown.get("num_records"), shown.get("result_size")
    if not (isinstance(rows, int) and isinstance(size, int)):
        raise api.side(
            f"cannot {doing}: Treasure Data does not say how many rows job {job_id} has, without "
            "which nothing proves that all of them have arrived",
            hint="run the same command again",
            retryable=True,
        )
    return Job(id=job_id, rows=rows, bytes=size)


def _tail(shown: dict[str, Any]) -> str:
    """Give the end of what the job printed, which has the reason."""
    debug = shown.get("debug")
    fields = cast("dict[str, Any]", debug) if isinstance(debug, dict) else {}
    printed = next((str(fields[n]) for n in ("stderr", "cmdout") if fields.get(n)), "")
    printed = printed.strip()[-_LONGEST_TAIL:]
    return f": {printed}" if printed else ""


def _kill(api: Api, job_id: str) -> None:
    """Stop a job, if that can be done at once."""
    at_once = threading.Event()
    at_once.set()
    with contextlib.suppress(Exception):
        api.run("stop the query", lambda wire: wire.kill(job_id), stop=at_once)
