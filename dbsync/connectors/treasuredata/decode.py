"""From the values of msgpack rows to batches in the form of `dbsync.connectors.base`.

What lives here: one decoder per column, vectorised. Must not know: where rows begin, SQL, HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from dbsync.connectors.gathering import gather
from dbsync.connectors.treasuredata.catalog import td_type
from dbsync.connectors.treasuredata.documents import DocumentDecoder
from dbsync.connectors.treasuredata.first_bytes import NIL, Family
from dbsync.connectors.treasuredata.packed import Found, text_starts
from dbsync.errors import LossError, SourceError
from dbsync.model.schema import Column, Table

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.first_bytes import Bytes, Positions

    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Doubles = np.ndarray[Any, np.dtype[np.float64]]
    Values = Callable[["Cells"], pa.Array]


class Cells(msgspec.Struct, frozen=True):
    """The values of one column in a buffer: first bytes, where each begins and where it ends."""

    buffer: bytearray
    kinds: Bytes
    begins: Positions
    ends: Positions

    @property
    def nulls(self) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """Say which are nil; None where none is."""
        nulls = self.kinds == NIL
        return nulls if nulls.any() else None


class Unfit(Exception):
    """Values that the column's type does not hold; the text follows "3 values"."""

    def __init__(self, count: int, reason: str):
        super().__init__(reason)
        self.count = count
        self.reason = reason


def _shifts() -> np.ndarray[Any, np.dtype[np.uint64]]:
    """List by how much eight bytes behind a first byte are shifted to leave its integer."""
    shifts = np.zeros(256, np.uint64)
    shifts[0xCC:0xD0] = shifts[0xD0:0xD4] = (56, 48, 32, 0)
    return shifts


def _small() -> Integers:
    """List the integers that are their own first byte; any other byte has 0."""
    small = np.zeros(256, np.int64)
    small[:0x80] = np.arange(0x80)
    small[0xE0:] = np.arange(-32, 0)
    return small


_SHIFTS = _shifts()
_SMALL = _small()


class RowDecoder:
    """Decodes the rows of one table, whose columns were selected in order as their types."""

    def __init__(self, table: Table):
        self._table = table
        self._names = [column.name for column in table.columns]
        chosen = [_decoder(column) for column in table.columns]
        self.families: list[Family] = [family for family, _ in chosen]
        self._decoders = [decode for _, decode in chosen]

    def decode(self, buffer: bytearray, found: Found) -> pa.RecordBatch:
        """Turn rows that were found in `buffer` into a batch, which shares nothing with it.

        Raises `LossError` for a value that its column's type does not hold.
        """
        arrays: list[pa.Array] = []
        for number, decode in enumerate(self._decoders):
            cells = Cells(buffer, found.kinds[number], *found.positions[number : number + 2])
            try:
                arrays.append(decode(cells))
            except Unfit as unfit:
                raise self._loss(number, unfit) from unfit
        return pa.RecordBatch.from_arrays(arrays, names=self._names)

    def unexpected(self, number: int, kind: str) -> SourceError:
        """Make the error for a value of a kind that its column cannot have."""
        column = self._table.columns[number]
        return SourceError(
            f"table {self._table.name}, column {column.name}: the result holds a value of kind "
            f"{kind}, which is no {column.native_type}",
            hint="leave the column out with --columns, and report this as a bug of dbsync",
        )

    def _loss(self, number: int, unfit: Unfit) -> LossError:
        column = self._table.columns[number]
        values = "1 value" if unfit.count == 1 else f"{unfit.count} values"
        return LossError(
            f"table {self._table.name}, column {column.name}: {values} {unfit.reason}, counted "
            "up to the first batch that holds one",
            hint="correct them, or leave the column out with --columns",
        )


