"""One moment for all tables: writers, TRUNCATE, ALTER, locks, rights and lost sessions."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from dbsync.connectors.postgres import holder as holder_module
from dbsync.connectors.postgres.source import PostgresSource
from dbsync.errors import ConflictError, SourceError
from dbsync.model.selection import Selection
from tests.servers import PASSWORD, PostgresServer, unprivileged
from tests.unit.connectors.postgres.reading import batches, count, public, snapshot


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


@pytest.fixture
def database(pg18: PostgresServer, pg_url: str) -> str:
    """A database with two accounts and a table of a thousand rows in several pages."""
    name = _name(pg_url)
    pg18.execute(
        """
        CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
        INSERT INTO account VALUES (1, 1000000), (2, 1000000);
        CREATE TABLE filler (id int PRIMARY KEY, note text);
        INSERT INTO filler SELECT g, repeat('x', 400) FROM generate_series(1, 1000) g;
        """,
        name,
    )
    return name


@pytest.fixture
def connection(pg18: PostgresServer, database: str) -> Iterator[psycopg2.extensions.connection]:
    """A second session of the tests' own."""
    connection = pg18.connect(database)
    yield connection
    connection.close()


@pytest.mark.parametrize("workers", [1, 4])
def test_sums_stay_exact_while_money_moves(pg18: PostgresServer, pg_url: str, workers: int) -> None:
    """All tables and ranges belong to one moment, however many workers read while rows change."""
    name = _name(pg_url)
    for table in ("left_side", "right_side"):
        pg18.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, balance bigint, pad text);"
            f"INSERT INTO {table} SELECT g, 1000, repeat('x', 500) FROM generate_series(1, 500) g",
            name,
        )
    stop = threading.Event()
    started = threading.Barrier(3)
    failures: list[BaseException] = []

    def transfer(seed: int) -> None:
        try:
            own = pg18.connect(name, autocommit=False)
            try:
                with own.cursor() as cursor:
                    turn = 0
                    while not stop.is_set():
                        turn += 1
                        row = (seed * 250 + turn * 7) % 500 + 1
                        cursor.execute(
                            "UPDATE left_side SET balance = balance - 1 WHERE id = %s", (row,)
                        )
                        cursor.execute(
                            "UPDATE right_side SET balance = balance + 1 WHERE id = %s", (row,)
                        )
                        own.commit()
                        if turn == 1:
                            started.wait(30)
            finally:
                own.close()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=transfer, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        started.wait(30)
        with snapshot(pg_url) as snap, ThreadPoolExecutor(workers) as pool:
            tasks = [
                (table, partition)
                for table in snap.database.tables
                for partition in snap.partitions(table, 20_000)
            ]
            assert len(tasks) > 8
            read = pool.map(lambda task: list(snap.read(*task)), tasks)
            rows = [batch for found in read for batch in found]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert sum(sum(batch.column("balance").to_pylist()) for batch in rows) == 1_000_000
    assert sum(batch.num_rows for batch in rows) == 1000


