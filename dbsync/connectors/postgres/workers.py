"""Connections that read rows under one exported snapshot.

What lives here: `Workers`, a pool of connections, each inside a transaction that has taken over the
holder's snapshot. Must not know: which rows are read, or what they look like.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from dbsync.connectors.postgres.channel import Channel, cancel, open_channel
from dbsync.connectors.postgres.connection import Address, open_session, quote_literal
from dbsync.connectors.postgres.copying import copied
from dbsync.connectors.postgres.failures import translate
from dbsync.connectors.postgres.fields import Malformed, Tuples
from dbsync.connectors.postgres.messages import ServerError
from dbsync.errors import DbsyncError, SourceError

_SETTINGS = {
    # Whoever makes a worker wait waits for the holder in turn, which waits for the worker: the
    # server sees no deadlock in that, so the wait has to end by itself.
    "lock_timeout": "10s",
    # A condition that calls a function could send a notice with each row.
    "client_min_messages": "error",
}


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
        self._connection = open_session(address, SourceError, settings=_SETTINGS)
        self._running = False
        self._ending = threading.Lock()
        try:
            self._channel = self._open_channel()
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

    def _open_channel(self) -> Channel | None:
        import psycopg2

        try:
            return open_channel(self._connection)
        except psycopg2.Error as failure:
            raise self._failure(failure, "starting a worker", None) from failure

    def execute(self, sql: str, doing: str, *, hint: str | None = None) -> None:
        """Run one statement, in which ``%`` means itself, and ignore what it returns."""
        import psycopg2

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
        except psycopg2.Error as failure:
            raise self._failure(failure, doing, hint) from failure

    def copy(
        self,
        query: str,
        columns: int,
        doing: str,
        *,
        started: Callable[[], None] | None = None,
    ) -> Generator[Tuples]:
        """Yield the rows of one query with so many columns, as COPY sends them.

        See `copying.copied`. Raises `SourceError`.
        """
        import psycopg2

        self._running = True
        try:
            yield from copied(
                self._connection, query, columns, channel=self._channel, started=started
            )
        except (psycopg2.Error, ServerError, Malformed) as failure:
            raise self._failure(failure, doing, None) from failure
        finally:
            self._running = False

    def cancel(self) -> None:
        """Ask the server, from another thread, to give up what is running."""
        with self._ending:
            if self._running and not self._connection.closed:
                cancel(self._connection)

    def close(self) -> None:
        """End the transaction and the connection, in the middle of a result too."""
        with self._ending:
            self._connection.close()

    def _failure(self, failure: Exception, doing: str, hint: str | None) -> DbsyncError:
        return translate(failure, SourceError, doing, secrets=self._address.secrets, hint=hint)


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
