"""One moment for all tables: sums stay exact while others move money between rows."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

import dbsync
from dbsync.errors import DbsyncError
from dbsync.pipeline.events import Event, Planned
from tests.integration.rows import pg_query, sqlite_query, sqlite_script

ACCOUNTS = 20_000
BALANCE = 100

SQLITE_WRITER = """
import random, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
choose = random.Random(7)
print("started", flush=True)
while True:
    a, b, amount = choose.randrange(1, 20001), choose.randrange(1, 20001), choose.randrange(50)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE left_side SET balance = balance - ? WHERE id = ?", (amount, a))
    connection.execute("UPDATE right_side SET balance = balance + ? WHERE id = ?", (amount, b))
    connection.execute("COMMIT")
"""


@contextmanager
def _pg_transfers(url: str) -> Iterator[None]:
    stop, started = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def transfer() -> None:
        number = 0
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                number += 1
                a, b = number * 7919 % ACCOUNTS + 1, number * 104729 % ACCOUNTS + 1
                cursor.execute("UPDATE left_side SET balance = balance - 3 WHERE id = %s", (a,))
                cursor.execute("UPDATE right_side SET balance = balance + 3 WHERE id = %s", (b,))
                connection.commit()
                started.set()

    def guarded() -> None:
        try:
            transfer()
        except BaseException as error:  # shown by the test
            failures.append(error)
            started.set()

    thread = threading.Thread(target=guarded)
    thread.start()
    started.wait(30)
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


@pytest.mark.parametrize("jobs", [1, 4])
def test_transfers_on_postgres(pg_url: str, tmp_path: Path, jobs: int) -> None:
    """PostgreSQL: the sum over both tables is exact at one worker and at four."""
    for side in ("left_side", "right_side"):
        pg_query(
            pg_url,
            f"CREATE TABLE {side} (id integer PRIMARY KEY, balance bigint, filler text);"
            f"INSERT INTO {side} SELECT i, {BALANCE}, repeat('x', 200)"
            f" FROM generate_series(1, {ACCOUNTS}) i",
        )
    for run in range(3):
        archive, copy = tmp_path / f"{run}.dbsync.tar", tmp_path / f"{run}.sqlite"
        with _pg_transfers(pg_url):
            result = dbsync.export_database(pg_url, str(archive), jobs=jobs, chunk_bytes=256 << 10)
        assert result.consistency.level == "snapshot"
        dbsync.import_archive(
            str(archive), f"sqlite:///{copy}", include_schema=True, ddl="portable"
        )
        total = sqlite_query(
            copy,
            "SELECT (SELECT sum(balance) FROM left_side) + (SELECT sum(balance) FROM right_side),"
            " (SELECT count(*) FROM left_side)",
        )
        assert total == [(2 * ACCOUNTS * BALANCE, ACCOUNTS)]


@pytest.mark.parametrize("jobs", [1, 4])
def test_transfers_on_sakila(sakila_url: str, tmp_path: Path, jobs: int) -> None:
    """Sakila: while amounts move between payments, their sum in the archive is exact."""
    total = pg_query(sakila_url, "SELECT sum(amount), count(*) FROM payment")
    stop = threading.Event()

    def transfer() -> None:
        with closing(psycopg2.connect(sakila_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT payment_id FROM payment ORDER BY 1")
            ids = [number for (number,) in cursor.fetchall()]
            for step in range(1 << 30):
                if stop.is_set():
                    return
                a, b = ids[step * 7919 % len(ids)], ids[step * 104729 % len(ids)]
                if a != b:
                    change = "UPDATE payment SET amount = amount + %s WHERE payment_id = %s"
                    cursor.execute(change, (-1, a))
                    cursor.execute(change, (1, b))
                connection.commit()

    thread = threading.Thread(target=transfer)
    thread.start()
    try:
        archive = tmp_path / "a.dbsync.tar"
        dbsync.export_database(sakila_url, str(archive), jobs=jobs, chunk_bytes=64 << 10)
    finally:
        stop.set()
        thread.join()
    copy = tmp_path / "copy.sqlite"
    dbsync.import_archive(str(archive), f"sqlite:///{copy}", include_schema=True)
    tables = [
        name
        for (name,) in sqlite_query(
            copy, "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'payment%'"
        )
    ]
    sums = [sqlite_query(copy, f"SELECT sum(amount), count(*) FROM {t}")[0] for t in tables]
    assert round(sum(amount or 0 for amount, _ in sums), 2) == float(total[0][0])
    assert sum(count for _, count in sums) == total[0][1]


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("jobs", [1, 4])
def test_transfers_on_sqlite(tmp_path: Path, journal: str, jobs: int) -> None:
    """SQLite, in both journal modes: the sum over both tables is exact."""
    source = tmp_path / "source.sqlite"
    script = f"PRAGMA journal_mode = {journal};"
    for side in ("left_side", "right_side"):
        script += f"""
        CREATE TABLE {side} (id integer PRIMARY KEY, balance integer, filler text);
        WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {ACCOUNTS})
        INSERT INTO {side} SELECT n, {BALANCE}, hex(zeroblob(100)) FROM i;
        """
    sqlite_script(source, script)
    writer = subprocess.Popen(
        [sys.executable, "-c", SQLITE_WRITER, str(source)], stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(3):
            out = io.BytesIO()
            dbsync.export_database(f"sqlite:///{source}", out, jobs=jobs, chunk_bytes=256 << 10)
            copy = tmp_path / "copy.sqlite"
            copy.unlink(missing_ok=True)
            out.seek(0)
            dbsync.import_archive(out, f"sqlite:///{copy}", include_schema=True)
            with closing(sqlite3.connect(copy)) as connection:
                sums = connection.execute(
                    "SELECT (SELECT sum(balance) FROM left_side)"
                    " + (SELECT sum(balance) FROM right_side)"
                ).fetchall()
            assert sums == [(2 * ACCOUNTS * BALANCE,)]
    finally:
        writer.kill()
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()


@pytest.mark.parametrize(
    "statement",
    ["TRUNCATE moved", "ALTER TABLE moved ALTER COLUMN v TYPE bigint", "DROP TABLE moved"],
)
def test_no_ddl_slips_between_snapshot_and_read(
    pg_url: str, tmp_path: Path, statement: str
) -> None:
    """TRUNCATE, a rewriting ALTER and DROP wait for the export; the rows are never zero."""
    pg_query(
        pg_url, "CREATE TABLE moved (v int); INSERT INTO moved SELECT generate_series(1, 1000)"
    )
    outcome: list[str] = []

    def interfere(event: Event) -> None:
        if not isinstance(event, Planned):
            return
        with closing(psycopg2.connect(pg_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '300ms'")
            try:
                cursor.execute(statement)
                connection.commit()
                outcome.append("done")
            except psycopg2.errors.LockNotAvailable:
                outcome.append("blocked")

    result = dbsync.export_database(pg_url, str(tmp_path / "a.dbsync.tar"), on_event=interfere)
    assert outcome == ["blocked"]
    assert result.rows == 1000


def test_ddl_before_the_snapshot_is_seen_or_reported(pg_url: str) -> None:
    """Tables dropped and made while exports begin give whole exports or a clear error."""
    pg_query(pg_url, "CREATE TABLE stays AS SELECT generate_series(1, 100) AS v")
    stop = threading.Event()

    def churn() -> None:
        with closing(psycopg2.connect(pg_url)) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("CREATE TABLE churned AS SELECT generate_series(1, 100) AS v")
                connection.commit()
                cursor.execute("DROP TABLE churned")
                connection.commit()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(8):
            try:
                result = dbsync.export_database(pg_url, io.BytesIO(), include_schema=False)
            except DbsyncError as error:
                assert "churned" in str(error) or error.retryable  # noqa: PT017
            else:
                rows = {t.table.name: t.rows for t in result.tables}
                assert rows.get("churned", 100) == 100
                assert rows["stays"] == 100
    finally:
        stop.set()
        thread.join()
