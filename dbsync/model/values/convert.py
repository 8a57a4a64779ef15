"""From what a source stored to the standard Arrow type of a logical type: exactly, or refused.

What lives here: which stored types and exceptions mean which standard values. A conversion that
would change a value is a failure of that row, never a rounding; `standardize` makes failures an
error, `dbsync.model.values.canonical` compares them as they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from dbsync.model.schema import Column
from dbsync.model.types import LogicalType, parse_storage, standard_storage
from dbsync.model.values.kernels import attempt, pc, scatter
from dbsync.model.values.misfit import HINT, refuse
from dbsync.model.values.parse import from_text
from dbsync.model.values.text import decimal_text, float_text

_EXAMPLE_LENGTH = 60


class Converted(NamedTuple):
    """Values of the standard type; where they are NULL, perhaps a literal, or a failed row.

    `literals` and `failed` are None where no row has one.
    """

    values: pa.Array
    literals: pa.Array | None = None
    failed: pa.Array | None = None


def standard_type(column: Column) -> pa.DataType:
    """Name the Arrow type of a column's standard values; for ``any``, the column's own storage."""
    if column.type.name == "any":
        return parse_storage(column.storage)
    return parse_storage(standard_storage(column.type))


def standardize(
    values: pa.Array,
    exceptions: pa.StructArray | None,
    column: Column,
    table: str,
    *,
    example: bool = True,
    own_literals: bool = False,
) -> tuple[pa.Array, pa.StringArray | None]:
    """Turn what a source stored into the standard Arrow type of `column.type`.

    `values` may have any storage type, whatever `column.storage` says, so a column of another
    database can be read under this one's logical type. The second part is the canonical text of
    values that the type cannot hold (``NaN``, ``infinity``, ``24:00:00``), NULL elsewhere, or None
    when there are none. Literals that only one engine has (``0000-00-00``, ``-01:00:00``) are
    refused, unless `own_literals` says that they go back there. Values of the right type are
    returned as they are. Raises `MisfitError` when a value has no exact equal, naming `table`, the
    column, how many, and one of them unless `example` is false.
    """
    result = convert(values, exceptions, column.type, standard_type(column))
    if result.failed is None:
        return result.values, result.literals
    odd = _odd_literals(exceptions, result.failed)
    if odd is not None and own_literals and exceptions is not None:
        kept = pc.if_else(odd, exceptions.field("value"), pa.scalar(None, pa.binary()))
        literals = kept.cast(pa.string())
        if result.literals is not None:
            literals = pc.coalesce(literals, result.literals)
        result = Converted(result.values, literals, pc.and_not(result.failed, odd))
    elif odd is not None:
        shown = _example(values, exceptions, odd) if example else ""
        refuse(odd, column.name, table, _ODD[column.type.name], example=shown)
    if pc.any(result.failed).as_py():
        shown = _example(values, exceptions, result.failed) if example else ""
        hint = _BOOLEAN if column.type.name == "boolean" else HINT
        reason = f"cannot be {column.type} without loss"
        refuse(result.failed, column.name, table, reason, example=shown, hint=hint)
    return result.values, result.literals


def _odd_literals(exceptions: pa.StructArray | None, failed: pa.Array) -> pa.Array | None:
    """Mark the failed rows that are literals of one engine alone; None where there are none."""
    if exceptions is None:
        return None
    odd = pc.and_(failed, pc.equal(exceptions.field("kind"), "literal").fill_null(False))
    return odd if pc.any(odd).as_py() else None


_ODD: dict[str, str] = {
    "date": "with a zero or impossible date, which only MySQL holds",
    "timestamp": "with a zero or impossible date, which only MySQL holds",
    "timestamp_tz": "with a zero or impossible date, which only MySQL holds",
    "time": "below 00:00:00 or above 24:00:00, which only MySQL holds",
}
_BOOLEAN = (
    "a boolean is 0 or 1: correct the values, or declare the column as an integer in the source"
    " (in MySQL, TINYINT without (1))"
)


def convert(
    values: pa.Array,
    exceptions: pa.StructArray | None,
    logical: LogicalType,
    target: pa.DataType,
) -> Converted:
    """Convert stored values and exceptions to `target`, marking rows that have no exact equal."""
    # What the source declares to be standard is not read again.
    ordinary = Converted(values) if values.type == target else _stored(values, logical, target)
    if exceptions is None:
        return ordinary
    given = exceptions.is_valid()
    odd = _exceptional(exceptions.filter(given), logical, target)
    length, rows = len(values), pc.indices_nonzero(given)
    return Converted(
        pc.replace_with_mask(ordinary.values, given, odd.values),
        _overlaid(ordinary.literals, odd.literals, rows, length),
        _overlaid(ordinary.failed, odd.failed, rows, length),
    )


def _overlaid(
    base: pa.Array | None, odd: pa.Array | None, rows: pa.Array, length: int
) -> pa.Array | None:
    if odd is None:
        return base
    placed = scatter(odd, rows, length)
    if base is not None:
        return pc.coalesce(placed, base)
    return placed.fill_null(False) if pa.types.is_boolean(placed.type) else placed


def _exceptional(
    exceptions: pa.StructArray, logical: LogicalType, target: pa.DataType
) -> Converted:
    """Convert exceptions, none of them NULL, kind by kind."""
    kinds, raw = exceptions.field("kind"), exceptions.field("value")
    length = len(exceptions)
    values = pa.nulls(length, target)
    literals = pa.nulls(length, pa.string())
    failed = pa.nulls(length, pa.bool_()).fill_null(False)
    for kind in kinds.unique().to_pylist():
        chosen = pc.equal(kinds, kind)
        part = _of_kind(kind, raw.filter(chosen), logical, target)
        values = pc.replace_with_mask(values, chosen, part.values)
        if part.literals is not None:
            literals = pc.replace_with_mask(literals, chosen, part.literals)
        if part.failed is not None:
            failed = pc.replace_with_mask(failed, chosen, part.failed)
    return Converted(
        values,
        literals if literals.null_count < length else None,
        failed if pc.any(failed).as_py() else None,
    )


def _of_kind(kind: str, raw: pa.Array, logical: LogicalType, target: pa.DataType) -> Converted:
    match kind:
        case "literal":
            return _literals(raw.cast(pa.string()), logical, target)
        case "integer":
            return _stored(raw.cast(pa.string()).cast(pa.int64()), logical, target)
        case "real":
            return _stored(raw.cast(pa.string()).cast(pa.float64()), logical, target)
        case "blob":
            return _stored(raw, logical, target)
        case _:
            text, broken = attempt(raw, lambda part: part.cast(pa.string()))
            result = _stored(text, logical, target)
            if broken is None:
                return result
            failed = broken if result.failed is None else pc.or_(broken, result.failed)
            return result._replace(failed=failed)


def _literals(text: pa.StringArray, logical: LogicalType, target: pa.DataType) -> Converted:
    """Keep literals as they are, but for dates and times that only one engine has."""
    failed = None
    if logical.name in _ODD:
        _, _, failed = from_text(text, logical, target)
        # Not every engine's year 0 is the one before the year 1.
        zero = pc.starts_with(text, "0000-")
        failed = zero if failed is None else pc.or_(failed, zero)
    if failed is None or not pc.any(failed).as_py():
        return Converted(pa.nulls(len(text), target), text)
    known = pc.if_else(failed, pa.scalar(None, pa.string()), text)
    return Converted(pa.nulls(len(text), target), known, failed)


def _stored(values: pa.Array, logical: LogicalType, target: pa.DataType) -> Converted:
    """Convert values of one storage type; the types say how, nothing about the source does."""
    kind = values.type
    if logical.name == "any":
        return _any(values, target)
    if pa.types.is_string(kind):
        return Converted(*from_text(values, logical, target))
    if kind == target:
        return Converted(values)
    if pa.types.is_integer(kind):
        return _from_integer(values, logical, target)
    if pa.types.is_floating(kind):
        return _from_float(values, logical, target)
    if pa.types.is_decimal(kind):
        return _from_decimal(values, logical, target)
    if pa.types.is_boolean(kind) and logical.name == "integer":
        return Converted(values.cast(target))
    if pa.types.is_date(kind) and logical.name == "timestamp":
        return _cast(values, target)
    return _refused(values, target)


def _any(values: pa.Array, target: pa.DataType) -> Converted:
    """Allow only numbers of equal value: text and number are different values here."""
    if values.type == target:
        return Converted(values)
    if pa.types.is_integer(values.type) and pa.types.is_floating(target):
        return _integer_to_float(values, target)
    if pa.types.is_floating(values.type) and pa.types.is_integer(target):
        return _cast(values, target)
    return _refused(values, target)


def _from_integer(values: pa.Array, logical: LogicalType, target: pa.DataType) -> Converted:
    match logical.name:
        case "integer":
            return _cast(values, target)
        case "boolean":
            known = pc.is_in(values, pa.array([0, 1], values.type))
            return _where(values, known, lambda part: part.cast(target))
        case "float":
            return _integer_to_float(values, target)
        case "decimal" if pa.types.is_decimal(target):
            digits = pa.decimal128(20, 0)
            return _cast(values, target, lambda part: part.cast(digits).cast(target))
        case "decimal" | "numeric" | "json":
            return Converted(values.cast(pa.string()))
        case _:
            return _refused(values, target)


def _from_float(values: pa.Array, logical: LogicalType, target: pa.DataType) -> Converted:
    match logical.name:
        case "integer":
            return _cast(values, target)
        case "float":
            narrow = values.cast(target, safe=False)
            back = narrow.cast(values.type, safe=False)
            same = pc.or_(pc.equal(back, values), pc.is_nan(values))
            return _where(values, same, lambda part: part.cast(target, safe=False))
        case "decimal" | "numeric":
            return Converted(*from_text(float_text(values), logical, target))
        case "json":
            return _where(values, pc.is_finite(values), lambda part: part.cast(pa.string()))
        case _:
            return _refused(values, target)


def _from_decimal(values: pa.Array, logical: LogicalType, target: pa.DataType) -> Converted:
    match logical.name:
        case "decimal" if pa.types.is_decimal(target):
            return _cast(values, target)
        case "integer":
            return _cast(values, target)
        case "decimal" | "numeric":
            return Converted(decimal_text(values))
        case _:
            return _refused(values, target)


def _integer_to_float(values: pa.Array, target: pa.DataType) -> Converted:
    whole = pa.uint64() if pa.types.is_unsigned_integer(values.type) else pa.int64()
    wide = values.cast(target, safe=False).cast(pa.float64())
    # 2^63 and 2^64 are doubles that no integer of their width holds; casting them back wraps.
    inside = pc.less(wide, 2.0 ** (whole.bit_width - (whole == pa.int64())))
    back = pc.if_else(inside, wide, 0.0).cast(whole, safe=False)
    exact = pc.and_(inside, pc.equal(back, values.cast(whole)))
    return _where(values, exact, lambda part: part.cast(target, safe=False))


def _cast(
    values: pa.Array, target: pa.DataType, cast: Callable[[pa.Array], pa.Array] | None = None
) -> Converted:
    """Cast with Arrow's own checks, which refuse overflow and fractions."""
    converted, failed = attempt(values, cast or (lambda part: part.cast(target)))
    return Converted(converted, None, failed)


