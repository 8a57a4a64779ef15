"""Canonical text: what PostgreSQL itself would write, and what reads back to the same value."""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from decimal import Context, Decimal
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dbsync.model.types import LogicalType, decimal, integer
from dbsync.model.values import to_text
from tests.servers import PostgresServer
from tests.unit.model.values.building import padded, standard

DATE, TIME = LogicalType(name="date"), LogicalType(name="time")
TIMESTAMP, TIMESTAMP_TZ = LogicalType(name="timestamp"), LogicalType(name="timestamp_tz")
FLOAT32, FLOAT64 = LogicalType(name="float", bits=32), LogicalType(name="float", bits=64)
DAY_US = 86_400_000_000
FIRST_DAY, LAST_DAY = -2_440_588, 2_145_031_948
"""The days 4714-11-24 BC and 5874897-12-31: PostgreSQL's first and last."""
FIRST_US, LAST_US = FIRST_DAY * DAY_US, 9_223_371_331_199_999_999
"""The first timestamp of PostgreSQL, and the last one before the year 294247."""

days = st.integers(FIRST_DAY, LAST_DAY) | st.integers(-720_000, -718_000)
moments = st.integers(FIRST_US, LAST_US) | st.integers(FIRST_DAY, 10**8).map(lambda s: s * 10**6)
extremes = [0, -1, 253_402_300_799_999_999, 253_402_300_800_000_000, -62_135_596_800_000_001]


def text(values: Sequence[object], kind: pa.DataType, logical: LogicalType) -> list[str | None]:
    """Write values from the middle of an array, and check that NULL stays NULL."""
    return to_text(padded(list(values), kind), logical).to_pylist()


def server_text(server: PostgresServer, native: str, texts: Sequence[str | None]) -> list[object]:
    """Let PostgreSQL read texts as a type and write them again in its own form."""
    connection = server.connect()
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SET datestyle = ISO; SET timezone = 'UTC'; SET bytea_output = hex")
        cursor.execute(
            "SELECT array_agg(t::text::" + native + "::text ORDER BY n)"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS u(t, n)",
            (list(texts),),
        )
        return cursor.fetchone()[0]  # type: ignore[index]


@settings(max_examples=25, deadline=None)
@given(st.lists(days, min_size=1, max_size=50))
@example([FIRST_DAY, LAST_DAY, 0, -719_162, -719_163, 2_932_896, 2_932_897])
def test_dates_are_written_as_postgresql_writes_them(pg18: PostgresServer, numbers: list[int]):
    """Every date that PostgreSQL has, BC and far years included, has the server's own text."""
    array = pa.array(numbers, pa.int32()).cast(pa.date32())
    written = to_text(array, DATE).to_pylist()
    assert server_text(pg18, "date", written) == written


@settings(max_examples=25, deadline=None)
@given(st.lists(moments, min_size=1, max_size=50))
@example([FIRST_US, LAST_US, *extremes])
def test_timestamps_are_written_as_postgresql_writes_them(pg18: PostgresServer, numbers: list[int]):
    """Timestamps with and without a zone have the server's own text over its whole range."""
    array = pa.array(numbers, pa.int64())
    plain = to_text(array.cast(pa.timestamp("us")), TIMESTAMP).to_pylist()
    zoned = to_text(array.cast(pa.timestamp("us", "UTC")), TIMESTAMP_TZ).to_pylist()
    assert server_text(pg18, "timestamp", plain) == plain
    assert server_text(pg18, "timestamptz", zoned) == zoned


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, DAY_US), min_size=1, max_size=50))
@example([0, DAY_US, DAY_US - 1, 1_000_000, 100_000])
def test_times_are_written_as_postgresql_writes_them(pg18: PostgresServer, numbers: list[int]):
    """Times up to and including 24:00:00 have the server's own text."""
    written = to_text(pa.array(numbers, pa.int64()).cast(pa.time64("us")), TIME).to_pylist()
    assert server_text(pg18, "time", written) == written


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=50))
@example([1e20, 1e-7, 5e-324, 1.7976931348623157e308, -0.0, math.inf, -math.inf, math.nan, 0.1])
def test_postgresql_reads_the_text_of_a_double_as_the_same_double(
    pg18: PostgresServer, numbers: list[float]
):
    """Every bit of a double but a NaN's payload survives its text, exponents included."""
    written = to_text(pa.array(numbers, pa.float64()), FLOAT64).to_pylist()
    back = [float(str(value)) for value in server_text(pg18, "float8", written)]
    assert [_bits(value) for value in back] == [_bits(value) for value in numbers]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_postgresql_reads_the_text_of_a_float_as_the_same_float(
    pg18: PostgresServer, numbers: list[float]
):
    """The text of a float of 32 bits is shortest for 32 bits and reads back to the same float."""
    written = to_text(pa.array(numbers, pa.float32()), FLOAT32).to_pylist()
    back = pa.array([float(str(v)) for v in server_text(pg18, "float4", written)], pa.float32())
    assert [_bits(value) for value in back.to_pylist()] == [_bits(value) for value in numbers]


