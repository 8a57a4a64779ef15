"""DuckDB as a contestant: copies one table between a database and a Parquet file with zstd.

``python -m scripts.benchmark.duckdb_peer export|import ENGINE TABLE FILE [DATABASE]``, where ENGINE
is postgres, mysql or sqlite. PostgreSQL is reached through the libpq variables, and MariaDB's
password stands in MYSQL_PWD. The extensions come from PyPI and are loaded from their files, so
that nothing is downloaded while the clock runs.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb

EXTENSIONS = {"postgres": "postgres_scanner", "mysql": "mysql_scanner", "sqlite": "sqlite_scanner"}


def main(direction: str, engine: str, table: str, file: str, database: str = "") -> None:
    """Export or import one table."""
    connection = duckdb.connect()
    connection.execute(f"LOAD '{_extension(EXTENSIONS[engine])}'")
    connection.execute(f"ATTACH '{database}' AS db (TYPE {engine})")
    if direction == "export":
        connection.execute(f"COPY db.{table} TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    else:
        connection.execute(f"INSERT INTO db.{table} SELECT * FROM '{file}'")
    connection.close()


def _extension(name: str) -> Path:
    spec = find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package duckdb-extension-{name.replace('_', '-')} is missing")
    return next(Path(spec.origin).parent.rglob(f"{name}.duckdb_extension"))


if __name__ == "__main__":
    main(*sys.argv[1:])
