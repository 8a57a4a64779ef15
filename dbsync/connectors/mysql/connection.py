"""Sessions of a MySQL or MariaDB server: opened, pinned, asked, streamed from, ended.

What lives here: `Session`, one connection with the driver's errors translated, and quoting. Must
not know: what the statements mean.

Every session is pinned to the same settings, so that a value's text and what the server accepts
never depend on how the server, the user or ``init_connect`` configure it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbsync.connectors.mysql.address import Address, parse_url
from dbsync.connectors.mysql.driver import connect
from dbsync.connectors.mysql.failures import connection_failure, translate
from dbsync.connectors.mysql.flavour import Flavour, flavour_of
from dbsync.connectors.mysql.infile import File, Loaded
from dbsync.connectors.mysql.rows import Rows
from dbsync.errors import DatabaseError, TargetError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Address", "Session", "open_session", "parse_url", "quote_literal", "quote_name"]

SQL_MODE = (
    "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
)
"""Values that do not fit are errors, and a 0 in an AUTO_INCREMENT column is a 0."""

SETTINGS: dict[str, str] = {
    "time_zone": "+00:00",
    "autocommit": "1",
    "wait_timeout": "2147483",
    "net_read_timeout": "86400",
    "net_write_timeout": "86400",
    "group_concat_max_len": "1073741824",
    "max_error_count": "65535",
    "sql_notes": "1",
    "sql_warnings": "0",
    "sql_select_limit": "18446744073709551615",
    "sql_safe_updates": "0",
    "sql_big_selects": "1",
    "sql_auto_is_null": "0",
    "sql_quote_show_create": "1",
    "explicit_defaults_for_timestamp": "1",
    "foreign_key_checks": "1",
    "unique_checks": "1",
    "low_priority_updates": "0",
}
"""Pinned on every session; a setting that the server does not have is left out."""

_KILL_TIMEOUT_S = 5
_UNREADABLE = (RuntimeError, AssertionError, IndexError, UnicodeDecodeError, struct.error)
"""What the driver raises for an answer that it does not expect, a request for a file included."""

_SWITCHES = {"ON": "1", "OFF": "0"}


def quote_name(*parts: str | None) -> str:
    """Quote an identifier, qualified where there are several parts; None parts are left out."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts if part is not None)


def quote_literal(value: str) -> str:
    """Quote a string constant; right under the pinned sql_mode, in which backslashes escape."""
    text = value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{text}'"


def open_session(
    address: Address, error: type[DatabaseError], *, settings: Mapping[str, str] | None = None
) -> Session:
    """Open a session in autocommit mode with pinned settings; the caller closes it.

    `settings` are session variables that are pinned besides or instead of `SETTINGS`. Sessions
    that raise `TargetError` may send files and take invalid dates, which an archive has as
    explicit text only. Raises `error`.
    """
    session = Session(address, error)
    try:
        session.pin(settings or {})
    except BaseException:
        session.close()
        raise
    return session


