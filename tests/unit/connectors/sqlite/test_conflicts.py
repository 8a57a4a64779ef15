"""Rows that meet rows: update, skip, merge, and the keys by which they meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dbsync.connectors.base import Counts
from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Key
from dbsync.model.types import LogicalType, integer
from tests.unit.connectors.sqlite.files import (
    Moved,
    column,
    foreign_database,
    load,
    make,
    query,
    table,
)

TEXT = LogicalType(name="string")
COLUMNS = (column("id", integer(64)), column("a", TEXT), column("b", TEXT))


def bring(
    path: Path, rows: list[tuple[Any, ...]], *chunks: list[tuple[Any, ...]], **more: Any
) -> Moved:
    """Import chunks of (id, a, b) into table t."""
    batches = [
        pa.RecordBatch.from_arrays(
            [
                pa.array([r[0] for r in chunk], pa.int64()),
                pa.array([r[1] for r in chunk], pa.string()),
                pa.array([r[2] for r in chunk], pa.string()),
            ],
            names=["id", "a", "b"],
        )
        for chunk in (rows, *chunks)
    ]
    key = more.pop("primary_key", Key(columns=("id",)))
    database = foreign_database(table("t", *COLUMNS, primary_key=key))
    return load(path, database, {"t": batches}, **{"ddl": "none", **more})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
        "INSERT INTO t VALUES (1, 'old', 'old'), (2, 'old', NULL);",
    )


@pytest.mark.parametrize(
    ("mode", "first", "counts"),
    [
        ("update", (1, None, "x"), Counts(inserted=1, updated=1)),
        ("skip", (1, "old", "old"), Counts(inserted=1, skipped=1)),
        ("merge", (1, "old", "x"), Counts(inserted=1, updated=1)),
    ],
)
def test_modes(target: Path, mode: str, first: tuple[Any, ...], counts: Counts) -> None:
    """Update replaces, skip keeps, merge lets only values win; each counts what it did."""
    moved = bring(target, [(1, None, "x"), (3, "new", "y")], on_conflict=mode)
    assert query(target, "SELECT * FROM t ORDER BY id") == [
        first, (2, "old", None), (3, "new", "y"),
    ]  # fmt: skip
    assert moved.counts["t"] == [counts]
    assert moved.plan.tables[0].key == ("id",)
    assert moved.plan.tables[0].mode == mode


def test_twice_is_once(target: Path) -> None:
    """The same import again changes nothing but its counts."""
    rows = [(i, "a", "b") for i in range(10)]
    bring(target, rows)
    again = bring(target, rows)
    assert query(target, "SELECT count(*) FROM t") == [(10,)]
    assert again.counts["t"] == [Counts(updated=10)]


def test_error_mode_changes_nothing(target: Path) -> None:
    """Without an upsert a key that is there is an error, and the chunk is undone."""
    with pytest.raises(TargetError, match="UNIQUE constraint failed"):
        bring(target, [(9, "n", "n"), (1, "x", "x")], on_conflict="error")
    assert query(target, "SELECT count(*) FROM t") == [(2,)]


def test_a_key_repeated_in_the_archive(target: Path) -> None:
    """The last row of a key wins, within a chunk and across chunks, and the others are counted."""
    moved = bring(
        target,
        [(5, "first", "1"), (5, "second", "2"), (6, "x", "x"), (5, "third", None)],
        [(5, "last", "4")],
        primary_key=None,
    )
    assert moved.plan.tables[0].ordered
    assert moved.counts["t"] == [Counts(inserted=2, superseded=2), Counts(updated=1)]
    assert query(target, "SELECT a, b FROM t WHERE id = 5") == [("last", "4")]


def test_a_null_in_the_key(tmp_path: Path) -> None:
    """A row whose key is NULL would be added by every import: it is refused with a count."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (id INT PRIMARY KEY, a, b)")
    make(path, "INSERT INTO t VALUES (1, 'x', 'x')")
    with pytest.raises(LossError, match="table t, column id: 2 rows have NULL"):
        bring(path, [(1, "y", "y"), (None, "n", "n"), (None, "n", "n")])
    assert query(path, "SELECT * FROM t") == [(1, "x", "x")]


