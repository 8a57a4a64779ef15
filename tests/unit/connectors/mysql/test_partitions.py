"""Ranges of a key: every row in exactly one, about equal, found without scanning."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbsync.connectors.base import Partition
from dbsync.connectors.mysql import partitions
from dbsync.connectors.mysql.catalog import read_database
from dbsync.connectors.mysql.connection import open_session, parse_url
from dbsync.connectors.mysql.information import read_information
from dbsync.connectors.mysql.keys import range_key
from dbsync.errors import SourceError
from dbsync.model.selection import Selection
from tests.servers import MariaServer
from tests.unit.connectors.mysql.reading import name_of, snapshot, table

ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=0, max_size=6
)
FEW_LETTERS = st.text("aAbBzZ09'\\%_ é", max_size=5)
DATES = st.one_of(
    st.dates().map(str), st.sampled_from(["0000-00-00", "2020-02-31", "2020-00-15", "0000-02-02"])
)
KEYS: dict[str, tuple[list[str], st.SearchStrategy[tuple[Any, ...]]]] = {
    "bigint": (["bigint"], st.tuples(st.integers(-(2**63), 2**63 - 1))),
    "unsigned": (["bigint unsigned"], st.tuples(st.integers(0, 2**64 - 1))),
    "close": (["smallint"], st.tuples(st.integers(-300, 300))),
    "folding": (["varchar(20) COLLATE utf8mb4_general_ci"], st.tuples(FEW_LETTERS)),
    "unicode": (["varchar(20) COLLATE utf8mb4_unicode_ci"], st.tuples(ANY_TEXT)),
    "exact": (["varchar(20) COLLATE utf8mb4_bin"], st.tuples(ANY_TEXT)),
    "latin1": (["varchar(20) CHARACTER SET latin1"], st.tuples(FEW_LETTERS)),
    "char": (["char(8) COLLATE utf8mb4_nopad_bin"], st.tuples(ANY_TEXT)),
    "binary": (["varbinary(20)"], st.tuples(st.binary(max_size=12))),
    "padded": (["binary(16)"], st.tuples(st.binary(max_size=16))),
    "date": (["date"], st.tuples(DATES)),
    "datetime": (["datetime(6)"], st.tuples(st.datetimes().map(str))),
    "decimal": (["decimal(20,5)"], st.tuples(st.decimals("-1e9", "1e9", places=5).map(str))),
    "uuid": (["uuid"], st.tuples(st.uuids().map(str))),
    "tenants": (
        ["int", "varchar(20) COLLATE utf8mb4_general_ci"],
        st.tuples(st.integers(1, 3), FEW_LETTERS),
    ),
    "three": (
        ["varchar(5) COLLATE utf8mb4_bin", "date", "int"],
        st.tuples(st.sampled_from(["", "a", "b\n"]), DATES, st.integers(0, 50)),
    ),
    "then odd": (
        ["int", "enum('z','a')", "int"],
        st.tuples(st.integers(0, 5), st.sampled_from(["z", "a"]), st.integers(0, 90)),
    ),
    "enum": (["enum('z','a','m')", "int"], st.tuples(st.sampled_from("zam"), st.integers(0, 90))),
    "float": (["double"], st.tuples(st.floats(-1e9, 1e9))),
}
MODE = "SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"


@pytest.fixture(scope="module")
def tables_url(maria: MariaServer) -> Iterator[str]:
    """A database with one table for each kind of key, which examples fill anew."""
    name = maria.create_database()
    for number, (types, _) in enumerate(KEYS.values()):
        columns = ", ".join(f"k{n} {declared} NOT NULL" for n, declared in enumerate(types))
        key = ", ".join(f"k{n}" for n in range(len(types)))
        maria.execute(
            f"CREATE TABLE t{number} (row int, {columns}, PRIMARY KEY ({key})) CHARSET utf8mb4",
            name,
        )
    yield maria.url(name)
    maria.drop_database(name)


@pytest.fixture
def split_small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split tables of a few rows too."""
    monkeypatch.setattr(partitions, "_LEAST_ROWS", 2)


few_rows = pytest.mark.usefixtures("split_small_tables")


