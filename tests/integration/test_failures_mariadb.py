"""What goes wrong with MariaDB: each failure has its exit code, a cause, a next step, no secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

import dbsync as library
from dbsync.errors import DbsyncError, SourceError, TargetError
from dbsync.pipeline.events import ChunkDone, ChunkWritten, Event
from tests.integration.command import Done, dbsync
from tests.integration.maria_rows import maria_query
from tests.integration.rows import sqlite_script
from tests.servers import PASSWORD, MariaServer


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of 3,000 rows in several chunks."""
    path, archive = tmp_path / "source.sqlite", tmp_path / "a.dbsync.tar"
    sqlite_script(
        path,
        "CREATE TABLE people (id integer PRIMARY KEY, name text);"
        "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 3000)"
        "INSERT INTO people SELECT n, hex(randomblob(40)) FROM i;",
    )
    dbsync("export", "--url", f"sqlite:///{path}", "--chunk-bytes", "16KiB", archive)
    return archive


def _explained(done: Done, *words: str) -> None:
    assert "Traceback" not in done.err
    assert PASSWORD not in done.err
    assert PASSWORD.encode() not in done.out
    assert "next:" in done.err, done.err
    for word in words:
        assert word in done.err, (word, done.err)


def _both(url: str, archive: Path, folder: Path, *words: str) -> None:
    """Require 3 from an export and 4 from an import, explained with `words`."""
    _explained(dbsync("export", "--url", url, folder / "x.dbsync.tar", code=3), *words)
    _explained(dbsync("import", "--url", url, archive, code=4), *words)
    assert not (folder / "x.dbsync.tar").exists()


def test_unreachable(archive: Path, tmp_path: Path) -> None:
    """Nobody listens: the address is named, and the password is not."""
    url = "mysql://u:hidden-secret@127.0.0.1:9/db"
    _both(url, archive, tmp_path, "127.0.0.1")
    assert "hidden-secret" not in dbsync("check", "--url", url, code=3).err
    missing = f"mysql://u@localhost/db?unix_socket={tmp_path / 'none'}"
    _both(missing, archive, tmp_path, "none")


def test_wrong_password(maria: MariaServer, archive: Path, tmp_path: Path) -> None:
    """A wrong password is told, with the user, and is not shown."""
    url = f"mysql://{maria.user}:not-the-password@{maria.host}:{maria.port}/mysql"
    _both(url, archive, tmp_path, maria.user)
    assert "not-the-password" not in dbsync("export", "--url", url, "x.tar", code=3).err


def test_unknown_database(maria: MariaServer, archive: Path, tmp_path: Path) -> None:
    """A database that is not there is named; none at all is a matter of usage."""
    _both(maria.url("no_such_database"), archive, tmp_path, "no_such_database")
    done = dbsync("export", "--url", maria.url(), tmp_path / "x.dbsync.tar", code=2)
    assert "Traceback" not in done.err


def test_missing_table_and_column(maria_url: str, tmp_path: Path) -> None:
    """A pattern or a condition that fits no table or column names it."""
    maria_query(maria_url, "CREATE TABLE people (id int)")
    place = tmp_path / "x.dbsync.tar"
    _explained(dbsync("export", "--url", maria_url, "--tables", "nobody", place, code=3), "nobody")
    done = dbsync("export", "--url", maria_url, "--where", "nowhere > 3", place, code=3)
    _explained(done, "nowhere", "people")
    assert not place.exists()


def test_import_without_the_table(archive: Path, maria_url: str) -> None:
    """Without --include-schema a missing table is an error that names the flag."""
    done = dbsync("import", "--url", maria_url, archive, code=4)
    _explained(done, "people", "--include-schema")


