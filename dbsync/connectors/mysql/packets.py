"""The bytes of a text result set as columns, for all rows of a buffer at once.

What lives here: finding packets in a buffer, joining those of rows above 16 MiB, and finding the
values of every column by numpy, with no Python object per value. Must not know: where the bytes
come from, or what the values mean.

A row is one packet: three bytes of length, one that counts packets, then each value after its
length (MySQL internals, "Protocol::Packet", "Text Resultset Row", "LengthEncodedInteger"). Where
a value begins follows from the one before it, so a column's positions in all rows are known when
those of the column to its left are, and each step is a handful of vector operations.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

from dbsync.connectors.gathering import gather

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Positions = np.ndarray[Any, np.dtype[np.int64]]
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]

HEADER = 4
FULL = 0xFFFFFF
"""The length of a packet after which the payload goes on in the next one."""

_WORD = struct.Struct("<I")
_LENGTH = 0xFFFFFF
_NULL = 0xFB
_LONGER = ((0xFC, 2), (0xFD, 3), (0xFE, 8))
_EOF, _ERROR = 0xFE, 0xFF


class Malformed(Exception):
    """The bytes are not what the protocol allows; the connection cannot be used any more."""


class End(msgspec.Struct, frozen=True):
    """What ends a result: the payload of an error, or None with the server's status."""

    error: bytes | None
    status: int


def find_packets(buffer: bytearray, position: int, filled: int, starts: list[int]) -> int:
    """Add where packets start from `position`, and return where the first incomplete one does."""
    # The only Python statements that run once per row.
    word_at, append, last = _WORD.unpack_from, starts.append, filled - HEADER
    while position <= last:
        following = position + HEADER + (word_at(buffer, position)[0] & _LENGTH)
        if following > filled:
            break
        append(position)
        position = following
    return position


def end_of_result(buffer: bytearray, starts: list[int], end: int) -> End | None:
    """Say whether the last packet, which reaches to `end`, ends the result.

    A row cannot begin with 0xFF, and with 0xFE only where its first value has 16 MiB or more.
    Both forms of the end are known, with and without CLIENT_DEPRECATE_EOF.
    """
    if not starts:
        return None
    start = starts[-1] + HEADER
    length = end - start
    if not 0 < length < FULL or buffer[start] < _EOF:
        return None
    if len(starts) > 1 and starts[-1] - starts[-2] - HEADER == FULL:
        return None
    payload = bytes(buffer[start:end])
    if payload[0] == _ERROR:
        return End(payload, 0)
    at = 3 if length == 5 else 1
    if length > 5:
        for _ in range(2):
            at += 1 + {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(payload[at], 0)
    if length < at + 2:
        raise Malformed("the packet that ends the result is too short")
    return End(None, int.from_bytes(payload[at : at + 2], "little"))


def in_sequence(buffer: bytearray, starts: Positions, first: int) -> bool:
    """Whether the packets are numbered from `first`, modulo 256, so that none is missing."""
    import numpy as np

    numbers = np.frombuffer(buffer, np.uint8).take(starts + 3)
    return np.array_equal(numbers, np.arange(first, first + len(starts)).astype(np.uint8))


def join_rows(buffer: bytearray, bounds: Positions) -> tuple[Positions, Positions, int]:
    """Make each row that spans several packets contiguous.

    `bounds` is where each packet starts, header included, and where the last one ends. Returns
    where the payload of each complete row begins and ends, and of how many packets they are made.
    Bytes are moved inside of `buffer`; a last row that is not complete is left as it is.
    """
    import numpy as np

    begins, ends = bounds[:-1] + HEADER, bounds[1:]
    last = np.flatnonzero(ends - begins < FULL)
    if len(last) == len(begins):
        return begins, ends, len(begins)
    view = memoryview(buffer)
    first = np.concatenate(([0], last[:-1] + 1))
    stops = ends[last]
    for row in np.flatnonzero(first < last).tolist():
        stop = int(ends[first[row]])
        for part in range(int(first[row]) + 1, int(last[row]) + 1):
            piece = view[int(begins[part]) : int(ends[part])]
            view[stop : stop + len(piece)] = piece
            stop += len(piece)
        stops[row] = stop
    return begins[first], stops, int(last[-1]) + 1 if len(last) else 0


def split_columns(
    buffer: bytearray, begins: Positions, ends: Positions, columns: int
) -> list[pa.BinaryArray]:
    """Copy the values of rows, whose payloads are given, into one array per column.

    Raises `Malformed` where the values do not fill the rows exactly.
    """
    import numpy as np

    raw = np.frombuffer(buffer, np.uint8)
    found: list[tuple[Positions, Positions, Flags | None]] = []
    position = begins
    for _ in range(columns):
        found.append(_next_values(raw, position))
        position = found[-1][1]
    # No length is negative, so every value lies inside of its row if the last one does.
    if not np.array_equal(position, ends):
        raise Malformed("the values do not fill their row")
    return [gather(buffer, start, end, nulls) for start, end, nulls in found]


def _next_values(raw: Bytes, position: Positions) -> tuple[Positions, Positions, Flags | None]:
    """Find the value whose length stands at each position: its start, its end, whether it is NULL.

    A NULL is empty. Positions beyond the buffer give any answer.
    """
    import numpy as np

    first = raw.take(position, mode="clip")
    start = position + 1
    longest = first.max()
    if longest < _NULL:
        return start, start + first, None
    length = first.astype(np.int64)
    nulls = first == _NULL
    length[nulls] = 0
    if longest > _NULL:
        for code, width in _LONGER:
            rows = np.flatnonzero(first == code)
            number = np.zeros(len(rows), np.int64)
            for byte in range(width):
                number |= raw.take(start[rows] + byte, mode="clip").astype(np.int64) << (8 * byte)
            length[rows] = number
            start[rows] += width
        if longest == _ERROR or length.min() < 0:
            raise Malformed("a value has no valid length")
    return start, start + length, nulls if nulls.any() else None
