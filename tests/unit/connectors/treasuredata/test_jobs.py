"""Queries as jobs: submitted once, waited for, and believed only where they succeeded."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dbsync.connectors.treasuredata.jobs import Job, run_query
from dbsync.errors import SourceError
from tests.unit.connectors.treasuredata.scripted import (
    Answer,
    Time,
    answer,
    api_for,
    drop,
    scripted,
)

ISSUED = answer(body={"job_id": "7"})


def is_(status: str) -> Answer:
    return answer(body={"job_id": "7", "status": status})


def shown(status: str = "success", **more: Any) -> Answer:
    return answer(body={"status": status, "num_records": 5, "result_size": 99, **more})


def run(host: str, time: Time) -> Job:
    return run_query(api_for(host, time), "read table orders", "SELECT 1", "key-1")


def test_a_query_is_submitted_waited_for_and_asked_about(time: Time) -> None:
    """A job has its rows and bytes from the service, after pauses that grow up to a bound."""
    steps = [is_("queued"), is_("booting"), *[is_("running")] * 20, is_("success")]
    with scripted(ISSUED, *steps, shown()) as script:
        assert run(script.host, time) == Job(id="7", rows=5, bytes=99)
    assert script.asked[0].path == "/v3/job/issue/trino/shop"
    for field in (b'name="domain_key"', b"key-1", b'name="query"', b"SELECT 1"):
        assert field in script.asked[0].body
    assert time.waits == sorted(time.waits)
    assert (time.waits[0], time.waits[-1]) == (0.1, 5)


@pytest.mark.parametrize("before", [[drop], [answer(502)], []], ids=["dropped", "502", "at once"])
def test_a_query_that_was_submitted_already_is_not_run_twice(
    before: list[Answer], time: Time
) -> None:
    """A repetition is refused with the first job's id, whose result is then taken."""
    conflict = answer(409, {"conflicts_with": "41", "error": "conflict"})
    with scripted(*before, conflict, is_("success"), shown()) as script:
        assert run(script.host, time).id == "41"
    assert script.asked[-1].path == "/v3/job/show/41"
    keys = {asked.body.count(b"key-1") for asked in script.asked if asked.method == "POST"}
    assert keys == {1}


def test_a_conflict_without_an_id_is_an_error(time: Time) -> None:
    """Where the service does not name the job, nothing is guessed."""
    busy = answer(409, {"text": "busy"})
    with scripted(busy) as script, pytest.raises(SourceError, match="HTTP 409 busy"):
        run(script.host, time)


@pytest.mark.parametrize("status", ["error", "killed"])
def test_a_job_that_failed_is_an_error_with_its_last_words(status: str, time: Time) -> None:
    """td-client's wait() returns for failed jobs as for others; here the status is looked at, and
    the end of what the job printed is told, with its id."""
    said = "x" * 5000 + " line 1:8: Column 'q' cannot be resolved"
    failed = shown(status, debug={"cmdout": "started", "stderr": said})
    with scripted(ISSUED, is_(status), failed) as script, pytest.raises(SourceError) as caught:
        run(script.host, time)
    assert f"job 7 ended with status {status}: xxx" in caught.value.message
    assert caught.value.message.endswith("Column 'q' cannot be resolved")
    assert len(caught.value.message) < 1000
    assert script.asked[-1].method == "GET"


@pytest.mark.parametrize("missing", ["num_records", "result_size"])
def test_a_result_that_nobody_counted_is_not_believed(missing: str, time: Time) -> None:
    """Without the number of rows and bytes nothing proves that a result is whole."""
    with (
        scripted(ISSUED, is_("success"), shown(**{missing: None})) as script,
        pytest.raises(SourceError, match="does not say how many rows"),
    ):
        run(script.host, time)


def test_an_unknown_database_is_told_as_one(time: Time) -> None:
    """404 to a query means the database, for which there is a message of its own."""
    with scripted(answer(404)) as script, pytest.raises(SourceError) as caught:
        run(script.host, time)
    assert caught.value.message.startswith("Source database does not exist or access denied.")
    assert (caught.value.hint or "").startswith("404: ")


def test_a_job_goes_on_longer_than_the_timeout_of_a_call(time: Time) -> None:
    """Only silence is bounded: a job may run for hours as long as it answers."""
    with scripted(ISSUED, *[is_("running")] * 300, is_("success"), shown()) as script:
        run(script.host, time)
    assert time.now > 2 * 600


def test_a_job_that_nobody_waits_for_any_more_is_killed(time: Time) -> None:
    """Whoever leaves, leaves no query running behind."""
    stop = threading.Event()

    def last(handler: Any) -> None:
        stop.set()
        is_("running")(handler)

    with scripted(
        ISSUED, is_("running"), last, answer(body={"former_status": "running"})
    ) as script:
        api = api_for(script.host, time)
        with pytest.raises(SourceError, match="stopped"):
            run_query(api, "read table orders", "SELECT 1", "key-1", stop=stop)
    assert script.asked[-1].path == "/v3/job/kill/7"
