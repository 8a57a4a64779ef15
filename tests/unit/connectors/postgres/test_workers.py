"""Rows are read alike over every kind of connection, and a reader that stops leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pyarrow as pa
import pytest

from dbsync.connectors.postgres import channel
from dbsync.connectors.postgres.channel import PlainChannel, TlsChannel, open_channel
from dbsync.errors import SourceError
from tests.servers import PostgresServer
from tests.servers.certificates import Certificates
from tests.servers.tls_proxy import TlsProxy
from tests.unit.connectors.postgres.reading import batches, public, snapshot

KINDS = ("socket", "OpenSSL", "libpq")


@pytest.fixture
def proxy(pg18: PostgresServer, certificates: Certificates) -> Iterator[TlsProxy]:
    """TLS in front of the server."""
    with TlsProxy(urlsplit(pg18.url()).port or 0, certificates) as proxy:
        yield proxy


@pytest.fixture(params=KINDS)
def url(
    request: pytest.FixtureRequest,
    pg_url: str,
    proxy: TlsProxy,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The URL of an empty database whose rows come in the way that the parameter names."""
    kind: str = request.param
    if kind == "socket":
        return pg_url
    if kind == "libpq":
        monkeypatch.setattr(channel, "_openssl", lambda: None)
    port = urlsplit(pg_url).port
    secure = f"?sslmode=verify-full&sslrootcert={certificates.authority}"
    return pg_url.replace(f":{port}/", f":{proxy.port}/") + secure


def run(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.encode())


