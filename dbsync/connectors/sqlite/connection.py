"""One ADBC connection to one SQLite file: URLs, statements, and errors in the words of dbsync.

Must not know: schemas, snapshots, ledgers. The driver gives no SQLite result codes, only
``sqlite3_errstr`` texts, which SQLite keeps stable; they are matched in `failure` and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, unquote
from urllib.parse import quote as percent_encode

import msgspec

from dbsync.errors import ConflictError, DatabaseError, DbsyncError, SourceError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BUSY_TIMEOUT_MS = 10_000
BATCH_ROWS = 16_384


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A database file, as a URL names it."""

    path: Path
    immutable: bool = False

    def uri(self, mode: Literal["ro", "rw", "rwc"]) -> str:
        """Spell the file as the URI that SQLite opens, with every special character encoded."""
        immutable = "&immutable=1" if self.immutable and mode == "ro" else ""
        return f"file:{percent_encode(str(self.path.absolute()))}?mode={mode}{immutable}"


_URL = re.compile(
    r"sqlite(?:\+\w+)?://(?P<host>[^/?]*)(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?", re.DOTALL
)


def parse_url(url: str) -> Location:
    """Read ``sqlite:///relative`` or ``sqlite:////absolute``; raises `UsageError`."""
    hint = "write sqlite:///relative/file.db or sqlite:////absolute/file.db"
    found = _URL.fullmatch(url)
    if found is None:
        raise UsageError("the SQLite URL cannot be read", hint=hint)
    if found["host"]:
        raise UsageError("an SQLite URL names a file, not a host or a user", hint=hint)
    path = unquote(found["path"] or "")
    if not path or path == ":memory:":
        raise UsageError("the SQLite URL names no file", hint=hint)
    options = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    unknown = set(options) - {"immutable", "mode"}
    if unknown:
        raise UsageError(f"unknown option in the SQLite URL: {', '.join(sorted(unknown))}")
    return Location(path=Path(path), immutable=options.get("immutable") in ("1", "true"))


def quote(identifier: str) -> str:
    """Quote an identifier for SQLite, whatever characters it holds."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a string as an SQLite literal; NUL is spliced in, since SQL text ends at one."""
    parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\0")]
    return parts[0] if len(parts) == 1 else f"({'||char(0)||'.join(parts)})"


_HINTS: tuple[tuple[str, str], ...] = (
    ("unable to open database file", "check that the file and its folder can be read and written"),
    ("attempt to write a readonly database", "check the rights on the file and on its folder"),
    ("database or disk is full", "free some space and run the same command again"),
    ("disk I/O error", "check the disk and its free space, then run the same command again"),
    ("file is not a database", "check the path; an encrypted database cannot be read"),
    ("database disk image is malformed", "run PRAGMA integrity_check on a copy of the file"),
)


def driver_text(error: BaseException) -> str:
    """Give what SQLite itself said, without the driver's preamble and without the statement."""
    text = str(error).split("\nquery:", 1)[0].strip()
    for preamble in ("Failed to prepare query:", "Failed to step query:", "[SQLite]"):
        if preamble in text:
            text = text.split(preamble, 1)[1].strip()
    for status in ("IO: ", "INVALID_ARGUMENT: ", "INTEGRITY: ", "INTERNAL: ", "ALREADY_EXISTS: "):
        text = text.removeprefix(status)
    return text


def is_busy(error: BaseException) -> bool:
    """Say whether SQLite refused because another connection holds a lock."""
    text = str(error)
    return any(
        part in text
        for part in (
            "database is locked",
            "table is locked",
            "schema is locked",
            "database is busy",
        )
    )


def failure(error: BaseException, kind: type[DatabaseError], doing: str) -> DbsyncError:
    """Translate a driver's error; `doing` completes "Cannot ..." and names the object."""
    text = driver_text(error)
    if is_busy(error):
        return ConflictError(
            f"cannot {doing}: another process has locked the SQLite database",
            hint="wait until the other process has finished its transaction, then run it again",
            retryable=True,
        )
    hint = next((advice for part, advice in _HINTS if part in text), None)
    return kind(f"cannot {doing}: {text}", hint=hint)


def wait_for_lock(action: Callable[[], None]) -> None:
    """Try `action` until no other connection is in its way, or raise its `ConflictError`.

    SQLite's own busy handler soon sleeps for 100 ms at a time, and never meets the short gaps
    that a process leaves which commits all the time; this asks every few milliseconds.
    """
    deadline = monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            return action()
        except ConflictError:
            if monotonic() > deadline:
                raise
        sleep(uniform(0.0005, 0.003))  # noqa: S311  # spreads attempts, no secret


