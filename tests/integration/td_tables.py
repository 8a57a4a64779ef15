"""Twenty tables of a Treasure Data account, and what an account holds, read without dbsync.

Must not know: what dbsync makes of them.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.treasuredata import FakeTreasureData, fill, make
from tests.fakes.treasuredata.catalog import in_sql

DATABASE = "shop"
BIG_ROWS = 50_000

Contents = dict[str, tuple[list[list[str]], int | None, int, Any]]

_LIMITS: list[dict[str, Any]] = [
    {"i": 2**31 - 1, "l": 2**63 - 1, "f": 3.4028234663852886e38, "d": 1.7976931348623157e308},
    {"i": -(2**31), "l": -(2**63), "f": 1.401298464324817e-45, "d": 5e-324},
    {"i": 0, "l": 2**53 + 1, "f": -0.0, "d": -0.0},
    {"i": -1, "l": -129, "f": 0.1, "d": 0.1},
    {"i": None, "l": None, "f": None, "d": None},
    {"i": 127, "l": 128, "f": float("inf"), "d": float("-inf")},
    {"i": 255, "l": 65536, "f": float("nan"), "d": float("nan")},
]
_TEXTS = [
    "", " ", "a", "ÿ😀\u0301", 'it\'s "q" \\ \\N \t\r\n', "\0", "NULL", "null", "00012", "1e5",
    "x" * 31, "x" * 32, "x" * 255, "x" * 256, "é" * 40_000, None, "[1]", '{"a":1}', "日本語", "a ",
]  # fmt: skip
_ARRAYS: list[dict[str, Any]] = [
    {"a": [], "b": [""], "c": [2**63 - 1, None, -1], "d": [0.1, float("nan"), None]},
    {"a": ["ÿ😀", 'q"\\', "\0", None], "b": None, "c": [], "d": [float("inf"), -0.0]},
    {"a": None, "b": ["NaN", "Infinity"], "c": None, "d": [1e300, 5e-324, float("-inf")]},
    {"a": ["x" * 300] * 20, "c": list(range(20)), "d": [1.0]},
]
_MAPS: list[dict[str, Any]] = [
    {"m": {}, "n": {"a": 2**63 - 1, "": None}, "o": {"x": "ÿ😀"}, "p": {"d": float("nan")}},
    {"m": {"k": "v", "schlüssel": None}, "o": {'"q"': "\0", "b\n": ""}, "p": {"d": -0.0}},
    {"m": None, "n": {f"key{n}": n for n in range(20)}, "p": {}},
]


def make_shop(fake: FakeTreasureData, account: str = "main", big_rows: int = BIG_ROWS) -> None:
    """Fill an account with twenty tables: every type and its limits, names, sizes, settings."""
    catalog = fake.account(account)

    def table(
        name: str, columns: dict[str, str], rows: list[dict[str, Any]], expire: int | None = None
    ) -> None:
        make(catalog, DATABASE, name, list(columns.items()), rows, expire_days=expire)

    table("limits", {"i": "int", "l": "long", "f": "float", "d": "double"}, _LIMITS, 30)
    table("texts", {"s": "string"}, [{"s": text} for text in _TEXTS])
    table(
        "arrays",
        {"a": "array<string>", "b": "array<string>", "c": "array<long>", "d": "array<double>"},
        _ARRAYS,
    )
    table(
        "maps",
        {
            "m": "map<string,string>", "n": "map<string,long>", "o": "map<string,string>",
            "p": "map<string,double>",
        },
        _MAPS,
        1,
    )  # fmt: skip
    table(
        "nested",
        {
            "aa": "array<array<int>>",
            "am": "array<map<string,long>>",
            "ma": "map<string,array<int>>",
        },
        [
            {"aa": [[1, None], [], None], "am": [{"a": 1}, {}, None], "ma": {"k": [1, 2]}},
            {"aa": [], "am": [], "ma": {}},
            {},
        ],
    )
    table("floats", {"af": "array<float>", "ints": "array<int>"}, [
        {"af": [0.5, 0.10000000149011612, None, float("nan")], "ints": [2**31 - 1, None]},
        {"af": [], "ints": None},
    ])  # fmt: skip
    table("int_keys", {"m": "map<long,string>"}, [{"m": {1: "a", 2**62: None}}, {"m": {}}])
    table("empty", {"id": "long", "tags": "array<string>"}, [], 365)
    table("no_columns", {}, [{"time": 5}, {"time": 5}, {"time": 6}])
    table("empty_without_columns", {}, [])
    table("only_nulls", {"a": "int", "b": "string", "c": "map<string,int>"}, [{}] * 50)
    table("same_rows", {"a": "string"}, [{"a": "twice", "time": 7}] * 100)
    table("one_row", {"a": "int"}, [{"a": 1, "time": 0}])
    table("times", {"n": "int"}, [
        {"n": n, "time": t} for n, t in enumerate([-1, 0, 1, 2**31, 2**40, -(2**40), 1700000000])
    ])  # fmt: skip
    table(
        "keywords",
        {"select": "int", "from": "string", "order": "long", "_x": "double", "a__b": "string"},
        [{"select": 1, "from": "f", "order": 2, "_x": 0.5, "a__b": ""}],
    )
    table("a" * 128, {"b" * 100: "string"}, [{"b" * 100: "long names"}])
    table("x_1", {"id": "long"}, [{"id": n} for n in range(300)], 3650)
    wide = {f"c{n}": ("long", "string", "double", "int")[n % 4] for n in range(120)}
    table("wide", wide, [
        {name: (n, str(n), n / 7, -n)[place % 4] for place, name in enumerate(wide)}
        for n in range(40)
    ])  # fmt: skip
    fill(
        catalog, DATABASE, "sparse", [["id", "long"], ["note", "string"]],
        "SELECT range AS id, CASE WHEN range % 97 = 0 THEN 'n' || range END AS note, "
        "range * 3600 AS time FROM range(5000)",
    )  # fmt: skip
    make_big(fake, account, big_rows)


def make_big(fake: FakeTreasureData, account: str, rows: int) -> None:
    """Add the table `big`, of numbers, texts, arrays, maps and NULLs."""
    fill(
        fake.account(account), DATABASE, "big",
        [
            ["id", "long"], ["user_id", "int"], ["amount", "double"], ["ratio", "float"],
            ["status", "string"], ["note", "string"], ["tags", "array<string>"],
            ["sizes", "map<string,long>"],
        ],
        "SELECT range AS id, (hash(range) % 100000)::INT AS user_id, "
        "(hash(range, 1) % 1000000)::DOUBLE / 7 AS amount, (range / 3)::FLOAT AS ratio, "
        "'status ' || range % 5 AS status, "
        "CASE WHEN range % 4 > 0 THEN md5(range::VARCHAR) || ' ✓' END AS note, "
        "CASE WHEN range % 3 > 0 THEN ['a', 'b' || range % 10] END AS tags, "
        "CASE WHEN range % 2 > 0 THEN MAP {'w': range} END AS sizes, "
        f"1700000000 + range // 10 AS time FROM range({rows})",
        expire_days=90,
    )  # fmt: skip


def contents(fake: FakeTreasureData, database: str = DATABASE, account: str = "main") -> Contents:
    """Return of each table its schema, expire_days, number of rows, and the rows in one order.

    In place of many rows stands a number made of all their values.
    """
    catalog = fake.account(account)
    found: Contents = {}
    for name, table in list(catalog.database(database).tables.items()):
        columns = ", ".join(f'"{column}"' for column in ["time", *map(in_sql, table.columns)])
        full = f'"{database}"."{name}"'
        ((rows,),) = catalog.query(f"SELECT count(*) FROM {full}")
        if rows <= 5000:
            found_rows: Any = sorted(map(repr, catalog.query(f"SELECT {columns} FROM {full}")))
        else:
            sql = f"SELECT sum(hash(r)) FROM (SELECT row({columns}) AS r FROM {full})"
            ((found_rows,),) = catalog.query(sql)
        found[name] = (table.columns, table.expire_days, rows, found_rows)
    return found
