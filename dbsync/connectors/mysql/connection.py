"""Sessions of a MySQL or MariaDB server: opened, pinned, asked, streamed from, ended.

What lives here: `Session`, one connection with the driver's errors translated, and quoting. Must
not know: what the statements mean.

Every session is pinned to the same settings, so that a value's text and what the server accepts
never depend on how the server, the user or ``init_connect`` configure it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbsync.connectors.mysql.address import Address, parse_url, tls_context
from dbsync.connectors.mysql.failures import translate
from dbsync.connectors.mysql.flavour import Flavour, flavour_of
from dbsync.connectors.mysql.infile import Loaded, send_file
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

CONNECT_TIMEOUT_S = 15
_KILL_TIMEOUT_S = 5
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_READ_TIMEOUT_S, _SEND_TIMEOUT_S = 60, 3600


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

    `flavour` is the server's kind, `database` the name of the current database as the server
    spells it. After a lost connection, or an exception that is no driver's (such as an
    interruption) inside a call, the session is closed and every later call fails.
    """

    flavour: Flavour
    database: str

    def __init__(self, address: Address, error: type[DatabaseError]) -> None:
        """Connect; use `open_session`, which also pins the settings."""
        self._address = address
        self._error = error
        self._connection: Any = None
        with self._translated(f"connecting to MySQL at {address}"):
            self._connection = _connect(address, writes=issubclass(error, TargetError))
        self._thread_id: int = self._connection.thread_id()

    def pin(self, settings: Mapping[str, str]) -> None:
        """Set the session's variables, as `open_session` says."""
        doing = "preparing the session"
        about = self.rows("SELECT VERSION() AS version, DATABASE() AS name", doing)[0]
        self.flavour = flavour_of(about["version"])
        self.database = about["name"]
        dates = ",ALLOW_INVALID_DATES" if issubclass(self._error, TargetError) else ""
        wanted = {"sql_mode": SQL_MODE + dates, **SETTINGS, **self.flavour.settings, **settings}
        names = ", ".join(quote_literal(name) for name in wanted)
        known = self.rows(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})", doing)
        present = {row["Variable_name"].lower() for row in known}
        pairs = [f"SESSION {k} = {_setting(v)}" for k, v in wanted.items() if k.lower() in present]
        self.run(f"SET {', '.join(pairs)}", doing)
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", doing)

    def rows(self, sql: str, doing: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query by column name, whole in memory.

        Whole numbers come as int, DECIMAL as Decimal, FLOAT and DOUBLE as float, binary columns
        as bytes and everything else, dates too, as str. With `parameters` the query holds ``%s``
        for each, and ``%%`` for every percent sign. Raises the session's error.
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

        Bytes are sent as they are, for a session that says that they are no UTF-8.
        An UPDATE counts the rows that its condition matched, changed or not.
        """
        with self._translated(doing):
            return self._connection.query(self._text(sql, parameters))

    def stream(
        self, sql: str, doing: str, *, started: Callable[[], None] | None = None
    ) -> Iterator[list[pa.BinaryArray]]:
        """Yield the rows of a query in batches: one array of raw values per column, NULL as null.

        `started` is called once the query runs, so when its tables are open. Closing the
        iterator before its end cancels the query, and the session may be used on. Until the
        iterator is exhausted or closed nothing else may run on this session.
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
        """Run a LOAD DATA LOCAL statement and give `data` as the file, whatever file it names."""
        with self._translated(doing):
            affected, message, count = send_file(self._connection, sql, data)
        warnings = self.rows("SHOW WARNINGS", doing) if count else []
        return Loaded.of(affected, message, count, warnings)

    def kill(self) -> None:
        """End the statement that runs, from another thread; it then fails with error 1317."""
        try:
            other = _connect(self._address, writes=False, timeout_s=_KILL_TIMEOUT_S)
        except Exception:
            self._shut()
            return
        with contextlib.suppress(Exception):
            other.query(f"KILL QUERY {self._thread_id:d}")
            other.close()

    def close(self) -> None:
        """Close the connection, undoing what is not committed; may be repeated."""
        connection = self._connection
        if connection is not None and not connection._closed:
            with contextlib.suppress(Exception):
                connection.close()

    def _text(self, sql: str | bytes, parameters: Sequence[object]) -> str | bytes:
        if not parameters:
            return sql
        return self._connection.cursor().mogrify(sql, tuple(parameters))

    def _cancel(self, rows: Rows) -> None:
        import pymysql

        self.kill()
        try:
            rows.drain()
        except pymysql.MySQLError:
            if self._connection._sock is None:
                self.close()

    def _shut(self) -> None:
        sock = self._connection._sock
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Generator[None, None, None]:
        import pymysql

        try:
            yield
        except (pymysql.MySQLError, OSError, RuntimeError) as failure:
            secrets = self._address.secrets
            raise translate(failure, self._error, doing, secrets=secrets) from failure


def _connect(address: Address, *, writes: bool, timeout_s: int = CONNECT_TIMEOUT_S) -> Any:
    import pymysql
    from pymysql.constants import CLIENT

    flags = CLIENT.FOUND_ROWS | (CLIENT.LOCAL_FILES if writes else 0)
    context = tls_context(address)
    connection: Any = pymysql.Connection(
        host=address.host,
        port=address.port,
        unix_socket=address.socket,
        user=address.user,
        password=address.password.encode(),
        database=address.database,
        charset="utf8mb4",
        client_flag=flags,
        autocommit=None,
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        conv=_conversions(),
        program_name="dbsync",
        ssl=context,
        ssl_disabled=context is None,
        defer_connect=True,
    )
    if address.ssl_mode == "preferred":
        connection._ssl_required = False
        connection.client_flag &= ~CLIENT.SSL
    connection.connect()
    connection._read_timeout = connection._write_timeout = None
    if not address.socket:
        sock = connection._sock
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            seconds = _SEND_TIMEOUT_S if writes else _READ_TIMEOUT_S
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
    return connection


def _conversions() -> dict[Any, Any]:
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import decoders, encoders

    numbers = (
        FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG,
        FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR, FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE,
        FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL,
    )  # fmt: skip
    return {**encoders, **{kind: decoders[kind] for kind in numbers}}


def _setting(value: str) -> str:
    return value if value.isdigit() or value == "DEFAULT" else quote_literal(value)
