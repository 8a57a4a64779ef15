"""Values of every type, read as an export reads them and compared with the server's own text."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbsync.connectors.mysql.decode import BatchDecoder
from dbsync.errors import LossError, SourceError
from dbsync.model.schema import Column, Name, Table
from dbsync.model.types import LogicalType, integer
from tests.servers import MariaServer
from tests.unit.connectors.mysql.reading import name_of, snapshot, texts, whole

DIGITS_65 = "9" * 65
POINT = "ST_GeomFromText('POINT(0.1 -1e300)', 4326)"
ALIKE: dict[str, list[str]] = {
    "tinyint": ["-128", "127", "0"],
    "tinyint(1)": ["-128", "127", "2", "0", "1"],
    "tinyint unsigned": ["0", "255"],
    "tinyint(1) unsigned": ["0", "255"],
    "smallint": ["-32768", "32767"],
    "smallint unsigned": ["65535"],
    "mediumint": ["-8388608", "8388607"],
    "mediumint unsigned": ["16777215"],
    "int": ["-2147483648", "2147483647"],
    "int unsigned": ["4294967295"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "bigint unsigned": ["18446744073709551615", "0"],
    "decimal(10,2)": ["-99999999.99", "0.10", "-0.10", "0.00"],
    "decimal(38,38)": ["0." + "9" * 38, "-0." + "0" * 37 + "1"],
    "decimal(38,0)": ["9" * 38, "-" + "9" * 38],
    "decimal(65,0)": [DIGITS_65, "-" + DIGITS_65, "0"],
    "decimal(65,38)": ["9" * 27 + "." + "9" * 38, "0." + "0" * 37 + "1"],
    "year": ["1901", "2155", "0"],
    "varchar(50)": ["''", "' two  '", "'it''s \\\\n'", "'\t\n'", "'zero'"],
    "char(5)": ["''", "'a'", "' a'"],
    "text": ["''", "REPEAT('x', 65535)"],
    "longtext": ["REPEAT('y', 300000)"],
    "enum('b','a''c','')": ["'b'", "'a''c'", "''"],
    "set('x','y')": ["''", "'x'", "'x,y'"],
    "inet6": ["'::1'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'::ffff:1.2.3.4'"],
    "inet4": ["'0.0.0.0'", "'255.255.255.255'"],
    "json": ['\'{"a" : 1e400, "a": 1.10}\'', "'[]'", "'null'"],
    "uuid": ["'6ba7b810-9dad-11d1-80b4-00c04fd430c8'", "'ffffffff-ffff-4fff-bfff-ffffffffffff'"],
    "date": ["'0001-01-01'", "'9999-12-31'", "'1582-10-10'", "'2024-02-29'"],
    "time": ["'00:00:00'", "'23:59:59'"],
    "datetime": ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'1969-12-31 23:59:59'"],
}
"""Types whose text is the same for the server and for dbsync."""


def make(server: MariaServer, url: str, declared: str, values: list[str]) -> None:
    """Create a table of one column `v` beside its key, with these values and a NULL."""
    rows = ", ".join(f"({number}, {value})" for number, value in enumerate([*values, "NULL"]))
    mode = "SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';"
    server.execute(
        f"{mode} CREATE TABLE t (id int PRIMARY KEY, v {declared} NULL) CHARSET utf8mb4;"
        f"INSERT INTO t VALUES {rows}",
        name_of(url),
    )


def server_says(server: MariaServer, url: str, expression: str) -> list[Any]:
    """Ask the server about the column, over a plain connection of the tests' own."""
    return [
        row[0] for row in server.execute(f"SELECT {expression} FROM t ORDER BY id", name_of(url))
    ]


@pytest.mark.parametrize("declared", ALIKE)
def test_extremes_are_as_the_server_writes_them(
    maria: MariaServer, maria_url: str, declared: str
) -> None:
    """The extremes of a type are read exactly, and NULL stays NULL."""
    make(maria, maria_url, declared, ALIKE[declared])
    with snapshot(maria_url) as snap:
        found = texts(snap, "t")["v"]
    said = server_says(maria, maria_url, "CAST(v AS CHAR)")
    assert len(found) == len(ALIKE[declared]) + 1
    assert found == [None if text is None else text for text in _plain(declared, said)]


def _plain(declared: str, said: list[Any]) -> list[str | None]:
    if declared == "year":
        return [None if text is None else str(int(text)) for text in said]
    return said


