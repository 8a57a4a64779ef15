"""Values that MySQL would change in silence: refused, by LOAD DATA and by INSERT alike."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dbsync as library
from dbsync.errors import DbsyncError, LossError, TargetError
from tests.integration.command import dbsync
from tests.integration.maria_rows import maria_query
from tests.integration.rows import sqlite_script
from tests.servers import MariaServer

ROWS = 1000
BAD = 999
CHUNK = 4 << 10
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


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """A function that makes an archive of SQLite rows, of which one late one is bad."""
    folder = tmp_path_factory.mktemp("clamped")
    made: dict[tuple[str, str], Path] = {}

    def make(declared: str, bad: str) -> Path:
        if (declared, bad) not in made:
            source = folder / f"{len(made)}.sqlite"
            sqlite_script(
                source,
                f"CREATE TABLE t (id integer PRIMARY KEY, v {declared}, filler text);"
                f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {ROWS})"
                f"INSERT INTO t SELECT n, CASE n WHEN {BAD} THEN {bad} END, 'x' FROM i;",
            )
            made[declared, bad] = source.with_suffix(".dbsync.tar")
            url, place = f"sqlite:///{source}", str(made[declared, bad])
            # One worker, so that the chunks stand in the order of their rows.
            done = library.export_database(url, place, chunk_bytes=CHUNK, jobs=1)
            assert done.tables[0].chunks > 3
        return made[declared, bad]

    return make


def _refused_with_7(archive: str, url: str) -> LossError:
    with pytest.raises(LossError) as caught:
        library.import_archive(archive, url, jobs=1)
    assert caught.value.exit_code == 7
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(("declared", "bad", "column"), CASES)
def test_refused(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    archive: Callable[[str, str], Path],
    declared: str,
    bad: str,
    column: str,
) -> None:
    """Exit code 7, naming table and column; of the chunk with that value nothing is written.

    From a file, whose statistics may tell before anything is written, and from a pipe, where rows
    are on their way before the bad one is seen.
    """
    maria_query(url, f"CREATE TABLE t (id int PRIMARY KEY, v {column} NULL, filler varchar(5))")
    file = archive(declared, bad)
    for place in (str(file), "-"):
        with file.open(encoding="latin-1") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            refused = _refused_with_7(place, url)
        words = re.findall(r"\w+", refused.message)
        assert "t" in words, refused.message
        assert "v" in words, refused.message
        ((rows, highest),) = maria_query(url, "SELECT count(*), coalesce(max(id), 0) FROM t")
        assert rows == highest  # whole chunks only, from the first on: there is one writer
        assert highest < BAD - 1
        assert maria_query(url, "SELECT 1 FROM t WHERE v IS NOT NULL") == []
    assert rows > 0, "the chunks before the bad one were to be written"


def test_the_command_says_what_was_refused(url: str, archive: Callable[[str, str], Path]) -> None:
    """The command line ends with 7, the cause and a next step."""
    maria_query(url, "CREATE TABLE t (id int PRIMARY KEY, v tinyint, filler varchar(5))")
    done = dbsync("import", "--url", url, "-", stdin=archive(*CASES[0][:2]).read_bytes(), code=7)
    assert "Traceback" not in done.err
    assert "next:" in done.err


def test_rows_arrive_where_load_data_is_off(
    maria_without_load_data: MariaServer, archive: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Without LOAD DATA every row arrives: into new tables, by upsert and in one transaction."""
    server, file = maria_without_load_data, archive("text", "'it''s \\ \n ☃ 😀'")
    assert server.execute("SELECT @@local_infile") == [(0,)]
    name = server.create_database()
    url, rows = server.url(name), "SELECT count(*), sum(id), max(v), max(filler) FROM t"
    for options in (
        {"include_schema": True},
        {"on_conflict": "update"},
        {"existing": "overwrite", "single_transaction": True},
    ):
        library.import_archive(str(file), url, **options)  # type: ignore[arg-type]
        expected = [(ROWS, ROWS * (ROWS + 1) // 2, "it's \\ \n ☃ 😀", "x")]
        assert maria_query(url, rows) == expected, options
    server.drop_database(name)


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        ("UNIQUE (filler)", TargetError),
        ("CHECK (id < 500)", TargetError),
        ("w tinyint AS (id) PERSISTENT", LossError),
    ],
)
def test_what_only_the_server_refuses(
    url: str, archive: Callable[[str, str], Path], definition: str, error: type[DbsyncError]
) -> None:
    """A row that the server would leave out or change with a warning ends the import as well."""
    maria_query(
        url, f"CREATE TABLE t (id int PRIMARY KEY, v text, filler varchar(5), {definition})"
    )
    with pytest.raises(error, match=r"\bt\b"):
        library.import_archive(str(archive("text", "'taken'")), url, jobs=1)
    ((rows, highest),) = maria_query(url, "SELECT count(*), coalesce(max(id), 0) FROM t")
    assert rows == highest < 500


def test_a_clashing_unique_key_is_refused(url: str, archive: Callable[[str, str], Path]) -> None:
    """A row that clashes with another unique key ends the import; it updates no other row."""
    maria_query(
        url,
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(9) UNIQUE, filler varchar(5));"
        "INSERT INTO t VALUES (5000, 'taken', 'mine')",
    )
    with pytest.raises(TargetError, match="taken"):
        library.import_archive(str(archive("text", "'taken'")), url)
    assert maria_query(url, "SELECT * FROM t WHERE v IS NOT NULL") == [(5000, "taken", "mine")]


def test_keys_that_only_the_collation_equates(url: str, tmp_path: Path) -> None:
    """Keys that differ in bytes but are equal to the target's collation are refused, not merged."""
    source, file = tmp_path / "keys.sqlite", tmp_path / "keys.dbsync.tar"
    sqlite_script(
        source,
        "CREATE TABLE k (name text PRIMARY KEY, v int);"
        "INSERT INTO k VALUES ('abc', 1), ('ABC', 2), ('other', 3);",
    )
    library.export_database(f"sqlite:///{source}", str(file))
    maria_query(url, "CREATE TABLE k (name varchar(20) CHARACTER SET utf8mb4 PRIMARY KEY, v int)")
    assert "name" in _refused_with_7(str(file), url).message
    assert maria_query(url, "SELECT * FROM k") == []
    maria_query(url, "INSERT INTO k VALUES ('Abc', 9)")
    assert "name" in _refused_with_7(str(file), url).message
    assert maria_query(url, "SELECT * FROM k") == [("Abc", 9)]


def test_a_zero_stays_a_zero(url: str, tmp_path: Path) -> None:
    """0 in an AUTO_INCREMENT column is a value, whatever the server's mode."""
    source, file = tmp_path / "zero.sqlite", tmp_path / "zero.dbsync.tar"
    sqlite_script(source, "CREATE TABLE z (id integer PRIMARY KEY); INSERT INTO z VALUES (0), (7);")
    library.export_database(f"sqlite:///{source}", str(file))
    maria_query(url, "CREATE TABLE z (id int NOT NULL AUTO_INCREMENT PRIMARY KEY)")
    library.import_archive(str(file), url)
    assert maria_query(url, "SELECT id FROM z ORDER BY id") == [(0,), (7,)]
    library.import_archive(str(file), url)
    assert maria_query(url, "SELECT id FROM z ORDER BY id") == [(0,), (7,)]
