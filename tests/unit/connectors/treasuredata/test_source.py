"""Reading from a service that answers like Treasure Data, through the interface of a source."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pytest

from dbsync.connectors.base import Source
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import open_source
from dbsync.connectors.treasuredata.failures import SOURCE_REFUSED
from dbsync.connectors.treasuredata.source_check import check_items
from dbsync.errors import SourceError
from dbsync.model.selection import Selection
from tests.fakes.treasuredata import FakeTreasureData, fill, make
from tests.unit.connectors.treasuredata.scripted import Time, answer, api_for, scripted

KEY = "1/secret0123456789"
TYPES = [
    ["id", "long"], ["n", "int"], ["f", "float"], ["d", "double"], ["s", "string"],
    ["tags", "array<string>"], ["m", "map<string,long>"], ["deep", "array<array<double>>"],
]  # fmt: skip
ROWS = [
    {
        "id": 2**63 - 1, "n": -(2**31), "f": 0.5, "d": math.inf, "s": "žluťoučký\n\t'\"",
        "tags": ["a", None, "ü"], "m": {"x": -(2**63), "y": None}, "deep": [[1.5], [], None],
        "time": 1_600_000_000,
    },
    {"id": None, "time": 1_600_003_600},
    {"id": 0, "n": 0, "f": -0.0, "d": 1e-300, "s": "", "tags": [], "m": {}, "deep": [],
     "time": 1_600_007_200},
]  # fmt: skip


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTreasureData]:
    with FakeTreasureData() as server:
        server.add_key(KEY, "tokyo")
        account = server.account("tokyo")
        make(account, "sales", "orders", TYPES, ROWS, expire_days=30)
        make(account, "sales", "empty", [["id", "long"]], [])
        make(account, "sales", "dbsync_0123abcd_0123456789ab", [["id", "long"]], [])
        select = "SELECT range AS id, 'name ' || range AS s, range AS time FROM range(20000)"
        fill(account, "sales", "many", [["id", "long"], ["s", "string"]], select)
        yield server


@contextmanager
def source(
    fake: FakeTreasureData, *, key: str = KEY, database: str = "sales", **options: Any
) -> Iterator[Source]:
    settings = TreasureDataOptions(**options)
    with closing(open_source(fake.url(key, database), treasure_data=settings)) as opened:
        yield opened


def rows(opened: Source, name: str, selection: Selection | None = None) -> list[dict[str, Any]]:
    with opened.snapshot(selection or Selection()) as snapshot:
        table = next(t for t in snapshot.database.tables if t.name.name == name)
        return [
            row
            for partition in snapshot.partitions(table, 1)
            for batch in snapshot.read(table, partition)
            for row in batch.to_pylist()
        ]


def test_every_type_is_read_as_it_was_written(fake: FakeTreasureData) -> None:
    """Values of every type, the extreme ones and NULL, come out as they are stored."""
    with source(fake) as opened:
        found = {row["time"]: row for row in rows(opened, "orders")}
    assert found[1_600_000_000] == {
        **ROWS[0],
        "tags": '["a",null,"ü"]',
        "m": '{"x":-9223372036854775808,"y":null}',
        "deep": "[[1.5],[],null]",
    }
    assert set(found[1_600_003_600].values()) == {None, 1_600_003_600}
    last = found[1_600_007_200]
    assert (last["s"], last["tags"], last["m"], last["deep"]) == ("", "[]", "{}", "[]")
    assert math.copysign(1, last["f"]) == -1


def test_the_snapshot_says_what_it_holds(fake: FakeTreasureData) -> None:
    """Tables, expiry and consistency stand in the snapshot; tables of an import do not."""
    with source(fake) as opened, opened.snapshot(Selection()) as snapshot:
        tables = {table.name.name: table for table in snapshot.database.tables}
        assert list(tables) == ["empty", "many", "orders"]
        assert tables["orders"].details["expire_days"] == "30"
        assert tables["many"].rows_estimate == 20_000
        assert (snapshot.database.engine, snapshot.database.name) == ("treasuredata", "sales")
        assert snapshot.consistency.level == "per_table"


def test_an_empty_table_has_no_rows(fake: FakeTreasureData) -> None:
    """A result without rows is one."""
    with source(fake) as opened:
        assert rows(opened, "empty") == []


def test_integer_timestamps_in_the_list_of_tables_do_no_harm(fake: FakeTreasureData) -> None:
    """td-client's tables() raises AttributeError where last_log_timestamp is an integer."""
    fake.integer_timestamps = True
    try:
        with source(fake) as opened:
            assert len(rows(opened, "orders")) == 3
    finally:
        fake.integer_timestamps = False


