"""The end of an import: lost answers, refused records, counts that differ, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from dbsync.connectors.base import ChunkId, Emptying
from dbsync.connectors.treasuredata import finish
from dbsync.connectors.treasuredata.table_calls import list_tables, swap_once
from dbsync.errors import ConflictError, LossError, TargetError
from dbsync.model.types import integer
from tests.fakes.treasuredata import FakeTreasureData, bulk_imports, make
from tests.unit.connectors.treasuredata.loading import (
    NUMBERS,
    Chunks,
    column,
    connect,
    database,
    expected,
    load,
    numbers,
    options,
    remains,
    rows,
    table,
    target,
)

NEW: Chunks = {"numbers": numbers(0, 100)}
ALL = expected(0, 100)
OLD = expected(5000)


@pytest.fixture
def fake() -> Iterator[FakeTreasureData]:
    """A service of this test's own."""
    with FakeTreasureData() as service:
        yield service


CHANGES = [
    "create_database", "create_table", "update_schema", "bulk_create", "bulk_upload",
    "bulk_freeze", "bulk_perform", "bulk_commit", "swap", "delete_table", "bulk_delete",
]  # fmt: skip


@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_whose_answer_is_lost_is_made_once(fake: FakeTreasureData, operation: str) -> None:
    """Each request that changes something is done, its answer lost, and then asked for again."""
    fault = fake.fail(operation, "drop_after")
    load(connect(fake), database(NUMBERS), NEW)
    assert fault.struck == 1
    assert rows(fake, "numbers") == ALL
    assert remains(fake) == []


def test_an_append_whose_commit_was_not_answered_is_committed_once(fake: FakeTreasureData) -> None:
    """The second attempt finds the session committed, so the rows are there once."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    fake.fail("bulk_commit", "drop_after")
    fake.imports.hidden_polls = 2
    chosen = options(existing="append", on_conflict="error")
    before = len(fake.requests("bulk_commit"))
    load(connect(fake), database(NUMBERS), NEW, chosen)
    assert rows(fake, "numbers") == [*ALL, *OLD]
    assert len(fake.requests("bulk_commit")) == before + 2


def test_a_swap_whose_answer_was_lost_is_not_undone(fake: FakeTreasureData) -> None:
    """Swapping twice would bring the old rows back: the names are looked at before."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    before = len(fake.requests("swap"))
    fake.fail("swap", "drop_after")
    load(connect(fake), database(NUMBERS), NEW, options(existing="overwrite"))
    assert rows(fake, "numbers") == ALL
    assert len(fake.requests("swap")) == before + 1


def test_a_swap_that_was_refused_is_tried_again(fake: FakeTreasureData) -> None:
    """A failure before the effect is no reason to leave the old rows."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    fake.fail("swap", "drop_before")
    fake.fail("swap", "status", status=503)
    load(connect(fake), database(NUMBERS), NEW, options(existing="overwrite"))
    assert rows(fake, "numbers") == ALL


def test_a_table_that_is_gone_is_not_swapped(fake: FakeTreasureData) -> None:
    """Where neither name belongs to the loaded table, another import has removed it."""
    make(fake.account(), "shop", "numbers", [], [])
    api = connect(fake)
    with pytest.raises(ConflictError, match="another import into table numbers"):
        swap_once(api, "numbers", "dbsync_01234567_0123456789ab", "99")
    assert list(list_tables(api) or {}) == ["numbers"]


@pytest.mark.parametrize("existing", ["overwrite", "append"])
def test_refused_records_are_shown_and_nothing_is_committed(
    fake: FakeTreasureData, existing: Any
) -> None:
    """Error records end the import with the first of them, and leave the old rows alone."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    fake.fail("import_job", "bad_records", size=2)
    chosen = options(existing=existing, on_conflict="error")
    with pytest.raises(TargetError, match="refuses 2 rows and 0 parts of table numbers") as failure:
        load(connect(fake), database(NUMBERS), NEW, chosen)
    assert "'id': 0" in failure.value.message
    assert rows(fake, "numbers") == OLD
    plan = load(connect(fake), database(NUMBERS), NEW, chosen)
    assert plan.resuming
    assert rows(fake, "numbers") == (ALL if existing == "overwrite" else [*ALL, *OLD])
    assert remains(fake) == []


