"""Types and defaults that MySQL gets for columns of other engines."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dbsync.connectors.mysql.existing import read_tables
from dbsync.connectors.mysql.flavour import flavour_of
from dbsync.connectors.mysql.mapping import (
    FUNCTIONS,
    column_types,
    key_room,
    literal_default,
    type_text,
)
from dbsync.model.schema import ForeignKey, Index, IndexColumn, Key, Table
from dbsync.model.types import LogicalType, decimal, integer
from tests.unit.connectors.mysql.writing import NAME, column, make, query, session, source

T = LogicalType
MARIADB = flavour_of("10.11.6-MariaDB")
OLD_MARIADB = flavour_of("10.6.1-MariaDB")
MYSQL = flavour_of("8.0.36")

TYPES: list[tuple[T, str, bool]] = [
    (T(name="boolean"), "tinyint(1)", False),
    (integer(8), "tinyint", False),
    (integer(64, unsigned=True), "bigint unsigned", False),
    (T(name="float", bits=32), "float", False),
    (decimal(10, 2), "decimal(10,2)", False),
    (decimal(65, 38), "decimal(65,38)", False),
    (decimal(3, -2), "decimal(5,0)", True),
    (decimal(2, 5), "decimal(5,5)", True),
    (decimal(66, 2), "longtext", True),
    (decimal(65, 39), "longtext", True),
    (T(name="numeric"), "longtext", True),
    (T(name="string"), "longtext", False),
    (T(name="string", length=40), "varchar(40)", False),
    (T(name="string", length=16_381), "varchar(16381)", False),
    (T(name="string", length=16_384), "mediumtext", True),
    (T(name="string", length=2**24), "longtext", True),
    (T(name="binary"), "longblob", False),
    (T(name="binary", length=16), "varbinary(16)", False),
    (T(name="binary", length=70_000), "mediumblob", True),
    (T(name="date"), "date", False),
    (T(name="time"), "time(6)", False),
    (T(name="timestamp", precision=3), "datetime(3)", False),
    (T(name="timestamp", precision=0), "datetime", False),
    (T(name="timestamp", precision=9), "datetime(6)", True),
    (T(name="timestamp_tz"), "timestamp(6)", False),
    (T(name="uuid"), "uuid", False),
    (T(name="json"), "json", False),
    (T(name="enum", labels=("a", "A", "x,y")), "enum('a','A','x,y')", False),
    (T(name="enum", labels=("a ",)), "varchar(2)", True),
    (T(name="enum", labels=tuple(f"label {i}" for i in range(5000))), "varchar(10)", True),
    (T(name="enum"), "longtext", True),
    (T(name="interval"), "longtext", True),
    (T(name="array", element=integer(32)), "longtext", True),
    (T(name="native"), "longtext", True),
]


@pytest.mark.parametrize(("logical", "text", "changed"), TYPES, ids=[t[1][:30] for t in TYPES])
def test_every_type_that_is_chosen_is_one_that_the_server_makes(
    maria_url: str, logical: T, text: str, changed: bool
) -> None:
    """The type is the documented one, says whether it differs, and the server takes it."""
    made, reason = type_text(column("c", logical), MARIADB)
    assert (made, reason is not None) == (text, changed)
    make(maria_url, f"CREATE TABLE t (c {made}) CHARSET utf8mb4 COLLATE utf8mb4_nopad_bin")


def test_where_the_flavours_differ() -> None:
    """MySQL has no UUID, rewrites JSON and allows fewer digits; old MariaDB has no UUID either."""
    for flavour in (MYSQL, OLD_MARIADB):
        text, reason = type_text(column("c", T(name="uuid")), flavour)
        assert text == "char(36)"
        assert reason is not None
    assert type_text(column("c", T(name="json")), MYSQL)[0] == "longtext"
    assert type_text(column("c", decimal(40, 31)), MYSQL)[0] == "longtext"
    assert literal_default(column("c", T(name="string")), "x", MYSQL) == "('x')"


def test_a_column_of_any_gets_the_type_of_what_it_holds() -> None:
    """SQLite's columns without a type follow their storage."""
    any_ = T(name="any")
    storages = {"int64": "bigint", "double": "double", "string": "longtext", "binary": "longblob"}
    for storage, text in storages.items():
        assert type_text(column("c", any_, storage=storage), MARIADB)[0] == text


def keyed(**more: Any) -> Table:
    """Make a table with texts of several lengths."""
    of = source(
        column("i"),
        column("a", T(name="string")),
        column("b", T(name="string", length=20)),
        column("c", T(name="string")),
        column("d", T(name="string")),
        column("e", T(name="binary")),
    )
    return replace(of, **more)


KEYED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"primary_key": Key(columns=("a",))}, {"a": "varchar(768)", "b": "varchar(20)"}),
    ({"primary_key": Key(columns=("a", "b"))}, {"a": "varchar(748)", "b": "varchar(20)"}),
    ({"primary_key": Key(columns=("i", "a"))}, {"a": "varchar(764)"}),
    ({"uniques": (Key(columns=("a", "c")), Key(columns=("c",)))}, {"c": "varchar(384)"}),
    ({"uniques": (Key(columns=("e",)),)}, {"e": "varbinary(3072)"}),
    (
        {"indexes": (Index(name="x", columns=(IndexColumn(column="a"),)),)},
        {"a": "longtext"},
    ),
    (
        {"indexes": (Index(name="x", columns=(IndexColumn(column="a"),), unique=True),)},
        {"a": "varchar(768)"},
    ),
    (
        {"foreign_keys": (ForeignKey(columns=("a",), referred=NAME, referred_columns=("c",)),)},
        {"a": "varchar(768)", "c": "varchar(768)", "d": "longtext"},
    ),
]