def test_conditions_and_time_ranges_choose_rows(fake: FakeTreasureData) -> None:
    """`--where` and `--td-time-range` meet; a range is half open, and needs no column time."""
    chosen = Selection(where={"many": "id % 2 = 0 -- even"}, columns={"many": ("id",)})
    with source(fake, time_range=(10, 20), keep_time=False) as opened:
        assert [row["id"] for row in rows(opened, "many", chosen)] == [10, 12, 14, 16, 18]
    with source(fake, time_range=(None, 3)) as opened:
        assert len(rows(opened, "many")) == 3
    with source(fake, time_range=(19_999, None)) as opened:
        assert len(rows(opened, "many")) == 1


def test_time_may_be_left_out(fake: FakeTreasureData) -> None:
    """`--td-time drop` keeps time out of the rows."""
    with source(fake, keep_time=False) as opened:
        assert set(rows(opened, "many")[0]) == {"id", "s"}


def test_a_condition_that_does_not_fit_is_told_before_any_row(fake: FakeTreasureData) -> None:
    """The table, the condition and what is wrong with it stand in the error."""
    wrong = Selection(where={"*": "s LIKE 'name%'"})
    with (
        source(fake) as opened,
        pytest.raises(SourceError, match=r"condition \"s LIKE 'name%'\" on table empty") as caught,
        opened.snapshot(wrong),
    ):
        pass
    assert "Trino" in (caught.value.hint or "")


def test_reading_again_gives_the_same_rows(fake: FakeTreasureData) -> None:
    """Within a snapshot a partition is read from the same job, whatever was written meanwhile;
    the next snapshot sees it."""
    account = fake.account("tokyo")
    make(account, "sales", "growing", [["id", "long"]], [{"id": 1, "time": 1}])
    with source(fake) as opened, opened.snapshot(Selection(tables=("growing",))) as snapshot:
        table = snapshot.database.tables[0]
        [partition] = snapshot.partitions(table, 1)
        before = len(fake.requests("issue"))
        first = [batch.num_rows for batch in snapshot.read(table, partition)]
        account.append("sales", "growing", [pa.table({"id": [2], "time": [2]})])
        assert [batch.num_rows for batch in snapshot.read(table, partition)] == first == [1]
        assert len(fake.requests("issue")) == before + 2
        assert len(rows(opened, "growing")) == 2


def test_abandoned_reading_frees_its_place(fake: FakeTreasureData) -> None:
    """With one table at a time, a reader that leaves lets the next one in."""
    with source(fake, table_parallelism=1) as opened, opened.snapshot(Selection()) as snapshot:
        for table in snapshot.database.tables * 2:
            reading = snapshot.read(table, snapshot.partitions(table, 1)[0])
            next(reading, None)
            reading.close()  # type: ignore[attr-defined]


def test_stopping_ends_a_download_and_whoever_waits_behind_it(fake: FakeTreasureData) -> None:
    """`stop`, from another thread, ends a stalled download and those that wait for its place."""
    arrived = threading.Event()
    fake.fail("result", "stall_body", size=100)
    fake.before("result", arrived.set)
    ended: list[str] = []
    with source(fake, table_parallelism=1) as opened, opened.snapshot(Selection()) as snapshot:
        table = next(t for t in snapshot.database.tables if t.name.name == "many")
        [partition] = snapshot.partitions(table, 1)

        def read() -> None:
            with pytest.raises(SourceError) as caught:
                list(snapshot.read(table, partition))
            ended.append(caught.value.message)

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert arrived.wait(20)
        snapshot.stop()  # type: ignore[attr-defined]
        for thread in threads:
            thread.join(20)
    fake.release()
    assert len(ended) == 2
    assert all(message.startswith("cannot read table many") for message in ended)