def _decoder(column: Column) -> tuple[Family, Values]:
    kind = td_type(column)
    if kind.nested:
        return "nested", partial(_documents, decoder=DocumentDecoder(kind))
    match kind.name:
        case "int":
            return "integer", partial(_integers, storage=pa.int32())
        case "long":
            return "integer", partial(_integers, storage=pa.int64())
        case "float":
            return "float", partial(_floats, storage=pa.float32())
        case "double":
            return "float", partial(_floats, storage=pa.float64())
        case _:
            return "text", _texts


def _integers(cells: Cells, *, storage: pa.DataType) -> pa.Array:
    values = pa.array(_whole(cells), mask=cells.nulls)
    try:
        return values.cast(storage)
    except pa.ArrowInvalid:
        numbers = values.fill_null(0).to_numpy()
        raise Unfit(
            int(np.count_nonzero(numbers != numbers.astype(np.int32))), "do not fit 32 bits"
        ) from None


def _whole(cells: Cells) -> Integers:
    """Read the integers of any width; nil gives 0."""
    kinds = cells.kinds
    words = _words(cells)
    if len(kinds) and kinds.min() == kinds.max() and 0xCC <= kinds[0] <= 0xCE:
        return (words >> _SHIFTS[kinds[0]]).view(np.int64)
    shifts = _SHIFTS.take(kinds)
    values = (words >> shifts).view(np.int64)
    large = (kinds == 0xCF) & (values < 0)
    if large.any():
        raise Unfit(int(np.count_nonzero(large)), "do not fit 64 bits with a sign")
    signed = np.flatnonzero((kinds & 0xFC) == 0xD0)
    if len(signed):
        values[signed] = words.take(signed).view(np.int64) >> shifts.take(signed).view(np.int64)
    small = (kinds < 0x80) | (kinds >= 0xE0) | (kinds == NIL)
    return np.where(small, _SMALL.take(kinds), values) if small.any() else values


def _floats(cells: Cells, *, storage: pa.DataType) -> pa.Array:
    kinds = cells.kinds
    values = _words(cells).view(np.float64)
    nulls = cells.nulls
    others = np.flatnonzero((kinds != 0xCB) & (kinds != NIL)) if len(kinds) else kinds
    if len(others):
        narrow = others.compress(kinds.take(others) == 0xCA)
        if len(narrow):
            half = (values.view(np.uint64).take(narrow) >> np.uint64(32)).astype(np.uint32)
            values[narrow] = half.view(np.float32)
        whole = others.compress(kinds.take(others) != 0xCA)
        if len(whole):
            part = Cells(
                cells.buffer, kinds.take(whole), cells.begins.take(whole), cells.ends.take(whole)
            )
            numbers = _whole(part)
            values[whole] = numbers
            inexact = (values.take(whole).astype(np.int64) != numbers) | (np.abs(numbers) > 1 << 53)
            if inexact.any():
                raise Unfit(int(np.count_nonzero(inexact)), "are integers that no double holds")
    if storage == pa.float32():
        with np.errstate(over="ignore", invalid="ignore"):
            return pa.array(values.astype(np.float32), mask=nulls)
    return pa.array(values, mask=nulls)


def _words(cells: Cells) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Give the eight bytes behind each first byte as a number, whatever they belong to."""
    words = np.ndarray(
        (len(cells.buffer) - 8,), np.dtype("<u8"), cells.buffer, offset=1, strides=(1,)
    )
    return words[cells.begins].byteswap()


def _texts(cells: Cells) -> pa.Array:
    raw = gather(cells.buffer, text_starts(cells.kinds, cells.begins), cells.ends, cells.nulls)
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        count = sum(not _is_utf8(value) for value in raw.to_pylist())
    raise Unfit(count, "are no valid text (UTF-8)")


def _documents(cells: Cells, *, decoder: DocumentDecoder) -> pa.Array:
    try:
        return decoder.decode(cells.buffer, cells.kinds, cells.begins, cells.ends)
    except ValueError as error:
        raise Unfit(1, f"is not of the column's type ({error})") from error


def _is_utf8(value: bytes | None) -> bool:
    try:
        _ = value is None or value.decode()
    except UnicodeDecodeError:
        return False
    return True
