"""What goes wrong for a user: each failure has its exit code, a cause, a next step, no secret."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import DBSYNC, Done, dbsync, environment
from tests.integration.rows import pg_query, sqlite_rows, sqlite_script
from tests.servers import PASSWORD, PostgresServer


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The URL of a small SQLite database."""
    path = tmp_path / "source.sqlite"
    sqlite_script(
        path,
        "CREATE TABLE people (id integer PRIMARY KEY, name text);"
        "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 3000)"
        "INSERT INTO people SELECT n, hex(randomblob(40)) FROM i;",
    )
    return f"sqlite:///{path}"


@pytest.fixture
def archive(source: str, tmp_path: Path) -> Path:
    """An archive of it."""
    path = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", source, path)
    return path


def _explained(done: Done, *words: str) -> None:
    assert "Traceback" not in done.err
    assert PASSWORD not in done.err
    assert PASSWORD.encode() not in done.out
    assert "next:" in done.err, done.err
    for word in words:
        assert word in done.err, (word, done.err)


def test_wrong_flags(tmp_path: Path) -> None:
    """An unknown option, contradicting ones, and a missing database are usage errors: 2."""
    for arguments in (
        ["export", "--no-such-option", "x"],
        ["export", tmp_path / "x.dbsync.tar"],
        ["import", "--url", "sqlite:///x", "--on-conflict", "skip", "--upsert", "x"],
        ["export", "--url", "oracle://x/y", tmp_path / "x.dbsync.tar"],
        ["export", "--url", "sqlite:///x", "--jobs", "0", tmp_path / "x.dbsync.tar"],
    ):
        assert "Traceback" not in dbsync(*arguments, code=2).err


def test_unreachable_server(tmp_path: Path) -> None:
    """Nobody listens: 3 as a source, 4 as a target."""
    url = "postgresql://u:hidden-secret@127.0.0.1:9/db"
    done = dbsync("export", "--url", url, tmp_path / "x.dbsync.tar", code=3)
    _explained(done, "127.0.0.1")
    assert "hidden-secret" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_wrong_password(pg18: PostgresServer, archive: Path, tmp_path: Path) -> None:
    """A wrong password is told, with the name of what was tried, and is not shown."""
    url = f"postgresql://{pg18.user}:not-the-password@{pg18.host}:{pg18.port}/postgres"
    for arguments, code in (
        (["export", "--url", url, tmp_path / "x.dbsync.tar"], 3),
        (["import", "--url", url, archive], 4),
    ):
        done = dbsync(*arguments, code=code)
        _explained(done)
        assert "not-the-password" not in done.err


def test_missing_database_file(tmp_path: Path) -> None:
    """A source that is not there is never created."""
    missing = tmp_path / "missing.sqlite"
    _explained(
        dbsync("export", "--url", f"sqlite:///{missing}", tmp_path / "x.dbsync.tar", code=3),
        "missing.sqlite",
    )
    assert not missing.exists()


def test_missing_table_and_column(source: str, pg_url: str, tmp_path: Path) -> None:
    """A pattern or a condition that fits no table or column names it: 3."""
    pg_query(pg_url, "CREATE TABLE people (id int)")
    for url in (source, pg_url):
        place = tmp_path / "x.dbsync.tar"
        _explained(dbsync("export", "--url", url, "--tables", "nobody", place, code=3), "nobody")
        done = dbsync("export", "--url", url, "--where", "nowhere > 3", place, code=3)
        _explained(done, "nowhere", "people")
        assert not place.exists()


def test_import_without_the_table(archive: Path, pg_url: str, tmp_path: Path) -> None:
    """Without --include-schema a missing table is an error that names the flag: 4."""
    for url in (pg_url, f"sqlite:///{tmp_path / 'new.sqlite'}"):
        _explained(dbsync("import", "--url", url, archive, code=4), "people", "--include-schema")


