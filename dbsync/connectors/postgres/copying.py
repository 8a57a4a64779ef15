"""The rows of a query, as COPY sends them in its binary format.

What lives here: `copied`, which chooses how the bytes come, takes the header and the trailer off
and sees to it that nothing is missing. Must not know: what the values mean.

Where it can be, a connection is read past libpq, whose one call per row costs as much as everything
else that is done with the row on this side.

Sources: PostgreSQL manual, COPY, "Binary Format"; "Message Flow", "COPY Operations".
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dbsync.connectors.postgres.channel import Channel
from dbsync.connectors.postgres.copy_libpq import LibpqStream
from dbsync.connectors.postgres.fields import Malformed, Tuples
from dbsync.connectors.postgres.messages import MessageStream

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = len(_SIGNATURE) + 8
_TRAILER = b"\xff\xff"


class _Stream(Protocol):
    """The messages of one COPY, each with one row, the header and the trailer included."""

    sent: int | None
    """How many rows the server says that it has sent, once the stream has ended."""

    def __iter__(self) -> Generator[Tuples]: ...


def copied(
    connection: Connection,
    query: str,
    columns: int,
    *,
    channel: Channel | None,
    started: Callable[[], None] | None = None,
) -> Generator[Tuples]:
    """Yield the rows of a query with so many columns, each time one or more.

    `channel` is the connection's, None where only libpq can read it. `started` is called once the
    query runs, so when its tables are locked, before the first row. The connection serves nothing
    else meanwhile, and nothing at all after an error or where the iterator was closed early. Raises
    psycopg2's errors, `ServerError` and `Malformed`.
    """
    statement = f"COPY ({query}) TO STDOUT (FORMAT binary)"
    stream: _Stream
    if channel is None:
        stream = LibpqStream(connection, statement)
    else:
        stream = MessageStream(channel, statement, columns)
    count = -1  # before the header
    complete = False
    with closing(iter(stream)) as batches:
        for messages in batches:
            if complete:
                raise Malformed("rows follow the end of the rows")
            rows = messages
            if count < 0:
                rows = _without_header(messages)
                count = 0
                if started is not None:
                    started()
            rows, complete = _without_trailer(rows)
            count += rows.count
            if rows.count:
                yield rows
    if not complete or stream.sent != count:
        raise Malformed(f"{stream.sent} rows were sent, {count} came")


def _without_header(tuples: Tuples) -> Tuples:
    """Move the beginning of the first message, in which the header may be alone, behind it."""
    begin, end = int(tuples.begins[0]), int(tuples.ends[0])
    header = bytes(tuples.buffer[begin : min(end, begin + _HEADER)])
    if len(header) < _HEADER or not header.startswith(_SIGNATURE):
        raise Malformed("the rows do not begin with the header of COPY")
    flags, more = header[-8:-4], int.from_bytes(header[-4:], "big")
    if any(flags[:2]):
        raise Malformed("the header of COPY has flags that are not known")
    begin += _HEADER + more
    if begin > end:
        raise Malformed("the header of COPY is cut")
    if begin == end:
        return Tuples(tuples.buffer, tuples.begins[1:], tuples.ends[1:])
    begins = np.concatenate(([begin], tuples.begins[1:]))
    return Tuples(tuples.buffer, begins, tuples.ends)


def _without_trailer(tuples: Tuples) -> tuple[Tuples, bool]:
    """Take the trailer off, if it is there."""
    if not tuples.count:
        return tuples, False
    begin, end = int(tuples.begins[-1]), int(tuples.ends[-1])
    if bytes(tuples.buffer[begin : min(end, begin + 3)]) != _TRAILER:
        return tuples, False
    return Tuples(tuples.buffer, tuples.begins[:-1], tuples.ends[:-1]), True
