"""Values of other engines in SQLite, and what the source makes of them again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dbsync.connectors.sqlite.types import affinity, declared_type
from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Default, Index, IndexColumn, Key, Table
from dbsync.model.types import LogicalType, decimal, integer, parse_storage
from dbsync.model.values import column_values, make_exceptions, standardize, to_text
from tests.unit.connectors.sqlite.files import (
    column,
    foreign_database,
    load,
    query,
    read,
    table,
)


def named(name: Any, **more: Any) -> LogicalType:
    return LogicalType(name=name, **more)


INFINITY = float("inf")

KEPT: list[tuple[LogicalType, list[Any], list[Any]]] = [
    (named("boolean"), [True, False], [1, 0]),
    (integer(8), [-128, 127], [-128, 127]),
    (integer(16), [-(2**15)], [-(2**15)]),
    (integer(32), [2**31 - 1], [2**31 - 1]),
    (integer(64), [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
    (integer(64, unsigned=True), [2**63 - 1], [2**63 - 1]),
    (named("float", bits=64), [0.1, 1e300, INFINITY, 5e-324], [0.1, 1e300, INFINITY, 5e-324]),
    (named("float", bits=32), [1.5, 0.10000000149011612], [1.5, 0.10000000149011612]),
    (decimal(10, 2), ["0.10", "12345678.91", "-7.00"], [0.1, 12345678.91, -7]),
    (decimal(15, 15), ["0.123456789012345"], [0.123456789012345]),
    (decimal(30, 2), ["1234567890123456789012345678.91"], ["1234567890123456789012345678.91"]),
    (decimal(60, 2), ["9" * 58 + ".10"], ["9" * 58 + ".10"]),
    (named("numeric"), ["9" * 1000, "0.1", "NaN"], ["9" * 1000, "0.1", "NaN"]),
    (named("string"), ["", "007", "1e5", "a\0b", "é🎉"], ["", "007", "1e5", "a\0b", "é🎉"]),
    (named("string", length=5), ["12345"], ["12345"]),
    (named("binary"), [b"", b"\0\xff"], [b"", b"\0\xff"]),
    (named("date"), ["2024-02-29", "0001-01-01"], ["2024-02-29", "0001-01-01"]),
    (named("time"), ["23:59:59.999999", "00:00:00"], ["23:59:59.999999", "00:00:00"]),
    (named("time_tz"), ["12:00:00+02"], ["12:00:00+02"]),
    (named("timestamp"), ["2024-01-01 10:00:00.1", "2024-01-01 00:00:00"],
     ["2024-01-01 10:00:00.1", "2024-01-01 00:00:00"]),
    (named("timestamp_tz"), ["2024-01-01 10:00:00+00"], ["2024-01-01 10:00:00+00"]),
    (named("interval"), ["1 mon", "5"], ["1 mon", "5"]),
    (named("uuid"), ["12345678-1234-1234-1234-123456789012"],
     ["12345678-1234-1234-1234-123456789012"]),
    (named("json"), ['{"a": 1.0}', "1"], ['{"a": 1.0}', "1"]),
    (named("enum", labels=("a'b", "c\\d")), ["a'b", "c\\d"], ["a'b", "c\\d"]),
]  # fmt: skip
CHANGED = [
    (named("array", element=integer(32)), ["{1,2}", "5"], ["{1,2}", "5"]),
    (named("native"), ["(1,2)", "0123"], ["(1,2)", "0123"]),
]


def arrow(logical: LogicalType, texts: list[Any]) -> pa.Array:
    """Build standard values: from Python where that is exact, from text otherwise."""
    field = column("c", logical)
    kind = parse_storage(field.storage)
    if not isinstance(texts[0], str):
        return pa.array([*texts, None], kind)
    return standardize(pa.array([*texts, None], pa.string()), None, field, "t")[0].cast(kind)


def bring(path: Path, logical: LogicalType, values: pa.Array, odd: Any = None, **more: Any) -> Any:
    """Import one column into table t."""
    field = column("c", logical, **more.pop("column", {}))
    arrays, names = [values], ["c"]
    if odd is not None:
        arrays.append(odd)
        names.append(field.exceptions)
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    return load(path, foreign_database(table("t", field)), {"t": [batch]}, ddl="portable", **more)


@pytest.mark.parametrize(("logical", "values", "stored"), KEPT + CHANGED, ids=lambda v: str(v)[:30])
def test_values_and_types_come_back(
    tmp_path: Path, logical: LogicalType, values: list[Any], stored: list[Any]
) -> None:
    """SQLite holds the documented value, and the source reads the same type and value again."""
    path = tmp_path / "a.db"
    original = arrow(logical, values)
    if logical.name == "numeric" or str(logical).startswith("decimal(60"):
        original = pa.array([*values, None], pa.string())
    moved = bring(path, logical, original)
    found = [row[0] for row in query(path, "SELECT c FROM t ORDER BY rowid")]
    assert [(type(v), v) for v in found[:-1]] == [(type(v), v) for v in stored]
    assert found[-1] is None
    database, batches = read(path)
    field = database.tables[0].columns[0]
    if logical.name in ("array", "native"):
        assert field.type == named("string")
        assert [loss.severity for loss in moved.plan.losses] == ["changed"]
        return
    assert field.type == logical
    back, odd = column_values(batches["t"][0], field)
    again, literals = standardize(back, odd, field, "t")
    texts = to_text(again, logical).to_pylist()
    if literals is not None:
        texts = [
            a if a is not None else b for a, b in zip(texts, literals.to_pylist(), strict=True)
        ]
    assert texts == to_text(original, logical).to_pylist()


@pytest.mark.parametrize(
    ("logical", "literal"),
    [
        (named("date"), "infinity"), (named("date"), "0044-03-15 BC"),
        (named("timestamp"), "-infinity"), (named("timestamp_tz"), "infinity"),
        (named("time"), "24:00:00"), (decimal(30, 2), "NaN"),
    ],
)  # fmt: skip
def test_values_beyond_arrow(tmp_path: Path, logical: LogicalType, literal: str) -> None:
    """Literals are kept as their canonical text, and read as the same literal again."""
    path = tmp_path / "a.db"
    field = column("c", logical)
    odd = make_exceptions(1, [0], "literal", [literal.encode()])
    bring(path, logical, pa.nulls(1, parse_storage(field.storage)), odd)
    assert query(path, "SELECT c FROM t") == [(literal,)]
    database, batches = read(path)
    field = database.tables[0].columns[0]
    back, given = column_values(batches["t"][0], field)
    values, literals = standardize(back, given, field, "t")
    text = literals if literals is not None else to_text(values, logical)
    assert text.to_pylist() == [literal]


@pytest.mark.parametrize(
    ("logical", "values", "count"),
    [
        (named("float", bits=64), pa.array([1.0, float("nan"), None, float("nan")]), 2),
        (named("float", bits=32), pa.array([float("nan")], pa.float32()), 1),
        (integer(64, unsigned=True), pa.array([1, 2**63, 2**64 - 1], pa.uint64()), 2),
    ],
)
def test_values_that_sqlite_cannot_hold(
    tmp_path: Path, logical: LogicalType, values: pa.Array, count: int
) -> None:
    """NaN and integers beyond 63 bits are refused with table, column and count; nothing stays."""
    with pytest.raises(LossError, match=rf"t, column c: {count} value"):
        bring(tmp_path / "a.db", logical, values, single_transaction=True)
    assert not (tmp_path / "a.db").exists()


def test_nan_in_a_decimal_that_is_a_double(tmp_path: Path) -> None:
    """A NaN that only text could hold is refused where the column holds numbers."""
    odd = make_exceptions(1, [0], "literal", [b"NaN"])
    with pytest.raises(LossError, match="column c: 1 value"):
        bring(tmp_path / "a.db", decimal(10, 2), pa.nulls(1, pa.decimal128(10, 2)), odd)


@pytest.mark.parametrize(
    ("declared", "logical", "values", "refused"),
    [
        ("INTEGER", named("string"), ["x", "007"], 1),
        ("NUMERIC", named("json"), ["{}", " 1.0 ", ".5e3"], 2),
        ("NUMERIC", named("numeric"), ["1.5", "1234567890.1234567"], 1),
        ("DATETIME", named("timestamp"), ["2024-01-01 10:00:00"], 0),
        ("NUMERIC", named("numeric"), ["0.000123456789012345", "-5"], 0),
    ],
)
def test_existing_columns_that_would_change_values(
    tmp_path: Path, declared: str, logical: LogicalType, values: list[str], refused: int
) -> None:
    """Text that the affinity of an existing column would turn into another number is refused."""
    path = tmp_path / "a.db"
    query(path, f"CREATE TABLE t (c {declared})")
    if refused:
        with pytest.raises(LossError, match=f"table public.t, column c: {refused} value"):
            bring(path, logical, arrow(logical, values))
        return
    bring(path, logical, arrow(logical, values))
    if logical.name == "timestamp":
        assert query(path, "SELECT c FROM t") == [("2024-01-01 10:00:00",), (None,)]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("INT", "integer"), ("BIGINT UNSIGNED", "integer"), ("POINT", "integer"),
        ("CHARACTER(20)", "text"), ("DECIMAL_TEXT(30,2)", "text"), ("DURATION_TEXT", "text"),
        ("CLOB", "text"), ("BLOB", "blob"), ("", "blob"), ("DOUBLE PRECISION", "real"),
        ("FLOAT4", "real"), ("NUMERIC(10,2)", "numeric"), ("BOOLEAN", "numeric"),
        ("TIMESTAMPTZ", "numeric"), ("STRING", "numeric"),
    ],
)  # fmt: skip
def test_affinity_is_sqlites(tmp_path: Path, declared: str, expected: str) -> None:
    """The rules of affinity agree with SQLite's own, for declared types of all kinds."""
    assert affinity(declared) == expected
    path = tmp_path / "a.db"
    query(path, f"CREATE TABLE t (c {declared})")
    query(path, "CREATE TABLE copy AS SELECT c FROM t")
    ((sql,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = 'copy'")
    short = {"integer": "INT", "text": "TEXT", "blob": "", "real": "REAL", "numeric": "NUM"}
    assert sql == f"CREATE TABLE copy(c {short[expected]})".replace("c )", "c)")


def test_own_types_never_change_text() -> None:
    """Every type that holds free text has TEXT affinity; the others' text never looks numeric."""
    for logical, _, _ in KEPT + CHANGED:
        free = logical.name in ("string", "json", "enum", "interval", "array", "native", "numeric")
        if free or (logical.name == "decimal" and (logical.precision or 0) > 15):
            assert affinity(declared_type(logical)) == "text", logical


DEFAULTS = [
    (integer(32), Default(kind="literal", value="-5"), -5),
    (named("boolean"), Default(kind="literal", value="true"), 1),
    (named("string"), Default(kind="literal", value="it's 🎉\n"), "it's 🎉\n"),
    (decimal(30, 2), Default(kind="literal", value="1.50"), "1.50"),
    (named("float", bits=64), Default(kind="literal", value="2.5"), 2.5),
]


@pytest.mark.parametrize(("logical", "default", "expected"), DEFAULTS)
def test_defaults(tmp_path: Path, logical: LogicalType, default: Default, expected: Any) -> None:
    """A literal default works in SQLite and is read as the same default again."""
    path = tmp_path / "a.db"
    bring(path, logical, pa.nulls(0, parse_storage(column("c", logical).storage)),
          column={"default": default})  # fmt: skip
    query(path, "SELECT 1")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO t DEFAULT VALUES")
        connection.commit()
    ((found,),) = query(path, "SELECT c FROM t")
    assert (type(found), found) == (type(expected), expected)
    assert read(path)[0].tables[0].columns[0].default == default


@pytest.mark.parametrize(
    ("logical", "function", "pattern"),
    [
        (named("timestamp"), "current_timestamp", "____-__-__ __:__:__"),
        (named("timestamp_tz"), "current_timestamp", "____-__-__ __:__:__+00"),
        (named("date"), "current_date", "____-__-__"),
        (named("uuid"), "random_uuid", "________-____-4___-____-____________"),
    ],
)
def test_function_defaults(
    tmp_path: Path, logical: LogicalType, function: str, pattern: str
) -> None:
    """Portable functions give values that the column's own type reads again."""
    path = tmp_path / "a.db"
    field = column("c", logical, default=Default(kind="function", value=function))
    database = foreign_database(table("t", field, column("d", integer(64))))
    batch = pa.RecordBatch.from_pydict(
        {"c": pa.nulls(0, pa.string()), "d": pa.array([], pa.int64())}
    )
    load(path, database, {"t": [batch]}, ddl="portable")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO t (d) VALUES (1)")
        assert connection.execute("SELECT c LIKE ? FROM t", (pattern,)).fetchone() == (1,)
        connection.commit()
    database, batches = read(path)
    field = database.tables[0].columns[0]
    assert standardize(*column_values(batches["t"][0], field), field, "t")[0].null_count == 0


def plain(name: str, *columns: str, **more: Any) -> Table:
    return table(name, *(column(c, integer(64)) for c in columns), **more)


def test_schemas_are_flattened(tmp_path: Path) -> None:
    """Tables of one name in two schemas keep their schema in the name; others do not."""
    database = foreign_database(plain("t", "a"), plain("t", "a", schema="s"), plain("u", "a"))
    empty = {name: [] for name in ("t", "u")}
    plan = load(tmp_path / "a.db", database, empty, ddl="portable").plan
    assert [p.target.name for p in plan.tables] == ["public.t", "s.t", "u"]
    assert {loss.object for loss in plan.losses} == {"table public.t", "table s.t"}


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ([plain("T", "a"), plain("t", "a")], "one name for SQLite"),
        ([plain("t", "A", "a")], "two columns of table public.t"),
        ([plain("sqlite_t", "a")], "for itself"),
    ],
)
def test_names_that_sqlite_cannot_tell_apart(
    tmp_path: Path, tables: list[Table], reason: str
) -> None:
    """Names that differ only by case, and SQLite's own, are refused before anything is made."""
    with pytest.raises(TargetError, match=reason):
        load(tmp_path / "a.db", foreign_database(*tables), {}, ddl="portable")
    assert not (tmp_path / "a.db").exists()


def test_index_names_are_shared_by_all_tables(tmp_path: Path) -> None:
    """Indexes of one name on two tables are both built, the second under another name."""
    index = Index(name="i", columns=(IndexColumn(column="a", descending=True),), unique=True)
    database = foreign_database(
        plain("t", "a", indexes=(index,)), plain("i", "a", primary_key=Key(columns=("a",)))
    )
    moved = load(tmp_path / "a.db", database, {"t": [], "i": []}, ddl="portable")
    names = query(tmp_path / "a.db", "SELECT name FROM sqlite_master WHERE sql LIKE '%INDEX%'")
    assert names == [("t_i",)]
    assert [loss.object for loss in moved.plan.losses] == ["index i"]