def test_missing_rights(maria: MariaServer, maria_url: str, archive: Path, tmp_path: Path) -> None:
    """Who may not read or write a table hears so before anything is written."""
    name = maria_url.rpartition("/")[2]
    maria_query(
        maria_url,
        "CREATE TABLE people (id int PRIMARY KEY, name varchar(100));"
        "CREATE TABLE secret (id int PRIMARY KEY)",
    )
    with maria.account("nobody", f"SELECT ON `{name}`.people"):
        url = maria.url(name, user="nobody")
        done = dbsync("export", "--url", url, "--tables", "secret", tmp_path / "x.tar", code=3)
        _explained(done, "secret")
        _explained(dbsync("import", "--url", url, archive, code=4), "INSERT")
        dbsync("export", "--url", url, tmp_path / "y.tar")
        assert dbsync("check", "--url", url, code=None).code in (0, 3)
    assert maria_query(maria_url, "SHOW TABLES") == [("people",), ("secret",)]
    assert maria_query(maria_url, "SELECT count(*) FROM people") == [(0,)]


def test_hidden_programs_are_reported(maria: MariaServer, maria_url: str, tmp_path: Path) -> None:
    """A routine whose body the user may not see is a loss, not left out in silence."""
    name = maria_url.rpartition("/")[2]
    maria_query(
        maria_url, "CREATE TABLE t (id int PRIMARY KEY); CREATE PROCEDURE hidden_one() SELECT 1"
    )
    with maria.account("reader", f"SELECT, LOCK TABLES, EXECUTE ON `{name}`.*"):
        url = maria.url(name, user="reader")
        done = dbsync("export", "--url", url, "--json", tmp_path / "a.tar").json()
        strict = dbsync("export", "--url", url, "--strict", tmp_path / "b.tar", code=7)
    assert "hidden_one" in " ".join(loss["object"] for loss in done["losses"])
    assert "hidden_one" in strict.err


def test_read_only_server(serve_maria: Callable[..., MariaServer], archive: Path) -> None:
    """A server that is read-only is a target error with its cause."""
    server = serve_maria({"read-only": "1"})
    name = server.create_database()
    server.execute("CREATE TABLE people (id int PRIMARY KEY, name varchar(100))", name)
    with server.account("writer", f"ALL ON `{name}`.*"):
        url = server.url(name, user="writer")
        _explained(dbsync("import", "--url", url, archive, code=4), "read")
    assert server.execute("SELECT count(*) FROM people", name) == [(0,)]
    server.drop_database(name)


def test_full_disk(serve_maria: Callable[..., MariaServer], tmp_path: Path) -> None:
    """Where the server has no room left, whole chunks are there and the table is named."""
    settings = {"innodb-data-file-path": "ibdata1:14M", "innodb-file-per-table": "0"}
    server = serve_maria(settings)
    name = server.create_database()
    source, archive = tmp_path / "big.sqlite", tmp_path / "big.dbsync.tar"
    sqlite_script(
        source,
        "CREATE TABLE big (id integer PRIMARY KEY, filler text);"
        "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 20000)"
        "INSERT INTO big SELECT n, hex(randomblob(500)) FROM i;",
    )
    dbsync("export", "--url", f"sqlite:///{source}", "--chunk-bytes", "1MiB", archive)
    done = dbsync("import", "--url", server.url(name), "--include-schema", archive, code=4)
    _explained(done, "big")
    server.drop_database(name)


def _cut(server: MariaServer, url: str) -> None:
    """End every session of a database but the one that does so."""
    name = url.rpartition("/")[2]
    query = "SELECT id FROM information_schema.processlist WHERE db = %s"
    for (number,) in maria_query(server.url(), query, (name,)):
        try:
            server.execute(f"KILL {number}")
        except pymysql.err.OperationalError:  # it has just gone
            continue


