"""What a column of MySQL holds exactly: from the text of its type to the refusal of values.

What lives here: `Capacity`, read from a type as it stands in DDL, and `refuse_misfits`. Must not
know: where values come from, how they travel.

The server clamps, cuts or rounds what does not fit, and answers LOAD DATA LOCAL with a warning at
best: everything is found here, before it is sent. Ranges are those of MariaDB's and MySQL's
documentation, tried on MariaDB (``tests/unit/connectors/mysql/test_wire.py``). Dates of the years
1 to 999 are stored exactly, although the documentation promises nothing before the year 1000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pyarrow as pa

from dbsync.connectors.mysql.charset import alien_characters, byte_length
from dbsync.connectors.mysql.types import SPATIAL, ColumnFacts
from dbsync.model.values import refuse
from dbsync.model.values.kernels import pc
from dbsync.model.values.moments import DAY_US
from dbsync.model.values.text import FIRST_DAY, LAST_DAY

_TYPE = re.compile(r"\s*([a-z_0-9]+)\s*(?:\(\s*([0-9\s,]*)\))?", re.IGNORECASE)
INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXT_BYTES = {"tinytext": 255, "text": 65_535, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}
_BLOB_BYTES = {"tinyblob": 255, "blob": 65_535, "mediumblob": 2**24 - 1, "longblob": 2**32 - 1}
_ALIASES = {"integer": "int", "bool": "boolean", "numeric": "decimal", "dec": "decimal"}

LAST_TIMESTAMP = 2**31 - 1
"""The last second of TIMESTAMP, 2038-01-19 03:14:07, but for MariaDB from 11.5 on."""


@dataclass(frozen=True)
class Capacity:
    """What one column holds. Numbers that do not apply to its kind are None."""

    kind: str
    """The type's name in lower case, without parameters."""
    unsigned: bool = False
    length: int | None = None
    """Characters of text, bytes of binary, bits of a bit column."""
    precision: int | None = None
    scale: int | None = None
    """Digits of a decimal, or of a float that is declared to round to some."""
    digits: int = 0
    """Digits of a fraction of a second."""
    labels: tuple[str, ...] = ()
    charset: str | None = None
    last_second: int = LAST_TIMESTAMP
    is_json: bool = False

    @property
    def is_text(self) -> bool:
        """Say whether values are text of any content."""
        return self.kind in ("char", "varchar") or self.kind in _TEXT_BYTES

    @property
    def is_binary(self) -> bool:
        """Say whether values are bytes, which no character set may touch."""
        fixed = ("binary", "varbinary", "vector")
        return self.kind in fixed or self.kind in _BLOB_BYTES or self.kind in SPATIAL

    @property
    def is_large(self) -> bool:
        """Say whether the type is a TEXT, BLOB, JSON or spatial one."""
        large = self.kind in _TEXT_BYTES or self.kind in _BLOB_BYTES or self.kind in SPATIAL
        return large or self.kind == "json"

    @property
    def integers(self) -> tuple[int, int] | None:
        """Give the first and last integer, for kinds that hold integers."""
        if self.kind == "year":
            return 0, 2155
        if self.kind == "bit":
            return 0, 2 ** (self.length or 1) - 1
        bits = INTEGER_BITS.get(self.kind)
        if bits is None:
            return None
        return (0, 2**bits - 1) if self.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def capacity(
    native: str,
    *,
    charset: str | None = None,
    last_second: int = LAST_TIMESTAMP,
    is_json: bool = False,
) -> Capacity:
    """Read a type as SHOW CREATE TABLE and information_schema write it."""
    match = _TYPE.match(native)
    kind = match[1].lower() if match else native.lower()
    kind = _ALIASES.get(kind, kind)
    numbers = [int(n) for n in (match[2] or "").split(",") if n.strip()] if match else []
    first = numbers[0] if numbers else None
    second = numbers[1] if len(numbers) > 1 else None
    facts = ColumnFacts(data_type=kind, column_type=native)
    held = Capacity(kind, charset=charset, last_second=last_second, is_json=is_json)
    match kind:
        case "enum" | "set":
            return replace(held, labels=facts.labels)
        case "decimal":
            precision = 10 if first is None else first
            return replace(held, unsigned=facts.unsigned, precision=precision, scale=second or 0)
        case "float" | "double":
            return replace(held, unsigned=facts.unsigned, precision=first, scale=second)
        case "time" | "datetime" | "timestamp":
            return replace(held, digits=first or 0)
        case "boolean":
            return replace(held, kind="tinyint")
        case "bit" | "char" | "binary":
            return replace(held, length=1 if first is None else first)
        case _:
            return replace(held, unsigned=facts.unsigned, length=first)