@pytest.mark.parametrize("digits", range(7))
def test_fractions_of_seconds(maria: MariaServer, maria_url: str, digits: int) -> None:
    """A second's fraction of any precision is exact in DATETIME, TIMESTAMP and TIME."""
    fraction = f".{'987654'[:digits]}" if digits else ""
    maria.execute(
        f"CREATE TABLE t (id int PRIMARY KEY, d datetime({digits}), s timestamp({digits}) NULL,"
        f" h time({digits}));"
        f"INSERT INTO t VALUES (1, '2038-01-18 23:59:58{fraction}',"
        f" '2038-01-19 03:14:07{fraction}',"
        f" '23:59:59{fraction}'), (2, '0001-01-01', '1970-01-01 00:00:01', '00:00:00')",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        found = texts(snap, "t")
        types = {c.name: c.type for c in snap.database.tables[0].columns}
    assert found["d"] == [f"2038-01-18 23:59:58{fraction}", "0001-01-01 00:00:00"]
    assert found["s"] == [f"2038-01-19 03:14:07{fraction}+00", "1970-01-01 00:00:01+00"]
    assert found["h"] == [f"23:59:59{fraction}", "00:00:00"]
    assert {types[name].precision for name in "dsh"} == {digits}


ODD_DATES = ["0000-00-00", "2020-00-15", "2020-02-00", "2020-02-31", "2021-02-29", "1900-02-29",
             "2020-04-31", "0000-03-05", "0000-12-31"]  # fmt: skip
REAL_DATES = ["2020-02-29", "2000-02-29", "2024-12-31", "0001-01-01", "9999-12-31"]


@pytest.mark.parametrize("declared", ["date", "datetime", "datetime(3)"])
def test_dates_that_no_calendar_has(maria: MariaServer, maria_url: str, declared: str) -> None:
    """Zero and impossible dates become literals, exactly these, and their neighbours do not."""
    time = "" if declared == "date" else " 10:20:30"
    fraction = ".5" if declared.endswith(")") else ""
    values = [f"{day}{time}{fraction}" for day in [*ODD_DATES, *REAL_DATES]]
    make(maria, maria_url, declared, [f"'{value}'" for value in values])
    with snapshot(maria_url) as snap:
        batch, found = whole(snap, "t"), texts(snap, "t")["v"]
    assert found == [*values, None]
    odd = batch.column("v:exceptions").is_valid().to_pylist()
    assert odd == [True] * len(ODD_DATES) + [False] * (len(REAL_DATES) + 1)


def test_a_zero_timestamp(maria: MariaServer, maria_url: str) -> None:
    """The one odd TIMESTAMP there is becomes a literal without a fraction of zeros."""
    maria.execute(
        "SET sql_mode = ''; CREATE TABLE t (id int PRIMARY KEY, v timestamp(6) NULL);"
        "INSERT INTO t VALUES (1, 0), (2, '2020-01-01 00:00:00.000001'), (3, NULL)",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        found = texts(snap, "t")["v"]
    assert found == ["0000-00-00 00:00:00", "2020-01-01 00:00:00.000001+00", None]


def test_times_beyond_a_day(maria: MariaServer, maria_url: str) -> None:
    """TIME outside of 00:00:00 to 23:59:59.999999 becomes a literal, with its own fraction."""
    values = ["-838:59:59", "-00:00:01", "-00:00:00.5", "24:00:00", "24:00:00.25", "838:59:59",
              "99:00:00", "100:00:00", "23:59:59.999999", "00:00:00"]  # fmt: skip
    make(maria, maria_url, "time(6)", [f"'{value}'" for value in values])
    with snapshot(maria_url) as snap:
        batch, found = whole(snap, "t"), texts(snap, "t")["v"]
    assert found == [*values, None]
    assert batch.column("v").null_count == 9


def test_bits(maria: MariaServer, maria_url: str) -> None:
    """BIT(1) is a boolean; wider ones are unsigned integers of the next width."""
    maria.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a bit(1), b bit(2), c bit(9), d bit(33), e bit(64));"
        "INSERT INTO t VALUES (1, 1, 3, 511, (1<<33)-1, 18446744073709551615), (2, 0, 0, 0, 0, 0),"
        " (3, NULL, NULL, NULL, NULL, NULL)",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        batch = whole(snap, "t")
    assert batch.column("a").to_pylist() == [True, False, None]
    assert batch.column("b").to_pylist() == [3, 0, None]
    assert batch.column("c").to_pylist() == [511, 0, None]
    assert batch.column("d").to_pylist() == [2**33 - 1, 0, None]
    assert batch.column("e").to_pylist() == [2**64 - 1, 0, None]
    assert [str(batch.column(n).type) for n in "abcde"] == [
        "bool", "uint8", "uint16", "uint64", "uint64",
    ]  # fmt: skip


def test_padding_zeros_are_no_part_of_a_number(maria: MariaServer, maria_url: str) -> None:
    """ZEROFILL changes only how the server prints, in every numeric type."""
    maria.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int(7) zerofill, b bigint zerofill,"
        " c decimal(12,2) zerofill, d decimal(60,20) zerofill, e double zerofill,"
        " f float zerofill);"
        "INSERT INTO t VALUES (1, 42, 18446744073709551615, 1.5, 1.5, 1.5, 1.5),"
        " (2, 0, 0, 0, 0, 0, 0)",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        found = texts(snap, "t")
    assert found["a"] == ["42", "0"]
    assert found["b"] == ["18446744073709551615", "0"]
    assert found["c"] == ["1.50", "0.00"]
    assert found["d"] == ["1.50000000000000000000", "0.00000000000000000000"]
    assert found["e"] == ["1.5", "0"]
    assert found["f"] == ["1.5", "0"]


def test_declared_digits_of_floats_hide_nothing(maria: MariaServer, maria_url: str) -> None:
    """FLOAT(M,D) and DOUBLE(M,D) are read as stored, not as they are printed."""
    maria.execute(
        "CREATE TABLE t (id int PRIMARY KEY, f float(20,1), d double(20,1));"
        "INSERT INTO t VALUES (1, 123456789.1, 123456789012.3)",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        batch = whole(snap, "t")
    assert batch.column("f").to_pylist() == [float(np.float32(123456789.1))]
    assert batch.column("d").to_pylist() == [123456789012.3]


@pytest.fixture(scope="module")
def floats_url(maria: MariaServer) -> Iterator[str]:
    """A database with a table of floats and doubles that examples fill anew."""
    name = maria.create_database()
    maria.execute("CREATE TABLE t (id int PRIMARY KEY, f float, d double)", name)
    yield maria.url(name)
    maria.drop_database(name)


finite = st.floats(allow_nan=False, allow_infinity=False)
finite32 = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(finite32, finite), min_size=10, max_size=100))
def test_floats_keep_every_bit(
    maria: MariaServer, floats_url: str, rows: list[tuple[float, float]]
) -> None:
    """Any double and any float comes back with the bits that it was written with.

    But for the sign of a zero, which MariaDB 10.11 itself does not print.
    """
    singles, doubles = [single for single, _ in rows], [double for _, double in rows]
    doubles[:4] = [5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 0.1]
    singles[:4] = [1e-45, 3.4028234663852886e38, 1.1754943508222875e-38, float(np.float32(0.1))]
    values = ", ".join(
        f"({n}, {f!r}, {d!r})" for n, (f, d) in enumerate(zip(singles, doubles, strict=True))
    )
    maria.execute(f"DELETE FROM t; INSERT INTO t VALUES {values}", name_of(floats_url))
    with snapshot(floats_url) as snap:
        batch = whole(snap, "t")
    found = zip(batch.column("f").to_pylist(), batch.column("d").to_pylist(), strict=True)
    for (single, double), (f, d) in zip(found, zip(singles, doubles, strict=True), strict=True):
        assert struct.pack("<f", single + 0.0) == struct.pack("<f", np.float32(f) + 0.0)
        assert struct.pack("<d", double + 0.0) == struct.pack("<d", d + 0.0)


