"""Importing some rows and columns of an archive, into every engine, reading no more than that."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dbsync
from dbsync.archive import ChunkRef
from dbsync.errors import ArchiveError, UsageError
from dbsync.pipeline import access
from dbsync.pipeline.events import ChunkDone, Event
from tests.counting import CountingStorage
from tests.integration.command import dbsync as command
from tests.integration.engines import query, tables

ROWS = 4000


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a table in key order, in some twenty chunks of incompressible bytes, and another."""
    folder = tmp_path_factory.mktemp("part")
    with closing(sqlite3.connect(folder / "source.sqlite")) as connection, connection:
        connection.execute(
            "CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, n INTEGER,"
            " data BLOB)"
        )
        connection.execute("CREATE TABLE log (line TEXT, n INTEGER)")
        connection.executemany(
            "INSERT INTO item VALUES (?, ?, ?, ?)",
            ((row, f"name {row}", row % 10, os.urandom(1500)) for row in range(ROWS)),
        )
        connection.executemany(
            "INSERT INTO log VALUES (?, ?)", ((f"line {row}", row % 3) for row in range(ROWS))
        )
    target = folder / "part.dbsync.tar"
    dbsync.export_database(
        f"sqlite:///{folder}/source.sqlite", str(target), chunk_bytes=64 << 10, jobs=1
    )
    return target


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/target.sqlite"
    new = "new_pg_url" if request.param == "postgresql" else "new_maria_url"
    return request.getfixturevalue(new)()


