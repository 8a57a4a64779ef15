"""From what ADBC returns to batches in the standard form of `dbsync.connectors.base`.

What lives here: one decoder per column, vectorised; per-value Python only for values that their
Arrow type cannot hold. Must not know: SQL, connections, partitions.

ADBC adds the distance of PostgreSQL's epoch (2000) to Arrow's (1970) with wrap-around, so that an
infinite date or a timestamp after the year 294246 arrives as a number below the least legal
value. Taking the distance off again, modulo the width, gives PostgreSQL's own number back.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from dbsync.errors import SourceError
from dbsync.model.schema import Column, Table
from dbsync.model.types import parse_storage
from dbsync.model.values import make_exceptions
from dbsync.model.values.kernels import pc
from dbsync.model.values.moments import DAY_US, format_date, format_timestamp

_EPOCH_DAYS = 10_957
_EPOCH_US = _EPOCH_DAYS * DAY_US
_LEAST_DAY = -2_440_588
_LEAST_US = _LEAST_DAY * DAY_US

Decoded = tuple[pa.Array, pa.Array | None]
"""Values and, only where there are some, exceptions."""


class BatchDecoder:
    """Decodes every batch of one table; `validate_text` where the server may send broken UTF-8."""

    def __init__(self, table: Table, *, validate_text: bool = False) -> None:
        self._table = table
        self._decoders = [_decoder(column, validate_text) for column in table.columns]

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Turn a batch as ADBC gives it into the standard form; raises `SourceError`."""
        values: list[pa.Array] = []
        exceptions: list[tuple[str, pa.Array]] = []
        for column, decode, array in zip(
            self._table.columns, self._decoders, batch.columns, strict=True
        ):
            try:
                decoded, special = decode(array)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as failure:
                raise SourceError(
                    f"cannot carry a value of {column.name} ({column.native_type}) of table "
                    f"{self._table.name}: {failure}"
                ) from failure
            values.append(decoded)
            if special is not None:
                exceptions.append((column.exceptions, special))
        names = [column.name for column in self._table.columns]
        names += [name for name, _ in exceptions]
        return pa.RecordBatch.from_arrays([*values, *(a for _, a in exceptions)], names=names)


def rows_without_columns(count: int) -> pa.RecordBatch:
    """Make a batch of `count` rows and no column, as a table without columns may have."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))


def _decoder(column: Column, validate_text: bool) -> Callable[[pa.Array], Decoded]:
    storage = parse_storage(column.storage)
    match column.type.name:
        case "date":
            return _decode_date
        case "time":
            return _decode_time
        case "timestamp" | "timestamp_tz":
            zoned = column.type.name == "timestamp_tz"
            return lambda array: _decode_timestamp(array, storage, zoned)
        case "uuid":
            return _decode_uuid
        case "decimal" if pa.types.is_decimal(storage):
            return lambda array: _decode_decimal(array, storage)
        case _ if storage == pa.string() and (validate_text or column.native_type == '"char"'):
            return _decode_unchecked_text
        case _:
            return lambda array: (_as(array, storage), None)


def _as(array: pa.Array, storage: pa.DataType) -> pa.Array:
    return array if array.type == storage else array.cast(storage)


def _decode_uuid(array: pa.Array) -> Decoded:
    raw = array.storage if isinstance(array, pa.ExtensionArray) else array
    return _as(raw, pa.binary(16)), None


def _decode_date(array: pa.Array) -> Decoded:
    array = _as(array, pa.date32())
    numbers = array.view(pa.int32())
    if not _below(numbers, _LEAST_DAY):
        return array, None
    return _split(array, pc.less(numbers, _LEAST_DAY), numbers, _date_text)


def _decode_timestamp(array: pa.Array, storage: pa.DataType, zoned: bool) -> Decoded:
    # The unit must be PostgreSQL's own; a zone is only a label.
    if not pa.types.is_timestamp(array.type) or array.type.unit != "us":
        raise ValueError(f"expected microseconds, got {array.type}")
    numbers = array.view(pa.int64())
    array = numbers.view(storage)
    if not _below(numbers, _LEAST_US):
        return array, None
    return _split(array, pc.less(numbers, _LEAST_US), numbers, lambda n: _timestamp_text(n, zoned))


def _decode_time(array: pa.Array) -> Decoded:
    array = _as(array, pa.time64("us"))
    numbers = array.view(pa.int64())
    greatest = pc.max(numbers).as_py()
    if greatest is None or greatest < DAY_US:
        return array, None
    special = pc.greater_equal(numbers, DAY_US)
    return _split(array, special, numbers, lambda _: "24:00:00")


def _decode_decimal(array: pa.Array, storage: pa.DataType) -> Decoded:
    try:
        return array.cast(storage), None
    except pa.ArrowInvalid:
        special = pc.equal(array, "NaN")
        ordinary = pc.if_else(special, pa.scalar(None, pa.string()), array)
        rows = pc.indices_nonzero(special)
        exceptions = make_exceptions(len(array), rows, "literal", [b"NaN"] * len(rows))
        return ordinary.cast(storage), exceptions


def _decode_unchecked_text(array: pa.Array) -> Decoded:
    array = _as(array, pa.string())
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


def _below(numbers: pa.Array, least: int) -> bool:
    smallest = pc.min(numbers).as_py()
    return smallest is not None and smallest < least


def _split(
    array: pa.Array, special: pa.Array, numbers: pa.Array, text: Callable[[int], str]
) -> Decoded:
    values = pc.if_else(special, pa.scalar(None, array.type), array)
    rows = pc.indices_nonzero(special)
    texts = [text(number).encode() for number in numbers.take(rows).to_pylist()]
    return values, make_exceptions(len(array), rows, "literal", texts)


def _date_text(number: int) -> str:
    raw = _wrap(number - _EPOCH_DAYS, 32)
    return _infinite(raw, 32) or format_date(raw + _EPOCH_DAYS)


def _timestamp_text(number: int, zoned: bool) -> str:
    raw = _wrap(number - _EPOCH_US, 64)
    return _infinite(raw, 64) or format_timestamp(raw + _EPOCH_US, zoned=zoned)


def _wrap(number: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (number + half) % (1 << bits) - half


def _infinite(raw: int, bits: int) -> str | None:
    if raw == (1 << (bits - 1)) - 1:
        return "infinity"
    return "-infinity" if raw == -(1 << (bits - 1)) else None
