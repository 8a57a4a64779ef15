"""COPY's messages as libpq hands them out, where only libpq can read the connection.

What lives here: `LibpqStream`. The driver calls for each row; that happens in a thread of its own,
and batches of rows are handed over. Must not know: what is in a row, nor why there is no channel.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from dbsync.connectors.postgres.channel import cancel
from dbsync.connectors.postgres.fields import PADDING, Tuples

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_BATCH_BYTES = 1 << 20
_BATCH_ROWS = 65_536
_PIECE_BYTES = 64 << 10
"""How much is put together at once, while it is in the processor's nearest cache."""


class _Abandoned(Exception):
    """Nobody wants the rest."""


class LibpqStream:
    """The data messages of one statement; iterate once. See `copying.copied`."""

    def __init__(self, connection: Connection, statement: str):
        self.sent: int | None = None
        self._connection = connection
        self._statement = statement
        self._rows: list[bytes] = []
        self._size = 0
        self._lengths: list[int] = []
        self._buffer = bytearray()
        self._batches: queue.Queue[Tuples | None] = queue.Queue(1)
        self._failure: BaseException | None = None
        self._abandoned = False

    def __iter__(self) -> Generator[Tuples]:
        """Run the statement and yield what the messages hold. Raises the driver's errors."""
        thread = threading.Thread(target=self._run, name="dbsync-copy", daemon=True)
        thread.start()
        try:
            while (tuples := self._batches.get()) is not None:
                yield tuples
        finally:
            self._stop(thread)
        if self._failure is not None:
            raise self._failure

    def write(self, row: bytes) -> None:
        """Take one row; called by the driver."""
        self._rows.append(row)
        self._size += len(row)
        if self._size >= _PIECE_BYTES:
            self._put_together()

    def _stop(self, thread: threading.Thread) -> None:
        self._abandoned = True
        if thread.is_alive():
            cancel(self._connection)
        while thread.is_alive():
            # Whoever waits for room must find it.
            try:
                self._batches.get(timeout=0.05)
            except queue.Empty:
                continue
        thread.join()

    def _run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.copy_expert(self._statement, self)
                self.sent = cursor.rowcount
            self._put_together()
            self._hand_over()
        except BaseException as failure:
            self._failure = failure
        finally:
            self._batches.put(None)

    def _put_together(self) -> None:
        if self._abandoned:
            raise _Abandoned
        self._lengths.extend(map(len, self._rows))
        self._buffer += b"".join(self._rows)
        self._rows.clear()
        self._size = 0
        if len(self._buffer) >= _BATCH_BYTES or len(self._lengths) >= _BATCH_ROWS:
            self._hand_over()

    def _hand_over(self) -> None:
        if not self._lengths:
            return
        ends = np.cumsum(np.array(self._lengths, np.int64))
        begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
        self._buffer += bytes(PADDING)
        self._batches.put(Tuples(self._buffer, begins, ends))
        self._lengths, self._buffer = [], bytearray()