@few_rows
@pytest.mark.parametrize("kind", KEYS)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_row_is_in_exactly_one_range(
    maria: MariaServer, tables_url: str, kind: str, data: st.DataObject
) -> None:
    """Whatever the keys are, the ranges are disjoint and leave nothing out."""
    number = list(KEYS).index(kind)
    types, strategy = KEYS[kind]
    keys = data.draw(st.lists(strategy, min_size=0, max_size=60))
    with maria.connect(name_of(tables_url)) as connection, connection.cursor() as cursor:
        cursor.execute(MODE)
        cursor.execute(f"TRUNCATE t{number}")
        places = ", ".join(["%s"] * (len(types) + 1))
        for row, key in enumerate(keys):
            # Keys that are equal by the collation stay away.
            cursor.execute(f"INSERT IGNORE INTO t{number} VALUES ({places})", (row, *key))
        cursor.execute(f"SELECT row FROM t{number}")
        expected = sorted(row for (row,) in cursor.fetchall())
    with snapshot(tables_url, tables=(f"t{number}",)) as snap:
        found = table(snap, f"t{number}")
        ranges = snap.partitions(found, 8)
        rows = [
            row
            for partition in ranges
            for batch in snap.read(found, partition)
            for row in batch.column("row").to_pylist()
        ]
    assert sorted(rows) == expected
    assert [p.number for p in ranges] == list(range(len(ranges)))


def _fill(connection: pymysql.Connection[Any], name: str, columns: str, rows: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} ({columns}) CHARSET utf8mb4")
        marks = ", ".join(["%s"] * len(rows[0]))
        cursor.executemany(f"INSERT IGNORE INTO {name} VALUES ({marks})", rows)


def _gaps(_: random.Random) -> Iterator[tuple[Any, ...]]:
    for n in range(1, 4_001):
        yield (n,)
    for n in range(16_000):
        yield (10**12 + n * 7,)
    yield (2**63 - 1,)
    yield (-(2**63),)


