"""What `prepare` plans, loses and refuses, and that it changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dbsync.connectors.base import ImportPlan
from dbsync.connectors.treasuredata.mapping import map_table
from dbsync.errors import LossError, TargetError, UsageError
from dbsync.model.schema import (
    Check,
    Column,
    Database,
    Default,
    ForeignKey,
    Generated,
    Identity,
    Index,
    IndexColumn,
    Key,
    Name,
    NativeObject,
    Sequence,
)
from dbsync.model.types import LogicalType, decimal, integer
from tests.fakes.treasuredata import FakeTreasureData, make
from tests.unit.connectors.treasuredata.loading import (
    NUMBERS,
    column,
    connect,
    database,
    expected,
    load,
    numbers,
    options,
    rows,
    table,
    target,
)

READING = {"tables", "databases", "bulk_list", "bulk_show", "issue", "status", "show", "result"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTreasureData]:
    """A service, in which each test has databases of its own."""
    with FakeTreasureData() as service:
        yield service


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """The name of a database that no other test uses."""
    return request.node.originalname[:100].lower()


def plan(
    fake: FakeTreasureData, place: str, source: Database, /, td: Any = None, **chosen: Any
) -> ImportPlan:
    """Prepare an import, and look that nothing but reading was asked."""
    api = connect(fake, place)
    already = len(fake.log)
    try:
        return target(api, **(td or {})).prepare(source, options(**chosen))
    finally:
        assert {one.operation for one in fake.log[already:]} <= READING


def given(fake: FakeTreasureData, place: str, *columns: tuple[str, str], count: int = 1) -> None:
    """Make a table ``numbers`` with some rows."""
    made = [{"time": number} for number in range(count)]
    make(fake.account(), place, "numbers", list(columns or (("id", "long"), ("name", "string"))),
         made, expire_days=30)  # fmt: skip


def test_a_new_database_is_planned_and_not_made(fake: FakeTreasureData, place: str) -> None:
    """A dry run lists what would be created, and not even the database is there afterwards."""
    found = plan(fake, place, database(NUMBERS))
    assert found.statements == (
        f"create database {place}",
        "create table numbers (time long, id long, name string)",
    )
    assert [(t.action, t.mode, t.rows_before) for t in found.tables] == [("create", "insert", 0)]
    assert found.max_writers > 1
    assert found.guarantee == "exactly_once"
    assert place not in fake.account().databases


@pytest.mark.parametrize("choice", ["skip", "overwrite", "append"])
def test_a_table_that_exists_lands_as_chosen(
    fake: FakeTreasureData, place: str, choice: Any
) -> None:
    """Existing tables are skipped, replaced or appended to, with the rows that they have."""
    place = f"{place}_{choice}"
    given(fake, place, count=3)
    found = plan(fake, place, database(NUMBERS), existing=choice, on_conflict="error")
    assert [(t.action, t.mode, t.rows_before) for t in found.tables] == [(choice, "insert", 3)]


def test_a_table_that_exists_is_refused_unless_chosen(fake: FakeTreasureData, place: str) -> None:
    """The error names the table and the choices."""
    given(fake, place)
    with pytest.raises(TargetError, match="table numbers exists already") as failure:
        plan(fake, place, database(NUMBERS))
    assert "append, skip or overwrite" in (failure.value.hint or "")


@pytest.mark.parametrize("mode", ["update", "skip", "merge"])
def test_rows_are_never_updated(fake: FakeTreasureData, place: str, mode: Any) -> None:
    """An upsert is refused in the plan, with the two ways that there are."""
    place = f"{place}_{mode}"
    given(fake, place)
    with pytest.raises(LossError, match="holds rows, and Treasure Data has no keys") as failure:
        plan(fake, place, database(NUMBERS), existing="append", on_conflict=mode)
    hint = failure.value.hint or ""
    assert "--existing append --on-conflict error" in hint
    assert "--existing overwrite" in hint


def test_an_empty_table_takes_rows_under_any_mode(fake: FakeTreasureData, place: str) -> None:
    """Nothing can conflict there; that it is empty is asked by a query, not of the counter."""
    given(fake, place, count=0)
    found = plan(fake, place, database(NUMBERS), existing="append")
    assert [(t.action, t.mode) for t in found.tables] == [("append", "insert")]
    load(connect(fake, place), database(NUMBERS), {"numbers": numbers(0)},
         options(existing="append"))  # fmt: skip
    assert fake.account().databases[place].tables["numbers"].count == 0
    with pytest.raises(LossError, match="holds rows"):
        plan(fake, place, database(NUMBERS), import_id="next", existing="append")


def test_without_ddl_a_missing_table_is_refused(fake: FakeTreasureData, place: str) -> None:
    """`--no-include-schema` creates nothing."""
    with pytest.raises(TargetError, match="the target has no table numbers") as failure:
        plan(fake, place, database(NUMBERS), ddl="none")
    assert "--no-include-schema" in (failure.value.hint or "")


def test_columns_that_a_table_lacks_or_has_otherwise_are_refused(
    fake: FakeTreasureData, place: str
) -> None:
    """Rows appended to a table that exists meet its columns; each misfit names both sides."""
    given(fake, place, ("id", "long"))
    chosen = {"existing": "append", "on_conflict": "error"}
    with pytest.raises(TargetError, match="numbers of the target has no column name"):
        plan(fake, place, database(NUMBERS), **chosen)
    with pytest.raises(LossError, match="column id of table numbers is long, and the archive's"):
        plan(fake, place, database(table("numbers", column("id"))), **chosen)


def test_appended_values_take_the_types_that_are_there(fake: FakeTreasureData, place: str) -> None:
    """A column of text takes numbers as text; columns that the archive lacks stay, and NULL."""
    given(fake, place, ("name", "string"), ("id", "string"), ("more", "double"), count=0)
    chosen = options(existing="append", on_conflict="error")
    load(connect(fake, place), database(NUMBERS), {"numbers": numbers(0, rows=2)}, chosen)
    assert rows(fake, "numbers", "id, name, more", place=place) == [
        ("0", None, None),
        ("1", "row 1", None),
    ]
    names = [column[0] for column in fake.account().databases[place].tables["numbers"].columns]
    assert names == ["name", "id", "more"]


def test_overwriting_tells_which_columns_go(fake: FakeTreasureData, place: str) -> None:
    """The new table has the archive's columns; what else there was stands in the loss report."""
    given(fake, place, ("id", "string"), ("gone", "double"))
    found = plan(fake, place, database(NUMBERS), existing="overwrite")
    told = {(loss.object, loss.severity) for loss in found.losses}
    assert ("column numbers.gone of the table that is there", "lost") in told
    assert ("column numbers.id of the table that is there", "changed") in told


