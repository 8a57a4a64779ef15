"""Values that MySQL would change in silence: refused, by LOAD DATA and by INSERT alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.maria_rows import maria_query
from tests.integration.rows import sqlite_script
from tests.servers import MariaServer

ROWS = 3000
BAD = 2999
CHUNK = "4KiB"
CASES = [
    ("integer", "300", "tinyint"),
    ("integer", "-1", "tinyint unsigned"),
    ("integer", "2", "bit(1)"),
    ("integer", "2147483648", "int"),
    ("integer", "1800", "year"),
    ("integer", "'abc'", "int"),
    ("integer", "1.5", "int"),
    ("text", "'abcdef'", "varchar(3)"),
    ("text", "'abc '", "varchar(3)"),
    ("text", "'abc '", "char(5)"),
    ("text", "'☃'", "varchar(9) CHARACTER SET latin1"),
    ("text", "'😀'", "varchar(9) CHARACTER SET utf8mb3"),
    ("text", "'zzz'", "enum('a', 'b')"),
    ("text", "'a,c'", "set('a', 'b')"),
    ("text", "'{'", "json"),
    ("text", "'abc'", "uuid"),
    ("blob", "x'00112233'", "varbinary(3)"),
    ("blob", "x'00'", "binary(2)"),
    ("decimal(10,3)", "1.005", "decimal(5,2)"),
    ("decimal(10,2)", "12345.5", "decimal(5,2)"),
    ("real", "1e39", "float"),
    ("real", "0.1", "float"),
    ("date", "'2020-02-31'", "date"),
    ("timestamp", "'2020-01-01 00:00:00.5'", "datetime"),
    ("timestamp", "'2039-01-01 00:00:00'", "timestamp"),
    ("time", "'24:00:01'", "time"),
]


@pytest.fixture(params=["LOAD DATA", "INSERT"])
def url(
    request: pytest.FixtureRequest, maria: MariaServer, maria_without_load_data: MariaServer
) -> Iterator[str]:
    """An empty database on a server where rows go this way."""
    server = maria if request.param == "LOAD DATA" else maria_without_load_data
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[str, str], Path]:
    """A function that makes an archive of SQLite rows, of which one late one is bad."""

    def make(declared: str, bad: str) -> Path:
        source, archive = tmp_path / "source.sqlite", tmp_path / "a.dbsync.tar"
        sqlite_script(
            source,
            f"CREATE TABLE t (id integer PRIMARY KEY, v {declared}, filler text);"
            f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {ROWS})"
            f"INSERT INTO t SELECT n, CASE n WHEN {BAD} THEN {bad} END, 'x' FROM i;",
        )
        dbsync("export", "--url", f"sqlite:///{source}", "--chunk-bytes", CHUNK, archive)
        return archive

    return make


@pytest.mark.parametrize(("declared", "bad", "column"), CASES)
def test_refused(
    url: str, archive: Callable[[str, str], Path], declared: str, bad: str, column: str
) -> None:
    """Exit code 7 or the server's own error; of the chunk with that value nothing is written."""
    maria_query(url, f"CREATE TABLE t (id int PRIMARY KEY, v {column} NULL, filler varchar(5))")
    file = archive(declared, bad)
    for arguments, stdin in ((["import", "--url", url, file], None), (
        ["import", "--url", url, "-"], file.read_bytes(),
    )):  # fmt: skip
        done = dbsync(*arguments, stdin=stdin, code=7)
        assert "Traceback" not in done.err
        assert "next:" in done.err
        for word in ("t", "v"):
            assert f" {word}" in done.err or f'"{word}"' in done.err or f"`{word}`" in done.err
        ((rows, highest),) = maria_query(url, "SELECT count(*), coalesce(max(id), 0) FROM t")
        assert rows == highest  # whole chunks only, from the first on
        assert highest < BAD - 1
        assert maria_query(url, "SELECT 1 FROM t WHERE v IS NOT NULL") == []


def test_a_clashing_unique_key_is_refused(url: str, archive: Callable[[str, str], Path]) -> None:
    """A row that clashes with another unique key ends the import; it updates no other row."""
    maria_query(
        url,
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(9) UNIQUE, filler varchar(5));"
        "INSERT INTO t VALUES (5000, 'taken', 'mine')",
    )
    done = dbsync("import", "--url", url, archive("text", "'taken'"), code=4)
    assert "Traceback" not in done.err
    assert maria_query(url, "SELECT * FROM t WHERE v IS NOT NULL") == [(5000, "taken", "mine")]


def test_keys_that_only_the_collation_equates(
    url: str, archive: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Keys that differ in bytes but are equal to the target's collation are refused, not merged."""
    source, file = tmp_path / "keys.sqlite", tmp_path / "keys.dbsync.tar"
    sqlite_script(
        source,
        "CREATE TABLE k (name text PRIMARY KEY, v int);"
        "INSERT INTO k VALUES ('abc', 1), ('ABC', 2), ('other', 3);",
    )
    dbsync("export", "--url", f"sqlite:///{source}", file)
    maria_query(url, "CREATE TABLE k (name varchar(20) CHARACTER SET utf8mb4 PRIMARY KEY, v int)")
    done = dbsync("import", "--url", url, file, code=None)
    assert done.code in (4, 7)
    assert "k" in done.err
    assert maria_query(url, "SELECT * FROM k") == []
    maria_query(url, "INSERT INTO k VALUES ('Abc', 9)")
    done = dbsync("import", "--url", url, file, code=None)
    assert done.code in (4, 7)
    assert maria_query(url, "SELECT * FROM k") == [("Abc", 9)]


def test_a_zero_stays_a_zero(url: str, tmp_path: Path) -> None:
    """0 in an AUTO_INCREMENT column is a value, whatever the server's mode."""
    source, file = tmp_path / "zero.sqlite", tmp_path / "zero.dbsync.tar"
    sqlite_script(source, "CREATE TABLE z (id integer PRIMARY KEY); INSERT INTO z VALUES (0), (7);")
    dbsync("export", "--url", f"sqlite:///{source}", file)
    maria_query(url, "CREATE TABLE z (id int NOT NULL AUTO_INCREMENT PRIMARY KEY)")
    dbsync("import", "--url", url, file)
    assert maria_query(url, "SELECT id FROM z ORDER BY id") == [(0,), (7,)]
    dbsync("import", "--url", url, file)
    assert maria_query(url, "SELECT id FROM z ORDER BY id") == [(0,), (7,)]
