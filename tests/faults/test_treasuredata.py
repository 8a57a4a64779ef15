"""Every fault of Treasure Data that is known: equal data in the end, or an error that says why."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import dbsync
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.download import Download
from dbsync.errors import DbsyncError
from tests.fakes.treasuredata import FakeTreasureData, fill, make
from tests.integration.td_tables import DATABASE, contents

_COLUMNS = [["id", "long"], ["note", "string"], ["sizes", "map<string,long>"]]
_ROWS = 2000
_SOURCE = ("databases", "tables", "issue", "status", "show", "result")
_TARGET = (
    "create_database", "tables", "create_table", "update_schema", "update_table", "bulk_list",
    "bulk_create", "bulk_upload", "bulk_parts", "bulk_freeze", "bulk_perform", "bulk_show",
    "bulk_commit", "issue", "show", "result", "swap", "delete_table", "bulk_delete",
)  # fmt: skip
_ACTIONS: dict[str, dict[str, Any]] = {
    "5xx": {"action": "status", "status": 503},
    "429": {"action": "status", "status": 429, "retry_after": "3"},
    "dropped before": {"action": "drop_before", "size": 10},
    "dropped after": {"action": "drop_after"},
    "dropped in the body": {"action": "drop_body", "size": 7},
}


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let pauses between calls take no time to speak of; those that were asked for are here."""
    pauses: list[float] = []

    def wait(self: Api, seconds: float, stop: threading.Event | None = None) -> None:
        pauses.append(seconds)
        os.sched_yield()

    monkeypatch.setattr(Api, "wait", wait)
    return pauses