@pytest.mark.parametrize("end", ["error", "killed"])
def test_a_job_that_fails_is_told_and_done_again(fake: FakeTreasureData, end: Any) -> None:
    """A session that has read half of its parts is never committed; the next run begins afresh."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    fake.fail("import_job", end)
    chosen = options(existing="overwrite")
    with pytest.raises(TargetError, match=f"load table numbers: job .* ended with status {end}"):
        load(connect(fake), database(NUMBERS), NEW, chosen)
    assert fake.requests("bulk_commit")[1:] == []
    assert rows(fake, "numbers") == OLD
    load(connect(fake), database(NUMBERS), NEW, chosen)
    assert rows(fake, "numbers") == ALL
    assert remains(fake) == []


def test_rows_that_the_job_does_not_count_are_missed(
    fake: FakeTreasureData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that succeeds, refuses nothing and yet has read fewer rows is not committed."""
    judge = bulk_imports.records.judge

    def forgetful(*given: Any, **more: Any) -> Any:
        judged = judge(*given, **more)
        judged.batches.pop()
        return judged

    monkeypatch.setattr(bulk_imports.records, "judge", forgetful)
    with pytest.raises(TargetError, match="has read 100 of the 200 rows that were sent"):
        load(connect(fake), database(NUMBERS), NEW)
    assert fake.requests("bulk_commit") == []
    monkeypatch.undo()
    load(connect(fake), database(NUMBERS), NEW)
    assert rows(fake, "numbers") == ALL


def test_a_part_that_is_lost_is_noticed_before_the_job(fake: FakeTreasureData) -> None:
    """The parts that the session has are compared with those that were sent."""

    def lose() -> None:
        (session,) = fake.imports.sessions.values()
        session.parts.popitem()

    fake.before("bulk_parts", lose)
    with pytest.raises(TargetError, match="1 are missing and 0 are not of this import"):
        load(connect(fake), database(NUMBERS), NEW)
    assert "numbers" not in fake.account().database("shop").tables


