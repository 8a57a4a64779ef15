"""The bytes of msgpack rows as columns, for all rows of a buffer at once.

What lives here: finding the rows of a buffer and the values of every column by numpy, with no
Python object per value. Must not know: where the bytes come from, what the values mean.

A row is an array of as many values as there are columns. Whatever looks like the header of such an
array is taken for the start of a row, and walked column by column; of these candidates, the rows
are those that follow one another without a gap from the first byte on. So a guess is never
trusted: it is proven by the row before it. What this cannot follow is walked value by value.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from dbsync.connectors.gathering import linked
from dbsync.connectors.treasuredata import nesting
from dbsync.connectors.treasuredata.first_bytes import (
    BY_LENGTH,
    IS_NESTED,
    NEVER,
    SIZES,
    WIDTHS,
    WRONG,
    Family,
    kind_name,
)

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.first_bytes import Bytes, Positions

    Flags = np.ndarray[Any, np.dtype[np.bool_]]

Numbers = TypeVar("Numbers", bound="np.ndarray[Any, Any]")

PADDING = 16
"""How many bytes behind the last one a buffer has; they are set here."""

_NOWHERE = 1 << 60
"""The position of a value in what cannot be a row."""

_EARLY = 2
"""Behind this column, nearly all that is no row has been found out."""


class Malformed(Exception):
    """The bytes are no rows of these columns."""


class Unexpected(Exception):
    """A value is of a `kind` that its column has not; `column` is its number."""

    def __init__(self, column: int, kind: str):
        super().__init__(f"column {column}: {kind}")
        self.column = column
        self.kind = kind


@dataclass(frozen=True)
class Found:
    """Rows that were found: for each column, the first byte of each value and where it stands.

    `positions` has one item more than there are columns: where each value ends is where that of
    the next column begins. `end` is where the bytes begin that belong to no row yet.
    """

    kinds: list[Bytes]
    positions: list[Positions]
    end: int

    @property
    def count(self) -> int:
        """Say how many rows there are."""
        return len(self.positions[0])


def find_rows(buffer: bytearray, filled: int, families: Sequence[Family]) -> Found | None:
    """Find complete rows from the start of `buffer`, of which `filled` bytes and `PADDING` count.

    Returns None where more bytes are needed for even one row. There may be more rows behind those
    that are found. Raises `Malformed` and `Unexpected`.
    """
    if not filled:
        return None
    # What is read behind the end begins no value and has no length.
    buffer[filled : filled + PADDING] = bytes([NEVER]) * PADDING
    raw = np.frombuffer(buffer, np.uint8, count=filled + PADDING)
    found, waiting = _by_guess(raw, filled, families)
    if found is not None or waiting:
        return found
    return _one_by_one(raw, filled, families)


def text_starts(kinds: Bytes, positions: Positions) -> Positions:
    """Say where the contents of texts begin, behind their lengths."""
    return positions + 1 + WIDTHS.take(kinds)


def _by_guess(raw: Bytes, filled: int, families: Sequence[Family]) -> tuple[Found | None, bool]:
    """Find rows among what looks like one; say as well whether the first one is incomplete."""
    width = 1 if len(families) < 16 else 3
    if filled < width:
        return None, True
    starts = _candidates(raw, filled, len(families))
    if not len(starts) or starts[0]:
        return None, False
    starts, kinds, positions = _walk(raw, filled, starts, width, families)
    if not len(starts) or starts[0]:
        return None, False
    ends = positions[-1]
    whole = (ends <= filled) & (positions[-2] < filled)
    if not whole[0]:
        return None, bool(ends[0] < _NOWHERE)
    # Nearly all that is no row ends where none can begin; what is left of it breaks the chain.
    whole &= (raw.take(ends, mode="clip") == raw[0]) | (ends == filled)
    chosen: Positions | slice = slice(None)
    if not whole.all():
        chosen = np.flatnonzero(whole)
        starts, ends = starts.take(chosen), ends.take(chosen)
    if not len(starts) or starts[0]:
        return None, False
    if not np.array_equal(ends[:-1], starts[1:]):
        following = linked(starts, ends)
        chosen = following if isinstance(chosen, slice) else chosen.take(following)
    kinds, positions = _only(chosen, kinds), _only(chosen, positions)
    return Found(kinds, positions, int(positions[-1][-1])), False


def _candidates(raw: Bytes, filled: int, columns: int) -> Positions:
    """List where the bytes of a row's header stand."""
    if columns < 16:
        return np.flatnonzero(raw[:filled] == 0x90 + columns)
    if columns >= 1 << 16:
        raise Malformed("rows have too many columns")
    found = np.flatnonzero(raw[: filled - 2] == 0xDC)
    found = found[raw.take(found + 1) == columns >> 8]
    return found[raw.take(found + 2) == columns & 0xFF]


