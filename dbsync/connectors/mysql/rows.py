"""The rows of one running query, read from the socket in large batches.

What lives here: `Rows`, which sends a query over the driver's connection and reads the result
past the driver. Must not know: what the values mean, or what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dbsync.connectors.mysql.packets import (
    Malformed,
    end_of_result,
    find_packets,
    in_sequence,
    join_rows,
    split_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 2 << 20
"""How much is read before it is split: what fits the processor's cache is split fastest."""

_SPARE_BYTES = 256 << 10
_LARGEST_ROW = (2 << 30) - 1  # what the offsets of an Arrow array can say
_MORE_RESULTS = 8


class Rows:
    """The result of one query, read in batches of about `BATCH_BYTES`, or of one larger row.

    `finished` is true when the result was read to its end or has failed: the connection, unless
    it was closed, then takes the next command. Everything raises the driver's own errors.
    """

    def __init__(self, connection: Any, sql: str) -> None:
        """Send the query and read until the server has begun to answer."""
        from pymysql.constants import COMMAND

        self.finished = True
        self._connection = connection
        self._columns = 0
        self._filled = 0
        connection._execute_command(COMMAND.COM_QUERY, sql)
        first = connection._read_packet()
        if first.is_ok_packet():
            return
        if first.is_load_local_packet():
            raise broken(connection, "the server asks for a file in answer to a query")
        self._columns = first.read_length_encoded_integer()
        for _ in range(self._columns + 1):
            connection._read_packet()
        self._sequence: int = connection._next_seq_id
        self._read: Callable[[memoryview], int] | None = None
        self._allocate(BATCH_BYTES + _SPARE_BYTES)
        self.finished = False

    def next_batch(self) -> list[pa.BinaryArray] | None:
        """Return the next rows as one array of raw values per column, None after the last."""
        starts: list[int] = []
        scanned = 0
        while not self.finished:
            self._receive()
            scanned = find_packets(self._buffer, scanned, self._filled, starts)
            try:
                scanned = self._look_for_end(starts, scanned)
                if self.finished or self._filled >= BATCH_BYTES:
                    batch = self._split(starts, scanned)
                    if batch is not None:
                        return batch
            except Malformed as failure:
                raise broken(self._connection, str(failure)) from failure
        return None

    def drain(self) -> None:
        """Read to the end of the result and throw it away."""
        while not self.finished:
            self.next_batch()

    def _allocate(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)

    def _receive(self) -> None:
        """Read what has come, at least one byte, and make room for it before."""
        connection = self._connection
        if self._filled == len(self._buffer):
            old = self._view
            if len(old) == _LARGEST_ROW:
                raise broken(connection, "a row is larger than 2 GiB")
            self._allocate(min(2 * len(old), _LARGEST_ROW))
            self._view[: len(old)] = old
        self.finished = True  # should it fail
        try:
            room = self._view[self._filled :]
            if self._read is None:
                # What the driver's reader holds comes first; it does not read while it holds any.
                held = connection._rfile.read1(len(room))
                count = len(held)
                room[:count] = held
                if count < len(room):
                    self._read = connection._rfile.raw.readinto
            else:
                count = self._read(room)
        except OSError as failure:
            raise lost(connection) from failure
        if not count:
            raise lost(connection)
        self.finished = False
        self._filled += count

    def _look_for_end(self, starts: list[int], scanned: int) -> int:
        """Take the packet that ends the result off `starts`; return where the rows end."""
        from pymysql import err

        end = end_of_result(self._buffer, starts, scanned)
        if end is None:
            return scanned
        self.finished = True
        if end.error is not None:
            err.raise_mysql_exception(end.error)
        self._connection.server_status = end.status
        if end.status & _MORE_RESULTS:
            raise Malformed("the statement has more than one result")
        if self._buffer[starts[-1] + 3] != (self._sequence + len(starts) - 1) % 256:
            raise Malformed("rows are missing at the end")
        return starts.pop()

    def _split(self, starts: list[int], scanned: int) -> list[pa.BinaryArray] | None:
        """Split the complete rows, and move what follows them to the front of the buffer."""
        import numpy as np

        bounds = np.array([*starts, scanned], np.int64)
        if not in_sequence(self._buffer, bounds[:-1], self._sequence):
            raise Malformed("packets are missing or out of order")
        begins, ends, packets = join_rows(self._buffer, bounds)
        if self.finished and packets < len(starts):
            raise Malformed("the result ends inside of a row")
        if not packets:
            return None
        self._sequence += packets
        columns = split_columns(self._buffer, begins, ends, self._columns)
        rest = self._view[int(bounds[packets]) : self._filled]
        self._filled = len(rest)
        if len(self._buffer) > BATCH_BYTES + _SPARE_BYTES:  # the room that one large row needed
            self._allocate(max(BATCH_BYTES + _SPARE_BYTES, 2 * len(rest)))
        self._view[: len(rest)] = rest
        return columns


def lost(connection: Any) -> Exception:
    """Close the connection, which has gone, and return the error that says so."""
    from pymysql import err
    from pymysql.constants import CR

    connection._force_close()
    return err.OperationalError(CR.CR_SERVER_LOST, "the connection was lost during a query")


def broken(connection: Any, reason: str) -> Exception:
    """Close the connection, whose next bytes have no known meaning, and return the error."""
    from pymysql import err
    from pymysql.constants import CR

    connection._force_close()
    return err.OperationalError(CR.CR_MALFORMED_PACKET, f"the server's answer is wrong: {reason}")