def _bits(value: float) -> bytes:
    return struct.pack(">d", math.nan if math.isnan(value) else value)


def test_sqlite_reads_exponents_and_infinity_is_left_to_the_target():
    """SQLite takes the same spelling of exponents as a number, not as text."""
    written = to_text(pa.array([1e20, 1e-7, 2.5, -4.0]), FLOAT64).to_pylist()
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (v REAL)")
        database.executemany("INSERT INTO t VALUES (?)", [(value,) for value in written])
        rows = database.execute("SELECT typeof(v), v FROM t").fetchall()
    assert rows == [("real", 1e20), ("real", 1e-7), ("real", 2.5), ("real", -4.0)]


@given(st.data())
def test_decimals_are_plain_and_keep_their_scale(data: st.DataObject):
    """No exponent, exactly `scale` digits after the point, and the same number."""
    precision = data.draw(st.integers(1, 38))
    scale = data.draw(st.integers(0, precision))
    limit = 10**precision - 1
    unscaled = data.draw(st.lists(st.none() | st.integers(-limit, limit), min_size=1, max_size=20))
    exact = Context(prec=60)
    numbers = [None if u is None else Decimal(u).scaleb(-scale, exact) for u in unscaled]
    logical = decimal(precision, scale)
    written = text(numbers, pa.decimal128(precision, scale), logical)
    assert written == [
        None if n is None else format(n, "f").replace("-", "-" if n else "") for n in numbers
    ]


@given(st.lists(st.none() | st.uuids(), max_size=20))
def test_uuids_have_36_lower_case_characters_and_read_back(values: list[UUID | None]):
    """A UUID is written with hyphens and parsed to the same 16 bytes, also in upper case."""
    raw = [None if value is None else value.bytes for value in values]
    written = text(raw, pa.binary(16), LogicalType(name="uuid"))
    assert written == [None if value is None else str(value) for value in values]
    for form in (lambda t: t, str.upper, lambda t: t.replace("-", "")):
        spelled = padded([None if t is None else form(t) for t in written], pa.string())
        assert standard(spelled, LogicalType(name="uuid")).to_pylist() == raw


@given(st.lists(st.none() | st.binary(max_size=20), max_size=20))
def test_bytes_are_written_in_postgresqls_hexadecimal_form(values: list[bytes | None]):
    """Binary text is ``\\x`` and two digits for each byte; empty is not NULL."""
    written = text(values, pa.binary(), LogicalType(name="binary"))
    assert written == [None if value is None else "\\x" + value.hex() for value in values]


def test_booleans_and_integers_are_words_and_digits():
    """Booleans are true and false; integers of every width are plain digits."""
    assert text([True, False, None], pa.bool_(), LogicalType(name="boolean")) == [
        "true",
        "false",
        None,
    ]
    wide = integer(64, unsigned=True)
    assert text([2**64 - 1, 0], pa.uint64(), wide) == ["18446744073709551615", "0"]


@pytest.mark.parametrize(
    "name", ["numeric", "string", "json", "enum", "array", "interval", "time_tz", "native"]
)
def test_types_that_travel_as_text_are_their_own_text(name: str):
    """Nothing is done to a value whose storage is text, not even to blanks or case."""
    values = [" A\u00e9 ", "", None, "\U0001f600'\n"]
    assert text(values, pa.string(), LogicalType(name=name)) == values  # type: ignore[arg-type]