def test_read_only_target(
    pg18: PostgresServer, archive: Path, new_pg_url: Callable[[], str]
) -> None:
    """A role or a database that may not write is refused before anything is tried: 4."""
    url = new_pg_url()
    name = url.rpartition("/")[2]
    pg_query(url, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    pg_query(url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    _explained(dbsync("import", "--url", url, archive, code=4))
    assert pg_query(url, "SELECT count(*) FROM people") == [(0,)]


def test_existing_archive(source: str, archive: Path) -> None:
    """An archive is not overwritten unless asked: 8, and the old one is intact."""
    before = archive.read_bytes()
    _explained(dbsync("export", "--url", source, archive, code=8), "--overwrite-archive")
    assert archive.read_bytes() == before
    dbsync("export", "--url", source, "--overwrite-archive", archive)


def test_full_disk(source: str, tmp_path: Path) -> None:
    """A full disk and a file-size limit are storage errors that leave no file: 5."""
    _explained(dbsync("export", "--url", source, "--overwrite-archive", "/dev/full", code=5))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    folder = tmp_path / "out"
    folder.mkdir()
    done = dbsync("export", "--url", source, folder / "x.dbsync.tar", code=5, preexec_fn=limit)
    _explained(done)
    assert list(folder.iterdir()) == []


def test_full_disk_of_the_target(archive: Path, tmp_path: Path) -> None:
    """A target file that may not grow is a target error, and running again converges: 4."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    target = tmp_path / "target.sqlite"
    arguments = ["import", "--url", f"sqlite:///{target}", "--include-schema", archive]
    _explained(dbsync(*arguments, code=4, preexec_fn=limit))
    dbsync(*arguments)
    assert len(sqlite_rows(target)["people"]) == 3000


def test_damaged_and_foreign_files(archive: Path, tmp_path: Path) -> None:
    """A cut archive and a file that is none are told apart by their E_ names: 6."""
    target = tmp_path / "target.sqlite"
    cut = tmp_path / "cut.dbsync.tar"
    cut.write_bytes(archive.read_bytes()[:-1000])
    done = dbsync("import", "--url", f"sqlite:///{target}", "--include-schema", cut, code=6)
    _explained(done, "E_")
    other = tmp_path / "other.dbsync.tar"
    other.write_bytes(b"hello" * 1000)
    _explained(dbsync("inspect", other, code=6), "E_NOT_ARCHIVE")
    assert not target.exists()
    _explained(dbsync("inspect", tmp_path / "none.dbsync.tar", code=5), "none.dbsync.tar")


def test_killed_export_leaves_no_archive(pg_url: str, tmp_path: Path) -> None:
    """kill -9 in the middle of an export: nothing under the final name; the next run works."""
    pg_query(
        pg_url,
        "CREATE TABLE big AS SELECT i, md5(i::text) || md5((i + 1)::text) AS t"
        " FROM generate_series(1, 400000) i",
    )
    place = tmp_path / "big.dbsync.tar"
    arguments = [*DBSYNC, "export", "--url", pg_url, "--chunk-bytes", "1MiB", str(place)]
    for signal_number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = subprocess.Popen(
            arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size > 1 << 20 for p in tmp_path.iterdir()):
            assert time.monotonic() < deadline
            assert process.poll() is None
        process.send_signal(signal_number)
        process.communicate(timeout=60)
        assert process.returncode == code
        assert not place.exists()
        if signal_number != signal.SIGKILL:
            assert not [p for p in tmp_path.iterdir() if p.stat().st_size > 1 << 20]
        for left in tmp_path.iterdir():
            left.unlink()
    dbsync("export", "--url", pg_url, place)


def test_password_stays_secret(pg_url: str, pg18: PostgresServer, tmp_path: Path) -> None:
    """A canary password never reaches output, archive or the arguments of a process."""
    pg_query(pg_url, "CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
    place = tmp_path / "a.dbsync.tar"
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    env = {
        "DBSYNC_ENGINE": "postgresql",
        "DBSYNC_HOST": pg18.host,
        "DBSYNC_PORT": str(pg18.port),
        "DBSYNC_USERNAME": pg18.user,
        "DBSYNC_DATABASE": pg_url.rpartition("/")[2],
        "DBSYNC_PASSWORD_FILE": str(secret),
        "PATH": f"{pg18.bin}{os.pathsep}{os.environ['PATH']}",
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


def test_dry_run_changes_nothing(archive: Path, pg_url: str, tmp_path: Path, source: str) -> None:
    """--dry-run plans everything and creates neither a table, a file, nor an archive."""
    new = tmp_path / "new.sqlite"
    for url in (f"sqlite:///{new}", pg_url):
        done = dbsync("import", "--url", url, "--include-schema", "--dry-run", "--json", archive)
        assert done.json()["dry_run"] is True
    assert not new.exists()
    assert pg_query(pg_url, "SELECT count(*) FROM pg_class WHERE relname = 'people'") == [(0,)]
    dbsync("export", "--url", source, "--dry-run", tmp_path / "no.dbsync.tar")
    assert not (tmp_path / "no.dbsync.tar").exists()


def test_lost_connection_while_importing(archive: Path, pg_url: str) -> None:
    """A server that ends the session in the middle: exit code 4, and running again converges."""
    pg_query(
        pg_url,
        "CREATE TABLE people (id int PRIMARY KEY, name text);"
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.id = 2000 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER cut BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION cut()",
    )
    _explained(dbsync("import", "--url", pg_url, archive, code=4))
    assert pg_query(pg_url, "SELECT count(*) FROM people") == [(0,)]
    pg_query(pg_url, "DROP TRIGGER cut ON people")
    dbsync("import", "--url", pg_url, archive)
    assert pg_query(pg_url, "SELECT count(*) FROM people") == [(3000,)]


def test_the_ledger_is_not_exported(archive: Path, pg_url: str, tmp_path: Path) -> None:
    """What an interrupted import leaves behind does not travel with the database."""
    pg_query(pg_url, "CREATE TABLE dbsync_ledger (a int); CREATE TABLE kept (a int)")
    for url in (pg_url, f"sqlite:///{tmp_path / 'a.sqlite'}"):
        if url != pg_url:
            sqlite_script(
                tmp_path / "a.sqlite", "CREATE TABLE dbsync_ledger (a); CREATE TABLE kept (a)"
            )
        place = tmp_path / f"{url[:6]}.dbsync.tar"
        tables = dbsync("export", "--url", url, "--json", place).json()["tables"]
        assert [table["table"]["name"] for table in tables] == ["kept"]
        assert b"dbsync_ledger" not in place.read_bytes()
