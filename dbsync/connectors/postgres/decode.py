"""From the fields of binary COPY to batches in the standard form of `dbsync.connectors.base`.

What lives here: one decoder per column, vectorised; per-value Python only for values that their
Arrow type cannot hold. Must not know: SQL, connections, partitions.

The binary forms are those of the types' send functions: integers and floats with the highest byte
first, days and microseconds since 2000 with the extremes of their width for the infinities, text
as it is, jsonb as text after a byte with its version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dbsync.connectors.postgres.fields import Field, Flags, Malformed, Tuples, split_fields
from dbsync.connectors.postgres.numeric import DecimalReader
from dbsync.connectors.postgres.types import Form, Selected
from dbsync.errors import SourceError
from dbsync.model.schema import Column, Table
from dbsync.model.types import parse_storage
from dbsync.model.values import make_exceptions
from dbsync.model.values.kernels import pc
from dbsync.model.values.moments import DAY_US, format_timestamp

_EPOCH_DAYS = 10_957
_EPOCH_US = _EPOCH_DAYS * DAY_US
_LAST_US = (1 << 63) - 1 - _EPOCH_US
"""The last moment, counted from 2000, that 64 bits of microseconds since 1970 hold."""

_WIDTHS: dict[Form, int] = {
    "bool": 1,
    "int2": 2,
    "int4": 4,
    "int8": 8,
    "float4": 4,
    "float8": 8,
    "date": 4,
    "time": 8,
    "timestamp": 8,
    "uuid": 16,
}
"""Bytes of the forms whose values all have the same number of them."""

_JSONB_VERSION = 1

Decoded = tuple[pa.Array, pa.Array | None]
"""Values and, only where there are some, exceptions."""


class BatchDecoder:
    """Decodes every batch of one table, whose columns were selected in this way.

    `validate_text` where the server may send broken UTF-8.
    """

    def __init__(
        self, table: Table, selected: Mapping[str, Selected], *, validate_text: bool = False
    ) -> None:
        self._table = table
        own: list[Form] = [selected[column.name].form for column in table.columns]
        self._widths = [_WIDTHS.get(form) for form in own]
        self._decoders = [
            _decoder(column, form, validate_text)
            for column, form in zip(table.columns, own, strict=True)
        ]

    def decode(self, tuples: Tuples) -> pa.RecordBatch:
        """Turn rows as the server sends them into the standard form; raises `SourceError`."""
        try:
            fields = split_fields(tuples, self._widths)
        except Malformed as failure:
            raise self._failure(None, failure) from failure
        if not fields:
            return _rows_without_columns(tuples.count)
        values: list[pa.Array] = []
        exceptions: list[tuple[str, pa.Array]] = []
        for column, decode, field in zip(self._table.columns, self._decoders, fields, strict=True):
            try:
                decoded, special = decode(field)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, Malformed) as failure:
                raise self._failure(column, failure) from failure
            values.append(decoded)
            if special is not None:
                exceptions.append((column.exceptions, special))
        names = [column.name for column in self._table.columns]
        names += [name for name, _ in exceptions]
        return pa.RecordBatch.from_arrays([*values, *(a for _, a in exceptions)], names=names)

    def _failure(self, column: Column | None, failure: Exception) -> SourceError:
        value = f"a value of {column.name} ({column.native_type})" if column else "a row"
        return SourceError(f"cannot carry {value} of table {self._table.name}: {failure}")


def _rows_without_columns(count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))


def _decoder(column: Column, form: Form, validate_text: bool) -> Callable[[Field], Decoded]:
    storage = parse_storage(column.storage)
    match form:
        case "bool":
            return _decode_bool
        case "int2" | "int4" | "int8" | "float4" | "float8":
            kind = f">{form[0]}{_WIDTHS[form]}"
            return lambda field: (_array(storage, field.fixed(kind), field.nulls), None)
        case "date":
            return _decode_date
        case "time":
            return _decode_time
        case "timestamp":
            zoned = column.type.name == "timestamp_tz"
            return lambda field: _decode_timestamp(field, storage, zoned)
        case "uuid":
            return lambda field: (_array(storage, field.fixed("V16"), field.nulls), None)
        case "numeric":
            reader = DecimalReader(storage)
            return lambda field: _decode_numeric(field, reader, storage)
        case "bytes":
            return lambda field: (field.contents(), None)
        case "jsonb":
            check = _keep_broken if validate_text else _trust
            return lambda field: check(_jsonb(field))
        case "text" if pa.types.is_decimal(storage):
            return lambda field: _decode_decimal_text(_text(field), storage)
        case "text":
            check = _keep_broken if validate_text or column.native_type == '"char"' else _trust
            return lambda field: check(_text(field))


def _array(kind: pa.DataType, values: np.ndarray[Any, Any], nulls: Flags | None) -> pa.Array:
    """Make an array of a type of the same width out of numbers in any order of bytes."""
    if values.dtype.byteorder == ">":
        values = values.byteswap().view(values.dtype.newbyteorder("="))
    buffers = [_validity(nulls), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _validity(nulls: Flags | None) -> pa.Buffer | None:
    if nulls is None:
        return None
    return pa.py_buffer(np.packbits(~nulls, bitorder="little"))


def _decode_bool(field: Field) -> Decoded:
    return pa.array(field.fixed("?"), mask=field.nulls), None


def _decode_date(field: Field) -> Decoded:
    numbers = _array(pa.int32(), field.fixed(">i4"), field.nulls)
    array = pc.add(numbers, pa.scalar(_EPOCH_DAYS, pa.int32())).view(pa.date32())
    least, most = _extremes(numbers)
    if least > -(1 << 31) and most < (1 << 31) - 1:
        return array, None
    special = pc.is_in(numbers, pa.array([-(1 << 31), (1 << 31) - 1], pa.int32()))
    return _split(array, special, numbers, lambda n: _infinite(n, 32) or "")


def _decode_timestamp(field: Field, storage: pa.DataType, zoned: bool) -> Decoded:
    numbers = _array(pa.int64(), field.fixed(">i8"), field.nulls)
    array = pc.add(numbers, _EPOCH_US).view(storage)
    least, most = _extremes(numbers)
    if least > -(1 << 63) and most <= _LAST_US:
        return array, None
    special = pc.or_(pc.equal(numbers, -(1 << 63)), pc.greater(numbers, _LAST_US))
    return _split(
        array,
        special,
        numbers,
        lambda n: _infinite(n, 64) or format_timestamp(n + _EPOCH_US, zoned=zoned),
    )


def _decode_time(field: Field) -> Decoded:
    numbers = _array(pa.int64(), field.fixed(">i8"), field.nulls)
    array = numbers.view(pa.time64("us"))
    if _extremes(numbers)[1] < DAY_US:
        return array, None
    special = pc.greater_equal(numbers, DAY_US)
    return _split(array, special, numbers, lambda _: "24:00:00")


def _decode_numeric(field: Field, reader: DecimalReader, storage: pa.Decimal128Type) -> Decoded:
    numbers, nan = reader.read(field)
    nulls = field.nulls
    if nan is not None:
        nulls = nan if nulls is None else nulls | nan
    # The upper half of 128 bits repeats the sign of the lower one.
    halves = np.stack((numbers, numbers >> 63), axis=1)
    array = pa.Array.from_buffers(storage, len(numbers), [_validity(nulls), pa.py_buffer(halves)])
    return array, None if nan is None else _not_a_number(np.flatnonzero(nan).tolist(), len(numbers))


def _decode_decimal_text(array: pa.StringArray, storage: pa.DataType) -> Decoded:
    try:
        return array.cast(storage), None
    except pa.ArrowInvalid:
        special = pc.equal(array, "NaN")
        ordinary = pc.if_else(special, pa.scalar(None, pa.string()), array)
        exceptions = _not_a_number(pc.indices_nonzero(special), len(array))
        return ordinary.cast(storage), exceptions


def _not_a_number(rows: Sequence[int] | pa.Array, count: int) -> pa.Array:
    return make_exceptions(count, rows, "literal", [b"NaN"] * len(rows))


def _jsonb(field: Field) -> pa.StringArray:
    versions = field.fixed("u1")
    known = versions == _JSONB_VERSION
    if not (known if field.nulls is None else known | field.nulls).all():
        raise Malformed("a jsonb value has another version")
    return field.contents(skipped=1).view(pa.string())


def _text(field: Field) -> pa.StringArray:
    return field.contents().view(pa.string())


def _trust(array: pa.StringArray) -> Decoded:
    """Do not look: the server has seen to it that texts are UTF-8."""
    return array, None


def _keep_broken(array: pa.StringArray) -> Decoded:
    """Make exceptions of texts that are not UTF-8."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raw: list[bytes | None] = array.view(pa.binary()).to_pylist()
    else:
        return array, None
    broken = [n for n, value in enumerate(raw) if value is not None and not _is_utf8(value)]
    exceptions = make_exceptions(len(raw), broken, "text", [raw[n] or b"" for n in broken])
    for n in broken:
        raw[n] = None
    return pa.array(raw, pa.binary()).cast(pa.string()), exceptions


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _extremes(numbers: pa.Array) -> tuple[int, int]:
    """Give the least and the greatest number, 0 where all are NULL."""
    found = pc.min_max(numbers).as_py()
    return found["min"] or 0, found["max"] or 0


def _split(
    array: pa.Array, special: pa.Array, numbers: pa.Array, text: Callable[[int], str]
) -> Decoded:
    values = pc.if_else(special, pa.scalar(None, array.type), array)
    rows = pc.indices_nonzero(special)
    texts = [text(number).encode() for number in numbers.take(rows).to_pylist()]
    return values, make_exceptions(len(array), rows, "literal", texts)


def _infinite(raw: int, bits: int) -> str | None:
    if raw == (1 << (bits - 1)) - 1:
        return "infinity"
    return "-infinity" if raw == -(1 << (bits - 1)) else None