def _exponential(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for _ in range(20_000):
        yield (int(2 ** chance.uniform(1, 62)),)


def _words(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for n in range(18_000):
        yield (f"customer/orders/{n:08d}",)
    for n in range(2_000):
        yield (f"{chance.choice('AbyZ')}{chance.randrange(10**9)}-{n}",)


def _foreign(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for n in range(20_000):
        yield ("".join(chance.choices("日本語한국", k=6)) + str(n),)


def _hashes(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for _ in range(20_000):
        yield (chance.randbytes(16),)


def _tenants(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for n in range(20_000):
        yield (7 if chance.random() < 0.8 else chance.randrange(1, 50), f"order-{n:06d}")


def _days(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for n in range(20_000):
        odd = chance.random() < 0.1
        day = date(2020, 1, 1) + timedelta(days=int(chance.expovariate(1 / 30)))
        yield ("0000-00-00" if odd else str(day), n)


SKEWED: dict[str, tuple[str, Callable[[random.Random], Iterator[tuple[Any, ...]]]]] = {
    "gaps": ("id bigint PRIMARY KEY", _gaps),
    "exponential": ("id bigint unsigned PRIMARY KEY", _exponential),
    "words": ("id varchar(60) COLLATE utf8mb4_general_ci PRIMARY KEY", _words),
    "foreign": ("id varchar(60) COLLATE utf8mb4_unicode_ci PRIMARY KEY", _foreign),
    "hashes": ("id binary(16) PRIMARY KEY", _hashes),
    "tenants": ("t int, id varchar(20), PRIMARY KEY (t, id)", _tenants),
    "days": ("d date, n int, PRIMARY KEY (d, n)", _days),
}


@pytest.mark.parametrize("kind", SKEWED)
def test_ranges_are_about_equal(maria: MariaServer, maria_url: str, kind: str) -> None:
    """Gaps, clusters and one value that fills most of a table: no range is three times the rest."""
    columns, make = SKEWED[kind]
    with maria.connect(name_of(maria_url)) as connection:
        connection.cursor().execute(MODE)
        _fill(connection, "t", columns, list(make(random.Random(4))))  # noqa: S311
    with snapshot(maria_url) as snap:
        found = table(snap, "t")
        ranges = snap.partitions(found, 16 << 10)
        sizes = [sum(b.num_rows for b in snap.read(found, p)) for p in ranges]
    average = sum(sizes) / len(sizes)
    assert len(sizes) >= 8
    assert max(sizes) <= 3 * average


def test_ranges_have_the_size_that_was_asked_for(maria: MariaServer, maria_url: str) -> None:
    """Half the target gives about twice the ranges, each of about the target as Arrow."""
    maria.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(200));"
        "INSERT INTO t SELECT seq, repeat('x', 50 + seq % 100) FROM seq_1_to_30000",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        found = table(snap, "t")
        counts = [len(snap.partitions(found, target)) for target in (512 << 10, 256 << 10)]
        sizes = [
            sum(b.nbytes for b in snap.read(found, p)) for p in snap.partitions(found, 256 << 10)
        ]
    assert 1.6 <= counts[1] / counts[0] <= 2.4
    assert 0.4 <= sum(sizes) / len(sizes) / (256 << 10) <= 1.2


def test_the_search_reads_no_more_than_a_few_keys(maria: MariaServer, maria_url: str) -> None:
    """Cutting a table of many rows touches hundreds of index entries, not all of them."""
    maria.execute(
        "CREATE TABLE t (id varchar(20) PRIMARY KEY, v int);"
        "INSERT INTO t SELECT concat('k', lpad(seq * 3, 9, '0')), 1 FROM seq_1_to_100000",
        name_of(maria_url),
    )
    session = open_session(parse_url(maria_url), SourceError)
    try:
        raw = read_information(session).tables["t"]
        (described,) = read_database(session, Selection(), include_schema=False).tables
        session.run("FLUSH STATUS", "resetting the counters")
        ranges = partitions.split(session, raw, described, 96 << 10)
        counters = session.rows("SHOW SESSION STATUS LIKE 'Handler_read%'", "counting")
    finally:
        session.close()
    touched = sum(
        int(row["Value"]) for row in counters if row["Variable_name"] != "Handler_read_rnd"
    )
    assert len(ranges) > 15
    assert touched < 5_000


@pytest.mark.parametrize(
    "columns",
    ["id int", "id int, UNIQUE (id)", "e enum('b','a') PRIMARY KEY", "id double PRIMARY KEY",
     "t text, PRIMARY KEY (t(5))", "t varchar(9) CHARACTER SET sjis PRIMARY KEY",
     "b bit(9) PRIMARY KEY", "id int, v int AS (id) PERSISTENT, KEY (v)"],
)  # fmt: skip
def test_a_table_without_a_usable_key_is_one_range(
    maria: MariaServer, maria_url: str, columns: str
) -> None:
    """Where no key could cut the rows exactly, the table is read as a whole."""
    maria.execute(f"CREATE TABLE t ({columns})", name_of(maria_url))
    with snapshot(maria_url) as snap:
        (only,) = snap.partitions(table(snap, "t"), 1)
    assert only == Partition(table=only.table, number=0, bounds=())


@few_rows
def test_a_unique_key_without_nulls_serves_as_well(maria: MariaServer, maria_url: str) -> None:
    """Without a primary key, the first unique key that allows no NULL cuts the table."""
    maria.execute(
        "CREATE TABLE t (a int, b int NOT NULL, UNIQUE (a), UNIQUE `the b` (b));"
        "INSERT INTO t SELECT seq, seq FROM seq_1_to_500",
        name_of(maria_url),
    )
    session = open_session(parse_url(maria_url), SourceError)
    try:
        key = range_key(read_information(session).tables["t"])
    finally:
        session.close()
    assert key is not None
    assert key.index == "the b"
    with snapshot(maria_url, columns={"t": ("a",)}) as snap:
        found = table(snap, "t")
        ranges = snap.partitions(found, 64)
        assert len(ranges) > 1
        rows = [b.column("a").to_pylist() for p in ranges for b in snap.read(found, p)]
    assert sorted(itertools.chain(*rows)) == list(range(1, 501))


@few_rows
def test_bounds_are_plain_values(maria: MariaServer, maria_url: str) -> None:
    """Bounds are whole numbers and text, never SQL, so that a partition may travel."""
    maria.execute(
        "CREATE TABLE t (a int, b varbinary(9), c varchar(19), PRIMARY KEY (a, b, c));"
        "INSERT INTO t SELECT 1, char(seq), concat(\"' OR '1\", seq) FROM seq_1_to_200",
        name_of(maria_url),
    )
    with snapshot(maria_url) as snap:
        ranges = snap.partitions(table(snap, "t"), 64)
    assert len(ranges) > 1
    assert {type(bound) for p in ranges for bound in p.bounds} == {int, str}
    assert all(isinstance(p.bounds, tuple) for p in ranges)


@few_rows
def test_a_range_that_was_read_may_be_read_again(maria: MariaServer, maria_url: str) -> None:
    """The same partition gives the same rows as long as the snapshot lives."""
    name = name_of(maria_url)
    maria.execute(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT seq FROM seq_1_to_500", name
    )
    with snapshot(maria_url, jobs=3) as snap:
        found = table(snap, "t")
        partition = snap.partitions(found, 500)[1]
        first = [b.to_pylist() for b in snap.read(found, partition)]
        maria.execute("DELETE FROM t; INSERT INTO t SELECT seq FROM seq_1_to_900", name)
        assert [b.to_pylist() for b in snap.read(found, partition)] == first
        assert snap.partitions(found, 500)[0].bounds
