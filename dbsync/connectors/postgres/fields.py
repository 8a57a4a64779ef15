"""The bytes of binary COPY as columns, for all rows of a buffer at once.

What lives here: `Tuples`, rows as they lie in a buffer, and where the values of every column stand
in them, found by numpy with no Python object per value. Must not know: where the bytes come from,
or what the values mean.

A row is the number of its values in two bytes, then each value after its length in four, all of
them with the highest byte first; a NULL has the length -1 and no bytes (PostgreSQL manual, COPY,
"Binary Format"). Where a value begins follows from the one before it, so a column's places in all
rows are known when those of the column to its left are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dbsync.connectors.gathering import gather

Positions = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

PADDING = 64
"""How many bytes a buffer has behind its last one: a NULL at the end has its place there."""

_NULL = 0xFF


class Malformed(Exception):
    """The bytes are not what the protocol allows; the connection cannot be used any more."""


@dataclass(frozen=True)
class Tuples:
    """Rows in a buffer, valid until the next ones are asked for.

    `buffer` goes on for at least `PADDING` bytes behind the last row.
    """

    buffer: bytearray
    begins: Positions
    ends: Positions

    @property
    def count(self) -> int:
        """Say how many rows there are."""
        return len(self.begins)


@dataclass(frozen=True)
class Field:
    """The values of one column: where each begins and ends, and which are NULL, None for none.

    A NULL begins somewhere within the buffer, its padding included, and has no length.
    """

    buffer: bytearray
    begins: Positions
    ends: Positions
    nulls: Flags | None

    def fixed(self, kind: str | np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Copy values of one width as numbers of a numpy type; those of NULLs are any."""
        # Every byte of the buffer is taken for the first of a number; the fields' are picked.
        count = len(self.buffer) - np.dtype(kind).itemsize + 1
        every: np.ndarray[Any, Any] = np.ndarray((count,), kind, self.buffer, strides=(1,))
        return every[self.begins]

    def contents(self, skipped: int = 0) -> pa.BinaryArray:
        """Copy the bytes of the values, without the first `skipped` of each."""
        begins = self.begins + skipped if skipped else self.begins
        if skipped and self.nulls is not None:
            begins[self.nulls] = self.ends[self.nulls]
        return gather(self.buffer, begins, self.ends, self.nulls)


def split_fields(tuples: Tuples, widths: Sequence[int | None]) -> list[Field]:
    """Find the values of every column, given the bytes of each, None where that differs.

    Raises `Malformed` where the values do not fill their rows exactly, or have another width.
    """
    raw = np.frombuffer(tuples.buffer, np.uint8)
    counts = _number(raw, tuples.begins, 2)
    if len(counts) and not (counts.min() == counts.max() == len(widths)):
        raise Malformed("a row has another number of values")
    fields: list[Field] = []
    position = tuples.begins + 2
    for width in widths:
        begin = position + 4
        if width is None:
            position, nulls = _ends(raw, position, begin)
        else:
            position, nulls = _fixed_ends(raw, position, begin, width)
        fields.append(Field(tuples.buffer, begin, position, nulls))
    # No length is negative, so every value lies inside of its row if the last one does.
    if not np.array_equal(position, tuples.ends):
        raise Malformed("the values do not fill their row")
    return fields


def _ends(raw: Bytes, position: Positions, begin: Positions) -> tuple[Positions, Flags | None]:
    first = raw.take(position, mode="clip")
    length = raw.take(position + 3, mode="clip").astype(np.int64)
    for byte, shift in ((2, 8), (1, 16)):
        higher = raw.take(position + byte, mode="clip")
        if higher.any():
            length |= higher.astype(np.int64) << shift
    if not first.any():
        return begin + length, None
    nulls = first == _NULL
    length |= first.astype(np.int64) << 24
    length[nulls] = 0
    if length.max() >> 31:
        raise Malformed("a value has no valid length")
    return begin + length, nulls


def _fixed_ends(
    raw: Bytes, position: Positions, begin: Positions, width: int
) -> tuple[Positions, Flags | None]:
    # The lowest byte of the length tells; were the others wrong, the row would not be filled.
    length = raw.take(position + 3, mode="clip")
    ordinary = length == width
    if ordinary.all():
        return begin + width, None
    nulls = length == _NULL
    if not np.array_equal(nulls, ~ordinary):
        raise Malformed("a value has another width than its type")
    return begin + np.where(nulls, 0, width), nulls


def _number(raw: Bytes, position: Positions, width: int) -> Positions:
    number = np.zeros(len(position), np.int64)
    for byte in range(width):
        number = number << 8 | raw.take(position + byte, mode="clip")
    return number