def test_ranges_of_a_key_are_read_alone(fake: FakeTreasureData) -> None:
    """Comparing two databases reads parts of a table by ranges of an integer column."""
    with source(fake) as opened, opened.snapshot(Selection(tables=("many",))) as snapshot:
        part = snapshot.within(snapshot.database.tables[0], "id", [(5, 7)])  # type: ignore[attr-defined]
        found = [b for p in snapshot.partitions(part, 1) for b in snapshot.read(part, p)]
    assert sorted(i for batch in found for i in batch["id"].to_pylist()) == [5, 6, 7]


@pytest.mark.parametrize("status", ["error", "killed"])
def test_a_failed_job_is_an_error_and_is_not_taken_for_the_next(
    fake: FakeTreasureData, status: str
) -> None:
    """A job that ends badly fails its reading; reading again runs the query anew."""
    fake.fail("query_job", status)
    with source(fake) as opened, opened.snapshot(Selection(tables=("many",))) as snapshot:
        table = snapshot.database.tables[0]
        [partition] = snapshot.partitions(table, 1)
        with pytest.raises(SourceError, match=f"read table many: job .* {status}"):
            list(snapshot.read(table, partition))
        assert sum(batch.num_rows for batch in snapshot.read(table, partition)) == 20_000


def test_a_truncated_result_is_an_error(fake: FakeTreasureData) -> None:
    """A result that is well formed but short of rows, with lengths that agree, is refused."""
    fake.fail("query_job", "truncated", size=12_345)
    with (
        source(fake) as opened,
        pytest.raises(SourceError, match="12345 rows where the service counts 20000"),
    ):
        rows(opened, "many")


def denied(fake: FakeTreasureData, key: str, database: str = "sales") -> SourceError:
    with pytest.raises(SourceError) as caught, source(fake, key=key, database=database):
        pass
    assert caught.value.message == SOURCE_REFUSED
    assert key not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    return caught.value


def test_opening_tells_which_access_is_missing(fake: FakeTreasureData) -> None:
    """A rejected key, a missing right and an unknown database have one message and three hints,
    before anything else is done."""
    fake.add_key("2/foreign0123456789", "tokyo", rights={"other": "full_access"})
    assert (denied(fake, "9/unknown0123456789").hint or "").startswith("401: ")
    assert (denied(fake, KEY, "nowhere").hint or "").startswith("404: ")
    assert (denied(fake, "2/foreign0123456789").hint or "")[:4] in ("403:", "404:")


def test_check_tells_region_rights_and_what_is_missing(fake: FakeTreasureData) -> None:
    """A key that may read gets its rights, counts and consistency; the endpoint is named."""
    with source(fake) as opened:
        items = {item.item: item for item in opened.check()}
    assert all(item.ok for item in items.values())
    assert fake.endpoint in items["connection"].found
    assert "without TLS" in items["connection"].found
    assert "tables, about 20,0" in items["database"].found
    assert items["rights"].found == "administrator"
    assert items["queries"].found.startswith("run with Trino in")
    assert items["consistency"].found.startswith("per table")


def test_check_tells_a_right_that_is_missing(time: Time) -> None:
    """A key that may see the database and not query it is told so, with the right to ask for."""
    listed = answer(body={"databases": [{"name": "shop", "permission": "import_only"}]})
    with scripted(listed, answer(body={"tables": []}), answer(403)) as script:
        items = {item.item: item for item in check_items(api_for(script.host, time))}
    assert (items["rights"].ok, items["queries"].ok) == (False, False)
    assert "import_only" in items["rights"].found
    assert "query_only" in (items["rights"].hint or "")
    assert (items["queries"].hint or "").startswith("403: ")


def test_check_tells_a_database_that_is_not_there(time: Time) -> None:
    """An account that does not list the database is told what to check."""
    with scripted(answer(body={"databases": []}), answer(404)) as script:
        items = {item.item: item for item in check_items(api_for(script.host, time))}
    assert not items["database"].ok
    assert (items["database"].hint or "").startswith("404: ")
