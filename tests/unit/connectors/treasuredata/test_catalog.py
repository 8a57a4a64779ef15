"""The list of tables as the portable model: types, time, expiry, choices, what is left out."""

from __future__ import annotations

import pytest

from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata.catalog import read_database
from dbsync.connectors.treasuredata.query import select_nothing, select_rows, within_ranges
from dbsync.connectors.treasuredata.table_calls import TableState
from dbsync.errors import SourceError
from dbsync.model.schema import Database, Table
from dbsync.model.selection import Selection

KEEP = TreasureDataOptions()
DROP = TreasureDataOptions(keep_time=False)


def state(name: str, *columns: tuple[str, str], **more: object) -> TableState:
    return TableState(name=name, id=name, columns=columns, **more)  # type: ignore[arg-type]


ORDERS = state(
    "orders",
    ("id", "long"),
    ("n", "int"),
    ("f", "float"),
    ("d", "double"),
    ("s", "string"),
    ("tags", "array<string>"),
    ("m", "map<string,array<long>>"),
    expire_days=30,
    counted=7,
    stored_bytes=99,
)


def read(
    *states: TableState, selection: Selection | None = None, options: TreasureDataOptions = KEEP
) -> Database:
    return read_database("shop", states, selection or Selection(), options)


def only(*states: TableState, **more: object) -> Table:
    return read(*states, **more).tables[0]  # type: ignore[arg-type]


def test_every_type_has_its_logical_type() -> None:
    """Each type of a table travels as the type table says, and keeps its own text."""
    columns = {c.name: (str(c.type), c.storage, c.native_type) for c in only(ORDERS).columns}
    assert columns == {
        "id": ("integer64", "int64", "long"),
        "n": ("integer32", "int32", "int"),
        "f": ("float32", "float", "float"),
        "d": ("float64", "double", "double"),
        "s": ("string", "string", "string"),
        "tags": ("json", "string", "array<string>"),
        "m": ("json", "string", "map<string,array<long>>"),
        "time": ("integer64", "int64", "long"),
    }


def test_time_is_the_last_column_and_never_null_or_left_out() -> None:
    """`time`, which no schema names, is a column unless it is not wanted; `v` is none."""
    odd = state("odd", ("time", "long"), ("v", "map<string,string>"), ("a", "int"))
    assert [c.name for c in only(odd).columns] == ["a", "time"]
    assert [c.nullable for c in only(odd).columns] == [True, False]
    assert [c.name for c in only(odd, options=DROP).columns] == ["a"]
    assert [c.name for c in only(state("bare"), options=DROP).columns] == ["time"]


def test_expiry_and_counters_go_along() -> None:
    """A table keeps its expire_days, and estimates come from the service's counters."""
    table = only(ORDERS)
    assert table.details == {"expire_days": "30"}
    assert (table.rows_estimate, table.bytes_estimate) == (7, 99)
    assert only(state("bare")).details == {}


def test_tables_of_an_import_under_way_are_not_there() -> None:
    """A table that dbsync fills before it takes its place is no table of the database."""
    found = read(ORDERS, state("dbsync_0123abcd_0123456789ab"), state("dbsync_notes"))
    assert [table.name.name for table in found.tables] == ["dbsync_notes", "orders"]


def test_a_type_that_is_unknown_is_read_as_text_and_told() -> None:
    """A type that the service may add some day does not stop an export, and is reported."""
    found = read(state("odd", ("a", "decimal(10,2)"), ("b", "int")))
    assert str(found.tables[0].columns[0].type) == "string"
    assert [(loss.object, loss.severity) for loss in found.losses] == [("column odd.a", "changed")]
    assert 'CAST("a" AS varchar)' in select_rows(found.tables[0], None)


@pytest.mark.parametrize(
    ("selection", "words", "hint"),
    [
        (Selection(tables=("order",)), "no table matches order", "the tables are: orders"),
        (Selection(where={"x": "1 = 1"}), "no table matches x", "orders"),
        (
            Selection(columns={"orders": ("id", "tag")}),
            "table orders has no column 'tag'",
            "did you mean 'tags'?",
        ),
        (Selection(tables=("dbsync_0123abcd_*",)), "no table matches", "orders"),
    ],
)
def test_a_choice_that_fits_nothing_is_an_error(
    selection: Selection, words: str, hint: str
) -> None:
    """Spelling mistakes are told with what there is, before anything is read."""
    states = [ORDERS, state("dbsync_0123abcd_0123456789ab")]
    with pytest.raises(SourceError, match=words) as caught:
        read(*states, selection=selection)
    assert hint in (caught.value.hint or "")


def test_chosen_columns_are_read_in_the_tables_order() -> None:
    """`--columns` leaves out the others, time too, and the table says so."""
    table = only(ORDERS, selection=Selection(columns={"orders": ("s", "id")}))
    assert [column.name for column in table.columns] == ["id", "s"]
    assert not table.all_columns


def test_the_query_names_and_casts_every_column() -> None:
    """No result depends on the order or the types of SELECT *."""
    assert select_rows(only(ORDERS), None) == (
        'SELECT\n  CAST("id" AS bigint),\n  CAST("n" AS integer),\n  CAST("f" AS real),\n'
        '  CAST("d" AS double),\n  CAST("s" AS varchar),\n  CAST("tags" AS array(varchar)),\n'
        '  CAST("m" AS map(varchar, array(bigint))),\n  CAST("time" AS bigint)\nFROM "orders"'
    )


def test_a_name_that_is_none_in_sql_is_asked_for_by_its_alias() -> None:
    """The column keeps its name, and the query says what the service calls it."""
    table = only(state("odd", ("Größe", "int"), aliases=(("Größe", "gr_e"),)))
    assert table.columns[0].name == "Größe"
    assert 'CAST("gr_e" AS integer)' in select_rows(table, None)
    assert '"gr_e" >= 3' in str((within_ranges(table, "Größe", [(3, 4)]) or table).where)


@pytest.mark.parametrize(
    ("time_range", "condition"),
    [
        ((10, 20), 'td_time_range("time", 10, 20)'),
        ((None, 20), 'td_time_range("time", NULL, 20)'),
        ((10, None), 'td_time_range("time", 10, NULL)'),
        ((None, None), None),
        (None, None),
    ],
)
def test_a_time_range_is_asked_for_so_that_only_its_hours_are_read(
    time_range: tuple[int | None, int | None] | None, condition: str | None
) -> None:
    """The range goes through the function by which the service chooses partitions."""
    where = f"\nWHERE {condition}" if condition else ""
    assert select_rows(only(state("bare")), time_range).endswith(f'FROM "bare"{where}')


def test_a_condition_is_joined_to_a_range_and_cannot_end_early() -> None:
    """A comment at the end of a condition swallows nothing behind it."""
    table = only(ORDERS, selection=Selection(where={"*": "id > 5 -- new"}))
    assert select_nothing(table, (1, 2)) == (
        'SELECT 1 FROM "orders"\nWHERE td_time_range("time", 1, 2) AND (\nid > 5 -- new\n)\nLIMIT 0'
    )


def test_ranges_narrow_integer_columns_alone() -> None:
    """Comparing with a database reads only ranges of integers; other columns cannot be asked."""
    narrowed = within_ranges(only(ORDERS), "id", [(1, 5), (9, 9)])
    assert narrowed is not None
    assert narrowed.where == '("id" >= 1 AND "id" <= 5) OR ("id" >= 9 AND "id" <= 9)'
    assert within_ranges(only(ORDERS), "s", [(1, 5)]) is None
