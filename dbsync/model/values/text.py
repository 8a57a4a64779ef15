"""Canonical text: every value of a logical type written one way, which every engine reads.

What lives here: the way from standard Arrow arrays to text, and back to UUIDs and bytes. The forms
are those of PostgreSQL with ISO dates, in UTC; ``formats/types-v1.md`` lists them.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable
from itertools import pairwise

import pyarrow as pa

from dbsync.model.types import LogicalType
from dbsync.model.values.kernels import fresh, pc
from dbsync.model.values.moments import DAY_US, format_date, format_time, format_timestamp

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""The days 0001-01-01 and 9999-12-31, between which Arrow and PostgreSQL write dates alike."""

UUID_PATTERN = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}"


BYTES_PATTERN = r"\\x(?:[0-9a-f]{2})*"


def to_text(array: pa.Array, logical: LogicalType) -> pa.StringArray:
    """Write standard values of a logical type as canonical text; NULL stays NULL.

    `array` has the type that `standard_type` names. Floats are written in the shortest form that
    reads back to the same value of the same width.
    """
    match logical.name:
        case "float":
            return float_text(array)
        case "date":
            return _date_text(array)
        case "time":
            return _time_text(array)
        case "timestamp" | "timestamp_tz":
            return _timestamp_text(array, zoned=logical.name == "timestamp_tz")
        case "uuid":
            return _uuid_text(array)
        case _ if pa.types.is_decimal(array.type):
            return decimal_text(array)
        case _ if pa.types.is_binary(array.type):
            return _binary_text(array)
        case _ if pa.types.is_floating(array.type):
            return float_text(array)
        case _:
            return array.cast(pa.string())


def float_text(values: pa.Array) -> pa.StringArray:
    """Write floats in their shortest form, with ``NaN``, ``Infinity`` and ``-Infinity``."""
    text = values.cast(pa.string())
    for arrow, canonical in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
        text = pc.if_else(pc.equal(text, arrow), canonical, text)
    return text


def decimal_text(values: pa.Array) -> pa.StringArray:
    """Write decimals with exactly their scale and never with an exponent."""
    scale = values.type.scale
    # Arrow switches to exponents for small fractions; as integers the digits come out plain.
    unscaled = pa.Array.from_buffers(
        pa.decimal128(38, 0), len(values), values.buffers(), offset=values.offset
    )
    digits = unscaled.cast(pa.string())
    if scale == 0:
        return digits
    sign = pc.if_else(pc.starts_with(digits, "-"), "-", "")
    digits = pc.utf8_lpad(pc.utf8_ltrim(digits, "-"), scale + 1, "0")
    whole = pc.utf8_slice_codeunits(digits, 0, -scale)
    fraction = pc.utf8_slice_codeunits(digits, -scale)
    return pc.binary_join_element_wise(sign, whole, pa.scalar("."), fraction, "")


def parse_uuid(text: pa.StringArray) -> pa.Array:
    """Read strings that fit `UUID_PATTERN` as 16 bytes each; NULL stays NULL."""
    plain = fresh(pc.replace_substring(text, "-", "").fill_null("0" * 32))
    digits = plain.buffers()[2]
    raw = unhexlify(memoryview(digits)[: 32 * len(plain)] if len(plain) else b"")
    values = pa.Array.from_buffers(pa.binary(16), len(plain), [None, pa.py_buffer(raw)])
    return pc.if_else(text.is_valid(), values, pa.scalar(None, pa.binary(16)))


def parse_bytes(text: pa.StringArray) -> pa.BinaryArray:
    """Read strings that fit `BYTES_PATTERN` as the bytes they stand for; NULL stays NULL."""
    digits = fresh(pc.utf8_slice_codeunits(text, 2))
    validity, offsets, data = digits.buffers()
    ends = pa.Array.from_buffers(pa.int32(), len(digits) + 1, [None, offsets])
    used = ends[len(digits)].as_py()
    raw = unhexlify(memoryview(data)[:used] if used else b"")
    halved = pc.divide(ends, pa.scalar(2, pa.int32())).buffers()[1]
    return pa.Array.from_buffers(pa.binary(), len(digits), [validity, halved, pa.py_buffer(raw)])


def _uuid_text(values: pa.Array) -> pa.StringArray:
    values = fresh(values)
    validity, data = values.buffers()
    digits = memoryview(data)[: 16 * len(values)].hex().encode() if len(values) else b""
    whole = pa.Array.from_buffers(pa.binary(32), len(values), [validity, pa.py_buffer(digits)])
    whole = whole.cast(pa.binary())
    bounds = (0, 8, 12, 16, 20, 32)
    parts = [pc.binary_slice(whole, *pair) for pair in pairwise(bounds)]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"-")).cast(pa.string())


def _binary_text(values: pa.Array) -> pa.StringArray:
    values = fresh(values)
    validity, offsets, data = values.buffers()
    if len(values) == 0 or data is None:
        return pc.if_else(values.is_valid(), "\\x", pa.scalar(None, pa.string()))
    ends = pa.Array.from_buffers(pa.int32(), len(values) + 1, [None, offsets])
    used = ends[len(values)].as_py()
    digits = pa.py_buffer(memoryview(data)[:used].hex().encode())
    doubled = pc.multiply_checked(ends, pa.scalar(2, pa.int32())).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), len(values), [validity, doubled, digits])
    return pc.binary_join_element_wise(pa.scalar("\\x"), text, "")


def _date_text(values: pa.Array) -> pa.StringArray:
    days = values.view(pa.int32())
    return _with_odd(days, values.cast(pa.string()), FIRST_DAY, LAST_DAY, format_date)


def _time_text(values: pa.Array) -> pa.StringArray:
    micros = values.view(pa.int64())
    return _with_odd(micros, _trimmed(values.cast(pa.string())), 0, DAY_US - 1, format_time)


def _timestamp_text(values: pa.Array, *, zoned: bool) -> pa.StringArray:
    micros = values.view(pa.int64())
    text = _trimmed(micros.view(pa.timestamp("us")).cast(pa.string()))
    if zoned:
        text = pc.binary_join_element_wise(text, "+00", "")
    return _with_odd(
        micros,
        text,
        FIRST_DAY * DAY_US,
        (LAST_DAY + 1) * DAY_US - 1,
        lambda value: format_timestamp(value, zoned=zoned),
    )


def _trimmed(text: pa.StringArray) -> pa.StringArray:
    return pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")


def _with_odd(
    numbers: pa.Array, text: pa.StringArray, low: int, high: int, write: Callable[[int], str]
) -> pa.StringArray:
    """Replace the text of numbers outside `low` to `high` by what `write` makes of them."""
    odd = pc.or_(pc.less(numbers, low), pc.greater(numbers, high)).fill_null(False)
    if not pc.any(odd).as_py():
        return text
    written = pa.array([write(number) for number in numbers.filter(odd).to_pylist()], pa.string())
    return pc.replace_with_mask(text, odd, written)
