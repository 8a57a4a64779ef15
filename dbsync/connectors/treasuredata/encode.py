"""Rows as gzipped msgpack maps: spelled in numpy and Arrow, never value by value.

What lives here: the bytes of a map for each row, and their compression into parts of bounded size.
Must not know: types of columns, tables, sessions.

A row is a map of the columns' names to values, NULLs included. Everything of fixed width is laid
out as a matrix, a row of it for each row; Arrow joins the matrices and the texts.
https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from dbsync.model.values.kernels import fresh, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

PART_BYTES = 16 << 20
"""The compressed size at which a part ends, as the service's other clients have it."""

SLICE_BYTES = 4 << 20
"""Rows are spelled in pieces of about this size in Arrow, so that memory stays bounded."""

_LEVEL = 1
_NIL, _FLOAT32, _FLOAT64 = 0xC0, 0xCA, 0xCB
_INTEGERS = ((7, 0xD0, ">i1"), (15, 0xD1, ">i2"), (31, 0xD2, ">i4"), (63, 0xD3, ">i8"))
_TEXTS = ((0xFF, 0xD9, ">u1"), (0xFFFF, 0xDA, ">u2"), (0xFFFFFFFF, 0xDB, ">u4"))


class Part(NamedTuple):
    """Some rows of a chunk, compressed."""

    data: bytes
    rows: int


class Parts:
    """Compresses rows into parts; one chunk, one thread."""

    def __init__(self, part_bytes: int = PART_BYTES):
        self._part_bytes = part_bytes
        self._done: list[Part] = []
        self._begin()

    def _begin(self) -> None:
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        self._pieces: list[bytes] = []
        self._size = 0
        self._rows = 0

    def add(self, columns: Sequence[tuple[str, pa.Array]]) -> None:
        """Append rows, given as names and values of columns of the same length."""
        for rows in _slices(columns):
            self._pieces.append(self._gzip.compress(memoryview(encode_rows(rows))))
            self._size += len(self._pieces[-1])
            self._rows += len(rows[0][1])
            if self._size >= self._part_bytes:
                self._end()

    def _end(self) -> None:
        self._pieces.append(self._gzip.flush())
        self._done.append(Part(b"".join(self._pieces), self._rows))
        self._begin()

    def finish(self) -> list[Part]:
        """Give every part, and begin anew; a chunk without rows has none."""
        if self._rows:
            self._end()
        done, self._done = self._done, []
        return done


def encode_rows(columns: Sequence[tuple[str, pa.Array]]) -> pa.Buffer:
    """Spell rows as msgpack maps, one after another.

    Values are integers, floats, text, or binary that is msgpack already.
    """
    rows = len(columns[0][1])
    row = _Row(rows)
    row.constant(_map_head(len(columns)))
    for name, values in sorted(columns, key=lambda c: c[1].null_count > 0):
        row.column(msgspec.msgpack.encode(name), values)
    joined = fresh(row.joined())
    data = joined.buffers()[2]
    used = int(np.frombuffer(joined.buffers()[1], np.int32)[rows])
    return data.slice(0, used)


