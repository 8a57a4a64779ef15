"""The same questions to a database of any engine, by its own driver."""

from __future__ import annotations

from typing import Any

from tests.integration.maria_rows import maria_query
from tests.integration.rows import pg_query, sqlite_query, sqlite_run

ENGINES = ("sqlite", "postgresql", "mysql")


def engine_of(url: str) -> str:
    """Name the engine of a URL."""
    return url.partition(":")[0]


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement on whatever engine, for good."""
    match engine_of(url):
        case "sqlite":
            return sqlite_run(url.removeprefix("sqlite:///"), sql)
        case "postgresql":
            return pg_query(url, sql)
        case _:
            return maria_query(url, sql)


def quote(url: str, name: str) -> str:
    """Quote a name for the engine of `url`."""
    return f"`{name}`" if engine_of(url) == "mysql" else f'"{name}"'


def columns(url: str, table: str) -> list[str]:
    """List a table's columns in their order."""
    match engine_of(url):
        case "sqlite":
            path = url.removeprefix("sqlite:///")
            return [row[1] for row in sqlite_query(path, f'PRAGMA table_info("{table}")')]
        case "postgresql":
            here = "current_schema()"
        case _:
            here = "DATABASE()"
    return [
        name
        for (name,) in query(
            url,
            "SELECT column_name FROM information_schema.columns"
            f" WHERE table_schema = {here} AND table_name = '{table}' ORDER BY ordinal_position",
        )
    ]


def tables(url: str) -> list[str]:
    """List the tables of a database."""
    match engine_of(url):
        case "sqlite":
            sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
            sql += " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        case "postgresql":
            sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        case _:
            sql = "SHOW TABLES"
    return sorted(name for (name,) in query(url, sql))
