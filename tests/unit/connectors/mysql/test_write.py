"""Rows written into a MariaDB server, by LOAD DATA and by INSERT: exact, or refused as a whole."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from dbsync.connectors.base import Counts
from dbsync.connectors.mysql.bulk import Bulk
from dbsync.connectors.mysql.encode import Form
from dbsync.errors import LossError, TargetError
from dbsync.model.types import LogicalType, decimal, integer
from tests.servers import MariaServer
from tests.unit.connectors.mysql.writing import (
    BINARY,
    TEXT,
    Literal,
    column,
    make,
    query,
    session,
    source,
    write,
)

T = LogicalType


@pytest.fixture(params=["load data", "insert"])
def url(
    request: pytest.FixtureRequest,
    maria: MariaServer,
    serve_maria: Callable[..., MariaServer],
) -> Any:
    """The URL of an empty database, on a server with and on one without LOAD DATA LOCAL."""
    server = maria if request.param == "load data" else serve_maria({"local-infile": "0"})
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


def stored(url: str, expression: str = "c") -> list[Any]:
    """Give a column of table t in the order of its rows."""
    return [row[0] for row in query(url, f"SELECT {expression} FROM t ORDER BY i")]


def put(
    url: str, native: str, logical: T, values: list[Any], source_native: str = "", **more: Any
) -> None:
    """Write values into a new table ``t (i, c)`` whose column c is `native`."""
    make(
        url,
        "DROP TABLE IF EXISTS t",
        f"CREATE TABLE t (i INT PRIMARY KEY, c {native}) DEFAULT CHARSET utf8mb4 "
        "COLLATE utf8mb4_nopad_bin",
    )
    storage = {"storage": more.pop("storage")} if "storage" in more else {}
    table = source(column("i"), column("c", logical, source_native, **storage))
    write(url, table, list(enumerate(values)), **more)


NASTY = [
    "", "\\N", "NULL", "\\", "\\\\", "'", "''", "\\'", '"', "\t", "a\tb", "a\nb", "\n", "\r\n",
    "\0", "a\0b", "\x1a", "\b", "%s", "%", "`", "\\0", "\\n", "x\\", "é", "€", "日本語", "😀",
    "\u2028", "\ufeff", "\u0301", " lead", "trail ", "  ", "-- x", "/* */", ";", "\x7f",
    None, "a" * 100_000, "\\" * 5_000, "'" * 5_000, "😀\t" * 3_000,
]  # fmt: skip


def test_text_arrives_byte_for_byte(url: str) -> None:
    """Escapes, control characters, quotes and every plane of Unicode are stored as they are."""
    put(url, "LONGTEXT", TEXT, NASTY)
    wanted = [None if v is None else v.encode().hex().upper() for v in NASTY]
    assert stored(url, "HEX(c)") == wanted


def test_bytes_arrive_as_they_are(url: str) -> None:
    """All byte values, runs that look like escapes or broken UTF-8, and empty ones are stored."""
    chance = random.Random(7)  # noqa: S311  # noqa: S311 - test data
    values = [bytes(range(256)), b"", b"\\N", b"\xff\xfe", b"\xf0\\", b"\t\n\0'", None]
    values += [chance.randbytes(chance.randrange(60)) for _ in range(500)]
    put(url, "LONGBLOB", BINARY, values)
    assert stored(url, "HEX(c)") == [None if v is None else v.hex().upper() for v in values]


UUIDS = [UUID(int=0), UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), UUID(int=2**128 - 1)]
EXTREMES: list[tuple[str, T, list[Any], str, list[Any] | None]] = [
    ("TINYINT", integer(8), [-128, 127, 0, None], "c", None),
    ("SMALLINT", integer(16), [-32768, 32767], "c", None),
    ("MEDIUMINT", integer(32), [-(2**23), 2**23 - 1], "c", None),
    ("INT", integer(32), [-(2**31), 2**31 - 1], "c", None),
    ("BIGINT", integer(64), [-(2**63), 2**63 - 1], "c", None),
    ("BIGINT UNSIGNED", integer(64, unsigned=True), [0, 2**64 - 1], "c", None),
    ("TINYINT(1)", T(name="boolean"), [True, False, None], "c", [1, 0, None]),
    ("BIT(1)", T(name="boolean"), [True, False, None], "c + 0", [1, 0, None]),
    ("BIT(64)", integer(64, unsigned=True), [0, 1, 2**64 - 1, None], "c + 0", None),
    ("YEAR", integer(16), [0, 1901, 2155, None], "c", None),
    ("DECIMAL(10,2)", decimal(10, 2), [Decimal("-99999999.99"), Decimal("0.01")], "c", None),
    ("DECIMAL(38,38)", decimal(38, 38), [Decimal("0." + "9" * 38), Decimal("-1E-38")], "c", None),
    (
        "DECIMAL(65,30)", decimal(65, 30), ["-" + "9" * 35 + "." + "9" * 30, "1.5"],
        "c", [Decimal("-" + "9" * 35 + "." + "9" * 30), Decimal("1.5")],
    ),
    (
        "DOUBLE", T(name="float", bits=64),
        [0.1, 5e-324, 1.7976931348623157e308, -2.2250738585072014e-308, 1e22, 123456789.12345679],
        "c", None,
    ),
    (
        "DATE", T(name="date"), [date(1, 1, 1), date(999, 12, 31), date(9999, 12, 31)],
        "c", ["0001-01-01", "0999-12-31", "9999-12-31"],
    ),
    (
        "TIME(6)", T(name="time"), [time(0), time(23, 59, 59, 999999), Literal("24:00:00")],
        "c", ["00:00:00.000000", "23:59:59.999999", "24:00:00.000000"],
    ),
    (
        "DATETIME(6)", T(name="timestamp"),
        [
            datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999),
            datetime(2020, 3, 29, 2, 30),
        ],
        "c",
        ["0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999", "2020-03-29 02:30:00.000000"],
    ),
    (
        "TIMESTAMP(6) NULL", T(name="timestamp_tz"),
        [
            datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
            datetime(2038, 1, 19, 3, 14, 7, 999999, tzinfo=UTC),
            datetime(2020, 10, 25, 0, 30, tzinfo=UTC),
            datetime(2020, 10, 25, 1, 30, tzinfo=UTC),
        ],
        "c",
        ["1970-01-01 00:00:01.000000", "2038-01-19 03:14:07.999999",
         "2020-10-25 00:30:00.000000", "2020-10-25 01:30:00.000000"],
    ),
    (
        "DATETIME(6)", T(name="timestamp_tz"), [datetime(2100, 1, 1, tzinfo=UTC)],
        "c", ["2100-01-01 00:00:00.000000"],
    ),
    (
        "UUID", T(name="uuid"),
        [
            UUID(int=0).bytes, UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8").bytes,
            UUID(int=2**128 - 1).bytes,
        ],
        "CAST(c AS CHAR)",
        [str(UUID(int=0)), "6ba7b810-9dad-11d1-80b4-00c04fd430c8", str(UUID(int=2**128 - 1))],
    ),
    (
        "CHAR(36)", T(name="uuid"), [UUID(int=1).bytes], "c", [str(UUID(int=1))],
    ),
    ("JSON", T(name="json"), ['{"b": 1, "a":1.10, "a":1e400}', "null", "[]"], "c", None),
    (
        "ENUM('a','A','1','','x,y','\\\\','\\'')", T(name="enum", labels=("a", "A")),
        ["A", "a", "1", "", "x,y", "\\", "'", None], "c", None,
    ),
    ("SET('a','A','1')", TEXT, ["", "a", "A", "a,A,1", "1", None], "c", None),
    ("VARBINARY(4)", BINARY, [b"\0\0\0\0", b"", b"ab "], "HEX(c)", ["00000000", "", "616220"]),
    ("BINARY(2)", BINARY, [b"\0\xff"], "HEX(c)", ["00FF"]),
    ("VARCHAR(3)", TEXT, ["a  ", "   ", "😀😀😀", ""], "c", None),
    ("INET6", T(name="native"), ["::1", "::ffff:1.2.3.4"], "c", None),
    ("LONGTEXT", T(name="numeric"), ["NaN", "1.100", "9" * 200], "c", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("native", "logical", "values", "expression", "wanted"), EXTREMES, ids=[e[0] for e in EXTREMES]
)
def test_extremes_of_every_type_arrive_equal(
    url: str, native: str, logical: T, values: list[Any], expression: str, wanted: list[Any] | None
) -> None:
    """The server holds exactly the values that were sent, at the ends of each type's range."""
    put(url, native, logical, values)
    assert stored(url, expression) == (values if wanted is None else wanted)