class Session:
    """One connection, used by one thread at a time; only `kill` may be called from others.

    `flavour` is the server's kind, `database` the current database's name as the server spells
    it, `thread_id` the connection's number there. Once the connection is lost, or an exception
    that is no driver's (an interruption) has left a call of `rows`, `run`, `load_data` or a step
    of `stream`, the session is closed and every later call fails.
    """

    flavour: Flavour
    database: str
    thread_id: int

    def __init__(self, address: Address, error: type[DatabaseError]) -> None:
        """Connect; use `open_session`, which also pins the settings."""
        import pymysql

        self._address = address
        self._error = error
        self._writes = issubclass(error, TargetError)
        try:
            self._connection = connect(address, files=self._writes)
        except (pymysql.MySQLError, OSError, RuntimeError) as failure:
            place = str(address)
            raise connection_failure(failure, error, place, address.secrets) from failure
        self.thread_id = self._connection.thread_id()

    def pin(self, settings: Mapping[str, str]) -> None:
        """Set the session's variables, as `open_session` says."""
        doing = "preparing the session"
        about = self.rows(
            "SELECT VERSION() AS version, DATABASE() AS name, CONNECTION_ID() AS number", doing
        )[0]
        self.flavour = flavour_of(about["version"])
        self.database = about["name"]
        self.thread_id = about["number"]
        mode = SQL_MODE + (",ALLOW_INVALID_DATES" if self._writes else "")
        wanted = {"sql_mode": mode, **SETTINGS, **self.flavour.settings, **settings}
        names = ", ".join(quote_literal(name) for name in wanted)
        shown = self.rows(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})", doing)
        present = {row["Variable_name"].lower(): row["Value"] for row in shown}
        # What has its value already is left alone: some settings need a right to be set.
        pairs = [
            f"SESSION {name} = {_setting(value)}"
            for name, value in wanted.items()
            if name in present and _SWITCHES.get(present[name], present[name]) != value
        ]
        if pairs:
            self.run(f"SET {', '.join(pairs)}", doing)
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", doing)

    def rows(self, sql: str, doing: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query by column name, whole in memory.

        Whole numbers come as int, DECIMAL as Decimal, FLOAT and DOUBLE as float, binary columns
        as bytes and everything else, dates too, as str. With `parameters` the query holds ``%s``
        for each, and ``%%`` for every percent sign. `doing` completes the message of a failure,
        which is the session's error.
        """
        with self._translated(doing):
            self._connection.query(self._text(sql, parameters))
            result = self._connection._result
            names = [field[0] for field in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.rows or ()]

    def value(self, sql: str, doing: str, parameters: Sequence[object] = ()) -> Any:
        """Return the first column of the first row, None where there is no row; see `rows`."""
        found = self.rows(sql, doing, parameters)
        return next(iter(found[0].values())) if found else None

    def run(self, sql: str | bytes, doing: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement and return how many rows it affected; see `rows` for parameters.

        An UPDATE counts the rows that its condition matched, changed or not. Bytes are sent as
        they are.
        """
        with self._translated(doing):
            text = self._text(sql, parameters) if isinstance(sql, str) else sql
            return self._connection.query(text)

    def stream(
        self, sql: str, doing: str, *, started: Callable[[], None] | None = None
    ) -> Iterator[list[pa.BinaryArray]]:
        """Yield the rows of a query in batches: one array of raw values per column, NULL as null.

        A batch comes from about 2 MiB, or is one larger row. `started` is called once the query
        runs, so when its tables are open. Until the iterator is exhausted or closed, nothing else
        may run on this session. Closing it early cancels the query; the session, with its
        transaction, can be used on unless the connection was lost meanwhile.
        """
        rows: Rows | None = None
        try:
            with self._translated(doing):
                rows = Rows(self._connection, sql)
            if started is not None:
                started()
            while True:
                with self._translated(doing):
                    batch = rows.next_batch()
                if batch is None:
                    return
                yield batch
        finally:
            if rows is not None and not rows.finished:
                self._cancel(rows)

    def load_data(
        self, sql: str, data: Iterable[bytes | memoryview | pa.Buffer], doing: str
    ) -> Loaded:
        """Run a LOAD DATA LOCAL statement with the bytes of `data` as its file.

        The file's name in the statement, and the one that the server asks for, mean nothing. The
        server skips rows and changes values without an error: look at the result. Where `data`
        raises, the session is closed, which undoes the statement and its transaction, and the
        exception goes on as it is.
        """
        with self._translated(doing):
            file = File(self._connection, sql)
        try:
            for piece in data:
                with self._translated(doing):
                    file.write(piece)
        except BaseException:
            self._connection._force_close()
            raise
        with self._translated(doing):
            affected, sentence, count = file.finish()
        warnings = self.rows("SHOW WARNINGS", doing) if count else []
        return Loaded.of(affected, sentence, count, warnings)

    def kill(self) -> None:
        """End the statement that runs, from any thread; it fails with error 1317.

        Where the server takes no second connection to say so, this one is cut instead. Does
        nothing where no statement runs.
        """
        try:
            other = connect(self._address, files=False, timeout_s=_KILL_TIMEOUT_S)
            other.query(f"KILL QUERY {self.thread_id:d}")
            other.close()
        except Exception:  # whatever it was, the statement must end
            sock = self._connection._sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    # Not the method of an encrypted socket, which another thread is reading.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, undoing what is not committed; may be repeated."""
        import pymysql

        with contextlib.suppress(pymysql.MySQLError):  # it is closed already
            self._connection.close()

    def _text(self, sql: str, parameters: Sequence[object]) -> str:
        if not parameters:
            return sql
        return self._connection.cursor().mogrify(sql, tuple(parameters))

    def _cancel(self, rows: Rows) -> None:
        """End a query whose rows are not wanted any more, and read what is under way."""
        import pymysql

        if self._connection._sock is None:
            return
        self.kill()
        # The first takes the error of the query; the second that of a kill which came too late.
        with contextlib.suppress(pymysql.MySQLError):
            rows.drain()
        with contextlib.suppress(pymysql.MySQLError):
            self._connection.query("DO 0")

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Generator[None, None, None]:
        """Make the session's error of a driver's; close the session where its state is unknown."""
        import pymysql

        try:
            yield
        except (pymysql.MySQLError, OSError) as failure:
            secrets = self._address.secrets
            raise translate(failure, self._error, doing, secrets=secrets) from failure
        except _UNREADABLE as failure:
            self._connection._force_close()
            raise self._error(f"{doing} failed: the server's answer cannot be read") from failure
        except BaseException:
            # Interrupted between two bytes of an answer. What runs on the server would go on.
            self.kill()
            self._connection._force_close()
            raise


def _setting(value: str) -> str:
    return value if value.isdigit() or value == "DEFAULT" else quote_literal(value)
