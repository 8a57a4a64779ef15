"""One moment for all tables and all workers, while others write."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dbsync.connectors.base import Partition
from dbsync.connectors.sqlite import open_source, open_target
from dbsync.errors import ConflictError, SourceError, UsageError
from dbsync.model.schema import Name
from dbsync.model.selection import Selection
from tests.unit.connectors.sqlite.files import listing, make, query, read, url, values

WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE a SET v = v - 1 WHERE id = ?", (number % 1000,))
    connection.execute("UPDATE b SET v = v + 1 WHERE id = ?", (number % 1000,))
    connection.execute("COMMIT")
"""


def run(script: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_sums_are_exact_while_others_write(tmp_path: Path, mode: str, jobs: int) -> None:
    """Transfers between two tables never show in between, read side by side by several workers."""
    rows = [(i, 100) for i in range(1000)]
    path = make(
        tmp_path / "a.db",
        f"PRAGMA journal_mode = {mode}; CREATE TABLE a (id INTEGER PRIMARY KEY, v INT);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, v INT);",
        ("INSERT INTO a VALUES (?, ?)", rows),
        ("INSERT INTO b VALUES (?, ?)", rows),
    )
    writer = run(WRITER, str(path), "1000000")
    source = open_source(url(path), jobs=jobs)
    try:
        for _ in range(5):
            with source.snapshot(Selection()) as snapshot:
                assert snapshot.consistency.level == "snapshot"
                sums: list[int] = []

                def add(
                    number: int, partition: Partition, sums: list[int] = sums, held=snapshot
                ) -> None:
                    batches = list(held.read(held.database.tables[number], partition))
                    sums.append(sum(values(batches, "v")))

                threads = [
                    threading.Thread(target=add, args=(number, partition))
                    for number, table in enumerate(snapshot.database.tables)
                    for partition in snapshot.partitions(table, 4000)
                ]
                assert len(threads) > 4
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert len(sums) == len(threads)
            assert sum(sums) == 200_000
    finally:
        source.close()
        writer.kill()
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_locked_database_is_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process keeps locked ends in a conflict that says so, not in a hang."""
    monkeypatch.setattr("dbsync.connectors.sqlite.connection.BUSY_TIMEOUT_MS", 50)
    path = make(tmp_path / "a.db", "CREATE TABLE t (v)")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(ConflictError, match="locked") as caught:
            open_source(url(path))
        assert caught.value.hint
        holder.communicate()


CRASH = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("UPDATE t SET v = 'unfinished' || hex(zeroblob(2000))")
print("ready", flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_hot_journal_is_rolled_back(tmp_path: Path) -> None:
    """What a crashed writer left half done is undone first, as any reader of SQLite does."""
    path = make(
        tmp_path / "a.db", "CREATE TABLE t (v)", ("INSERT INTO t VALUES (?)", [("done",)] * 2000)
    )
    writer = run(CRASH, str(path))
    writer.wait()
    assert writer.stdout is not None
    writer.stdout.close()
    assert (tmp_path / "a.db-journal").exists()
    assert set(values(read(path)[1]["t"], "v")) == {"done"}


@pytest.mark.parametrize(
    ("text", "error"),
    [("/missing.db", SourceError), (":memory:", UsageError), ("", UsageError), (".", SourceError)],
)
def test_what_cannot_be_opened(tmp_path: Path, text: str, error: type[Exception]) -> None:
    """A missing file, a folder and a memory database are refused, and nothing is created."""
    place = f"sqlite:///{tmp_path}{text}" if text.startswith("/") else f"sqlite:///{text}"
    with pytest.raises(error):
        open_source(place)
    assert listing(tmp_path) == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Any other file is refused with what SQLite says about it."""
    path = tmp_path / "a.db"
    path.write_text("This is a letter, and it is long enough to be looked at.\n" * 30)
    with pytest.raises(SourceError, match="not a database"):
        open_source(url(path))


def test_special_characters_in_the_path(tmp_path: Path) -> None:
    """A path may hold what means something in a URI."""
    folder = tmp_path / "a b#c%d&e"
    folder.mkdir()
    path = make(folder / "f%20g.db", "CREATE TABLE t (v); INSERT INTO t VALUES (7);")
    assert values(read(path)[1]["t"], "v") == [7]
    assert listing(folder) == ["f%20g.db"]


def test_the_source_writes_nothing(tmp_path: Path) -> None:
    """Exporting leaves the file and its folder byte for byte as they were."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (v); INSERT INTO t VALUES (7);")
    before = path.read_bytes()
    read(path, jobs=4)
    assert path.read_bytes() == before
    assert listing(tmp_path) == ["a.db"]


@pytest.mark.parametrize(
    "ids",
    [
        list(range(1, 5001)),
        [*range(1, 2500), 2**62, 2**63 - 1],
        [-(2**63), *range(-100, 4000, 3), 2**63 - 1],
        [i * 10_000_019 for i in range(5000)],
        [*range(1, 2000), *range(10**12, 10**12 + 2000), *range(-(10**15), 2000 - 10**15)],
    ],
)
def test_partitions_hold_every_row_once(tmp_path: Path, ids: list[int]) -> None:
    """Ranges of rowids are disjoint, complete and of like size, however sparse the rowids are."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        ("INSERT INTO t VALUES (?, 'some text of a row')", ((i,) for i in ids)),
    )
    source = open_source(url(path), jobs=1)
    with source.snapshot(Selection()) as snapshot:
        table = snapshot.database.tables[0]
        assert table.rows_estimate is not None
        assert len(ids) / 2 <= table.rows_estimate <= len(ids) * 2
        partitions = snapshot.partitions(table, (table.bytes_estimate or 0) // 4)
        parts = [values(list(snapshot.read(table, p)), "id") for p in partitions]
    source.close()
    assert sorted(i for part in parts for i in part) == sorted(ids)
    assert 3 <= len(partitions) <= 6
    assert max(map(len, parts)) < len(ids) * 0.6


def test_tables_that_cannot_be_split(tmp_path: Path) -> None:
    """A table WITHOUT ROWID, and one whose columns hide the rowid, are read in one piece."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE w (k TEXT PRIMARY KEY) WITHOUT ROWID;"
        "CREATE TABLE h (rowid TEXT, _rowid_ TEXT, oid TEXT);",
        ("INSERT INTO w VALUES (?)", [(str(i),) for i in range(3000)]),
        ("INSERT INTO h VALUES (?, ?, ?)", [("a", "b", "c")] * 3000),
    )
    database, batches = read(path, target_bytes=1000)
    assert len(values(batches["w"], "k")) == 3000
    assert values(batches["h"], "rowid") == ["a"] * 3000
    assert {t.name for t in database.tables} == {Name(None, "w"), Name(None, "h")}


def test_conditions(tmp_path: Path) -> None:
    """A condition filters every partition, and may end in a comment or hold an OR."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)",
        ("INSERT INTO t VALUES (?, ?)", [(i, i % 10) for i in range(5000)]),
    )
    _, batches = read(path, target_bytes=5000, where={"t": "v = 1 OR v = 2 -- few"})
    assert len(values(batches["t"], "id")) == len(set(values(batches["t"], "id"))) == 1000


