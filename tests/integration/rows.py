"""Reading whole tables without dbsync: the independent judge of what arrived."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

Rows = dict[str, list[tuple[Any, ...]]]


def sqlite_rows(path: Path | str) -> Rows:
    """Return every table's rows with the storage class of each value, sorted."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        tables = [
            name.decode()
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        found: Rows = {}
        for table in tables:
            quoted = table.replace('"', '""')
            rows = connection.execute(f'SELECT * FROM "{quoted}"').fetchall()
            found[table] = sorted(
                (tuple((type(v).__name__, v) for v in row) for row in rows), key=repr
            )
        return found


def sqlite_query(path: Path | str, sql: str) -> list[tuple[Any, ...]]:
    """Run one query on an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def sqlite_run(path: Path | str, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement on an SQLite file and commit it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def sqlite_script(path: Path | str, script: str) -> None:
    """Run a script on an SQLite file, creating the file where there is none."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def pg_query(url: str, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one query on PostgreSQL in a session with plain settings."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET row_security = off")
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []


def pg_tables(url: str) -> list[str]:
    """List the tables of a database, qualified and quoted, without partitions."""
    return [
        name
        for (name,) in pg_query(
            url,
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
            " AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1",
        )
    ]


def pg_rows(url: str) -> Rows:
    """Return every table's rows as the server's own text, sorted."""
    return {
        table: sorted(pg_query(url, f"SELECT t::text FROM {table} t")) for table in pg_tables(url)
    }


def pg_sequences(url: str) -> dict[str, int]:
    """Return the next value that each sequence would give."""
    names = [
        name
        for (name,) in pg_query(
            url,
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind = 'S'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
        )
    ]
    return {
        name: pg_query(
            url,
            "SELECT CASE WHEN is_called THEN last_value + (SELECT seqincrement FROM pg_sequence"
            f" WHERE seqrelid = '{name}'::regclass) ELSE last_value END FROM {name}",
        )[0][0]
        for name in names
    }