def test_another_unique_constraint(tmp_path: Path) -> None:
    """A clash with another constraint than the key is an error; chunks before it stay."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b);"
        "INSERT INTO t VALUES (1, 'taken', 'x');",
    )
    with pytest.raises(TargetError, match=r"UNIQUE constraint failed: t\.a"):
        bring(path, [(2, "free", "x")], [(3, "other", "x"), (4, "taken", "x")])
    assert query(path, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_a_table_of_keys_only(tmp_path: Path) -> None:
    """Where there is nothing but the key, rows that are there are left alone."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INT, a TEXT, b TEXT, PRIMARY KEY (id, a, b)) WITHOUT ROWID;"
        "INSERT INTO t VALUES (1, 'a', 'b');",
    )
    moved = bring(path, [(1, "a", "b"), (2, "a", "b")], primary_key=Key(columns=("id", "a", "b")))
    assert moved.counts["t"] == [Counts(inserted=1, skipped=1)]
    assert query(path, "SELECT count(*) FROM t") == [(2,)]


def test_no_usable_key(tmp_path: Path) -> None:
    """Without a key the upsert is refused before any write, naming the choices."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (id INT, a TEXT, b TEXT)")
    make(path, "INSERT INTO t VALUES (1, 'a', 'b')")
    with pytest.raises(LossError, match="table t holds rows and has no primary key") as caught:
        bring(path, [(1, "x", "x")])
    assert "--on-conflict error" in (caught.value.hint or "")
    assert "--existing overwrite" in (caught.value.hint or "")


def test_a_named_unique_key(tmp_path: Path) -> None:
    """A not-null unique key may be named instead; under its collation rows meet as it says."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INT, a TEXT NOT NULL COLLATE NOCASE, b TEXT UNIQUE);"
        "CREATE UNIQUE INDEX ua ON t (a);"
        "INSERT INTO t VALUES (1, 'Key', 'old');",
    )
    moved = bring(
        path,
        [(5, "KEY", "x"), (6, "key", "y"), (7, "other", "z")],
        primary_key=None,
        conflict_keys={"t": ("a",)},
    )
    assert moved.counts["t"] == [Counts(inserted=1, updated=1, superseded=1)]
    assert query(path, "SELECT id, a, b FROM t ORDER BY id") == [(6, "Key", "y"), (7, "other", "z")]
    for key, reason in ((("b",), "lets b be NULL"), (("id",), "no unique key over id")):
        with pytest.raises(LossError, match=reason):
            bring(path, [(1, "x", "x")], conflict_keys={"t": key})


def test_column_names_that_hide_the_rowid(tmp_path: Path) -> None:
    """Staging works for tables whose columns are called like SQLite's own rowid."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (rowid TEXT PRIMARY KEY, oid TEXT); INSERT INTO t VALUES ('a', 'old');",
    )
    database = foreign_database(table("t", column("rowid", TEXT), column("oid", TEXT)))
    batch = pa.RecordBatch.from_pydict({"rowid": ["b", "a", "b"], "oid": ["1", "2", "3"]})
    moved = load(path, database, {"t": [batch]}, ddl="none")
    assert moved.counts["t"] == [Counts(inserted=1, updated=1, superseded=1)]
    assert query(path, "SELECT * FROM t ORDER BY 1") == [("a", "2"), ("b", "3")]


def test_generated_columns_are_not_written(tmp_path: Path) -> None:
    """What the target computes itself is left out of the insert and of the update."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT AS (a || '!') STORED);"
        "INSERT INTO t (id, a) VALUES (1, 'old');",
    )
    bring(path, [(1, "new", "ignored"), (2, "n", "ignored")])
    assert query(path, "SELECT * FROM t") == [(1, "new", "new!"), (2, "n", "n!")]