def test_floats_are_not_rounded_twice(url: str) -> None:
    """A FLOAT holds the float that was sent, also where its shortest text is another double."""
    chance = random.Random(3)  # noqa: S311 - test data
    values = [struct.unpack("f", chance.randbytes(4))[0] for _ in range(3000)]
    values = [v for v in values if v == v and abs(v) != float("inf")]
    values += [3.4028234663852886e38, 1.401298464324817e-45, 1.1754942106924411e-38, 0.1]
    exact = [struct.unpack("f", struct.pack("f", v))[0] for v in values]
    put(url, "FLOAT", T(name="float", bits=32), exact)
    assert stored(url, "c * 1e0") == exact


def test_dates_that_only_mysql_has_go_home(url: str) -> None:
    """Zero and impossible dates, and times beyond a day, are written back to the same engine."""
    odd = [Literal("0000-00-00"), Literal("2020-00-15"), Literal("2020-02-31"), date(2020, 1, 1)]
    put(url, "DATE", T(name="date"), odd, "date", engine="mysql")
    assert stored(url) == ["0000-00-00", "2020-00-15", "2020-02-31", "2020-01-01"]
    moments = [Literal("0000-00-00 00:00:00"), Literal("2020-02-31 10:00:00.5")]
    put(url, "DATETIME(6)", T(name="timestamp"), moments, "datetime(6)", engine="mysql")
    assert stored(url) == ["0000-00-00 00:00:00.000000", "2020-02-31 10:00:00.500000"]
    zero = [Literal("0000-00-00 00:00:00+00")]
    put(url, "TIMESTAMP NULL", T(name="timestamp_tz"), zero, "timestamp", engine="mysql")
    assert stored(url) == ["0000-00-00 00:00:00"]
    times = [Literal("-838:59:59"), Literal("838:59:59.999999"), Literal("-00:00:00.5")]
    put(url, "TIME(6)", T(name="time"), times, "time(6)", engine="mysql")
    assert stored(url) == ["-838:59:59.000000", "838:59:59.999999", "-00:00:00.500000"]