@pytest.fixture(autouse=True)
def _several_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Download these small results in several ranges, as those of millions of rows are."""
    monkeypatch.setitem(Download.__init__.__kwdefaults__, "part_bytes", 20_000)


@pytest.fixture
def source() -> Iterator[FakeTreasureData]:
    with FakeTreasureData() as fake:
        fake.add_key("1/source")
        fill(
            fake.account(), DATABASE, "orders", _COLUMNS,
            "SELECT range AS id, repeat(md5(range::VARCHAR), 50) AS note, "
            f"MAP {{'w': range}} AS sizes, range AS time FROM range({_ROWS})",
            expire_days=9,
        )  # fmt: skip
        yield fake


@pytest.fixture
def target() -> Iterator[FakeTreasureData]:
    with FakeTreasureData() as fake:
        fake.add_key("2/target")
        yield fake


def _clone(
    source: FakeTreasureData, target: FakeTreasureData, timeout_s: float = 60, **more: Any
) -> Any:
    return dbsync.clone(
        source.url("1/source", DATABASE),
        target.url("2/target", DATABASE),
        chunk_bytes=64 << 10,
        treasure_data=TreasureDataOptions(timeout_s=timeout_s),
        **more,
    )


def _failure(outcome: Any) -> tuple[int, str]:
    """Return the exit code and the text of what went wrong with the one table."""
    if isinstance(outcome, DbsyncError):
        return outcome.exit_code, f"{outcome.message} {outcome.hint}"
    (failure,) = outcome.imported.failed
    return failure.exit_code, f"{failure.message} {failure.hint}"


def _failing(source: FakeTreasureData, target: FakeTreasureData, **more: Any) -> tuple[int, str]:
    """Clone, and return how that failed; nothing of the table is visible."""
    try:
        outcome: Any = _clone(source, target, **more)
    except DbsyncError as error:
        outcome = error
    if DATABASE in target.account().databases:
        for name, table in contents(target).items():
            assert name.startswith("dbsync_") or table[0] == [], name
    return _failure(outcome)


def _again(source: FakeTreasureData, target: FakeTreasureData) -> None:
    """Clone once more without faults; that leaves equal data and nothing else."""
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)


@pytest.mark.parametrize(
    ("kind", "skip"), [*((kind, 0) for kind in _ACTIONS), ("5xx", 1), ("dropped after", 1)]
)
def test_every_call_survives_one_failure(
    source: FakeTreasureData,
    target: FakeTreasureData,
    waited: list[float],
    kind: str,
    skip: int,
) -> None:
    """The first, or the second, request of every operation fails: the data are equal."""
    faults = [
        fake.fail(operation, skip=skip, **_ACTIONS[kind])
        for fake, operations in ((source, _SOURCE), (target, _TARGET))
        for operation in operations
    ]
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)
    struck = {fault.operation for fault in faults if fault.struck}
    assert struck >= ({"issue", "result", "bulk_commit", "swap"} if skip == 0 else {"bulk_upload"})
    if kind == "429":
        assert max(waited) >= 3
    assert len(source.jobs.issued) == 1


def test_a_failure_that_does_not_pass_ends_in_time(
    source: FakeTreasureData, target: FakeTreasureData
) -> None:
    """What always fails is given up after --timeout, with the side's exit code and the status.

    Of a result all ranges but the first fail, which td-client's own download takes for a success.
    """
    source.fail("result", "status", status=502, times=10**6, skip=1)
    code, text = _failing(source, target, timeout_s=0.5)
    assert (code, "502" in text, "orders" in text) == (3, True, True)
    source.faults.clear()
    target.fail("bulk_upload", "status", status=502, times=10**6)
    code, text = _failing(source, target, timeout_s=0.5)
    assert (code, "502" in text, "orders" in text) == (4, True, True)
    target.faults.clear()
    _again(source, target)


@pytest.mark.parametrize("rows", [0, _ROWS - 1])
def test_a_truncated_result_of_consistent_length_is_found(
    source: FakeTreasureData, target: FakeTreasureData, rows: int
) -> None:
    """A result that is sound and has fewer rows than the job says is an error, never a table."""
    source.fail("query_job", "truncated", size=rows)
    code, text = _failing(source, target)
    assert code == 3
    assert "orders" in text
    assert f"{_ROWS}" in text.replace(",", "")
    _again(source, target)


@pytest.mark.parametrize(("action", "size"), [("short", 1), ("short", 5000), ("drop_body", 5000)])
def test_a_range_that_is_cut_goes_on(
    source: FakeTreasureData, target: FakeTreasureData, action: Any, size: int
) -> None:
    """A range that ends early is asked for again from there: the data are equal."""
    fault = source.fail("result", action, size=size, times=6)
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)
    assert fault.struck == 6
    assert len(source.requests("result")) > 8


def test_a_service_without_ranges_is_refused(
    source: FakeTreasureData, target: FakeTreasureData
) -> None:
    """Where 200 with everything answers a range, nothing is guessed."""
    source.fail("result", "whole", times=10**6)
    code, text = _failing(source, target)
    assert (code, "ranges" in text, "orders" in text) == (3, True, True)


@pytest.mark.parametrize("action", ["error", "killed"])
def test_a_query_that_ends_badly(
    source: FakeTreasureData, target: FakeTreasureData, action: Any
) -> None:
    """A job with an error, or killed, is named with what it said; there is no table."""
    source.fail("query_job", action)
    code, text = _failing(source, target)
    job = source.jobs.issued[0].id
    assert (code, job in text, "orders" in text) == (3, True, True)
    assert "by arrangement" in text
    _again(source, target)


@pytest.mark.parametrize(("action", "parts"), [("error", 0), ("error", 99), ("killed", 1)])
def test_an_import_job_that_ends_badly(
    source: FakeTreasureData, target: FakeTreasureData, action: Any, parts: int
) -> None:
    """A session whose job failed is not committed, although the service would do it."""
    target.fail("import_job", action, size=parts)
    code, text = _failing(source, target)
    assert (code, "orders" in text, f"ended with status {action}" in text) == (4, True, True)
    assert target.requests("bulk_commit") == []
    _again(source, target)


def test_rows_that_vanish_in_a_session_or_a_commit(
    source: FakeTreasureData, target: FakeTreasureData
) -> None:
    """Fewer rows than were sent are never put in place, whether the service counts them or not."""
    target.fail("import_job", "lost_records", size=1)
    code, text = _failing(source, target)
    assert (code, f"{_ROWS - 1} of the {_ROWS}" in text, "orders" in text) == (4, True, True)
    assert target.requests("bulk_commit") == []
    target.fail("commit_job", "lost_records", size=1)
    code, text = _failing(source, target)
    assert (code, f"{_ROWS - 1} of the {_ROWS}" in text, "orders" in text) == (4, True, True)
    assert target.requests("swap") == []
    _again(source, target)


def test_error_records_are_refused_and_shown(
    source: FakeTreasureData, target: FakeTreasureData
) -> None:
    """A session with refused records is not committed; the error counts them and shows some."""
    target.fail("import_job", "bad_records", size=3)
    code, text = _failing(source, target)
    assert code == 4
    assert "3" in text
    assert "orders" in text
    assert target.requests("bulk_commit") == []
    assert target.requests("bulk_errors") != []
    _again(source, target)


def test_integer_timestamps_and_lagging_counters(
    source: FakeTreasureData, target: FakeTreasureData
) -> None:
    """Table lists with integer last_log_timestamp are read, and no counter is believed."""
    source.integer_timestamps = target.integer_timestamps = True
    make(source.account(), DATABASE, "counted_wrong", [["a", "int"]], [{"a": 1}] * 3)
    source.account().table(DATABASE, "counted_wrong").count = 0
    source.account().table(DATABASE, "orders").count = 10**9
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)


def test_states_that_take_their_time(source: FakeTreasureData, target: FakeTreasureData) -> None:
    """Jobs that are queued for long, and commits that are not done at once, are waited for."""
    source.jobs.hidden_polls = target.jobs.hidden_polls = 5
    target.imports.hidden_polls = 3
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)


@pytest.mark.parametrize("operation", ["bulk_upload", "bulk_freeze", "bulk_commit"])
def test_a_session_that_is_lost(
    source: FakeTreasureData, target: FakeTreasureData, operation: str
) -> None:
    """A session that is gone in the middle ends the import, and the next one makes the table."""
    target.fail(operation, "forget")
    code, text = _failing(source, target)
    assert code in (4, 8)
    assert "orders" in text
    _again(source, target)


@pytest.mark.parametrize(
    ("operation", "side", "code"),
    [("result", "source", 3), ("show", "source", 3), ("bulk_upload", "target", 4),
     ("bulk_commit", "target", 4), ("swap", "target", 4)],
)  # fmt: skip
def test_a_key_that_expires_in_the_middle(
    source: FakeTreasureData, target: FakeTreasureData, operation: str, side: str, code: int
) -> None:
    """A key that is rejected half-way gives the side's message at once; nothing half is left."""
    fake, key = (source, "1/source") if side == "source" else (target, "2/target")
    fake.fail(operation, "revoke")
    found, text = _failing(source, target)
    assert found == code
    wanted = "Source database does not exist or access denied." if code == 3 else (
        "Authentication failed for destination table."
    )  # fmt: skip
    assert wanted in text
    assert key not in text
    fake.add_key(key)
    _again(source, target)


def test_a_stalled_body_is_given_up_and_asked_for_again(
    source: FakeTreasureData, target: FakeTreasureData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that says nothing more is left after a while, and the rest comes by another."""
    monkeypatch.setattr("dbsync.connectors.treasuredata.wire._READ_S", 0.3)
    source.fail("result", "stall_body", size=50)
    target.fail("bulk_freeze", "stall")
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)


def test_a_gzip_of_several_members_is_read_whole(
    source: FakeTreasureData, target: FakeTreasureData
) -> None:
    """What follows the first member of a result's gzip is not lost."""
    source.jobs.gzip_members = 3
    fill(
        source.account(), DATABASE, "long", [["n", "long"]],
        "SELECT range AS n, 0 AS time FROM range(50000)",
    )  # fmt: skip
    fill(
        source.account(), DATABASE, "longer", [["n", "long"]],
        "SELECT range AS n, 0 AS time FROM range(50001)",
    )  # fmt: skip
    assert _clone(source, target).imported.failed == ()
    assert contents(target) == contents(source)
