"""Every type through archive and both engines: values equal, or refused as types-v1.md says."""

from __future__ import annotations

import io
import json
import math
import string
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extras import execute_values

import dbsync
from dbsync.errors import LossError
from tests.integration.rows import pg_query

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40
)


def _sometimes(common: st.SearchStrategy[str], *special: str) -> st.SearchStrategy[str]:
    return st.one_of(common, st.sampled_from(special))


DIGITS = st.text(string.digits, min_size=1, max_size=60)
TYPES: dict[str, st.SearchStrategy[str]] = {
    "boolean": st.sampled_from(["true", "false"]),
    "smallint": _sometimes(st.integers(-(2**15), 2**15 - 1).map(str), "-32768", "32767"),
    "integer": _sometimes(st.integers(-(2**31), 2**31 - 1).map(str), "-2147483648"),
    "bigint": _sometimes(st.integers(-(2**63), 2**63 - 1).map(str), str(-(2**63)), str(2**63 - 1)),
    "real": _sometimes(
        st.floats(width=32, allow_nan=False).map(repr), "NaN", "Infinity", "-Infinity", "-0"
    ),
    "double precision": _sometimes(
        st.floats(allow_nan=False).map(repr), "NaN", "Infinity", "5e-324", "-0"
    ),
    "numeric": _sometimes(
        DIGITS, "NaN", "Infinity", "-Infinity", "1e400", "1.10", "9" * 1000, "0." + "0" * 900 + "1"
    ),
    "numeric(12,2)": _sometimes(
        st.decimals(-(10**9), 10**9, places=2).map(str), "NaN", "9999999999.99"
    ),
    "numeric(38,10)": st.decimals(-(10**27), 10**27, places=10).map(str),
    "numeric(60,20)": DIGITS.map(lambda d: f"{d[:39]}.{d[:20]}"),
    "text": _sometimes(TEXT, "", "x" * 100_000, "\\N", "\\.", '"', "\r\n"),
    "varchar(50)": TEXT,
    "char(5)": _sometimes(st.text(string.ascii_letters, max_size=5), "a", "  "),
    "bytea": _sometimes(st.binary(max_size=40).map(lambda b: "\\x" + b.hex()), "\\x", "\\x00ff"),
    "date": _sometimes(
        st.dates().map(date.isoformat), "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"
    ),
    "time": _sometimes(st.times().map(time.isoformat), "24:00:00", "00:00:00"),
    "time with time zone": _sometimes(st.times().map(lambda t: f"{t}+02"), "24:00:00-15:59"),
    "timestamp": _sometimes(
        st.datetimes().map(datetime.isoformat),
        "infinity", "-infinity", "294276-12-31 23:59:59.999999", "4713-01-01 00:00:00 BC",
    ),
    "timestamptz": _sometimes(
        st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda d: f"{d.isoformat()}+05:30"),
        "infinity", "-infinity", "294276-12-31 23:59:59.999999+00", "4713-01-01 00:00:00+00 BC",
    ),
    "interval": _sometimes(
        st.timedeltas(timedelta(-9999), timedelta(9999)).map(lambda d: f"{d.total_seconds():f} s"),
        "1 mon", "-1 mon +30 days", "178000000 years",
    ),
    "uuid": st.uuids().map(str),
    "json": st.recursive(
        st.none() | st.integers() | st.text(string.printable[:90], max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ).map(json.dumps),
    "jsonb": _sometimes(
        st.integers().map(lambda i: json.dumps({"k": i})), "1e400", "1.10", "[1.0, 2.50]"
    ),
    "integer[]": _sometimes(
        st.lists(st.integers(-9, 9), max_size=4).map(lambda v: "{" + ",".join(map(str, v)) + "}"),
        "[0:1]={1,2}", "{{1,2},{3,4}}", "{NULL}", "{}",
    ),
    "text[]": st.sampled_from(['{"a b","",NULL}', '{"\\"","\\\\"}', "{}"]),
    "inet": st.ip_addresses().map(str),
    "cidr": st.sampled_from(["10.0.0.0/8", "::/0"]),
    "macaddr": st.sampled_from(["08:00:2b:01:02:03"]),
    "int4range": st.sampled_from(["[1,5)", "empty", "(,)", "[3,)"]),
    "tstzrange": st.sampled_from(["[2020-01-01 00:00:00+00,infinity)"]),
    "bit(5)": st.text("01", min_size=5, max_size=5),
    "bit varying": st.text("01", max_size=70),
    "money": st.integers(-99999, 99999).map(lambda i: f"{i / 100:.2f}"),
    "point": st.sampled_from(["(1.5,-2)", "(1e300,0)"]),
    "tsvector": st.sampled_from(["'a':1A 'fat':2B,4", ""]),
    "mood": st.sampled_from(["sad", "it's", "ok"]),
    "positive": st.integers(1, 10**9).map(str),
    '"char"': st.sampled_from(["a", "\\351"]),
    "oid": st.sampled_from(["4294967295", "0"]),
    "pg_lsn": st.sampled_from(["16/B374D848"]),
    "pair": st.sampled_from(['(1,"a,b")', "(,)"]),
}  # fmt: skip
SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE pair AS (a integer, b text);
"""


def _fill(url: str, kind: str, values: list[str | None]) -> None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (n int PRIMARY KEY, v {kind})")
        execute_values(
            cursor,
            "INSERT INTO t VALUES %s",
            list(enumerate(values)),
            template=f"(%s, (%s)::text::{kind})",
        )
        connection.commit()


def _texts(url: str) -> list[tuple[Any, ...]]:
    return pg_query(url, "SELECT n, v::text, pg_column_size(v) > 0 FROM t ORDER BY n")


@pytest.fixture(scope="module")
def two_databases(pg18: Any) -> Any:
    """A source and a target with the user-defined types in both."""
    names = [pg18.create_database() for _ in range(2)]
    for name in names:
        pg_query(pg18.url(name), SETUP)
    yield [pg18.url(name) for name in names]
    for name in names:
        pg18.drop_database(name)


@pytest.mark.parametrize("kind", list(TYPES))
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_postgres_to_postgres(two_databases: list[str], kind: str, data: st.DataObject) -> None:
    """Each type of PostgreSQL, with extremes, arrives as the server prints it."""
    source, target = two_databases
    values = data.draw(st.lists(st.none() | TYPES[kind], min_size=1, max_size=30))
    _fill(source, kind, [None, *values])
    pg_query(target, f"DROP TABLE IF EXISTS t; CREATE TABLE t (n int PRIMARY KEY, v {kind})")
    out = io.BytesIO()
    dbsync.export_database(source, out, tables=["t"])
    out.seek(0)
    dbsync.import_archive(out, target)
    assert _texts(target) == _texts(source)


@pytest.mark.parametrize("kind", [k for k in TYPES if k not in ("mood", "positive", "pair")])
def test_postgres_to_sqlite_and_back(
    pg_url: str, new_pg_url: Callable[[], str], tmp_path: Path, kind: str
) -> None:
    """Through SQLite, each type comes back equal, or NaN and the like are refused by name."""
    examples: list[str] = []

    @settings(max_examples=1, database=None, deadline=None)
    @given(st.lists(TYPES[kind], min_size=25, max_size=25))
    def draw(drawn: list[str]) -> None:
        examples[:] = drawn

    draw()
    special = {
        "numeric": ["9" * 1000, "1.10", "NaN"], "date": ["infinity", "0044-03-15 BC"],
        "timestamptz": ["infinity", "294276-12-31 23:59:59.999999+00"], "time": ["24:00:00"],
        "numeric(12,2)": ["0.10", "9999999999.99"],
    }.get(kind, [])  # fmt: skip
    examples = [v for v in [*examples, *special] if not _beyond_sqlite(kind, v)]
    _fill(pg_url, kind, [None, *examples])
    path = tmp_path / "middle.sqlite"
    dbsync.clone(pg_url, f"sqlite:///{path}", include_schema=True, tables=["t"])
    back = new_pg_url()
    dbsync.clone(f"sqlite:///{path}", back, include_schema=True)
    assert len(pg_query(back, "SELECT n FROM t")) == len(examples) + 1
    archive = tmp_path / "a.dbsync.tar"
    dbsync.export_database(pg_url, str(archive))
    for url in (f"sqlite:///{path}", back):
        assert dbsync.verify(str(archive), against=url).differences == ()


def _beyond_sqlite(kind: str, value: str) -> bool:
    if kind in ("real", "double precision"):
        return math.isnan(float(value))
    return False


@pytest.mark.parametrize("kind", ["double precision", "real"])
def test_nan_is_refused_by_sqlite(pg_url: str, tmp_path: Path, kind: str) -> None:
    """SQLite stores NaN as NULL: the import refuses, naming the table, the column and how many."""
    _fill(pg_url, kind, ["1", "NaN", "NaN"])
    with pytest.raises(LossError, match=r"(?s)\bt\b.*\bv\b.*2|2.*\bv\b.*\bt\b"):
        dbsync.clone(pg_url, f"sqlite:///{tmp_path / 'a.sqlite'}", include_schema=True)


def test_nul_is_refused_by_postgres(pg_url: str, tmp_path: Path) -> None:
    """Text with a NUL, which SQLite holds, is refused by name and count."""
    import sqlite3

    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (n integer PRIMARY KEY, v text)")
        connection.execute("INSERT INTO t VALUES (1, 'a' || char(0) || 'b'), (2, 'fine')")
    with pytest.raises(LossError, match=r"(?s)\bv\b"):
        dbsync.clone(f"sqlite:///{path}", pg_url, include_schema=True)


def test_ten_megabytes_of_text(pg_url: str, new_pg_url: Callable[[], str], tmp_path: Path) -> None:
    """A value of 10 MB travels through both engines."""
    _fill(pg_url, "text", ["x" * 10_000_000, "", None])
    path = tmp_path / "a.sqlite"
    dbsync.clone(pg_url, f"sqlite:///{path}", include_schema=True)
    back = new_pg_url()
    dbsync.clone(f"sqlite:///{path}", back, include_schema=True)
    lengths = "SELECT n, length(v), md5(v) FROM t ORDER BY n"
    assert pg_query(back, lengths) == pg_query(pg_url, lengths)