def test_overwriting_without_ddl_keeps_the_columns(fake: FakeTreasureData, place: str) -> None:
    """`--no-include-schema` replaces the rows alone."""
    given(fake, place, ("id", "string"), ("name", "string"), ("more", "double"))
    chosen = options(existing="overwrite", ddl="none")
    load(connect(fake, place), database(NUMBERS), {"numbers": numbers(0, rows=2)}, chosen)
    there = fake.account().databases[place].tables["numbers"]
    assert there.columns == [["id", "string"], ["name", "string"], ["more", "double"]]
    assert there.expire_days == 30
    assert rows(fake, "numbers", "id, name", place=place) == [("0", None), ("1", "row 1")]


def test_a_clone_carries_types_expiry_and_names(fake: FakeTreasureData, place: str) -> None:
    """From Treasure Data nothing changes, so nothing is reported, and expire_days is set."""
    details = {"expire_days": "90", "alias.id": "the_id"}
    source = database(
        table(
            "events",
            column("id", integer(32), native_type="int"),
            column("tags", LogicalType(name="json"), native_type="array<string>"),
            column("time", integer(64), native_type="long", nullable=False),
            details=details,
        ),
        engine="treasuredata",
    )
    assert plan(fake, place, source).losses == ()
    load(connect(fake, place), source, {"events": []})
    there = fake.account().databases[place].tables["events"]
    assert there.columns == [["id", "int", "the_id"], ["tags", "array<string>"]]
    assert there.expire_days == 90


def test_a_protected_table_is_not_replaced() -> None:
    """The old table could not be deleted after the exchange."""
    from dbsync.connectors.treasuredata.table_calls import TableState, unprotected

    unprotected(TableState(name="orders", id="1", columns=()))
    with pytest.raises(TargetError, match="table orders is protected"):
        unprotected(TableState(name="orders", id="1", columns=(), protected=True))


def test_one_transaction_holds_one_table(fake: FakeTreasureData, place: str) -> None:
    """Several tables cannot appear at once; one does anyway."""
    assert plan(fake, place, database(NUMBERS), single_transaction=True).guarantee == (
        "single_transaction"
    )
    two = database(NUMBERS, table("others", column("id")))
    with pytest.raises(UsageError, match="cannot write 2 tables in one transaction"):
        plan(fake, place, two, single_transaction=True)
    with pytest.raises(UsageError, match="no schemas"):
        plan(fake, place, two, schema="public")
    with pytest.raises(TargetError, match="native DDL of sqlite"):
        plan(fake, place, two, ddl="native")


