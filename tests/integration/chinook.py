"""Chinook in its three engines: loading what was published, and reading it without dbsync."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.integration.command import dbsync
from tests.integration.engines import columns, engine_of, query, quote
from tests.integration.maria_rows import maria_query
from tests.integration.rows import pg_query, sqlite_query
from tests.servers import MariaServer, install

_OF_A_DATABASE = re.compile(r"^(DROP DATABASE|CREATE DATABASE|USE|\\c) [^\n]*$", re.MULTILINE)
"""The lines with which a published script makes and enters a database of its own."""

Rows = dict[str, list[dict[str, Any]]]
ForeignKey = tuple[str, str, str, str]


def load_sqlite(file: Path, folder: Path) -> str:
    """Copy the published file and return the URL of the copy."""
    return f"sqlite:///{shutil.copy(file, folder)}"


def load_postgres(script: Path, url: str) -> None:
    """Run a published script in the database of `url`."""
    text = _OF_A_DATABASE.sub("", script.read_text(encoding="utf-8-sig"))
    command = [str(install(18) / "bin" / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def load_maria(script: Path, server: MariaServer, database: str) -> None:
    """Run a published script in a database of `server`.

    Four titles hold a backslash, which the script does not escape, so it is read as a character.
    """
    text = _OF_A_DATABASE.sub("", script.read_text(encoding="utf-8-sig"))
    server.script(database, text=f"SET sql_mode = 'NO_BACKSLASH_ESCAPES';\n{text}")


def plain(name: str) -> str:
    """Give a name as all three spell it: the PostgreSQL script writes ``album_id`` for AlbumId."""
    return name.replace("_", "").lower()


def foreign_keys(url: str) -> set[ForeignKey]:
    """Read table, column, referenced table and column of every foreign key from the catalog."""
    match engine_of(url):
        case "sqlite":
            path = url.removeprefix("sqlite:///")
            tables = sqlite_query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
            found = [
                (table, column, referenced, to)
                for (table,) in tables
                for _, _, referenced, column, to, *_ in sqlite_query(
                    path, f'PRAGMA foreign_key_list("{table}")'
                )
            ]
        case "postgresql":
            found = pg_query(
                url,
                "SELECT t.relname, a.attname, r.relname, b.attname FROM pg_constraint c"
                " JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid"
                " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]"
                " JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = c.confkey[1]"
                " WHERE c.contype = 'f'",
            )
        case _:
            found = maria_query(
                url,
                "SELECT table_name, column_name, referenced_table_name, referenced_column_name"
                " FROM information_schema.key_column_usage WHERE table_schema = DATABASE()"
                " AND referenced_table_name IS NOT NULL",
            )
    return {(plain(a), plain(b), plain(c), plain(d)) for a, b, c, d in found}


def next_key(url: str, table: str) -> tuple[int, int]:
    """Insert a copy of a row without its key; return the key it got, and the highest before."""
    key, *others = (quote(url, name) for name in columns(url, table))
    name, listed = quote(url, table), ", ".join(others)
    ((highest,),) = query(url, f"SELECT max({key}) FROM {name}")
    query(url, f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name} WHERE {key} = 1")
    ((given,),) = query(url, f"SELECT max({key}) FROM {name}")
    return given, highest


def archive_rows(archive: Path, folder: Path) -> Rows:
    """Read an archive's Parquet files, with names and values as all three engines share them."""
    dbsync("extract", archive, folder)
    found: Rows = {}
    for place in folder.iterdir():
        rows = [
            {plain(name): _shared(value) for name, value in row.items()}
            for file in sorted(place.iterdir())
            for row in pq.read_table(file).to_pylist()
        ]
        found[plain(place.name.removeprefix("public."))] = sorted(
            rows, key=lambda row: tuple(map(repr, row.values()))
        )
    return found


def _shared(value: object) -> object:
    """Give SQLite's spelling of a moment and of an amount, which has no type for either."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, Decimal):
        return float(value)
    return value