def test_binary_values_are_untouched(maria: MariaServer, maria_url: str) -> None:
    """Binary, blob and spatial columns arrive with exactly the bytes that the server stores."""
    every = bytes(range(256)).hex()
    maria.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a binary(255), b varbinary(300), c longblob, d point,"
        " e geometrycollection);"
        f"INSERT INTO t VALUES (1, x'{every[:400]}', x'{every}', REPEAT(x'{every}', 2000), {POINT},"
        " ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'))",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        batch = whole(snap, "t")
    for name in "abcde":
        (said,) = server_says(maria, maria_url, f"HEX({name})")
        assert [value.hex().upper() for value in batch.column(name).to_pylist()] == [said]
    assert len(batch.column("a")[0].as_py()) == 255


CHARSETS = ["latin1", "latin2", "cp1251", "koi8r", "utf8mb3", "ucs2", "utf16", "utf16le", "utf32",
            "sjis", "gbk", "big5", "ujis", "euckr", "greek", "hebrew", "ascii", "cp850", "tis620",
            "macroman"]  # fmt: skip


@pytest.mark.parametrize("charset", CHARSETS)
def test_text_of_any_character_set(maria: MariaServer, maria_url: str, charset: str) -> None:
    """Text arrives as the same characters whatever set its column has."""
    sample = {"latin1": "é€ß", "latin2": "ąż", "cp1251": "Жя", "koi8r": "Жя", "greek": "αΩ",
              "hebrew": "אב", "ascii": "plain", "tis620": "กข", "macroman": "é", "cp850": "é",
              "euckr": "한국"}.get(charset, "日本" if charset != "utf8mb3" else "日é")  # fmt: skip
    make(maria, maria_url, f"varchar(20) CHARACTER SET {charset}", [f"'{sample}'", "''", "'a?b'"])
    with snapshot(maria_url) as snap:
        assert texts(snap, "t")["v"] == [sample, "", "a?b", None]


