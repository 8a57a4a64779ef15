"""Values of an archive as those of a column here: exactly, or refused.

What lives here: the conversion of one column to what `encode` writes, which the check before an
import uses too; ``time`` in seconds. Must not know: rows, msgpack's bytes, where they go.
"""

from __future__ import annotations

import pyarrow as pa
from msgspec.structs import replace

from dbsync.connectors.treasuredata.mapping import Sink
from dbsync.connectors.treasuredata.nested import pack_nested
from dbsync.connectors.treasuredata.types import TdType
from dbsync.model.schema import Column, effective_type
from dbsync.model.types import LogicalType, integer, parse_storage, standard_storage
from dbsync.model.values import refuse, standardize, to_text
from dbsync.model.values.convert import convert
from dbsync.model.values.kernels import pc

_NUMBERS = {
    "int": integer(32),
    "long": integer(64),
    "float": LogicalType(name="float", bits=32),
    "double": LogicalType(name="float", bits=64),
}
_DAY_S, _SECOND_US = 86_400, 1_000_000


def converted(
    sink: Sink, values: pa.Array, exceptions: pa.StructArray | None, table: str
) -> pa.Array:
    """Convert a column to integers, floats or text as its type here wants.

    An array or a map comes as msgpack, binary. Raises `MisfitError` for values that the type
    cannot hold, naming `table` (of the archive) and the column.
    """
    column = _meant(sink.column)
    if sink.type.name in _NUMBERS and column.type.name in ("integer", "float"):
        # A type that holds more than the declared one takes what it can.
        column = replace(column, type=_NUMBERS[sink.type.name])
    standard, literals = standardize(values, exceptions, column, table)
    if sink.type.nested:
        text = standard if literals is None else pc.coalesce(standard, literals)
        return pack_nested(text, sink.type, column.name, table)
    if sink.type.name == "string":
        text = to_text(standard, column.type)
        return text if literals is None else pc.coalesce(text, literals)
    reason = f"cannot be {sink.type.name} in Treasure Data"
    if literals is not None:
        refuse(literals.is_valid(), column.name, table, reason)
    if standard.type == parse_storage(standard_storage(_NUMBERS[sink.type.name])):
        return standard
    if pa.types.is_boolean(standard.type):
        return standard.cast(pa.int8())
    logical = _NUMBERS[sink.type.name]
    result = convert(standard, None, logical, parse_storage(standard_storage(logical)))
    refuse(result.failed, column.name, table, reason)
    return result.values


def fits_by_type(sink: Sink) -> bool:
    """Say whether the types alone prove that every value without an exception can be written."""
    column = _meant(sink.column)
    if column.storage != standard_storage(column.type):
        return False
    logical, name = column.type, sink.type.name
    match logical.name:
        case "integer" if name in ("int", "long"):
            bits = (logical.bits or 64) + logical.unsigned
            return bits <= (32 if name == "int" else 64)
        case "float" if name in ("float", "double"):
            return name == "double" or logical.bits == 32
        case "boolean" if name in ("int", "long"):
            return True
        case _:
            return name == "string"


def possible(column: Column, kind: TdType) -> bool:
    """Say whether any value of a column can be one of a column that exists here."""
    name = effective_type(column).name
    if kind.nested:
        return name == "json"
    if kind.name == "string":
        return True
    if kind.name in ("float", "double"):
        return name in ("integer", "float", "decimal")
    return name in ("integer", "boolean", "decimal")


def seconds(
    column: Column, values: pa.Array, exceptions: pa.StructArray | None, table: str
) -> pa.Array:
    """Convert the column that gives ``time`` to Unix seconds; parts of a second are cut off.

    Raises `MisfitError` for NULLs, infinities, and integers beyond 64 bits.
    """
    column = _meant(column)
    standard, literals = standardize(values, exceptions, column, table)
    refuse(
        literals.is_valid() if literals is not None else None,
        column.name, table, "cannot be the time of a row",
    )  # fmt: skip
    found = _whole_seconds(standard, column, table)
    hint = "give these rows a time, or name another column with --td-time-column"
    missing = found.is_null() if found.null_count else None
    refuse(missing, column.name, table, "that are NULL and cannot be the time of a row", hint=hint)
    return found


def _whole_seconds(standard: pa.Array, column: Column, table: str) -> pa.Array:
    if pa.types.is_date(standard.type):
        return pc.multiply(standard.view(pa.int32()).cast(pa.int64()), _DAY_S)
    if pa.types.is_timestamp(standard.type):
        micros = standard.view(pa.int64())
        whole = pc.divide(micros, _SECOND_US)
        early = pc.less(pc.subtract(micros, pc.multiply(whole, _SECOND_US)), 0)
        return pc.subtract(whole, early.cast(pa.int64()))
    whole = convert(standard, None, integer(64), pa.int64())
    refuse(whole.failed, column.name, table, "cannot be the time of a row")
    return whole.values


def _meant(column: Column) -> Column:
    return replace(column, type=effective_type(column))
