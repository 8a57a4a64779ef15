"""MariaDB: export and import beside mariadb-dump, mydumper, myloader and DuckDB."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark import report
from scripts.benchmark.data import columns
from scripts.benchmark.measure import Contestant, compete, measure
from tests.servers import MariaServer

SETTINGS = {
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-doublewrite": "1",
    "innodb-flush-method": "O_DIRECT",
    "innodb-buffer-pool-size": "1G",
    "innodb-log-file-size": "1G",
    "max-allowed-packet": "64M",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_general_ci",
    "default-time-zone": "+00:00",
    "sql-mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
}
"""One server for everyone: durable as by default, no binary log, everything in memory."""

PROGRAMS = {
    "mariadb": "mariadb-client",
    "mariadb-dump": "mariadb-client",
    "zstd": "zstd",
    "mydumper": "mydumper",
    "myloader": "mydumper",
}


@contextmanager
def server() -> Iterator[MariaServer]:
    """Run a private MariaDB and let its clients find the password."""
    private = MariaServer(SETTINGS).start()
    os.environ["MYSQL_PWD"] = private.password
    try:
        yield private
    finally:
        private.stop()


def fill(private: MariaServer, database: str, table: str, rows: int) -> None:
    """Make a database with one generated table, in a process of its own."""
    private.create_database(database)
    place = {
        "unix_socket": str(private.socket),
        "user": private.user,
        "password": private.password,
        "database": database,
        "charset": "utf8mb4",
    }
    command = [sys.executable, "-m", "scripts.benchmark.data", "mysql", json.dumps(place), table]
    subprocess.run([*command, str(rows)], check=True)


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the export and the import contest for each table, and print them."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if missing:
        raise SystemExit(f"missing: apt-get install {' '.join(sorted(missing))}")
    with server() as private:
        ((version,),) = private.execute("SELECT version()")
        peer = subprocess.run(["mydumper", "-V"], capture_output=True, text=True, check=True)
        print(f"{version}; {peer.stdout.split(',')[0]}; innodb_flush_log_at_trx_commit 1,")
        print(f"no binary log, buffer pool 1 GB; {repeat} rounds, in turn")
        for table in tables:
            _Contest(folder, private, table, rows).run(repeat)


class _Contest:
    """One table: where the tools write, and what each of them runs."""

    def __init__(self, folder: Path, private: MariaServer, table: str, rows: int) -> None:
        self._server, self._table, self._rows = private, table, rows
        self._source, self._target = f"bench_{table}", "bench_target"
        self._archive, self._dump, self._packed, self._folder, self._parquet = (
            folder / f"{table}.{suffix}"
            for suffix in ("dbsync.tar", "sql", "sql.zst", "mydumper", "parquet")
        )
        self._login = [f"--socket={private.socket}", f"--user={private.user}"]
        fill(private, self._source, table, rows)

    def run(self, repeat: int) -> None:
        """Export, then import what was exported."""
        ((size,),) = self._server.execute(
            "SELECT data_length FROM information_schema.tables"
            f" WHERE table_schema = '{self._source}' AND table_name = '{self._table}'"
        )
        title = f"{self._table}, {self._rows:,} rows, {size / report.MB:.0f} MB on disk"
        report.contest(f"MariaDB export: {title}", compete(self._exports(), repeat))
        report.contest(f"MariaDB import: {title}", compete(self._imports(), repeat))
        self._server.drop_database(self._source)

    def _exports(self) -> list[Contestant]:
        dump = ["mariadb-dump", "--no-defaults", *self._login, "--single-transaction", "--quick"]
        dump.append(self._source)
        threads = ["-t", "2", "--rows", str(max(self._rows // 8, 1))]
        return [
            Contestant(
                "dbsync export",
                [["dbsync", "export", "--no-progress", self._archive]],
                output=self._archive,
                environment={"DBSYNC_URL": self._server.url(self._source)},
            ),
            Contestant(
                "mariadb-dump", [_shell(f"{_line(dump)} > {self._dump}")], output=self._dump
            ),
            Contestant(
                "mariadb-dump, piped into zstd",
                [_shell(f"{_line(dump)} | zstd -q -3 -o {self._packed}")],
                output=self._packed,
            ),
            Contestant(
                "mydumper --compress -t 2",
                [["mydumper", *self._dumper(), "-B", self._source, "-c", *threads,
                  "-o", self._folder]],
                output=self._folder,
            ),
            Contestant(
                "DuckDB to Parquet, zstd", [self._duckdb("export", self._source)],
                output=self._parquet,
            ),
        ]  # fmt: skip

    def _imports(self) -> list[Contestant]:
        name = self._target
        client = ["mariadb", "--no-defaults", *self._login, name]
        create = f"CREATE TABLE {self._table} ({', '.join(columns('mysql', self._table))})"
        commands: dict[str, list[list[str | Path]]] = {
            "dbsync import": [
                ["dbsync", "import", "--no-progress", "--include-schema", self._archive]
            ],
            "myloader -t 2": [
                ["myloader", *self._dumper(), "-B", name, "-t", "2", "-d", self._folder]
            ],
            "mariadb < dump": [_shell(f"{_line(client)} < {self._dump}")],
            "DuckDB from Parquet": [
                [*client, "-e", create], self._duckdb("import", name),
            ],
        }  # fmt: skip
        return [
            Contestant(
                title,
                run,
                prepare=lambda: self._fresh(name),
                check=lambda: self._counted(name),
                environment={"DBSYNC_URL": self._server.url(name)},
            )
            for title, run in commands.items()
        ]

    def _dumper(self) -> list[str]:
        """Give mydumper's and myloader's login; their library reads no MYSQL_PWD."""
        server = self._server
        return ["-S", str(server.socket), "-u", server.user, "-p", server.password]

    def _duckdb(self, direction: str, database: str) -> list[str | Path]:
        module = [sys.executable, "-m", "scripts.benchmark.duckdb_peer"]
        place = f"host={self._server.host} port={self._server.port} user={self._server.user}"
        return [*module, direction, "mysql", self._table, self._parquet, f"{place} db={database}"]

    def _fresh(self, name: str) -> None:
        self._server.drop_database(name)
        self._server.create_database(name)

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


def _line(command: Sequence[str]) -> str:
    return shlex.join(command)


def _shell(line: str) -> list[str | Path]:
    return ["bash", "-c", f"set -o pipefail; {line}"]
