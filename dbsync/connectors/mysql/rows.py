"""Rows of one running query as columns of raw bytes.

What lives here: `Rows`, which reads a result from the driver's connection. Must not know: types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


class Rows:
    """The result of one query, read in batches."""

    def __init__(self, connection: Any, sql: str) -> None:
        """Send the query and read until its columns are known."""
        from pymysql.constants import COMMAND

        self.finished = True
        self._connection = connection
        connection._execute_command(COMMAND.COM_QUERY, sql)
        first = connection._read_packet()
        if first.is_ok_packet():
            return
        self._columns: int = first.read_length_encoded_integer()
        for _ in range(self._columns + 1):
            connection._read_packet()
        self.finished = False

    def next_batch(self) -> list[pa.BinaryArray] | None:
        """Return the next rows, None after the last."""
        import pyarrow as pa

        rows: list[list[bytes | None]] = []
        size = 0
        while not self.finished and size < 2 << 20:
            self.finished = True
            packet = self._connection._read_packet()
            if packet.is_eof_packet():
                break
            self.finished = False
            size += len(packet._data)
            rows.append([packet.read_length_coded_string() for _ in range(self._columns)])
        if not rows:
            return None
        return [pa.array(values, pa.binary()) for values in zip(*rows, strict=True)]

    def drain(self) -> None:
        """Read to the end and throw away."""
        while self.next_batch() is not None:
            pass
