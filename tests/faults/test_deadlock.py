"""A deadlock in which the server undoes the import's chunk: the chunk is written again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import dbsync
from dbsync.errors import UndoneError
from dbsync.pipeline.events import ChunkWritten, Event
from tests.integration.maria_rows import maria_connect, maria_query
from tests.integration.rows import pg_query

ROWS = 200


def times_written(events: list[Event]) -> int:
    return sum(isinstance(event, ChunkWritten) for event in events)


def test_a_deadlock_with_another_session(new_maria_url: Callable[[], str], tmp_path: Path) -> None:
    """Another session holds the last row and then asks for the first: the import gives way, and
    writes its chunk again once that session is done."""
    source, target, archive = new_maria_url(), new_maria_url(), str(tmp_path / "a.dbsync.tar")
    table = "CREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL)"
    maria_query(source, f"{table}; INSERT INTO t SELECT seq, 1 FROM seq_1_to_{ROWS}")
    dbsync.export_database(source, archive)
    maria_query(target, f"{table}; INSERT INTO t SELECT seq, 0 FROM seq_1_to_{ROWS}")
    maria_query(target, "CREATE TABLE heavy (id INT PRIMARY KEY)")
    events: list[Event] = []
    failures: list[BaseException] = []

    def importing() -> None:
        try:
            dbsync.import_archive(archive, target, on_event=events.append)
        except BaseException as failure:
            failures.append(failure)

    with closing(maria_connect(target)) as other, other.cursor() as cursor:
        # The server undoes the session that has changed fewer rows.
        cursor.execute("START TRANSACTION")
        cursor.execute("INSERT INTO heavy SELECT seq FROM seq_1_to_5000")
        cursor.execute("UPDATE t SET v = 2 WHERE id = %s", (ROWS,))
        thread = threading.Thread(target=importing)
        thread.start()
        waiting = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
        while maria_query(target, waiting)[0][1] == "0":
            assert thread.is_alive(), failures
        cursor.execute("UPDATE t SET v = 2 WHERE id = 1")
        cursor.execute("COMMIT")
        thread.join()
    assert failures == []
    assert times_written(events) == 2
    assert maria_query(target, "SELECT COUNT(*), SUM(v) FROM t") == [(ROWS, ROWS)]
    assert maria_query(target, "SHOW TABLES LIKE 'dbsync%'") == []


FAILING = """
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.id = 1 AND nextval('tries') <= {times} THEN
    RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.fixture
def archive(new_pg_url: Callable[[], str], tmp_path: Path) -> str:
    """An archive of one table of one chunk."""
    source, path = new_pg_url(), str(tmp_path / "a.dbsync.tar")
    pg_query(source, "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL)")
    pg_query(source, f"INSERT INTO t SELECT n, n FROM generate_series(1, {ROWS}) n")
    dbsync.export_database(source, path)
    return path


def test_verified_rows_are_counted_once(archive: str, pg_url: str) -> None:
    """Who compares the rows in the end has seen each once, however often it was written."""
    pg_query(pg_url, FAILING.format(times=2))
    events: list[Event] = []
    done = dbsync.import_archive(archive, pg_url, verify=True, on_event=events.append)
    assert times_written(events) <= 3
    assert (done.rows, done.tables[0].counts.inserted) == (ROWS, ROWS)
    assert done.verified is not None
    assert done.verified.ok
    assert pg_query(pg_url, "SELECT count(*), last_value FROM t, tries GROUP BY 2") == [(ROWS, 3)]


def test_it_is_not_tried_for_ever(archive: str, pg_url: str) -> None:
    """A chunk that is undone each time ends the import as a failure of the target."""
    pg_query(pg_url, FAILING.format(times=1000))
    with pytest.raises(UndoneError, match=r"could not serialize access.*\[40001\]"):
        dbsync.import_archive(archive, pg_url)
    assert pg_query(pg_url, "SELECT count(*), last_value FROM t, tries GROUP BY 2") == []
    assert pg_query(pg_url, "SELECT last_value FROM tries") == [(5,)]


def test_one_transaction_is_not_tried_again(archive: str, pg_url: str) -> None:
    """Where everything is one transaction, the first such failure ends it."""
    pg_query(pg_url, FAILING.format(times=1))
    with pytest.raises(UndoneError):
        dbsync.import_archive(archive, pg_url, single_transaction=True)
    assert pg_query(pg_url, "SELECT count(*) FROM t") == [(0,)]
