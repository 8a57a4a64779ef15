"""SQLite: export and import beside the sqlite3 shell and DuckDB."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from scripts.benchmark import report
from scripts.benchmark.data import columns
from scripts.benchmark.measure import Contestant, compete, measure


def fill(file: Path, table: str, rows: int) -> None:
    """Make a database file with one generated table, in a process of its own."""
    command = [sys.executable, "-m", "scripts.benchmark.data", "sqlite", file, table, str(rows)]
    subprocess.run(command, check=True)


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the export and the import contest for each table, and print them."""
    if shutil.which("sqlite3") is None:
        raise SystemExit("the sqlite3 shell is missing: install the package sqlite3")
    shell = subprocess.run(["sqlite3", "--version"], check=True, capture_output=True, text=True)
    print(f"sqlite3 shell {shell.stdout.split()[0]}; {repeat} rounds, in turn")
    for table in tables:
        _Contest(folder, table, rows).run(repeat)


class _Contest:
    """One table: where the tools write, and what each of them runs."""

    def __init__(self, folder: Path, table: str, rows: int) -> None:
        self._table, self._rows = table, rows
        self._source, self._target, self._archive, self._csv, self._parquet = (
            folder / f"{table}.{suffix}"
            for suffix in ("sqlite", "copy.sqlite", "dbsync.tar", "csv", "parquet")
        )
        fill(self._source, table, rows)

    def run(self, repeat: int) -> None:
        """Export, then import what was exported."""
        size = self._source.stat().st_size / report.MB
        title = f"{self._table}, {self._rows:,} rows, {size:.0f} MB on disk"
        report.contest(f"SQLite export: {title}", compete(self._exports(), repeat))
        report.contest(f"SQLite import: {title}", compete(self._imports(), repeat))

    def _exports(self) -> list[Contestant]:
        query = f"SELECT * FROM {self._table}"
        return [
            Contestant(
                "dbsync export",
                [["dbsync", "export", "--no-progress", self._archive]],
                output=self._archive,
                environment={"DBSYNC_URL": f"sqlite:///{self._source}"},
            ),
            Contestant(
                "sqlite3 -csv",
                [["sqlite3", self._source, ".mode csv", f".output '{self._csv}'", query]],
                output=self._csv,
            ),
            Contestant(
                "DuckDB to Parquet, zstd",
                [self._duckdb("export", self._source)],
                output=self._parquet,
            ),
        ]

    def _imports(self) -> list[Contestant]:
        create = f"CREATE TABLE {self._table} ({', '.join(columns('sqlite', self._table))})"
        commands = {
            "dbsync import": [
                ["dbsync", "import", "--no-progress", "--include-schema", self._archive]
            ],
            "sqlite3 .import --csv": [
                ["sqlite3", self._target, create, f".import --csv '{self._csv}' {self._table}"]
            ],
            "DuckDB from Parquet": [
                ["sqlite3", self._target, create],
                self._duckdb("import", self._target),
            ],
        }
        return [
            Contestant(
                title,
                run,
                prepare=lambda: self._target.unlink(missing_ok=True),
                check=self._counted,
                environment={"DBSYNC_URL": f"sqlite:///{self._target}"},
            )
            for title, run in commands.items()
        ]

    def _duckdb(self, direction: str, database: Path) -> list[str | Path]:
        module = [sys.executable, "-m", "scripts.benchmark.duckdb_peer"]
        return [*module, direction, "sqlite", self._table, self._parquet, database]

    def _counted(self) -> None:
        with closing(sqlite3.connect(self._target)) as database:
            (found,) = database.execute(f"SELECT count(*) FROM {self._table}").fetchone()
        if found != self._rows:
            raise RuntimeError(f"{found} of {self._rows} rows arrived")


def peaks(folder: Path, table: str, rows: int) -> tuple[int, int]:
    """Measure the peak memory of one export and one import of a table, in bytes."""
    source, target, archive = (
        folder / f"{table}-{rows}.{suffix}" for suffix in ("sqlite", "copy.sqlite", "dbsync.tar")
    )
    fill(source, table, rows)
    command = ["dbsync", "export", "--no-progress", archive]
    url = {"DBSYNC_URL": f"sqlite:///{source}"}
    exported = measure(Contestant("export", [command], environment=url, output=archive))
    command = ["dbsync", "import", "--no-progress", "--include-schema", archive]
    url = {"DBSYNC_URL": f"sqlite:///{target}"}
    imported = measure(Contestant("import", [command], environment=url))
    for file in (source, target, archive):
        file.unlink()
    return exported.peak_bytes, imported.peak_bytes
