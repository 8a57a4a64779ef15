"""Reading text as values of a logical type: canonical forms, strict ISO dates, nothing else.

What lives here: for each logical type a fast cast of whole arrays and a reading of single values
that Arrow's casts do not know. Text that means no value of the type fails; it is never bent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from dbsync.model.types import LogicalType
from dbsync.model.values.kernels import attempt, matches, pc
from dbsync.model.values.moments import (
    DAY_US,
    INFINITIES,
    parse_date,
    parse_time,
    parse_timestamp,
)
from dbsync.model.values.numbers import (
    NUMBER_PATTERN,
    PLAIN_PATTERN,
    SPECIAL_NUMBERS,
    exact_float,
    plain_number,
)
from dbsync.model.values.text import UUID_PATTERN, parse_uuid

Parsed = tuple[pa.Array, pa.Array | None, pa.Array | None]
"""Values, literals and failed rows, as in `dbsync.model.values.convert.Converted`."""

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_INTEGER = r"-?(?:0|[1-9][0-9]*)"


class _Literal(str):
    """Text of a value that the logical type has and its Arrow type has not."""

    __slots__ = ()


_One = Callable[[str], "int | float | bool | str | None"]
"""Reads one text: a value for the Arrow type, a `_Literal`, or None where it fails."""


def from_text(text: pa.StringArray, logical: LogicalType, target: pa.DataType) -> Parsed:
    """Read text as values of the Arrow type `target`, which may itself be text.

    Dates and times are ISO 8601 with ``T`` or a blank; an offset is required for timestamp_tz and
    refused for timestamp. Numbers may have an exponent. Booleans are ``true`` and ``false``.
    """
    match logical.name:
        case "numeric" | "decimal" if pa.types.is_string(target):
            return _read(text, target, PLAIN_PATTERN, _same, _one_numeric)
        case "decimal":
            return _read(text, target, NUMBER_PATTERN, _castto(target), _one_decimal)
        case "integer":
            return _read(text, target, _INTEGER, _castto(target), _nothing)
        case "float":
            single = target == pa.float32()
            return _read(text, target, None, _same, partial(exact_float, single=single))
        case "boolean":
            return _read(text, target, None, _same, _BOOLEANS.get)
        case "uuid":
            return _read(text, target, UUID_PATTERN, parse_uuid, _nothing)
        case "date":
            return _read(text, target, _DATE, _castto(target), _one_date)
        case "time":
            return _read(text, target, _TIME, _cast_time, _one_time)
        case "timestamp":
            one = partial(_one_timestamp, zoned=False)
            return _read(text, target, f"{_DATE}(?:[ T]{_TIME})?", _castto(target), one)
        case "timestamp_tz":
            one = partial(_one_timestamp, zoned=True)
            return _read(text, target, f"{_DATE}[ T]{_TIME}{_ZONE}", _castto(target), one)
        case _ if pa.types.is_string(target):
            return text, None, None
        case _:
            return _read(text, target, None, _same, _nothing)


def _read(
    text: pa.StringArray,
    target: pa.DataType,
    pattern: str | None,
    cast: Callable[[pa.Array], pa.Array],
    one: _One,
) -> Parsed:
    """Cast the rows that fit `pattern` (none without one), and read the others one by one."""
    length = len(text)
    missing = pa.scalar(None, pa.string())
    values, odd = pa.nulls(length, target), text.is_valid()
    if pattern is not None:
        usual = matches(text, pattern)
        chosen = text if pc.all(usual).as_py() else pc.if_else(usual, text, missing)
        values, refused = attempt(chosen, cast)
        odd = pc.and_(odd, pc.invert(usual))
        if refused is not None:
            odd = pc.or_(odd, refused)
    if not pc.any(odd).as_py():
        return values, None, None
    read = [one(value) for value in text.filter(odd).to_pylist()]
    literals = pa.array([v if isinstance(v, _Literal) else None for v in read], pa.string())
    nothing = pa.array([value is None for value in read])
    values = pc.replace_with_mask(values, odd, _built(read, target))
    return (
        values,
        _spread(literals, odd) if literals.null_count < len(read) else None,
        _spread(nothing, odd).fill_null(False) if pc.any(nothing).as_py() else None,
    )


def _built(read: list[int | float | bool | str | None], target: pa.DataType) -> pa.Array:
    values = [None if isinstance(value, _Literal) else value for value in read]
    if pa.types.is_temporal(target):
        # Days and microseconds, as integers of the width that the type has.
        return pa.array(values, pa.int32() if target == pa.date32() else pa.int64()).view(target)
    return pa.array(values, target)


def _spread(values: pa.Array, where: pa.Array) -> pa.Array:
    return pc.replace_with_mask(pa.nulls(len(where), values.type), where, values)


def _castto(target: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda text: text.cast(target)


def _cast_time(text: pa.Array) -> pa.Array:
    # Arrow reads times only behind a date; that of the epoch adds nothing.
    moments = pc.binary_join_element_wise(pa.scalar("1970-01-01"), text, " ")
    return moments.cast(pa.timestamp("us")).view(pa.int64()).view(pa.time64("us"))


def _same(text: pa.Array) -> pa.Array:
    return text


def _nothing(_text: str) -> None:
    return None


_BOOLEANS = {"true": True, "false": False}


def _one_numeric(text: str) -> str | None:
    return text if text in SPECIAL_NUMBERS else plain_number(text)


def _one_decimal(text: str) -> str | None:
    # Of the special values, only NaN fits a declared precision.
    return _Literal(text) if text == "NaN" else None


def _one_date(text: str) -> int | str | None:
    if text in INFINITIES:
        return _Literal(text)
    days = parse_date(text)
    return days if days is None or -(2**31) <= days < 2**31 else _Literal(text)


def _one_time(text: str) -> int | str | None:
    micros = parse_time(text)
    return _Literal("24:00:00") if micros == DAY_US else micros


def _one_timestamp(text: str, *, zoned: bool) -> int | str | None:
    if text in INFINITIES:
        return _Literal(text)
    micros = parse_timestamp(text, zoned=zoned)
    return micros if micros is None or -(2**63) <= micros < 2**63 else _Literal(text)
