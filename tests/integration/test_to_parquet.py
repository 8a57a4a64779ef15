"""One table as plain Parquet files, from every engine, read by DuckDB and pyarrow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dbsync
from dbsync.errors import ConflictError, SourceError, UsageError
from dbsync.pipeline.events import ChunkDone, Event, Finished, Planned, TableDone
from tests.integration.command import dbsync as command
from tests.integration.engines import query

ROWS = 2500
_DDL = (
    "CREATE TABLE {} (id INTEGER PRIMARY KEY, name VARCHAR(40), amount DECIMAL(12, 2),"
    " born DATE, at TIMESTAMP, ratio DOUBLE PRECISION)"
)
_COLUMNS = ["id", "name", "amount", "born", "at", "ratio"]
_TYPES = ["INTEGER", "VARCHAR", "DECIMAL(12,2)", "DATE", "TIMESTAMP", "DOUBLE"]


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each engine with one full table and one of the same columns that is empty."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/shop.sqlite"
    else:
        new = "new_pg_url" if request.param == "postgresql" else "new_maria_url"
        made = request.getfixturevalue(new)()
    ddl = _DDL.replace("TIMESTAMP", "DATETIME(6)") if request.param == "mysql" else _DDL
    query(made, ddl.format("items"))
    query(made, ddl.format("none_yet"))
    rows = ", ".join(
        f"({n}, 'näme {n}', {n}.25, '2026-01-{n % 28 + 1:02d}', '2026-01-01 00:00:{n % 60:02d}',"
        f" {n}.5)"
        if n % 7
        else f"({n}, NULL, NULL, NULL, NULL, NULL)"
        for n in range(ROWS)
    )
    query(made, f"INSERT INTO items VALUES {rows}")
    return made


def _wanted() -> list[tuple[Any, ...]]:
    return [
        (
            n,
            f"näme {n}",
            Decimal(f"{n}.25"),
            date(2026, 1, n % 28 + 1),
            datetime(2026, 1, 1, 0, 0, n % 60),
            n + 0.5,
        )
        if n % 7
        else (n, *(None,) * 5)
        for n in range(ROWS)
    ]


def _read(folder: str | Path) -> list[tuple[Any, ...]]:
    return duckdb.sql(f"SELECT * FROM '{folder}/*.parquet' ORDER BY id").fetchall()


def test_values_and_types(url: str, tmp_path: Path) -> None:
    """DuckDB and pyarrow read what the database holds, with the types of its definition."""
    result = dbsync.table_to_parquet(url, "items", str(tmp_path / "out"))
    assert result.rows == ROWS
    folder = tmp_path / "out" / "items"
    assert result.directory == str(folder)
    assert sum(file.rows for file in result.files) == ROWS
    assert {file.path for file in result.files} == {str(path) for path in folder.iterdir()}
    if url.startswith("sqlite"):
        # A declared type does not bind values there: what is odd stands in fields of its own.
        names = [row[0] for row in duckdb.sql(f"DESCRIBE FROM '{folder}/*.parquet'").fetchall()]
        assert names[:6] == _COLUMNS
        found = duckdb.sql(f"SELECT id, name FROM '{folder}/*.parquet' ORDER BY id").fetchall()
        assert found == [row[:2] for row in _wanted()]
        return
    described = duckdb.sql(f"DESCRIBE FROM '{folder}/*.parquet'").fetchall()
    assert [row[0] for row in described] == _COLUMNS
    assert [row[1] for row in described] == _TYPES
    assert _read(folder) == _wanted()
    table = pq.read_table(folder)
    assert table.num_rows == ROWS
    assert table.schema.field("amount").type == pa.decimal128(12, 2)


def test_an_empty_table(url: str, tmp_path: Path) -> None:
    """It gives one file without rows, typed as the file of a full table with these columns."""
    result = dbsync.table_to_parquet(url, "none_yet", str(tmp_path / "out"))
    (file,) = result.files
    assert (file.rows, result.rows) == (0, 0)
    full = dbsync.table_to_parquet(url, "items", str(tmp_path / "out"))
    empty = pq.read_schema(file.path)
    assert empty.equals(pq.read_schema(full.files[0].path).remove_metadata())
    assert duckdb.sql(f"SELECT count(*) FROM '{file.path}'").fetchall() == [(0,)]


def test_rows_and_columns(url: str, tmp_path: Path) -> None:
    """Only the rows of the condition and the columns named; a wrong table or column is an error."""
    out = str(tmp_path / "out")
    result = dbsync.table_to_parquet(
        url, "items", out, columns=["name", "id"], where="id BETWEEN 10 AND 12"
    )
    found = duckdb.sql(f"SELECT id, name FROM '{result.directory}/*.parquet' ORDER BY 1").fetchall()
    assert found == [row[:2] for row in _wanted()[10:13]]
    assert pq.read_schema(result.files[0].path).names == ["id", "name"]
    with pytest.raises((SourceError, UsageError), match="nothing_there"):
        dbsync.table_to_parquet(url, "nothing_there", out)
    with pytest.raises((SourceError, UsageError), match="nowhere"):
        dbsync.table_to_parquet(url, "none_yet", out, columns=["nowhere"])
    assert sorted(path.name for path in Path(out).iterdir()) == [Path(result.directory).name]


def test_several_files_and_events(url: str, tmp_path: Path) -> None:
    """Large tables become several files of about one size, read by several workers."""
    events: list[Event] = []
    result = dbsync.table_to_parquet(
        url, "items", str(tmp_path), chunk_bytes=4 << 10, jobs=3, on_event=events.append
    )
    assert len(result.files) > 3
    assert [Path(file.path).name for file in result.files] == [
        f"{number:08d}.parquet" for number in range(1, len(result.files) + 1)
    ]
    ids = duckdb.sql(f"SELECT id FROM '{result.directory}/*.parquet' ORDER BY id").fetchall()
    assert ids == [(n,) for n in range(ROWS)]
    assert isinstance(events[0], Planned)
    assert sum(event.rows for event in events if isinstance(event, ChunkDone)) == ROWS
    assert [type(event) for event in events[-2:]] == [TableDone, Finished]


def test_existing_files(url: str, tmp_path: Path) -> None:
    """A set that exists is refused, or replaced whole: no file of the old one stays."""
    out = str(tmp_path / "out")
    first = dbsync.table_to_parquet(url, "items", out, chunk_bytes=4 << 10)
    with pytest.raises(ConflictError, match="holds files already"):
        dbsync.table_to_parquet(url, "items", out)
    second = dbsync.table_to_parquet(url, "items", out, where="id < 5", overwrite=True)
    assert len(first.files) > len(second.files) == 1
    assert [path.name for path in Path(second.directory).iterdir()] == ["00000001.parquet"]
    left = duckdb.sql(f"SELECT count(*) FROM '{second.directory}/*.parquet'").fetchall()
    assert left == [(5,)]


def test_one_schema_for_all_files(tmp_path: Path) -> None:
    """An exceptions field that one file needs is in all of them, so that they read as one table."""
    with closing(sqlite3.connect(tmp_path / "odd.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, n) for n in range(ROWS)))
        connection.execute("UPDATE t SET n = 'odd' WHERE id = 7")
    result = dbsync.table_to_parquet(
        f"sqlite:///{tmp_path}/odd.sqlite", "t", str(tmp_path / "out"), chunk_bytes=4 << 10
    )
    schemas = {tuple(pq.read_schema(file.path).names) for file in result.files}
    assert len(result.files) > 3
    assert len(schemas) == 1
    (names,) = schemas
    assert len(names) == 3
    odd = duckdb.sql(
        f"SELECT id FROM '{result.directory}/*.parquet' WHERE \"{names[2]}\" IS NOT NULL"
    ).fetchall()
    assert odd == [(7,)]
    assert (
        result.rows
        == duckdb.sql(f"FROM '{result.directory}/*.parquet'").count("*").fetchall()[0][0]
    )


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """A run that fails half-way leaves no file, and the set of an earlier run as it was."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((n, n) for n in range(ROWS)))
    url, out = f"sqlite:///{tmp_path}/shop.sqlite", tmp_path / "out"
    result = dbsync.table_to_parquet(url, "t", str(out))
    before = Path(result.files[0].path).read_bytes()

    def fail(event: Event) -> None:
        if isinstance(event, ChunkDone) and event.chunk == 2:
            raise KeyboardInterrupt

    for folder in (out, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            dbsync.table_to_parquet(
                url, "t", str(folder), overwrite=True, chunk_bytes=4 << 10, on_event=fail
            )
    assert [path.name for path in out.iterdir()] == ["t"]
    assert [path.read_bytes() for path in (out / "t").iterdir()] == [before]
    assert list((tmp_path / "new").iterdir()) == []


def test_the_command(tmp_path: Path) -> None:
    """The command line prints the files, refuses a second time with 8, and speaks JSON."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.execute("INSERT INTO orders VALUES (1, 2), (2, 3)")
    url = f"sqlite:///{tmp_path}/shop.sqlite"
    done = command("to-parquet", url, "orders", tmp_path / "out", "--where", "id > 1")
    assert b"wrote 1 row of orders" in done.out
    again = command("to-parquet", url, "orders", tmp_path / "out", code=8)
    assert "--overwrite" in again.err
    result = command(
        *("to-parquet", url, "orders", tmp_path / "out", "--overwrite", "--columns", "n", "--json")
    ).json()
    assert result["rows"] == 2
    assert result["columns"] == [["n", "integer64", "INTEGER"]]