def test_a_boolean_of_mysql_keeps_other_numbers(url: str) -> None:
    """TINYINT(1) goes back with -1 and 2; from another engine 2 is no boolean."""
    boolean = T(name="boolean")
    put(url, "TINYINT(1)", boolean, [2, -1, 0], "tinyint(1)", engine="mysql", storage="int8")
    assert stored(url) == [2, -1, 0]
    with pytest.raises(LossError, match="column c: 1 value"):
        put(url, "TINYINT(1)", boolean, [2], "BOOLEAN", engine="sqlite", storage="int64")


def test_the_empty_error_value_of_an_enum_goes_home(url: str) -> None:
    """Index 0, which a lenient server once stored for a bad value, is stored again."""
    labels = T(name="enum", labels=("a", "b"))
    put(url, "ENUM('a','b')", labels, ["b", "", "a", None, ""], "enum('a','b')", engine="mysql")
    assert stored(url, "c + 0") == [2, 0, 1, None, 0]
    with pytest.raises(LossError, match="no label"):
        put(url, "ENUM('a','b')", labels, [""], "e")


def test_spatial_values_travel_as_the_servers_bytes(url: str) -> None:
    """SRID and coordinates come back bit for bit."""
    point = bytes.fromhex("E6100000010100000000000000000000400000000000004540")
    put(url, "GEOMETRY", BINARY, [point, None], "geometry", engine="mysql")
    assert stored(url, "HEX(c)") == [point.hex().upper(), None]
    assert stored(url, "ST_SRID(c)") == [4326, None]


