"""Conditions over an archive's columns: what they take, what they refuse, what they skip."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.errors import UsageError
from dbsync.model.schema import Column, Key, Name, Table
from dbsync.model.types import LogicalType, decimal, integer, parse_storage, standard_storage
from dbsync.model.values import make_exceptions
from dbsync.pipeline.conditions import Condition

TYPES: dict[str, LogicalType] = {
    "id": integer(64),
    "Note": LogicalType(name="string"),
    "price": decimal(10, 2),
    "any size": LogicalType(name="numeric"),
    "day": LogicalType(name="date"),
    "at": LogicalType(name="timestamp_tz"),
    "ratio": LogicalType(name="float", bits=64),
    "flag": LogicalType(name="boolean"),
    "doc": LogicalType(name="json"),
    "key": LogicalType(name="uuid"),
    "kind": LogicalType(name="enum", labels=("a", "b")),
}
TABLE = Table(
    name=Name(None, "things"),
    columns=tuple(
        Column(
            name=name,
            type=kind,
            native_type="",
            storage=standard_storage(kind),
            exceptions=f"{name}:exceptions",
        )
        for name, kind in TYPES.items()
    ),
    primary_key=Key(columns=("id",)),
)


def batch(**columns: list[Any]) -> pa.RecordBatch:
    """Make a batch of some columns; a blank in a name is written as an underscore."""
    names = [name.replace("_", " ") for name in columns]
    arrays = [
        pa.array(values, pa.string()).cast(parse_storage(standard_storage(TYPES[name])))
        if name in {"day", "at"}
        else pa.array(values, parse_storage(standard_storage(TYPES[name])))
        for name, values in zip(names, columns.values(), strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def taken(text: str, rows: pa.RecordBatch) -> list[int]:
    """List the positions of the rows that a condition takes."""
    mask = Condition(text, TABLE).mask(rows).to_pylist()
    assert None not in mask
    return [row for row, value in enumerate(mask) if value]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id = 2", [1]),
        ("2 < id", [2, 4]),
        ("id <> 2", [0, 2, 4]),
        ("id != 2 AND note = 'it''s'", [2]),
        ("NOT id = 2", [0, 2, 4]),
        ("NOT NOT id = 2", [1]),
        ("id IN (1, 3, 99)", [0, 2]),
        ("id NOT IN (1, 3)", [1, 4]),
        ("id between 2 and 3", [1, 2]),
        ("id not between 2 and 3 and id > 0", [0, 4]),
        ("id IS NULL", [3]),
        ('"id" is not null', [0, 1, 2, 4]),
        ("note LIKE 'a%'", [0, 4]),
        ("note LIKE 'a_c'", [0]),
        (r"note LIKE 'a\_c'", []),
        (r"note LIKE '100\%'", [1]),
        ("note NOT LIKE 'a%'", [1, 2]),
        ("note LIKE '%line%'", [4]),
        ("id = 1 OR id = 2 AND note = 'x'", [0]),
        ("(id = 1 OR id = 2) AND note = '100%'", [1]),
        ("id = 1 OR note IS NULL", [0, 3]),
        ("NOT (id = 1 AND note = 'x')", [0, 1, 2, 4]),
    ],
)
def test_what_is_taken(text: str, expected: list[int]) -> None:
    """Each form takes the rows that SQL takes, NULL being unknown and text compared with case."""
    rows = batch(id=[1, 2, 3, None, 5], Note=["abc", "100%", "it's", None, "a\nline"])
    assert taken(text, rows) == expected


@pytest.mark.parametrize(
    ("text", "column", "values", "expected"),
    [
        ("price >= 10.50", "price", ["9.99", "10.50", "100.00", None], [1, 2]),
        ('"any size" > 9', "any_size", ["10", "9.000001", "1" * 60, "-1", "NaN"], [0, 1, 2, 4]),
        ("day < '2024-02-01'", "day", ["2024-01-31", "2024-02-01", None], [0]),
        (
            "at >= '2024-01-31 23:30:00+00'",
            "at",
            ["2024-01-31 23:29:59Z", "2024-01-31 23:30:00Z"],
            [1],
        ),
        ("at = '2024-02-01 01:00:00+02:00'", "at", ["2024-01-31 23:00:00Z"], [0]),
        ("ratio < 1e2", "ratio", [99.5, float("nan"), float("inf"), -1.0], [0, 3]),
        ("ratio > 1", "ratio", [99.5, float("nan"), float("inf"), -1.0], [0, 1, 2]),
        ("flag = TRUE", "flag", [True, False, None], [0]),
        ("flag <> 1", "flag", [True, False, None], [1]),
        ("kind IN ('b')", "kind", ["a", "b"], [1]),
        (
            "key = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'",
            "key",
            [bytes.fromhex("6ba7b8109dad11d180b400c04fd430c8"), bytes(16)],
            [0],
        ),
        ("doc IS NOT NULL", "doc", ["{}", None], [0]),
    ],
)
def test_values_are_read_by_the_columns_type(
    text: str, column: str, values: list[Any], expected: list[int]
) -> None:
    """Decimals, numbers of any length, moments with offsets and so on compare by value."""
    if column == "price":
        values = pa.array(values).cast(pa.decimal128(10, 2)).to_pylist()
    assert taken(text, batch(**{column: values})) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id = 'one'", "column id: 'one' is no integer64"),
        ("id = 1.5", "column id: '1.5' is no integer64"),
        ("note = 5", "column Note: '5' is no string"),
        ("day = '2024-13-01'", "column day: '2024-13-01' is no date"),
        ("at > '2024-01-01'", "column at: '2024-01-01' is no timestamp_tz"),
        ("doc = '{}'", "column doc: values of the type json cannot be compared"),
        ("kind < 'b'", "column kind: values of the type enum cannot be ordered"),
        ("id LIKE '1%'", "column id: LIKE needs text"),
        ("colour = 1", "has no column 'colour'"),
        ("id = NULL", "compares with NULL"),
        ("id == ", "it ends after 'id =='"),
        ("id = 1 id = 2", "'id' stands after 'id = 1'"),
        ("id = 1;", "';' stands after"),
        ("id = (SELECT 1)", "where a value belongs"),
        ("lower(note) = 'a'", "where a comparison belongs"),
        ("1 = 1", "where a column belongs"),
        ("id", "where a comparison belongs"),
        ("", "it ends at the beginning"),
        ("note = 'open", "stands after"),
        ("(" * 60 + "id = 1" + ")" * 60, "nested too deeply"),
        ("NOT", "it ends after 'NOT'"),
    ],
)
def test_refusals_name_what_is_wrong(text: str, says: str) -> None:
    """What is no condition, and a value that the column cannot have, is refused by name."""
    with pytest.raises(UsageError) as error:
        Condition(text, TABLE)
    assert says in error.value.message
    assert error.value.hint or "deeply" in says


def with_exceptions(
    kinds: str, literals: dict[int, bytes], days: list[str | None]
) -> pa.RecordBatch:
    """Make a batch of dates with exceptions."""
    found = batch(day=days)
    odd = make_exceptions(len(days), list(literals), kinds, list(literals.values()))
    return found.append_column("day:exceptions", odd)


def test_infinite_dates_have_their_place() -> None:
    """Values beyond the column's Arrow type compare as the source's engine orders them."""
    rows = with_exceptions(
        "literal", {1: b"infinity", 2: b"-infinity"}, ["2024-01-01", None, None, None]
    )
    assert taken("day > '2023-01-01'", rows) == [0, 1]
    assert taken("day <= '2024-01-01'", rows) == [0, 2]
    assert taken("day = 'infinity'", rows) == [1]
    assert taken("day < 'infinity'", rows) == [0, 2]
    assert taken("day IS NULL", rows) == [3]
    assert taken("NOT day > '2023-01-01'", rows) == [2]


def test_values_of_another_class_are_refused_by_name() -> None:
    """Text in a column of dates, which only SQLite has, is no silent NULL."""
    rows = with_exceptions("text", {1: b"soon"}, ["2024-01-01", None])
    assert taken("day IS NOT NULL", rows) == [0, 1]
    with pytest.raises(UsageError, match="column day: 1 values are no date"):
        taken("day > '2023-01-01'", rows)


COLUMNS = ("a", "b", "t")
PAIR = Table(
    name=Name(None, "pair"),
    columns=tuple(
        Column(name=n, type=k, native_type="", storage=standard_storage(k), exceptions=f"{n}:e")
        for n, k in (("a", integer(64)), ("b", integer(64)), ("t", LogicalType(name="string")))
    ),
    primary_key=Key(columns=("a",)),
)
NUMBERS = st.integers(-3, 3).map(str)
TEXTS = st.text("ab", max_size=2).map(lambda text: f"'{text}'")


def _comparisons(column: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    return st.one_of(
        st.builds(lambda o, v: f"{column} {o} {v}", operator, values),
        st.builds(lambda o, v: f"{v} {o} {column}", operator, values),
        st.builds(
            lambda n, vs: f"{column} {n}IN ({', '.join(vs)})",
            st.sampled_from(["", "NOT "]),
            st.lists(values, min_size=1, max_size=3),
        ),
        st.builds(
            lambda n, v, w: f"{column} {n}BETWEEN {v} AND {w}",
            st.sampled_from(["", "NOT "]),
            values,
            values,
        ),
        st.builds(lambda n: f"{column} IS {n}NULL", st.sampled_from(["", "NOT "])),
    )


LEAVES = st.one_of(_comparisons("a", NUMBERS), _comparisons("b", NUMBERS), _comparisons("t", TEXTS))
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda x, y: f"{x} AND {y}", inner, inner),
        st.builds(lambda x, y: f"{x} OR {y}", inner, inner),
        st.builds(lambda x, y: f"({x} OR {y}) AND {x}", inner, inner),
        st.builds(lambda x: f"NOT ({x})", inner),
        st.builds(lambda x: f"NOT {x}", LEAVES),
    ),
    max_leaves=8,
)
CELLS = st.tuples(
    st.integers(-4, 4),
    st.one_of(st.none(), st.integers(-4, 4)),
    st.one_of(st.none(), st.text("ab", max_size=2)),
)


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, st.lists(CELLS, min_size=1, max_size=8))
def test_as_sqlite_does(text: str, rows: list[tuple[int, int | None, str | None]]) -> None:
    """Any condition takes the rows that SQLite takes; and a range of keys that says no is right."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE pair (n INTEGER, a INTEGER, b INTEGER, t TEXT)")
        numbered = [(number, *row) for number, row in enumerate(rows)]
        connection.executemany("INSERT INTO pair VALUES (?, ?, ?, ?)", numbered)
        found = connection.execute(f"SELECT n FROM pair WHERE {text} ORDER BY n").fetchall()
    expected = [number for (number,) in found]
    arrays = [
        pa.array([row[place] for row in rows], pa.string() if place == 2 else pa.int64())
        for place in range(3)
    ]
    condition = Condition(text, PAIR)
    full = pa.RecordBatch.from_arrays(arrays, names=list(COLUMNS))
    mask = condition.mask(full.select(list(condition.columns)))
    assert [row for row, value in enumerate(mask.to_pylist()) if value] == expected
    keys = [row[0] for row in rows]
    if expected:
        assert condition.may_match(str(min(keys)), str(max(keys)))


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("id < 10", False),
        ("id <= 10", True),
        ("id > 20", False),
        ("id BETWEEN 1 AND 9", False),
        ("id BETWEEN 1 AND 10", True),
        ("id IN (1, 2, 30)", False),
        ("id NOT IN (1, 2, 30)", True),
        ("id < 10 OR id > 20", False),
        ("id < 10 OR note = 'a'", True),
        ("id < 10 AND note = 'a'", False),
        ("NOT id >= 10", False),
        ("id IS NULL", False),
        ("NOT id IS NOT NULL", False),
        ("NOT (id BETWEEN 10 AND 20)", False),
        ("note LIKE '%'", True),
    ],
)
def test_ranges_of_keys(text: str, may: bool) -> None:
    """A chunk whose keys run from 10 to 20 is read only where one of them can match."""
    assert Condition(text, TABLE).may_match("10", "20") is may


