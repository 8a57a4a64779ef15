"""Every type leaves PostgreSQL exactly: what was read is what the server itself prints."""

from __future__ import annotations

import math

import psycopg2
import pyarrow as pa
import pytest

from dbsync.connectors.postgres.connection import pin_statement
from dbsync.model.types import LogicalType, decimal, integer
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.reading import batches, public, snapshot, texts, whole

# Type, values as SQL, logical type, Arrow storage.
# fmt: off
DIRECT: list[tuple[str, list[str], LogicalType, str]] = [
    ("bool", ["true", "false"], LogicalType(name="boolean"), "bool"),
    ("smallint", ["-32768", "32767", "0"], integer(16), "int16"),
    ("integer", ["-2147483648", "2147483647"], integer(32), "int32"),
    ("bigint", ["-9223372036854775808", "9223372036854775807"], integer(64), "int64"),
    (
        "real",
        ["'NaN'", "'Infinity'", "'-Infinity'", "1e-45", "3.4028235e38", "0.1", "'-0'", "16777216"],
        LogicalType(name="float", bits=32),
        "float",
    ),
    (
        "double precision",
        ["'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e308", "0.1", "1e23"],
        LogicalType(name="float", bits=64),
        "double",
    ),
    (
        "text",
        ["''", "E'a\\nb\\t\"\\'\\\\'", "'😀 é \\N'", "repeat('x', 3000000)"],
        LogicalType(name="string"),
        "string",
    ),
    ("varchar(5)", ["''", "'abc  '"], LogicalType(name="string", length=5), "string"),
    ("bytea", ["''", "'\\x00ff0a'", "'\\xdeadbeef'"], LogicalType(name="binary"), "binary"),
    (
        "date",
        ["'infinity'", "'-infinity'", "'4714-11-24 BC'", "'0044-03-15 BC'", "'0001-01-01'",
         "'5874897-12-31'", "'1999-12-31'", "'2000-02-29'", "'10000-01-01'", "'1970-01-01'"],
        LogicalType(name="date"),
        "date32[day]",
    ),
    (
        "time",
        ["'24:00:00'", "'00:00:00'", "'23:59:59.999999'", "'12:34:56.5'"],
        LogicalType(name="time"),
        "time64[us]",
    ),
    (
        "timestamp",
        ["'infinity'", "'-infinity'", "'4714-11-24 00:00:00 BC'",
         "'294276-12-31 23:59:59.999999'", "'294247-01-10 04:00:54.775807'",
         "'294247-01-10 04:00:54.775808'", "'2000-01-01'", "'1999-12-31 23:59:59.999999'",
         "'0044-03-15 12:00:00.25 BC'"],
        LogicalType(name="timestamp"),
        "timestamp[us]",
    ),
    (
        "timestamptz",
        ["'infinity'", "'-infinity'", "'4714-11-24 00:00:00+00 BC'",
         "'294276-12-31 23:59:59.999999+00'", "'294247-01-10 04:00:54.775808+00'",
         "'2024-03-31 01:30:00+05:45'", "'2024-10-27 00:30:00 Europe/Berlin'"],
        LogicalType(name="timestamp_tz"),
        "timestamp[us, tz=UTC]",
    ),
    ("timestamp(3)", ["'2024-01-01 00:00:00.123456'"], LogicalType(name="timestamp", precision=3),
     "timestamp[us]"),
    (
        "uuid",
        ["'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
        LogicalType(name="uuid"),
        "fixed_size_binary[16]",
    ),
    ("numeric(10,2)", ["'NaN'", "-99999999.99", "0.00", "1.5"], decimal(10, 2),
     "decimal128(10, 2)"),
    ("numeric(38,10)", ["9999999999999999999999999999.9999999999", "'NaN'", "-0.0000000001"],
     decimal(38, 10), "decimal128(38, 10)"),
]  # fmt: skip

# fmt: on

NATIVE = LogicalType(name="native")
NUMERIC = LogicalType(name="numeric")


def _array(element: LogicalType) -> LogicalType:
    return LogicalType(name="array", element=element)


TEXT: list[tuple[str, list[str], LogicalType]] = [
    ("numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "repeat('9', 1000)::numeric",
                 "1e-1000", "1.500", "('0.' || repeat('1', 16383))::numeric"], NUMERIC),
    ("numeric(50,5)", ["'NaN'", "repeat('9', 45)::numeric"], decimal(50, 5)),
    ("numeric(5,-2)", ["123456", "'NaN'"], decimal(5, -2)),
    ("numeric(3,5)", ["0.00123"], decimal(3, 5)),
    ("name", ["'x'", "repeat('y', 63)"], LogicalType(name="string", length=63)),
    ("json", ["'{\"a\" :  1e400, \"a\": 2}'", "'\"\\u0061\"'"], LogicalType(name="json")),
    ("jsonb", ["'{\"b\": 1.10, \"a\": 123456789012345678901234567890}'", "'null'"],
     LogicalType(name="json")),
    ("interval", ["'1 mon'", "'30 days'", "'-1 year 2 mons -3 days 04:05:06.789'"],
     LogicalType(name="interval")),
    ("timetz", ["'24:00:00+15:59'", "'12:00:00.000001-03:30'"], LogicalType(name="time_tz")),
    ("money", ["'-92233720368547758.08'", "'1234.5'"], NATIVE),
    ("bit(9)", ["B'101010101'"], NATIVE),
    ("varbit", ["B''", "B'1'"], NATIVE),
    ("cidr", ["'10.0.0.0/8'", "'2001:db8::/32'"], NATIVE),
    ("macaddr", ["'08:00:2b:01:02:03'"], NATIVE),
    ("point", ["'(0.1,1e300)'"], NATIVE),
    ("polygon", ["'((0,0),(1,1),(0,1))'"], NATIVE),
    ("tsvector", ["'a:1A ''b c'':2'"], NATIVE),
    ("tsquery", ["'a & !b'"], NATIVE),
    ("int4range", ["'empty'", "'[1,5]'", "'(,)'"], NATIVE),
    ("tstzrange", ["'[2020-01-01 00:00+02,infinity)'"], NATIVE),
    ("int8multirange", ["'{[1,2),[5,9)}'"], NATIVE),
    ("oid", ["4294967295"], NATIVE),
    ("regclass", ["'public.\"Odd \"\"table\"'", "'pg_class'"], NATIVE),
    ("pg_lsn", ["'FFFFFFFF/FFFFFFFF'"], NATIVE),
    ("tid", ["'(4294967295,65535)'"], NATIVE),
    ("xid8", ["'18446744073709551615'"], NATIVE),
    ("jsonpath", ["'$.a[*] ? (@ > 1)'"], NATIVE),
    ("public.mood", ["'so so'", "'o''k'"], LogicalType(name="enum", labels=("so so", "o'k"))),
    ("public.pair", ["ROW(1, NULL)", "ROW(NULL, NULL)", "ROW(2, 'a,\"b')"], NATIVE),
    ("integer[]", ["'{}'", "'[0:1]={1,NULL}'", "'{{1,2},{3,4}}'"], _array(integer(32))),
    ("text[]", ["ARRAY['a,b', 'NULL', NULL, '', '\"']"], _array(LogicalType(name="string"))),
    ("numeric(10,2)[]", ["'{1.5,NaN}'"], _array(decimal(10, 2))),
    ("timestamptz[]", ["ARRAY['infinity'::timestamptz, '2024-01-01 00:00+02']"],
     _array(LogicalType(name="timestamp_tz"))),
    ("bytea[]", ["ARRAY['\\x00'::bytea]"], _array(LogicalType(name="binary"))),
    ("public.pair[]", ["ARRAY[ROW(1,'x')::public.pair]"], _array(NATIVE)),
    ("public.vector(3)", ["'[1,2.5,-3e-05]'"], NATIVE),
]  # fmt: skip