REFUSED: list[tuple[str, T, Any, str]] = [
    ("TINYINT", integer(16), 128, "range|cannot be"),
    ("MEDIUMINT", integer(32), 2**23, "range of mediumint"),
    ("TINYINT UNSIGNED", integer(16), -1, "range|cannot be"),
    ("BIT(3)", integer(16), 8, "range of bit"),
    ("YEAR", integer(16), 1900, "no years"),
    ("DECIMAL(5,2)", decimal(10, 3), Decimal("1.234"), "cannot be decimal"),
    ("DECIMAL(5,2)", T(name="numeric"), "NaN", "cannot hold"),
    ("DECIMAL(65,30)", T(name="numeric"), "1." + "1" * 31, "beyond decimal"),
    ("DECIMAL(40,2)", T(name="numeric"), "1" * 39, "beyond decimal"),
    ("DECIMAL(5,2) UNSIGNED", decimal(5, 2), Decimal("-1.00"), "negative"),
    ("FLOAT", T(name="float", bits=64), 0.1, "cannot be float32"),
    ("DOUBLE", T(name="float", bits=64), float("nan"), "not finite"),
    ("DOUBLE", T(name="float", bits=64), float("inf"), "not finite"),
    ("FLOAT(5,2)", T(name="float", bits=32), 1.25 + 2**-10, "beyond 5 digits"),
    ("VARCHAR(3)", TEXT, "abcd", "longer than 3 characters"),
    ("VARCHAR(3)", TEXT, "abc ", "longer than 3 characters"),
    ("CHAR(3)", TEXT, "a ", "blanks at the end"),
    ("TINYTEXT", TEXT, "é" * 128, "longer than the 255 bytes"),
    ("TEXT CHARACTER SET latin1", TEXT, "😀", "characters that latin1 lacks"),
    ("TEXT CHARACTER SET ascii", TEXT, "é", "characters that ascii lacks"),
    ("TEXT CHARACTER SET utf8mb3", TEXT, "😀", "characters that utf8mb3 lacks"),
    ("VARBINARY(2)", BINARY, b"abc", "longer than 2 bytes"),
    ("BINARY(2)", BINARY, b"a", "not of 2 bytes"),
    ("TINYBLOB", BINARY, b"a" * 256, "longer than 255 bytes"),
    ("DATE", T(name="date"), Literal("infinity"), "cannot hold"),
    ("DATE", T(name="date"), Literal("2020-02-31"), "only MySQL holds"),
    ("TIME(2)", T(name="time"), time(0, 0, 0, 1), "finer than the 2 digits"),
    ("TIME", T(name="time"), Literal("25:00:00"), "only MySQL holds"),
    ("DATETIME", T(name="timestamp"), datetime(2020, 1, 1, 0, 0, 0, 5), "finer than the 0"),
    ("TIMESTAMP NULL", T(name="timestamp_tz"), datetime(2038, 1, 19, 3, 14, 8), "range of"),
    ("TIMESTAMP NULL", T(name="timestamp_tz"), datetime(1970, 1, 1), "range of TIMESTAMP"),
    ("TIMESTAMP NULL", T(name="timestamp"), datetime(2020, 1, 1), "cannot be timestamp_tz"),
    ("ENUM('a','b')", TEXT, "A", "no label"),
    ("ENUM('a','b')", TEXT, "1", "no label"),
    ("SET('a','b')", TEXT, "b,a", "another order"),
    ("SET('a','b')", TEXT, "c", "column lacks"),
    ("JSON", T(name="json"), "{", "not valid as JSON"),
    ("INET6", TEXT, "nothing", "not fit"),
    ("UUID", TEXT, "nothing", "cannot be uuid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("native", "logical", "value", "message"),
    REFUSED,
    ids=[f"{r[0]} {r[2]!s:.12}" for r in REFUSED],
)
def test_what_the_server_would_change_is_refused(
    url: str, native: str, logical: T, value: Any, message: str
) -> None:
    """A value that does not fit is named with table, column and count; nothing of it is written."""
    if isinstance(value, datetime) and logical.name == "timestamp_tz":
        value = value.replace(tzinfo=UTC)
    with pytest.raises(LossError, match=message) as caught:
        put(url, native, logical, [None, value, None])
    assert stored(url) == []
    assert "t" in caught.value.message
    assert caught.value.hint


def test_a_bad_value_undoes_the_chunk_and_no_other(url: str) -> None:
    """Rows of an earlier batch of the chunk are gone; a chunk before it stays."""
    make(url, "CREATE TABLE t (i INT PRIMARY KEY, c TINYINT)")
    table = source(column("i"), column("c", integer(16)))
    with pytest.raises(LossError, match="table t, column c: 1 value"):
        write(url, table, [(1, 1)], [(2, 2), (3, 3), (4, 4), (5, 300)])
    assert query(url, "SELECT i FROM t") == [(1,)]


def test_a_key_that_is_there_already_is_an_error_of_the_target(url: str) -> None:
    """LOAD DATA LOCAL would leave the row out with a warning; the key is named instead."""
    make(url, "CREATE TABLE t (i INT PRIMARY KEY, c INT, UNIQUE KEY other (c))")
    table = source(column("i"), column("c"))
    write(url, table, [(1, 1), (2, 2)])
    with pytest.raises(TargetError, match=r"'other'.*1062") as caught:
        write(url, table, [(3, 3), (4, 4), (5, 1), (6, 6)])
    assert caught.value.exit_code == 4
    assert query(url, "SELECT i FROM t") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("constraint", "row", "error"),
    [
        ("CHECK (c < 10)", (1, 10), "4025"),
        ("FOREIGN KEY (c) REFERENCES t (i)", (1, 2), "1452"),
        ("CHECK (i > 1), MODIFY c INT NOT NULL", (5, None), "1048|1263"),
    ],
)
def test_a_row_that_a_constraint_refuses_is_an_error(
    url: str, constraint: str, row: tuple[Any, ...], error: str
) -> None:
    """Checks, foreign keys and NOT NULL stop the chunk, whichever way rows are sent."""
    make(url, "CREATE TABLE t (i INT PRIMARY KEY, c INT)", f"ALTER TABLE t ADD {constraint}")
    with pytest.raises((TargetError, LossError), match=error):
        write(url, source(column("i"), column("c")), [(0 if error == "1452" else 7, 0), row])
    assert query(url, "SELECT i FROM t") == []


