"""Values reach PostgreSQL exactly, by COPY and through staging, or are refused."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from msgspec.structs import replace

from dbsync.errors import LossError, TargetError
from dbsync.model.types import LogicalType, decimal, integer
from tests.unit.connectors.postgres.loading import (
    INT,
    TEXT,
    Literal,
    column,
    database,
    load,
    query,
    run,
    table,
)

T = LogicalType
US_0044 = -63_549_360_000_000_000

CASES = [
    # logical type, type on the target, pairs of value and the server's text of it
    (T(name="boolean"), "boolean", [(True, "true"), (False, "false")]),
    (integer(16), "smallint", [(-32768, "-32768"), (32767, "32767")]),
    (integer(32), "integer", [(-(2**31), str(-(2**31))), (2**31 - 1, str(2**31 - 1))]),
    (INT, "bigint", [(-(2**63), str(-(2**63))), (2**63 - 1, str(2**63 - 1))]),
    (
        T(name="float", bits=32),
        "real",
        [(3.4028234663852886e38, "3.4028235e+38"), (1e-45, "1e-45")],
    ),
    (
        T(name="float", bits=64),
        "double precision",
        [
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (float("inf"), "Infinity"),
            (float("nan"), "NaN"),
        ],
    ),
    (
        decimal(38, 10),
        "numeric(38,10)",
        [
            (Decimal("9" * 28 + "." + "9" * 10), "9" * 28 + "." + "9" * 10),
            (Decimal("-0.0000000001"), "-0.0000000001"),
            (Decimal(0), "0.0000000000"),
            (Literal("NaN"), "NaN"),
        ],
    ),
    (decimal(5, 2), "numeric(5,2)", [(Decimal("1.50"), "1.50"), (Decimal("-999.99"), "-999.99")]),
    (
        T(name="numeric"),
        "numeric",
        [
            ("1" * 1000 + "." + "3" * 1000, "1" * 1000 + "." + "3" * 1000),
            ("1.5000", "1.5000"),
            (Literal("Infinity"), "Infinity"),
            ("NaN", "NaN"),
        ],
    ),
    (TEXT, "text", [("", ""), ("a\nb\\N\t'\"%s :x", "a\nb\\N\t'\"%s :x"), ("😀" * 3, "😀" * 3)]),
    (T(name="string", length=5), "character varying(5)", [("äöüß ", "äöüß "), ("", "")]),
    (T(name="binary"), "bytea", [(b"\x00\xff", "\\x00ff"), (b"", "\\x")]),
    (
        T(name="date"),
        "date",
        [
            (-2_440_588, "4714-11-24 BC"),
            (2_145_042_905, "5874897-12-31"),
            (0, "1970-01-01"),
            (Literal("infinity"), "infinity"),
            (Literal("-infinity"), "-infinity"),
        ],
    ),
    (
        T(name="time"),
        "time without time zone",
        [(0, "00:00:00"), (86_399_999_999, "23:59:59.999999"), (Literal("24:00:00"), "24:00:00")],
    ),
    (
        T(name="timestamp"),
        "timestamp without time zone",
        [
            (-210_866_803_200_000_000, "4714-11-24 00:00:00 BC"),
            (2**63 - 1, "294247-01-10 04:00:54.775807"),
            (US_0044, "0045-03-15 00:00:00 BC"),
            (1, "1970-01-01 00:00:00.000001"),
            (Literal("infinity"), "infinity"),
        ],
    ),
    (
        T(name="timestamp_tz"),
        "timestamp with time zone",
        [(1, "1970-01-01 00:00:00.000001+00"), (Literal("-infinity"), "-infinity")],
    ),
    (T(name="time_tz"), "time with time zone", [("10:00:00+05:30", "10:00:00+05:30")]),
    (
        T(name="interval"),
        "interval",
        [("1 mon", "1 mon"), ("-1 days +02:03:00", "-1 days +02:03:00")],
    ),
    (
        T(name="uuid"),
        "uuid",
        [
            (uuid.UUID(int=2**128 - 1).bytes, str(uuid.UUID(int=2**128 - 1))),
            (bytes(16), str(uuid.UUID(int=0))),
        ],
    ),
    (T(name="json"), "json", [('{"a" : 1, "a":1e400}', '{"a" : 1, "a":1e400}'), ("null", "null")]),
    (T(name="enum", labels=("b", "a")), "", [("a", "a"), ("b", "b")]),
    (T(name="array", element=integer(32)), "integer[]", [("[0:1]={1,NULL}", "[0:1]={1,NULL}")]),
    (T(name="native"), "text", [("(1,2)", "(1,2)")]),
]


@pytest.mark.parametrize("staged", [False, True], ids=["copied", "staged"])
def test_every_type_arrives_as_the_server_would_print_it(pg_url: str, staged: bool) -> None:
    """A value of each logical type, extremes included, has the same text on the server."""
    run(pg_url, "ALTER DATABASE " + pg_url.rsplit("/", 1)[1] + " SET datestyle = 'SQL, DMY'")
    of = table(
        "t",
        column("id"),
        *(column(f"v{number}", logical) for number, (logical, _, _) in enumerate(CASES)),
        key=["id"],
    )
    # With a column of a type that goes as text, every column goes through staging.
    left_out = () if staged else _NOT_COPIED
    columns = [
        c for c in of.columns if c.name == "id" or CASES[int(c.name[1:])][0].name not in left_out
    ]
    of = replace(of, columns=tuple(columns))
    cases = {c.name: CASES[int(c.name[1:])] for c in columns if c.name != "id"}
    deepest = max(len(pairs) for _, _, pairs in CASES)
    rows = [
        (i, *(pairs[i][0] if i < len(pairs) else None for _, _, pairs in cases.values()))
        for i in range(deepest + 1)
    ]
    options = {"ddl": "portable"}
    if staged:
        load(pg_url, database(of), {}, **options)
        run(pg_url, "INSERT INTO t (id) VALUES (-1)")
    plan, _ = load(pg_url, database(of), {"t": [rows]}, **options)
    assert plan.tables[0].mode == ("update" if staged else "insert")
    for name, (logical, native, pairs) in cases.items():
        found = _pinned(
            pg_url, f"SELECT {name}::text, pg_typeof({name})::text FROM t WHERE id >= 0 ORDER BY id"
        )
        expected = [text for _, text in pairs]
        assert [row[0] for row in found] == expected + [None] * (deepest + 1 - len(pairs)), logical
        if native and "(" not in native:
            assert found[0][1] == native


def _pinned(url: str, statement: str) -> list[tuple[object, ...]]:
    from tests.unit.connectors.postgres.loading import connected

    with connected(url) as cursor:
        cursor.execute(
            "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET intervalstyle = postgres"
        )
        cursor.execute(statement)
        return cursor.fetchall()


_NOT_COPIED = ("numeric", "time_tz", "interval", "array", "native")

_BOTH_WAYS = ("varchar", "numeric", "real", "date", "timestamp", "integer")

REFUSED = [
    # logical, type on the target, a value that must not be bent
    (TEXT, "varchar(3)", "abc "),
    (TEXT, "varchar(3)", "abcd"),
    (TEXT, "char(3)", "abc "),
    (TEXT, "name", "x" * 64),
    (TEXT, '"char"', "ab"),
    (TEXT, "bit(3)", "1010"),
    (TEXT, "bit varying(3)", "1010"),
    (TEXT, "money", "$1.005"),
    (TEXT, "date", "2024-01-01 10:00"),
    (TEXT, "boolean", "yes"),
    (TEXT, "tsvector", "fat cat fat"),
    (T(name="json"), "jsonb", '{"a": {"b": 1, "b": 2}}'),
    (decimal(10, 3), "numeric(10,2)", Decimal("1.005")),
    (T(name="numeric"), "numeric(50,2)", "1.005"),
    (T(name="numeric"), "integer", "1.5"),
    (T(name="float", bits=64), "real", 0.1),
    (T(name="float", bits=64), "bigint", 0.5),
    (INT, "smallint", 40_000),
    (INT, "real", 2**24 + 1),
    (T(name="timestamp"), "date", 3_600_000_000),
    (T(name="timestamp"), "timestamp(0)", 1),
    (T(name="time"), "time(3)", 1),
    (T(name="timestamp_tz"), "timestamptz(0)", -1),
    (T(name="array", element=decimal(10, 3)), "numeric(10,2)[]", "{1.005}"),
    (T(name="date"), "date", -2_440_589),
    (T(name="timestamp"), "timestamp", -(2**63)),
    # Moved to PostgreSQL's epoch these would be its -infinity.
    (T(name="timestamp"), "timestamp", -(2**63) + 946_684_800_000_000),
    (T(name="date"), "date", -(2**31) + 10_957),
]


@pytest.mark.parametrize("staged", [False, True], ids=["copied", "staged"])
def test_a_value_that_would_change_is_refused(pg_url: str, staged: bool) -> None:
    """What the server or the driver would cut, round or wrap raises, and nothing of it stays."""
    for number, (logical, native, value) in enumerate(REFUSED):
        if staged and native.partition("(")[0] not in _BOTH_WAYS:
            continue
        run(pg_url, f"CREATE TABLE t{number} (id bigint PRIMARY KEY, v {native})")
        if staged:
            run(pg_url, f"INSERT INTO t{number} VALUES (-1)")
        of = table(f"t{number}", column("id"), column("v", logical), key=["id"])
        with pytest.raises((LossError, TargetError)) as refused:
            load(
                pg_url,
                database(of),
                {of.name.name: [[(1, None), (2, value)]]},
                import_id=f"{number}",
            )
        assert f"t{number}" in refused.value.message, native
        assert query(pg_url, f"SELECT count(*) FROM t{number} WHERE id > 0") == [(0,)], native


WIDENED = [
    (integer(16), "bigint", 5, "5"),
    (INT, "numeric", 2**63 - 1, str(2**63 - 1)),
    (INT, "double precision", 12345, "12345"),
    (INT, "boolean", 1, "true"),
    (T(name="boolean"), "integer", True, "1"),
    (T(name="integer", bits=64, unsigned=True), "numeric(20,0)", 2**64 - 1, str(2**64 - 1)),
    (decimal(5, 2), "numeric(12,4)", Decimal("1.50"), "1.5000"),
    (decimal(5, 2), "text", Decimal("1.50"), "1.50"),
    (T(name="date"), "timestamp", 1, "1970-01-02 00:00:00"),
    (T(name="date"), "text", Literal("infinity"), "infinity"),
    (T(name="uuid"), "text", bytes(16), str(uuid.UUID(int=0))),
    (TEXT, "uuid", f"{uuid.UUID(int=7)}", str(uuid.UUID(int=7))),
    (TEXT, "timestamptz", "2024-01-01 10:00+02", "2024-01-01 08:00:00+00"),
    (TEXT, "inet", "10.0.0.1", "10.0.0.1/32"),
    (TEXT, "bit(3)", "101", "101"),
    (T(name="json"), "jsonb", '{"b": 1, "a": 1e2}', '{"a": 100, "b": 1}'),
    (TEXT, "varchar(3)", "äöü", "äöü"),
    (TEXT, "positive", "7", "7"),
    (T(name="timestamp"), "timestamp(3)", 1000, "1970-01-01 00:00:00.001"),
]


def test_a_value_that_fits_another_type_arrives(pg_url: str) -> None:
    """Existing columns of other types take values that are equal there."""
    run(pg_url, "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
    for number, (logical, native, value, text) in enumerate(WIDENED):
        run(pg_url, f"CREATE TABLE t{number} (v {native})")
        of = table(f"t{number}", column("v", logical))
        load(pg_url, database(of), {of.name.name: [[(value,), (None,)]]}, import_id=f"{number}")
        found = _pinned(pg_url, f"SELECT v::text FROM t{number} ORDER BY v NULLS LAST")
        assert found == [(text,), (None,)], native


def test_the_one_byte_type_is_checked_from_postgresql_too(pg_url: str) -> None:
    """A cast to "char" cuts its text, so even the same type on both sides is compared."""
    run(pg_url, 'CREATE TABLE t (v "char")')
    of = table("t", column("v", T(name="native"), '"char"'), schema="public")
    load(pg_url, database(of, engine="postgresql"), {"t": [[("a",), ("",)]]})
    assert query(pg_url, "SELECT v::text FROM t ORDER BY v") == [("",), ("a",)]
    with pytest.raises(LossError, match="column v: 1 value cannot be"):
        load(pg_url, database(of, engine="postgresql"), {"t": [[("ab",)]]}, on_conflict="error")


def test_a_nul_is_refused_with_table_column_and_count(pg_url: str) -> None:
    """PostgreSQL text cannot hold NUL: the message says where and how many, nothing is cut."""
    of = table("t", column("a"), column("b", TEXT))
    rows = [(1, "x"), (2, "a\0b"), (3, "\0"), (4, None)]
    with pytest.raises(LossError, match=r"table t, column b: 1 value with a NUL"):
        load(pg_url, database(of), {"t": [rows]}, ddl="portable")
    assert query(pg_url, "SELECT count(*) FROM t") == [(0,)]


def test_a_domain_and_a_refused_row_name_table_chunk_and_state(pg_url: str) -> None:
    """What a constraint refuses comes back with the chunk's table and the SQLSTATE."""
    run(pg_url, "CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE TABLE t (v positive)")
    of = table("t", column("v", integer(32)))
    with pytest.raises(TargetError, match=r"table public\.t .*\[23514\]"):
        load(pg_url, database(of), {"t": [[(1,), (-1,)]]})


def test_rows_without_columns_are_counted(pg_url: str) -> None:
    """A table without any column still gets its number of rows."""
    import pyarrow as pa

    from dbsync.connectors.base import ChunkId, ImportOptions
    from dbsync.connectors.postgres import open_target

    of = database(table("t"))
    options = ImportOptions(import_id="x", ddl="portable")
    target = open_target(pg_url)
    plan = target.prepare(of, options)
    with target.load(plan, options) as loading:
        list(loading.create())
        with loading.writer(plan.tables[0]) as writer:
            rows = pa.RecordBatch.from_struct_array(pa.array([{}] * 3, pa.struct([])))
            writer.write(rows)
            counts = writer.commit(ChunkId(table=plan.tables[0].source.name, number=0, digest="x"))
        list(loading.finalize())
    target.close()
    assert counts.inserted == 3
    assert query(pg_url, "SELECT count(*) FROM t") == [(3,)]
