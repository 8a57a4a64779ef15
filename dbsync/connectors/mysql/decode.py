"""From the bytes of a text-protocol result to batches in the form of `dbsync.connectors.base`.

What lives here: one decoder per column, vectorised. Values that the Arrow type of their column
cannot hold become literals: dates that no calendar has, which MySQL keeps (0000-00-00,
2020-00-15, 2020-02-31), and times outside of one day. Must not know: SQL, connections, ranges.

The year 0 is odd too: MySQL's has no 29 February, the Gregorian one has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dbsync.errors import LossError, SourceError
from dbsync.model.schema import Column, Table
from dbsync.model.types import parse_storage
from dbsync.model.values import make_exceptions
from dbsync.model.values.kernels import pc

Decoded = tuple[pa.Array, pa.StructArray | None]
"""Values and, only where there are some, exceptions."""

_FIRST_DAY = -719_162
_FIRST_US = _FIRST_DAY * 86_400_000_000
_WITHIN_A_DAY = "^(?:[01][0-9]|2[0-3]):"
_LEADING_ZEROS = r"^(-?)0+([0-9])"
_MONTH_LENGTHS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_ZEROFILL = re.compile(r"\bzerofill\b", re.IGNORECASE)


class BatchDecoder:
    """Decodes the raw values of one table's columns, as `types.select_expression` selects them."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._decoders = [_decoder(column, table) for column in table.columns]

    def decode(self, arrays: Sequence[pa.BinaryArray]) -> pa.RecordBatch:
        """Turn one array of raw values per column into a batch.

        Raises `LossError` for text that is not UTF-8, and `SourceError` for a value that its
        column's type does not explain.
        """
        values: list[pa.Array] = []
        exceptions: list[tuple[str, pa.Array]] = []
        for column, decode, raw in zip(self._table.columns, self._decoders, arrays, strict=True):
            try:
                decoded, odd = decode(raw)
            except pa.ArrowInvalid as failure:
                raise SourceError(
                    f"table {self._table.name}, column {column.name}: cannot read a value of type "
                    f"{column.native_type}: {failure}"
                ) from failure
            values.append(decoded)
            if odd is not None:
                exceptions.append((column.exceptions, odd))
        names = [column.name for column in self._table.columns]
        names += [name for name, _ in exceptions]
        return pa.RecordBatch.from_arrays([*values, *(odd for _, odd in exceptions)], names=names)


def _decoder(column: Column, table: Table) -> Callable[[pa.BinaryArray], Decoded]:
    storage = parse_storage(column.storage)
    if pa.types.is_boolean(storage):
        return lambda raw: (_ascii(raw).cast(pa.uint8()).cast(storage), None)
    if pa.types.is_float32(storage):
        # The text is that of a double which is equal to a float.
        return lambda raw: (_ascii(raw).cast(pa.float64()).cast(storage), None)
    if pa.types.is_date(storage):
        return partial(_date, storage=storage)
    if pa.types.is_timestamp(storage):
        return partial(_timestamp, storage=storage)
    if pa.types.is_time(storage):
        return partial(_time, storage=storage)
    if column.type.name == "decimal" and _ZEROFILL.search(column.native_type):
        return lambda raw: (_without_zeros(raw).cast(storage), None)
    if storage == pa.string():
        return lambda raw: (_text(raw, column, table), None)
    if storage == pa.binary() or pa.types.is_fixed_size_binary(storage):
        return lambda raw: (raw if raw.type == storage else raw.cast(storage), None)
    return lambda raw: (_ascii(raw).cast(storage), None)


def _ascii(raw: pa.BinaryArray) -> pa.StringArray:
    """Take values for text without looking at them: numbers and moments are digits."""
    return raw.view(pa.string())


def _without_zeros(raw: pa.BinaryArray) -> pa.StringArray:
    return pc.replace_substring_regex(_ascii(raw), _LEADING_ZEROS, r"\1\2")