def test_zero_stays_zero_in_a_column_that_numbers_itself(url: str) -> None:
    """NO_AUTO_VALUE_ON_ZERO is in force, and computed columns are left to the server."""
    make(
        url,
        "CREATE TABLE t (i INT AUTO_INCREMENT PRIMARY KEY, c INT, "
        "g INT GENERATED ALWAYS AS (c + 1) STORED)",
    )
    write(url, source(column("i"), column("c"), column("g")), [(0, 5, 99), (7, 6, 99)])
    assert query(url, "SELECT i, c, g FROM t") == [(0, 5, 6), (7, 6, 7)]


def test_rows_without_a_column_of_their_own_are_counted(url: str) -> None:
    """A table of computed columns alone gets as many rows as the archive has."""
    make(url, "CREATE TABLE t (g INT AS (1) VIRTUAL, d INT DEFAULT 4)")
    counts = write(url, source(column("g")), [(1,)] * 5)
    assert counts == [Counts(inserted=5)]
    assert query(url, "SELECT g, d FROM t") == [(1, 4)] * 5


def test_hostile_names_of_columns_are_quoted(url: str) -> None:
    """Backticks, quotes, percent signs and reserved words name columns in either statement."""
    names = ["select", "a`b", "%s", "q'u\"o", "😀"[:0] + "é", "A b"]
    listed = ", ".join("`" + n.replace("`", "``") + "` INT" for n in names)
    make(url, f"CREATE TABLE t ({listed})")
    write(url, source(*(column(n) for n in names)), [tuple(range(len(names)))])
    assert query(url, "SELECT * FROM t") == [tuple(range(len(names)))]