def _walk(
    raw: Bytes, filled: int, starts: Positions, width: int, families: Sequence[Family]
) -> tuple[Positions, list[Bytes], list[Positions]]:
    """Go from each start through its values; those that cannot be rows may be left out."""
    kinds: list[Bytes] = []
    positions: list[Positions] = []
    at = starts + width
    for column, family in enumerate(families):
        kind = raw.take(at, mode="clip")
        size = SIZES[family].take(kind)
        positions.append(at)
        kinds.append(kind)
        if family == "nested":
            _measure_nested(raw, filled, at, kind, size)
        if len(size) and size.min() < 0:
            _measure(raw, at, kind, size)
        at = at + size
        if column == _EARLY:
            possible = at < _NOWHERE
            if not possible.all():
                chosen = np.flatnonzero(possible)
                kinds, positions = _only(chosen, kinds), _only(chosen, positions)
                starts, at = starts.take(chosen), at.take(chosen)
    positions.append(at)
    return starts, kinds, positions


def _measure(raw: Bytes, at: Positions, kind: Bytes, size: Positions) -> None:
    """Put the sizes of values that begin with their length; what is wrong goes nowhere."""
    rows = np.flatnonzero(size < 0)
    widths = np.where(size.take(rows) == BY_LENGTH, WIDTHS.take(kind.take(rows)), 0)
    size[rows] = 1 + widths + nesting.lengths(raw, at.take(rows) + 1, widths)
    wrong = rows.compress(widths == 0)
    size[wrong] = 0
    at[wrong] = _NOWHERE


def _measure_nested(raw: Bytes, filled: int, at: Positions, kind: Bytes, size: Positions) -> None:
    """Put the sizes of arrays and maps; one that cannot be followed goes nowhere."""
    nested = np.flatnonzero(IS_NESTED.take(kind))
    if len(nested):
        begins = at.take(nested)
        ends = nesting.ends(raw, begins, filled, _NOWHERE)
        size[nested] = ends - begins
        wrong = nested.compress(ends == _NOWHERE)
        size[wrong] = 0
        at[wrong] = _NOWHERE


def _only(chosen: Positions | slice, columns: list[Numbers]) -> list[Numbers]:
    if isinstance(chosen, slice):
        return [cast("Numbers", column[chosen]) for column in columns]
    # Half again as fast as an index in brackets.
    return [cast("Numbers", column.take(chosen)) for column in columns]


def _one_by_one(raw: Bytes, filled: int, families: Sequence[Family]) -> Found | None:
    """Find rows by msgpack's own reader, value by value."""
    import msgpack

    unpacker = msgpack.Unpacker(max_buffer_size=max(filled, 1), strict_map_key=False)
    unpacker.feed(memoryview(cast("Any", raw))[:filled])
    places: list[int] = []
    rows = end = 0
    try:
        while True:
            if unpacker.read_array_header() != len(families):
                raise Malformed("a row has another number of values")
            for _ in families:
                places.append(unpacker.tell())
                unpacker.skip()
            end = unpacker.tell()
            places.append(end)
            rows += 1
    except msgpack.OutOfData:
        if not rows:
            return None
    except (msgpack.UnpackException, ValueError) as error:
        raise Malformed("the result is no msgpack of rows") from error
    table = np.array(places[: rows * (len(families) + 1)], np.int64).reshape(rows, -1)
    positions = [np.ascontiguousarray(table[:, column]) for column in range(len(families) + 1)]
    kinds = [raw.take(at) for at in positions[:-1]]
    for column, family in enumerate(families):
        wrong = np.flatnonzero(SIZES[family].take(kinds[column]) == WRONG)
        if len(wrong):
            raise Unexpected(column, kind_name(int(kinds[column][wrong[0]])))
    return Found(kinds, positions, end)