@pytest.mark.parametrize(("keys", "wanted"), KEYED)
def test_text_in_a_key_gets_as_much_room_as_the_key_has(
    maria_url: str, keys: dict[str, Any], wanted: dict[str, str]
) -> None:
    """Lengths are cut only where a key has no room for them, and the server takes the keys."""
    of = keyed(**keys)
    types = column_types(of, MARIADB)
    assert {name: types[name][0] for name in wanted} == wanted
    columns = ", ".join(f"{name} {text}" for name, (text, _) in types.items())
    unique = [k.columns for k in (of.primary_key, *of.uniques) if k]
    listed = "".join(f", UNIQUE ({', '.join(columns)})" for columns in unique)
    make(maria_url, f"CREATE TABLE t ({columns}{listed}) DEFAULT CHARSET utf8mb4")
    for name in key_room(of):
        assert types[name][1] is not None or name == "b"


def test_a_row_is_made_to_fit(maria_url: str) -> None:
    """Of many long VARCHARs the longest become TEXT, until the server takes the row."""
    columns = [column(f"c{n}", T(name="string", length=4000 + n)) for n in range(9)]
    types = column_types(source(*columns), MARIADB)
    texts = [text for text, _ in types.values()]
    assert texts[:4] == [f"varchar({4000 + n})" for n in range(4)]
    assert set(texts[4:]) == {"text"}
    assert all((reason is None) == text.startswith("varchar") for text, reason in types.values())
    listed = ", ".join(f"{name} {text}" for name, (text, _) in types.items())
    make(maria_url, f"CREATE TABLE t ({listed}) DEFAULT CHARSET utf8mb4")


DEFAULTS: list[tuple[T, str, Any]] = [
    (integer(32), "-5", -5),
    (T(name="boolean"), "true", 1),
    (decimal(10, 2), "1.5", "1.50"),
    (T(name="float", bits=64), "1e+20", 1e20),
    (T(name="string"), "it's \\ \"\n%", "it's \\ \"\n%"),
    (T(name="string", length=5), "", ""),
    (T(name="binary"), "\\x00ff27", b"\x00\xff'"),
    (T(name="date"), "2024-02-29", "2024-02-29"),
    (T(name="time", precision=0), "24:00:00", "24:00:00"),
    (T(name="timestamp"), "0999-01-01 00:00:00.5", "0999-01-01 00:00:00.500000"),
    (T(name="timestamp_tz"), "2024-01-01 00:30:00+02", "2023-12-31 22:30:00.000000"),
    (T(name="uuid"), "6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    (T(name="json"), '{"a": 1.10}', '{"a": 1.10}'),
    (T(name="enum", labels=("x", "it's")), "it's", "it's"),
    (T(name="numeric"), "1.10", "1.10"),
]


@pytest.mark.parametrize(("logical", "value", "found"), DEFAULTS, ids=[str(d[0]) for d in DEFAULTS])
def test_literal_defaults_give_the_same_value(
    maria_url: str, logical: T, value: str, found: Any
) -> None:
    """A row that takes the default has the value that the source would have given it."""
    of = column("c", logical)
    text, _ = type_text(of, MARIADB)
    spelled = literal_default(of, value, MARIADB)
    assert spelled is not None
    make(
        maria_url,
        f"CREATE TABLE t (i INT, c {text} DEFAULT {spelled}) DEFAULT CHARSET utf8mb4",
        "INSERT INTO t (i) VALUES (1)",
    )
    got = query(maria_url, "SELECT c FROM t")[0][0]
    assert (str(got) if logical.name == "decimal" else got) == found


@pytest.mark.parametrize(
    ("logical", "value"),
    [
        (integer(8), "128"),
        (integer(32), "abc"),
        (decimal(5, 2), "1.234"),
        (T(name="string", length=2), "abc"),
        (T(name="timestamp"), "infinity"),
        (T(name="timestamp_tz"), "2100-01-01 00:00:00+00"),
        (T(name="date"), "0044-03-15 BC"),
        (T(name="json"), "{"),
        (T(name="enum", labels=("x",)), "y"),
        (T(name="float", bits=64), "NaN"),
        (T(name="binary"), "abc"),
    ],
    ids=str,
)
def test_a_default_that_is_no_value_here_is_left_out(logical: T, value: str) -> None:
    """CREATE TABLE would fail with it, or change it."""
    assert literal_default(column("c", logical), value, MARIADB) is None


def test_functions_of_defaults_are_taken_by_columns_of_their_types(maria_url: str) -> None:
    """Each function is an expression that the server accepts, with any number of digits."""
    types = {
        "current_timestamp": ("timestamp(6)", "datetime(3)", "datetime", "longtext"),
        "current_date": ("date", "datetime"),
        "current_time": ("time(6)", "time"),
        "random_uuid": ("uuid", "char(36)"),
    }
    assert types.keys() == FUNCTIONS.keys()
    for name, texts in types.items():
        for text in texts:
            make(maria_url, "DROP TABLE IF EXISTS t", f"CREATE TABLE t (i INT, c {text} "
                 f"DEFAULT {FUNCTIONS[name]})", "INSERT INTO t (i) VALUES (1)")  # fmt: skip
            assert query(maria_url, "SELECT c FROM t") != [(None,)]
    with session(maria_url) as opened:
        assert read_tables(opened, [NAME])[NAME].columns[1].default is not None