class _Row:
    """The pieces of each row, left to right: matrices that grow, and texts between them."""

    def __init__(self, rows: int):
        self._rows = rows
        self._matrix: list[Bytes] = []
        self._pieces: list[pa.Array] = []

    def constant(self, data: bytes) -> None:
        self._matrix.append(np.broadcast_to(np.frombuffer(data, np.uint8), (self._rows, len(data))))

    def column(self, key: bytes, values: pa.Array) -> None:
        """Add one entry of the map."""
        if values.null_count:
            self._nullable(key, values)
        elif pa.types.is_string(values.type):
            self.constant(key)
            self._matrix += _text_heads(values)
            self._text(values)
        elif pa.types.is_binary(values.type):
            self.constant(key)
            self._text(values)
        else:
            self.constant(key)
            self._matrix += _numbers(values)

    def _nullable(self, key: bytes, values: pa.Array) -> None:
        present = values.is_valid()
        heads = [np.broadcast_to(np.frombuffer(key, np.uint8), (self._rows, len(key)))]
        if pa.types.is_string(values.type):
            filled = values.fill_null("")
            heads += _text_heads(filled)
        elif pa.types.is_binary(values.type):
            filled = values.fill_null(b"")
        else:
            filled = None
            heads += _numbers(values.fill_null(0))
        nil = pa.scalar(key + bytes([_NIL]), pa.binary())
        self._flush()
        self._pieces.append(pc.if_else(present, _as_binary(heads), nil))
        if filled is not None:
            self._pieces.append(filled.cast(pa.binary()))

    def _text(self, values: pa.Array) -> None:
        self._flush()
        self._pieces.append(values.cast(pa.binary()))

    def _flush(self) -> None:
        if self._matrix:
            self._pieces.append(_as_binary(self._matrix))
            self._matrix = []

    def joined(self) -> pa.BinaryArray:
        self._flush()
        if len(self._pieces) == 1:
            return self._pieces[0]
        return pc.binary_join_element_wise(*self._pieces, pa.scalar(b"", pa.binary()))


def _as_binary(blocks: Sequence[Bytes]) -> pa.BinaryArray:
    """Lay blocks of columns side by side; each row of the matrix becomes a value."""
    rows, width = len(blocks[0]), sum(block.shape[1] for block in blocks)
    matrix = np.empty((rows, width), np.uint8)
    start = 0
    for block in blocks:
        matrix[:, start : start + block.shape[1]] = block
        start += block.shape[1]
    ends = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.binary(), rows, [None, pa.py_buffer(ends), pa.py_buffer(matrix)]
    )


def _numbers(values: pa.Array) -> list[Bytes]:
    """Give the tag and the bytes of numbers, in the shortest width that holds all of them."""
    found = values.to_numpy(zero_copy_only=False)
    if pa.types.is_floating(values.type):
        single = values.type.bit_width == 32
        tag, form = (_FLOAT32, ">f4") if single else (_FLOAT64, ">f8")
    else:
        low, high = (int(found.min()), int(found.max())) if len(found) else (0, 0)
        if low >= 0 and high < 128:
            return [found.astype(np.uint8)[:, np.newaxis]]
        most = max(high, -low - 1)
        tag, form = next((tag, form) for bits, tag, form in _INTEGERS if most < 2**bits)
    return [_tags(tag, len(found)), _bytes(found, form)]


def _text_heads(values: pa.Array) -> list[Bytes]:
    lengths = pc.binary_length(values).to_numpy(zero_copy_only=False)
    longest = int(lengths.max()) if len(lengths) else 0
    if longest < 32:
        return [(lengths + 0xA0).astype(np.uint8)[:, np.newaxis]]
    tag, form = next((tag, form) for most, tag, form in _TEXTS if longest <= most)
    return [_tags(tag, len(lengths)), _bytes(lengths, form)]


def _tags(tag: int, rows: int) -> Bytes:
    return np.broadcast_to(np.uint8(tag), (rows, 1))


def _bytes(values: NDArray[np.generic], form: str) -> Bytes:
    kind = np.dtype(form)
    return values.astype(kind).view(np.uint8).reshape(len(values), kind.itemsize)


def _map_head(entries: int) -> bytes:
    if entries < 16:
        return bytes([0x80 | entries])
    if entries < 1 << 16:
        return b"\xde" + entries.to_bytes(2, "big")
    return b"\xdf" + entries.to_bytes(4, "big")


def _slices(columns: Sequence[tuple[str, pa.Array]]) -> Iterator[list[tuple[str, pa.Array]]]:
    rows = len(columns[0][1])
    size = sum(values.nbytes + rows * len(name) for name, values in columns)
    step = max(1, rows * SLICE_BYTES // max(size, 1))
    for start in range(0, rows, step):
        yield [(name, values.slice(start, step)) for name, values in columns]