def test_a_range_that_means_nothing_skips_nothing() -> None:
    """Bounds that are no keys of the column's type, or of a key without order, are not used."""
    assert Condition("id < 10", TABLE).may_match("ten", "twenty")
    assert Condition("id < 10", PAIR_BY_FLOAT).may_match("20", "30")


PAIR_BY_FLOAT = Table(
    name=Name(None, "odd"),
    columns=(
        Column(
            name="id",
            type=LogicalType(name="numeric"),
            native_type="",
            storage="string",
            exceptions="id:e",
        ),
    ),
    primary_key=Key(columns=("id",)),
)


def test_moments_and_text_skip_too() -> None:
    """Ranges of dates, moments and text are compared in their own order."""
    for name, low, high, inside, outside in [
        ("day", "2024-01-01", "2024-01-31", "2024-01-31", "2024-02-01"),
        (
            "at",
            "2024-01-01 00:00:00.000000Z",
            "2024-01-31 00:00:00.000000Z",
            "2024-01-02 00:00:00+00",
            "2023-12-31 23:59:59+00",
        ),
        ("Note", "B", "a", "Z", "b"),
    ]:
        table = Table(name=TABLE.name, columns=TABLE.columns, primary_key=Key(columns=(name,)))
        assert Condition(f"\"{name}\" = '{inside}'", table).may_match(low, high)
        assert not Condition(f"\"{name}\" = '{outside}'", table).may_match(low, high)
