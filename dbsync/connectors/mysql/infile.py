"""Answering LOAD DATA LOCAL: the statement's file is an iterator of bytes, never a file on disk.

What lives here: the exchange of packets, and `Loaded`, what the server says afterwards. Must not
know: the rows, or how they are spelled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from dbsync.connectors.mysql.rows import broken

if TYPE_CHECKING:
    import pyarrow as pa

PACKET_BYTES = 64 << 10
"""Far below any max_allowed_packet; larger ones are no faster."""


class Warning(msgspec.Struct, frozen=True):
    """One line of SHOW WARNINGS; level is ``Note``, ``Warning`` or ``Error``."""

    level: str
    code: int
    message: str


class Loaded(msgspec.Struct, frozen=True):
    """What one LOAD DATA did: `records` were read, `skipped` of them not stored.

    `affected` counts as the server does: rows inserted, and rows that REPLACE deleted.
    `warning_count` may be above the number of `warnings`, of which the server keeps 65,535.
    """

    records: int
    deleted: int
    skipped: int
    affected: int
    warning_count: int
    warnings: tuple[Warning, ...]

    @classmethod
    def of(
        cls, affected: int, message: str, count: int, warnings: Sequence[dict[str, Any]]
    ) -> Self:
        """Read the server's counts, which it gives as a sentence in its own language."""
        # The driver leaves the sentence's length before it, which may be the byte of a digit.
        numbers = [int(number) for number in re.findall(r"\d+", message)][-4:]
        records, deleted, skipped, warned = (*numbers, 0, 0, 0, 0)[:4]
        lines = tuple(Warning(w["Level"], w["Code"], w["Message"]) for w in warnings)
        return cls(records, deleted, skipped, affected, max(count, warned), lines)


class File:
    """The file of one LOAD DATA LOCAL statement, written from here.

    Until `finish` has returned, the only sound way to stop is to close the connection: the server
    takes every other end for the end of the file. Everything raises the driver's errors.
    """

    def __init__(self, connection: Any, sql: str) -> None:
        """Run the statement until the server asks for its file, whatever name it gives."""
        from pymysql.constants import COMMAND

        self._connection = connection
        connection._execute_command(COMMAND.COM_QUERY, sql)
        if not connection._read_packet().is_load_local_packet():
            raise broken(connection, "the statement does not read a file")

    def write(self, piece: bytes | memoryview | pa.Buffer) -> None:
        """Send some bytes, of any number."""
        view = memoryview(piece).cast("B")
        # An empty packet would end the file.
        for start in range(0, len(view), PACKET_BYTES):
            self._connection.write_packet(view[start : start + PACKET_BYTES].tobytes())

    def finish(self) -> tuple[int, str, int]:
        """End the file; return affected rows, the server's sentence, the number of warnings."""
        from pymysql.protocol import OKPacketWrapper

        self._connection.write_packet(b"")
        done: Any = OKPacketWrapper(self._connection._read_packet())
        self._connection.server_status = done.server_status
        return done.affected_rows, done.message.decode(errors="replace"), done.warning_count