@pytest.mark.parametrize(
    "statement", ["TRUNCATE filler", "ALTER TABLE filler ALTER id TYPE bigint", "DROP TABLE filler"]
)
def test_what_would_empty_a_table_waits_for_the_snapshot(
    pg18: PostgresServer, database: str, connection: psycopg2.extensions.connection, statement: str
) -> None:
    """TRUNCATE, a rewriting ALTER and DROP are blocked from before the snapshot until its end."""
    with snapshot(pg18.url(database)) as snap:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                cursor.execute(statement)
        assert count(snap, public("filler")) == 1000


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE filler",
        "ALTER TABLE filler ALTER id TYPE bigint",
        "DROP TABLE filler; CREATE TABLE filler (other int); INSERT INTO filler VALUES (1)",
        "CREATE TABLE added (id int); INSERT INTO added VALUES (1)",
        "ALTER TABLE filler RENAME TO renamed",
    ],
)
def test_a_change_between_the_first_look_and_the_locks_is_seen(
    pg18: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """What another session did before the locks were there shows as a whole, or starts it over."""
    real = holder_module._lock
    calls: list[int] = []

    def change_first(catalog: object, *rest: object) -> bool:
        calls.append(1)
        if len(calls) == 1:
            pg18.execute(change, database)
        return real(catalog, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(holder_module, "_lock", change_first)
    with snapshot(pg18.url(database)) as snap:
        found = {
            table.name.name: sum(b.num_rows for b in batches(snap, table))
            for table in snap.database.tables
        }
        types = {
            (t.name.name, c.name): c.native_type for t in snap.database.tables for c in t.columns
        }
    expected = {"account": 2, "filler": 1000}
    if "TRUNCATE" in change:
        expected["filler"] = 0
    elif "bigint" in change:
        assert types["filler", "id"] == "bigint"
    elif "DROP" in change:
        expected["filler"] = 1
        assert ("filler", "other") in types
    elif "CREATE" in change:
        expected["added"] = 1
    else:
        expected = {"account": 2, "renamed": 1000}
    assert found == expected
    assert len(calls) == (1 if "TRUNCATE" in change or "bigint" in change else 2)


def test_a_schema_that_never_stands_still_is_a_conflict(
    pg18: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting over is bounded."""
    real = holder_module._lock
    calls: list[int] = []

    def change_always(catalog: object, *rest: object) -> bool:
        calls.append(1)
        pg18.execute(f"CREATE TABLE t{len(calls)} (id int)", database)
        return real(catalog, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(holder_module, "_lock", change_always)
    with (
        pytest.raises(ConflictError, match="created, dropped or renamed"),
        snapshot(pg18.url(database)),
    ):
        pass
    assert len(calls) == 10


def test_a_held_lock_is_a_conflict_that_names_the_table(
    pg18: PostgresServer, database: str
) -> None:
    """Waiting for a lock ends, with the table that is held."""
    other = pg18.connect(database, autocommit=False)
    source = PostgresSource(pg18.url(database), lock_timeout_s=1)
    try:
        other.cursor().execute("LOCK TABLE filler IN ACCESS EXCLUSIVE MODE")
        with (
            pytest.raises(ConflictError, match=r'"filler"') as caught,
            source.snapshot(Selection()),
        ):
            pass
        assert '"account"' not in caught.value.message
        assert caught.value.retryable
    finally:
        other.close()
        source.close()


def test_rows_written_after_the_snapshot_are_not_read(pg18: PostgresServer, database: str) -> None:
    """Inserts, deletes and updates of others stay outside, also for workers that start later."""
    with snapshot(pg18.url(database)) as snap:
        pg18.execute("INSERT INTO filler VALUES (5000, 'new'); DELETE FROM filler WHERE id < 100",
                     database)  # fmt: skip
        assert count(snap, public("filler")) == 1000
        assert count(snap, public("filler"), 50_000) == 1000


def test_a_lost_holder_is_an_error_and_never_missing_rows(
    pg18: PostgresServer, database: str
) -> None:
    """When the sessions with the locks are gone, a table may be empty: reading refuses."""
    with snapshot(pg18.url(database)) as snap:
        filler = snap.database.table(public("filler"))
        assert count(snap, public("account")) == 2
        pg18.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND state = 'idle in transaction'"
        )
        pg18.execute("SET lock_timeout = '5s'; TRUNCATE filler", database)
        with pytest.raises(SourceError, match="filler") as caught:
            batches(snap, filler)
        assert caught.value.hint


def test_rows_are_read_while_an_alter_waits(pg18: PostgresServer, database: str) -> None:
    """An ALTER that waits for the snapshot holds up no worker; one that comes later says so.

    PostgreSQL grants no lock past a waiting ALTER, and sees no deadlock when that ALTER waits for
    a session that only its client keeps open.
    """
    waiting = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        f"WHERE NOT granted AND datname = '{database}'"
    )
    altering = threading.Thread(
        target=pg18.execute, args=("ALTER TABLE filler ADD more int", database)
    )
    with snapshot(pg18.url(database)) as snap:
        filler = snap.database.table(public("filler"))
        altering.start()
        with pg18.connect(database) as other, other.cursor() as cursor:
            found = 0
            while not found:
                cursor.execute(waiting)
                ((found,),) = cursor.fetchall()
        other.close()
        assert count(snap, filler.name) == 1000
        (partition,) = snap.partitions(filler, 1 << 30)
        readers = [snap.read(filler, partition) for _ in range(3)]
        with pytest.raises(ConflictError) as caught:
            list(map(next, readers))
        assert caught.value.retryable
        for reader in readers:
            reader.close()  # type: ignore[attr-defined]
    altering.join()


def test_a_lost_worker_is_an_error_that_names_the_table(
    pg18: PostgresServer, database: str
) -> None:
    """A connection that ends in the middle of a result never looks like its end."""
    pg18.execute(
        "INSERT INTO filler SELECT g, repeat('y', 400) FROM generate_series(2000, 90000) g",
        database,
    )
    with snapshot(pg18.url(database)) as snap:
        filler = snap.database.table(public("filler"))
        (partition,) = snap.partitions(filler, 1 << 40)
        rows = snap.read(filler, partition)
        next(rows)
        pg18.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND query LIKE 'COPY%' AND state = 'active'"
        )
        with pytest.raises(SourceError, match=r"public\.filler") as caught:
            list(rows)
        assert caught.value.retryable


def test_an_abandoned_read_frees_its_connection(pg18: PostgresServer, database: str) -> None:
    """Closing an iterator early does not disturb later reads, nor leave a session behind."""
    with snapshot(pg18.url(database)) as snap:
        filler = snap.database.table(public("filler"))
        for _ in range(5):
            rows = snap.read(filler, snap.partitions(filler, 1 << 40)[0])
            next(rows)
            rows.close()  # type: ignore[attr-defined]
        assert count(snap, public("filler")) == 1000
        sessions = pg18.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
        )[0][0]
        assert int(str(sessions)) <= 9
    with snapshot(pg18.url(database)) as snap:
        pass


def test_ending_a_snapshot_stops_readers(pg18: PostgresServer, database: str) -> None:
    """A worker in the middle of a long query gets an error soon, not after the whole table."""
    with snapshot(pg18.url(database), where={"filler": "pg_sleep(0.2) IS NOT NULL"}) as snap:
        filler = snap.database.table(public("filler"))
        with ThreadPoolExecutor(1) as pool:
            started = threading.Event()

            def read() -> None:
                started.set()
                batches(snap, filler)

            task = pool.submit(read)
            started.wait(10)
            while not pg18.execute(
                f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database}' "
                "AND wait_event = 'PgSleep'"
            ):
                pass
            snap._workers.close()  # type: ignore[attr-defined]
            with pytest.raises(SourceError):
                task.result(30)


def test_missing_rights_are_named_before_anything_is_read(
    pg18: PostgresServer, database: str
) -> None:
    """All tables that this role may not read are listed at once, with the grant to ask for."""
    with pg18.role("reader") as role:
        with pytest.raises(SourceError) as caught, snapshot(pg18.url(database, user=role)):
            pass
        assert "public.account, public.filler" in caught.value.message
        assert "GRANT SELECT" in (caught.value.hint or "")
        pg18.execute("GRANT SELECT ON filler TO reader", database)
        with (
            pytest.raises(SourceError, match=r"public\.account") as caught,
            snapshot(pg18.url(database, user=role)),
        ):
            pass
        assert "filler" not in caught.value.message
        with snapshot(pg18.url(database, user=role), tables=("filler",)) as snap:
            assert count(snap, public("filler")) == 1000


def test_column_rights_suffice_and_are_said_to_be_unlocked(
    pg18: PostgresServer, database: str
) -> None:
    """A role with rights on columns reads those; a table emptied meanwhile is reported."""
    with pg18.role("partial") as role:
        pg18.execute("GRANT SELECT (id) ON filler TO partial", database)
        url = pg18.url(database, user=role)
        with (
            pytest.raises(SourceError, match=r"may not read table public\.filler"),
            snapshot(url, tables=("filler",)),
        ):
            pass
        columns = {"filler": ("id",)}
        with snapshot(url, tables=("filler",), columns=columns) as snap:
            assert "not locked" in (snap.consistency.note or "")
            assert count(snap, public("filler")) == 1000
        with snapshot(url, tables=("filler",), columns=columns) as snap:
            pg18.execute("TRUNCATE filler", database)
            with pytest.raises(SourceError, match="truncated or rewritten"):
                count(snap, public("filler"))


def test_row_security_that_hides_rows_is_refused(pg18: PostgresServer, database: str) -> None:
    """Rows hidden by a policy are an error with the right that is missing, not a small archive."""
    pg18.execute(
        "ALTER TABLE filler ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON filler USING (id < 10)",
        database,
    )
    with pg18.role("watched") as role, pg18.role("trusted", "BYPASSRLS") as trusted:
        pg18.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO watched, trusted", database)
        with (
            pytest.raises(SourceError, match=r"row-level security.*public\.filler") as caught,
            snapshot(pg18.url(database, user=role)),
        ):
            pass
        assert "BYPASSRLS" in (caught.value.hint or "")
        with snapshot(pg18.url(database, user=role), exclude=("filler",)) as snap:
            assert count(snap, public("account")) == 2
        with snapshot(pg18.url(database, user=trusted)) as snap:
            assert count(snap, public("filler")) == 1000


def test_a_schema_without_usage_is_a_missing_right(pg18: PostgresServer, database: str) -> None:
    """SELECT on a table is not enough without USAGE on its schema."""
    pg18.execute("CREATE SCHEMA closed; CREATE TABLE closed.t (id int)", database)
    with pg18.role("outside") as role:
        pg18.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, closed TO outside", database)
        with (
            pytest.raises(SourceError, match=r"may not read table closed\.t"),
            snapshot(pg18.url(database, user=role)),
        ):
            pass


def test_a_wrong_password_and_a_dead_port_never_show_the_password(pg18: PostgresServer) -> None:
    """Failing to connect is a source error with a hint and without the secret."""
    wrong = pg18.url().replace("S3cr3t", "Wrong-S3cr3t")
    dead = pg18.url().replace(f":{pg18.port}", ":1")
    for url, hint in ((wrong, "password"), (dead, "server is up"), (pg18.url("nope"), "database")):
        with pytest.raises(SourceError) as caught:
            PostgresSource(url)
        text = f"{caught.value} {caught.value.hint}"
        assert PASSWORD not in text
        assert "S3cr3t" not in text
        assert hint in (caught.value.hint or "")


def test_a_hot_standby_can_be_read_and_says_so(pg18: PostgresServer, database: str) -> None:
    """On a standby the snapshot and the locks work, and the consistency note names it."""
    standby = pg18.clone()
    try:
        standby.folder.chmod(0o777)
        standby._make_reachable()
        subprocess.run(
            [str(standby.bin / "pg_basebackup"), "-D", str(standby.data), "-R", "-c", "fast",
             "-d", pg18.url()],
            check=True, capture_output=True, cwd=standby.folder,
            **unprivileged(),  # type: ignore[call-overload]
        )  # fmt: skip
        standby.run()
        with snapshot(standby.url(database)) as snap:
            assert "hot standby" in (snap.consistency.note or "")
            assert snap.consistency.level == "snapshot"
            assert count(snap, public("filler"), 50_000) == 1000
            assert snap.database.details["standby"] == "true"
    finally:
        standby.stop()