def test_connection_cut_while_importing(maria: MariaServer, archive: Path, maria_url: str) -> None:
    """KILL in the middle: a target error that may be tried again, and that then converges."""
    chunks: list[Event] = []

    def cut(event: Event) -> None:
        if isinstance(event, ChunkWritten | ChunkDone):
            chunks.append(event)
            if len(chunks) == 3:
                _cut(maria, maria_url)

    with pytest.raises(TargetError) as caught:
        library.import_archive(str(archive), maria_url, include_schema=True, on_event=cut)
    assert PASSWORD not in str(caught.value)
    again = library.import_archive(str(archive), maria_url, include_schema=True)
    assert again.rows == 3000
    assert again.resumed_chunks > 0
    rows = maria_query(maria_url, "SELECT count(*), count(DISTINCT id) FROM people")
    assert rows == [(3000, 3000)]
    assert maria_query(maria_url, "SHOW TABLES") == [("people",)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_connection_cut_while_exporting(
    maria: MariaServer, maria_url: str, tmp_path: Path, jobs: int
) -> None:
    """KILL in the middle: a source error, and no archive is left behind."""
    maria_query(
        maria_url,
        "CREATE TABLE big (id int PRIMARY KEY, filler varchar(500));"
        "INSERT INTO big SELECT seq, REPEAT(MD5(seq), 15) FROM seq_1_to_60000",
    )
    cuts: list[Event] = []

    def cut(event: Event) -> None:
        if isinstance(event, ChunkDone | ChunkWritten) and not cuts:
            cuts.append(event)
            _cut(maria, maria_url)

    place = tmp_path / "out" / "a.dbsync.tar"
    place.parent.mkdir()
    options = {"chunk_bytes": 256 << 10, "jobs": jobs}
    with pytest.raises(SourceError) as caught:
        library.export_database(maria_url, str(place), on_event=cut, **options)  # type: ignore[arg-type]
    assert cuts
    assert PASSWORD not in str(caught.value)
    assert list(place.parent.iterdir()) == []


@pytest.fixture
def mortal() -> Iterator[MariaServer]:
    """A server of one test's own, which it may halt."""
    server = MariaServer().start()
    yield server
    server.stop()


def test_server_restarted_while_importing(mortal: MariaServer, archive: Path) -> None:
    """A server that goes down ends the import with 4; when it is back, the rest is loaded."""
    name = mortal.create_database()
    chunks: list[Event] = []

    def halt(event: Event) -> None:
        if isinstance(event, ChunkDone):
            chunks.append(event)
            if len(chunks) == 2:
                mortal.halt()

    with pytest.raises(DbsyncError) as caught:
        library.import_archive(str(archive), mortal.url(name), include_schema=True, on_event=halt)
    assert caught.value.exit_code == 4
    mortal.run()
    again = library.import_archive(str(archive), mortal.url(name), include_schema=True)
    assert again.resumed_chunks >= 2
    rows = mortal.execute("SELECT count(*), count(DISTINCT id) FROM people", name)
    assert rows == [(3000, 3000)]


def test_password_stays_secret(maria: MariaServer, maria_url: str, tmp_path: Path) -> None:
    """A canary password never reaches output, archive or the arguments of a process."""
    maria_query(maria_url, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    place, secret = tmp_path / "a.dbsync.tar", tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    env = {
        "DBSYNC_ENGINE": "mysql",
        "DBSYNC_HOST": maria.host,
        "DBSYNC_PORT": str(maria.port),
        "DBSYNC_USERNAME": maria.user,
        "DBSYNC_DATABASE": maria_url.rpartition("/")[2],
        "DBSYNC_PASSWORD_FILE": str(secret),
        "PATH": os.environ["PATH"],
    }
    for arguments in (
        ["export", "-v", "--debug", place],
        ["check", "-v"],
        ["export", "--tables", "none", "--json", "--log-format", "json", "--debug", "x.tar"],
    ):
        done = dbsync(*arguments, env=env, code=None, cwd=tmp_path)
        assert PASSWORD not in done.err
        assert PASSWORD.encode() not in done.out
    assert place.exists()
    assert PASSWORD.encode() not in place.read_bytes()


def test_dry_run_changes_nothing(archive: Path, maria_url: str) -> None:
    """--dry-run plans everything and creates nothing."""
    arguments = ["import", "--url", maria_url, "--include-schema", "--dry-run", "--json"]
    assert dbsync(*arguments, archive).json()["dry_run"] is True
    assert maria_query(maria_url, "SHOW TABLES") == []


def test_the_ledger_is_not_exported(maria_url: str, tmp_path: Path) -> None:
    """What an interrupted import leaves behind does not travel with the database."""
    maria_query(maria_url, "CREATE TABLE dbsync_ledger (a int); CREATE TABLE kept (a int)")
    done = dbsync("export", "--url", maria_url, "--json", tmp_path / "a.tar").json()
    assert [table["table"]["name"] for table in done["tables"]] == ["kept"]
    assert b"dbsync_ledger" not in (tmp_path / "a.tar").read_bytes()


def test_single_transaction_leaves_nothing(archive: Path, maria_url: str) -> None:
    """With --single-transaction a failed import leaves neither rows nor the tables it made."""
    maria_query(
        maria_url, "CREATE TABLE people (id int PRIMARY KEY, name varchar(100), CHECK (id < 2999))"
    )
    arguments = ["import", "--url", maria_url, "--single-transaction", archive]
    _explained(dbsync(*arguments, code=4), "people")
    assert maria_query(maria_url, "SELECT count(*) FROM people") == [(0,)]
    assert maria_query(maria_url, "SHOW TABLES") == [("people",)]


def test_single_transaction_drops_what_it_made(maria_url: str, tmp_path: Path) -> None:
    """A failure that only the end shows, a reference that leads nowhere, leaves no table behind."""
    source, archive = tmp_path / "orphans.sqlite", tmp_path / "orphans.dbsync.tar"
    sqlite_script(
        source,
        "CREATE TABLE parent (id integer PRIMARY KEY);"
        "CREATE TABLE child (id integer PRIMARY KEY, parent_id int REFERENCES parent (id));"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1), (2, 77);",
    )
    library.export_database(f"sqlite:///{source}", str(archive))
    maria_query(maria_url, "CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)")
    for _ in range(2):
        with pytest.raises(TargetError, match="77"):
            library.import_archive(
                str(archive), maria_url, include_schema=True, single_transaction=True
            )
        assert maria_query(maria_url, "SHOW TABLES") == [("mine",)]
    assert maria_query(maria_url, "SELECT * FROM mine") == [(1,)]


def test_an_upsert_never_updates_by_another_unique_key(archive: Path, maria_url: str) -> None:
    """A row that clashes with another unique key ends with 4, and no row of its chunk is there."""
    maria_query(maria_url, "CREATE TABLE people (id int PRIMARY KEY, name varchar(100))")
    library.import_archive(str(archive), maria_url)
    maria_query(
        maria_url,
        "UPDATE people SET id = 9000 WHERE id = 2999; UPDATE people SET name = id WHERE id < 2999;"
        "ALTER TABLE people ADD UNIQUE (name)",
    )
    done = dbsync("import", "--url", maria_url, "--jobs", "1", archive, code=4)
    _explained(done, "people", "1062")
    found = maria_query(maria_url, "SELECT count(*), count(DISTINCT id), max(id) FROM people")
    assert found == [(3000, 3000, 9000)]
    last = "SELECT id FROM people WHERE id >= 2990 AND name <> id ORDER BY id"
    assert maria_query(maria_url, last) == [(3000,), (9000,)]


def test_a_failed_overwrite_keeps_the_old_rows(archive: Path, maria_url: str) -> None:
    """--overwrite that fails leaves what was there."""
    maria_query(
        maria_url,
        "CREATE TABLE people (id int PRIMARY KEY, name varchar(100), CHECK (id <> 2999));"
        "INSERT INTO people VALUES (1, 'mine'), (9000, 'mine too')",
    )
    _explained(dbsync("import", "--url", maria_url, "--overwrite", archive, code=4), "people")
    old = maria_query(maria_url, "SELECT * FROM people ORDER BY id")
    assert old == [(1, "mine"), (9000, "mine too")]
