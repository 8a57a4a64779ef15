"""PostgreSQL: export and import beside pg_dump, pg_restore, psql's \\copy and DuckDB."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark import report
from scripts.benchmark.data import COLUMNS
from scripts.benchmark.measure import Contestant, compete, measure
from tests.servers import PostgresServer

_MEMORY_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
SETTINGS = {
    # As the manual recommends for a server of its own ("Resource Consumption").
    "shared_buffers": f"{_MEMORY_MB // 4}MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "wal_level": "replica",
    "timezone": "UTC",
    "datestyle": "ISO",
}
"""One server for everyone: no fsync, no checkpoint and no autovacuum while the clock runs."""


@contextmanager
def server() -> Iterator[PostgresServer]:
    """Run a private PostgreSQL 18 and point libpq and dbsync to it."""
    private = PostgresServer(18, SETTINGS).start()
    os.environ.update(
        PGHOST=private.host,
        PGPORT=str(private.port),
        PGUSER=private.user,
        PGPASSWORD=private.password,
        PATH=f"{private.bin}{os.pathsep}{os.environ['PATH']}",
    )
    try:
        yield private
    finally:
        private.stop()


def fill(private: PostgresServer, database: str, table: str, rows: int) -> None:
    """Make a database with one generated table, in a process of its own."""
    private.create_database(database)
    environment = {**os.environ, "BENCH_DSN": f"dbname={database}"}
    command = [sys.executable, "-m", "scripts.benchmark.data", "postgres", "-", table, str(rows)]
    subprocess.run(command, check=True, env=environment)


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the export and the import contest for each table, and print them."""
    with server() as private:
        (version,) = private.execute("SHOW server_version")[0]
        print(f"PostgreSQL and its tools {version}; fsync off; {repeat} rounds, in turn")
        for table in tables:
            contest = _Contest(folder, private, table, rows)
            contest.run(repeat)


class _Contest:
    """One table: where the tools write, and what each of them runs."""

    def __init__(self, folder: Path, private: PostgresServer, table: str, rows: int) -> None:
        self._server, self._table, self._rows = private, table, rows
        self._source = f"bench_{table}"
        self._archive, self._dump, self._fast_dump, self._copy, self._parquet = (
            folder / f"{table}.{suffix}"
            for suffix in ("dbsync.tar", "dump", "gzip1.dump", "copy", "parquet")
        )
        fill(private, self._source, table, rows)

    def run(self, repeat: int) -> None:
        """Export, then import what was exported."""
        query = f"SELECT pg_table_size('{self._table}')"
        ((size,),) = self._server.execute(query, self._source)
        title = f"{self._table}, {self._rows:,} rows, {int(str(size)) / report.MB:.0f} MB on disk"
        report.contest(f"PostgreSQL export: {title}", compete(self._exports(), repeat))
        report.contest(f"PostgreSQL import: {title}", compete(self._imports(), repeat))
        self._server.drop_database(self._source)

    def _exports(self) -> list[Contestant]:
        dump = ["pg_dump", "-Fc", "-d", self._source, "-f"]
        return [
            Contestant(
                "dbsync export",
                [["dbsync", "export", "--no-progress", self._archive]],
                output=self._archive,
                environment={"DBSYNC_URL": self._server.url(self._source)},
            ),
            Contestant("pg_dump -Fc", [[*dump, self._dump]], output=self._dump),
            Contestant(
                "pg_dump -Fc -Z gzip:1",
                [[*dump, self._fast_dump, "-Z", "gzip:1"]],
                output=self._fast_dump,
            ),
            Contestant(
                "psql \\copy to",
                [_psql(self._source, f"\\copy {self._table} to '{self._copy}'")],
                output=self._copy,
            ),
            Contestant(
                "DuckDB to Parquet, zstd",
                [self._duckdb("export")],
                output=self._parquet,
                environment={"PGDATABASE": self._source},
            ),
        ]

    def _imports(self) -> list[Contestant]:
        name = "bench_target"
        # Like pg_restore and dbsync, the other two build the key after the rows.
        columns = ", ".join(COLUMNS[self._table]).replace(" PRIMARY KEY", "")
        create = _psql(name, f"CREATE TABLE {self._table} ({columns})")
        key = _psql(name, f"ALTER TABLE {self._table} ADD PRIMARY KEY (id)")
        commands = {
            "dbsync import": [
                ["dbsync", "import", "--no-progress", "--include-schema", self._archive]
            ],
            "pg_restore -j2": [["pg_restore", "-j2", "-d", name, self._fast_dump]],
            "psql \\copy from, then key": [
                create,
                _psql(name, f"\\copy {self._table} from '{self._copy}'"),
                key,
            ],
            "DuckDB from Parquet, then key": [create, self._duckdb("import"), key],
        }
        environment = {"DBSYNC_URL": self._server.url(name), "PGDATABASE": name}
        return [
            Contestant(
                title,
                run,
                prepare=lambda: self._fresh(name),
                check=lambda: self._counted(name),
                environment=environment,
            )
            for title, run in commands.items()
        ]

    def _duckdb(self, direction: str) -> list[str | Path]:
        module = [sys.executable, "-m", "scripts.benchmark.duckdb_peer"]
        return [*module, direction, "postgres", self._table, self._parquet]

    def _fresh(self, name: str) -> None:
        self._server.drop_database(name)
        self._server.create_database(name)
        self._server.execute("CHECKPOINT")

    def _counted(self, name: str) -> None:
        ((found,),) = self._server.execute(f"SELECT count(*) FROM {self._table}", name)
        if found != self._rows:
            raise RuntimeError(f"{found} of {self._rows} rows arrived")


def peaks(folder: Path, table: str, rows: int) -> tuple[int, int]:
    """Measure the peak memory of one export and one import of a table, in bytes."""
    with server() as private:
        fill(private, "bench_source", table, rows)
        private.create_database("bench_target")
        archive = folder / f"{table}-{rows}.dbsync.tar"
        command = ["dbsync", "export", "--no-progress", archive]
        source = {"DBSYNC_URL": private.url("bench_source")}
        exported = measure(Contestant("export", [command], environment=source, output=archive))
        command = ["dbsync", "import", "--no-progress", "--include-schema", archive]
        target = {"DBSYNC_URL": private.url("bench_target")}
        imported = measure(Contestant("import", [command], environment=target))
        archive.unlink()
    return exported.peak_bytes, imported.peak_bytes


def _psql(database: str, command: str) -> list[str]:
    return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", command]
