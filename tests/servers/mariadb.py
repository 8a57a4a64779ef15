"""Private MariaDB servers for tests, from the programs that the system has installed.

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
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import pymysql.connections
from pymysql.constants import CLIENT

from tests.servers.process import (
    PASSWORD,
    free_port,
    give_away,
    spawn,
    temporary_folder,
    unprivileged,
)

SETTINGS: dict[str, str | None] = {
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "innodb-flush-method": "nosync",
    "aria-pagecache-buffer-size": "8M",
    "key-buffer-size": "8M",
    "performance-schema": "OFF",
    "skip-name-resolve": None,
    "skip-log-bin": None,
    "max-connections": "150",
    "local-infile": "1",
    "event-scheduler": "OFF",
    # Unlike any setting that the code could rely on or fall back to:
    "character-set-server": "latin1",
    "collation-server": "latin1_swedish_ci",
    "default-time-zone": "+05:45",
    "sql-mode": "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH",
}
"""Options of ``mariadbd``; one without a value is a bare flag."""

BINLOG: dict[str, str | None] = {"log-bin": "binlog", "server-id": "7", "binlog-format": "ROW"}
"""Further settings for a server that writes a binary log."""

MODE = "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
"""The mode of the tests' own sessions."""

_START_TIMEOUT_S = 60