@pytest.mark.parametrize(
    ("charset", "broken"), [("utf8mb4", "61FF62"), ("utf8mb3", "C328"), ("sjis", "8540"),
                            ("ascii", "E9"), ("cp1251", "98")]
)  # fmt: skip
def test_text_that_is_none_is_refused(
    maria: MariaServer, maria_url: str, charset: str, broken: str
) -> None:
    """Bytes that are no text of the column's character set are refused, never replaced."""
    maria.execute(
        "SET sql_mode = ''; CREATE TABLE t (id int PRIMARY KEY, v varbinary(20));"
        f"INSERT INTO t VALUES (1, 'good'), (2, x'{broken}'), (3, x'{broken}');"
        # What an old server, or a crash, may leave behind: the bytes are kept, the type changes.
        f"CREATE TABLE u (id int PRIMARY KEY, v varchar(20) CHARACTER SET {charset}) ENGINE=MyISAM;"
        f"INSERT INTO u VALUES (1, 'good'), (2, 'ZZZZZZZZ'), (3, 'ZZZZZZZZ')",
        name_of(maria_url),
    )
    path = next((maria.data / name_of(maria_url)).glob("u.MYD"))
    maria.execute("FLUSH TABLES u", name_of(maria_url))
    content = path.read_bytes()
    raw = bytes.fromhex(broken)
    path.write_bytes(content.replace(b"ZZZZZZZZ", (raw * 8)[:8]))
    with snapshot(maria_url, tables=("u",)) as snap, pytest.raises(LossError) as refused:
        whole(snap, "u")
    assert refused.value.exit_code == 7
    assert "table u, column v: 2 values are no valid text" in refused.value.message


def test_a_value_that_its_type_does_not_explain_names_table_and_column() -> None:
    """What cannot be read is an error that says where, not a wrong value."""
    column = Column(name="n", type=integer(8), native_type="tinyint(4)", storage="int8",
                    exceptions="n:exceptions")  # fmt: skip
    decoder = BatchDecoder(Table(name=Name(None, "t"), columns=(column,)))
    with pytest.raises(SourceError, match=r"table t, column n: cannot read .* tinyint\(4\)"):
        decoder.decode([pa.array([b"300"], pa.binary())])


def test_batches_without_rows_and_of_nulls() -> None:
    """An empty batch and one of NULLs keep their types, in every kind of column."""
    kinds = {"date": "date32[day]", "time": "time64[us]", "timestamp": "timestamp[us]",
             "string": "string", "binary": "binary"}  # fmt: skip
    columns = tuple(
        Column(name=name, type=LogicalType(name=name), native_type=name, storage=storage,  # type: ignore[arg-type]
               exceptions=f"{name}:exceptions")
        for name, storage in kinds.items()
    )  # fmt: skip
    decoder = BatchDecoder(Table(name=Name(None, "t"), columns=columns))
    for count in (0, 3):
        batch = decoder.decode([pa.nulls(count, pa.binary())] * len(columns))
        assert batch.num_rows == count
        assert [str(t) for t in batch.schema.types] == list(kinds.values())
        assert all(column.null_count == count for column in batch.columns)


def test_a_slice_of_a_buffer_is_read_at_its_offset() -> None:
    """Odd dates are found where an array starts within a larger buffer."""
    column = Column(name="d", type=LogicalType(name="date"), native_type="date",
                    storage="date32[day]", exceptions="d:exceptions")  # fmt: skip
    decoder = BatchDecoder(Table(name=Name(None, "t"), columns=(column,)))
    raw = pa.array([b"2020-01-01", b"2020-02-31", None, b"2020-03-01"], pa.binary()).slice(1)
    batch = decoder.decode([raw])
    assert batch.column("d:exceptions").is_valid().to_pylist() == [True, False, False]
    assert batch.column("d").is_valid().to_pylist() == [False, False, True]
