"""What is read of an archive over a network: the tail and what is needed, and nothing twice."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import dbsync
from dbsync.errors import StorageError
from dbsync.pipeline import ahead, examine
from dbsync.storage.options import StorageOptions
from tests.counting import CountingStorage
from tests.servers.s3 import ENVIRONMENT, S3Server
from tests.unit.archive import build

TABLES = 20
ROWS = 1500
CHUNK_BYTES = 256 << 10


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export twenty tables of the same size, of bytes that no compression makes smaller."""
    folder = tmp_path_factory.mktemp("twenty")
    with closing(sqlite3.connect(folder / "source.sqlite")) as connection, connection:
        for number in range(TABLES):
            connection.execute(
                f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, small INTEGER NOT NULL,"
                " note TEXT NOT NULL, large BLOB NOT NULL)"
            )
            connection.executemany(
                f"INSERT INTO t{number} VALUES (?, ?, ?, ?)",
                ((row, row % 7, f"note {row}", os.urandom(1000)) for row in range(ROWS)),
            )
    target = folder / "twenty.dbsync.tar"
    dbsync.export_database(
        f"sqlite:///{folder}/source.sqlite", str(target), chunk_bytes=CHUNK_BYTES
    )
    return target


def rows_of(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Query an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("held", [examine.HELD_BYTES, 0], ids=["small", "large"])
def test_one_table_of_twenty(
    archive: Path,
    tmp_path: Path,
    remote: Callable[[], CountingStorage],
    monkeypatch: pytest.MonkeyPatch,
    held: int,
) -> None:
    """Restoring a table with 5 % of the bytes reads under 10 % of them, each chunk once."""
    monkeypatch.setattr(examine, "HELD_BYTES", held)
    target = tmp_path / "target.sqlite"
    result = dbsync.import_archive(
        str(archive), f"sqlite:///{target}", tables=["t7"], include_schema=True
    )
    assert result.rows == ROWS
    assert rows_of(target, "SELECT count(*), sum(length(large)) FROM t7") == [(ROWS, ROWS * 1000)]
    size = archive.stat().st_size
    assert 0.05 * size < remote().bytes < 0.10 * size
    assert len(remote().reads) == len(set(remote().reads)) <= 6


def test_one_table_of_twenty_from_s3(
    archive: Path,
    tmp_path: Path,
    remote: Callable[[], CountingStorage],
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same holds for a bucket, where a rehearsal then leaves its note beside the archive."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    options = StorageOptions(s3_endpoint=s3_server.url)
    bucket = s3_server.bucket()
    s3_server.client().upload_file(str(archive), bucket, "nightly/a.dbsync.tar")
    place = f"s3://{bucket}/nightly/a.dbsync.tar"
    result = dbsync.import_archive(
        place,
        f"sqlite:///{tmp_path}/t.sqlite",
        tables=["t7"],
        include_schema=True,
        storage_options=options,
    )
    assert result.rows == ROWS
    size = archive.stat().st_size
    assert 0.05 * size < remote().bytes < 0.10 * size
    assert dbsync.inspect(place, storage_options=options).rows == TABLES * ROWS
    assert remote().bytes < 2 << 20
    rehearsed = dbsync.rehearse(place, storage_options=options)
    assert rehearsed.ok
    found = s3_server.client().list_objects_v2(Bucket=bucket)["Contents"]
    assert [item["Key"] for item in found] == [
        "nightly/a.dbsync.tar",
        "nightly/a.dbsync.tar.rehearsed.json",
    ]


def test_inspect_reads_the_ends_only(archive: Path, remote: Callable[[], CountingStorage]) -> None:
    """Inspecting reads head, schemas and tail in two requests."""
    info = dbsync.inspect(str(archive))
    assert [table.rows for table in info.tables] == [ROWS] * TABLES
    assert remote().bytes <= 320 << 10
    assert len(remote().reads) == 2


def test_inspect_of_thousands_of_chunks(
    tmp_path: Path, remote: Callable[[], CountingStorage]
) -> None:
    """Inspecting an archive of thousands of chunks reads less than 2 MiB, in three requests."""
    chunks = ((0, [build.batch(build.NOTES, [f"note {number}"])]) for number in range(6_000))
    target = tmp_path / "many.dbsync.tar"
    target.write_bytes(build.write(build.database(build.NOTES), *chunks))
    info = dbsync.inspect(str(target))
    assert info.tables[0].chunks == 6_000
    assert remote().bytes <= 2 << 20
    assert len(remote().reads) == 3


def test_whole_import_in_few_requests(
    archive: Path, tmp_path: Path, remote: Callable[[], CountingStorage]
) -> None:
    """Small neighbouring chunks share requests: importing everything needs few, and reads once."""
    result = dbsync.import_archive(
        str(archive), f"sqlite:///{tmp_path}/all.sqlite", include_schema=True
    )
    chunks = sum(table.chunks for table in result.tables)
    size = archive.stat().st_size
    assert chunks > 100
    assert remote().bytes < 1.02 * size + (320 << 10)
    assert len(remote().reads) <= 3 + 2 * size / ahead.TOGETHER_BYTES


def test_a_failing_read_leaves_nothing_half_visible(
    archive: Path,
    tmp_path: Path,
    remote: Callable[[], CountingStorage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A chunk that cannot be fetched ends a small import with exit code 5 before any write, and a
    large one after whole chunks only, from which the next run goes on."""
    end = archive.stat().st_size
    original = CountingStorage.open
    failing = True

    def broken(self: CountingStorage, key: str, **range_: int) -> object:
        if failing and end * 0.3 < range_["offset"] < end * 0.8:
            raise StorageError("the store has gone away")
        return original(self, key, **range_)

    monkeypatch.setattr(CountingStorage, "open", broken)
    target = tmp_path / "target.sqlite"
    with pytest.raises(StorageError) as small:
        dbsync.import_archive(str(archive), f"sqlite:///{target}", include_schema=True)
    assert small.value.exit_code == 5
    assert rows_of(target, "SELECT count(*) FROM sqlite_master") == [(0,)]

    monkeypatch.setattr(examine, "HELD_BYTES", 0)
    with pytest.raises(StorageError) as large:
        dbsync.import_archive(str(archive), f"sqlite:///{target}", include_schema=True)
    assert large.value.exit_code == 5
    failing = False
    result = dbsync.import_archive(str(archive), f"sqlite:///{target}", include_schema=True)
    assert result.resumed_chunks > 0
    assert all(
        rows_of(target, f"SELECT count(*) FROM t{number}") == [(ROWS,)] for number in range(TABLES)
    )
    assert remote().bytes < archive.stat().st_size
