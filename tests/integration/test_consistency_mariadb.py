"""One moment for all tables of MariaDB: exact sums at any number of jobs, whatever the rights."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql
import pytest

import dbsync
from dbsync.errors import DbsyncError
from dbsync.pipeline.events import Event, Planned
from dbsync.pipeline.results import ExportResult
from tests.integration.maria_rows import maria_connect, maria_query
from tests.integration.rows import sqlite_query
from tests.servers import MariaServer

ACCOUNTS = 20_000
BALANCE = 100
LOCK_WAIT_TIMEOUT = 1205


def _accounts(url: str) -> None:
    for side in ("left_side", "right_side"):
        maria_query(
            url,
            f"CREATE TABLE {side} (id int PRIMARY KEY, balance bigint, filler varchar(200));"
            f"INSERT INTO {side} SELECT seq, {BALANCE}, REPEAT('x', 200)"
            f" FROM seq_1_to_{ACCOUNTS}",
        )


@contextmanager
def _transfers(url: str) -> Generator[None, None, None]:
    """Move amounts from one table to the other until the block ends, and fail if that failed."""
    stop, started = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def transfer() -> None:
        number = 0
        with closing(maria_connect(url)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                number += 1
                a, b = number * 7919 % ACCOUNTS + 1, number * 104729 % ACCOUNTS + 1
                cursor.execute("BEGIN")
                cursor.execute("UPDATE left_side SET balance = balance - 3 WHERE id = %s", (a,))
                cursor.execute("UPDATE right_side SET balance = balance + 3 WHERE id = %s", (b,))
                cursor.execute("COMMIT")
                started.set()

    def guarded() -> None:
        try:
            transfer()
        except BaseException as error:  # shown by the test
            failures.append(error)
            started.set()

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    assert started.wait(30), "no transfer was committed"
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "a transfer hangs"
    assert failures == []


def _export_while_writing(url: str, writer_url: str, folder: Path, jobs: int) -> ExportResult:
    """Export under transfers, import into SQLite, and require the exact sum."""
    archive, copy = folder / "a.dbsync.tar", folder / "a.sqlite"
    for old in (archive, copy):
        old.unlink(missing_ok=True)
    with _transfers(writer_url):
        result = dbsync.export_database(url, str(archive), jobs=jobs, chunk_bytes=256 << 10)
    dbsync.import_archive(str(archive), f"sqlite:///{copy}", include_schema=True)
    total = sqlite_query(
        copy,
        "SELECT (SELECT sum(balance) FROM left_side) + (SELECT sum(balance) FROM right_side),"
        " (SELECT count(*) FROM left_side), (SELECT count(*) FROM right_side)",
    )
    assert total == [(2 * ACCOUNTS * BALANCE, ACCOUNTS, ACCOUNTS)]
    return result


@pytest.mark.parametrize("jobs", [1, 4])
def test_transfers(maria_url: str, tmp_path: Path, jobs: int) -> None:
    """The sum over both tables is exact at one worker and at four."""
    _accounts(maria_url)
    for _ in range(3):
        result = _export_while_writing(maria_url, maria_url, tmp_path, jobs)
        assert result.consistency.level == "snapshot"


@pytest.mark.parametrize("jobs", [1, 4])
def test_transfers_with_a_binary_log(
    maria_with_binlog: MariaServer, tmp_path: Path, jobs: int
) -> None:
    """The same on a server that writes a binary log, where the position is part of the moment."""
    name = maria_with_binlog.create_database()
    url = maria_with_binlog.url(name)
    _accounts(url)
    result = _export_while_writing(url, url, tmp_path, jobs)
    assert result.consistency.level == "snapshot"
    assert "binlog" in str(result.consistency.token)
    maria_with_binlog.drop_database(name)


@pytest.mark.parametrize("rights", ["SELECT, LOCK TABLES", "SELECT"])
def test_transfers_without_reload(
    maria: MariaServer, maria_url: str, tmp_path: Path, rights: str
) -> None:
    """Without RELOAD the sum is exact all the same, and the archive says how that was done."""
    _accounts(maria_url)
    name = maria_url.rpartition("/")[2]
    with maria.account("modest", f"{rights} ON `{name}`.*"):
        url = maria.url(name, user="modest")
        for _ in range(2):
            reached = _export_while_writing(url, maria_url, tmp_path, 4).consistency
            assert reached.level == "snapshot"
            assert "RELOAD" in str(reached.note)


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE moved",
        "ALTER TABLE moved MODIFY v bigint",
        "ALTER TABLE moved ADD COLUMN w int",
        "DROP TABLE moved",
        "RENAME TABLE moved TO elsewhere",
    ],
)
@pytest.mark.parametrize("jobs", [1, 4])
def test_no_ddl_slips_between_snapshot_and_read(
    maria_url: str, tmp_path: Path, statement: str, jobs: int
) -> None:
    """TRUNCATE, ALTER, DROP and RENAME wait for the export; the rows are never zero."""
    maria_query(
        maria_url,
        "CREATE TABLE moved (id int PRIMARY KEY, v int);"
        "INSERT INTO moved SELECT seq, seq FROM seq_1_to_1000;"
        "CREATE TABLE other (id int PRIMARY KEY, v int)",
    )
    outcome: list[object] = []

    def interfere(event: Event) -> None:
        if not isinstance(event, Planned):
            return
        with closing(maria_connect(maria_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
            cursor.execute("INSERT INTO other VALUES (1, 1)")  # commits are not held back any more
            try:
                cursor.execute(statement)
                outcome.append("done")
            except pymysql.err.OperationalError as error:
                outcome.append(error.args[0])

    archive = tmp_path / "a.dbsync.tar"
    result = dbsync.export_database(maria_url, str(archive), jobs=jobs, on_event=interfere)
    assert outcome == [LOCK_WAIT_TIMEOUT]
    assert {t.table.name: t.rows for t in result.tables} == {"moved": 1000, "other": 0}
    assert maria_query(maria_url, "SELECT count(*) FROM moved") == [(1000,)]


def test_ddl_while_exports_begin(maria_url: str, tmp_path: Path) -> None:
    """Tables truncated, dropped and made while exports begin give whole exports or an error."""
    maria_query(
        maria_url,
        "CREATE TABLE stays (v int); INSERT INTO stays SELECT seq FROM seq_1_to_100",
    )
    stop = threading.Event()

    def churn() -> None:
        with closing(maria_connect(maria_url)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("CREATE TABLE churned AS SELECT seq AS v FROM seq_1_to_100")
                while cursor.nextset():
                    pass
                cursor.execute("DROP TABLE churned")

    thread = threading.Thread(target=churn, daemon=True)
    thread.start()
    try:
        for number in range(6):
            archive = tmp_path / f"{number}.dbsync.tar"
            try:
                result = dbsync.export_database(maria_url, str(archive), jobs=2)
            except DbsyncError as error:
                assert "churned" in str(error) or error.retryable  # noqa: PT017
            else:
                rows = {t.table.name: t.rows for t in result.tables}
                assert rows.get("churned", 100) == 100
                assert rows["stays"] == 100
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "a statement hangs"


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
def test_tables_without_transactions_are_reported(
    maria_url: str, tmp_path: Path, engine: str
) -> None:
    """A table that no snapshot covers is named in the archive's note and in its losses."""
    maria_query(
        maria_url,
        f"CREATE TABLE unsafe (v int) ENGINE = {engine}; INSERT INTO unsafe VALUES (1);"
        "CREATE TABLE safe (v int PRIMARY KEY) ENGINE = InnoDB",
    )
    result = dbsync.export_database(maria_url, str(tmp_path / "a.dbsync.tar"))
    assert "unsafe" in str(result.consistency.note)
    assert "unsafe" in " ".join(loss.object for loss in result.losses)
    assert "safe" not in str(result.consistency.note).replace("unsafe", "")
    assert dbsync.inspect(str(tmp_path / "a.dbsync.tar")).consistency == result.consistency