def _where(values: pa.Array, good: pa.Array, cast: Callable[[pa.Array], pa.Array]) -> Converted:
    """Cast the rows that are `good`; the others fail, but for NULLs."""
    good = pc.or_(good.fill_null(False), values.is_null())
    if pc.all(good).as_py() is not False:
        return Converted(cast(values))
    kept = pc.if_else(good, values, pa.scalar(None, values.type))
    return Converted(cast(kept), None, pc.invert(good))


def _refused(values: pa.Array, target: pa.DataType) -> Converted:
    """Fail every row that is not NULL."""
    failed = values.is_valid() if values.null_count < len(values) else None
    return Converted(pa.nulls(len(values), target), None, failed)


def _example(values: pa.Array, exceptions: pa.StructArray | None, failed: pa.Array) -> str:
    """Show the first failed value: its class and its text, shortened."""
    row = pc.index(failed, True).as_py()
    odd = exceptions[row].as_py() if exceptions is not None else None
    kind, value = (odd["kind"], odd["value"]) if odd else (str(values.type), values[row].as_py())
    if isinstance(value, bytes):
        blob = odd is None or kind == "blob"
        value = value.hex() if blob else value.decode("utf-8", "backslashreplace")
    text = str(value)
    if len(text) > _EXAMPLE_LENGTH:
        text = f"{text[:_EXAMPLE_LENGTH]}..."
    return f"the {kind} {text!r}"