@pytest.fixture
def connection(pg_url: str) -> psycopg2.extensions.connection:
    """A connection pinned like dbsync's own, with the types that the tests use."""
    connection = psycopg2.connect(pg_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE TYPE public.mood AS ENUM ('so so', 'o''k')")
        cursor.execute("CREATE TYPE public.pair AS (a int, b text)")
        cursor.execute('CREATE TABLE public."Odd ""table" (a int)')
        cursor.execute("CREATE EXTENSION vector SCHEMA public")
        cursor.execute(pin_statement())
    return connection


def _fill(
    connection: psycopg2.extensions.connection, types: list[tuple[str, list[str]]]
) -> list[list[str | None]]:
    """Make the table t with a column for each type, and return what the server prints of each."""
    rows = max(len(values) for _, values in types) + 1
    with connection.cursor() as cursor:
        columns = ", ".join(f"c{n} {kind}" for n, (kind, _) in enumerate(types))
        cursor.execute(f"CREATE TABLE public.t (id int, {columns})")
        for row in range(rows):
            values = [
                f"({values[row]})::{kind}" if row < len(values) else "NULL"
                for kind, values in types
            ]
            cursor.execute(f"INSERT INTO public.t VALUES ({row}, {', '.join(values)})")
        printed = ", ".join(
            # bpchar would lose its blanks; the output function is what the wire carries.
            f"CASE WHEN num_nulls(c{n}) = 0 THEN format('%s', c{n}) END"
            for n in range(len(types))
        )
        cursor.execute(f"SELECT {printed} FROM public.t ORDER BY id")
        found = cursor.fetchall()
    connection.close()
    return [list(column) for column in zip(*found, strict=True)]


def _same(kind: str, printed: str | None, read: str | None) -> bool:
    if kind == "bool" and printed is not None:
        return {"t": "true", "f": "false"}[printed] == read
    if kind in ("real", "double precision") and printed is not None and read is not None:
        # The same double, however it is written; NaN by name.
        if printed == read:
            return True
        left, right = float(printed), float(read)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return printed == read


def test_types_decoded_by_the_driver_are_exact(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """Extremes of every type on the fast path, infinities included, equal the server's text."""
    printed = _fill(connection, [(kind, values) for kind, values, _, _ in DIRECT])
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        batch = whole(snap, table)
        read = texts(batch, table)
    order = [read["id"].index(str(n)) for n in range(batch.num_rows)]
    for n, (kind, _, logical, storage) in enumerate(DIRECT):
        column = table.column(f"c{n}")
        assert (column.type, column.storage) == (logical, storage)
        assert str(batch.schema.field(f"c{n}").type) == storage
        found = [read[f"c{n}"][row] for row in order]
        for expected, value in zip(printed[n], found, strict=True):
            assert _same(kind, expected, value), (kind, expected, value)


def test_values_beyond_their_arrow_type_are_literal_exceptions(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """Infinities, 24:00, timestamps past 64 bits and NaN are NULL with their text beside them."""
    _fill(connection, [(kind, values) for kind, values, _, _ in DIRECT])
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        batch = whole(snap, table)
    found: dict[str, set[str]] = {}
    for n, (kind, *_) in enumerate(DIRECT):
        column = table.column(f"c{n}")
        if column.exceptions in batch.schema.names:
            special = [e for e in batch.column(column.exceptions).to_pylist() if e is not None]
            assert {e["kind"] for e in special} == {"literal"}
            assert batch.column(f"c{n}").null_count >= len(special)
            found[kind] = {e["value"].decode() for e in special}
    assert found == {
        "date": {"infinity", "-infinity"},
        "time": {"24:00:00"},
        "timestamp": {
            "infinity", "-infinity", "294276-12-31 23:59:59.999999", "294247-01-10 04:00:54.775808",
        },
        "timestamptz": {
            "infinity", "-infinity", "294276-12-31 23:59:59.999999+00",
            "294247-01-10 04:00:54.775808+00",
        },
        "numeric(10,2)": {"NaN"},
        "numeric(38,10)": {"NaN"},
    }  # fmt: skip


def test_all_other_types_travel_as_the_servers_text(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """Types without a proven fast path arrive as exactly the text of their output function."""
    printed = _fill(connection, [(kind, values) for kind, values, _ in TEXT])
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        (batch,) = batches(snap, table)
    order = [batch.column(0).to_pylist().index(n) for n in range(batch.num_rows)]
    for n, (kind, _, logical) in enumerate(TEXT):
        column = table.column(f"c{n}")
        assert (column.type, column.storage) == (logical, "string"), kind
        found = batch.column(n + 1).to_pylist()
        assert [found[row] for row in order] == printed[n], kind


def test_blanks_hosts_and_single_bytes_keep_what_a_cast_to_text_would_lose(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """char(n) keeps its blanks, inet its missing mask, and "char" its high bytes."""
    printed = _fill(
        connection,
        [
            ("char(4)", ["'ab'", "''"]),
            ("inet", ["'10.0.0.1'", "'10.0.0.1/8'"]),
            ('"char"', ["'x'", "'\\377'", "''"]),
        ],
    )
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        (batch,) = batches(snap, table)
    assert batch.column("c0").to_pylist() == ["ab  ", "    ", None, None] == printed[0]
    assert batch.column("c1").to_pylist() == ["10.0.0.1", "10.0.0.1/8", None, None] == printed[1]
    assert batch.column("c2").to_pylist() == ["x", "\\377", "", None] == printed[2]
    assert table.column("c0").native_type == "character(4)"


def test_domains_mean_what_their_base_type_means(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """A domain over a domain, over an array and over char(n) reads like its base type."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE DOMAIN public.money2 AS numeric(8,2) CHECK (VALUE > 0)")
        cursor.execute("CREATE DOMAIN public.price AS public.money2 NOT NULL")
        cursor.execute("CREATE DOMAIN public.days AS date[]")
        cursor.execute("CREATE DOMAIN public.code AS char(3)")
        cursor.execute("CREATE DOMAIN public.moment AS timestamptz")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE public.t (c0 public.price, c1 public.days, c2 public.code, "
            "c3 public.moment)"
        )
        cursor.execute(
            "INSERT INTO public.t VALUES (1.5, '{infinity,2024-01-01}', 'a', 'infinity')"
        )
    connection.close()
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        (batch,) = batches(snap, table)
        read = texts(batch, table)
    assert read == {
        "c0": ["1.50"],
        "c1": ["{infinity,2024-01-01}"],
        "c2": ["a  "],
        "c3": ["infinity"],
    }
    assert table.column("c0").type == decimal(8, 2)
    assert table.column("c0").native_type == "public.price"
    assert table.column("c2").type == LogicalType(name="string", length=3)
    assert str(table.column("c1").type) == "array of date"


def test_exceptions_appear_only_in_batches_that_need_them(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """A column of ordinary values brings no exceptions field along."""
    _fill(connection, [("date", ["'2024-01-01'"]), ("numeric(4,1)", ["1"])])
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        (batch,) = batches(snap, table)
    assert batch.schema.names == ["id", "c0", "c1"]
    assert batch.column("c1").type == pa.decimal128(4, 1)


def test_a_cast_to_text_that_lies_is_not_used(
    connection: psycopg2.extensions.connection, pg_url: str
) -> None:
    """A user's cast function to text does not replace the type's own output."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION public.lie(public.mood) RETURNS text LANGUAGE sql IMMUTABLE "
            "AS $$ SELECT 'lie' $$"
        )
        cursor.execute("CREATE CAST (public.mood AS text) WITH FUNCTION public.lie(public.mood)")
        cursor.execute("CREATE TABLE public.t AS SELECT 'o''k'::public.mood AS c")
    connection.close()
    with snapshot(pg_url) as snap:
        (batch,) = batches(snap, snap.database.table(public("t")))
    assert batch.column("c").to_pylist() == ["o'k"]


def test_bytes_that_are_not_utf8_are_kept_as_exceptions(pg18: PostgresServer) -> None:
    """In an SQL_ASCII database, text and JSON that is no UTF-8 travels as its raw bytes."""
    name = pg18.create_database(options="ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        pg18.execute("CREATE TABLE t (id int, a text, b json, c jsonb)", name)
        broken = "convert_from('\\x22e9ff22', 'SQL_ASCII')"
        pg18.execute(
            f"INSERT INTO t VALUES (1, 'plain', '[]', '{{}}'),"
            f" (2, {broken}, {broken}::json, {broken}::jsonb), (3, NULL, NULL, NULL)",
            name,
        )
        with snapshot(pg18.url(name)) as snap:
            table = snap.database.table(public("t"))
            (batch,) = batches(snap, table)
        assert snap.database.encoding == "SQL_ASCII"
        for column, plain in (("a", "plain"), ("b", "[]"), ("c", "{}")):
            assert batch.column(column).to_pylist() == [plain, None, None]
            special = batch.column(table.column(column).exceptions).to_pylist()
            assert special == [None, {"kind": "text", "value": b'"\xe9\xff"'}, None]
    finally:
        pg18.drop_database(name)
