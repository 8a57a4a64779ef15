"""One account's databases and tables, with their rows in DuckDB.

A table's row counter lags: rows that an import committed are counted when `refresh_counters` is
called and not before, as the service may take minutes. Queries see committed rows at once.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from tests.fakes.treasuredata import types
from tests.fakes.treasuredata.accounts import Refusal

Columns = list[list[str]]
"""Name, type and, if it has one, alias of each column."""

_NAME = re.compile(r"[a-z0-9_]{3,128}")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = {"time", "v"}

# What queries of the service may call and DuckDB does not have.
_MACROS = """
CREATE MACRO td_instant(i, z) AS coalesce(try_cast(i AS BIGINT),
  cast(floor(epoch(try_cast(i AS TIMESTAMP) AT TIME ZONE z)) AS BIGINT));
CREATE MACRO td_time_range(t, a, b) AS
  (a IS NULL OR t >= td_instant(a, 'UTC')) AND (b IS NULL OR t < td_instant(b, 'UTC')),
  (t, a, b, z) AS (a IS NULL OR t >= td_instant(a, z)) AND (b IS NULL OR t < td_instant(b, z));
CREATE MACRO json_format(j) AS CAST(j AS VARCHAR);
CREATE MACRO from_unixtime(t) AS make_timestamp(t * 1000000);
CREATE MACRO to_unixtime(t) AS epoch(t)
"""


@dataclass
class Table:
    """What the service knows of a table beside its rows."""

    name: str
    id: int = 0
    """Goes with the rows when names are swapped."""
    columns: Columns = field(default_factory=list)
    expire_days: int | None = None
    count: int = 0
    uncounted: int = 0
    created: str = ""
    updated: str = ""


@dataclass
class Database:
    """One database."""

    name: str
    created: str
    tables: dict[str, Table] = field(default_factory=dict)


class Catalog:
    """The databases of one account."""

    def __init__(self, name: str):
        self.name = name
        self.databases: dict[str, Database] = {}
        self.lock = threading.RLock()
        self.version = 0
        """Goes up with every change that a query could see."""
        self._tables_made = 0
        self._root = duckdb.connect(":memory:")
        self._root.execute("SET threads = 2; SET TimeZone = 'UTC'")
        for macro in _MACROS.split(";"):
            self._root.execute(macro)

    def close(self) -> None:
        """Forget everything."""
        self._root.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a connection to the rows."""
        return self._root.cursor()

    # Databases

    def database(self, name: str) -> Database:
        """Return a database, or refuse with 404."""
        if name not in self.databases:
            raise Refusal(404, f"Resource not found: database {name}")
        return self.databases[name]

    def create_database(self, name: str) -> Database:
        """Make a database."""
        _check_name(name)
        with self.lock:
            if name in self.databases:
                raise Refusal(409, f"Database {name} already exists")
            self._root.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"')
            self.databases[name] = Database(name, _now())
            return self.databases[name]

    def delete_database(self, name: str) -> None:
        """Delete a database with its tables."""
        with self.lock:
            self.database(name)
            self._root.execute(f'DROP SCHEMA "{name}" CASCADE')
            del self.databases[name]
            self.version += 1

    # Tables

    def table(self, database: str, name: str) -> Table:
        """Return a table, or refuse with 404."""
        tables = self.database(database).tables
        if name not in tables:
            raise Refusal(404, f"Resource not found: table {database}.{name}")
        return tables[name]

    def create_table(self, database: str, name: str) -> Table:
        """Make an empty table without columns."""
        _check_name(name)
        with self.lock:
            tables = self.database(database).tables
            if name in tables:
                raise Refusal(409, f"Table {database}.{name} already exists")
            self._root.execute(f'CREATE TABLE "{database}"."{name}" ("time" BIGINT)')
            self._tables_made += 1
            tables[name] = Table(name, self._tables_made, created=_now(), updated=_now())
            self.version += 1
            return tables[name]

    def delete_table(self, database: str, name: str) -> None:
        """Delete a table with its rows."""
        with self.lock:
            self.table(database, name)
            self._root.execute(f'DROP TABLE "{database}"."{name}"')
            del self.database(database).tables[name]
            self.version += 1

    def swap(self, database: str, first: str, second: str) -> None:
        """Exchange the names of two tables, with all that belongs to them."""
        with self.lock:
            a, b = self.table(database, first), self.table(database, second)
            self._rename(database, (first, "swap$"), (second, first), ("swap$", second))
            a.name, b.name = second, first
            self.database(database).tables |= {first: b, second: a}
            self.version += 1

    def move_table(self, database: str, name: str, to: str) -> None:
        """Move a table into another database."""
        with self.lock:
            table = self.table(database, name)
            if name in self.database(to).tables:
                raise Refusal(409, f"Table {to}.{name} already exists")
            self._root.execute(f'CREATE TABLE "{to}"."{name}" AS FROM "{database}"."{name}"')
            self._root.execute(f'DROP TABLE "{database}"."{name}"')
            self.database(to).tables[name] = table
            del self.database(database).tables[name]
            self.version += 1

    def update_schema(self, database: str, name: str, text: str) -> None:
        """Set the columns from the JSON of a request; values are kept where types allow it."""
        columns = _parsed_columns(text)
        with self.lock:
            table = self.table(database, name)
            before = {column[0]: column for column in table.columns}
            after = {column[0]: column for column in columns}
            full = f'"{database}"."{name}"'
            for gone in before.keys() - after.keys():
                self._root.execute(f'ALTER TABLE {full} DROP COLUMN "{in_sql(before[gone])}"')
            for column in columns:
                called, kept, old = in_sql(column), types.storage(column[1]), before.get(column[0])
                if old is None:
                    self._root.execute(f'ALTER TABLE {full} ADD COLUMN "{called}" {kept}')
                    continue
                if in_sql(old) != called:
                    self._root.execute(f'ALTER TABLE {full} RENAME "{in_sql(old)}" TO "{called}"')
                if old[1] != column[1]:
                    self._root.execute(
                        f'ALTER TABLE {full} ALTER COLUMN "{called}" TYPE {kept} '
                        f'USING TRY_CAST("{called}" AS {kept})'
                    )
            table.columns, table.updated = columns, _now()
            self.version += 1

    # Rows

    def append(self, database: str, name: str, batches: list[pa.Table]) -> int:
        """Add rows at once; columns that the schema lacks are added to it. Returns the rows."""
        with self.lock:
            table = self.table(database, name)
            known = {column[0] for column in table.columns}
            for batch in batches:
                for found in batch.schema:
                    if found.name != "time" and found.name not in known:
                        known.add(found.name)
                        kind = (found.metadata or {}).get(b"td", b"string").decode()
                        self.update_schema(
                            database, name, json.dumps([*table.columns, [found.name, kind]])
                        )
            kinds = {"time": ("time", "BIGINT")}
            kinds |= {c[0]: (in_sql(c), types.storage(c[1])) for c in table.columns}
            cursor = self.cursor()
            cursor.execute("BEGIN")
            for batch in batches:
                cursor.register("uploaded", batch)
                values = ", ".join(
                    f'TRY_CAST("{column}" AS {kinds[column][1]}) AS "{kinds[column][0]}"'
                    for column in batch.column_names
                )
                cursor.execute(
                    f'INSERT INTO "{database}"."{name}" BY NAME SELECT {values} FROM uploaded'
                )
                cursor.unregister("uploaded")
            cursor.execute("COMMIT")
            cursor.close()
            rows = sum(batch.num_rows for batch in batches)
            table.uncounted += rows
            table.updated = _now()
            self.version += 1
            return rows

    def refresh_counters(self) -> None:
        """Let the counters of all tables catch up with their rows."""
        with self.lock:
            for database in self.databases.values():
                for table in database.tables.values():
                    table.count += table.uncounted
                    table.uncounted = 0

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of any SQL of DuckDB, for tests that look at what has arrived."""
        cursor = self.cursor()
        try:
            return cursor.execute(sql).fetchall()
        finally:
            cursor.close()

    def fill(self, database: str, name: str, select: str) -> int:
        """Add the rows of a SELECT of DuckDB, by name; the counter counts them at once."""
        with self.lock:
            full = f'"{database}"."{name}"'
            rows = self.query(f"INSERT INTO {full} BY NAME {select}")[0][0]
            self.table(database, name).count += rows
            self.version += 1
            return rows

    def _rename(self, database: str, *pairs: tuple[str, str]) -> None:
        cursor = self.cursor()
        cursor.execute("BEGIN")
        for old, new in pairs:
            cursor.execute(f'ALTER TABLE "{database}"."{old}" RENAME TO "{new}"')
        cursor.execute("COMMIT")
        cursor.close()


def in_sql(column: list[str]) -> str:
    """Return what a column is called in queries: its alias, if it has one."""
    return column[2] if len(column) > 2 else column[0]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Refusal(422, f"Name {name!r} is invalid: 3 to 128 of a-z, 0-9 and _")


def _parsed_columns(text: str) -> Columns:
    try:
        columns = json.loads(text)
        names = [in_sql(column) for column in columns]
        sound = all(
            _COLUMN.fullmatch(in_sql(column))
            and not _RESERVED & {column[0], in_sql(column)}
            and types.known(column[1])
            and len(column) in (2, 3)
            for column in columns
        )
    except (ValueError, TypeError, IndexError, KeyError):
        raise Refusal(422, "Schema is invalid") from None
    if not sound or len(set(names)) != len(names):
        raise Refusal(422, f"Schema is invalid: {text}")
    return columns


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
