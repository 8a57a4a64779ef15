"""Values on their way out of SQLite: every class, exactly, whatever was declared."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from dbsync.connectors.sqlite import open_source
from dbsync.connectors.sqlite.read import read_rows
from dbsync.connectors.sqlite.types import affinity
from dbsync.model.selection import Selection
from tests.unit.connectors.sqlite.files import listing, make, query, read, url, values

TRAPS = [
    None, "", "a\0b", 0, -0.0, 1.5, float("inf"), float("-inf"), 2**63 - 1, -(2**63), 2**53 + 1,
    -(2**53) - 1, 2**53, b"", b"\0\xff", "é🎉", "1", "01", 1e300, 0.1, 5e-324, "maybe", 1e16,
]  # fmt: skip


def class_and_bytes(batches: list[pa.RecordBatch], name: str) -> list[tuple[str, object]]:
    """Put a column and its exceptions together again, without the connector's own code."""
    found: list[tuple[str, object]] = []
    for batch in batches:
        odd = [None] * len(batch)
        if f"{name}:exceptions" in batch.schema.names:
            odd = batch.column(f"{name}:exceptions").to_pylist()
        for value, exception in zip(batch.column(name).to_pylist(), odd, strict=True):
            if exception is None:
                found.append((type(value).__name__, value))
                continue
            assert value is None
            kind, raw = exception["kind"], exception["value"]
            read_back = {"integer": int, "real": float, "text": bytes.decode, "blob": bytes}[kind]
            found.append((type(read_back(raw)).__name__, read_back(raw)))
    return sorted(found, key=repr)


def as_numeric_column(value: object) -> object:
    """Whole numbers may travel as doubles there: SQLite makes an INTEGER of them again."""
    return float(value) if isinstance(value, int) and abs(value) <= 2**53 else value


@pytest.mark.parametrize(
    "declared",
    ["INTEGER", "REAL", "NUMERIC", "DECIMAL(10,2)", "TEXT", "BLOB", "", "BOOLEAN", "DATETIME",
     "DATE", "TIMESTAMP", "JSON", "UUID", "VARCHAR(3)", "FLOAT", "POINT", "whatever"],
)  # fmt: skip
def test_every_class_in_every_column(tmp_path: Path, declared: str) -> None:
    """Each value comes back in the class that SQLite gave it, whatever the column's type is."""
    path = make(
        tmp_path / "a.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})",
        ("INSERT INTO t (v) VALUES (?)", [(v,) for v in TRAPS]),
    )
    database, batches = read(path)
    stored = [v for (v,) in query(path, "SELECT v FROM t")]
    if database.tables[0].column("v").storage == "double" and affinity(declared) == "numeric":
        stored = [as_numeric_column(v) for v in stored]
    expected = sorted(((type(v).__name__, v) for v in stored), key=repr)
    # -0.0 and 0.0 are equal: repr tells them apart, through sorting and comparison alike.
    assert repr(class_and_bytes(batches["t"], "v")) == repr(expected)


@pytest.mark.parametrize("declared", ["INTEGER", "REAL", "NUMERIC", "TEXT", "BLOB", "DATE"])
@pytest.mark.parametrize("late", [1, 2.5, "text", b"blob", 2**60])
def test_late_values_of_another_class(tmp_path: Path, declared: str, late: object) -> None:
    """A value of another class that stands beyond the sample is not bent to the column's type."""
    usual = {"INTEGER": 7, "REAL": 0.5, "NUMERIC": 1.25, "TEXT": "x", "BLOB": b"y", "DATE": "d"}
    rows = [(usual[declared],)] * 20_000 + [(late,)]
    path = make(
        tmp_path / "a.db", f"CREATE TABLE t (v {declared})", ("INSERT INTO t VALUES (?)", rows)
    )
    expected = query(path, "SELECT v FROM t WHERE rowid = 20001")[0][0]
    if declared == "NUMERIC":
        expected = as_numeric_column(expected)
    assert (type(expected).__name__, expected) in class_and_bytes(read(path)[1]["t"], "v")


def test_leading_nulls(tmp_path: Path) -> None:
    """A column that begins with thousands of NULLs has the type of what follows."""
    rows = [(None, None)] * 20_000 + [("late", 2.5)]
    path = make(
        tmp_path / "a.db", "CREATE TABLE t (a TEXT, b REAL)", ("INSERT INTO t VALUES (?, ?)", rows)
    )
    batches = read(path)[1]["t"]
    assert values(batches, "a")[-1] == "late"
    assert values(batches, "b")[-1] == 2.5
    assert sum(batch.num_rows for batch in batches) == 20_001


def test_text_that_is_not_unicode(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 stand beside the column as they are, and the rest stays a string."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('ok'), (CAST(x'ff41' AS TEXT)), ('');",
    )
    batch = read(path)[1]["t"][0]
    assert batch.column("v").to_pylist() == ["ok", None, ""]
    assert batch.column("v:exceptions").to_pylist()[1] == {"kind": "text", "value": b"\xffA"}


