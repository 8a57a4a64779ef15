"""Chinook through both engines: the oracle that nobody here wrote."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.rows import pg_query, sqlite_query, sqlite_rows


@pytest.fixture
def chinook(shared_data: Path, tmp_path: Path) -> Path:
    """A private copy of the SQLite file."""
    return Path(shutil.copy(shared_data / "chinook" / "Chinook_Sqlite.sqlite", tmp_path))


def _foreign_keys(path: Path) -> set[tuple[object, ...]]:
    tables = [n for (n,) in sqlite_query(path, "SELECT name FROM sqlite_master WHERE type='table'")]
    return {
        (table, *row[2:5])
        for table in tables
        for row in sqlite_query(path, f'PRAGMA foreign_key_list("{table}")')
    }


def test_chinook_goes_to_postgres_and_back(chinook: Path, tmp_path: Path, pg_url: str) -> None:
    """SQLite to PostgreSQL to SQLite leaves every row of every table and every foreign key."""
    there, back = tmp_path / "there.dbsync.tar", tmp_path / "back.dbsync.tar"
    copy = tmp_path / "copy.sqlite"
    dbsync("export", "--url", f"sqlite:///{chinook}", there)
    dbsync("import", "--url", pg_url, "--include-schema", there)
    keys = pg_query(pg_url, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'")
    assert keys == [(len(_foreign_keys(chinook)),)]
    total = pg_query(pg_url, 'SELECT count(*), sum("Total") FROM "Invoice"')
    assert total == [(412, Decimal("2328.60"))]
    dbsync("verify", there, "--against", pg_url)
    dbsync("export", "--url", pg_url, back)
    dbsync("import", "--url", f"sqlite:///{copy}", "--include-schema", back)
    assert sqlite_rows(copy) == sqlite_rows(chinook)
    assert _foreign_keys(copy) == _foreign_keys(chinook)
    dbsync("verify", back, "--against", f"sqlite:///{chinook}")


def test_native_copy_of_chinook_is_identical(chinook: Path, tmp_path: Path) -> None:
    """SQLite to SQLite keeps the DDL byte for byte and every value with its storage class."""
    archive, copy = tmp_path / "a.dbsync.tar", tmp_path / "copy.sqlite"
    dbsync("export", "--url", f"sqlite:///{chinook}", archive)
    dbsync("import", "--url", f"sqlite:///{copy}", "--include-schema", archive)
    ddl = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
    assert sqlite_query(copy, ddl) == sqlite_query(chinook, ddl)
    assert sqlite_rows(copy) == sqlite_rows(chinook)


def test_importing_twice_changes_nothing(chinook: Path, tmp_path: Path, pg_url: str) -> None:
    """The same archive again upserts to the same rows, and --no-upsert refuses with exit code 4."""
    archive = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", f"sqlite:///{chinook}", archive)
    everything = 'SELECT sum(hashtext(t::text)::bigint), count(*) FROM "Track" t'
    for url in (pg_url, f"sqlite:///{tmp_path / 'copy.sqlite'}"):
        dbsync("import", "--url", url, "--include-schema", archive)
        before = pg_query(url, everything) if url == pg_url else sqlite_rows(url[10:])
        again = dbsync("import", "--url", url, "--json", archive).json()
        counts = [table["counts"] for table in again["tables"]]
        assert sum(c["updated"] for c in counts) == 15607 - 8715
        assert sum(c["skipped"] for c in counts) == 8715  # PlaylistTrack is nothing but a key
        refused = dbsync("import", "--url", url, "--no-upsert", archive, code=4)
        assert "Traceback" not in refused.err
        after = pg_query(url, everything) if url == pg_url else sqlite_rows(url[10:])
        assert after == before


def test_clone_through_a_pipe_of_processes(chinook: Path, tmp_path: Path) -> None:
    """`export -` piped into `import -` carries everything."""
    exported = dbsync("export", "--url", f"sqlite:///{chinook}", "-")
    copy = tmp_path / "copy.sqlite"
    dbsync("import", "--url", f"sqlite:///{copy}", "--include-schema", "-", stdin=exported.out)
    assert sqlite_rows(copy) == sqlite_rows(chinook)


def test_clone_command(chinook: Path, tmp_path: Path, pg_url: str) -> None:
    """`clone` copies in one go, and `--keep` leaves an archive that verifies against both."""
    kept = tmp_path / "kept.dbsync.tar"
    source = f"sqlite:///{chinook}"
    dbsync("clone", "--from", source, "--to", pg_url, "--include-schema", "--keep", kept)
    dbsync("verify", kept, "--against", pg_url)
    dbsync("verify", kept, "--against", source)


def test_verify_against_names_a_changed_row(chinook: Path, tmp_path: Path) -> None:
    """A row that was changed, one that was added and one that is gone are each found by key."""
    archive = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", f"sqlite:///{chinook}", archive)
    sqlite_query(chinook, "SELECT 1")
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(chinook)) as connection, connection:
        connection.execute('UPDATE "Artist" SET "Name" = \'x\' WHERE "ArtistId" = 7')
        connection.execute('DELETE FROM "Playlist" WHERE "PlaylistId" = 3')
        connection.execute("INSERT INTO \"Genre\" VALUES (999, 'new')")
    done = dbsync("verify", archive, "--against", f"sqlite:///{chinook}", "--json", code=7).json()
    found = {
        d["table"]["name"] if isinstance(d["table"], dict) else d["table"][-1]: d
        for d in done["differences"]
    }
    assert set(found) == {"Artist", "Playlist", "Genre"}
    assert (found["Artist"]["only_archive"], found["Artist"]["only_database"]) == (1, 1)
    assert "7" in " ".join(found["Artist"]["examples"])
    assert found["Playlist"]["only_archive"] == 1
    assert found["Genre"]["only_database"] == 1
