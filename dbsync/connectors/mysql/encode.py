"""Rows as the file of LOAD DATA: spelled in Arrow and numpy, never value by value.

What lives here: the forms in which values are spelled, escaping, and the lines of the file.
Must not know: types of columns, statements, sessions.

The file is UTF-8: fields end in a tab, lines in a newline, backslashes escape, ``\\N`` is NULL.
Bytes travel as hexadecimal digits, which UNHEX turns back: MariaDB takes raw bytes in any
character set of the file, but MySQL refuses those that are no text in it.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dbsync.model.values.kernels import fresh, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

CHARSET = "utf8mb4"
SLICE_BYTES = 4 << 20
"""Rows are spelled in pieces of about this size (before escaping), so that memory stays bounded."""


class Form(Enum):
    """How a value is spelled, and what SQL makes of it."""

    PLAIN = "plain"
    """Text in which nothing needs escaping: numbers, dates."""
    TEXT = "text"
    BYTES = "bytes"
    """Any bytes: hexadecimal digits."""
    NUMBER = "number"
    """A number that must reach the column as such: bits, members of enums and sets."""
    COUNTER = "counter"
    """As PLAIN, for an AUTO_INCREMENT column."""


class Escape:
    """Characters that stand as a backslash and another character."""

    def __init__(self, pairs: dict[bytes, bytes]):
        self.table = np.zeros(256, np.uint8)
        for character, after in pairs.items():
            self.table[character[0]] = after[0]
        self._above = max(c[0] for c in pairs if c != b"\\")

    def positions(self, data: Bytes) -> NDArray[np.intp]:
        """Find the bytes that need a backslash; no part of a longer UTF-8 sequence does."""
        # Few comparisons of the whole are much faster than a lookup, and most text needs nothing.
        few = np.flatnonzero((data <= self._above) | (data == ord("\\")))
        return few[self.table[data[few]] != 0]


FILE = Escape({b"\\": b"\\", b"\t": b"t", b"\n": b"n", b"\r": b"r", b"\0": b"0"})


def escaped(text: pa.StringArray, escape: Escape) -> pa.StringArray:
    """Put backslashes into text where they are needed; what needs none is returned as it is."""
    text = _compact(text)
    validity, offsets, data = text.buffers()
    if len(text) == 0 or data is None or data.size == 0:
        return text
    ends: NDArray[np.int32] = np.frombuffer(offsets, np.int32)[: len(text) + 1]
    raw: Bytes = np.frombuffer(data, np.uint8)[: ends[-1]]
    at = escape.positions(raw)
    if len(at) == 0:
        return text
    longer = np.insert(raw, at, ord("\\"))
    longer[at + np.arange(1, len(at) + 1)] = escape.table[raw[at]]
    moved = (ends + np.searchsorted(at, ends)).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(text), [validity, pa.py_buffer(moved), pa.py_buffer(longer)]
    )


def hexadecimal(values: pa.Array) -> pa.StringArray:
    """Write bytes as hexadecimal digits, two for each."""
    values = _compact(values)
    if pa.types.is_fixed_size_binary(values.type):
        width: int = values.type.byte_width
        validity, data = values.buffers()
        ends = np.arange(0, (len(values) + 1) * width, max(width, 1), dtype=np.int32)
    else:
        validity, offsets, data = values.buffers()
        ends = np.frombuffer(offsets, np.int32)[: len(values) + 1] if len(values) else _NONE
    used = int(ends[-1]) if len(values) else 0
    digits = hexlify(memoryview(data)[:used]) if used else b""
    doubled = (ends * 2).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(values), [validity, pa.py_buffer(doubled), pa.py_buffer(digits)]
    )


_NONE = np.zeros(1, np.int32)


def _compact(values: pa.Array) -> pa.Array:
    """Return the same values in an array whose buffers start at its first value."""
    if values.offset:
        return fresh(values)
    if pa.types.is_fixed_size_binary(values.type) or len(values) == 0:
        return values
    return fresh(values) if np.frombuffer(values.buffers()[1], np.int32)[0] else values


def lines(columns: Sequence[tuple[pa.Array, Form]]) -> Iterator[pa.Buffer]:
    """Spell rows as lines of the file, in pieces; at least one column is needed."""
    yield from pieces(columns, _lines)


def pieces(
    columns: Sequence[tuple[pa.Array, Form]],
    spell: Callable[[Sequence[tuple[pa.Array, Form]]], pa.StringArray],
    target_bytes: int = SLICE_BYTES,
) -> Iterator[pa.Buffer]:
    """Cut rows into pieces of about `target_bytes` and give the bytes of each as spelled."""
    for part in slices(columns, target_bytes):
        yield joined(spell(part))


def slices(
    columns: Sequence[tuple[pa.Array, Form]], target_bytes: int
) -> Iterator[list[tuple[pa.Array, Form]]]:
    """Cut columns into runs of rows of about `target_bytes`."""
    rows = len(columns[0][0])
    if rows == 0:
        return
    sizes = row_bytes(columns)
    totals = np.concatenate([[0], np.cumsum(sizes)])
    start = 0
    while start < rows:
        # At least one row, however large it is.
        stop = int(np.searchsorted(totals, totals[start] + target_bytes, side="right")) - 1
        stop = min(rows, max(stop, start + 1))
        yield [(values.slice(start, stop - start), form) for values, form in columns]
        start = stop


def row_bytes(columns: Sequence[tuple[pa.Array, Form]]) -> NDArray[np.int64]:
    """Say about how many bytes each row takes when it is spelled; escapes are not counted."""
    total = np.full(len(columns[0][0]), len(columns), np.int64)
    for values, form in columns:
        lengths = pc.binary_length(values).fill_null(2).to_numpy(zero_copy_only=False)
        total += lengths * (2 if form is Form.BYTES else 1)
    return total


def joined(rows: pa.StringArray) -> pa.Buffer:
    """Give the bytes of all rows, one after another, without a copy."""
    rows = _compact(rows)
    data = rows.buffers()[2]
    used = int(np.frombuffer(rows.buffers()[1], np.int32)[len(rows)])
    return data.slice(0, used)


def _lines(columns: Sequence[tuple[pa.Array, Form]]) -> pa.StringArray:
    fields = [_field(values, form) for values, form in columns]
    null = {"null_handling": "replace", "null_replacement": "\\N"}
    # The newline goes to the last field first: joining rows takes one separator for all.
    fields[-1] = pc.binary_join_element_wise(fields[-1], "", "\n", **null)
    return pc.binary_join_element_wise(*fields, "\t", **null)


def _field(values: pa.Array, form: Form) -> pa.StringArray:
    match form:
        case Form.BYTES:
            return hexadecimal(values)
        case Form.TEXT:
            return escaped(values, FILE)
        case _:
            return values