@pytest.mark.parametrize("condition", ["nosuch > 1", '"nosuch" = 1', "v >", "1) OR (nosuch = 1"])
def test_conditions_that_do_not_fit(tmp_path: Path, condition: str) -> None:
    """An unknown column is an error that names table and column, also in double quotes."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (v)")
    with pytest.raises(SourceError, match="table t") as caught:
        read(path, where={"*": condition})
    assert "nosuch" in caught.value.message or condition == "v >"


def test_quoted_columns_in_conditions(tmp_path: Path) -> None:
    """A column in double quotes is still a column."""
    path = make(tmp_path / "a.db", 'CREATE TABLE t ("a`b" INT); INSERT INTO t VALUES (1), (2);')
    _, batches = read(path, where={"t": '"a`b" = 2'})
    assert values(batches["t"], "a`b") == [2]


def test_chosen_columns(tmp_path: Path) -> None:
    """Only the chosen columns are read; one that is not there is an error with those that are."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (a, b, c); INSERT INTO t VALUES (1, 2, 3);")
    database, batches = read(path, columns={"t": ("c", "a")})
    assert [c.name for c in database.tables[0].columns] == ["a", "c"]
    assert not database.tables[0].all_columns
    assert batches["t"][0].to_pylist() == [{"a": 1, "c": 3}]
    with pytest.raises(SourceError, match="table t has no column d") as caught:
        read(path, columns={"t": ("d",)})
    assert "a, b, c" in (caught.value.hint or "")


def test_patterns_that_match_nothing(tmp_path: Path) -> None:
    """A pattern without a table is an error that names it and the tables there are."""
    path = make(tmp_path / "a.db", "CREATE TABLE t (v)")
    with pytest.raises(SourceError, match="nosuch") as caught:
        read(path, tables=("nosuch",))
    assert "t" in (caught.value.hint or "")


def test_check_tells_the_journal_mode(tmp_path: Path) -> None:
    """The check says which consistency is possible and that the file is sound."""
    path = make(tmp_path / "a.db", "PRAGMA journal_mode = wal; CREATE TABLE t (v)")
    items = {item.item: item for item in open_source(url(path)).check()}
    assert items["integrity"].ok
    assert "wal" in items["consistency"].found
    assert query(path, "SELECT count(*) FROM t") == [(0,)]


def test_immutable(tmp_path: Path) -> None:
    """A database on a medium that never changes is read without locks, and cannot be a target."""
    path = make(tmp_path / "a.db", "PRAGMA journal_mode = wal; CREATE TABLE t (v)")
    source = open_source(f"{url(path)}?immutable=1", jobs=2)
    with source.snapshot(Selection()) as snapshot:
        assert [table.name.name for table in snapshot.database.tables] == ["t"]
    assert listing(tmp_path) == ["a.db"]
    with pytest.raises(UsageError, match="immutable"):
        open_target(f"{url(path)}?immutable=1")
