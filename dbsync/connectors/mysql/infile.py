"""Answering LOAD DATA LOCAL: the statement's file is an iterator of bytes, never a file on disk.

What lives here: the exchange of packets, and `Loaded`, what the server says afterwards. Must not
know: the rows, or how they are spelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa


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


def send_file(
    connection: Any, sql: str, data: Iterable[bytes | memoryview | pa.Buffer]
) -> tuple[int, str, int]:
    """Run `sql` and send `data`; return affected rows, the server's sentence, and its warnings."""
    from pymysql.constants import COMMAND
    from pymysql.protocol import OKPacketWrapper

    connection._execute_command(COMMAND.COM_QUERY, sql)
    packet = connection._read_packet()
    if not packet.is_load_local_packet():
        raise RuntimeError("the statement did not ask for a file")
    for piece in data:
        view = memoryview(piece).cast("B")
        for start in range(0, len(view), 1 << 20):
            connection.write_packet(bytes(view[start : start + (1 << 20)]))
    connection.write_packet(b"")
    done: Any = OKPacketWrapper(connection._read_packet())
    return done.affected_rows, done.message.decode(errors="replace"), done.warning_count