def _text(raw: pa.BinaryArray, column: Column, table: Table) -> pa.StringArray:
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        count = sum(not _is_utf8(value) for value in raw.to_pylist())
    values = "1 value is" if count == 1 else f"{count} values are"
    raise LossError(
        f"table {table.name}, column {column.name}: {values} no valid text in the column's "
        f"character set ({column.native_type}), counted up to the first batch that holds one",
        hint="correct them, make the column a binary one, or leave it out with --columns",
    )


def _is_utf8(value: bytes | None) -> bool:
    try:
        _ = value is None or value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _date(raw: pa.BinaryArray, *, storage: pa.DataType) -> Decoded:
    text = _ascii(raw)
    try:
        dates = text.cast(storage)
    except pa.ArrowInvalid:
        return _set_aside(text, _real_dates(text), lambda part: part.cast(storage))
    if _before(dates.view(pa.int32()), _FIRST_DAY):
        return _set_aside(text, _real_dates(text), lambda part: part.cast(storage))
    return dates, None


def _timestamp(raw: pa.BinaryArray, *, storage: pa.TimestampType) -> Decoded:
    def cast(part: pa.Array) -> pa.Array:
        # The session is in UTC, so the zone is only a label.
        return part.cast(pa.timestamp("us")).view(storage)

    text = _ascii(raw)
    try:
        moments = cast(text)
    except pa.ArrowInvalid:
        return _set_aside(text, _real_dates(text), cast)
    if _before(moments.view(pa.int64()), _FIRST_US):
        return _set_aside(text, _real_dates(text), cast)
    return moments, None


def _time(raw: pa.BinaryArray, *, storage: pa.DataType) -> Decoded:
    def cast(part: pa.Array) -> pa.Array:
        # Arrow reads no times without a date.
        moments = pc.binary_join_element_wise("1970-01-01", part, " ").cast(pa.timestamp("us"))
        return moments.view(pa.int64()).view(storage)

    text = _ascii(raw)
    try:
        return cast(text), None
    except pa.ArrowInvalid:
        return _set_aside(text, pc.match_substring_regex(text, _WITHIN_A_DAY), cast)


def _before(numbers: pa.Array, first: int) -> bool:
    least = pc.min(numbers).as_py()
    return least is not None and least < first


def _real_dates(text: pa.StringArray) -> pa.Array:
    """Say which texts begin with a date of the years 1 to 9999; each has ten bytes for it."""
    dates = pc.binary_slice(text.view(pa.binary()), 0, 10).fill_null(b"0000-00-00")
    digits = _bytes(dates).reshape(-1, 10).astype(np.int16) - ord("0")
    year = digits[:, 0] * 1000 + digits[:, 1] * 100 + digits[:, 2] * 10 + digits[:, 3]
    month = digits[:, 5] * 10 + digits[:, 6]
    day = digits[:, 8] * 10 + digits[:, 9]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    named = (month >= 1) & (month <= 12)
    length = _MONTH_LENGTHS[np.where(named, month, 0)] + (leap & (month == 2))
    return pa.array((year > 0) & (day >= 1) & (day <= length))


def _bytes(values: pa.Array) -> Any:
    """Give the bytes of an array without NULLs, one value after another."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    data = values.buffers()[2]
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return content[offsets[0] : offsets[-1]]


def _set_aside(
    text: pa.StringArray, ordinary: pa.Array, cast: Callable[[pa.Array], pa.Array]
) -> Decoded:
    """Cast what is ordinary and make literals of the rest, without zeros after a fraction."""
    values = cast(pc.if_else(ordinary, text, pa.scalar(None, pa.string())))
    rows = pc.indices_nonzero(pc.and_not(text.is_valid(), ordinary.fill_null(False)))
    literals = pc.replace_substring_regex(text.take(rows), r"(\.[0-9]*?)0+$", r"\1")
    literals = pc.replace_substring_regex(literals, r"\.$", "")
    return values, make_exceptions(len(text), rows, "literal", literals.cast(pa.binary()))