def test_rows_and_columns(archive: Path, url: str) -> None:
    """A condition and a choice of columns land as such, verified by value, on every engine."""
    done = command(
        "import", "--url", url, "--include-schema", "--verify",
        "--columns", "item:id,name", "--where", "item: id BETWEEN 100 AND 299 AND n IN (1, 2)",
        "--where", "log: line LIKE '%7' OR n IS NULL", archive,
    )  # fmt: skip
    assert b"holds exactly what was loaded" in done.out
    found = query(url, "SELECT id, name FROM item ORDER BY id")
    assert found == [(n, f"name {n}") for n in range(100, 300) if n % 10 in (1, 2)]
    assert query(url, "SELECT count(*) FROM log") == [(ROWS // 10,)]


def test_upsert_of_some_columns(archive: Path, url: str) -> None:
    """Rows that exist take the chosen columns alone; others stay as they are."""
    query(url, "CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(40), n INTEGER)")
    query(url, "INSERT INTO item VALUES (1, 'old', 77), (2, 'old', 78)")
    dbsync.import_archive(
        str(archive), url, columns={"item": ["id", "name"]}, where="id IN (2, 3)", tables=["item"]
    )
    assert query(url, "SELECT id, name, n FROM item ORDER BY id") == [
        (1, "old", 77),
        (2, "name 2", 78),
        (3, "name 3", None),
    ]


class Killed(Exception):
    """Stands for the end of the process."""


def stop_after(chunks: int) -> Callable[[Event], None]:
    """End an import when some chunks are committed."""
    done: list[Event] = []

    def watch(event: Event) -> None:
        if isinstance(event, ChunkDone):
            done.append(event)
            if len(done) == chunks:
                raise Killed

    return watch


def test_resume_under_a_filter(archive: Path, url: str) -> None:
    """An import that was stopped goes on under the same filter, also in a table without a key."""
    chosen = {"item": "n < 5 AND id >= 1000", "log": "n = 1"}
    with pytest.raises(Killed):
        dbsync.import_archive(
            str(archive), url, where=chosen, include_schema=True, jobs=1, on_event=stop_after(5)
        )
    result = dbsync.import_archive(str(archive), url, where=chosen, include_schema=True, jobs=1)
    assert result.resumed_chunks >= 5
    expected = sum(1 for n in range(1000, ROWS) if n % 10 < 5)
    assert query(url, "SELECT count(*), min(id) FROM item") == [(expected, 1000)]
    assert query(url, "SELECT count(*), min(n), max(n) FROM log") == [(ROWS // 3, 1, 1)]
    assert tables(url) == ["item", "log"]


def test_another_filter_is_another_import(archive: Path, tmp_path: Path) -> None:
    """What was committed under one filter is not taken for done under another."""
    url = f"sqlite:///{tmp_path}/target.sqlite"
    with pytest.raises(Killed):
        dbsync.import_archive(
            str(archive), url, where={"item": "n = 1"}, tables=["item"], include_schema=True,
            jobs=1, on_event=stop_after(3),
        )  # fmt: skip
    result = dbsync.import_archive(
        str(archive), url, where={"item": "n IN (1, 2)"}, tables=["item"], include_schema=True
    )
    assert result.resumed_chunks == 0
    assert query(url, "SELECT count(*) FROM item") == [(ROWS // 5,)]


def test_from_a_pipe(archive: Path, tmp_path: Path) -> None:
    """A pipe gives the same rows, though all of it has to be read."""
    url = f"sqlite:///{tmp_path}/target.sqlite"
    with archive.open("rb") as stream:
        dbsync.import_archive(
            stream, url, columns={"item": ["id"]}, where={"item": "n = 3"}, tables=["item"],
            include_schema=True,
        )  # fmt: skip
    assert query(url, "SELECT count(*), min(id) FROM item") == [(ROWS // 10, 3)]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"where": "n = 1 OR name = 'x'"}, "log has no column 'name'"),
        ({"where": {"item": "id = 'x'"}}, "table item, column id: 'x' is no integer64"),
        ({"where": {"nothing": "id = 1"}}, "no table matches 'nothing'"),
        ({"columns": {"item": ["id", "colour"]}}, "table item has no column 'colour'"),
        ({"where": {"item": "id = (SELECT 1)"}}, "cannot be read"),
    ],
)
def test_refusals_come_before_anything_is_made(
    archive: Path, tmp_path: Path, chosen: dict[str, object], says: str
) -> None:
    """A choice that does not fit ends with code 2, naming table and column; nothing is made."""
    target = tmp_path / "target.sqlite"
    with pytest.raises(UsageError) as error:
        dbsync.import_archive(
            str(archive),
            f"sqlite:///{target}",
            include_schema=True,
            **chosen,  # type: ignore[arg-type]
        )
    assert says in error.value.message
    assert not target.exists() or tables(f"sqlite:///{target}") == []


def test_chunks_that_cannot_match_are_not_read(
    archive: Path, tmp_path: Path, remote: Callable[[], CountingStorage]
) -> None:
    """A range of keys reads the chunks of that range only."""
    result = dbsync.import_archive(
        str(archive), f"sqlite:///{tmp_path}/t.sqlite", where={"item": "id < 150"},
        tables=["item"], include_schema=True,
    )  # fmt: skip
    assert result.rows == 150
    size = archive.stat().st_size
    assert remote().bytes - (320 << 10) < 0.10 * size


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export one table in a few chunks of several MiB."""
    folder = tmp_path_factory.mktemp("wide")
    with closing(sqlite3.connect(folder / "source.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE w (id INTEGER PRIMARY KEY, n INTEGER, a BLOB, b BLOB)")
        connection.executemany(
            "INSERT INTO w VALUES (?, ?, ?, ?)",
            ((row, row % 3, os.urandom(2500), os.urandom(60)) for row in range(5000)),
        )
    target = folder / "wide.dbsync.tar"
    dbsync.export_database(f"sqlite:///{folder}/source.sqlite", str(target), chunk_bytes=4 << 20)
    return target


def test_bytes_of_other_columns_are_not_read(
    wide: Path, tmp_path: Path, remote: Callable[[], CountingStorage]
) -> None:
    """Choosing columns reads their bytes and those of the condition's, and not the others'."""
    target = f"sqlite:///{tmp_path}/t.sqlite"
    result = dbsync.import_archive(
        str(wide), target, columns={"w": ["id", "b"]}, where={"w": "n = 1"}, include_schema=True
    )
    assert result.rows == 1667
    assert query(target, "SELECT count(*), sum(length(b)) FROM w") == [(1667, 1667 * 60)]
    assert remote().bytes < 0.10 * wide.stat().st_size


def _chunks(path: Path) -> Iterator[ChunkRef]:
    with access.reading(str(path)) as archive:
        yield from archive.chunks()


def test_a_damaged_page_is_found_where_the_digest_is_not_checked(
    wide: Path, tmp_path: Path
) -> None:
    """A flipped bit in a chosen column is found by the page's checksum, before any write; one in
    a column that was not chosen is none of this import's business."""
    data = bytearray(wide.read_bytes())
    start = data.index(b"PAR1")
    chunk = pa.BufferReader(next(_chunks(wide)).load())
    column = pq.ParquetFile(chunk).metadata.row_group(0).column(3)
    damaged = tmp_path / "damaged.dbsync.tar"
    data[start + column.data_page_offset + column.total_compressed_size // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(ArchiveError) as error:
        dbsync.import_archive(
            str(damaged), f"sqlite:///{tmp_path}/t.sqlite", columns={"w": ["id", "b"]},
            include_schema=True,
        )  # fmt: skip
    assert error.value.code == "E_CHECKSUM"
    assert tables(f"sqlite:///{tmp_path}/t.sqlite") == []
    dbsync.import_archive(
        str(damaged), f"sqlite:///{tmp_path}/u.sqlite", columns={"w": ["n"]}, include_schema=True
    )
    assert query(f"sqlite:///{tmp_path}/u.sqlite", "SELECT count(*) FROM w") == [(5000,)]