def test_names_are_those_among_all_tables(fake: FakeTreasureData, place: str) -> None:
    """Imported one by one, tables are called as they are together."""
    both = (table("Film", column("id")), table("FILM", column("id")))
    together = plan(fake, place, database(*both))
    apart = [plan(fake, place, database(one), among=both).tables[0] for one in both]
    assert [t.target.name for t in apart] == [t.target.name for t in together.tables]
    assert [t.target.name for t in apart] == ["film_2", "film"]
    assert all(len(plan(fake, place, database(one), among=both).tables) == 1 for one in both)


def test_every_part_of_a_definition_that_is_lost_is_listed(
    fake: FakeTreasureData, place: str
) -> None:
    """Keys, indexes, defaults, views and the rest each have their line."""
    items = table(
        "items",
        column("id", integer(32), nullable=False, identity=Identity(kind="always")),
        column("price", decimal(10, 2), default=Default(kind="literal", value="0")),
        column("twice", decimal(10, 2), generated=Generated(expression="price * 2")),
        column("name", collation="C", comment="as it is called"),
        primary_key=Key(columns=("id",)),
        uniques=(Key(columns=("name",), name="one_name"),),
        foreign_keys=(
            ForeignKey(columns=("id",), referred=Name(None, "a"), referred_columns=("id",)),
        ),
        checks=(Check(expression="price > 0", name="positive"),),
        indexes=(Index(name="by_price", columns=(IndexColumn(column="price"),)),),
        comment="what is sold",
    )  # fmt: skip
    source = database(
        items,
        sequences=(Sequence(name=Name(None, "counter")),),
        native=(
            NativeObject(kind="VIEW", name=Name(None, "cheap"), sql="", section="after_rows"),
            NativeObject(kind="TABLE", name=Name(None, "items"), sql="", section="before_rows",
                         covers="table"),
        ),
    )  # fmt: skip
    found = plan(fake, place, source)
    lost = [loss.object for loss in found.losses if loss.severity == "lost"]
    assert lost == [
        "primary key (id) of table items",
        "unique constraint one_name of table items",
        "foreign key (id) of table items",
        "check positive of table items",
        "index by_price of table items",
        "comment on table items",
        "NOT NULL of id of table items",
        "column items.id",
        "column items.price",
        "column items.twice",
        "column items.name",
        "comment on column items.name",
        "sequence counter",
        "view cheap",
    ]
    changed = {loss.object: loss.reason for loss in found.losses if loss.severity == "changed"}
    assert changed["column items.price"].startswith("decimal(10,2) becomes string")
    assert "column time" in changed["table items"]


TIMED = table(
    "timed",
    column("id", integer(32)),
    column("time", LogicalType(name="timestamp")),
    column("made", integer(64)),
)


def layout_of(one: Any, **time_columns: str) -> tuple[list[str], Column | None]:
    """Give the names of the columns that are written beside ``time``, and what gives that."""
    found = map_table(one, "sqlite", time_columns)
    return [sink.name for sink in found.sinks], found.time


def test_the_time_is_chosen_or_a_column_of_integers_or_one_moment() -> None:
    """A chosen column keeps a column of its own, unless it is integers that are called time."""
    assert layout_of(NUMBERS) == (["id", "name"], None)
    assert layout_of(TIMED) == (["id", "time_2", "made"], None)
    assert layout_of(TIMED, timed="made") == (["id", "time_2", "made"], TIMED.columns[2])
    assert layout_of(TIMED, **{"*": "time"}) == (["id", "time_2", "made"], TIMED.columns[1])
    whole = table("whole", column("Time", integer(32)), column("id"))
    assert layout_of(whole) == (["id"], whole.columns[0])
    both = {"*": "id", "ti*": "made"}
    assert map_table(TIMED, "sqlite", both).time == TIMED.columns[2]


def test_a_time_that_is_none_is_refused() -> None:
    """A chosen column must be there, and be integers, dates or timestamps."""
    with pytest.raises(UsageError, match="table numbers has no column 'made'"):
        map_table(NUMBERS, "sqlite", {"*": "made"})
    with pytest.raises(UsageError, match="column name of table numbers is string"):
        map_table(NUMBERS, "sqlite", {"numbers": "name"})


def test_the_time_of_rows_arrives(fake: FakeTreasureData, place: str) -> None:
    """Without a column for it, every row has the moment of the archive; with one, its own."""
    api = connect(fake, place)
    load(api, database(NUMBERS), {"numbers": numbers(0, rows=3)})
    assert rows(fake, "numbers", "time", place=place) == [(1_700_000_000,)] * 3
    load(api, database(NUMBERS), {"numbers": numbers(5, rows=2)},
         options("second", existing="overwrite"), time_columns={"*": "id"})  # fmt: skip
    assert rows(fake, "numbers", "time, id, name", place=place) == [
        (n, n, name) for n, name in expected(5, rows=2)
    ]