def test_each_kind_of_connection_is_read_in_its_own_way(
    pg_url: str, proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain one through its socket, TLS through OpenSSL, and through libpq without OpenSSL."""
    with closing(psycopg2.connect(pg_url)) as plain:
        assert isinstance(open_channel(plain), PlainChannel)
    secure = pg_url.replace(f":{urlsplit(pg_url).port}/", f":{proxy.port}/") + "?sslmode=require"
    with closing(psycopg2.connect(secure)) as encrypted:
        assert isinstance(open_channel(encrypted), TlsChannel)
        assert proxy.encrypted == 1
        monkeypatch.setattr(channel, "_openssl", lambda: None)
        assert open_channel(encrypted) is None


def test_rows_of_all_sizes_come_in_order(url: str) -> None:
    """Small rows, some of 20 MB, empty tables and tables without columns, one after another."""
    run(
        url,
        "CREATE TABLE t AS SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE repeat('d', i % 300) END v"
        " FROM generate_series(1, 30000) i",
        "INSERT INTO t SELECT 30000 + i, repeat('x', i * 10000000) FROM generate_series(1, 2) i",
        "INSERT INTO t VALUES (30003, 'the last')",
        "CREATE TABLE empty (a int)",
        "CREATE TABLE bare ()",
        "INSERT INTO bare SELECT FROM generate_series(1, 70000)",
    )
    with snapshot(url) as snap:
        table = snap.database.table(public("t"))
        for _ in range(2):
            found = pa.Table.from_batches(batches(snap, table)).to_pydict()
            assert found["i"] == list(range(1, 30004))
            for number, value in zip(found["i"], found["v"], strict=True):
                if number <= 30000:
                    assert value == (None if number % 7 == 0 else "d" * (number % 300))
            assert [v if v is None else len(v) for v in found["v"][-3:]] == [10**7, 2 * 10**7, 8]
        assert batches(snap, snap.database.table(public("empty"))) == []
        bare = batches(snap, snap.database.table(public("bare")))
        assert sum(batch.num_rows for batch in bare) == 70000


def test_a_reader_that_stops_early_frees_the_server(url: str) -> None:
    """Closing the rows in the middle ends the query, and other rows can be read."""
    run(url, "CREATE TABLE t AS SELECT i, repeat('x', 200) v FROM generate_series(1, 300000) i")
    threads = threading.active_count()
    with snapshot(url) as snap:
        table = snap.database.table(public("t"))
        (partition,) = snap.partitions(table, 1 << 30)
        for _ in range(3):
            rows: Any = snap.read(table, partition)
            assert next(rows).num_rows > 0
            rows.close()
        assert sum(batch.num_rows for batch in batches(snap, table)) == 300000
    assert threading.active_count() <= threads
    # Not before every reader's transaction has ended.
    run(url, "SET lock_timeout = '30s'", "DROP TABLE t")


def test_an_error_while_rows_come_is_the_servers_own(url: str) -> None:
    """A value that cannot be computed in the middle of the table ends with its SQLSTATE."""
    run(
        url,
        "CREATE TABLE t AS SELECT i, repeat('x', 100) v FROM generate_series(1, 100000) i",
    )
    with snapshot(url, where={"*": "1 / (i - 90000) < 2"}) as snap:
        table = snap.database.table(public("t"))
        with pytest.raises(SourceError, match=r"reading table public\.t failed: .*zero.*\[22012\]"):
            batches(snap, table)


def test_a_notice_with_each_row_is_not_in_the_way(url: str) -> None:
    """A function in the condition may say what it likes."""
    run(
        url,
        "CREATE TABLE t AS SELECT i FROM generate_series(1, 5000) i",
        "CREATE FUNCTION loud(i int) RETURNS bool LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE WARNING 'row %', i; RETURN i % 2 = 0; END $$",
    )
    with snapshot(url, where={"*": "public.loud(i)"}) as snap:
        found = batches(snap, snap.database.table(public("t")))
    assert sum(batch.num_rows for batch in found) == 2500


def test_a_condition_is_one_condition(url: str) -> None:
    """One that closes its parenthesis and goes on with another statement is refused, not run."""
    run(url, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)", "CREATE TABLE u (i int)")
    for condition in (
        "true) LIMIT 0; COMMIT; DROP TABLE public.u; SELECT NULL::tsvector FROM t WHERE (true",
        "true); COMMIT; DROP TABLE public.u; SELECT NULL::tsvector WHERE (true",
        "true)) TO STDOUT (FORMAT binary); COMMIT; DROP TABLE public.u; COPY (SELECT 1 WHERE (true",
    ):
        with pytest.raises(SourceError), snapshot(url, tables=("t",), where={"*": condition}):
            pass
    run(url, "SELECT * FROM u")


def test_names_and_conditions_need_not_be_ascii(pg18: PostgresServer) -> None:
    """Where text comes as it is stored, names and conditions are still those of the server."""
    name = pg18.create_database(options="ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        statement = """CREATE TABLE "Größe" AS SELECT unnest(ARRAY['ü', 'x']) "é\""""
        run(pg18.url(name), statement)
        with snapshot(pg18.url(name), where={"*": "\"é\" = 'ü'"}) as snap:
            (batch,) = batches(snap, snap.database.table(public("Größe")))
        assert batch.to_pydict() == {"é": ["ü"]}
    finally:
        pg18.drop_database(name)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_cut_connection_is_an_error_that_may_be_tried_again(
    kind: str, pg_url: str, proxy: TlsProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encrypted connection that is lost in the middle says so."""
    if kind == "libpq":
        monkeypatch.setattr(channel, "_openssl", lambda: None)
    run(pg_url, "CREATE TABLE t AS SELECT i, repeat('x', 200) v FROM generate_series(1, 50000) i")
    secure = pg_url.replace(f":{urlsplit(pg_url).port}/", f":{proxy.port}/") + "?sslmode=require"
    with snapshot(secure) as snap:
        table = snap.database.table(public("t"))
        proxy.cut_after = 3_000_000
        with pytest.raises(SourceError, match=r"(reading|holding) .* failed: ") as caught:
            batches(snap, table)
    assert caught.value.retryable


def test_a_killed_backend_is_an_error_that_may_be_tried_again(url: str, pg_url: str) -> None:
    """The words of the server that ends a connection come through."""
    run(url, "CREATE TABLE t AS SELECT i, repeat('x', 200) v FROM generate_series(1, 300000) i")
    with snapshot(url) as snap:
        table = snap.database.table(public("t"))
        (partition,) = snap.partitions(table, 1 << 30)
        rows: Any = snap.read(table, partition)
        next(rows)
        run(
            pg_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (%'"
            " AND datname = current_database()",
        )
        with pytest.raises(SourceError, match=r"reading table public\.t failed") as caught:
            list(rows)
    assert caught.value.retryable