class Connection:
    """An open connection. Statements run in autocommit until an explicit BEGIN.

    One thread at a time uses it, except for readers of `stream`, which SQLite serialises.
    """

    def __init__(
        self, location: Location, mode: Literal["ro", "rw", "rwc"], kind: type[DatabaseError]
    ):
        import adbc_driver_sqlite.dbapi as driver

        self.location = location
        self.kind = kind
        self._cursors: set[Any] = set()
        try:
            self._connection: Any = driver.connect(location.uri(mode), autocommit=True)
        except driver.Error as error:
            raise kind(
                f"cannot open the SQLite database {location.path}",
                hint="check that the file exists and that its folder can be read",
            ) from error
        self._error: type[Exception] = driver.Error
        self.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")

    def execute(self, sql: str, parameters: Any = None, *, doing: str = "run a statement") -> None:
        """Run one statement and throw its rows away."""
        self.rows(sql, parameters, doing=doing)

    def rows(
        self, sql: str, parameters: Any = None, *, doing: str = "query the database"
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows; for catalogs and counts, not for data.

        A column of the result must hold one storage class.
        """
        cursor = self._connection.cursor(adbc_stmt_kwargs={"adbc.sqlite.query.batch_rows": "65536"})
        try:
            cursor.execute(sql, parameters)
            table = cursor.fetch_arrow_table()
            columns = [column.to_pylist() for column in table.columns]
        except (self._error, UnicodeDecodeError) as error:
            raise failure(error, self.kind, doing) from error
        finally:
            cursor.close()
        return list(zip(*columns, strict=True))

    def value(self, sql: str, *, doing: str = "query the database") -> Any:
        """Run one statement and return the only value of its only row."""
        return self.rows(sql, doing=doing)[0][0]

    def stream(
        self, sql: str, *, batch_rows: int = BATCH_ROWS, doing: str = "read rows"
    ) -> Iterator[pa.RecordBatch]:
        """Run a query and yield its rows in batches; closing the iterator frees the statement."""
        import pyarrow as pa

        cursor = self._connection.cursor(
            adbc_stmt_kwargs={"adbc.sqlite.query.batch_rows": str(batch_rows)}
        )
        self._cursors.add(cursor)
        try:
            cursor.execute(sql)
            reader = cursor.fetch_record_batch()
            yield from reader
        except (self._error, pa.ArrowException, OSError) as error:
            raise failure(error, self.kind, doing) from error
        finally:
            self._cursors.discard(cursor)
            cursor.close()

    def insert(self, sql: str, batch: pa.RecordBatch | pa.Table, *, doing: str) -> int:
        """Run one statement once for each row of `batch`, whose columns are its parameters."""
        cursor = self._connection.cursor()
        try:
            cursor.executemany(sql, batch)
            return int(cursor.rowcount)
        except self._error as error:
            raise failure(error, self.kind, doing) from error
        finally:
            cursor.close()

    def roll_back(self) -> None:
        """End the transaction without its changes; an error may have ended it already."""
        with contextlib.suppress(DbsyncError):
            self.execute("ROLLBACK")

    def close(self) -> None:
        """Close open readers and the connection; an open transaction is rolled back."""
        for cursor in list(self._cursors):
            with contextlib.suppress(Exception):
                cursor.close()
        self._cursors.clear()
        with contextlib.suppress(Exception):
            self._connection.close()


def require_file(location: Location) -> None:
    """Raise `SourceError` where the file to read does not exist or is no file."""
    if not location.path.exists():
        raise SourceError(
            f"there is no SQLite database at {location.path}",
            hint="check the path: three slashes begin a relative one, four an absolute one",
        )
    if not location.path.is_file():
        raise SourceError(f"{location.path} is not a file")


def reading_mode(location: Location, kind: type[DatabaseError]) -> Literal["ro", "rw"]:
    """Choose how to open a file that is only read, and prove that it can be.

    Without the right to write where that is enough. A journal left by a crash has to be rolled
    back first, though, and a reader of a WAL database makes its shared memory, which only one
    with the right to write removes again; such connections set ``PRAGMA query_only``.
    """
    writable = not location.immutable and os.access(location.path, os.W_OK)
    connection = Connection(location, "ro", kind)
    try:
        doing = f"read the SQLite database {location.path}"
        connection.execute("PRAGMA busy_timeout=0")
        wait_for_lock(
            lambda: connection.execute("SELECT 1 FROM sqlite_master LIMIT 1", doing=doing)
        )
        wal = str(connection.value("PRAGMA journal_mode")) == "wal"
    except kind as error:
        text = str(error.__cause__)
        if "readonly database" not in text and "unable to open database file" not in text:
            raise
        if not writable:
            raise kind(
                error.message,
                hint="SQLite has to write beside the file: a WAL database or one with an"
                " unfinished transaction needs a folder that can be written; where no process"
                " writes the file, append ?immutable=1 to the URL, or copy it with its -wal",
            ) from error
        return "rw"
    finally:
        connection.close()
    return "rw" if wal and writable else "ro"


def open_for_reading(
    location: Location, mode: Literal["ro", "rw"], kind: type[DatabaseError]
) -> Connection:
    """Open a file in the mode that `reading_mode` chose; nothing can be written through it.

    It does not wait for locks by itself: see `wait_for_lock`.
    """
    connection = Connection(location, mode, kind)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA busy_timeout=0")
    return connection


def begin_reading(connection: Connection) -> None:
    """Begin a read transaction and fix its moment; raises `ConflictError` while it may not."""
    connection.execute("BEGIN")
    try:
        # BEGIN alone takes no lock; the first read does.
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1", doing="begin reading")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
