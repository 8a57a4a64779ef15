"""Chinook in three engines, from each into each: the oracle that nobody here wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.chinook import (
    archive_rows,
    foreign_keys,
    load_maria,
    load_postgres,
    load_sqlite,
    next_key,
    plain,
)
from tests.integration.command import dbsync
from tests.integration.engines import ENGINES, columns, query, quote, tables
from tests.integration.rows import pg_query, sqlite_query, sqlite_rows, sqlite_run
from tests.servers import MariaServer, PostgresServer


@pytest.fixture(scope="module")
def published(
    shared_data: Path,
    maria: MariaServer,
    pg18: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The URL of Chinook as published for each engine; the servers' with counters for keys."""
    folder = shared_data / "chinook"
    postgres, mysql = pg18.create_database(), maria.create_database()
    load_postgres(folder / "Chinook_PostgreSql_SerialPKs.sql", pg18.url(postgres))
    load_maria(folder / "Chinook_MySql_AutoIncrementPKs.sql", maria, mysql)
    file = load_sqlite(folder / "Chinook_Sqlite.sqlite", tmp_path_factory.mktemp("published"))
    yield {"sqlite": file, "postgresql": pg18.url(postgres), "mysql": maria.url(mysql)}
    pg18.drop_database(postgres)
    maria.drop_database(mysql)


@pytest.fixture
def new_url(
    new_pg_url: Callable[[], str], new_maria_url: Callable[[], str], tmp_path: Path
) -> Callable[[str], str]:
    """A function that gives the URL of an empty database of an engine."""

    def create(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / 'new.sqlite'}"
        return new_pg_url() if engine == "postgresql" else new_maria_url()

    return create


@pytest.mark.parametrize("target", ENGINES)
@pytest.mark.parametrize("source", ENGINES)
def test_nine_clones(
    published: dict[str, str],
    new_url: Callable[[str], str],
    tmp_path: Path,
    source: str,
    target: str,
) -> None:
    """From each engine into each: rows equal, foreign keys there, the next key goes on."""
    kept, copy = tmp_path / "kept.dbsync.tar", new_url(target)
    dbsync("clone", "--from", published[source], "--to", copy, "--include-schema", "--keep", kept)
    for url in (copy, published[source]):
        done = dbsync("verify", kept, "--against", url, "--json").json()
        assert done["differences"] == []
    names = {plain(table): table for table in tables(copy)}
    counts = [query(copy, f"SELECT count(*) FROM {quote(copy, n)}") for n in names.values()]
    assert (len(counts), sum(n for ((n,),) in counts)) == (11, 15607)
    assert foreign_keys(copy) == foreign_keys(published[source])
    assert len(foreign_keys(copy)) == 11
    (total,) = (quote(copy, c) for c in columns(copy, names["invoice"]) if plain(c) == "total")
    ((amount,),) = query(copy, f"SELECT sum({total}) FROM {quote(copy, names['invoice'])}")
    assert Decimal(str(round(amount, 2))) == Decimal("2328.60")
    for name, table in names.items():
        if name != "playlisttrack":  # its key is a pair of references
            given, highest = next_key(copy, table)
            assert given == highest + 1, table


def test_the_archives_agree(published: dict[str, str], tmp_path: Path) -> None:
    """The three archives hold the same rows, but for the spelling of names and of moments."""
    found = {}
    for engine, url in published.items():
        archive = tmp_path / f"{engine}.dbsync.tar"
        dbsync("export", "--url", url, archive)
        found[engine] = archive_rows(archive, tmp_path / engine)
    assert sum(map(len, found["sqlite"].values())) == 15607
    assert found["mysql"] == found["sqlite"]
    for rows in found["sqlite"].values():
        for row in rows:
            for column in ("city", "billingcity"):
                # N'Edinburgh ' is a padded CHAR to PostgreSQL, which loses the blank as a VARCHAR.
                if row.get(column) == "Edinburgh ":
                    row[column] = "Edinburgh"
    assert found["postgresql"] == found["sqlite"]


def test_archives_verify_against_the_other_engine(
    published: dict[str, str], tmp_path: Path
) -> None:
    """What was published for SQLite equals what was published for MySQL, by canonical values."""
    for source, other in (("sqlite", "mysql"), ("mysql", "sqlite")):
        archive = tmp_path / f"{source}.dbsync.tar"
        dbsync("export", "--url", published[source], archive)
        dbsync("verify", archive, "--against", published[other])


@pytest.fixture
def chinook(shared_data: Path, tmp_path: Path) -> Path:
    """A private copy of the SQLite file."""
    return Path(shutil.copy(shared_data / "chinook" / "Chinook_Sqlite.sqlite", tmp_path))


def test_chinook_goes_around_and_comes_back(
    chinook: Path, tmp_path: Path, pg_url: str, maria_url: str
) -> None:
    """SQLite to PostgreSQL to MySQL to SQLite: each value with its storage class, each key."""
    copy = f"sqlite:///{tmp_path / 'copy.sqlite'}"
    places = [f"sqlite:///{chinook}", pg_url, maria_url, copy]
    for source, target in pairwise(places):
        dbsync("clone", "--from", source, "--to", target, "--include-schema")
    assert sqlite_rows(tmp_path / "copy.sqlite") == sqlite_rows(chinook)
    assert foreign_keys(copy) == foreign_keys(places[0])


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
    sqlite_run(chinook, 'UPDATE "Artist" SET "Name" = \'x\' WHERE "ArtistId" = 7')
    sqlite_run(chinook, 'DELETE FROM "Playlist" WHERE "PlaylistId" = 3')
    sqlite_run(chinook, "INSERT INTO \"Genre\" VALUES (999, 'new')")
    done = dbsync("verify", archive, "--against", f"sqlite:///{chinook}", "--json", code=7).json()
    found = {
        d["table"]["name"] if isinstance(d["table"], dict) else d["table"][-1]: d
        for d in done["differences"]
    }
    assert set(found) == {"Artist", "Playlist", "Genre"}
    assert (found["Artist"]["only_archive"], found["Artist"]["only_database"]) == (0, 0)
    assert found["Artist"]["differing"] == 1
    assert "7" in " ".join(found["Artist"]["examples"])
    assert found["Playlist"]["only_archive"] == 1
    assert found["Genre"]["only_database"] == 1
