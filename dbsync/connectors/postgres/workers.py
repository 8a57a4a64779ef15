"""Connections that read rows under one exported snapshot.

What lives here: `Workers`, a pool of ADBC connections, each inside a transaction that has taken
over the holder's snapshot. Must not know: which rows are read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dbsync.connectors.postgres.connection import Address, open_bulk, quote_literal
from dbsync.connectors.postgres.failures import translate
from dbsync.errors import SourceError

if TYPE_CHECKING:
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow as pa

BATCH_BYTES = 2 << 20
"""Measured: 4 MiB are a tenth slower, for their page faults, and 1 MiB are no faster."""


_LOCK_TIMEOUT_MS = 10_000
"""Whoever makes a worker wait waits for the holder in turn, which waits for the worker: the server
sees no deadlock in that, so the wait has to end by itself."""


class Worker:
    """One connection under the snapshot, used by one thread at a time.

    `tables` (quoted names) are locked at once, so that an ALTER that comes later waits for this
    worker as well instead of standing between it and its next table. Raises `ConflictError` where
    one is waiting already.
    """

    def __init__(
        self, address: Address, token: str, *, raw_text: bool = False, tables: Sequence[str] = ()
    ) -> None:
        self._address = address
        settings = {"lock_timeout": str(_LOCK_TIMEOUT_MS)}
        self._connection: adbc.Connection = open_bulk(address, SourceError, settings=settings)
        self._running: Any = None
        try:
            if raw_text:
                self.execute("SET client_encoding = 'SQL_ASCII'", "starting a worker")
            self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "starting a worker")
            self.execute(
                f"SET TRANSACTION SNAPSHOT {quote_literal(token)}",
                "joining the snapshot",
                hint="the session that holds the snapshot has ended: run the same command again",
            )
            if tables:
                self.execute(
                    f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE NOWAIT",
                    "locking the tables for a worker",
                )
        except BaseException:
            self._connection.close()
            raise

    def execute(self, sql: str, doing: str, *, hint: str | None = None) -> None:
        """Run one statement and ignore what it returns."""
        for _ in self.batches(sql, doing, hint=hint):
            pass

    def batches(
        self,
        sql: str,
        doing: str,
        *,
        hint: str | None = None,
        started: Callable[[], None] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Run one query and yield its rows as ADBC decodes them.

        `started` is called once the query runs, so when its tables are locked. Raises
        `SourceError`.
        """
        import adbc_driver_manager
        from adbc_driver_manager import _reader

        cursor = self._connection.cursor()
        self._running = cursor
        try:
            hints = {"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
            cursor.adbc_statement.set_options(**hints)
            cursor.execute(sql)
            if started is not None:
                started()
            # Unlike the cursor's own reader, this one raises errors with their SQLSTATE.
            handle = cursor.fetch_arrow()
            reader = _reader.AdbcRecordBatchReader._import_from_c(handle.address)  # pyright: ignore[reportPrivateUsage]
            with reader:
                yield from reader
        except adbc_driver_manager.Error as failure:
            secrets = self._address.secrets
            raise translate(failure, SourceError, doing, secrets=secrets, hint=hint) from failure
        finally:
            self._running = None
            cursor.close()

    def cancel(self) -> None:
        """Ask the server, from another thread, to give up what is running."""
        import adbc_driver_manager

        running = self._running
        if running is not None:
            try:
                running.adbc_cancel()
            except adbc_driver_manager.Error:
                return  # It has just ended, or the connection is gone: either way it stops.

    def close(self) -> None:
        """End the transaction and the connection, in the middle of a result too."""
        self._connection.close()


class Workers:
    """The workers of one snapshot; grows by as many as are used at once.

    With `raw_text` the server sends text as it is stored, whether it is UTF-8 or not. `tables` are
    those that each worker locks.
    """

    def __init__(
        self, address: Address, token: str, *, raw_text: bool = False, tables: Sequence[str] = ()
    ) -> None:
        self._address = address
        self._token = token
        self._raw_text = raw_text
        self._tables = tables
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._closed = False

    def start(self, count: int) -> None:
        """Open the first `count` workers, while no one else has had much time to ask for locks."""
        self._idle += [self._new() for _ in range(count)]

    @contextmanager
    def lease(self) -> Generator[Worker, None, None]:
        """Lend a worker; one that is given back by an exception is not used again."""
        worker = self._take()
        try:
            yield worker
        except BaseException:
            # A result that was not read to its end would have to be drained first.
            self._drop(worker)
            raise
        with self._lock:
            self._busy.discard(worker)
            if not self._closed:
                self._idle.append(worker)
                return
        worker.close()

    def close(self) -> None:
        """Close idle workers and stop busy ones, whose readers then raise `SourceError`."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for worker in busy:
            worker.cancel()
        for worker in idle:
            worker.close()

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise SourceError("the snapshot has ended", hint="run the same command again")
            worker = self._idle.pop() if self._idle else None
            if worker is not None:
                self._busy.add(worker)
                return worker
        worker = self._new()
        with self._lock:
            self._busy.add(worker)
        return worker

    def _new(self) -> Worker:
        return Worker(self._address, self._token, raw_text=self._raw_text, tables=self._tables)

    def _drop(self, worker: Worker) -> None:
        with self._lock:
            self._busy.discard(worker)
        worker.close()
