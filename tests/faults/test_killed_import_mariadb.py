"""On MariaDB too, where DDL commits by itself: killed anywhere and run again, nothing differs."""

from __future__ import annotations

from pathlib import Path

import pytest

import dbsync
from dbsync.pipeline.events import ChunkDone
from tests.faults.rerun import kill, resumed, run_again
from tests.faults.test_killed_import import CHUNK_BYTES, ROWS, SCRIPT, STAGES
from tests.integration.maria_rows import Rows, maria_definitions, maria_query, maria_rows
from tests.integration.rows import sqlite_script
from tests.servers import MariaServer

MARIA_SCRIPT = f"""
CREATE TABLE parent (id int AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE child (id bigint AUTO_INCREMENT PRIMARY KEY, parent_id int, v double,
  FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE log (line text, n int, KEY log_n (n), FULLTEXT KEY words (line));
CREATE TABLE plain (id int PRIMARY KEY, v int) ENGINE = InnoDB PARTITION BY HASH (id) PARTITIONS 3;
CREATE SEQUENCE counter START WITH 5;
CREATE VIEW names AS SELECT name FROM parent;
CREATE PROCEDURE nothing() SELECT 1;
CREATE EVENT never ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1;
CREATE TRIGGER keep BEFORE INSERT ON log FOR EACH ROW SET NEW.n = -1;
INSERT INTO parent (name) SELECT CONCAT('name ', seq) FROM seq_1_to_{ROWS};
INSERT INTO child (parent_id, v) SELECT id, id / 7.0 FROM parent ORDER BY id;
INSERT INTO plain SELECT seq, seq FROM seq_1_to_{ROWS};
DROP TRIGGER keep;
INSERT INTO log SELECT 'the same line', id MOD 3 FROM parent;
CREATE TRIGGER keep BEFORE INSERT ON log FOR EACH ROW SET NEW.n = -1;
ALTER TABLE parent AUTO_INCREMENT = 9000;
"""


Clean = dict[Path, tuple[Rows, dict[tuple[str, str], object]]]


@pytest.fixture(scope="module")
def maria_archive(tmp_path_factory: pytest.TempPathFactory, maria: MariaServer) -> Path:
    """An archive of MariaDB with several chunks for each table, and objects of every kind."""
    name = maria.create_database()
    maria.execute(MARIA_SCRIPT, name)
    archive = tmp_path_factory.mktemp("killed") / "maria.dbsync.tar"
    dbsync.export_database(maria.url(name), str(archive), chunk_bytes=CHUNK_BYTES, jobs=1)
    maria.drop_database(name)
    return archive


@pytest.fixture(scope="module")
def sqlite_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of SQLite, whose definitions are portable ones here."""
    folder = tmp_path_factory.mktemp("killed")
    sqlite_script(folder / "source.sqlite", SCRIPT)
    archive = folder / "source.dbsync.tar"
    url = f"sqlite:///{folder / 'source.sqlite'}"
    dbsync.export_database(url, str(archive), chunk_bytes=CHUNK_BYTES, jobs=1)
    return archive


@pytest.fixture(scope="module")
def clean(maria: MariaServer, maria_archive: Path, sqlite_archive: Path) -> Clean:
    """Rows and definitions after an import of each archive that nothing disturbed."""
    found: Clean = {}
    for archive in (maria_archive, sqlite_archive):
        name = maria.create_database()
        url = maria.url(name)
        dbsync.import_archive(str(archive), url, include_schema=True)
        found[archive] = (maria_rows(url), maria_definitions(url))
        maria.drop_database(name)
    return found


@pytest.mark.parametrize(("stage", "number"), STAGES)
def test_killed_native_import(
    maria_archive: Path, clean: Clean, maria_url: str, stage: str, number: int
) -> None:
    """At every stage, with and without primary keys: same rows, same definitions, no ledger."""
    kill(maria_archive, maria_url, stage, number)
    events = run_again(maria_archive, maria_url)
    assert (maria_rows(maria_url), maria_definitions(maria_url)) == clean[maria_archive]
    if stage == "chunk_done":
        assert resumed(events) >= number
    if stage in ("foreign_keys", "objects", "sequences", "cleanup"):
        assert all(event.resumed for event in events if isinstance(event, ChunkDone))


# What happens at the other stages is the same for definitions of any origin.
@pytest.mark.parametrize(
    ("stage", "number"), [("create", 2), ("chunk_done", 4), ("indexes", 1), ("foreign_keys", 1)]
)
def test_killed_portable_import(
    sqlite_archive: Path, clean: Clean, maria_url: str, stage: str, number: int
) -> None:
    """The same for definitions that came from another engine."""
    kill(sqlite_archive, maria_url, stage, number)
    run_again(sqlite_archive, maria_url)
    assert (maria_rows(maria_url), maria_definitions(maria_url)) == clean[sqlite_archive]


def test_killed_upsert(maria_archive: Path, maria_url: str) -> None:
    """Killed while rows are merged into tables that hold some: the second run ends the work."""
    dbsync.import_archive(str(maria_archive), maria_url, include_schema=True, tables=["parent"])
    maria_query(maria_url, "UPDATE parent SET name = CONCAT('old ', id) WHERE id MOD 2 = 0")
    maria_query(maria_url, "DELETE FROM parent WHERE id MOD 5 = 0")
    kill(maria_archive, maria_url, "chunk_done", 2)
    run_again(maria_archive, maria_url)
    names = maria_query(maria_url, "SELECT COUNT(*), SUM(name = CONCAT('name ', id)) FROM parent")
    assert names == [(ROWS, ROWS)]
    assert maria_query(maria_url, "SHOW TABLES LIKE 'dbsync%'") == []