def refuse_misfits(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    """Raise `MisfitError` for values that the column cannot hold exactly.

    `values` have the Arrow type that fits the kind: integers (also for bit and year), floats,
    decimal128 or plain text of decimals, date32, time64, timestamp without zone, binary, string.
    """
    kind = values.type
    if held.integers is not None:
        _integers(values, held, column, table)
    elif pa.types.is_floating(kind):
        _floats(values, held, column, table)
    elif held.kind == "decimal":
        _decimals(values, held, column, table)
    elif pa.types.is_temporal(kind):
        _moments(values, held, column, table)
    elif held.is_binary:
        _binary(values, held, column, table)
    elif pa.types.is_string(kind):
        _text(values, held, column, table)


def example(values: pa.Array, rows: pa.Array) -> str:
    """Show one of the refused values, shortened."""
    first = pc.index(rows.fill_null(False), True).as_py()
    if first < 0:
        return ""
    value = values[first].as_py()
    text = value.hex() if isinstance(value, bytes) else str(value)
    return repr(f"{text[:60]}..." if len(text) > 60 else text)


def _refuse(values: pa.Array, rows: pa.Array, column: str, table: str, reason: str) -> None:
    if pc.any(rows).as_py():
        refuse(rows, column, table, reason, example=example(values, rows))


def _outside(values: pa.Array, low: int, high: int) -> pa.Array | None:
    """Mark integers outside of a range, or give None where their type rules that out."""
    bits = values.type.bit_width
    signed = pa.types.is_signed_integer(values.type)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    marks: list[pa.Array] = []
    if least < low:
        marks.append(pc.less(values, pa.scalar(low, values.type)))
    if most > high:
        marks.append(pc.greater(values, pa.scalar(high, values.type)))
    if not marks:
        return None
    return marks[0] if len(marks) == 1 else pc.or_(*marks)


def _integers(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    low, high = held.integers or (0, 0)
    outside = _outside(values, low, high)
    if outside is not None:
        _refuse(
            values, outside, column, table, f"outside of {low} to {high}, the range of {held.kind}"
        )
    if held.kind == "year":
        odd = pc.and_(pc.not_equal(values, 0), pc.less(values, 1901))
        _refuse(values, odd, column, table, "no years from 1901 to 2155")


def _floats(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    _refuse(
        values,
        pc.invert(pc.is_finite(values)),
        column,
        table,
        "not finite, which MySQL cannot hold",
    )
    _refuse_negative(values, held, column, table)
    if held.scale is not None:
        rounded = pc.round(values, ndigits=held.scale)
        limit = 10.0 ** ((held.precision or 0) - held.scale)
        odd = pc.or_(
            pc.not_equal(rounded, values),
            pc.greater_equal(pc.abs(values), pa.scalar(limit, values.type)),
        )
        _refuse(
            values,
            odd,
            column,
            table,
            f"beyond {held.precision} digits, {held.scale} of a fraction",
        )


def _refuse_negative(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    if held.unsigned:
        negative = pc.less(pc.sign(values), 0)
        _refuse(values, negative, column, table, "negative in an UNSIGNED column")


def _decimals(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    if pa.types.is_decimal(values.type):
        _refuse_negative(values, held, column, table)
        return
    precision, scale = held.precision or 0, held.scale or 0
    whole, fraction = precision - scale, f"(?:\\.[0-9]{{0,{scale}}}0*)?" if scale else "(?:\\.0*)?"
    sign = "" if held.unsigned else "-?"
    pattern = f"^{sign}0*[0-9]{{0,{whole}}}{fraction}$"
    odd = pc.invert(pc.match_substring_regex(values, pattern))
    _refuse(
        values,
        odd,
        column,
        table,
        f"beyond {'unsigned ' if held.unsigned else ''}decimal({precision},{scale})",
    )


def _moments(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    kind = values.type
    if pa.types.is_date32(kind):
        odd = _outside(values.view(pa.int32()), FIRST_DAY, LAST_DAY)
        _refuse_years(values, odd, column, table)
        return
    micros = values.view(pa.int64())
    if held.kind == "timestamp":
        odd = _outside(micros, 1, held.last_second * 1_000_000 + 999_999)
        if odd is not None and pc.any(odd).as_py():
            year = 2106 if held.last_second > LAST_TIMESTAMP else 2038
            refuse(
                odd, column, table, f"outside of the years 1970 to {year}, the range of TIMESTAMP",
                example=_moment_example(micros, odd),
                hint="make the column DATETIME(6) on the target, which takes moments in UTC, and "
                "import without --include-schema",
            )  # fmt: skip
    elif held.kind == "datetime":
        odd = _outside(micros, FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1)
        _refuse_years(values, odd, column, table)
    if held.digits < 6:
        unit = 10 ** (6 - held.digits)
        rest = pc.subtract(micros, pc.multiply(pc.divide(micros, unit), unit))
        finer = pc.not_equal(rest, 0)
        digits = f"{held.digits} digits of a second"
        _refuse(values, finer, column, table, f"finer than the {digits} of the column")


def _refuse_years(values: pa.Array, odd: pa.Array | None, column: str, table: str) -> None:
    if odd is not None and pc.any(odd).as_py():
        # Python itself knows the same years only, so the example is the raw number's text.
        raw = values.view(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
        refuse(
            odd, column, table, "outside of the years 1 to 9999", example=_moment_example(raw, odd)
        )


def _moment_example(raw: pa.Array, odd: pa.Array) -> str:
    from dbsync.model.values.moments import format_date, format_timestamp

    number = raw[pc.index(odd.fill_null(False), True).as_py()].as_py()
    if pa.types.is_int32(raw.type):
        return format_date(number)
    return format_timestamp(number, zoned=False)


def _binary(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    sizes = pc.binary_length(values)
    if held.kind == "binary":
        reason = f"not of {held.length} bytes, to which BINARY({held.length}) would fill them up"
        _refuse(values, pc.not_equal(sizes, held.length), column, table, reason)
        return
    limit = held.length if held.kind == "varbinary" else _BLOB_BYTES.get(held.kind)
    if limit is not None and limit < 2**31:
        _refuse(values, pc.greater(sizes, limit), column, table, f"longer than {limit} bytes")


def _text(values: pa.Array, held: Capacity, column: str, table: str) -> None:
    alien = alien_characters(values, held.charset)
    if alien is not None:
        _refuse(values, alien, column, table, f"with characters that {held.charset} lacks")
    if held.kind in ("char", "varchar") and held.length is not None:
        longer = pc.greater(pc.utf8_length(values), held.length)
        _refuse(values, longer, column, table, f"longer than {held.length} characters")
    limit = _TEXT_BYTES.get(held.kind, 2**32)
    if limit < 2**31:
        longer = pc.greater(byte_length(values, held.charset), limit)
        _refuse(values, longer, column, table, f"longer than the {limit} bytes of {held.kind}")
    if held.kind == "char":
        blank = pc.ends_with(values, " ")
        _refuse(values, blank, column, table, "with blanks at the end, which CHAR does not keep")