def test_rows_that_do_not_arrive_leave_the_old_table(
    fake: FakeTreasureData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary table with too few rows never takes the place of the final one."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    monkeypatch.setattr(finish, "count_rows", lambda _api, _table: 199)
    with pytest.raises(TargetError, match="199 of the 200 rows that were sent arrived"):
        load(connect(fake), database(NUMBERS), NEW, options(existing="overwrite"))
    assert rows(fake, "numbers") == OLD


def test_rows_that_an_append_does_not_add_are_told(
    fake: FakeTreasureData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is counted before and after."""
    load(connect(fake), database(NUMBERS), {"numbers": numbers(5000)}, options("before"))
    monkeypatch.setattr(finish, "count_rows", lambda _api, _table: 299)
    chosen = options(existing="append", on_conflict="error")
    with pytest.raises(TargetError, match="has 299 rows after 200 were added to 100"):
        load(connect(fake), database(NUMBERS), NEW, chosen)


def test_values_that_do_not_fit_leave_nothing_behind(fake: FakeTreasureData) -> None:
    """No run could go on after them, so the temporary table and the session are removed."""
    source = database(table("wide", column("id", integer(64, unsigned=True))))
    batch = pa.record_batch({"id": pa.array([1, 2**63], pa.uint64())})
    with pytest.raises(LossError, match="table wide, column id: 1 value cannot be integer64"):
        load(connect(fake), source, {"wide": [batch]})
    assert fake.requests("bulk_upload") == []
    assert list(fake.account().database("shop").tables) == []
    assert remains(fake) == []
    fake.fail("delete_table", "status", status=403)
    with pytest.raises(LossError):
        load(connect(fake), source, {"wide": [batch]})


def test_values_are_examined_before_anything_is_written(fake: FakeTreasureData) -> None:
    """The examiner finds by count what the writer would refuse, NULLs of the time included."""
    wide = table("wide", column("id", integer(64, unsigned=True)), column("name"))
    opened = target(connect(fake), time_columns={"*": "id"})
    plan = opened.prepare(database(wide, engine="postgresql"), options())
    examiner = opened.examiner(plan.tables[0])
    assert examiner is not None
    assert set(examiner.columns) == {"id"}
    batch = pa.record_batch({"id": pa.array([1, 2**63, 2**64 - 1, None], pa.uint64())})
    found = [(misfit.column, misfit.count) for misfit in examiner.examine(batch)]
    assert found == [("id", 2), ("id", 2), ("id", 1)]


def test_a_service_without_ids_of_tables_is_refused(
    fake: FakeTreasureData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else tells whether a swap has happened."""
    monkeypatch.setattr(
        fake.account("main"), "create_table", _without_ids(fake.account("main").create_table)
    )
    with pytest.raises(TargetError, match="lists no ids of tables"):
        load(connect(fake), database(NUMBERS), NEW)
    assert fake.requests("bulk_upload") == []


def _without_ids(create: Any) -> Any:
    def made(place: str, name: str) -> Any:
        found = create(place, name)
        found.id = 0
        return found

    return made


def test_several_writers_fill_one_session(fake: FakeTreasureData) -> None:
    """Chunks that are written side by side, into one session, are all there once."""
    opened = target(connect(fake))
    plan = opened.prepare(database(NUMBERS), options())
    with opened.load(plan, options()) as running:
        list(running.create())
        writers = [running.writer(plan.tables[0]) for _ in range(3)]
        for number, (writer, start) in enumerate(zip(writers, (200, 0, 100), strict=True)):
            writer.write(numbers(start)[0])
            writer.write(numbers(start)[0].slice(0, 0))
            digest = f"{number}" * 64
            writer.commit(ChunkId(table=NUMBERS.name, number=number + 1, digest=digest))
        writers[0].write(numbers(900)[0])
        writers[0].__exit__(None, None, None)
        list(running.finalize())
    assert rows(fake, "numbers") == expected(0, 100, 200)
    assert len(fake.requests("bulk_create")) == 1
    assert len(fake.requests("bulk_commit")) == 1


def test_what_is_checked_before_an_import(fake: FakeTreasureData) -> None:
    """`dbsync check` tells region, rights, and what earlier imports have left."""
    found = {item.item: item for item in target(connect(fake)).check()}
    assert "does not exist" in found["database"].found
    make(fake.account(), "shop", "orders", [["id", "long"]], [])
    found = {item.item: item for item in target(connect(fake)).check()}
    assert found["connection"].found == fake.endpoint
    assert found["database"].found == "shop, 1 tables"
    assert found["rights"].found == "administrator"
    assert all(item.ok for item in found.values())
    make(fake.account(), "shop", "dbsync_01234567_0123456789ab", [], [])
    found = {item.item: item for item in target(connect(fake)).check()}
    assert not found["unfinished imports"].ok
    assert found["unfinished imports"].found == "1 temporary tables, 0 bulk imports"
    assert found["database"].found == "shop, 1 tables"


@pytest.mark.parametrize("right", ["query_only", "import_only"])
def test_a_key_that_may_not_write_is_told_what_it_lacks(fake: FakeTreasureData, right: Any) -> None:
    """The item says which right the key has, and which one to ask for."""
    make(fake.account(), "shop", "orders", [["id", "long"]], [])
    api = connect(fake)
    fake.add_key("1/writer", rights={"shop": right})
    (item,) = [item for item in target(api).check() if item.item == "rights"]
    assert not item.ok
    assert item.found.startswith(right)
    assert "full_access" in (item.hint or "")


def test_a_database_is_listed_and_emptied(fake: FakeTreasureData) -> None:
    """A rehearsal uses a database for a while and leaves it empty."""
    opened = target(connect(fake))
    assert isinstance(opened, Emptying)
    assert opened.objects() == []
    make(fake.account(), "shop", "orders", [["id", "long"]], [])
    make(fake.account(), "shop", "items", [["id", "long"]], [])
    assert opened.objects() == ["table items", "table orders"]
    opened.empty()
    assert opened.objects() == []
    assert "shop" in fake.account().databases