def test_many_rows_in_several_statements_keep_their_number(url: str) -> None:
    """Rows beyond one piece of the file or one statement all arrive, in any size."""
    make(url, "CREATE TABLE t (i INT PRIMARY KEY, c LONGTEXT) DEFAULT CHARSET utf8mb4")
    rows = [(i, ("x'\\" * (i % 300)) + str(i)) for i in range(20_000)]
    assert write(url, source(column("i"), column("c", TEXT)), rows) == [Counts(inserted=20_000)]
    found = query(url, "SELECT i, c FROM t ORDER BY i")
    assert found == rows


def test_a_row_too_long_for_a_statement_says_so_before_it_is_sent(
    serve_maria: Callable[..., MariaServer],
) -> None:
    """Without LOAD DATA, max_allowed_packet bounds a row, and the message names it."""
    server = serve_maria({"local-infile": "0", "max-allowed-packet": "1M"})
    url = server.url(server.create_database())
    make(url, "CREATE TABLE t (i INT PRIMARY KEY, c LONGTEXT) DEFAULT CHARSET utf8mb4")
    table = source(column("i"), column("c", TEXT))
    write(url, table, [(1, "x" * 900_000), (2, "y" * 900_000)])
    with pytest.raises(TargetError, match="max_allowed_packet") as caught:
        write(url, table, [(3, "x"), (4, "\\" * 900_000)])
    assert caught.value.hint is not None
    assert "local_infile" in caught.value.hint
    assert query(url, "SELECT i, LENGTH(c) FROM t") == [(1, 900_000), (2, 900_000)]


@pytest.mark.parametrize(
    ("native", "logical", "value"),
    [("BLOB", BINARY, b"5"), ("BIT(3)", integer(8, unsigned=True), 5), ("INT", integer(32), 5)],
)
def test_zero_stays_zero_beside_bytes(url: str, native: str, logical: T, value: Any) -> None:
    """A number that the table would make up itself is stored as given, beside bits and bytes."""
    make(url, f"CREATE TABLE t (i INT AUTO_INCREMENT UNIQUE, c {native})")
    rows = [(number, value) for number in (0, 1, -5)]
    write(url, source(column("i"), column("c", logical)), rows)
    assert query(url, "SELECT i, c + 0 FROM t ORDER BY i") == [(-5, 5), (0, 5), (1, 5)]


def test_one_writer_finds_that_load_data_is_off_and_goes_on(
    serve_maria: Callable[..., MariaServer],
) -> None:
    """A server that refuses only when it is asked makes the writer change its way."""
    server = serve_maria({"local-infile": "0"})
    url = server.url(server.create_database())
    make(url, "CREATE TABLE t (c INT)")
    with session(url) as opened:
        bulk = Bulk(opened, infile=True)
        bulk.send("t", ["c"], [(pa.array(["1", None]), Form.PLAIN)], "writing")
        assert bulk.infile is False
    assert query(url, "SELECT c FROM t") == [(1,), (None,)]