def programs() -> dict[str, str]:
    """Return the paths of ``mariadbd``, ``mariadb-install-db`` and ``mariadb``."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    found = {name: shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db")}
    found["mariadb"] = shutil.which("mariadb")
    if missing := [name for name, place in found.items() if place is None]:
        raise RuntimeError(
            f"the tests need MariaDB, and {', '.join(missing)} is missing: on Debian or Ubuntu,"
            " apt-get install mariadb-server-core mariadb-client-core"
        )
    return {name: place for name, place in found.items() if place is not None}


class MariaServer:
    """One private server; `start` it, `stop` it. `user` has every right, and a password."""

    host = "127.0.0.1"
    user = "tester"
    password = PASSWORD

    def __init__(self, settings: Mapping[str, str | None] | None = None) -> None:
        self.programs = programs()
        self.settings = {**SETTINGS, **(settings or {})}
        if "log-bin" in self.settings:
            del self.settings["skip-log-bin"]
        self.port = 0
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.folder / "data"

    @property
    def temporary(self) -> Path:
        """The folder of the server's temporary tables, which no other server uses."""
        return self.folder / "tmp"

    @property
    def socket(self) -> Path:
        """The server's Unix socket."""
        return self.folder / "data" / "s"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> MariaServer:
        """Create the data directory and start; raises RuntimeError with the log on failure."""
        self.folder = temporary_folder("dbsync-maria-")
        atexit.register(self.stop)
        try:
            for folder in (self.data, self.temporary):
                folder.mkdir(mode=0o711)
                give_away(folder)
            self._install()
            self.run()
        except BaseException:
            self.stop()
            raise
        return self

    def run(self) -> None:
        """Run the server on its data directory, on a new free port, until it answers."""
        for _ in range(5):
            self.port = free_port()
            command = [self.programs["mariadbd"], "--no-defaults", f"--datadir={self.data}"]
            command += [f"--port={self.port}", f"--bind-address={self.host}"]
            command += [f"--socket={self.socket}", f"--pid-file={self.data / 'pid'}"]
            command += [f"--tmpdir={self.temporary}"]
            self._process = spawn(command + self._options(), self.folder)
            if self._wait_until_ready():
                return
        raise RuntimeError(f"MariaDB did not start:\n{self.log[-4000:]}")

    def halt(self) -> None:
        """End the server process and keep its data, so that `run` can start it again."""
        self._end(signal.SIGTERM)

    def stop(self) -> None:
        """End the server and remove its folder; may be repeated."""
        atexit.unregister(self.stop)
        self._end(signal.SIGKILL)
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "", *, user: str | None = None, options: str = "") -> str:
        """Give the URL of a database, for `user` or another with the same password."""
        secret = quote(self.password, safe="")
        name = quote(user or self.user, safe="")
        place = f"{self.host}:{self.port}/{quote(database, safe='')}"
        return f"mysql://{name}:{secret}@{place}{options and '?' + options}"

    def socket_url(self, database: str = "", *, user: str | None = None) -> str:
        """Give the URL of a database over the server's Unix socket."""
        secret = quote(self.password, safe="")
        name = quote(user or self.user, safe="")
        place = f"localhost/{quote(database, safe='')}"
        return f"mysql://{name}:{secret}@{place}?unix_socket={quote(str(self.socket), safe='')}"

    def connect(
        self, database: str | None = None, *, user: str | None = None, autocommit: bool = True
    ) -> pymysql.connections.Connection[Any]:
        """Open a connection of the tests' own, in a plain mode and UTC; the caller closes it."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=user or self.user,
            password=self.password,
            database=database,
            charset="utf8mb4",
            sql_mode=MODE,
            init_command="SET time_zone = '+00:00'",
            autocommit=autocommit,
            client_flag=CLIENT.MULTI_STATEMENTS,
            local_infile=True,
        )

    def execute(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run SQL, one statement or several, as `user`; return the rows of the last."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            rows = list(cursor.fetchall())
            while cursor.nextset():
                rows = list(cursor.fetchall())
            return rows

    def script(self, database: str, *files: Path, text: str = "") -> None:
        """Run SQL files, and then `text`, DELIMITER lines included, with the program `mariadb`."""
        command = [self.programs["mariadb"], "--no-defaults", f"--socket={self.socket}"]
        command += [f"--user={self.user}", "--default-character-set=utf8mb4", "--binary-mode"]
        command += ["--comments"]
        command += [f"--init-command=SET sql_mode = '{MODE}', time_zone = '+00:00'", database]
        for content in [*(file.read_bytes() for file in files), text.encode()]:
            done = subprocess.run(
                command,
                input=content,
                capture_output=True,
                check=False,
                env={**os.environ, "MYSQL_PWD": self.password},
            )
            if done.returncode:
                raise RuntimeError(done.stderr.decode(errors="replace"))

    def create_database(self, name: str | None = None, options: str = "") -> str:
        """Create an empty database with a new name (or `name`) and return the name."""
        name = name or f"t{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {_quoted(name)} {options}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and end whatever is connected to it."""
        query = "SELECT id FROM information_schema.processlist WHERE db = %s"
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query, (name,))
            for (number,) in cursor.fetchall():
                try:
                    cursor.execute(f"KILL {number}")
                except pymysql.err.OperationalError:  # it has just gone
                    continue
            cursor.execute(f"DROP DATABASE IF EXISTS {_quoted(name)}")

    @contextmanager
    def account(self, name: str, *grants: str) -> Iterator[str]:
        """Create a user with the tests' password and the rights ``... ON ...``; drop it after."""
        who = "'" + name.replace("'", "''") + "'@'%'"
        self.execute(f"CREATE USER {who} IDENTIFIED BY '{self.password}'")
        try:
            for grant in grants:
                self.execute(f"GRANT {grant} TO {who}")
            yield name
        finally:
            self.execute(f"DROP USER {who}")

    def _options(self) -> list[str]:
        return [
            f"--{name}" if value is None else f"--{name}={value}"
            for name, value in self.settings.items()
        ]

    def _install(self) -> None:
        command = [self.programs["mariadb-install-db"], "--no-defaults", f"--datadir={self.data}"]
        command += ["--skip-test-db", "--auth-root-authentication-method=normal"]
        command += ["--skip-name-resolve", "--skip-log-bin"]
        command += [o for o in self._options() if o.startswith("--innodb-")]
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, cwd=self.folder, env=environment, check=False,
            **unprivileged(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)

    def _wait_until_ready(self) -> bool:
        """Poll until the server answers; False where the process ended (its port was taken)."""
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            try:
                self._make_user()
                self.connect().close()
            except pymysql.err.OperationalError:
                time.sleep(0.05)
            else:
                return True
        raise RuntimeError(f"MariaDB does not answer:\n{self.log[-4000:]}")

    def _make_user(self) -> None:
        """Make the tests' user where it is missing, and shut the door for root without password."""
        root = {"unix_socket": str(self.socket), "user": "root"}
        try:
            connection = pymysql.connect(**root, autocommit=True)  # type: ignore[arg-type]
        except pymysql.err.OperationalError as error:
            if error.args[0] == 1045:  # root has a password: the user was made by an earlier run
                return
            raise
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (self.user, self.password)
            )
            cursor.execute("GRANT ALL ON *.* TO %s@'%%' WITH GRANT OPTION", (self.user,))
            cursor.execute("ALTER USER root@localhost IDENTIFIED BY %s", (self.password,))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