def test_invalid_text_beside_other_classes(tmp_path: Path) -> None:
    """Both kinds of exception may stand in one column of one batch."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (v);INSERT INTO t VALUES ('a'), ('b'), (CAST(x'ff' AS TEXT)), (5), (NULL);",
    )
    exceptions = read(path)[1]["t"][0].column("v:exceptions").to_pylist()
    assert exceptions == [
        None, None, {"kind": "text", "value": b"\xff"}, {"kind": "integer", "value": b"5"}, None,
    ]  # fmt: skip


def test_large_values_do_not_meet_in_one_batch(tmp_path: Path) -> None:
    """Ten-megabyte texts among small rows are exact, and no batch holds many of them."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        (
            "INSERT INTO t VALUES (?, ?)",
            ((i, "x" * 10_000_000 if i >= 4990 else "y") for i in range(5000)),
        ),
    )
    batches = read(path, target_bytes=1 << 30)[1]["t"]
    lengths = dict(zip(values(batches, "id"), map(len, values(batches, "v")), strict=True))
    assert lengths == {i: 10_000_000 if i >= 4990 else 1 for i in range(5000)}
    assert max(batch.nbytes for batch in batches) < 40_000_000


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """Databases in UTF-16 are read as well, and say so."""
    path = make(
        tmp_path / "a.db",
        f"PRAGMA encoding = '{encoding}'; CREATE TABLE é (v); INSERT INTO é VALUES ('ü🎉');",
    )
    database, batches = read(path)
    assert values(batches["é"], "v") == ["ü🎉"]
    assert database.details["encoding"] == encoding


def test_rows_in_the_wal(tmp_path: Path) -> None:
    """Rows that are only in the -wal file beside the database are part of the export."""
    path, copied = tmp_path / "a.db", tmp_path / "b.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        shutil.copy(path, copied)
        shutil.copy(f"{path}-wal", f"{copied}-wal")
    assert values(read(copied)[1]["t"], "v") == [1]
    assert listing(tmp_path) == ["a.db", "b.db"]


def test_wide_tables(tmp_path: Path) -> None:
    """A table with as many columns as SQLite allows is read, sampled and checked in slices."""
    names = [f"c{i}" for i in range(2000)]
    path = make(
        tmp_path / "a.db",
        f"CREATE TABLE t ({', '.join(names)}); INSERT INTO t (c0, c1999) VALUES (1, 'x');",
    )
    database, batches = read(path)
    assert len(database.tables[0].columns) == 2000
    assert values(batches["t"], "c1999") == ["x"]


def test_hostile_names(tmp_path: Path) -> None:
    """Names with quotes, line breaks, reserved words, emoji and the exceptions suffix all work."""
    path = make(
        tmp_path / "a.db",
        'CREATE TABLE "we""ird\n🎉" ("select" INT, "a""b" TEXT, "x:exceptions" INT, x INT);'
        "INSERT INTO \"we\"\"ird\n🎉\" VALUES (1, 'b', 3, 'not a number');",
    )
    database, batches = read(path)
    batch = batches['we"ird\n🎉'][0]
    field = database.tables[0].column("x").exceptions
    assert batch.column('a"b').to_pylist() == ["b"]
    assert batch.column("x:exceptions").to_pylist() == [3]
    assert field != "x:exceptions"
    # The only value of x is text, so x travels as text; nothing has to be an exception.
    assert batch.column("x").to_pylist() == ["not a number"]


def test_abandoned_and_repeated_reads(tmp_path: Path) -> None:
    """An iterator that is closed early frees its statement; the partition may be read again."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (v)",
        ("INSERT INTO t VALUES (?)", [(i,) for i in range(50_000)]),
    )
    source = open_source(url(path), jobs=2)
    with source.snapshot(Selection()) as snapshot:
        table = snapshot.database.tables[0]
        partition = snapshot.partitions(table, 1 << 30)[0]
        first = snapshot.read(table, partition)
        other = snapshot.read(table, partition)
        assert next(iter(first)).num_rows > 0
        first.close()
        assert sum(batch.num_rows for batch in other) == 50_000
        left_open = snapshot.read(table, partition)
        next(left_open)
    source.close()


def test_the_plain_select_runs_where_nothing_is_odd(tmp_path: Path) -> None:
    """Without odd values there are no exceptions fields at all."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x');")
    assert read(path)[1]["t"][0].schema.names == ["a", "b"]
    assert read_rows.__doc__


def test_chinook_equals_the_standard_library(shared_data: Path, tmp_path: Path) -> None:
    """Every row of every table of a real database is what the standard library reads."""
    original = shared_data / "chinook" / "Chinook_Sqlite.sqlite"
    path = Path(shutil.copy(original, tmp_path / "chinook.db"))
    database, batches = read(path, jobs=2, target_bytes=20_000)
    assert len(database.tables) == 11
    for table in database.tables:
        name = table.name.name
        rows = [tuple(row.values()) for batch in batches[name] for row in batch.to_pylist()]
        assert sorted(rows, key=repr) == sorted(query(path, f'SELECT * FROM "{name}"'), key=repr)
